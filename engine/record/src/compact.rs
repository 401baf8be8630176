//! One batch under log compaction: which of its records stay, and its bytes afterwards.
//!
//! What stays keeps everything: offset, sequence, timestamp, key, value and headers byte for byte. The batch keeps its base
//! offset, its last offset, its producer and its codec; only the count falls. A batch that loses nothing is not touched at
//! all, not even recompressed.
//!
//! A tombstone (a null value) goes in two phases (KIP-534): the first compaction that keeps one writes into the batch until
//! when it stays, the delete horizon, and a compaction after that drops it. The horizon takes the place of the base
//! timestamp, so the records' timestamp deltas are written anew; their timestamps stay.

use crate::builder::write_batch;
use crate::{
    Attributes, BatchError, BatchHeader, BatchView, BuildError, Codec, Compressor, Decompressor,
    Record, RecordError, TimestampType, varint,
};
use ids::{Offset, Timestamp};
use std::fmt;

/// By what a batch is judged, besides the keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CompactRules {
    /// The time.
    pub now: Timestamp,
    /// `delete.retention.ms`: how long a tombstone stays after the first compaction that saw it.
    pub delete_retention_ms: i64,
    /// Records from this offset on are not looked at; they stay.
    pub below: Offset,
    /// A batch without records left stays as an empty one: it holds the end of a segment, or the last sequence of a producer.
    pub keep_empty: bool,
    /// Decompress at most this much.
    pub bytes_max: usize,
}

/// What came of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompactOutcome {
    /// All of it stays; its bytes are as they were and were not written to the output.
    Whole,
    /// Some of it stays, or a horizon was set: the new batch was appended to the output.
    Rewritten {
        /// Its largest timestamp; -1 of an empty batch.
        max_timestamp: Timestamp,
        /// Records that are in it.
        records: i32,
    },
    /// Nothing of it stays.
    Dropped,
}

/// Why a batch cannot be compacted. Then nothing may be thrown away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompactError {
    /// The batch cannot be opened.
    Batch(BatchError),
    /// A record in it cannot be read.
    Record(RecordError),
    /// The records do not fill the section, or their offsets do not rise within the batch.
    Records(&'static str),
    /// The new batch cannot be written.
    Build(BuildError),
}

impl fmt::Display for CompactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch(e) => e.fmt(f),
            Self::Record(e) => e.fmt(f),
            Self::Records(why) => f.write_str(why),
            Self::Build(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for CompactError {}

/// Tells `each` the offset and key of every record of a batch, in order; a record without a key has none.
///
/// # Errors
/// The batch or a record of it is not readable.
pub fn each_key(
    batch: &BatchView<'_>,
    decompressor: &mut Decompressor,
    bytes_max: usize,
    mut each: impl FnMut(Offset, Option<&[u8]>),
) -> Result<(), CompactError> {
    let header = *batch.header();
    let mut records = batch.records_with(decompressor, bytes_max).map_err(CompactError::Batch)?;
    let mut last = -1;
    for record in records.by_ref() {
        let record = record.map_err(CompactError::Record)?;
        last = check_delta(&header, last, record.offset_delta)?;
        each(header.base_offset + i64::from(record.offset_delta), record.key);
    }
    check_rest(records.bytes_left())
}

/// Compacts one batch whose CRC holds. `is_latest` says whether no newer record of the key is known: never, of a batch of an
/// aborted transaction. The new batch, if there is one, is appended to `out`.
///
/// # Errors
/// [`CompactError`]; `out` is then as it was.
pub fn compact(
    batch: &BatchView<'_>,
    rules: &CompactRules,
    mut is_latest: impl FnMut(Offset, &[u8]) -> bool,
    decompressor: &mut Decompressor,
    compressor: &mut Compressor,
    out: &mut Vec<u8>,
) -> Result<CompactOutcome, CompactError> {
    let fate = |offset: Offset, record: &Record<'_>, expired: bool| {
        let latest = record.key.is_some_and(|key| is_latest(offset, key));
        match (latest, record.value) {
            (true, Some(_)) => Fate::Stays,
            (true, None) if !expired => Fate::Ages,
            (true, None) | (false, _) => Fate::Goes,
        }
    };
    sift(batch, rules, fate, decompressor, compressor, out)
}

/// Compacts one control batch whose CRC holds. While its transaction still has records it stays as it is; when it has none,
/// `is_over`, it gets a horizon, and goes after that, as Kafka's cleaner does (KIP-534).
///
/// # Errors
/// [`CompactError`]; `out` is then as it was.
pub fn compact_control(
    batch: &BatchView<'_>,
    rules: &CompactRules,
    is_over: bool,
    decompressor: &mut Decompressor,
    compressor: &mut Compressor,
    out: &mut Vec<u8>,
) -> Result<CompactOutcome, CompactError> {
    let fate = |_: Offset, _: &Record<'_>, expired: bool| match (is_over, expired) {
        (false, _) => Fate::Stays,
        (true, false) => Fate::Ages,
        (true, true) => Fate::Goes,
    };
    sift(batch, rules, fate, decompressor, compressor, out)
}

/// What becomes of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    /// It stays until the batch's horizon.
    Ages,
    Goes,
}

/// Writes a batch anew with those of its records that stay. `fate` is told offset, record, and whether the batch has a horizon
/// that has passed.
fn sift(
    batch: &BatchView<'_>,
    rules: &CompactRules,
    mut fate: impl FnMut(Offset, &Record<'_>, bool) -> Fate,
    decompressor: &mut Decompressor,
    compressor: &mut Compressor,
    out: &mut Vec<u8>,
) -> Result<CompactOutcome, CompactError> {
    let header = *batch.header();
    let codec = batch.codec().map_err(CompactError::Batch)?;
    let horizon = header.attributes.has_delete_horizon().then_some(header.base_timestamp);
    let expired = horizon.is_some_and(|h| rules.now >= h);
    let section: &[u8] = match codec {
        Codec::None => batch.records_section(),
        Codec::Gzip | Codec::Snappy | Codec::Lz4 | Codec::Zstd => decompressor
            .decompress(codec, batch.records_section(), rules.bytes_max)
            .map_err(|e| CompactError::Batch(e.into()))?,
    };
    let count = u32::try_from(header.count)
        .map_err(|_| CompactError::Batch(BatchError::Count(header.count)))?;
    let mut records = crate::RecordIter::new(section, count);
    let mut kept = Kept::default();
    let (mut at, mut last, mut ages) = (0, -1, false);
    while let Some(record) = records.next() {
        let record = record.map_err(CompactError::Record)?;
        last = check_delta(&header, last, record.offset_delta)?;
        let end = section.len() - records.bytes_left();
        let raw = section.get(at..end).unwrap_or(&[]);
        at = end;
        let offset = header.base_offset + i64::from(record.offset_delta);
        let untouched = offset >= rules.below;
        let fate = if untouched { Fate::Stays } else { fate(offset, &record, expired) };
        ages |= fate == Fate::Ages;
        if fate != Fate::Goes {
            kept.push(raw, header.timestamp_of(record.timestamp_delta));
        }
    }
    check_rest(records.bytes_left())?;
    let set_horizon = ages && horizon.is_none();
    if kept.records.len() == count as usize && count > 0 && !set_horizon {
        return Ok(CompactOutcome::Whole);
    }
    if kept.records.is_empty() {
        return match (rules.keep_empty, count) {
            (true, 0) => Ok(CompactOutcome::Whole),
            (true, _) => write_empty(&header, compressor, out),
            (false, _) => Ok(CompactOutcome::Dropped),
        };
    }
    let base_timestamp = if set_horizon {
        Timestamp(rules.now.0.saturating_add(rules.delete_retention_ms))
    } else {
        header.base_timestamp
    };
    let attributes =
        if set_horizon { header.attributes.with_delete_horizon(true) } else { header.attributes };
    let max_timestamp = match header.attributes.timestamp_type() {
        TimestampType::CreateTime => kept.max_timestamp,
        TimestampType::LogAppendTime => header.max_timestamp,
    };
    let new = BatchHeader {
        length: 0,
        crc: 0,
        attributes,
        base_timestamp,
        max_timestamp,
        count: i32::try_from(kept.records.len()).unwrap_or(i32::MAX),
        ..header
    };
    let shift = header.base_timestamp.0.wrapping_sub(base_timestamp.0);
    let body = kept.section(shift).map_err(CompactError::Record)?;
    write(&new, &body, codec, compressor, out)?;
    Ok(CompactOutcome::Rewritten { max_timestamp, records: new.count })
}

fn write_empty(
    header: &BatchHeader,
    compressor: &mut Compressor,
    out: &mut Vec<u8>,
) -> Result<CompactOutcome, CompactError> {
    // No record has a timestamp any more, and a search by time must not stop here. No tombstone is left to have a horizon.
    let new = BatchHeader {
        attributes: header.attributes.with_codec(Codec::None).with_delete_horizon(false),
        base_timestamp: Timestamp::NONE,
        max_timestamp: Timestamp::NONE,
        count: 0,
        ..*header
    };
    write(&new, &[], Codec::None, compressor, out)?;
    Ok(CompactOutcome::Rewritten { max_timestamp: Timestamp::NONE, records: 0 })
}

fn write(
    header: &BatchHeader,
    section: &[u8],
    codec: Codec,
    compressor: &mut Compressor,
    out: &mut Vec<u8>,
) -> Result<(), CompactError> {
    let start = out.len();
    let written = write_batch(header, section, codec, None, compressor, out);
    if written.is_err() {
        out.truncate(start);
    }
    written.map_err(CompactError::Build)
}

/// Offsets rise within the batch, or two records would claim one offset.
fn check_delta(header: &BatchHeader, last: i32, delta: i32) -> Result<i32, CompactError> {
    if delta <= last || delta > header.last_offset_delta {
        return Err(CompactError::Records("the records' offsets do not rise within their batch"));
    }
    Ok(delta)
}

fn check_rest(left: usize) -> Result<(), CompactError> {
    match left {
        0 => Ok(()),
        _ => Err(CompactError::Records("bytes are left behind the last record")),
    }
}

/// The records that stay, as they lie in the section.
#[derive(Default)]
struct Kept<'a> {
    records: Vec<&'a [u8]>,
    max_timestamp: Timestamp,
}

impl<'a> Kept<'a> {
    fn push(&mut self, raw: &'a [u8], timestamp: Timestamp) {
        let first = self.records.is_empty();
        self.max_timestamp = if first { timestamp } else { self.max_timestamp.max(timestamp) };
        self.records.push(raw);
    }

    /// The section, with `shift` added to each timestamp delta.
    fn section(&self, shift: i64) -> Result<Vec<u8>, RecordError> {
        let bytes = self.records.iter().map(|r| r.len()).sum::<usize>();
        let mut out =
            Vec::with_capacity(bytes + if shift == 0 { 0 } else { 10 * self.records.len() });
        for raw in &self.records {
            if shift == 0 {
                out.extend_from_slice(raw);
            } else {
                shifted(raw, shift, &mut out)?;
            }
        }
        Ok(out)
    }
}

/// Appends a record with another timestamp delta: length, attributes, delta, and the rest as it was.
fn shifted(raw: &[u8], shift: i64, out: &mut Vec<u8>) -> Result<(), RecordError> {
    let (_, n) = varint::read_i32(raw).ok_or(RecordError::Malformed)?;
    let attributes = *raw.get(n).ok_or(RecordError::Truncated)?;
    let behind = raw.get(n + 1..).ok_or(RecordError::Truncated)?;
    let (delta, m) = varint::read_i64(behind).ok_or(RecordError::Malformed)?;
    let rest = behind.get(m..).ok_or(RecordError::Truncated)?;
    let delta = delta.wrapping_add(shift);
    let body = 1 + varint::len_i64(delta) + rest.len();
    varint::write_i32(out, i32::try_from(body).map_err(|_| RecordError::Malformed)?);
    out.push(attributes);
    varint::write_i64(out, delta);
    out.extend_from_slice(rest);
    Ok(())
}

impl Attributes {
    /// The same bits with the delete horizon's bit set or clear (KIP-534).
    #[must_use]
    pub fn with_delete_horizon(self, on: bool) -> Self {
        const DELETE_HORIZON: i16 = 0x40;
        Self(if on { self.0 | DELETE_HORIZON } else { self.0 & !DELETE_HORIZON })
    }
}

#[cfg(test)]
mod tests;
