//! What a producer's bytes must be before they may enter a log.
//!
//! Kafka's order of checks is kept, because clients act on the first that fails: one whole batch, format 2, base offset 0,
//! size (a client splits the batch and sends again), checksum, count, flags, sequence, codec; then, record by record, offsets,
//! keys and timestamps.
//!
//! Two deviations. Kafka rewrites a batch whose inner offset deltas have gaps; we refuse it ([`Invalid::OffsetDelta`]), because
//! no maintained client sends one and a batch's bytes are stored as they came. Kafka silently corrects a wrong max
//! timestamp; here the caller decides: [`Invalid::MaxTimestamp`] names the true one, and
//! [`crate::rewrite_max_timestamp`] writes it.

use crate::builder::write_batch;
use crate::{
    BatchError, BatchHeader, BatchView, BuildError, Codec, Compressor, DecompressError,
    Decompressor, RecordError, TimestampType,
};
use ids::{Offset, Timestamp};
use std::fmt;

/// Bytes that a batch may decompress to by default: as much as the largest request could have carried uncompressed
/// (`socket.request.max.bytes`, 100 MiB).
pub const DECOMPRESSED_BYTES_MAX: usize = 100 << 20;

/// How far a batch is looked into.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Depth {
    /// The header and the checksum. The header's max timestamp is believed: a client that lies about it can pin a segment
    /// past its retention, or hide records from a search by time.
    Header,
    /// Every record as well, decompressed if need be.
    #[default]
    Records,
}

/// The times that records may carry (`message.timestamp.before.max.ms` and `message.timestamp.after.max.ms` around now).
/// A record without a timestamp is always allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimestampRange {
    /// The earliest that is allowed.
    pub earliest: Timestamp,
    /// The latest that is allowed.
    pub latest: Timestamp,
}

impl TimestampRange {
    /// The range around `now`; a bound of `i64::MAX` milliseconds is no bound.
    #[must_use]
    pub fn around(now: Timestamp, before_max_ms: i64, after_max_ms: i64) -> Self {
        Self {
            earliest: Timestamp(now.0.saturating_sub(before_max_ms)),
            latest: Timestamp(now.0.saturating_add(after_max_ms)),
        }
    }

    fn allows(&self, t: Timestamp) -> bool {
        t == Timestamp::NONE || (self.earliest <= t && t <= self.latest)
    }
}

/// What a topic asks of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The largest batch, in bytes as sent (`max.message.bytes`).
    pub batch_bytes_max: usize,
    /// The most that a batch may decompress to, in bytes.
    pub decompressed_bytes_max: usize,
    /// How far to look. At [`Depth::Header`] the two below judge what the header shows of them.
    pub depth: Depth,
    /// Every record needs a key (compacted topics). Seen at [`Depth::Records`] only.
    pub keys_required: bool,
    /// The times that records may carry; `None` where the broker sets the time.
    pub timestamps: Option<TimestampRange>,
    /// Control batches may come in; never true for a client.
    pub control_allowed: bool,
}

impl Default for Limits {
    /// Kafka's defaults: 1 MiB and 12 bytes a batch, no keys required; timestamps are not bounded, for want of a clock.
    fn default() -> Self {
        Self {
            batch_bytes_max: 1_048_588,
            decompressed_bytes_max: DECOMPRESSED_BYTES_MAX,
            depth: Depth::Records,
            keys_required: false,
            timestamps: None,
            control_allowed: false,
        }
    }
}

/// Why a batch may not enter a log. `record` is the record's place in its batch, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Invalid {
    /// Not a whole batch of format 2 (CORRUPT_MESSAGE, or INVALID_RECORD for [`BatchError::Magic`]).
    Batch(BatchError),
    /// More than one batch, or bytes behind it (INVALID_RECORD).
    NotOneBatch {
        /// Bytes behind the first batch.
        extra: usize,
    },
    /// A client's batch starts at offset 0 (INVALID_RECORD).
    BaseOffset(Offset),
    /// Larger than the topic allows (MESSAGE_TOO_LARGE: the client splits it).
    TooLarge {
        /// Bytes of the batch.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The count is not positive or is not `last_offset_delta + 1` (INVALID_RECORD).
    Count {
        /// The count in the header.
        count: i32,
        /// The last offset delta in the header.
        last_offset_delta: i32,
    },
    /// A control batch from a client (INVALID_RECORD).
    Control,
    /// The broker's timestamp type from a client (INVALID_TIMESTAMP).
    LogAppendTime,
    /// An idempotent producer without epoch or sequence (INVALID_RECORD).
    Sequence {
        /// The producer's epoch in the header.
        epoch: i16,
        /// The base sequence in the header.
        base_sequence: i32,
    },
    /// A codec that Kafka does not define (UNSUPPORTED_COMPRESSION_TYPE).
    Codec(u8),
    /// The records do not decompress, or to too much (CORRUPT_MESSAGE; MESSAGE_TOO_LARGE when over the limit).
    Decompress(DecompressError),
    /// A record cannot be read, or the count and the records disagree (INVALID_RECORD).
    Record {
        /// Which record.
        record: i32,
        /// Why.
        why: RecordError,
    },
    /// Bytes are left behind the last record (INVALID_RECORD).
    BytesLeft(usize),
    /// An offset delta is not the record's place (INVALID_RECORD).
    OffsetDelta {
        /// Which record.
        record: i32,
        /// What it carries.
        delta: i32,
    },
    /// A record without key where keys are required (INVALID_RECORD).
    NoKey {
        /// Which record.
        record: i32,
    },
    /// A timestamp out of the allowed range (INVALID_TIMESTAMP).
    Timestamp {
        /// Which record; -1 for the header's max timestamp, at [`Depth::Header`].
        record: i32,
        /// What it carries.
        timestamp: Timestamp,
    },
    /// The header's max timestamp is not the records' (INVALID_RECORD, or rewrite it).
    MaxTimestamp {
        /// The header's.
        stated: Timestamp,
        /// The records'.
        actual: Timestamp,
    },
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch(e) => e.fmt(f),
            Self::NotOneBatch { extra } => write!(f, "{extra} bytes follow the first batch"),
            Self::BaseOffset(o) => write!(f, "base offset {o}, a producer's is 0"),
            Self::TooLarge { bytes, limit } => {
                write!(f, "a batch of {bytes} bytes, the topic's limit is {limit}")
            }
            Self::Count { count, last_offset_delta } => {
                write!(f, "record count {count} and last offset delta {last_offset_delta}")
            }
            Self::Control => f.write_str("a control batch from a client"),
            Self::LogAppendTime => f.write_str("timestamp type LogAppendTime from a client"),
            Self::Sequence { epoch, base_sequence } => {
                write!(f, "an idempotent producer with epoch {epoch}, sequence {base_sequence}")
            }
            Self::Codec(n) => write!(f, "unknown compression codec {n}"),
            Self::Decompress(e) => e.fmt(f),
            Self::Record { record, why } => write!(f, "record {record}: {why}"),
            Self::BytesLeft(n) => write!(f, "{n} bytes follow the last record"),
            Self::OffsetDelta { record, delta } => {
                write!(f, "record {record} has offset delta {delta}")
            }
            Self::NoKey { record } => {
                write!(f, "record {record} has no key, and a compacted topic needs one")
            }
            Self::Timestamp { record: -1, timestamp } => {
                write!(f, "max timestamp {timestamp} is out of the allowed range")
            }
            Self::Timestamp { record, timestamp } => {
                write!(f, "record {record} has timestamp {timestamp}, out of the allowed range")
            }
            Self::MaxTimestamp { stated, actual } => {
                write!(f, "max timestamp {stated} in the header, {actual} in the records")
            }
        }
    }
}

impl std::error::Error for Invalid {}

/// A batch that passed [`validate`]: exactly one batch, checksum right, fit for the log but without its place in it. `B` is
/// how its bytes are held: a slice of the frame, a vector that crosses cores.
#[derive(Clone, Copy, Debug)]
pub struct ValidBatch<B> {
    pub(crate) header: BatchHeader,
    pub(crate) bytes: B,
    depth: Depth,
}

impl<B: AsRef<[u8]>> ValidBatch<B> {
    /// The header's fields.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.as_ref()
    }

    /// The bytes, back from the proof.
    pub fn into_bytes(self) -> B {
        self.bytes
    }

    /// How far it was looked into.
    pub fn depth(&self) -> Depth {
        self.depth
    }

    /// The proof over owned bytes, to cross from the connection's core to the partition's.
    pub fn to_owned(&self) -> ValidBatch<Vec<u8>> {
        ValidBatch { header: self.header, bytes: self.bytes().to_vec(), depth: self.depth }
    }
}

/// Checks a producer's bytes for one partition: exactly one batch that keeps to `limits`.
///
/// Transactional batches pass; whether their transaction is open is for the log and the coordinator.
///
/// # Errors
/// The first thing wrong, in Kafka's order ([`Invalid`] names the protocol's error code of each).
pub fn validate<B: AsRef<[u8]>>(
    bytes: B,
    limits: &Limits,
    decompressor: &mut Decompressor,
) -> Result<ValidBatch<B>, Invalid> {
    let all = bytes.as_ref();
    let batch = BatchView::first(all).map_err(Invalid::Batch)?;
    let header = *batch.header();
    let extra = all.len() - batch.bytes().len();
    if extra > 0 {
        return Err(Invalid::NotOneBatch { extra });
    }
    if header.base_offset != Offset::ZERO {
        return Err(Invalid::BaseOffset(header.base_offset));
    }
    if all.len() > limits.batch_bytes_max {
        return Err(Invalid::TooLarge { bytes: all.len(), limit: limits.batch_bytes_max });
    }
    batch.check_crc().map_err(Invalid::Batch)?;
    check_header(&header, limits)?;
    match limits.depth {
        Depth::Header => {
            if let Some(range) = limits.timestamps
                && !range.allows(header.max_timestamp)
            {
                return Err(Invalid::Timestamp { record: -1, timestamp: header.max_timestamp });
            }
        }
        Depth::Records => check_records(&batch, limits, decompressor)?,
    }
    Ok(ValidBatch { header, bytes, depth: limits.depth })
}

fn check_header(header: &BatchHeader, limits: &Limits) -> Result<(), Invalid> {
    let BatchHeader { count, last_offset_delta, attributes, .. } = *header;
    if count <= 0 || last_offset_delta.checked_add(1) != Some(count) {
        return Err(Invalid::Count { count, last_offset_delta });
    }
    if attributes.is_control() && !limits.control_allowed {
        return Err(Invalid::Control);
    }
    if attributes.timestamp_type() == TimestampType::LogAppendTime {
        return Err(Invalid::LogAppendTime);
    }
    // A marker belongs to a producer and has no sequence of its own.
    if header.producer_id.0 >= 0
        && !attributes.is_control()
        && (header.base_sequence < 0 || header.producer_epoch.0 < 0)
    {
        return Err(Invalid::Sequence {
            epoch: header.producer_epoch.0,
            base_sequence: header.base_sequence,
        });
    }
    attributes.codec().map_err(|e| Invalid::Codec(e.0))?;
    Ok(())
}

fn check_records(
    batch: &BatchView<'_>,
    limits: &Limits,
    decompressor: &mut Decompressor,
) -> Result<(), Invalid> {
    let header = batch.header();
    let mut records =
        batch.records_with(decompressor, limits.decompressed_bytes_max).map_err(|e| match e {
            BatchError::Decompress(e) => Invalid::Decompress(e),
            BatchError::Codec(e) => Invalid::Codec(e.0),
            e @ (BatchError::Partial { .. }
            | BatchError::Length(_)
            | BatchError::Magic(_)
            | BatchError::Crc { .. }
            | BatchError::Compressed(_)
            | BatchError::Count(_)) => Invalid::Batch(e),
        })?;
    let mut max = None;
    for (place, record) in (0..).zip(records.by_ref()) {
        let record = record.map_err(|why| Invalid::Record { record: place, why })?;
        if record.offset_delta != place {
            return Err(Invalid::OffsetDelta { record: place, delta: record.offset_delta });
        }
        if limits.keys_required && record.key.is_none() {
            return Err(Invalid::NoKey { record: place });
        }
        let timestamp = header.timestamp_of(record.timestamp_delta);
        if let Some(range) = limits.timestamps
            && !range.allows(timestamp)
        {
            return Err(Invalid::Timestamp { record: place, timestamp });
        }
        max = max.max(Some(timestamp));
    }
    if records.bytes_left() > 0 {
        return Err(Invalid::BytesLeft(records.bytes_left()));
    }
    let actual = max.unwrap_or(Timestamp::NONE);
    if actual != header.max_timestamp {
        return Err(Invalid::MaxTimestamp { stated: header.max_timestamp, actual });
    }
    Ok(())
}

/// The same records under another codec (`compression.type` other than `producer`), as a new batch. Header fields stay, except
/// codec, length and CRC. The new batch may be larger than the old: check its size again.
///
/// # Errors
/// The batch does not decompress ([`Invalid`]), or the new codec fails.
pub fn recode(
    batch: &BatchView<'_>,
    codec: Codec,
    level: Option<i32>,
    bytes_max: usize,
    decompressor: &mut Decompressor,
    compressor: &mut Compressor,
) -> Result<Vec<u8>, RecodeError> {
    let header = *batch.header();
    let from = batch.codec().map_err(RecodeError::Batch)?;
    let section = if from == Codec::None {
        batch.records_section()
    } else {
        decompressor
            .decompress(from, batch.records_section(), bytes_max)
            .map_err(|e| RecodeError::Batch(BatchError::Decompress(e)))?
    };
    let header = BatchHeader { attributes: header.attributes.with_codec(codec), ..header };
    let mut out = Vec::new();
    write_batch(&header, section, codec, level, compressor, &mut out)
        .map_err(RecodeError::Build)?;
    Ok(out)
}

/// Why a batch could not be brought under another codec.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecodeError {
    /// The old one cannot be read.
    Batch(BatchError),
    /// The new one cannot be written.
    Build(BuildError),
}

impl fmt::Display for RecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch(e) => e.fmt(f),
            Self::Build(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for RecodeError {}

#[cfg(test)]
mod tests;
