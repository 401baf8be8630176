//! Record batch v2 (KIP-98), as bytes.
//!
//! The broker never turns a client's records into objects: it looks at the 61-byte header, checks, patches two fields that
//! the checksum does not cover, and stores the bytes. Everything here works on slices.
//!
//! ```text
//!  bytes from a client --validate--> ValidBatch --place--> PlacedBatch          (produce)
//!  bytes of a log      --Batches---> BatchView --records--> RecordIter --> Record (read)
//!  records             --BatchBuilder--> bytes                                   (clients, coordinators)
//!  BatchView           --compact--> the records that stay, as bytes               (log compaction)
//! ```
//!
//! Whoever holds a [`ValidBatch`] does not check the CRC again. Nothing here panics on hostile bytes, and nothing allocates
//! more than the limit it is given: only [`Decompressor`] allocates on behalf of input at all.
#![forbid(unsafe_code)]

mod batch;
mod builder;
mod codec;
mod compact;
pub mod compression;
mod control;
mod header;
mod place;
mod records;
mod search;
mod validate;
pub mod varint;

pub use batch::{BatchError, BatchView, Batches};
pub use builder::{BatchBuilder, BuildError};
pub use codec::{Codec, UnknownCodec};
pub use compact::{CompactError, CompactOutcome, CompactRules, compact, compact_control, each_key};
pub use compression::{CompressError, Compressor, DecompressError, Decompressor};
pub use control::{ControlRecord, EndTxn, end_txn_marker};
pub use header::{Attributes, BatchHeader, HEADER_LEN, LENGTH_PREFIX_LEN, MAGIC, TimestampType};
pub use place::{
    PlacedBatch, patch_base_offset, patch_leader_epoch, rewrite_log_append_time,
    rewrite_max_timestamp,
};
pub use records::{Header, Headers, Record, RecordError, RecordIter};
pub use search::{Found, SearchError, first_at_or_after, of_max_timestamp};
pub use validate::{
    DECOMPRESSED_BYTES_MAX, Depth, Invalid, Limits, RecodeError, TimestampRange, ValidBatch,
    recode, validate,
};
