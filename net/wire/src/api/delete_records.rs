//! DeleteRecords (key 21): moves the log's start up and so drops what is before (KIP-107).

use crate::ErrorCode;
use ids::{Offset, PartitionIndex};

schema! {
    /// What the caller asks.
    request DeleteRecordsRequest<'a> for DeleteRecords {
        /// The topics.
        topics: Vec<DeleteRecordsTopic<'a>>, 0..;
        /// How long the broker may take.
        timeout_ms: i32, 0..;
    }

    /// A topic and its partitions.
    part DeleteRecordsTopic<'a> {
        /// The topic.
        name: &'a str, 0..;
        /// The partitions.
        partitions: Vec<DeleteRecordsPartition>, 0..;
    }

    /// A partition and its new start.
    part DeleteRecordsPartition {
        /// The partition.
        partition_index: PartitionIndex, 0..;
        /// Everything below goes; -1: everything up to the high watermark.
        offset: Offset, 0..;
    }

    /// The answer.
    response DeleteRecordsResponse<'a> for DeleteRecords {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// The topics.
        topics: Vec<DeleteRecordsTopicResult<'a>>, 0..;
    }

    /// What became of one topic.
    part DeleteRecordsTopicResult<'a> {
        /// The topic.
        name: &'a str, 0..;
        /// The partitions.
        partitions: Vec<DeleteRecordsPartitionResult>, 0..;
    }

    /// What became of one partition.
    part DeleteRecordsPartitionResult {
        /// The partition.
        partition_index: PartitionIndex, 0..;
        /// The first offset of the log on all replicas, or -1.
        low_watermark: Offset, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
    }
}
