//! ShareAcknowledge, key 79.

use crate::message::message;
use ids::TopicId;

message! {
    pub struct ShareAcknowledgeRequest<'a> flexible 0 {
        group_id: Option<&'a str> [0..],
        member_id: Option<&'a str> [0..] = Some(""),
        share_session_epoch: i32 [0..],
        is_renew_ack: bool [2..],
        topics: Vec<AcknowledgeTopic> [0..],
    }
    pub struct AcknowledgeTopic flexible part {
        topic_id: TopicId [0..],
        partitions: Vec<AcknowledgePartition> [0..],
    }
    pub struct AcknowledgePartition flexible part {
        partition_index: i32 [0..],
        acknowledgement_batches: Vec<AcknowledgementBatch> [0..],
    }
    pub struct AcknowledgementBatch flexible part {
        first_offset: i64 [0..],
        last_offset: i64 [0..],
        acknowledge_types: Vec<i8> [0..],
    }

    pub struct ShareAcknowledgeResponse<'a> flexible 0 {
        throttle_time_ms: i32 [0..],
        error_code: i16 [0..],
        error_message: Option<&'a str> [0..],
        acquisition_lock_timeout_ms: i32 [2..],
        responses: Vec<ShareAcknowledgeTopicResponse<'a>> [0..],
        node_endpoints: Vec<NodeEndpoint<'a>> [0..],
    }
    pub struct ShareAcknowledgeTopicResponse<'a> flexible part {
        topic_id: TopicId [0..],
        partitions: Vec<PartitionData<'a>> [0..],
    }
    pub struct PartitionData<'a> flexible part {
        partition_index: i32 [0..],
        error_code: i16 [0..],
        error_message: Option<&'a str> [0..],
        current_leader: LeaderIdAndEpoch [0..],
    }
    pub struct LeaderIdAndEpoch flexible part {
        leader_id: i32 [0..],
        leader_epoch: i32 [0..],
    }
    pub struct NodeEndpoint<'a> flexible part {
        node_id: i32 [0..],
        host: &'a str [0..],
        port: i32 [0..],
        rack: Option<&'a str> [0..],
    }
}
