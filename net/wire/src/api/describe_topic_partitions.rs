//! DescribeTopicPartitions (key 75): topics and their partitions page by page (KIP-966).

use crate::ErrorCode;
use ids::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};

schema! {
    /// What the caller asks.
    request DescribeTopicPartitionsRequest<'a> for DescribeTopicPartitions {
        /// The topics.
        topics: Vec<TopicRequest<'a>>, 0..;
        /// The most partitions on a page.
        response_partition_limit: i32 = 2000, 0..;
        /// Where to go on; `None`: at the beginning.
        cursor: Option<Cursor<'a>>, 0..;
    }

    /// A topic to describe.
    part TopicRequest<'a> {
        /// The topic.
        name: &'a str, 0..;
    }

    /// A place between two pages.
    part Cursor<'a> {
        /// The topic.
        topic_name: &'a str, 0..;
        /// The partition.
        partition_index: PartitionIndex, 0..;
    }

    /// The answer.
    response DescribeTopicPartitionsResponse<'a> for DescribeTopicPartitions {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// The topics.
        topics: Vec<DescribeTopicPartitionsResponseTopic<'a>>, 0..;
        /// Where the next page starts; `None`: this was the last one.
        next_cursor: Option<Cursor<'a>>, 0..;
    }

    /// A topic.
    part DescribeTopicPartitionsResponseTopic<'a> {
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// The topic.
        name: Option<&'a str>, 0..;
        /// The topic's id.
        topic_id: TopicId, 0..;
        /// Whether the topic is Kafka's own.
        is_internal: bool, 0..;
        /// The partitions.
        partitions: Vec<DescribeTopicPartitionsResponsePartition>, 0..;
        /// What the caller may do to the topic, one bit an operation; `i32::MIN` when not asked for.
        topic_authorized_operations: i32 = i32::MIN, 0..;
    }

    /// A partition.
    part DescribeTopicPartitionsResponsePartition {
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// The partition.
        partition_index: PartitionIndex, 0..;
        /// The leader, or -1.
        leader_id: BrokerId, 0..;
        /// The leader's epoch, or -1.
        leader_epoch: LeaderEpoch = LeaderEpoch::UNKNOWN, 0..;
        /// The replicas, the preferred leader first.
        replica_nodes: Vec<BrokerId>, 0..;
        /// The replicas in sync.
        isr_nodes: Vec<BrokerId>, 0..;
        /// Replicas that may lead although they left the in-sync set (KIP-966).
        eligible_leader_replicas: Option<Vec<BrokerId>>, 0..;
        /// Eligible replicas that were last known when none was left (KIP-966).
        last_known_elr: Option<Vec<BrokerId>>, 0..;
        /// Replicas that cannot serve.
        offline_replicas: Vec<BrokerId>, 0..;
    }
}
