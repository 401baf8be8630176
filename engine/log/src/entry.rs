//! The whole state as bytes, for manifest and snapshot.
//!
//! Little-endian, versioned, bounded: every count is checked against the bytes that remain before anything is allocated, and
//! what is read is checked against the log's own invariants. Indexes are not part of it, they have files of their own.

use crate::producers::Producer;
use crate::{Aborted, AbortedTxn, Epochs, Log, Producers, Segment, SegmentName, WrittenBatch};
use ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use std::fmt;

/// Version 1 knew no compaction: no flags of segments, and no end of the compacted part. Version 2 knew no transactions.
const VERSION: u8 = 3;
const COMPACTED: u8 = 1;
/// What is known of transactions follows the flags.
const TRANSACTIONAL: u8 = 2;

/// Why bytes are not the state of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryError {
    /// The bytes end before the state does.
    Truncated,
    /// A version that this release does not know.
    Version(u8),
    /// A value contradicts another.
    Invalid(&'static str),
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the entry is cut short"),
            Self::Version(v) => write!(f, "entry version {v} is not known to this release"),
            Self::Invalid(what) => write!(f, "the entry contradicts itself: {what}"),
        }
    }
}

impl std::error::Error for EntryError {}

/// Reads little-endian numbers from bytes that may be damaged.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// [`EntryError::Truncated`].
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], EntryError> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(EntryError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], EntryError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    /// One byte. # Errors: [`EntryError::Truncated`].
    #[expect(clippy::missing_errors_doc, reason = "said in one line")]
    pub fn u8(&mut self) -> Result<u8, EntryError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    /// Two bytes. # Errors: [`EntryError::Truncated`].
    #[expect(clippy::missing_errors_doc, reason = "said in one line")]
    pub fn i16(&mut self) -> Result<i16, EntryError> {
        Ok(i16::from_le_bytes(self.array()?))
    }

    /// Four bytes. # Errors: [`EntryError::Truncated`].
    #[expect(clippy::missing_errors_doc, reason = "said in one line")]
    pub fn u32(&mut self) -> Result<u32, EntryError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Four bytes, signed. # Errors: [`EntryError::Truncated`].
    #[expect(clippy::missing_errors_doc, reason = "said in one line")]
    pub fn i32(&mut self) -> Result<i32, EntryError> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    /// Eight bytes. # Errors: [`EntryError::Truncated`].
    #[expect(clippy::missing_errors_doc, reason = "said in one line")]
    pub fn u64(&mut self) -> Result<u64, EntryError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Eight bytes, signed. # Errors: [`EntryError::Truncated`].
    #[expect(clippy::missing_errors_doc, reason = "said in one line")]
    pub fn i64(&mut self) -> Result<i64, EntryError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// A count of items that take at least `each` bytes. # Errors: [`EntryError::Truncated`] if they cannot all be there.
    #[expect(clippy::missing_errors_doc, reason = "said in one line")]
    pub fn count(&mut self, each: usize) -> Result<usize, EntryError> {
        let n = self.u32()? as usize;
        if n.checked_mul(each).is_none_or(|bytes| bytes > self.rest.len()) {
            return Err(EntryError::Truncated);
        }
        Ok(n)
    }

    /// What has not been read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

fn put_count(out: &mut Vec<u8>, n: usize) {
    out.extend_from_slice(&u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_i64(out: &mut Vec<u8>, n: i64) {
    out.extend_from_slice(&n.to_le_bytes());
}

impl Log {
    /// Appends the state's bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.push(u8::from(self.roll_next));
        put_i64(out, self.start.0);
        put_i64(out, self.end.0);
        put_i64(out, self.clean_end.0);
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&self.next_creation.to_le_bytes());
        put_count(out, self.epochs.entries().len());
        for (epoch, start) in self.epochs.entries() {
            out.extend_from_slice(&epoch.0.to_le_bytes());
            put_i64(out, start.0);
        }
        put_count(out, self.segments.len());
        for s in &self.segments {
            s.encode(out);
            let compacted = if s.compacted { COMPACTED } else { 0 };
            out.push(compacted | if s.transactional { TRANSACTIONAL } else { 0 });
            if s.transactional {
                s.encode_transactions(out);
            }
        }
        self.producers.encode(out);
    }

    /// Reads what [`Log::encode`] wrote.
    ///
    /// # Errors
    /// [`EntryError`] if the bytes are not the state of a log.
    pub fn decode(c: &mut Cursor<'_>) -> Result<Self, EntryError> {
        let version = match c.u8()? {
            known @ 1..=VERSION => known,
            other => return Err(EntryError::Version(other)),
        };
        let roll_next = c.u8()? != 0;
        let (start, end) = (Offset(c.i64()?), Offset(c.i64()?));
        if start.0 < 0 || start > end {
            return Err(EntryError::Invalid("log start beyond its end"));
        }
        let clean_end = if version == 1 { start } else { Offset(c.i64()?) };
        if clean_end.0 < 0 || clean_end > end {
            return Err(EntryError::Invalid("more is compacted than there is"));
        }
        let (generation, next_creation) = (c.u32()?, c.u32()?);
        let known = c.count(12)?;
        let mut epochs = Vec::with_capacity(known);
        for _ in 0..known {
            epochs.push((LeaderEpoch(c.i32()?), Offset(c.i64()?)));
        }
        let epochs = Epochs::from_entries(epochs).ok_or(EntryError::Invalid("epochs go back"))?;
        let held = c.count(Segment::ENCODED)?;
        let mut segments = Vec::with_capacity(held);
        for _ in 0..held {
            let mut s = Segment::decode(c)?;
            let flags = if version > 1 { c.u8()? } else { 0 };
            s.compacted = flags & COMPACTED != 0;
            if version > 2 && flags & TRANSACTIONAL != 0 {
                s.decode_transactions(c)?;
            }
            segments.push(s);
        }
        // A compacted segment was created after those that follow it.
        let adjoin = segments.windows(2).all(|w| {
            w[0].end == w[1].name.base
                && (w[0].compacted || w[0].name.creation < w[1].name.creation)
        });
        let ends = segments.last().is_none_or(|s| s.end == end);
        let below = segments.iter().all(|s| s.name.creation < next_creation);
        if !adjoin || !ends || !below {
            return Err(EntryError::Invalid("segments do not adjoin"));
        }
        let producers = Producers::decode(c)?;
        Ok(Self {
            start,
            end,
            generation,
            next_creation,
            epochs,
            segments,
            producers,
            roll_next,
            clean_end,
            ended: Vec::new(),
        })
    }
}

impl Segment {
    const ENCODED: usize = 64;

    /// Appends the segment's bytes (without its index) to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_i64(out, self.name.base.0);
        out.extend_from_slice(&self.name.creation.to_le_bytes());
        out.extend_from_slice(&self.len.to_le_bytes());
        for n in [
            self.end.0,
            self.max_timestamp.0,
            self.max_timestamp_batch.0,
            self.first_timestamp.0,
            self.created_at.0,
            self.appended_at.0,
        ] {
            put_i64(out, n);
        }
    }

    /// Reads what [`Segment::encode`] wrote.
    ///
    /// # Errors
    /// [`EntryError`] if the bytes are not a segment.
    pub fn decode(c: &mut Cursor<'_>) -> Result<Self, EntryError> {
        let name = SegmentName { base: Offset(c.i64()?), creation: c.u32()? };
        let mut s = Self::new(name, Timestamp::NONE);
        s.len = c.u32()?;
        s.end = Offset(c.i64()?);
        s.max_timestamp = Timestamp(c.i64()?);
        s.max_timestamp_batch = Offset(c.i64()?);
        s.first_timestamp = Timestamp(c.i64()?);
        s.created_at = Timestamp(c.i64()?);
        s.appended_at = Timestamp(c.i64()?);
        if name.base.0 < 0 || s.end < name.base {
            return Err(EntryError::Invalid("a segment ends before it starts"));
        }
        Ok(s)
    }
}

impl Segment {
    /// An aborted transaction: marker relative to the segment, producer, first offset, last stable offset.
    const ENCODED_ABORT: usize = 28;

    fn encode_transactions(&self, out: &mut Vec<u8>) {
        put_i64(out, self.unstable_from.0);
        out.extend_from_slice(&self.aborted.in_file().to_le_bytes());
        put_i64(out, self.aborted.file_last().0);
        put_count(out, self.aborted.tail().len());
        for t in self.aborted.tail() {
            // As in the index's file, without the CRC: the manifest has its own.
            out.extend_from_slice(&t.to_bytes(self.name.base)[4..]);
        }
    }

    fn decode_transactions(&mut self, c: &mut Cursor<'_>) -> Result<(), EntryError> {
        self.transactional = true;
        self.unstable_from = Offset(c.i64()?);
        if self.unstable_from.0 < 0 || self.unstable_from > self.name.base {
            return Err(EntryError::Invalid("a transaction was open before it began"));
        }
        let (in_file, file_last) = (c.u32()?, Offset(c.i64()?));
        let mut tail = Vec::new();
        for _ in 0..c.count(Self::ENCODED_ABORT)? {
            tail.push(AbortedTxn {
                last: Offset(self.name.base.0.saturating_add(i64::from(c.u32()?))),
                producer_id: ProducerId(c.i64()?),
                first: Offset(c.i64()?),
                last_stable: Offset(c.i64()?),
            });
        }
        let inside = tail.last().is_none_or(|t| t.last < self.end);
        self.aborted = Aborted::from_parts(in_file, file_last, tail)
            .filter(|_| inside)
            .ok_or(EntryError::Invalid("aborted transactions that cannot be"))?;
        Ok(())
    }
}

impl Producers {
    /// Appends the producers' bytes to `out`, sorted by id.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_count(out, self.len());
        for (id, p) in self.sorted() {
            put_i64(out, id.0);
            out.extend_from_slice(&p.epoch.0.to_le_bytes());
            put_i64(out, p.last_append.0);
            put_i64(out, p.transaction_start.map_or(-1, |o| o.0));
            out.extend_from_slice(&p.coordinator_epoch.to_le_bytes());
            put_count(out, p.batches().count());
            for b in p.batches() {
                out.extend_from_slice(&b.first_sequence.to_le_bytes());
                out.extend_from_slice(&b.last_sequence.to_le_bytes());
                put_i64(out, b.last_offset.0);
                put_i64(out, b.max_timestamp.0);
            }
        }
    }

    /// Reads what [`Producers::encode`] wrote.
    ///
    /// # Errors
    /// [`EntryError`] if the bytes are not producers.
    pub fn decode(c: &mut Cursor<'_>) -> Result<Self, EntryError> {
        let mut producers = Self::default();
        for _ in 0..c.count(34)? {
            let id = ProducerId(c.i64()?);
            let mut p = Producer::new(ProducerEpoch(c.i16()?));
            p.last_append = Timestamp(c.i64()?);
            let open = c.i64()?;
            p.transaction_start = (open >= 0).then_some(Offset(open));
            p.coordinator_epoch = c.i32()?;
            for _ in 0..c.count(24)? {
                p.remember(WrittenBatch {
                    first_sequence: c.i32()?,
                    last_sequence: c.i32()?,
                    last_offset: Offset(c.i64()?),
                    max_timestamp: Timestamp(c.i64()?),
                });
            }
            producers.insert(id, p);
        }
        Ok(producers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchMeta, Config};
    use proptest::prelude::*;

    fn a_log() -> Log {
        let mut log = Log::default();
        let c = Config { segment_bytes: 500, ..Config::default() };
        for i in 0..12 {
            let b = BatchMeta {
                len: 120,
                offsets: 3,
                max_timestamp: Timestamp(1000 + i),
                producer_id: ProducerId(i % 2),
                producer_epoch: ProducerEpoch(0),
                base_sequence: i32::try_from(i / 2).unwrap() * 3,
                transactional: false,
                control: false,
            };
            let epoch = LeaderEpoch(i32::try_from(i / 5).unwrap());
            log.append(&b, epoch, Timestamp(2000 + i), &c).unwrap();
        }
        log.advance_start(Offset(5));
        log
    }

    #[test]
    fn a_log_survives_its_bytes() {
        let mut log = a_log();
        let mut bytes = Vec::new();
        log.encode(&mut bytes);
        let mut c = Cursor::new(&bytes);
        let again = Log::decode(&mut c).unwrap();
        assert!(c.rest().is_empty());
        for s in &mut log.segments {
            s.index.clear();
        }
        assert_eq!(log, again);
    }

    #[test]
    fn what_version_2_has_written_is_read() {
        let mut bytes = Vec::new();
        a_log().encode(&mut bytes);
        let now = Log::decode(&mut Cursor::new(&bytes)).unwrap();
        // It knew no transactions; without any its form is the same.
        assert_eq!(std::mem::replace(&mut bytes[0], 2), VERSION);
        assert_eq!(Log::decode(&mut Cursor::new(&bytes)).unwrap(), now);
        bytes[0] = VERSION + 1;
        let newer = Log::decode(&mut Cursor::new(&bytes));
        assert_eq!(newer, Err(EntryError::Version(VERSION + 1)));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let mut bytes = Vec::new();
        a_log().encode(&mut bytes);
        for n in 0..bytes.len() {
            assert!(Log::decode(&mut Cursor::new(&bytes[..n])).is_err(), "cut at {n}");
        }
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(at in 0usize..1200, byte: u8, tail in 0usize..64) {
            let mut bytes = Vec::new();
            a_log().encode(&mut bytes);
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(bytes.len() - tail.min(bytes.len()));
            let _ = Log::decode(&mut Cursor::new(&bytes));
        }
    }
}
