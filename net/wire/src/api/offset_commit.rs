//! OffsetCommit (key 8): stores a group's offsets (KIP-211, KIP-345, KIP-848).

use crate::ErrorCode;
use ids::{LeaderEpoch, Offset, PartitionIndex, TopicId};

schema! {
    /// What the caller asks.
    request OffsetCommitRequest<'a> for OffsetCommit {
        /// The group.
        group_id: &'a str, 0..;
        /// The group's generation or the member's epoch; -1 outside of any group protocol.
        generation_id_or_member_epoch: i32 = -1, 0..;
        /// The member, or empty.
        member_id: &'a str, 0..;
        /// The member's fixed name, of a static member (KIP-345).
        group_instance_id: Option<&'a str>, 7..;
        /// How long to keep the offsets; -1: the broker's default.
        retention_time_ms: i64 = -1, 0..=4;
        /// The topics.
        topics: Vec<OffsetCommitRequestTopic<'a>>, 0..;
    }

    /// A topic and its offsets.
    part OffsetCommitRequestTopic<'a> {
        /// The topic.
        name: &'a str, 0..=9;
        /// The topic's id.
        topic_id: TopicId, 10..;
        /// The partitions.
        partitions: Vec<OffsetCommitRequestPartition<'a>>, 0..;
    }

    /// A partition's offset.
    part OffsetCommitRequestPartition<'a> {
        /// The partition.
        partition_index: PartitionIndex, 0..;
        /// The offset of the next record to read.
        committed_offset: Offset, 0..;
        /// The leader epoch of the last record read, or -1.
        committed_leader_epoch: LeaderEpoch = LeaderEpoch::UNKNOWN, 6..;
        /// Free text beside the offset.
        committed_metadata: Option<&'a str>, 0..;
    }

    /// The answer.
    response OffsetCommitResponse<'a> for OffsetCommit {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 3..;
        /// The topics.
        topics: Vec<OffsetCommitResponseTopic<'a>>, 0..;
    }

    /// What became of one topic.
    part OffsetCommitResponseTopic<'a> {
        /// The topic.
        name: &'a str, 0..=9;
        /// The topic's id.
        topic_id: TopicId, 10..;
        /// The partitions.
        partitions: Vec<OffsetCommitResponsePartition>, 0..;
    }

    /// What became of one partition.
    part OffsetCommitResponsePartition {
        /// The partition.
        partition_index: PartitionIndex, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
    }
}
