//! What became of batches.

use ids::Offset;
use std::fmt;
use std::sync::Arc;
use wire::ErrorCode;

/// Why a batch was not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The broker refused it.
    Refused(ErrorCode, Option<String>),
    /// It took longer than the delivery timeout; the last thing that went wrong. It may have been written.
    TimedOut(String),
    /// It could not be encoded.
    Build(record::BuildError),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(code, Some(m)) => write!(f, "{code}: {m}"),
            Self::Refused(code, None) => code.fmt(f),
            Self::TimedOut(why) => write!(f, "not acknowledged in time: {why}"),
            Self::Build(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for SendError {}

/// What became of one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// Which of the records that were sent to this partition is the batch's first, from 0 in the order of
    /// [`Producer::send`](super::Producer::send).
    pub first: u64,
    /// How many records the batch has.
    pub records: i32,
    /// Bytes of the batch.
    pub bytes: usize,
    /// The offset of its first record; -1 where the broker did not say (acks 0, or a duplicate that it had dropped).
    pub result: Result<Offset, SendError>,
}
