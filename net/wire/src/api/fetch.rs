//! Fetch (key 1): reads record batches; followers replicate with it too (KIP-74, KIP-227, KIP-392, KIP-516, KIP-951).

use crate::{ErrorCode, Records};
use ids::{BrokerId, LeaderEpoch, Offset, PartitionIndex, ProducerId, TopicId};

schema! {
    /// What the caller asks.
    request FetchRequest<'a> for Fetch {
        /// The follower, or -1 for a consumer.
        replica_id: BrokerId = BrokerId::NONE, 0..=14;
        /// How long to wait for `min_bytes`.
        max_wait_ms: i32, 0..;
        /// Wait until so many bytes of records are there, or `max_wait_ms` is over.
        min_bytes: i32, 0..;
        /// The most bytes of records in the whole answer; the first batch comes whole even so.
        max_bytes: i32 = i32::MAX, 0..;
        /// 0 everything below the high watermark, 1 only what committed transactions left.
        isolation_level: i8, 0..;
        /// The fetch session, or 0 (KIP-227).
        session_id: i32, 7..;
        /// The session's epoch: -1 no session, 0 a new one, else one more than in the last request.
        session_epoch: i32 = -1, 7..;
        /// The topics.
        topics: Vec<FetchTopic<'a>>, 0..;
        /// Partitions to drop from the fetch session.
        forgotten_topics_data: Vec<ForgottenTopic<'a>>, 7..;
        /// The client's rack.
        rack_id: &'a str, 11..;
        /// The cluster that the fetcher believes to be in.
        cluster_id: Option<&'a str>, 12.., tag 0;
        /// Who fetches.
        replica_state: ReplicaState, 15.., tag 1;
    }

    /// A topic to read.
    part FetchTopic<'a> {
        /// The topic.
        topic: &'a str, 0..=12;
        /// The topic's id.
        topic_id: TopicId, 13..;
        /// The partitions.
        partitions: Vec<FetchPartition>, 0..;
    }

    /// A partition to read.
    part FetchPartition {
        /// The partition.
        partition: PartitionIndex, 0..;
        /// The leader epoch that the client knows; -1: do not compare.
        current_leader_epoch: LeaderEpoch = LeaderEpoch::UNKNOWN, 9..;
        /// The first offset wanted.
        fetch_offset: Offset, 0..;
        /// The leader epoch of the follower's last record, or -1.
        last_fetched_epoch: LeaderEpoch = LeaderEpoch::UNKNOWN, 12..;
        /// The first offset of the follower's log; -1 from a consumer.
        log_start_offset: Offset = Offset::NONE, 5..;
        /// The most bytes of records from this partition; see `max_bytes` about the first batch.
        partition_max_bytes: i32, 0..;
        /// The id of the replica's directory, or zeros (KIP-853).
        replica_directory_id: [u8; 16], 17.., tag 0;
        /// The high watermark that the follower knows.
        high_watermark: Offset = Offset(i64::MAX), 18.., tag 1;
    }

    /// A topic to drop from the session.
    part ForgottenTopic<'a> {
        /// The topic.
        topic: &'a str, 7..=12;
        /// The topic's id.
        topic_id: TopicId, 13..;
        /// The partitions.
        partitions: Vec<PartitionIndex>, 7..;
    }

    /// A replica.
    part ReplicaState {
        /// The replica, or -1 for a consumer.
        replica_id: BrokerId = BrokerId::NONE, 15..;
        /// The follower's broker epoch, or -1.
        replica_epoch: i64 = -1, 15..;
    }

    /// The answer.
    response FetchResponse<'a> for Fetch {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 7..;
        /// The fetch session, or 0 (KIP-227).
        session_id: i32, 7..;
        /// One answer for each thing asked.
        responses: Vec<FetchableTopicResponse<'a>>, 0..;
        /// Addresses of the leaders named above.
        node_endpoints: Vec<NodeEndpoint<'a>>, 16.., tag 0;
    }

    /// Records of one topic.
    part FetchableTopicResponse<'a> {
        /// The topic.
        topic: &'a str, 0..=12;
        /// The topic's id.
        topic_id: TopicId, 13..;
        /// The partitions.
        partitions: Vec<PartitionData<'a>>, 0..;
    }

    /// A partition.
    part PartitionData<'a> {
        /// The partition.
        partition_index: PartitionIndex, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// Records below this offset are committed.
        high_watermark: Offset, 0..;
        /// Below this offset no transaction is open; -1: not known.
        last_stable_offset: Offset = Offset::NONE, 0..;
        /// The first offset of the log, or -1.
        log_start_offset: Offset = Offset::NONE, 5..;
        /// Aborted transactions among the records, for readers of committed data; `None` for the others.
        aborted_transactions: Option<Vec<AbortedTransaction>>, 0..;
        /// The replica that the consumer should read from instead, or -1 (KIP-392).
        preferred_read_replica: BrokerId = BrokerId::NONE, 11..;
        /// The record batches.
        records: Records<'a>, 0..;
        /// Where the follower's log left the leader's; it has to truncate.
        diverging_epoch: EpochEndOffset, 12.., tag 0;
        /// The leader, as far as the broker knows, beside an error that says it is another one.
        current_leader: LeaderIdAndEpoch, 12.., tag 1;
        /// The snapshot to fetch instead of records before the log's start.
        snapshot_id: SnapshotId, 12.., tag 2;
    }

    /// A transaction whose records a reader of committed data skips.
    part AbortedTransaction {
        /// The producer, or -1.
        producer_id: ProducerId, 0..;
        /// Where the transaction begins in this partition.
        first_offset: Offset, 0..;
    }

    /// An epoch and where it ends.
    part EpochEndOffset {
        /// The largest epoch both sides know.
        epoch: LeaderEpoch = LeaderEpoch::UNKNOWN, 12..;
        /// Where the epoch ends: the first offset after it.
        end_offset: Offset = Offset::NONE, 12..;
    }

    /// A leader and its epoch.
    part LeaderIdAndEpoch {
        /// The leader, or -1.
        leader_id: BrokerId = BrokerId::NONE, 12..;
        /// The leader's epoch, or -1.
        leader_epoch: LeaderEpoch = LeaderEpoch::UNKNOWN, 12..;
    }

    /// A snapshot of the metadata log.
    part SnapshotId {
        /// The snapshot's end.
        end_offset: Offset = Offset::NONE, 0..;
        /// The snapshot's epoch.
        epoch: i32 = -1, 0..;
    }

    /// A broker's address.
    part NodeEndpoint<'a> {
        /// The broker.
        node_id: BrokerId, 16..;
        /// The host's name or address.
        host: &'a str, 16..;
        /// The port.
        port: i32, 16..;
        /// The broker's rack.
        rack: Option<&'a str>, 16..;
    }
}
