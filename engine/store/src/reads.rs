//! Reads: from the tail where the bytes are in memory, else from the segment's file.
//!
//! A read returns whole batches, beginning with the one that holds the asked offset. What comes from a file is checked before
//! it is served: each batch's CRC, that base offsets continue, and that the leader epoch is the one the epoch cache knows at
//! that offset, because the batch CRC covers neither of the two.
//!
//! | file | what |
//! |---|---|
//! | `reads.rs` | finding the batch, from memory or from the file |
//! | `reads/memory.rs` | the same for what is in memory as a whole, at once |
//! | `reads/streams.rs` | who reads in order (pure), and what is held for him |
//! | `reads/ahead.rs` | reading on, and ahead |
//! | `reads/pool.rs` | memory and places at the device |

mod ahead;
mod indexes;
mod memory;
mod pool;
mod streams;

pub(crate) use self::indexes::ColdIndexes;
pub(crate) use self::pool::Pool;
pub(crate) use self::streams::Streams;

use self::pool::Room;
use self::streams::Stream;
use crate::format::BLOCK;
use crate::partition::{Partition, Shared, floor_block};
use crate::rest_log::{self, Stop};
use crate::store::{Refusal, Store};
use ids::{LeaderEpoch, Offset, PartitionId, Timestamp};
use log::{Index, IndexEntry, Place, SegmentName};
use runtime::{File, Open, Slice};
use std::rc::Rc;
use std::{fmt, io};

/// A fetch answer carries at most this much of one partition, or one whole batch.
pub const READ_BYTES_MAX: usize = 4 << 20;
/// How often a read begins again because compaction has replaced the segment under it.
const REPLACED_TRIES: u32 = 3;
/// Batch headers are looked for in a file through a window of this size.
const WINDOW: usize = 64 * 1024;
/// Bytes of a batch header.
const BATCH_HEADER: usize = 61;

/// Why a read fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The partition is not here.
    UnknownPartition,
    /// The offset is below the log's start or beyond its end.
    OutOfRange {
        /// The log's first offset.
        start: Offset,
        /// The log's end.
        end: Offset,
    },
    /// What the file holds is not what was written. Nothing of it is served.
    Corrupt {
        /// Which segment.
        segment: SegmentName,
        /// Where in it.
        position: u32,
        /// What is wrong.
        why: &'static str,
    },
    /// The file cannot be read.
    Io(String),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPartition => f.write_str("the partition is not here"),
            Self::OutOfRange { start, end } => write!(f, "the log holds offsets {start} to {end}"),
            Self::Corrupt { segment, position, why } => {
                write!(f, "segment {segment} is damaged at byte {position}: {why}")
            }
            Self::Io(e) => write!(f, "the segment cannot be read: {e}"),
        }
    }
}

/// What a read found: whole batches, adjoining.
#[derive(Clone, Debug, Default)]
pub struct Read {
    /// The bytes, in order.
    pub slices: Vec<Slice>,
    /// How many.
    pub bytes: usize,
    /// They came from memory.
    pub from_tail: bool,
}

impl Read {
    /// The offset after the last batch; none if there is no batch.
    #[must_use]
    pub fn end(&self) -> Option<Offset> {
        let (mut end, mut skip) = (None, 0);
        let mut header = Vec::with_capacity(BATCH_HEADER);
        for slice in &self.slices {
            let mut bytes: &[u8] = slice;
            while !bytes.is_empty() {
                let body = skip.min(bytes.len());
                skip -= body;
                let head = (BATCH_HEADER - header.len()).min(bytes.len() - body);
                header.extend_from_slice(bytes.get(body..body + head)?);
                bytes = bytes.get(body + head..)?;
                if header.len() == BATCH_HEADER {
                    let head = Head::parse(&header)?;
                    (end, skip) = (Some(head.last.next()), head.len as usize - BATCH_HEADER);
                    header.clear();
                }
            }
        }
        end
    }
}

/// How far a read may go.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Nothing at or above this offset.
    bound: Offset,
    /// Not more than this.
    bytes: usize,
    /// But the first batch, whatever its size.
    at_least_one: bool,
}

/// Whole batches in a row that were found to be as they were written.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Base offset of the first.
    first: Offset,
    /// The offset after the last.
    next: Offset,
    /// Where it ends in the bytes that were looked at.
    end: usize,
    /// Length of the last.
    batch: u32,
}

/// The fields of a batch header that reading needs.
#[derive(Clone, Copy, Debug)]
struct Head {
    base: Offset,
    len: u32,
    epoch: LeaderEpoch,
    last: Offset,
    max_timestamp: Timestamp,
}

impl Head {
    fn parse(b: &[u8]) -> Option<Self> {
        let b: &[u8; BATCH_HEADER] = b.get(..BATCH_HEADER)?.try_into().ok()?;
        let i32_at = |at: usize| i32::from_be_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
        let i64_at = |at: usize| i64::from_be_bytes(b[at..at + 8].try_into().unwrap_or([0; 8]));
        let base = Offset(i64_at(0));
        let len = u32::try_from(i32_at(8)).ok()?.checked_add(12)?;
        let delta = i64::from(i32_at(23));
        (len as usize >= BATCH_HEADER && b[16] == 2 && delta >= 0).then_some(Self {
            base,
            len,
            epoch: LeaderEpoch(i32_at(12)),
            last: base + delta,
            max_timestamp: Timestamp(i64_at(35)),
        })
    }
}

/// Where a search stands in a segment.
enum Target {
    Offset(Offset),
    /// The first batch with a record that late, among those that end at or above an offset.
    Time(Timestamp, Offset),
}

impl Target {
    /// The position below it by this index.
    fn floor(&self, name: SegmentName, index: &Index) -> u32 {
        match self {
            Self::Offset(o) => index.floor(u32::try_from(*o - name.base).unwrap_or(u32::MAX)),
            Self::Time(t, _) => index.floor_by_time(*t),
        }
    }
}

impl Store {
    /// Reads batches from the one that holds `from` up to, not including, offset `bound`, at most `max_bytes`; with
    /// `at_least_one` the first batch comes whole whatever its size. Empty if `from` is at or beyond `bound`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read(
        &self,
        id: PartitionId,
        from: Offset,
        bound: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Read, ReadError> {
        let p = self.partition(id).map_err(unknown)?;
        let max_bytes = max_bytes.min(READ_BYTES_MAX);
        {
            let p = p.borrow();
            let (start, end) = (p.log.start(), p.log.end());
            if from < start || from > end {
                return Err(ReadError::OutOfRange { start, end });
            }
            if from >= bound.min(end) {
                return Ok(Read::default());
            }
        }
        let limits = Limits { bound, bytes: max_bytes, at_least_one };
        let stream = self.inner.streams.borrow_mut().take(id, from);
        if stream.is_none()
            && let Some(read) = memory::read(&p, from, &limits)
        {
            return Ok(read);
        }
        // On the heap, so that it is no part of the state of those that are served from memory, which are most.
        Box::pin(self.read_anywhere(&p, from, &limits, stream)).await
    }

    /// Goes on where a reader stopped, or looks for what he wants, in memory and in files.
    async fn read_anywhere(
        &self,
        p: &Shared,
        from: Offset,
        limits: &Limits,
        stream: Option<Stream>,
    ) -> Result<Read, ReadError> {
        if let Some(stream) = stream
            && let Some(read) = self.read_on(p, from, limits, stream).await
        {
            return Ok(read);
        }
        let mut tries = 0;
        loop {
            let read = self.read_once(p, from, limits).await;
            // Compaction may have put another segment in the place of the one that was looked at.
            let replaced = match &read {
                Ok((read, found)) => {
                    read.bytes == 0 && found.is_some_and(|s| p.borrow().log.segment(s).is_none())
                }
                Err(ReadError::Corrupt { segment, .. }) => {
                    p.borrow().log.segment(*segment).is_none()
                }
                Err(_) => false,
            };
            if !replaced || tries == REPLACED_TRIES {
                return read.map(|(read, _)| read);
            }
            tries += 1;
        }
    }

    /// Reads once, and says in which segment the offset was found.
    async fn read_once(
        &self,
        p: &Shared,
        from: Offset,
        limits: &Limits,
    ) -> Result<(Read, Option<SegmentName>), ReadError> {
        let Limits { bound, bytes: max_bytes, at_least_one } = *limits;
        let found = self.find(p, &Target::Offset(from)).await;
        {
            // While it was looked for, a new start of the log may have passed it: what was found then is another batch, and
            // what was not found is no damage.
            let p = p.borrow();
            let (start, end) = (p.log.start(), p.log.end());
            // Or a truncation has.
            if from < start || from >= end {
                return Err(ReadError::OutOfRange { start, end });
            }
        }
        let Some((place, head)) = found? else { return Ok((Read::default(), None)) };
        let segment = Some(place.segment);
        if head.base >= bound || (head.len as usize > max_bytes && !at_least_one) {
            return Ok((Read::default(), None));
        }
        let max_bytes = max_bytes.max(head.len as usize);
        if let Some(read) = read_tail(p, place, head, bound, max_bytes) {
            return Ok((read, segment));
        }
        let bytes = match self.inner.cold.room(max_bytes) {
            Room::Bytes(n) => n.max(head.len as usize),
            Room::OneBatch if at_least_one => head.len as usize,
            Room::OneBatch => return Ok((Read::default(), None)),
        };
        let limits = Limits { bound, bytes, at_least_one: false };
        let Some((read, run)) = self.read_file(p, place, &limits).await? else {
            return Ok((Read::default(), segment));
        };
        let end = Place { position: place.position + to_u32(read.bytes), ..place };
        self.note(p, end, run, 0, None);
        Ok((read, segment))
    }

    /// The first batch that ends at or above `from` and has a record with a timestamp at or above `time`, whole; `None` if
    /// there is none. Of the batch that holds `from`, that record may lie below it: whoever finds none above asks again
    /// from the next batch on.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn batch_at_time(
        &self,
        id: PartitionId,
        time: Timestamp,
        from: Offset,
    ) -> Result<Option<Read>, ReadError> {
        let p = self.partition(id).map_err(unknown)?;
        let Some((place, head)) = self.find(&p, &Target::Time(time, from)).await? else {
            return Ok(None);
        };
        self.one_batch(&p, place, head).await.map(Some)
    }

    /// The batch that holds the record with the largest timestamp, whole; `None` if the log is empty.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn batch_of_max_timestamp(&self, id: PartitionId) -> Result<Option<Read>, ReadError> {
        let p = self.partition(id).map_err(unknown)?;
        let offset = {
            let p = p.borrow();
            let best = p.log.segments().iter().rev().max_by_key(|s| s.max_timestamp);
            best.filter(|s| s.max_timestamp.0 >= 0).map(|s| s.max_timestamp_batch)
        };
        let Some(offset) = offset else { return Ok(None) };
        let start = p.borrow().log.start();
        let found = self.find(&p, &Target::Offset(offset.max(start))).await?;
        let Some((place, head)) = found else { return Ok(None) };
        self.one_batch(&p, place, head).await.map(Some)
    }

    async fn one_batch(&self, p: &Shared, place: Place, head: Head) -> Result<Read, ReadError> {
        let bound = head.last.next();
        if let Some(read) = read_tail(p, place, head, bound, head.len as usize) {
            return Ok(read);
        }
        let limits = Limits { bound, bytes: head.len as usize, at_least_one: false };
        Ok(self.read_file(p, place, &limits).await?.map_or_else(Read::default, |(read, _)| read))
    }

    /// Walks batch headers from the index entry below the target to the batch that holds it.
    async fn find(&self, p: &Shared, target: &Target) -> Result<Option<(Place, Head)>, ReadError> {
        let first = || {
            let p = p.borrow();
            let segments = p.log.segments();
            match target {
                Target::Offset(o) => p.log.segment_of(*o).map(|s| s.name),
                Target::Time(t, from) => {
                    let late = |s: &&log::Segment| s.max_timestamp >= *t && s.end > *from;
                    segments.iter().find(late).map(|s| s.name)
                }
            }
        };
        let mut next = first();
        let mut restarts = 0;
        while let Some(name) = next {
            let found = self.find_in_segment(p, name, target).await;
            if p.borrow().log.segment(name).is_none() && restarts < REPLACED_TRIES {
                // It has left the log, and compaction may have put another one in its place: what was found, and what was
                // not, means nothing.
                restarts += 1;
                next = first();
                continue;
            }
            if let Some(found) = found? {
                return Ok(Some(found));
            }
            // The segment ends below the target (its last records were compacted away): it is in the next one.
            let p = p.borrow();
            next = p.log.segments().iter().map(|s| s.name).find(|n| *n > name);
        }
        Ok(None)
    }

    async fn find_in_segment(
        &self,
        p: &Shared,
        name: SegmentName,
        target: &Target,
    ) -> Result<Option<(Place, Head)>, ReadError> {
        let floor = self.floor(p, name, target).await;
        let found = self.walk(p, name, target, floor).await;
        let misled = match (&found, target) {
            // The batch of an index entry begins at or below the target.
            (Ok(Some((place, head))), Target::Offset(o)) => {
                place.position == floor && head.base > *o
            }
            (Err(ReadError::Corrupt { .. }), _) => true,
            (Ok(_) | Err(_), _) => false,
        };
        if floor > 0 && misled {
            // Perhaps only the index is damaged.
            return self.walk(p, name, target, 0).await;
        }
        found
    }

    async fn walk(
        &self,
        p: &Shared,
        name: SegmentName,
        target: &Target,
        from: u32,
    ) -> Result<Option<(Place, Head)>, ReadError> {
        let mut position = from;
        // Base offsets continue, or a batch whose offset is damaged would be passed over as if it were another one.
        let mut expected = (from == 0).then_some(name.base);
        let mut window: Option<(u32, Slice)> = None;
        loop {
            let mut header = [0; BATCH_HEADER];
            let (len, start, compacted) = {
                let p = p.borrow();
                let Some(s) = p.log.segment(name) else { return Ok(None) };
                if position >= s.len {
                    return match expected {
                        Some(e) if e != s.end => {
                            Err(corrupt(name, position, "the last batch is not the last"))
                        }
                        Some(_) | None => Ok(None),
                    };
                }
                if p.tail.peek(name, position, &mut header) == BATCH_HEADER {
                    (BATCH_HEADER, p.log.start(), s.compacted)
                } else {
                    (0, p.log.start(), s.compacted)
                }
            };
            if len == 0 {
                let held = window.as_ref().and_then(|(at, bytes)| {
                    bytes.get((position.checked_sub(*at)?) as usize..)?.get(..BATCH_HEADER)
                });
                if let Some(bytes) = held {
                    header.copy_from_slice(bytes);
                } else {
                    let from = floor_block(position);
                    let bytes = self.read_blocks(p, name, from, WINDOW).await?;
                    let here = bytes.get((position - from) as usize..).unwrap_or(&[]);
                    let Some(here) = here.get(..BATCH_HEADER) else {
                        return Err(corrupt(name, position, "the file ends inside a batch header"));
                    };
                    header.copy_from_slice(here);
                    window = Some((from, bytes));
                }
            }
            let Some(head) = Head::parse(&header) else {
                return Err(corrupt(name, position, "no batch header"));
            };
            if expected.is_some_and(|e| !follows(e, head.base, compacted)) {
                return Err(corrupt(name, position, "offsets do not continue"));
            }
            expected = Some(head.last.next());
            let hit = match target {
                Target::Offset(o) => head.last >= *o,
                Target::Time(t, from) => head.max_timestamp >= *t && head.last >= start.max(*from),
            };
            if hit {
                return Ok(Some((Place { segment: name, position }, head)));
            }
            position = position.saturating_add(head.len);
        }
    }

    async fn floor(&self, p: &Shared, name: SegmentName, target: &Target) -> u32 {
        if let Some(known) = known_floor(&p.borrow(), name, target) {
            return known;
        }
        // An index only saves time. One that cannot be read now is read another time.
        let Some(cold) = self.load_index(p, name).await else { return 0 };
        let floor = target.floor(name, &cold);
        self.inner.cold_indexes.keep(p, name, cold);
        let bytes = self.inner.cold_indexes.bytes() as u64;
        self.inner.count(|c| c.cold_index_bytes = bytes);
        floor
    }

    /// The index in the file. One that makes no sense is empty: so it is not read again.
    async fn load_index(&self, p: &Shared, name: SegmentName) -> Option<Rc<Index>> {
        let len = p.borrow().log.segment(name).map_or(0, |s| s.len);
        let entries = match self.index_entries(p, name).await {
            Ok(entries) => entries,
            Err(ReadError::Corrupt { .. }) => Vec::new(),
            Err(_) => return None,
        };
        let within = entries.last().is_none_or(|last| last.position < len);
        Some(Rc::new(Index::from_entries(entries).filter(|_| within).unwrap_or_default()))
    }

    /// The entries of the index file that are not in memory; fewer if the file is shorter than it should be.
    pub(crate) async fn index_entries(
        &self,
        p: &Shared,
        name: SegmentName,
    ) -> Result<Vec<IndexEntry>, ReadError> {
        let (id, count) = {
            let p = p.borrow();
            (p.id, p.files.get(&name).map_or(0, |f| f.index_base))
        };
        if count == 0 {
            return Ok(Vec::new());
        }
        let path = self.inner.paths.segment(id, name, "index");
        let open = Open { read: true, direct: true, ..Open::default() };
        let file = self.inner.rt.disk().open(&path, open).await.map_err(|e| io_error(&e))?;
        let wanted = count as usize * IndexEntry::LEN;
        let mut entries = Vec::with_capacity(count as usize);
        let mut at = 0;
        while at < wanted {
            let part = (wanted - at).next_multiple_of(BLOCK).min(1 << 20);
            let bytes = file.read_at(at as u64, part).await.map_err(|e| io_error(&e))?;
            if bytes.is_empty() {
                break;
            }
            for e in bytes[..bytes.len().min(wanted - at)].chunks_exact(IndexEntry::LEN) {
                let e: &[u8; IndexEntry::LEN] = e.try_into().unwrap_or(&[0; IndexEntry::LEN]);
                entries.push(IndexEntry::from_bytes(e));
            }
            at += bytes.len();
        }
        Ok(entries)
    }

    async fn open_segment(
        &self,
        p: &Shared,
        name: SegmentName,
        at: u32,
    ) -> Result<File, ReadError> {
        let id = p.borrow().id;
        let known = self.inner.readers.borrow_mut().get(id, name);
        if let Some(file) = known {
            return Ok(file);
        }
        let path = self.inner.paths.segment(id, name, "log");
        let open = Open { read: true, direct: true, ..Open::default() };
        let file = match self.inner.rt.disk().open(&path, open).await {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(corrupt(name, at, "the file is missing"));
            }
            Err(e) => return Err(io_error(&e)),
        };
        // It may have left the log meanwhile; then nobody would close it.
        if p.borrow().log.segment(name).is_some() && !p.borrow().deleted {
            self.inner.readers.borrow_mut().put(id, name, file.clone());
        }
        Ok(file)
    }

    /// Bytes of a segment from the block at `from`: from its file as far as that is written, and behind that, for a batch that
    /// lies across the two, from the rest log and the tail. Fewer than `wanted` only at the end of the segment.
    pub(crate) async fn read_blocks(
        &self,
        p: &Shared,
        name: SegmentName,
        from: u32,
        wanted: usize,
    ) -> Result<Slice, ReadError> {
        let (written, len) = {
            let p = p.borrow();
            let len = p.log.segment(name).map_or(0, |s| s.len);
            (p.files.get(&name).map_or(0, |f| f.written), len)
        };
        let available = written.next_multiple_of(BLOCK as u32).saturating_sub(from) as usize;
        let in_file = wanted.next_multiple_of(BLOCK).min(available);
        let to = from.saturating_add(to_u32(wanted)).min(len);
        if in_file == 0 {
            let found = rest_log::above(&self.inner, p, name, from, to).await;
            return match found.stop {
                Some(_) if !found.slices.is_empty() => Ok(found.whole(self.inner.rt.memory())),
                Some(Stop::Missing) => {
                    Err(corrupt(name, from, "bytes are neither in memory nor in a file"))
                }
                Some(Stop::Damaged(_)) => {
                    Err(corrupt(name, from, "a piece of the rest log is damaged"))
                }
                Some(Stop::Io(e)) => Err(io_error(&e)),
                None => Ok(found.whole(self.inner.rt.memory())),
            };
        }
        let file = self.open_segment(p, name, from).await?;
        let turn = self.inner.cold.device().await;
        let memory = self.inner.cold.buffers();
        let read = file.read_at_into(memory, u64::from(from), in_file).await;
        drop(turn);
        let bytes = read.map_err(|e| io_error(&e))?;
        self.inner.count(|c| {
            c.cold_reads += 1;
            c.cold_bytes += bytes.len() as u64;
        });
        if bytes.len() != in_file || from + to_u32(in_file) >= to {
            return Ok(bytes);
        }
        let behind = rest_log::above(&self.inner, p, name, from + to_u32(in_file), to).await;
        if behind.slices.is_empty() {
            return Ok(bytes);
        }
        let all = bytes.len() + (behind.end - from) as usize - in_file;
        let mut whole = self.inner.rt.memory().alloc_beyond(all);
        whole.append(&bytes);
        behind.append_to(&mut whole);
        Ok(whole.freeze())
    }

    /// Whole batches from `place` on; none if the segment has left the log meanwhile.
    async fn read_file(
        &self,
        p: &Shared,
        place: Place,
        limits: &Limits,
    ) -> Result<Option<(Read, Run)>, ReadError> {
        let name = place.segment;
        let from = floor_block(place.position);
        let skip = (place.position - from) as usize;
        let bytes = self.read_blocks(p, name, from, skip + limits.bytes).await?;
        let p = p.borrow();
        if p.log.segment(name).is_none_or(|s| s.len <= place.position) {
            return Ok(None);
        }
        let Some(run) = cut(&p, name, from, &bytes, skip, limits)? else {
            return Err(corrupt(name, place.position, "no whole batch"));
        };
        let read = Read {
            bytes: run.end - skip,
            slices: vec![bytes.slice(skip..run.end)],
            from_tail: false,
        };
        Ok(Some((read, run)))
    }
}

/// The whole batches within the limits that begin at `skip` in `bytes`, which begin at `from` in the segment, each checked;
/// none if there is not one.
fn cut(
    p: &Partition,
    name: SegmentName,
    from: u32,
    bytes: &[u8],
    skip: usize,
    limits: &Limits,
) -> Result<Option<Run>, ReadError> {
    let Some(s) = p.log.segment(name) else { return Ok(None) };
    let mut at = skip;
    let mut run: Option<Run> = None;
    while let Some(head) = bytes.get(at..).and_then(Head::parse) {
        let position = from + to_u32(at);
        let len = head.len as usize;
        let fits = at + len - skip <= limits.bytes || (run.is_none() && limits.at_least_one);
        if position >= s.len || head.base >= limits.bound || !fits {
            break;
        }
        let Some(batch) = bytes.get(at..at + len) else { break };
        let stored = u32::from_be_bytes([batch[17], batch[18], batch[19], batch[20]]);
        if crc32c::crc32c(&batch[21..]) != stored {
            return Err(corrupt(name, position, "the batch's checksum does not match"));
        }
        if run.is_some_and(|r| !follows(r.next, head.base, s.compacted))
            || head.base < s.name.base
            || head.last >= s.end
        {
            return Err(corrupt(name, position, "offsets do not continue"));
        }
        if head.base >= p.log.start() && p.log.epochs().at(head.base) != Some(head.epoch) {
            return Err(corrupt(name, position, "the leader epoch is not the one of this offset"));
        }
        at += len;
        let first = run.map_or(head.base, |r| r.first);
        run = Some(Run { first, next: head.last.next(), end: at, batch: head.len });
    }
    Ok(run)
}

/// Where a segment is to be walked from, as far as indexes in memory say it: zero if it is not there.
fn known_floor(p: &Partition, name: SegmentName, target: &Target) -> Option<u32> {
    let Some(s) = p.log.segment(name) else { return Some(0) };
    let f = p.files.get(&name);
    let base = f.map_or(0, |f| f.index_base);
    let floor = target.floor(name, &s.index);
    let warm = s
        .index
        .entries()
        .first()
        .is_some_and(|first| floor >= first.position && covers(target, name, first));
    if base == 0 || warm {
        return Some(floor);
    }
    f.and_then(|f| f.cold_index.as_ref()).map(|cold| target.floor(name, cold))
}

/// Whether the part of the index that is in memory can answer for the target.
fn covers(target: &Target, name: SegmentName, first: &IndexEntry) -> bool {
    match target {
        Target::Offset(o) => *o - name.base >= i64::from(first.offset),
        Target::Time(t, _) => first.max_timestamp_before < *t,
    }
}

/// Cuts a run of whole batches out of the tail; `None` if its first byte is not in memory.
fn read_tail(
    p: &Shared,
    place: Place,
    first: Head,
    bound: Offset,
    max_bytes: usize,
) -> Option<Read> {
    let p = p.borrow();
    let s = p.log.segment(place.segment).filter(|s| s.len > place.position)?;
    if p.tail.begins(place.segment).is_none_or(|begins| begins > place.position) {
        return None;
    }
    // Often the bound is the end of what is durable, and its position is known: then nothing has to be walked.
    let limit = match p.durable_place {
        _ if bound >= s.end => s.len,
        Some(d) if bound == p.durable && d.segment == place.segment => d.position,
        _ => u32::MAX,
    };
    let mut end = place.position + first.len;
    if limit != u32::MAX && (limit - place.position) as usize <= max_bytes {
        end = limit;
    } else {
        let wanted = place.position.saturating_add(to_u32(max_bytes));
        end = end.max(s.index.floor_by_position(wanted.min(limit).min(s.len)));
        let mut header = [0; BATCH_HEADER];
        // The index may know a position beyond the bound, when that is not the durable end.
        if limit == u32::MAX {
            end = place.position + first.len;
        }
        while end < s.len.min(limit) && p.tail.peek(place.segment, end, &mut header) == BATCH_HEADER
        {
            let Some(head) = Head::parse(&header) else { break };
            let fits = (end - place.position) as usize + head.len as usize <= max_bytes;
            if head.base >= bound || !fits {
                break;
            }
            end += head.len;
        }
    }
    let slices = p.tail.slices(place.segment, place.position, end)?;
    Some(Read { slices, bytes: (end - place.position) as usize, from_tail: true })
}

/// Whether a batch that begins with `base` may follow one that ends before `expected`: compaction leaves gaps.
fn follows(expected: Offset, base: Offset, compacted: bool) -> bool {
    base == expected || (compacted && base > expected)
}

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn unknown(_: Refusal) -> ReadError {
    ReadError::UnknownPartition
}

fn io_error(e: &io::Error) -> ReadError {
    ReadError::Io(e.to_string())
}

fn corrupt(segment: SegmentName, position: u32, why: &'static str) -> ReadError {
    ReadError::Corrupt { segment, position, why }
}
