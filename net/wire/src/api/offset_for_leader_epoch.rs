//! OffsetForLeaderEpoch (key 23): where a leader epoch ended, so that a log or a position can be compared with the
//! leader's (KIP-101, KIP-320).

use crate::ErrorCode;
use ids::{BrokerId, LeaderEpoch, Offset, PartitionIndex};

schema! {
    /// What the caller asks.
    request OffsetForLeaderEpochRequest<'a> for OffsetForLeaderEpoch {
        /// The replica.
        replica_id: BrokerId = BrokerId(-2), 3..;
        /// The topics.
        topics: Vec<OffsetForLeaderTopic<'a>>, 0..;
    }

    /// A topic and its partitions.
    part OffsetForLeaderTopic<'a> {
        /// The topic.
        topic: &'a str, 0..;
        /// The partitions.
        partitions: Vec<OffsetForLeaderPartition>, 0..;
    }

    /// A partition and the epoch wanted.
    part OffsetForLeaderPartition {
        /// The partition.
        partition: PartitionIndex, 0..;
        /// The leader epoch that the client knows; -1: do not compare.
        current_leader_epoch: LeaderEpoch = LeaderEpoch::UNKNOWN, 0..;
        /// The leader's epoch, or -1.
        leader_epoch: LeaderEpoch, 0..;
    }

    /// The answer.
    response OffsetForLeaderEpochResponse<'a> for OffsetForLeaderEpoch {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// The topics.
        topics: Vec<OffsetForLeaderTopicResult<'a>>, 0..;
    }

    /// A topic and its answers.
    part OffsetForLeaderTopicResult<'a> {
        /// The topic.
        topic: &'a str, 0..;
        /// One answer for each partition.
        partitions: Vec<EpochEndOffset>, 0..;
    }

    /// An epoch and where it ends.
    part EpochEndOffset {
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// The partition.
        partition: PartitionIndex, 0..;
        /// The leader's epoch, or -1.
        leader_epoch: LeaderEpoch = LeaderEpoch::UNKNOWN, 0..;
        /// Where the epoch ends: the first offset after it.
        end_offset: Offset = Offset::NONE, 0..;
    }
}
