//! One partition's log as a state machine.
//!
//! [`Log`] decides; it never touches a disk. A batch goes in with [`Log::append`] and comes out as a place: offset, segment,
//! position. Retention, truncation and the start of the log are decided here too. The store carries the decisions out, and
//! after a crash replays them from the journal into the same machine: [`Log::replay`] takes what was decided then without
//! asking again.
//!
//! | file | noun |
//! |---|---|
//! | `log.rs` | the machine: append, replay, truncate, log start |
//! | `segment.rs` | the files of the log, as numbers |
//! | `aborted.rs` | which transactions were aborted (KIP-98) |
//! | `index.rs` | where in a segment an offset or a time is found |
//! | `epochs.rs` | which leader epoch began at which offset (KIP-101) |
//! | `producers.rs` | idempotent producers: sequences and duplicates (KIP-98) |
//! | `producers/table.rs` | producers by their ids, in little memory |
//! | `short.rs` | lists that stay short on most partitions |
//! | `retention.rs` | which segments may go |
//! | `compact.rs` | what compaction may touch, and when it is worth it (KIP-58, KIP-354) |
//! | `compact/key_map.rs` | the newest offset of each key, in bounded memory |
//! | `entry.rs` | the whole state as bytes, for manifest and snapshot |
#![forbid(unsafe_code)]

mod aborted;
mod batch;
mod compact;
mod entry;
mod epochs;
mod index;
mod log;
mod producers;
mod retention;
mod segment;
mod short;

pub use crate::aborted::{Aborted, AbortedTxn};
pub use crate::batch::BatchMeta;
pub use crate::compact::{Candidate, Compaction, KeyMap, Mapped, sealed_below, takes_in};
pub use crate::entry::{Cursor, EntryError};
pub use crate::epochs::{EpochEnd, Epochs};
pub use crate::index::{Index, IndexEntry};
pub use crate::log::{AppendError, Appended, Config, Dropped, Log, Place, ReplayError};
pub use crate::producers::{Producer, Producers, SequenceError, WrittenBatch};
pub use crate::retention::Retention;
pub use crate::segment::{Segment, SegmentName};
