//! DescribeLogDirs (key 35): what lies in a broker's log directories (KIP-113, KIP-827).

use crate::ErrorCode;
use ids::PartitionIndex;

schema! {
    /// What the caller asks.
    request DescribeLogDirsRequest<'a> for DescribeLogDirs {
        /// The topics wanted; `None`: all.
        topics: Option<Vec<DescribableLogDirTopic<'a>>>, 0..;
    }

    /// A topic and its partitions.
    part DescribableLogDirTopic<'a> {
        /// The topic.
        topic: &'a str, 0..;
        /// The partitions.
        partitions: Vec<PartitionIndex>, 0..;
    }

    /// The answer.
    response DescribeLogDirsResponse<'a> for DescribeLogDirs {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 3..;
        /// One answer for each thing asked.
        results: Vec<DescribeLogDirsResult<'a>>, 0..;
    }

    /// A log directory.
    part DescribeLogDirsResult<'a> {
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// The directory's path.
        log_dir: &'a str, 0..;
        /// The topics.
        topics: Vec<DescribeLogDirsTopic<'a>>, 0..;
        /// Size of the volume, or -1.
        total_bytes: i64 = -1, 4..;
        /// Bytes free on the volume, or -1.
        usable_bytes: i64 = -1, 4..;
        /// Whether the directory takes no new partitions (KIP-1066).
        is_cordoned: bool, 5..;
    }

    /// A topic in a directory.
    part DescribeLogDirsTopic<'a> {
        /// The topic.
        name: &'a str, 0..;
        /// The partitions.
        partitions: Vec<DescribeLogDirsPartition>, 0..;
    }

    /// A replica in a directory.
    part DescribeLogDirsPartition {
        /// The partition.
        partition_index: PartitionIndex, 0..;
        /// Bytes of the log's segments.
        partition_size: i64, 0..;
        /// How far the log's end is behind the high watermark, or a future copy behind the present one.
        offset_lag: i64, 0..;
        /// Whether this is the copy that will replace the present one.
        is_future_key: bool, 0..;
    }
}
