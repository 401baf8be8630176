//! Why the store refuses.

use log::AppendError;
use std::fmt;

/// Why the store refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The store does not know the partition.
    UnknownPartition,
    /// The log's own reason.
    Append(AppendError),
    /// The batch is larger than a commit can be.
    TooLarge {
        /// The largest batch in bytes.
        max: usize,
    },
    /// Acknowledged records of this partition are missing; it takes no more until the loss is accepted.
    Incomplete(String),
    /// The disk is full: how many bytes are free.
    DiskFull {
        /// Free bytes on the file system of the data directory.
        free: u64,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPartition => f.write_str("the partition is not here"),
            Self::Append(e) => write!(f, "{e:?}"),
            Self::TooLarge { max } => write!(f, "the batch is larger than {max} bytes"),
            Self::Incomplete(why) => write!(f, "acknowledged records are missing: {why}"),
            Self::DiskFull { free } => write!(f, "the disk is full: {free} bytes are free"),
        }
    }
}
