//! AlterReplicaLogDirs (key 34): moves replicas between a broker's log directories (KIP-113).

use crate::ErrorCode;
use ids::PartitionIndex;

schema! {
    /// What the caller asks.
    request AlterReplicaLogDirsRequest<'a> for AlterReplicaLogDirs {
        /// The directories to move to.
        dirs: Vec<AlterReplicaLogDir<'a>>, 0..;
    }

    /// A directory and what shall move there.
    part AlterReplicaLogDir<'a> {
        /// The directory.
        path: &'a str, 0..;
        /// The topics.
        topics: Vec<AlterReplicaLogDirTopic<'a>>, 0..;
    }

    /// A topic and its partitions.
    part AlterReplicaLogDirTopic<'a> {
        /// The topic.
        name: &'a str, 0..;
        /// The partitions.
        partitions: Vec<PartitionIndex>, 0..;
    }

    /// The answer.
    response AlterReplicaLogDirsResponse<'a> for AlterReplicaLogDirs {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// One answer for each thing asked.
        results: Vec<AlterReplicaLogDirTopicResult<'a>>, 0..;
    }

    /// What became of one topic.
    part AlterReplicaLogDirTopicResult<'a> {
        /// The topic.
        topic_name: &'a str, 0..;
        /// The partitions.
        partitions: Vec<AlterReplicaLogDirPartitionResult>, 0..;
    }

    /// What became of one partition.
    part AlterReplicaLogDirPartitionResult {
        /// The partition.
        partition_index: PartitionIndex, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
    }
}
