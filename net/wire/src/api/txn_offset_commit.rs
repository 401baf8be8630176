//! TxnOffsetCommit (key 28): stores a group's offsets as part of a transaction (KIP-98, KIP-447).

use crate::ErrorCode;
use ids::{LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId};

schema! {
    /// What the caller asks.
    request TxnOffsetCommitRequest<'a> for TxnOffsetCommit {
        /// The transactional id.
        transactional_id: &'a str, 0..;
        /// The group.
        group_id: &'a str, 0..;
        /// The producer, or -1.
        producer_id: ProducerId, 0..;
        /// The producer's epoch, or -1.
        producer_epoch: ProducerEpoch, 0..;
        /// The group's generation.
        generation_id: i32 = -1, 3..;
        /// The member.
        member_id: &'a str, 3..;
        /// The member's fixed name, of a static member (KIP-345).
        group_instance_id: Option<&'a str>, 3..;
        /// The topics.
        topics: Vec<TxnOffsetCommitRequestTopic<'a>>, 0..;
    }

    /// A topic and its offsets.
    part TxnOffsetCommitRequestTopic<'a> {
        /// The topic.
        name: &'a str, 0..;
        /// The partitions.
        partitions: Vec<TxnOffsetCommitRequestPartition<'a>>, 0..;
    }

    /// A partition's offset.
    part TxnOffsetCommitRequestPartition<'a> {
        /// The partition.
        partition_index: PartitionIndex, 0..;
        /// The offset of the next record to read.
        committed_offset: Offset, 0..;
        /// The leader epoch of the last record read, or -1.
        committed_leader_epoch: LeaderEpoch = LeaderEpoch::UNKNOWN, 2..;
        /// Free text beside the offset.
        committed_metadata: Option<&'a str>, 0..;
    }

    /// The answer.
    response TxnOffsetCommitResponse<'a> for TxnOffsetCommit {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// The topics.
        topics: Vec<TxnOffsetCommitResponseTopic<'a>>, 0..;
    }

    /// What became of one topic.
    part TxnOffsetCommitResponseTopic<'a> {
        /// The topic.
        name: &'a str, 0..;
        /// The partitions.
        partitions: Vec<TxnOffsetCommitResponsePartition>, 0..;
    }

    /// What became of one partition.
    part TxnOffsetCommitResponsePartition {
        /// The partition.
        partition_index: PartitionIndex, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
    }
}
