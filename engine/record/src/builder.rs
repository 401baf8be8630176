//! From records to a batch.

use crate::compression::{CompressError, Compressor};
use crate::header::{CRC_AT, CRC_FROM, LENGTH_AT};
use crate::{
    Attributes, BatchHeader, Codec, HEADER_LEN, Header, LENGTH_PREFIX_LEN, MAGIC, TimestampType,
    varint,
};
use ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use std::fmt;

/// Why a batch could not be built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BuildError {
    /// No record was pushed.
    Empty,
    /// The batch, one of its records or one of its fields does not fit the format's 31-bit lengths.
    TooLarge,
    /// A codec failed.
    Compress(CompressError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a batch needs a record"),
            Self::TooLarge => f.write_str("the batch does not fit 2 GiB"),
            Self::Compress(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for BuildError {}

impl From<CompressError> for BuildError {
    fn from(e: CompressError) -> Self {
        Self::Compress(e)
    }
}

/// Collects records and writes them as one batch. May be used for many batches: its settings stay, its records go.
///
/// ```
/// use ids::Timestamp;
/// use ringwood_record::{BatchBuilder, Batches};
/// let mut builder = BatchBuilder::new();
/// builder.push(Timestamp(1_000), Some(b"key"), Some(b"value"), &[]);
/// let bytes = builder.build().expect("one record");
/// let batch = Batches::new(&bytes).next().expect("one batch").expect("whole");
/// assert_eq!(batch.header().count, 1);
/// ```
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    codec: Codec,
    level: Option<i32>,
    attributes: Attributes,
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    base_sequence: i32,
    log_append_time: Option<Timestamp>,
    section: Vec<u8>,
    count: i32,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
    too_large: bool,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// A builder of uncompressed batches of a producer that is not idempotent, base offset 0.
    #[must_use]
    pub fn new() -> Self {
        Self {
            codec: Codec::None,
            level: None,
            attributes: Attributes::default(),
            base_offset: Offset::ZERO,
            leader_epoch: LeaderEpoch::UNKNOWN,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: -1,
            log_append_time: None,
            section: Vec::new(),
            count: 0,
            base_timestamp: Timestamp::NONE,
            max_timestamp: Timestamp::NONE,
            too_large: false,
        }
    }

    /// Compresses with `codec`, at its usual level.
    #[must_use]
    pub fn codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// The compression level; only gzip (1 to 9) and zstd (negative to 22) have any.
    #[must_use]
    pub fn level(mut self, level: Option<i32>) -> Self {
        self.level = level;
        self
    }

    /// Marks the batch as part of a transaction.
    #[must_use]
    pub fn transactional(mut self, on: bool) -> Self {
        self.attributes = self.attributes.with_transactional(on);
        self
    }

    /// Marks the batch as a control batch.
    #[must_use]
    pub fn control(mut self, on: bool) -> Self {
        self.attributes = self.attributes.with_control(on);
        self
    }

    /// The idempotent producer and the sequence number of the first record.
    #[must_use]
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) -> Self {
        self.set_producer(id, epoch, base_sequence);
        self
    }

    /// [`BatchBuilder::producer`] for a builder in use.
    pub fn set_producer(&mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) {
        self.producer_id = id;
        self.producer_epoch = epoch;
        self.base_sequence = base_sequence;
    }

    /// The base offset and leader epoch, for batches that do not come from a client.
    #[must_use]
    pub fn placed(mut self, base_offset: Offset, leader_epoch: LeaderEpoch) -> Self {
        self.base_offset = base_offset;
        self.leader_epoch = leader_epoch;
        self
    }

    /// Writes the batch with the broker's timestamp instead of its records'.
    #[must_use]
    pub fn log_append_time(mut self, now: Option<Timestamp>) -> Self {
        self.log_append_time = now;
        self
    }

    /// Adds a record. A batch that grows past the format is refused by [`BatchBuilder::build`], not here.
    pub fn push(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) {
        if self.count == 0 {
            self.base_timestamp = timestamp;
            self.max_timestamp = timestamp;
        } else {
            self.max_timestamp = self.max_timestamp.max(timestamp);
        }
        let delta = timestamp.0.wrapping_sub(self.base_timestamp.0);
        let Some(body) = body_len(delta, self.count, key, value, headers)
            .filter(|n| self.section.len().saturating_add(*n) < BATCH_BYTES_MAX)
        else {
            self.too_large = true;
            return;
        };
        let out = &mut self.section;
        // Every length was found to fit i32 by `body_len`.
        varint::write_i32(out, len_i32(body));
        let end = out.len() + body;
        out.push(0);
        varint::write_i64(out, delta);
        varint::write_i32(out, self.count);
        write_nullable(out, key);
        write_nullable(out, value);
        varint::write_i32(out, len_i32(headers.len()));
        for h in headers {
            varint::write_i32(out, len_i32(h.key.len()));
            out.extend_from_slice(h.key);
            write_nullable(out, h.value);
        }
        assert_eq!(out.len(), end, "a record's length was computed wrong");
        self.count += 1;
    }

    /// Records pushed since the last batch.
    #[must_use]
    pub fn count(&self) -> i32 {
        self.count
    }

    /// Whether no record has been pushed since the last batch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the batch if it were closed now and not compressed.
    #[must_use]
    pub fn batch_bytes(&self) -> usize {
        HEADER_LEN + self.section.len()
    }

    /// Bytes that a record would add, uncompressed; an upper bound.
    #[must_use]
    pub fn record_bytes(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header<'_>]) -> usize {
        body_len(i64::MIN, i32::MAX, key, value, headers).map_or(usize::MAX, |n| n + 5)
    }

    /// Forgets the records pushed since the last batch.
    pub fn clear(&mut self) {
        self.section.clear();
        self.count = 0;
        self.base_timestamp = Timestamp::NONE;
        self.max_timestamp = Timestamp::NONE;
        self.too_large = false;
    }

    /// The batch, with a compressor made for the occasion.
    ///
    /// # Errors
    /// See [`BatchBuilder::build_into`].
    pub fn build(&mut self) -> Result<Vec<u8>, BuildError> {
        let mut out = Vec::with_capacity(self.batch_bytes());
        self.build_into(&mut Compressor::new(), &mut out)?;
        Ok(out)
    }

    /// Appends the batch to `out` and forgets its records; on an error `out` is as it was, and the records are forgotten too.
    ///
    /// # Errors
    /// [`BuildError::Empty`], [`BuildError::TooLarge`], [`BuildError::Compress`].
    pub fn build_into(
        &mut self,
        compressor: &mut Compressor,
        out: &mut Vec<u8>,
    ) -> Result<(), BuildError> {
        let start = out.len();
        let built = self.write(compressor, out);
        if built.is_err() {
            out.truncate(start);
        }
        self.clear();
        built
    }

    fn write(&self, compressor: &mut Compressor, out: &mut Vec<u8>) -> Result<(), BuildError> {
        if self.too_large {
            return Err(BuildError::TooLarge);
        }
        if self.count == 0 {
            return Err(BuildError::Empty);
        }
        let mut attributes = self.attributes.with_codec(self.codec);
        let mut max_timestamp = self.max_timestamp;
        if let Some(now) = self.log_append_time {
            attributes = attributes.with_timestamp_type(TimestampType::LogAppendTime);
            max_timestamp = now;
        }
        let header = BatchHeader {
            base_offset: self.base_offset,
            length: 0,
            leader_epoch: self.leader_epoch,
            magic: MAGIC,
            crc: 0,
            attributes,
            last_offset_delta: self.count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp,
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
            count: self.count,
        };
        write_batch(&header, &self.section, self.codec, self.level, compressor, out)
    }
}

/// Half the format's limit, so that framing by a codec cannot push a batch over it.
const BATCH_BYTES_MAX: usize = 1 << 30;

/// Appends a batch: `header` with its length and CRC set for `section` under `codec`.
pub(crate) fn write_batch(
    header: &BatchHeader,
    section: &[u8],
    codec: Codec,
    level: Option<i32>,
    compressor: &mut Compressor,
    out: &mut Vec<u8>,
) -> Result<(), BuildError> {
    let start = out.len();
    out.extend_from_slice(&header.to_bytes());
    compressor.compress(codec, level, section, out)?;
    let batch = &mut out[start..];
    let length =
        i32::try_from(batch.len() - LENGTH_PREFIX_LEN).map_err(|_| BuildError::TooLarge)?;
    batch[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&batch[CRC_FROM..]);
    batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    Ok(())
}

/// Bytes of a record behind its length; `None` when one of its lengths does not fit i32.
fn body_len(
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[Header<'_>],
) -> Option<usize> {
    let sized = |n: usize| varint::len_i32(i32::try_from(n).ok()?).checked_add(n);
    let nullable = |b: Option<&[u8]>| b.map_or(Some(1), |b| sized(b.len()));
    let mut n = 1 + varint::len_i64(timestamp_delta) + varint::len_i32(offset_delta);
    n = n.checked_add(nullable(key)?)?.checked_add(nullable(value)?)?;
    n = n.checked_add(varint::len_i32(i32::try_from(headers.len()).ok()?))?;
    for h in headers {
        n = n.checked_add(sized(h.key.len())?)?.checked_add(nullable(h.value)?)?;
    }
    (n <= BATCH_BYTES_MAX).then_some(n)
}

fn write_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => varint::write_i32(out, -1),
        Some(b) => {
            varint::write_i32(out, len_i32(b.len()));
            out.extend_from_slice(b);
        }
    }
}

fn len_i32(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
