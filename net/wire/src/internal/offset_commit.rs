//! A committed offset in `__consumer_offsets`. The key's versions 0 and 1 are both this type; a null value deletes.

use crate::internal::Prefixed;
use ids::{LeaderEpoch, Offset, PartitionIndex};

schema! {
    /// Whose offset it is.
    message OffsetCommitKey<'a> versions 0 to 1 {
        /// The group.
        group: &'a str, 0..;
        /// The topic.
        topic: &'a str, 0..;
        /// The partition.
        partition: PartitionIndex, 0..;
    }

    /// The offset.
    message OffsetCommitValue<'a> versions 0 to 4 flexible 4 {
        /// The offset of the next record to read.
        offset: Offset, 0..;
        /// The leader epoch of the last record read, or -1.
        leader_epoch: LeaderEpoch = LeaderEpoch::UNKNOWN, 3..;
        /// Free text beside the offset.
        metadata: &'a str, 0..;
        /// When it was committed, in milliseconds.
        commit_timestamp: i64, 0..;
        /// When it ends, in milliseconds; -1: by the group's retention.
        expire_timestamp: i64 = -1, 1..=1;
    }
}

impl<'a> Prefixed<'a> for OffsetCommitKey<'a> {}
impl<'a> Prefixed<'a> for OffsetCommitValue<'a> {}
