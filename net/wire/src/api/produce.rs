//! Produce (key 0): appends record batches to partitions (KIP-98, KIP-516, KIP-951).

use crate::{ErrorCode, Records};
use ids::{BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId};

schema! {
    /// What the caller asks.
    request ProduceRequest<'a> for Produce {
        /// The transactional id, of a transactional producer.
        transactional_id: Option<&'a str>, 0..;
        /// How many replicas must have the records before the answer: 0 (no answer), 1 (the leader), -1 (all
        /// in sync).
        acks: i16, 0..;
        /// How long the broker may take.
        timeout_ms: i32, 0..;
        /// The topics to append to.
        topic_data: Vec<TopicProduceData<'a>>, 0..;
    }

    /// A topic to append to.
    part TopicProduceData<'a> {
        /// The topic.
        name: &'a str, 0..=12;
        /// The topic's id.
        topic_id: TopicId, 13..;
        /// The partitions to append to.
        partition_data: Vec<PartitionProduceData<'a>>, 0..;
    }

    /// A partition and the records for it.
    part PartitionProduceData<'a> {
        /// The partition.
        index: PartitionIndex, 0..;
        /// The record batches.
        records: Records<'a>, 0..;
    }

    /// The answer.
    response ProduceResponse<'a> for Produce {
        /// One answer for each thing asked.
        responses: Vec<TopicProduceResponse<'a>>, 0..;
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// Addresses of the leaders named above.
        node_endpoints: Vec<NodeEndpoint<'a>>, 10.., tag 0;
    }

    /// What became of one topic.
    part TopicProduceResponse<'a> {
        /// The topic.
        name: &'a str, 0..=12;
        /// The topic's id.
        topic_id: TopicId, 13..;
        /// One answer for each partition.
        partition_responses: Vec<PartitionProduceResponse<'a>>, 0..;
    }

    /// What became of one partition.
    part PartitionProduceResponse<'a> {
        /// The partition.
        index: PartitionIndex, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// The offset of the first record appended.
        base_offset: Offset, 0..;
        /// The time that the broker gave the batch, in milliseconds; -1: the client's own was kept.
        log_append_time_ms: i64 = -1, 0..;
        /// The first offset of the log, or -1.
        log_start_offset: Offset = Offset::NONE, 5..;
        /// The records that made the broker refuse the batch.
        record_errors: Vec<BatchIndexAndErrorMessage<'a>>, 8..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 8..;
        /// The leader, as far as the broker knows, beside an error that says it is another one.
        current_leader: LeaderIdAndEpoch, 10.., tag 0;
    }

    /// A record that made the broker refuse its batch.
    part BatchIndexAndErrorMessage<'a> {
        /// The record's place in the batch.
        batch_index: i32, 8..;
        /// Why this record was refused.
        batch_index_error_message: Option<&'a str>, 8..;
    }

    /// A leader and its epoch.
    part LeaderIdAndEpoch {
        /// The leader, or -1.
        leader_id: BrokerId = BrokerId::NONE, 10..;
        /// The leader's epoch, or -1.
        leader_epoch: LeaderEpoch = LeaderEpoch::UNKNOWN, 10..;
    }

    /// A broker's address.
    part NodeEndpoint<'a> {
        /// The broker.
        node_id: BrokerId, 10..;
        /// The host's name or address.
        host: &'a str, 10..;
        /// The port.
        port: i32, 10..;
        /// The broker's rack.
        rack: Option<&'a str>, 10..;
    }
}
