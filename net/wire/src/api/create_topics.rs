//! CreateTopics (key 19): creates topics (KIP-4, KIP-464, KIP-525).

use crate::ErrorCode;
use ids::{BrokerId, PartitionIndex, TopicId};

schema! {
    /// What the caller asks.
    request CreateTopicsRequest<'a> for CreateTopics {
        /// The topics.
        topics: Vec<CreatableTopic<'a>>, 0..;
        /// How long to wait until the topics exist; 0 or less: do not wait.
        timeout_ms: i32 = 60000, 0..;
        /// Whether to check everything and change nothing.
        validate_only: bool, 0..;
    }

    /// A topic to create.
    part CreatableTopic<'a> {
        /// The topic.
        name: &'a str, 0..;
        /// How many partitions; -1: the broker's default, or as many as `assignments`.
        num_partitions: i32, 0..;
        /// How many replicas; -1: the broker's default, or as `assignments` say.
        replication_factor: i16, 0..;
        /// The replicas, partition by partition; empty: the broker chooses.
        assignments: Vec<CreatableReplicaAssignment>, 0..;
        /// Configuration of the new topic.
        configs: Vec<CreatableTopicConfig<'a>>, 0..;
    }

    /// The replicas of one partition.
    part CreatableReplicaAssignment {
        /// The partition.
        partition_index: PartitionIndex, 0..;
        /// The brokers that hold the partition, the preferred leader first.
        broker_ids: Vec<BrokerId>, 0..;
    }

    /// A configuration key of the new topic.
    part CreatableTopicConfig<'a> {
        /// The key.
        name: &'a str, 0..;
        /// The value; `None`: none, or secret.
        value: Option<&'a str>, 0..;
    }

    /// The answer.
    response CreateTopicsResponse<'a> for CreateTopics {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// The topics.
        topics: Vec<CreatableTopicResult<'a>>, 0..;
    }

    /// What became of one topic.
    part CreatableTopicResult<'a> {
        /// The topic.
        name: &'a str, 0..;
        /// The topic's id.
        topic_id: TopicId, 7..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 0..;
        /// How many partitions.
        num_partitions: i32 = -1, 5..;
        /// How many replicas.
        replication_factor: i16 = -1, 5..;
        /// The new topic's whole configuration.
        configs: Option<Vec<CreatableTopicConfigs<'a>>>, 5..;
        /// Why `configs` is missing, if it is.
        topic_config_error_code: ErrorCode, 5.., tag 0;
    }

    /// A configuration key of the new topic, in force.
    part CreatableTopicConfigs<'a> {
        /// The key.
        name: &'a str, 5..;
        /// The value; `None`: none, or secret.
        value: Option<&'a str>, 5..;
        /// Whether the value cannot be changed at run time.
        read_only: bool, 5..;
        /// Where the value comes from: 1 topic, 2 broker, 3 all brokers, 4 static, 5 default, 6 logger, 7
        /// client metrics, 8 group.
        config_source: i8 = -1, 5..;
        /// Whether the value is secret; it is then not told.
        is_sensitive: bool, 5..;
    }
}
