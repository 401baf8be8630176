//! DescribeQuorum (key 55): leader, voters and observers of the metadata quorum (KIP-595, KIP-836, KIP-853).

use crate::ErrorCode;
use ids::{BrokerId, LeaderEpoch, Offset, PartitionIndex};

schema! {
    /// What the caller asks.
    request DescribeQuorumRequest<'a> for DescribeQuorum {
        /// The topics.
        topics: Vec<QuorumTopicRequest<'a>>, 0..;
    }

    /// A topic to describe.
    part QuorumTopicRequest<'a> {
        /// The topic.
        topic_name: &'a str, 0..;
        /// The partitions.
        partitions: Vec<QuorumPartitionRequest>, 0..;
    }

    /// A partition to describe.
    part QuorumPartitionRequest {
        /// The partition.
        partition_index: PartitionIndex, 0..;
    }

    /// The answer.
    response DescribeQuorumResponse<'a> for DescribeQuorum {
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 2..;
        /// The topics.
        topics: Vec<QuorumTopic<'a>>, 0..;
        /// The quorum's nodes.
        nodes: Vec<Node<'a>>, 2..;
    }

    /// A topic.
    part QuorumTopic<'a> {
        /// The topic.
        topic_name: &'a str, 0..;
        /// The partitions.
        partitions: Vec<QuorumPartition<'a>>, 0..;
    }

    /// A partition's quorum.
    part QuorumPartition<'a> {
        /// The partition.
        partition_index: PartitionIndex, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 2..;
        /// The leader, or -1.
        leader_id: BrokerId, 0..;
        /// The leader's epoch, or -1.
        leader_epoch: LeaderEpoch, 0..;
        /// Records below this offset are committed.
        high_watermark: Offset, 0..;
        /// The voters.
        current_voters: Vec<ReplicaState>, 0..;
        /// Replicas that do not vote.
        observers: Vec<ReplicaState>, 0..;
    }

    /// A replica.
    part ReplicaState {
        /// The replica, or -1 for a consumer.
        replica_id: BrokerId, 0..;
        /// The id of the replica's directory, or zeros (KIP-853).
        replica_directory_id: [u8; 16], 2..;
        /// The offset after the replica's last record.
        log_end_offset: Offset, 0..;
        /// When the replica last fetched, in milliseconds; -1: unknown.
        last_fetch_timestamp: i64 = -1, 1..;
        /// When the replica last had everything, in milliseconds; -1: unknown.
        last_caught_up_timestamp: i64 = -1, 1..;
    }

    /// A node of the quorum.
    part Node<'a> {
        /// The broker.
        node_id: BrokerId, 2..;
        /// Where the node listens.
        listeners: Vec<Listener<'a>>, 2..;
    }

    /// An address of a node.
    part Listener<'a> {
        /// The listener.
        name: &'a str, 2..;
        /// The host's name or address.
        host: &'a str, 2..;
        /// The port.
        port: u16, 2..;
    }
}
