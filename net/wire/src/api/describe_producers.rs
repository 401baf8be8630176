//! DescribeProducers (key 61): the producers that a partition remembers (KIP-664).

use crate::ErrorCode;
use ids::{Offset, PartitionIndex, ProducerId};

schema! {
    /// What the caller asks.
    request DescribeProducersRequest<'a> for DescribeProducers {
        /// The topics.
        topics: Vec<TopicRequest<'a>>, 0..;
    }

    /// A topic to describe.
    part TopicRequest<'a> {
        /// The topic.
        name: &'a str, 0..;
        /// The partitions.
        partition_indexes: Vec<PartitionIndex>, 0..;
    }

    /// The answer.
    response DescribeProducersResponse<'a> for DescribeProducers {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// The topics.
        topics: Vec<TopicResponse<'a>>, 0..;
    }

    /// A topic.
    part TopicResponse<'a> {
        /// The topic.
        name: &'a str, 0..;
        /// The partitions.
        partitions: Vec<PartitionResponse<'a>>, 0..;
    }

    /// A partition.
    part PartitionResponse<'a> {
        /// The partition.
        partition_index: PartitionIndex, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 0..;
        /// The producers that the partition remembers.
        active_producers: Vec<ProducerState>, 0..;
    }

    /// A producer.
    part ProducerState {
        /// The producer, or -1.
        producer_id: ProducerId, 0..;
        /// The producer's epoch, or -1.
        producer_epoch: i32, 0..;
        /// The sequence number of the producer's last record, or -1.
        last_sequence: i32 = -1, 0..;
        /// When the producer last wrote, in milliseconds, or -1.
        last_timestamp: i64 = -1, 0..;
        /// The epoch of the transaction coordinator, or -1.
        coordinator_epoch: i32, 0..;
        /// Where the producer's open transaction begins, or -1.
        current_txn_start_offset: Offset = Offset::NONE, 0..;
    }
}
