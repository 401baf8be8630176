//! OffsetDelete (key 47): deletes stored offsets of a group (KIP-496).

use crate::ErrorCode;
use ids::PartitionIndex;

schema! {
    /// What the caller asks.
    request OffsetDeleteRequest<'a> for OffsetDelete {
        /// The group.
        group_id: &'a str, 0..;
        /// The topics.
        topics: Vec<OffsetDeleteRequestTopic<'a>>, 0..;
    }

    /// A topic and its partitions.
    part OffsetDeleteRequestTopic<'a> {
        /// The topic.
        name: &'a str, 0..;
        /// The partitions.
        partitions: Vec<OffsetDeleteRequestPartition>, 0..;
    }

    /// A partition.
    part OffsetDeleteRequestPartition {
        /// The partition.
        partition_index: PartitionIndex, 0..;
    }

    /// The answer.
    response OffsetDeleteResponse<'a> for OffsetDelete {
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// The topics.
        topics: Vec<OffsetDeleteResponseTopic<'a>>, 0..;
    }

    /// What became of one topic.
    part OffsetDeleteResponseTopic<'a> {
        /// The topic.
        name: &'a str, 0..;
        /// The partitions.
        partitions: Vec<OffsetDeleteResponsePartition>, 0..;
    }

    /// What became of one partition.
    part OffsetDeleteResponsePartition {
        /// The partition.
        partition_index: PartitionIndex, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
    }
}
