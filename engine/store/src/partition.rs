//! One partition as the store keeps it: the machine, its bytes in memory, and what its files hold.

use crate::format::BLOCK;
use crate::format::manifest::{RestPiece, State};
use crate::format::record::Type;
use crate::journal::Entry;
use crate::planted::{self, Planted};
use crate::segment_files::SegmentFiles;
use crate::tail::Tail;
use ids::{Offset, PartitionId, Timestamp};
use log::{Log, Place, SegmentName};
use runtime::{File, Memory};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// What the store reads of a partition's configuration; may change at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionConfig {
    /// Segments and index.
    pub log: log::Config,
    /// Acknowledged means flushed; otherwise it means that the commit's write has completed.
    pub fsync: bool,
}

impl Default for PartitionConfig {
    fn default() -> Self {
        Self { log: log::Config::default(), fsync: true }
    }
}

/// A segment's file that is open for writing; counted for as long as it is kept.
#[derive(Debug)]
pub(crate) struct OpenFile {
    file: File,
    open: Rc<Cell<usize>>,
}

impl OpenFile {
    /// `open` is how many the store of this core has.
    pub(crate) fn new(file: File, open: &Rc<Cell<usize>>) -> Self {
        open.set(open.get() + 1);
        Self { file, open: Rc::clone(open) }
    }

    /// A handle for whoever uses it now.
    pub(crate) fn handle(&self) -> File {
        self.file.clone()
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.open.set(self.open.get() - 1);
    }
}

/// A segment's files. Positions are bytes of the segment.
#[derive(Debug, Default)]
pub(crate) struct SegmentFile {
    /// Open while it is used.
    pub(crate) file: Option<OpenFile>,
    /// Blocks below this have been handed to the device, or are about to be: none is ever handed over twice.
    pub(crate) submitted: u32,
    /// Blocks below this can be read from the file.
    pub(crate) written: u32,
    /// What the manifest says; recovery begins here.
    pub(crate) durable: u32,
    /// Space that has been allocated.
    pub(crate) allocated: u64,
    /// Entries in the index file.
    pub(crate) index_written: u32,
    /// How many entries come before the first one in memory: those are only in the index file.
    pub(crate) index_base: u32,
    /// The part of the index that was read back from its file.
    pub(crate) cold_index: Option<Rc<log::Index>>,
    /// Written since its last sync.
    pub(crate) unsynced: bool,
    /// The index file, if it was written by compaction and is not synced yet.
    pub(crate) unsynced_index: Option<File>,
}

/// The state after commit N, kept because an append came before the checkpoint did.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) log: Log,
    pub(crate) last_record: u64,
}

/// One partition. Lives on its core, from its creation or recovery until its deletion.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) id: PartitionId,
    pub(crate) log: Log,
    pub(crate) config: PartitionConfig,
    pub(crate) tail: Tail,
    pub(crate) files: SegmentFiles,
    /// Chunks of the tail that a file holds and that could not go, because an older one had not been written yet.
    pub(crate) held_up: usize,
    /// It has been mentioned as one whose oldest chunk the rest log holds.
    pub(crate) mentioned: bool,
    /// Live pieces of the rest log, by segment and position.
    pub(crate) rest: Vec<RestPiece>,
    /// The commit of its last record.
    pub(crate) last_record: u64,
    /// The end that has been written, and the end that has been flushed.
    pub(crate) written: Offset,
    pub(crate) durable: Offset,
    /// Where the flushed bytes end.
    pub(crate) durable_place: Option<Place>,
    /// Changed since the state that the manifest holds.
    pub(crate) dirty: bool,
    /// The last checkpoint whose state this partition has kept or given.
    pub(crate) checkpoint: u64,
    /// The last checkpoint that is through with this partition: until then only the checkpoint writes its blocks.
    pub(crate) processed: u64,
    pub(crate) snapshot: Option<Box<Snapshot>>,
    /// The manifest has an entry for it.
    pub(crate) listed: bool,
    /// A task writes its blocks; there is never more than one.
    pub(crate) writing: bool,
    pub(crate) incomplete: Option<String>,
    /// The end of records that were replayed after it had become incomplete: they are known to be lost.
    pub(crate) seen_end: Offset,
    /// Of an incomplete one: no offset from here on was ever given to a record, as far as this is above the log's end.
    pub(crate) unused_from: Offset,
    /// A commit with records of this partition is missing, and no later one says how far those went.
    pub(crate) lost_end: bool,
    pub(crate) deleted: bool,
    /// Segments that compaction has taken out of the log. The manifest may still name them: their files stay until a
    /// checkpoint that began afterwards is durable, which empties this list.
    pub(crate) replaced: Vec<SegmentName>,
    /// Its directory exists.
    pub(crate) has_directory: bool,
}

/// A partition as its core shares it among its own tasks. Never held across an await.
pub(crate) type Shared = Rc<RefCell<Partition>>;

/// What [`Partition::evict`] leaves alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mercy {
    /// A chunk of which somebody holds bytes.
    WhatIsHeld,
    /// Nothing.
    None,
}

/// What [`Partition::evict`] has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Evicted {
    /// Whatever there was to do; the partition is to be mentioned again before the next.
    Last,
    /// A chunk has gone, and the next one may.
    More,
    /// Nothing: somebody holds bytes of the oldest chunk, so that dropping it would give no memory back.
    Held,
}

impl Partition {
    /// How many of its segments' files are open for writing.
    pub(crate) fn open_files(&self) -> usize {
        self.files.values().filter(|f| f.file.is_some()).count()
    }

    /// Drops the oldest chunk of the tail if its segment's file and the rest log hold all of it. If not, one that is younger
    /// waits for it: memory holds the end of the log, and nothing before it. The next write or checkpoint mentions it again.
    ///
    /// [`Evicted::More`] if the next chunk may go too, and nobody will say so.
    pub(crate) fn evict(&mut self, mercy: Mercy) -> Evicted {
        if mercy == Mercy::WhatIsHeld && self.can_evict() && self.tail.oldest_is_shared() {
            return Evicted::Held;
        }
        self.mentioned = false;
        if !self.can_evict() {
            self.held_up += usize::from(self.tail.len() > 0);
            return Evicted::Last;
        }
        self.tail.drop_oldest();
        self.mentioned = self.can_evict();
        if self.mentioned { Evicted::More } else { Evicted::Last }
    }

    /// Whether the oldest chunk of the tail can be read from somewhere else.
    pub(crate) fn can_evict(&self) -> bool {
        let Some((segment, _, end)) = self.tail.chunks().next() else { return false };
        let written = self.files.get(&segment).map_or(0, |f| f.written);
        end <= self.rest_end(segment, written)
    }

    /// A checkpoint has brought what it has to the rest log: how often to mention it, see [`Partition::evict`].
    pub(crate) fn mentions(&mut self) -> usize {
        if !self.can_evict() {
            return 0;
        }
        let first = usize::from(!std::mem::replace(&mut self.mentioned, true));
        (std::mem::take(&mut self.held_up) + first).min(self.tail.len())
    }

    pub(crate) fn new(id: PartitionId, config: PartitionConfig) -> Self {
        Self {
            id,
            log: Log::default(),
            config,
            tail: Tail::default(),
            files: SegmentFiles::default(),
            held_up: 0,
            mentioned: false,
            rest: Vec::new(),
            last_record: 0,
            written: Offset::ZERO,
            durable: Offset::ZERO,
            durable_place: None,
            dirty: false,
            checkpoint: 0,
            processed: 0,
            snapshot: None,
            listed: false,
            writing: false,
            incomplete: None,
            seen_end: Offset::ZERO,
            unused_from: Offset::ZERO,
            lost_end: false,
            deleted: false,
            replaced: Vec::new(),
            has_directory: false,
        }
    }

    /// Takes a recovered state, except for the bytes.
    pub(crate) fn from_state(id: PartitionId, config: PartitionConfig, state: State) -> Self {
        let mut p = Self::new(id, config);
        for f in &state.files {
            let file = SegmentFile {
                submitted: f.bytes,
                written: f.bytes,
                durable: f.bytes,
                index_written: f.index_entries,
                index_base: f.index_entries,
                ..SegmentFile::default()
            };
            p.files.insert(f.name, file);
        }
        p.log = state.log;
        p.rest = state.rest;
        p.last_record = state.last_record;
        p.incomplete = state.incomplete;
        p.unused_from = state.unused_from;
        p.listed = true;
        p.has_directory = !p.files.is_empty();
        p.settle();
        p
    }

    /// The first offset that no record ever had, of a log that ends at `end`: what an entry says.
    pub(crate) fn unused_from(&self, end: Offset, incomplete: bool) -> Offset {
        if incomplete { self.unused_from.max(self.seen_end).max(end) } else { end }
    }

    /// A person has decided to go on without the missing records.
    pub(crate) fn end_mark(&mut self) -> Option<String> {
        self.seen_end = Offset::ZERO;
        self.unused_from = Offset::ZERO;
        self.lost_end = false;
        self.incomplete.take()
    }

    /// Everything that is here is durable: the state right after recovery.
    pub(crate) fn settle(&mut self) {
        self.written = self.log.end();
        self.durable = self.log.end();
        self.durable_place =
            self.log.segments().last().map(|s| Place { segment: s.name, position: s.len });
    }

    /// Called before every change: keeps the state after commit N of checkpoint `number` before the first change after it.
    pub(crate) fn keep_for(&mut self, number: u64) {
        if self.checkpoint < number {
            self.checkpoint = number;
            if self.dirty {
                self.snapshot = Some(Box::new(Snapshot {
                    log: self.log.without_index(),
                    last_record: self.last_record,
                }));
            }
        }
        self.dirty = true;
    }

    /// A record of something other than a batch.
    pub(crate) fn entry(&self, kind: Type, offset: Offset, at: Timestamp) -> Entry {
        let place = Place {
            segment: SegmentName { base: Offset::ZERO, creation: self.log.next_creation() },
            position: 0,
        };
        Entry {
            kind,
            partition: self.id,
            generation: self.log.generation(),
            previous: self.last_record,
            offset,
            epoch: self.log.epochs().latest(),
            place,
            at,
        }
    }

    /// How many bytes of `segment` are flushed in the ring, or further on.
    pub(crate) fn durable_bytes(&self, segment: SegmentName) -> u32 {
        let Some(s) = self.log.segment(segment) else { return 0 };
        if planted::is(Planted::SegmentBeforeItsFlush) {
            return s.len;
        }
        match self.durable_place {
            Some(place) if place.segment == segment => place.position.min(s.len),
            Some(place) if segment < place.segment => s.len,
            _ => 0,
        }
    }

    /// Forgets files, memory and rest of segments that have left the log; returns their names.
    pub(crate) fn forget(&mut self, dropped: &[SegmentName]) {
        self.files.remove_all(dropped);
        for name in dropped {
            self.rest.retain(|r| r.segment != *name);
        }
        match self.log.segments().first() {
            Some(first) => self.tail.drop_before(first.name),
            None => self.tail.clear(),
        }
    }

    /// Follows a truncation of the log, which has dropped these segments. `cut` is the segment that has lost its end, and how
    /// many entries of its index are left.
    ///
    /// Writes of its blocks that are under way may end later: they hold the same bytes below the cut, and nothing above it
    /// counts, so that they are counted as ever. What is known of commits is another matter: see `Store::truncate`.
    pub(crate) fn follow_truncation(
        &mut self,
        memory: &Memory,
        dropped: &[SegmentName],
        cut: Option<(SegmentName, u32)>,
    ) {
        self.files.remove_all(dropped);
        for name in dropped {
            self.rest.retain(|r| r.segment != *name);
        }
        let last = self.log.segments().last().map(|s| Place { segment: s.name, position: s.len });
        self.tail.truncate(memory, last.map(|p| (p.segment, p.position)));
        if let Some((name, entries)) = cut
            && let Some(f) = self.files.get_mut(&name)
        {
            f.index_written = f.index_written.min(entries);
            f.index_base = f.index_base.min(entries);
            f.cold_index = None;
        }
        let end = self.log.end();
        self.written = self.written.min(end);
        self.durable = self.durable.min(end);
        let beyond =
            |d: Place, last: Place| (d.segment, d.position) > (last.segment, last.position);
        self.durable_place = match (self.durable_place, last) {
            (Some(durable), Some(last)) if beyond(durable, last) => Some(last),
            (durable, Some(_)) => durable,
            (_, None) => None,
        };
    }

    /// Before bytes go to `place`, the end of the log: memory may have given up the block that they lie in.
    pub(crate) fn resume_tail(&mut self, memory: &Memory, place: Place, wanted: usize) {
        let Place { segment, position } = place;
        if floor_block(position) == position || self.tail.ends_at(segment, position) {
            return;
        }
        let written = self.files.get(&segment).map_or(0, |f| f.written);
        let held = self.rest_end(segment, written);
        assert!(held >= position, "segment {segment} is held up to {held}, not to {position}");
        self.tail.resume(memory, segment, position, wanted);
    }

    /// The end of the part of `segment` that the rest log holds, at least `from`.
    pub(crate) fn rest_end(&self, segment: SegmentName, from: u32) -> u32 {
        let mut end = from;
        for r in self.rest.iter().filter(|r| r.segment == segment) {
            if r.position <= end {
                end = end.max(r.position + r.length);
            }
        }
        end
    }
}

/// `position` rounded down to whole blocks.
pub(crate) fn floor_block(position: u32) -> u32 {
    position - position % BLOCK as u32
}
