//! AlterPartitionReassignments (key 45): moves partitions to other replicas, or stops doing so (KIP-455).

use crate::ErrorCode;
use ids::{BrokerId, PartitionIndex};

schema! {
    /// What the caller asks.
    request AlterPartitionReassignmentsRequest<'a> for AlterPartitionReassignments {
        /// How long the broker may take.
        timeout_ms: i32 = 60000, 0..;
        /// Whether the number of replicas may change.
        allow_replication_factor_change: bool = true, 1..;
        /// The topics.
        topics: Vec<ReassignableTopic<'a>>, 0..;
    }

    /// A topic to move.
    part ReassignableTopic<'a> {
        /// The topic.
        name: &'a str, 0..;
        /// The partitions.
        partitions: Vec<ReassignablePartition>, 0..;
    }

    /// A partition to move.
    part ReassignablePartition {
        /// The partition.
        partition_index: PartitionIndex, 0..;
        /// The new replicas, the preferred leader first; `None`: stop the move.
        replicas: Option<Vec<BrokerId>>, 0..;
    }

    /// The answer.
    response AlterPartitionReassignmentsResponse<'a> for AlterPartitionReassignments {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// Whether the number of replicas may change.
        allow_replication_factor_change: bool = true, 1..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 0..;
        /// One answer for each thing asked.
        responses: Vec<ReassignableTopicResponse<'a>>, 0..;
    }

    /// What became of one topic.
    part ReassignableTopicResponse<'a> {
        /// The topic.
        name: &'a str, 0..;
        /// The partitions.
        partitions: Vec<ReassignablePartitionResponse<'a>>, 0..;
    }

    /// What became of one partition.
    part ReassignablePartitionResponse<'a> {
        /// The partition.
        partition_index: PartitionIndex, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 0..;
    }
}
