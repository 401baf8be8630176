//! ElectLeaders (key 43): elects the preferred leader, or any leader at all (KIP-183, KIP-460).

use crate::ErrorCode;
use ids::PartitionIndex;

schema! {
    /// What the caller asks.
    request ElectLeadersRequest<'a> for ElectLeaders {
        /// 0 the preferred leader, 1 any replica even if records are lost.
        election_type: i8, 1..;
        /// The partitions concerned; `None`: all.
        topic_partitions: Option<Vec<TopicPartitions<'a>>>, 0..;
        /// How long the broker may take.
        timeout_ms: i32 = 60000, 0..;
    }

    /// A topic and its partitions.
    part TopicPartitions<'a> {
        /// The topic.
        topic: &'a str, 0..;
        /// The partitions.
        partitions: Vec<PartitionIndex>, 0..;
    }

    /// The answer.
    response ElectLeadersResponse<'a> for ElectLeaders {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 1..;
        /// One answer for each topic.
        replica_election_results: Vec<ReplicaElectionResult<'a>>, 0..;
    }

    /// What became of one topic.
    part ReplicaElectionResult<'a> {
        /// The topic.
        topic: &'a str, 0..;
        /// One answer for each partition.
        partition_result: Vec<PartitionResult<'a>>, 0..;
    }

    /// What became of one partition.
    part PartitionResult<'a> {
        /// The partition.
        partition_id: PartitionIndex, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 0..;
    }
}
