//! Metadata (key 3): brokers, controller, topics, partition leaders. Every client starts with it.

use crate::ErrorCode;
use ids::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};

schema! {
    /// What the caller asks.
    request MetadataRequest<'a> for Metadata {
        /// The topics wanted; `None`: all; in version 0 empty means all.
        topics: Option<Vec<MetadataRequestTopic<'a>>>, 0.., nullable 1..;
        /// Whether missing topics may be created, where the broker's configuration agrees.
        allow_auto_topic_creation: bool = true, 4..;
        /// Whether to say what the caller may do to the cluster.
        include_cluster_authorized_operations: bool, 8..=10;
        /// Whether to say what the caller may do to each topic.
        include_topic_authorized_operations: bool, 8..;
    }

    /// A topic wanted.
    part MetadataRequestTopic<'a> {
        /// The topic's id.
        topic_id: TopicId, 10..;
        /// The topic.
        name: Option<&'a str>, 0.., nullable 10..;
    }

    /// The answer.
    response MetadataResponse<'a> for Metadata {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 3..;
        /// The brokers, each with its address on the caller's listener.
        brokers: Vec<MetadataResponseBroker<'a>>, 0..;
        /// The cluster's id.
        cluster_id: Option<&'a str>, 2..;
        /// The controller, or a broker that forwards to it.
        controller_id: BrokerId = BrokerId::NONE, 1..;
        /// The topics.
        topics: Vec<MetadataResponseTopic<'a>>, 0..;
        /// What the caller may do to the cluster, one bit an operation; `i32::MIN` when not asked for.
        cluster_authorized_operations: i32 = i32::MIN, 8..=10;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 13..;
    }

    /// A broker.
    part MetadataResponseBroker<'a> {
        /// The broker.
        node_id: BrokerId, 0..;
        /// The host's name or address.
        host: &'a str, 0..;
        /// The port.
        port: i32, 0..;
        /// The broker's rack.
        rack: Option<&'a str>, 1..;
    }

    /// A topic.
    part MetadataResponseTopic<'a> {
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// The topic.
        name: Option<&'a str>, 0.., nullable 12..;
        /// The topic's id.
        topic_id: TopicId, 10..;
        /// Whether the topic is Kafka's own.
        is_internal: bool, 1..;
        /// The partitions.
        partitions: Vec<MetadataResponsePartition>, 0..;
        /// What the caller may do to the topic, one bit an operation; `i32::MIN` when not asked for.
        topic_authorized_operations: i32 = i32::MIN, 8..;
    }

    /// A partition.
    part MetadataResponsePartition {
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// The partition.
        partition_index: PartitionIndex, 0..;
        /// The leader, or -1.
        leader_id: BrokerId, 0..;
        /// The leader's epoch, or -1.
        leader_epoch: LeaderEpoch = LeaderEpoch::UNKNOWN, 7..;
        /// The replicas, the preferred leader first.
        replica_nodes: Vec<BrokerId>, 0..;
        /// The replicas in sync.
        isr_nodes: Vec<BrokerId>, 0..;
        /// Replicas that cannot serve.
        offline_replicas: Vec<BrokerId>, 5..;
    }
}
