//! The rest log: ends of partitions that are too short for a block of their own, all partitions of the core, sequential.
//!
//! Checkpoints write it, a megabyte at a time. What it holds need not be in memory: an idle partition is read from here, and
//! a block that is full at last is put together from here and the tail. The manifest's entries say where each piece lies, so
//! that a start only checks them.

use crate::format::manifest::{Footer, RestPiece, State};
use crate::format::{BLOCK, blocks, rest};
use crate::partition::{Partition, Shared};
use crate::planted::{self, Planted};
use crate::store::Inner;
use ids::PartitionId;
use log::SegmentName;
use runtime::{File, Memory, Open, Slice};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// How much is written, or read by a check, at a time.
const WINDOW: usize = 1 << 20;

/// The rest log in use.
#[derive(Debug)]
pub(crate) struct RestLog {
    pub(crate) file: Option<File>,
    pub(crate) number: u32,
    pub(crate) len: u64,
    pub(crate) allocated: u64,
    /// The one that was in use before, and its number, while some partitions' pieces still lie in it: in the course of the
    /// checkpoint that has written it anew.
    pub(crate) outgoing: Option<(u32, File)>,
}

impl RestLog {
    /// The file in which `piece` lies.
    fn file_of(&self, piece: &RestPiece) -> Option<&File> {
        match (&self.file, &self.outgoing) {
            (Some(file), _) if piece.file == self.number => Some(file),
            (_, Some((number, file))) if piece.file == *number => Some(file),
            _ => None,
        }
    }
}

/// What one checkpoint adds to the rest log, or all of a new one.
pub(crate) struct Writer {
    /// All that lives is written again, to a new file.
    pub(crate) new: bool,
    pub(crate) number: u32,
    file: Option<File>,
    allocated: u64,
    /// Where the first byte of what is pending goes; whole blocks.
    at: u64,
    pending: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(log: &RestLog, new: bool) -> Self {
        if new {
            let number = log.number + 1;
            return Self { new, number, file: None, allocated: 0, at: 0, pending: Vec::new() };
        }
        Self {
            new,
            number: log.number,
            file: log.file.clone(),
            allocated: log.allocated,
            at: log.len,
            pending: Vec::new(),
        }
    }

    /// How many bytes of the file will count.
    pub(crate) fn end(&self) -> u64 {
        self.at + self.pending.len() as u64
    }

    /// Adds a piece; where it will be.
    ///
    /// # Errors
    /// The disk is full.
    pub(crate) async fn push(
        &mut self,
        inner: &Inner,
        id: PartitionId,
        segment: SegmentName,
        position: u32,
        slices: &[Slice],
    ) -> io::Result<RestPiece> {
        let crc = slices.iter().fold(0, |crc, s| crc32c::crc32c_append(crc, s));
        let length = slices.iter().map(|s| s.len()).sum::<usize>();
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let header = rest::Header { partition: id, segment, position, length, crc };
        self.pending.extend_from_slice(&header.to_bytes());
        let piece = RestPiece { segment, position, length, file: self.number, at: self.end(), crc };
        for s in slices {
            self.pending.extend_from_slice(s);
        }
        self.pending.resize(self.pending.len().next_multiple_of(8), 0);
        if self.pending.len() >= WINDOW {
            let whole = self.pending.len() - self.pending.len() % BLOCK;
            self.write(inner, whole).await?;
        }
        Ok(piece)
    }

    /// Writes the first `n` bytes of what is pending.
    async fn write(&mut self, inner: &Inner, n: usize) -> io::Result<()> {
        let file = self.file(inner).await?;
        let end = self.at + n as u64;
        if end > self.allocated {
            let step = inner.config.thresholds.allocate;
            let more = (end - self.allocated).next_multiple_of(step);
            file.allocate(self.allocated, more).await?;
            self.allocated += more;
            if !self.new {
                inner.rest.borrow_mut().allocated = self.allocated;
            }
        }
        let rest = self.pending.split_off(n);
        let bytes = std::mem::replace(&mut self.pending, rest);
        write_aligned(inner, &file, self.at, &bytes, "rest log").await;
        inner.count(|c| c.rest_bytes += n as u64);
        self.at = end;
        Ok(())
    }

    async fn file(&mut self, inner: &Inner) -> io::Result<File> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let path = inner.paths.rest(inner.generation, inner.core, self.number);
        let open = Open { read: true, write: true, create: true, direct: true, ..Open::default() };
        let file = inner.rt.disk().open(&path, open).await?;
        inner.unlisted.borrow_mut().insert(inner.paths.core(inner.generation, inner.core));
        if !self.new {
            let mut log = inner.rest.borrow_mut();
            log.file = Some(file.clone());
            log.allocated = 0;
            self.allocated = 0;
        }
        self.file = Some(file.clone());
        Ok(file)
    }

    /// Writes what is left and syncs the file, if there is anything new in it.
    ///
    /// # Errors
    /// The disk is full.
    pub(crate) async fn finish(&mut self, inner: &Inner) -> io::Result<()> {
        let begun = if self.new { 0 } else { inner.rest.borrow().len };
        if self.end() == begun && !self.new {
            return Ok(());
        }
        let file = self.file(inner).await?;
        let whole = blocks(self.pending.len());
        self.pending.resize(whole, 0);
        if whole > 0 {
            self.write(inner, whole).await?;
        }
        if planted::is(Planted::RestLogNotSynced) {
            return Ok(());
        }
        if let Err(e) = file.sync_data().await {
            inner.rt.fault(format!("sync of the rest log failed: {e}"));
        }
        Ok(())
    }

    /// The manifest speaks of it: from now on it is the rest log. The number of the one that it replaces, if it does.
    pub(crate) fn take_over(self, log: &mut RestLog, len: u64) -> Option<u32> {
        let old = self.new.then_some(log.number);
        log.len = len;
        if self.new {
            log.outgoing = log.file.take().map(|file| (log.number, file));
            log.number = self.number;
            log.file = self.file;
            log.allocated = self.allocated;
        }
        old
    }
}

/// Writes whole blocks, a megabyte at a time.
pub(crate) async fn write_aligned(inner: &Inner, file: &File, at: u64, bytes: &[u8], what: &str) {
    let mut at = at;
    for part in bytes.chunks(WINDOW) {
        let mut buffer = inner.rt.memory().alloc_beyond(blocks(part.len()));
        buffer.append(part);
        buffer.pad_to(BLOCK);
        let len = buffer.len();
        if let Err(e) = file.write_at(at, buffer.slice(0..len)).await {
            inner.rt.fault(format!("write of the {what} failed: {e}"));
        }
        at += len as u64;
    }
}

/// Why bytes above a segment's blocks are not to be had.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Neither rest log nor memory holds them: they have left the log, or were lost at a start.
    Missing,
    /// The piece of the rest log at this position is not what was written.
    Damaged(u64),
    /// The rest log cannot be read.
    Io(io::Error),
}

/// Bytes of a segment from the rest log and the tail.
#[derive(Debug)]
pub(crate) struct Above {
    /// In order, without a gap.
    pub(crate) slices: Vec<Slice>,
    /// The position after the last one.
    pub(crate) end: u32,
    /// Why that is not as far as was asked for.
    pub(crate) stop: Option<Stop>,
}

impl Above {
    /// Adds the bytes to `out`'s end.
    pub(crate) fn append_to(&self, out: &mut runtime::Buffer) {
        for s in &self.slices {
            out.append(s);
        }
    }

    /// All of them in one.
    pub(crate) fn whole(mut self, memory: &Memory) -> Slice {
        if self.slices.len() == 1
            && let Some(one) = self.slices.pop()
        {
            return one;
        }
        let all = self.slices.iter().map(|s| s.len()).sum::<usize>();
        let mut whole = memory.alloc_beyond(all);
        self.append_to(&mut whole);
        whole.freeze()
    }
}

/// The bytes `from..to` of a segment, which no block in its file holds yet.
pub(crate) async fn above(
    inner: &Inner,
    p: &Shared,
    segment: SegmentName,
    from: u32,
    to: u32,
) -> Above {
    let mut found = Above { slices: Vec::new(), end: from, stop: None };
    while found.end < to {
        let (piece, file) = {
            let p = p.borrow();
            let in_memory = p.tail.run_end(segment, found.end, to);
            if in_memory > found.end
                && let Some(slices) = p.tail.slices(segment, found.end, in_memory)
            {
                found.slices.extend(slices);
                found.end = in_memory;
                continue;
            }
            let log = inner.rest.borrow();
            let piece = piece_at(&p, segment, found.end);
            match piece.and_then(|piece| log.file_of(&piece).map(|file| (piece, file.clone()))) {
                Some(found) => found,
                None => {
                    found.stop = Some(Stop::Missing);
                    return found;
                }
            }
        };
        match read(&file, piece.at, piece.length as usize).await {
            Ok(bytes) if crc32c::crc32c(&bytes) == piece.crc => {
                let skip = (found.end - piece.position) as usize;
                let end = (piece.position + piece.length).min(to);
                let n = (end - found.end) as usize;
                let mut buffer = inner.rt.memory().alloc_beyond(n);
                buffer.append(&bytes[skip..skip + n]);
                found.slices.push(buffer.freeze());
                found.end = end;
            }
            Ok(_) => found.stop = Some(Stop::Damaged(piece.at)),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                found.stop = Some(Stop::Damaged(piece.at));
            }
            Err(e) => found.stop = Some(Stop::Io(e)),
        }
        if found.stop.is_some() {
            return found;
        }
        inner.count(|c| c.rest_reads += 1);
    }
    found
}

/// The piece that holds the byte at `position`.
fn piece_at(p: &Partition, segment: SegmentName, position: u32) -> Option<RestPiece> {
    let holds = |r: &&RestPiece| {
        r.segment == segment && r.position <= position && position < r.position + r.length
    };
    p.rest.iter().find(holds).copied()
}

/// A read of bytes above a segment's blocks, for a writer, ended early: the partition is incomplete from here on, unless the
/// bytes are not wanted any more.
pub(crate) fn on_stop(inner: &Inner, p: &Shared, segment: SegmentName, found: &Above) {
    let Some(stop) = &found.stop else { return };
    let mut p = p.borrow_mut();
    let wanted = p.log.segment(segment).is_some_and(|s| found.end < s.len);
    if p.deleted || !wanted || p.incomplete.is_some() {
        return;
    }
    let why = match stop {
        Stop::Missing => format!("bytes of segment {segment} at {} are missing", found.end),
        Stop::Damaged(at) => format!("a piece of the rest log at {at} is damaged"),
        Stop::Io(e) => {
            let id = p.id;
            drop(p);
            inner.rt.fault(format!("the rest log cannot be read for {id}: {e}"));
        }
    };
    runtime::tell!("partition {} is incomplete: {why}", p.id);
    p.incomplete = Some(why);
    p.dirty = true;
}

/// Reads `len` bytes at `at`.
///
/// # Errors
/// Among others [`io::ErrorKind::UnexpectedEof`].
pub(crate) async fn read(file: &File, at: u64, len: usize) -> io::Result<Vec<u8>> {
    let skip = usize::try_from(at % BLOCK as u64).unwrap_or(0);
    let mut bytes = read_window(file, at - skip as u64, skip + len).await?;
    if bytes.len() < skip + len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    bytes.truncate(skip + len);
    bytes.drain(..skip);
    Ok(bytes)
}

/// At least `wanted` bytes from the block at `from`; fewer at the file's end.
async fn read_window(file: &File, from: u64, wanted: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while bytes.len() < wanted {
        let more = blocks(wanted - bytes.len()).min(WINDOW);
        let part = file.read_at(from + bytes.len() as u64, more).await?;
        if part.is_empty() {
            break;
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

/// Checks every piece that `states` name, in the order of the file: how many there are, and where the damaged ones begin.
pub(crate) async fn check(
    file: Option<&File>,
    footer: &Footer,
    states: &BTreeMap<PartitionId, State>,
) -> io::Result<(u64, BTreeSet<u64>)> {
    let all = states.values().flat_map(|s| &s.rest);
    let mut pieces: Vec<&RestPiece> = all.filter(|r| r.file == footer.rest_file).collect();
    pieces.sort_unstable_by_key(|r| r.at);
    let mut damaged = BTreeSet::new();
    let mut window: (u64, Vec<u8>) = (0, Vec::new());
    for r in &pieces {
        let Some(file) = file else {
            damaged.insert(r.at);
            continue;
        };
        let length = r.length as usize;
        // An entry whose CRC is right does not name bytes beyond the file's end.
        if r.at + u64::from(r.length) > footer.rest_len {
            damaged.insert(r.at);
            continue;
        }
        if r.at + u64::from(r.length) > window.0 + window.1.len() as u64 {
            let from = r.at - r.at % BLOCK as u64;
            let skip = usize::try_from(r.at - from).unwrap_or(0);
            window = (from, read_window(file, from, (skip + length).max(WINDOW)).await?);
        }
        let at = usize::try_from(r.at - window.0).unwrap_or(usize::MAX);
        let bytes = at.checked_add(length).and_then(|end| window.1.get(at..end)).unwrap_or(&[]);
        if bytes.is_empty() || crc32c::crc32c(bytes) != r.crc {
            damaged.insert(r.at);
        }
    }
    Ok((pieces.len() as u64, damaged))
}
