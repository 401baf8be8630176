//! ListOffsets (key 2): finds offsets by time or by name: first, last, largest timestamp (KIP-79, KIP-734).

use crate::ErrorCode;
use ids::{BrokerId, LeaderEpoch, Offset, PartitionIndex};

schema! {
    /// What the caller asks.
    request ListOffsetsRequest<'a> for ListOffsets {
        /// The follower, or -1 for a consumer.
        replica_id: BrokerId, 0..;
        /// 0 everything below the high watermark, 1 only what committed transactions left.
        isolation_level: i8, 2..;
        /// The topics.
        topics: Vec<ListOffsetsTopic<'a>>, 0..;
        /// How long the broker may take.
        timeout_ms: i32, 10..;
    }

    /// A topic and its partitions.
    part ListOffsetsTopic<'a> {
        /// The topic.
        name: &'a str, 0..;
        /// The partitions.
        partitions: Vec<ListOffsetsPartition>, 0..;
    }

    /// A partition and the time wanted.
    part ListOffsetsPartition {
        /// The partition.
        partition_index: PartitionIndex, 0..;
        /// The leader epoch that the client knows; -1: do not compare.
        current_leader_epoch: LeaderEpoch = LeaderEpoch::UNKNOWN, 4..;
        /// A time in milliseconds, or -1 latest, -2 earliest, -3 largest timestamp, -4 earliest local, -5
        /// latest tiered, -6 earliest pending upload.
        timestamp: i64, 0..;
    }

    /// The answer.
    response ListOffsetsResponse<'a> for ListOffsets {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 2..;
        /// The topics.
        topics: Vec<ListOffsetsTopicResponse<'a>>, 0..;
    }

    /// A topic and its offsets.
    part ListOffsetsTopicResponse<'a> {
        /// The topic.
        name: &'a str, 0..;
        /// The partitions.
        partitions: Vec<ListOffsetsPartitionResponse>, 0..;
    }

    /// The offset found in a partition.
    part ListOffsetsPartitionResponse {
        /// The partition.
        partition_index: PartitionIndex, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// The timestamp of the record found, in milliseconds, or -1.
        timestamp: i64 = -1, 0..;
        /// The offset found, or -1.
        offset: Offset = Offset::NONE, 0..;
        /// The leader's epoch, or -1.
        leader_epoch: LeaderEpoch = LeaderEpoch::UNKNOWN, 4..;
    }
}
