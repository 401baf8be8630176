//! ShareFetch, key 78.

use crate::Records;
use crate::message::message;
use ids::TopicId;

message! {
    pub struct ShareFetchRequest<'a> flexible 0 {
        group_id: Option<&'a str> [0..],
        member_id: Option<&'a str> [0..] = Some(""),
        share_session_epoch: i32 [0..],
        max_wait_ms: i32 [0..],
        min_bytes: i32 [0..],
        max_bytes: i32 [0..] = i32::MAX,
        max_records: i32 [1..],
        batch_size: i32 [1..],
        share_acquire_mode: i8 [2..],
        is_renew_ack: bool [2..],
        topics: Vec<FetchTopic> [0..],
        forgotten_topics_data: Vec<ForgottenTopic> [0..],
    }
    pub struct FetchTopic flexible part {
        topic_id: TopicId [0..],
        partitions: Vec<FetchPartition> [0..],
    }
    pub struct FetchPartition flexible part {
        partition_index: i32 [0..],
        partition_max_bytes: i32 [0.. 0],
        acknowledgement_batches: Vec<AcknowledgementBatch> [0..],
    }
    pub struct AcknowledgementBatch flexible part {
        first_offset: i64 [0..],
        last_offset: i64 [0..],
        acknowledge_types: Vec<i8> [0..],
    }
    pub struct ForgottenTopic flexible part {
        topic_id: TopicId [0..],
        partitions: Vec<i32> [0..],
    }

    pub struct ShareFetchResponse<'a> flexible 0 {
        throttle_time_ms: i32 [0..],
        error_code: i16 [0..],
        error_message: Option<&'a str> [0..],
        acquisition_lock_timeout_ms: i32 [1..],
        responses: Vec<ShareFetchableTopicResponse<'a>> [0..],
        node_endpoints: Vec<NodeEndpoint<'a>> [0..],
    }
    pub struct ShareFetchableTopicResponse<'a> flexible part {
        topic_id: TopicId [0..],
        partitions: Vec<PartitionData<'a>> [0..],
    }
    pub struct PartitionData<'a> flexible part {
        partition_index: i32 [0..],
        error_code: i16 [0..],
        error_message: Option<&'a str> [0..],
        acknowledge_error_code: i16 [0..],
        acknowledge_error_message: Option<&'a str> [0..],
        current_leader: LeaderIdAndEpoch [0..],
        records: Records<'a> [0..],
        acquired_records: Vec<AcquiredRecords> [0..],
    }
    pub struct LeaderIdAndEpoch flexible part {
        leader_id: i32 [0..],
        leader_epoch: i32 [0..],
    }
    pub struct AcquiredRecords flexible part {
        first_offset: i64 [0..],
        last_offset: i64 [0..],
        delivery_count: i16 [0..],
    }
    pub struct NodeEndpoint<'a> flexible part {
        node_id: i32 [0..],
        host: &'a str [0..],
        port: i32 [0..],
        rack: Option<&'a str> [0..],
    }
}
