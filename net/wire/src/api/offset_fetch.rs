//! OffsetFetch (key 9): reads a group's stored offsets; several groups at once from version 8 (KIP-709).

use crate::ErrorCode;
use ids::{LeaderEpoch, Offset, PartitionIndex, TopicId};

schema! {
    /// What the caller asks.
    request OffsetFetchRequest<'a> for OffsetFetch {
        /// The group.
        group_id: &'a str, 0..=7;
        /// The topics wanted; `None`: all that have offsets.
        topics: Option<Vec<OffsetFetchRequestTopic<'a>>>, 0..=7, nullable 2..;
        /// One entry for each group.
        groups: Vec<OffsetFetchRequestGroup<'a>>, 8..;
        /// Whether to refuse offsets that an open transaction may still change (KIP-447).
        require_stable: bool, 7..;
    }

    /// A topic and its partitions, up to version 7.
    part OffsetFetchRequestTopic<'a> {
        /// The topic.
        name: &'a str, 0..=7;
        /// The partitions.
        partition_indexes: Vec<PartitionIndex>, 0..=7;
    }

    /// A group and the topics wanted.
    part OffsetFetchRequestGroup<'a> {
        /// The group.
        group_id: &'a str, 8..;
        /// The member.
        member_id: Option<&'a str>, 9..;
        /// The member's epoch.
        member_epoch: i32 = -1, 9..;
        /// The topics wanted; `None`: all that have offsets.
        topics: Option<Vec<OffsetFetchRequestTopics<'a>>>, 8..;
    }

    /// A topic and its partitions, from version 8.
    part OffsetFetchRequestTopics<'a> {
        /// The topic.
        name: &'a str, 8..=9;
        /// The topic's id.
        topic_id: TopicId, 10..;
        /// The partitions.
        partition_indexes: Vec<PartitionIndex>, 8..;
    }

    /// The answer.
    response OffsetFetchResponse<'a> for OffsetFetch {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 3..;
        /// The topics.
        topics: Vec<OffsetFetchResponseTopic<'a>>, 0..=7;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 2..=7;
        /// One entry for each group.
        groups: Vec<OffsetFetchResponseGroup<'a>>, 8..;
    }

    /// A topic's offsets, up to version 7.
    part OffsetFetchResponseTopic<'a> {
        /// The topic.
        name: &'a str, 0..=7;
        /// The partitions.
        partitions: Vec<OffsetFetchResponsePartition<'a>>, 0..=7;
    }

    /// A partition's offset, up to version 7.
    part OffsetFetchResponsePartition<'a> {
        /// The partition.
        partition_index: PartitionIndex, 0..=7;
        /// The offset of the next record to read.
        committed_offset: Offset, 0..=7;
        /// The leader epoch of the last record read, or -1.
        committed_leader_epoch: LeaderEpoch = LeaderEpoch::UNKNOWN, 5..=7;
        /// Free text beside the offset.
        metadata: Option<&'a str>, 0..=7;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..=7;
    }

    /// A group's offsets.
    part OffsetFetchResponseGroup<'a> {
        /// The group.
        group_id: &'a str, 8..;
        /// The topics.
        topics: Vec<OffsetFetchResponseTopics<'a>>, 8..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 8..;
    }

    /// A topic's offsets, from version 8.
    part OffsetFetchResponseTopics<'a> {
        /// The topic.
        name: &'a str, 8..=9;
        /// The topic's id.
        topic_id: TopicId, 10..;
        /// The partitions.
        partitions: Vec<OffsetFetchResponsePartitions<'a>>, 8..;
    }

    /// A partition's offset, from version 8.
    part OffsetFetchResponsePartitions<'a> {
        /// The partition.
        partition_index: PartitionIndex, 8..;
        /// The offset of the next record to read.
        committed_offset: Offset, 8..;
        /// The leader epoch of the last record read, or -1.
        committed_leader_epoch: LeaderEpoch = LeaderEpoch::UNKNOWN, 8..;
        /// Free text beside the offset.
        metadata: Option<&'a str>, 8..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 8..;
    }
}
