//! The names and numbers that every floor speaks.
//!
//! Numbers have types so that an offset and a file position never meet. Everything here is `Copy`, has no I/O, and prints
//! the way a person would write it.
#![forbid(unsafe_code)]

mod instant;
mod offset;
mod partition;
mod producer;
mod topic_id;

pub use instant::{Instant, Timestamp};
pub use offset::{LeaderEpoch, Offset};
pub use partition::{BrokerId, CoreId, PartitionId, PartitionIndex};
pub use producer::{ProducerEpoch, ProducerId};
pub use topic_id::TopicId;
