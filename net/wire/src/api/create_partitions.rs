//! CreatePartitions (key 37): adds partitions to topics (KIP-195).

use crate::ErrorCode;
use ids::BrokerId;

schema! {
    /// What the caller asks.
    request CreatePartitionsRequest<'a> for CreatePartitions {
        /// The topics.
        topics: Vec<CreatePartitionsTopic<'a>>, 0..;
        /// How long the broker may take.
        timeout_ms: i32, 0..;
        /// Whether to check everything and change nothing.
        validate_only: bool, 0..;
    }

    /// A topic that shall grow.
    part CreatePartitionsTopic<'a> {
        /// The topic.
        name: &'a str, 0..;
        /// How many partitions the topic shall have.
        count: i32, 0..;
        /// The replicas of the new partitions; `None`: the broker chooses.
        assignments: Option<Vec<CreatePartitionsAssignment>>, 0..;
    }

    /// The replicas of one new partition.
    part CreatePartitionsAssignment {
        /// The brokers that hold the partition, the preferred leader first.
        broker_ids: Vec<BrokerId>, 0..;
    }

    /// The answer.
    response CreatePartitionsResponse<'a> for CreatePartitions {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// One answer for each thing asked.
        results: Vec<CreatePartitionsTopicResult<'a>>, 0..;
    }

    /// What became of one topic.
    part CreatePartitionsTopicResult<'a> {
        /// The topic.
        name: &'a str, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 0..;
    }
}
