//! The new segment of a group: its file, its index, and what the log must know of it.
//!
//! The files are nobody's until the swap. They are written once, from the front. Nothing is synced here: the checkpoint whose
//! entry names them syncs them first, beside the files of everybody else, so that the device flushes once for all.

use crate::format::{BLOCK, blocks};
use crate::partition::{OpenFile, SegmentFile};
use crate::planted::{self, Planted};
use crate::store::Inner;
use ids::{Offset, PartitionId, ProducerEpoch, ProducerId, Timestamp};
use log::{Config, Index, IndexEntry, Segment, SegmentName};
use record::BatchHeader;
use runtime::{Buffer, File, Open};
use std::io;
use std::rc::Rc;

/// Bytes of one write.
const CHUNK: usize = 256 * 1024;
/// Space is taken in steps of this; what is too much is given back at the end.
pub(super) const ALLOCATE: u64 = 8 << 20;

/// What the log takes over.
pub(super) struct Finished {
    pub(super) segment: Segment,
    pub(super) file: SegmentFile,
}

pub(super) struct Output {
    inner: Rc<Inner>,
    id: PartitionId,
    name: SegmentName,
    config: Config,
    file: Option<File>,
    allocated: u64,
    /// Bytes handed to the device, and behind them those that wait.
    written: u64,
    buffer: Option<Buffer>,
    len: u32,
    index: Index,
    max_timestamp: Timestamp,
    max_timestamp_batch: Offset,
    first_timestamp: Option<Timestamp>,
    dropped: u64,
    /// Offsets of the transaction markers that stay.
    markers: Vec<Offset>,
    changed: bool,
    /// The device has been waited for since somebody asked.
    waited: bool,
    /// An empty batch that holds the end of a segment: written only if nothing comes behind it.
    held: Option<(BatchHeader, Vec<u8>)>,
}

impl Output {
    pub(super) fn new(
        inner: Rc<Inner>,
        id: PartitionId,
        name: SegmentName,
        config: Config,
    ) -> Self {
        Self {
            inner,
            id,
            name,
            config,
            file: None,
            allocated: 0,
            written: 0,
            buffer: None,
            len: 0,
            index: Index::default(),
            max_timestamp: Timestamp::NONE,
            max_timestamp_batch: name.base,
            first_timestamp: None,
            dropped: 0,
            markers: Vec::new(),
            changed: false,
            waited: false,
            held: None,
        }
    }

    /// Whether `next` becomes part of this segment, which begins at `base`.
    pub(super) fn takes_in(&self, base: Offset, next: &Segment) -> bool {
        log::takes_in(base, self.len, next, &self.config)
    }

    /// Keeps an empty batch that is needed only if the segment ends here.
    pub(super) fn hold(&mut self, old: &BatchHeader, bytes: &[u8]) {
        self.changed |= self.held.is_some();
        self.held = Some((*old, bytes.to_vec()));
    }

    /// Whose transaction the empty batch belongs to that is written only if nothing comes behind it.
    pub(super) fn held_transaction(&self) -> Option<(ProducerId, ProducerEpoch)> {
        let (h, _) = self.held.as_ref()?;
        let of_one = h.attributes.is_transactional() && !h.attributes.is_control();
        of_one.then_some((h.producer_id, h.producer_epoch))
    }

    /// Nothing comes any more: what is held becomes the end.
    pub(super) async fn release(&mut self) -> io::Result<()> {
        let Some((old, bytes)) = self.held.take() else { return Ok(()) };
        let empty = BatchHeader { count: 0, ..old };
        self.push(&empty, Timestamp::NONE, 0, &bytes).await
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// Whether anything was left out or rewritten.
    pub(super) fn changed(&self) -> bool {
        self.changed
    }

    /// A batch was written anew, perhaps with as many bytes as before.
    pub(super) fn note_change(&mut self) {
        self.changed = true;
    }

    /// Whether the device has been waited for since this was asked last.
    pub(super) fn take_waited(&mut self) -> bool {
        std::mem::take(&mut self.waited)
    }

    /// Records that were left out.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Offsets of the transaction markers that stay, rising.
    pub(super) fn markers(&self) -> &[Offset] {
        &self.markers
    }

    /// Nothing of this batch stays.
    pub(super) fn drop_batch(&mut self, old: &BatchHeader) {
        self.dropped += u64::try_from(old.count).unwrap_or(0);
        self.changed = true;
    }

    /// Appends a batch that was `old` and has `records` records now.
    pub(super) async fn push(
        &mut self,
        old: &BatchHeader,
        max_timestamp: Timestamp,
        records: i32,
        bytes: &[u8],
    ) -> io::Result<()> {
        // Something comes behind what was held: it holds no end any more.
        self.changed |= self.held.take().is_some();
        self.dropped += u64::try_from(old.count - records).unwrap_or(0);
        if old.attributes.is_control() && records > 0 {
            self.markers.push(old.base_offset);
        }
        let entry = IndexEntry {
            offset: u32::try_from(old.base_offset - self.name.base).unwrap_or(u32::MAX),
            position: self.len,
            max_timestamp_before: self.max_timestamp,
        };
        self.index.note(self.name.base, entry, self.config.index_interval_bytes);
        self.first_timestamp.get_or_insert(max_timestamp);
        if max_timestamp > self.max_timestamp {
            self.max_timestamp = max_timestamp;
            self.max_timestamp_batch = old.base_offset;
        }
        let added = u32::try_from(bytes.len()).ok().and_then(|n| self.len.checked_add(n));
        self.len = added.ok_or_else(|| io::Error::other("the compacted segment is too large"))?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let memory = self.inner.rt.memory();
            let buffer = self.buffer.get_or_insert_with(|| memory.alloc_beyond(CHUNK));
            let (now, later) = rest.split_at(rest.len().min(CHUNK - buffer.len()));
            buffer.append(now);
            rest = later;
            if buffer.len() == CHUNK {
                self.write().await?;
            }
        }
        Ok(())
    }

    /// Writes what waits, filled up to whole blocks.
    async fn write(&mut self) -> io::Result<()> {
        let Some(mut buffer) = self.buffer.take().filter(|b| !b.is_empty()) else { return Ok(()) };
        self.waited = true;
        buffer.pad_to(BLOCK);
        let len = buffer.len();
        let file = match &self.file {
            Some(file) => file.clone(),
            None => self.open().await?,
        };
        let end = self.written + len as u64;
        if end > self.allocated {
            let more = (end - self.allocated).next_multiple_of(ALLOCATE);
            self.take_room(&file, self.allocated, more).await?;
            self.allocated += more;
        }
        if let Err(e) = file.write_at(self.written, buffer.slice(0..len)).await {
            self.fault("write", &e);
        }
        self.written = end;
        Ok(())
    }

    /// Only what producers do not need: a disk that is full for them is full for compaction a little earlier.
    async fn take_room(&self, file: &File, at: u64, bytes: u64) -> io::Result<()> {
        if !self.inner.has_room_to_spare(bytes) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.allocate(at, bytes).await
    }

    async fn open(&mut self) -> io::Result<File> {
        let file = self.make("log").await?;
        self.file = Some(file.clone());
        Ok(file)
    }

    /// A new file, whose name the next checkpoint makes durable.
    async fn make(&self, ending: &str) -> io::Result<File> {
        let path = self.inner.paths.segment(self.id, self.name, ending);
        let file = self.inner.open_in_time(&path, new_file()).await?;
        self.inner.unlisted.borrow_mut().insert(self.inner.paths.partition(self.id));
        Ok(file)
    }

    fn fault(&self, what: &str, e: &io::Error) -> ! {
        let (name, id) = (self.name, self.id);
        self.inner.rt.fault(format!("{what} of compacted segment {name} of {id} failed: {e}"))
    }

    /// Writes all that is left; what the log may take over now. `from` are the segments it was made of.
    pub(super) async fn finish(&mut self, from: &[Segment]) -> io::Result<Finished> {
        self.write().await?;
        let Some(log) = self.file.take() else {
            return Err(io::Error::other("a compacted segment without a batch"));
        };
        if self.allocated > self.written {
            log.set_len(self.written).await?;
        }
        let (index, entries) = self.write_index().await?;
        let written = u32::try_from(self.written).unwrap_or(u32::MAX);
        let synced = planted::is(Planted::CompactedNotSynced);
        let file = SegmentFile {
            file: Some(OpenFile::new(log, &self.inner.segment_files)),
            submitted: written,
            written,
            allocated: self.written,
            index_written: entries,
            index_base: entries,
            unsynced: !synced,
            unsynced_index: (!synced).then_some(index),
            ..SegmentFile::default()
        };
        Ok(Finished { segment: self.segment(from), file })
    }

    fn segment(&self, from: &[Segment]) -> Segment {
        let created = from.iter().map(|s| s.created_at).min().unwrap_or_default();
        let mut s = Segment::new(self.name, created);
        s.len = self.len;
        s.end = from.last().map_or(self.name.base, |s| s.end);
        s.max_timestamp = self.max_timestamp;
        s.max_timestamp_batch = self.max_timestamp_batch;
        s.first_timestamp = self.first_timestamp.unwrap_or(Timestamp::NONE);
        s.appended_at = from.iter().map(|s| s.appended_at).max().unwrap_or_default();
        s.compacted = true;
        s.transactional = from.iter().any(|s| s.transactional);
        s.unstable_from = from.first().map_or(s.name.base, |s| s.unstable_from);
        s
    }

    async fn write_index(&self) -> io::Result<(File, u32)> {
        let entries = self.index.entries();
        let file = self.make("index").await?;
        let mut buffer =
            self.inner.rt.memory().alloc_beyond(blocks(entries.len() * IndexEntry::LEN));
        for e in entries {
            buffer.append(&e.to_bytes());
        }
        buffer.pad_to(BLOCK);
        let len = buffer.len();
        self.take_room(&file, 0, len as u64).await?;
        if let Err(e) = file.write_at(0, buffer.slice(0..len)).await {
            self.fault("write of the index", &e);
        }
        Ok((file, u32::try_from(entries.len()).unwrap_or(u32::MAX)))
    }

    /// Takes away what was made.
    pub(super) async fn discard(&mut self) {
        self.file = None;
        for ending in ["log", "index"] {
            let path = self.inner.paths.segment(self.id, self.name, ending);
            match self.inner.rt.disk().remove_file(&path).await {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => runtime::tell!("cannot remove {}: {e}", path.display()),
            }
        }
    }
}

/// Truncated: a crash may have left a file of this name, which nobody ever named.
fn new_file() -> Open {
    Open { read: true, write: true, create: true, truncate: true, direct: true, ..Open::default() }
}
