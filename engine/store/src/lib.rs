//! Carries out the log's effects on disk: ring, segments, rest log, manifest.
//!
//! ```text
//! append -> ring (all partitions of the core, flushed before the ack)  -> segments   whole blocks, each written once
//!                                                                      -> rest log   what does not fill a block yet
//! manifest: the state of every partition after the last checkpoint, and where replay of the ring begins
//! ```
//! **The rule of safety: bytes leave the ring only when a segment or the rest log holds them durably; a segment block is
//! written once.** So there is no read-modify-write, no torn live block, and never two writes in flight over one block.
//!
//! | file | what |
//! |---|---|
//! | `store.rs`, `store/` | what the shard asks: append, log start, delete |
//! | `admission.rs` | who waits for room, in line, and who comes next |
//! | `data_dir.rs` | the lock and the layout, shared between the cores |
//! | `journal.rs` | group commit |
//! | `ring.rs`, `scan.rs` | places in the ring; its chain of commits (pure) |
//! | `tail.rs` | the end of a log in memory |
//! | `segment_files.rs` | the segments' files of one partition |
//! | `truncate.rs` | a log is cut back |
//! | `writer.rs` | blocks to segments |
//! | `checkpoint.rs` | segments, rest log, manifest, then the ring's start |
//! | `txn_index.rs` | which transactions were aborted |
//! | `compact.rs` | the newest record of each key stays |
//! | `reserve.rs` | space for checkpoints on a full disk |
//! | `rest_log.rs` | what is too short for a block: written by checkpoints, read from there |
//! | `reads.rs`, `open_files.rs` | tail and cold reads |
//! | `scrub.rs` | sealed segments are read again, slowly |
//! | `recovery.rs`, `replay.rs` | what a crash has left |
//! | `strays.rs` | files that a crash has left behind |
//! | `relayout.rs` | another number of cores, or rings of another size |
//! | `planted.rs` | bugs that the crash test must find |
//! | `inspect/` | a data directory that no broker uses: what is in it, and whether it is whole |
//! | `format/` | every byte on disk (pure) |
#![forbid(unsafe_code)]
// A line that cannot be written must stop nothing: `tell!`.
#![warn(clippy::print_stderr)]

mod admission;
mod checkpoint;
mod compact;
mod counters;
mod data_dir;
pub mod format;
pub mod inspect;
mod journal;
mod open_files;
mod partition;
mod paths;
mod planted;
mod reads;
mod recovery;
mod relayout;
mod replay;
mod reserve;
mod rest_log;
mod ring;
mod scan;
mod scrub;
mod segment_files;
mod shortage;
mod store;
mod strays;
mod tail;
mod truncate;
mod txn_index;
mod writer;

pub use crate::admission::Client;
pub use crate::compact::{CompactBudget, CompactFailure, CompactReport, EndedEarly};
pub use crate::counters::Counters;
pub use crate::data_dir::{DataDir, OpenError, SharedDir};
pub use crate::journal::{CommitTimes, JournalCounters};
pub use crate::partition::PartitionConfig;
pub use crate::paths::Paths;
#[cfg(feature = "planted")]
pub use crate::planted::{Planted, plant};
pub use crate::reads::{READ_BYTES_MAX, Read, ReadError};
pub use crate::recovery::{Report, open};
pub use crate::relayout::Relayout;
pub use crate::scrub::ScrubFinding;
pub use crate::store::{Config, Progress, Refusal, Store, Thresholds};
pub use crate::truncate::TruncateError;
