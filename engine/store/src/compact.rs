//! Log compaction, carried out: the newest record of each key stays (KIP-58).
//!
//! One pass does this, in slices (`pace.rs`), so that the core's own work is not held up:
//! 1. **Map**: the dirty part is read; each key's newest offset goes into a map of bounded size. When the map is full the pass
//!    ends there, and the next one goes on.
//! 2. **Write**: all segments below are read, oldest first, in groups that become one segment each. What stays is written to
//!    a new file with a new creation number, then its index. A segment that loses nothing is left as it is.
//! 3. **Swap**: the new segment takes the group's place in the log, in memory, while no checkpoint is under way. The next
//!    checkpoint's entry names it; **that entry is what makes the swap true**. The ring is not involved: its records append
//!    and move the start, which means the same with the old segments and with the new one.
//!
//! A pass syncs nothing and takes no checkpoint: the next one, for whatever reason, syncs the new files and their names with
//! everybody else's before its entry names them. Only when it is durable do the old files go (`replaced.rs`). A reader that
//! has one open keeps it.
//!
//! What a pass writes is room that producers do not have until the old files have gone. So it takes none that would bring the
//! free space near the minimum below which writes are refused: it ends there, and what it has not swapped is undone.
//!
//! A crash before the entry leaves the old segments, whose files are all there, and new files that nobody names; one after it
//! leaves the new segments and old files that nobody names. [`Store::remove_strays`] takes those away after the next start.
//!
//! Records of an aborted transaction go, those of a committed one are records like others, and markers stay until none of their
//! transaction's records is left, and then until their horizon (`transactions.rs`).
//!
//! A batch that is not as it was written (checksum, offsets, epoch, records) ends the pass with nothing swapped from there on:
//! compaction never makes damage permanent.

mod keys;
mod output;
mod pace;
mod replaced;
mod sift;
pub(crate) mod source;
mod transactions;
mod whole;

pub(crate) use self::keys::end_of_transaction;
pub(crate) use self::replaced::{Replaced, settled, start};

use crate::compact::keys::Mapped;
use crate::compact::output::{ALLOCATE, Output};
use crate::compact::pace::Pace;
use crate::compact::sift::Needs;
use crate::compact::source::Source;
use crate::compact::transactions::Left;
use crate::partition::Shared;
use crate::planted::{self, Planted};
use crate::store::{Inner, Refusal, Store, remove_partition_files, unlink_segments};
use crate::txn_index;
use ids::{Offset, PartitionId, Timestamp};
use log::{Candidate, Compaction, Segment, SegmentName};
use record::{CompactOutcome, Compressor, Decompressor};
use runtime::Slice;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::{fmt, io};

/// What a pass may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CompactBudget {
    /// Bytes of the key map (`log.cleaner.dedupe.buffer.size`).
    pub map_bytes: usize,
    /// Bytes read and written in a second (`log.cleaner.io.max.bytes.per.second`).
    pub bytes_per_second: f64,
}

/// What a pass has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactReport {
    /// Everything below this offset is compacted now.
    pub clean_end: Offset,
    /// Bytes read, also those read twice.
    pub bytes_read: u64,
    /// Bytes written to new segments.
    pub bytes_written: u64,
    /// Bytes of the segments before and after.
    pub before: u64,
    /// See `before`.
    pub after: u64,
    /// Records that have gone.
    pub records_dropped: u64,
    /// Different keys of the part that was mapped.
    pub keys: u64,
    /// Segments written anew.
    pub segments: u64,
    /// The most bytes of batches worked upon between two visits to the reactor.
    pub slice_bytes_max: u64,
    /// Why the pass ended before the end of what is cleanable.
    pub ended_early: Option<EndedEarly>,
}

/// Why a pass did not reach the end of what is cleanable. Nothing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedEarly {
    /// The key map is full: another pass goes on from here.
    MapFull,
    /// A transaction begins here whose end is not in a sealed segment yet.
    Transaction,
    /// The log's start moved, the log was truncated, the partition went away or the store is stopping: what was done until
    /// then counts.
    Interrupted,
}

/// Why a pass failed. What was swapped before stays; nothing was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompactFailure {
    /// The partition is not here, or incomplete.
    Refused(Refusal),
    /// A segment is not as it was written.
    Damaged {
        /// Which segment.
        segment: SegmentName,
        /// Where in it.
        position: u32,
        /// What is wrong.
        why: String,
    },
    /// There is no room for the new segments, or only what is kept for producers.
    DiskFull,
    /// A file cannot be read or made.
    Io(String),
}

impl fmt::Display for CompactFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(e) => e.fmt(f),
            Self::Damaged { segment, position, why } => {
                write!(
                    f,
                    "segment {segment} is damaged at byte {position}: {why}; nothing of it was removed"
                )
            }
            Self::DiskFull => f.write_str(
                "the disk has no room for the compacted segments beside what is kept free",
            ),
            Self::Io(e) => f.write_str(e),
        }
    }
}

impl CompactFailure {
    fn io(what: &str, e: &io::Error) -> Self {
        if crate::reserve::is_full(e) { Self::DiskFull } else { Self::Io(format!("{what}: {e}")) }
    }
}

/// A pass that runs.
struct Pass<'a> {
    store: &'a Store,
    p: Shared,
    id: PartitionId,
    how: Compaction,
    /// How often the log had been truncated when the pass began: what it has mapped may be cut off by another.
    generation: u32,
    now: Timestamp,
    pace: Pace,
    decompressor: Decompressor,
    compressor: Compressor,
    left: Left,
    report: CompactReport,
    /// What of the report the store's counters have already.
    told: CompactReport,
}

impl Store {
    /// What of a partition could be compacted; nothing at or above `stable`. `None` if nothing, or if it is not here.
    #[must_use]
    pub fn compactable(
        &self,
        id: PartitionId,
        how: &Compaction,
        stable: Offset,
    ) -> Option<Candidate> {
        let p = self.partition(id).ok()?;
        let p = p.borrow();
        if p.incomplete.is_some() {
            return None;
        }
        how.look(&p.log, stable.min(p.durable), self.inner.rt.wall())
    }

    /// Makes one pass over a partition, due or not. One at a time for each core.
    ///
    /// # Errors
    /// [`CompactFailure`].
    pub async fn compact(
        &self,
        id: PartitionId,
        how: &Compaction,
        budget: CompactBudget,
        stable: Offset,
    ) -> Result<CompactReport, CompactFailure> {
        let p = self.partition(id).map_err(CompactFailure::Refused)?;
        if let Some(why) = &p.borrow().incomplete {
            return Err(CompactFailure::Refused(Refusal::Incomplete(why.clone())));
        }
        let rt = &self.inner.rt;
        let generation = p.borrow().log.generation();
        let mut pass = Pass {
            store: self,
            p,
            id,
            how: *how,
            generation,
            now: rt.wall(),
            pace: Pace::new(Rc::clone(&self.inner), budget.bytes_per_second),
            decompressor: Decompressor::new(),
            compressor: Compressor::new(),
            left: Left::default(),
            report: CompactReport::default(),
            told: CompactReport::default(),
        };
        let Some(found) = self.compactable(id, how, stable) else {
            pass.report.clean_end = pass.p.borrow().log.clean_end();
            return Ok(pass.report);
        };
        // What was swapped before something failed stays swapped.
        let result = pass.run(found, budget.map_bytes).await;
        let longest = pass.pace.longest();
        pass.report.slice_bytes_max = longest.bytes;
        pass.tell();
        let report = pass.report;
        let micros = u64::try_from(longest.took.as_micros()).unwrap_or(u64::MAX);
        self.inner.count(|c| {
            c.compact_slice_micros_max = c.compact_slice_micros_max.max(micros);
            c.compactions += 1;
            c.compact_map_bytes = 0;
        });
        result.map(|()| report)
    }

    /// Removes files of segments that neither log nor ring knows: what a crash during a compaction has left. To be called
    /// between passes, and worth it once after a start.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub async fn remove_strays(&self, id: PartitionId) -> io::Result<u64> {
        let Ok(p) = self.partition(id) else { return Ok(0) };
        let inner = &self.inner;
        if p.borrow().incomplete.is_some() {
            return Ok(0);
        }
        let listed = match inner.rt.disk().read_dir(&inner.paths.partition(id)).await {
            Ok(listed) => listed,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(e) => return Err(e),
        };
        let strays: BTreeSet<SegmentName> = {
            let mut p = p.borrow_mut();
            let names = listed.iter().filter_map(|e| segment_name(&e.name));
            let is_stray = |n: &SegmentName| p.log.segment(*n).is_none() && !p.replaced.contains(n);
            let strays: BTreeSet<SegmentName> = names.filter(is_stray).collect();
            // A number that a lost pass had taken is in no record, and would be given out again.
            for stray in &strays {
                p.log.pass_over_creation(stray.creation);
            }
            strays
        };
        if strays.is_empty() {
            return Ok(0);
        }
        // A name that is not in the log never comes back. But the record that took it away may not be flushed yet.
        self.flush().await;
        let strays: Vec<SegmentName> = strays.into_iter().collect();
        unlink_segments(inner, id, &strays).await;
        Ok(strays.len() as u64)
    }
}

/// The segment whose file this is.
fn segment_name(file: &str) -> Option<SegmentName> {
    let (stem, _ending) = file.split_once('.')?;
    let (base, creation) = stem.split_once('-')?;
    Some(SegmentName { base: Offset(base.parse().ok()?), creation: creation.parse().ok()? })
}

impl Pass<'_> {
    async fn run(&mut self, found: Candidate, map_bytes: usize) -> Result<(), CompactFailure> {
        self.report.clean_end = found.from;
        // Before anything is read for it.
        if !self.inner().has_room_to_spare(ALLOCATE) {
            return Err(CompactFailure::DiskFull);
        }
        if !self.put_on_disk(found.end).await? {
            self.report.ended_early = Some(EndedEarly::Interrupted);
            return Ok(());
        }
        let map = self.map(&found, map_bytes).await?;
        self.report.keys = map.keys.len() as u64;
        let end = map.end;
        if end == found.from {
            return Ok(());
        }
        let names = log::sealed_below(&self.p.borrow().log, end);
        let sizes = |p: &Shared| p.borrow().log.size();
        let before = sizes(&self.p);
        let mut left = names.as_slice();
        while !left.is_empty() {
            let taken = if self.is_over() { 0 } else { self.group(left, &map).await? };
            if taken == 0 {
                self.report.ended_early = Some(EndedEarly::Interrupted);
                return Ok(());
            }
            left = left.get(taken..).unwrap_or(&[]);
        }
        // The last group may have been left as it was, which takes a while.
        if self.is_over() {
            self.report.ended_early = Some(EndedEarly::Interrupted);
            return Ok(());
        }
        self.report.before = before;
        self.report.after = sizes(&self.p);
        let mut p = self.p.borrow_mut();
        p.keep_for(self.store.inner.checkpoint.get());
        p.log.set_clean_end(end);
        self.report.clean_end = p.log.clean_end();
        Ok(())
    }

    fn is_over(&self) -> bool {
        let p = self.p.borrow();
        p.deleted || p.log.generation() != self.generation || self.store.inner.stopping.get()
    }

    /// Whether what was read of a segment says nothing any more: the pass ends.
    fn is_gone(&self, source: &Source<'_>) -> bool {
        self.is_over() || source.is_gone()
    }

    fn inner(&self) -> &Rc<Inner> {
        &self.store.inner
    }

    /// False if the partition goes away, or has changed: the next pass finds out.
    async fn put_on_disk(&self, end: Offset) -> Result<bool, CompactFailure> {
        let whole = whole::bring_to_files(self.inner(), &self.p, end).await;
        whole.map_err(|e| CompactFailure::io("cannot write a sealed segment", &e))
    }

    /// Counts what has been done since this was last called: a pass may take minutes, and somebody may look.
    fn tell(&mut self) {
        let (now, told) = (self.report, self.told);
        self.inner().count(|c| {
            c.compact_read_bytes += now.bytes_read - told.bytes_read;
            c.compact_written_bytes += now.bytes_written - told.bytes_written;
            c.compact_dropped_records += now.records_dropped - told.records_dropped;
        });
        self.told = now;
    }

    /// The next batch of a segment; none at its end, and none if it `is_gone`: files that are being removed look damaged.
    async fn next(&mut self, source: &mut Source<'_>) -> Result<Option<Slice>, CompactFailure> {
        let next = match source.next().await {
            Err(_) if self.is_gone(source) => None,
            next => next?,
        };
        if source.take_waited() {
            self.pace.waited();
            self.tell();
        }
        self.report.bytes_read += next.as_ref().map_or(0, |b| b.len() as u64);
        Ok(next)
    }

    /// Writes the first of `names` anew, with as many behind it as the new segment takes in, and swaps it in; how many, 0 if the
    /// log has changed below it.
    async fn group(
        &mut self,
        names: &[SegmentName],
        map: &Mapped,
    ) -> Result<usize, CompactFailure> {
        let Some(first) = names.first().copied() else { return Ok(0) };
        let (name, config) = {
            let mut p = self.p.borrow_mut();
            (SegmentName { base: first.base, creation: p.log.reserve_creation() }, p.config.log)
        };
        let mut out = Output::new(Rc::clone(self.inner()), self.id, name, config);
        let copied = self.copy(names, map, &mut out).await;
        let segments = match copied {
            Ok(segments) if segments.len() > 1 || (segments.len() == 1 && out.changed()) => {
                segments
            }
            // The pass was interrupted, or what was there before and what would be there afterwards are the same.
            Ok(_) | Err(_) => {
                out.discard().await;
                self.after_discard().await;
                return copied.map(|segments| segments.len());
            }
        };
        let group = names.get(..segments.len()).unwrap_or(&[]);
        let mut finished = match out.finish(&segments).await {
            Ok(finished) => finished,
            Err(e) => {
                out.discard().await;
                self.after_discard().await;
                return Err(CompactFailure::io("cannot write a compacted segment", &e));
            }
        };
        match txn_index::kept(self.store, &self.p, &segments, out.markers()).await {
            Ok(aborted) => finished.segment.aborted = log::Aborted::in_memory(aborted),
            Err(e) => {
                out.discard().await;
                self.after_discard().await;
                return Err(CompactFailure::Io(format!("the aborted transactions: {e}")));
            }
        }
        self.report.bytes_written += u64::from(finished.segment.len);
        // A checkpoint under way counts files of the old segments.
        while self.inner().checkpointing.get() {
            self.inner().checkpoint_done.notified().await;
        }
        let swapped = !self.is_over() && self.swap(group, finished.segment, finished.file);
        if swapped {
            self.report.segments += 1;
            self.report.records_dropped += out.dropped();
            if planted::is(Planted::ReplacedGoBeforeTheCheckpoint) {
                unlink_segments(self.inner(), self.id, group).await;
            }
        } else {
            out.discard().await;
            self.after_discard().await;
        }
        Ok(if swapped { group.len() } else { 0 })
    }

    /// Whoever deletes a partition removes its files and its directory once; a file that was made meanwhile is ours to remove.
    async fn after_discard(&self) {
        let (deleted, last) = {
            let p = self.p.borrow();
            (p.deleted, p.last_record)
        };
        if deleted {
            // A power cut before the Delete is durable would leave the partition without its files.
            if !planted::is(Planted::CompactionUnlinksBeforeTheDelete) {
                self.inner().journal.flushed(last).await;
            }
            remove_partition_files(self.inner(), self.id).await;
        }
    }

    fn segment(&self, name: SegmentName) -> Option<Segment> {
        let p = self.p.borrow();
        p.log.segment(name).map(Segment::without_index)
    }

    /// Copies what stays of the first of `names` and of those behind it that `out` takes in; which, none if one of them has left
    /// the log.
    async fn copy(
        &mut self,
        names: &[SegmentName],
        map: &Mapped,
        out: &mut Output,
    ) -> Result<Vec<Segment>, CompactFailure> {
        let last_batches = self.last_batches();
        let mut taken: Vec<Segment> = Vec::new();
        let mut written = 0;
        for name in names {
            let Some(s) = self.segment(*name) else { return Ok(Vec::new()) };
            if taken.first().is_some_and(|first| !out.takes_in(first.name.base, &s)) {
                break;
            }
            let Some(mut source) = Source::open(self.store, &self.p, s.name, Offset::ZERO) else {
                return Ok(Vec::new());
            };
            while let Some(bytes) = self.next(&mut source).await? {
                let batch = source.view(&bytes)?;
                let h = *batch.header();
                let needed = last_batches.holds(&h);
                let mut new = Vec::new();
                let needs = Needs { sequence: needed, end: h.next_offset() == s.end };
                let held = out.held_transaction().map(|(producer, _)| producer);
                let outcome = self
                    .sift(&batch, map, needs, held, &mut new)
                    .map_err(|e| source.damaged(e.to_string()))?;
                self.pace.worked(bytes.len());
                // Only the end of the last segment that is taken in needs a batch that holds it.
                let only_end = !needed;
                let put = match outcome {
                    CompactOutcome::Whole if h.count == 0 && only_end => {
                        out.hold(&h, &bytes);
                        Ok(())
                    }
                    CompactOutcome::Whole => out.push(&h, h.max_timestamp, h.count, &bytes).await,
                    CompactOutcome::Rewritten { records: 0, .. } if only_end => {
                        out.drop_batch(&h);
                        out.hold(&h, &new);
                        Ok(())
                    }
                    CompactOutcome::Rewritten { max_timestamp, records } => {
                        out.note_change();
                        out.push(&h, max_timestamp, records, &new).await
                    }
                    CompactOutcome::Dropped => {
                        out.drop_batch(&h);
                        Ok(())
                    }
                };
                put.map_err(|e| CompactFailure::io("cannot write a compacted segment", &e))?;
                if out.take_waited() {
                    self.pace.waited();
                }
                let now = u64::from(out.len());
                self.pace.after(bytes.len() as u64 + now - written).await;
                written = now;
                if self.is_over() {
                    return Ok(Vec::new());
                }
            }
            if self.is_gone(&source) {
                return Ok(Vec::new());
            }
            taken.push(s);
        }
        if let Some((producer, epoch)) = out.held_transaction() {
            self.left.note(producer, epoch);
        }
        out.release()
            .await
            .map_err(|e| CompactFailure::io("cannot write a compacted segment", &e))?;
        Ok(taken)
    }

    /// The new segment takes the group's place. Nothing awaits in here, and no checkpoint is under way.
    fn swap(
        &mut self,
        group: &[SegmentName],
        with: Segment,
        file: crate::partition::SegmentFile,
    ) -> bool {
        let mut guard = self.p.borrow_mut();
        let p = &mut *guard;
        let (name, clean) = (with.name, with.end);
        let of = |name: &SegmentName| p.log.segment(*name).map_or(0, |s| u64::from(s.len));
        let bytes: u64 = group.iter().map(of).sum();
        let was_dirty = p.dirty;
        p.keep_for(self.store.inner.checkpoint.get());
        if !p.log.replace(group, with) {
            p.dirty = was_dirty;
            return false;
        }
        p.replaced.extend_from_slice(group);
        self.store.inner.replaced.note(self.store.inner.rt.now(), bytes);
        p.forget(group);
        // Memory of the old segments means nothing any more, and that of all before them is in files.
        if let Some(next) = p.log.segments().iter().find(|s| s.name.base >= clean) {
            p.tail.drop_before(next.name);
        }
        p.files.insert(name, file);
        true
    }
}
