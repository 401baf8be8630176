//! ListPartitionReassignments (key 46): the moves in progress (KIP-455).

use crate::ErrorCode;
use ids::{BrokerId, PartitionIndex};

schema! {
    /// What the caller asks.
    request ListPartitionReassignmentsRequest<'a> for ListPartitionReassignments {
        /// How long the broker may take.
        timeout_ms: i32 = 60000, 0..;
        /// The topics wanted; `None`: all.
        topics: Option<Vec<ListPartitionReassignmentsTopics<'a>>>, 0..;
    }

    /// A topic and its partitions.
    part ListPartitionReassignmentsTopics<'a> {
        /// The topic.
        name: &'a str, 0..;
        /// The partitions.
        partition_indexes: Vec<PartitionIndex>, 0..;
    }

    /// The answer.
    response ListPartitionReassignmentsResponse<'a> for ListPartitionReassignments {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 0..;
        /// The topics.
        topics: Vec<OngoingTopicReassignment<'a>>, 0..;
    }

    /// A topic on the move.
    part OngoingTopicReassignment<'a> {
        /// The topic.
        name: &'a str, 0..;
        /// The partitions.
        partitions: Vec<OngoingPartitionReassignment>, 0..;
    }

    /// A partition on the move.
    part OngoingPartitionReassignment {
        /// The partition.
        partition_index: PartitionIndex, 0..;
        /// The replicas.
        replicas: Vec<BrokerId>, 0..;
        /// Replicas on their way in.
        adding_replicas: Vec<BrokerId>, 0..;
        /// Replicas on their way out.
        removing_replicas: Vec<BrokerId>, 0..;
    }
}
