//! Cuts a log back: what a replica does with records that its leader does not have (KIP-101).
//!
//! One record says all of it: where the log ends now, what the segment that holds the end keeps, and the state of the producers
//! that wrote above, or whose transaction ended there and is open again. So a start needs no file to follow it. The next batch
//! begins a new segment, which may have the same base offset as one that is dropped, but never its creation number; no block is
//! written twice.
//!
//! What has to be read for that is read before the decision, which then awaits nothing: batch headers behind one entry of the
//! index; for a producer whose last five batches are all cut, the log back to a batch of his; where there are transactions, the
//! log from where the oldest of them begins that was open when the segment began that holds the end. Files of dropped segments
//! go when the record is flushed; a checkpoint leaves out what the truncation has taken only then, too.
//!
//! A start follows the record with the segments that the manifest names. So one that compaction has made is cut only when a
//! checkpoint has named it.

use crate::format::record::Type;
use crate::format::truncate::{Cut, Truncated};
use crate::inspect::walk::{Walk, next_batch};
use crate::journal::Entry;
use crate::partition::{Partition, Shared};
use crate::planted::{self, Planted};
use crate::reads::ReadError;
use crate::store::{Advance, Refusal, Store, unlink_segments};
use crate::txn_index;
use ids::{Offset, PartitionId, ProducerId};
use log::{Index, IndexEntry, Place, Producers, Segment, SegmentName};
use runtime::Runtime;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

/// Why a log cannot be cut back. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TruncateError {
    /// The partition is not here, or incomplete; or the disk is too full for the checkpoint that has to come first.
    Refused(Refusal),
    /// What is to be left cannot be read.
    Read(ReadError),
}

impl fmt::Display for TruncateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(e) => write!(f, "{e}"),
            Self::Read(e) => write!(f, "{e}"),
        }
    }
}

impl std::error::Error for TruncateError {}

/// Bytes of a producer in the record, at most: id, epoch, times, five batches.
const PRODUCER_BYTES: usize = 34 + 5 * 24;
/// Bytes of the record beside the producers, at most.
const FIXED_BYTES: usize = 128;

/// Where a log is going to end, and what of it had to be read.
struct Plan {
    end: Offset,
    cut: Option<Kept>,
    /// The producers whose transactions are open there, as the log below says.
    open: Producers,
}

/// The segment that holds the new end.
struct Kept {
    /// As far as it counts, without its index.
    segment: Segment,
    /// How many entries of its whole index are left.
    index_entries: u32,
}

/// What the log says of producers whose windows do not reach below the new end: none, if it has no batch of theirs.
type FromLog = BTreeMap<ProducerId, Option<log::Producer>>;

impl Store {
    /// Cuts the log back to `to`, or to the start of the batch that holds it, and resolves when that is flushed; the new end.
    /// One that ends at or below `to` stays as it is; of one that is cut back to its start or below nothing is left, and it
    /// goes on at `to`.
    ///
    /// Who truncates is the only one who writes: nothing may be appended meanwhile, and nobody answered for what is cut.
    ///
    /// # Errors
    /// [`TruncateError`]; then nothing has changed.
    pub async fn truncate(&self, id: PartitionId, to: Offset) -> Result<Offset, TruncateError> {
        let inner = &self.inner;
        let p = self.partition(id).map_err(TruncateError::Refused)?;
        let mut from_log = FromLog::new();
        loop {
            if to >= p.borrow().log.end() {
                return Ok(p.borrow().log.end());
            }
            let before = Shape::of(&p.borrow());
            let Some(plan) = self.plan(&p, to).await? else { continue };
            if names_what_no_manifest_does(&p.borrow(), &plan) {
                self.settle_compaction().await;
                // Without room for a checkpoint it waits for no one.
                if let Some(free) = inner.full.get().filter(|_| !p.borrow().replaced.is_empty()) {
                    return Err(TruncateError::Refused(Refusal::DiskFull { free }));
                }
                continue;
            }
            let unsettled = p.borrow().log.producers().cut_windows(plan.end).1;
            let more: BTreeSet<ProducerId> =
                unsettled.into_iter().filter(|id| !from_log.contains_key(id)).collect();
            if !more.is_empty() {
                let Some(found) = self.look_for(&p, plan.end, more).await? else { continue };
                from_log.extend(found);
            }
            let Some(payload) = self.payload(&p.borrow(), &plan, &from_log) else { continue };
            self.admit_control_of(payload.to_bytes().len()).await;
            let Some((sequence, dropped)) = self.carry_out(&p, &plan, &from_log)? else {
                // The same plan of the same log would be refused for ever.
                let p = p.borrow();
                if Shape::of(&p) == before && !still_fits(&p, &plan) {
                    return Err(TruncateError::Read(no_place(&p, plan.end)));
                }
                continue;
            };
            if planted::is(Planted::UnlinkBeforeTheTruncate) {
                unlink_segments(inner, id, &dropped).await;
            }
            inner.journal.flushed(sequence).await;
            unlink_segments(inner, id, &dropped).await;
            return Ok(plan.end);
        }
    }

    /// What the record would carry; none if there are producers that have to be looked for first.
    fn payload(&self, p: &Partition, plan: &Plan, from_log: &FromLog) -> Option<Truncated> {
        let (mut producers, unsettled) = p.log.producers().cut_windows(plan.end);
        for id in unsettled {
            if let Some(found) = from_log.get(&id)? {
                producers.insert(id, found.clone());
            }
        }
        if !planted::is(Planted::EndedTransactionsStayEnded) {
            producers.reopen(p.log.producers(), &plan.open);
        }
        // As where too many write to a partition, the longest silent are forgotten: a ring of the least size has room for a
        // thousand.
        let room = self.inner.journal.largest_payload().saturating_sub(FIXED_BYTES);
        producers.keep_newest(room / PRODUCER_BYTES);
        let cut = plan
            .cut
            .as_ref()
            .map(|kept| Cut { segment: kept.segment.clone(), index_entries: kept.index_entries });
        Some(Truncated { cut, producers })
    }

    /// Decides and journals; the record's commit, and the segments whose files go when that is flushed. None, and nothing has
    /// changed, if the log is not what the plan was made for any more. Nothing awaits in here.
    fn carry_out(
        &self,
        shared: &Shared,
        plan: &Plan,
        from_log: &FromLog,
    ) -> Result<Option<(u64, Vec<SegmentName>)>, TruncateError> {
        let inner = &self.inner;
        let mut guard = shared.borrow_mut();
        let p = &mut *guard;
        refuse(p)?;
        if names_what_no_manifest_does(p, plan) {
            return Ok(None);
        }
        let Some(payload) = self.payload(p, plan, from_log).filter(|_| still_fits(p, plan)) else {
            return Ok(None);
        };
        let bytes = payload.to_bytes();
        if !inner.journal.has_control_room_for(bytes.len()) {
            return Ok(None);
        }
        p.keep_for(inner.checkpoint.get());
        let dropped = apply(&inner.rt, p, plan.end, payload);
        let id = p.id;
        inner.streams.borrow_mut().forget(id);
        let last = p.log.segments().last().map(|s| Place { segment: s.name, position: s.len });
        let entry = Entry {
            place: last.unwrap_or(Place { segment: NO_SEGMENT, position: 0 }),
            ..p.entry(Type::Truncate, plan.end, inner.rt.wall())
        };
        // With its own completion everything below the new end is durable; those of the batches mean nothing any more.
        let advance = Advance {
            partition: Rc::clone(shared),
            generation: p.log.generation(),
            end: plan.end,
            place: last,
        };
        if planted::is(Planted::TruncationNotJournalled) {
            return Ok(Some((p.last_record, dropped)));
        }
        p.last_record = inner.journal.append(&entry, [&bytes, &[]], true, Some(advance));
        Ok(Some((p.last_record, dropped)))
    }

    /// Finds the batch at which the log is cut, and what is open there. None if the log has changed meanwhile.
    async fn plan(&self, p: &Shared, to: Offset) -> Result<Option<Plan>, TruncateError> {
        let Some((end, cut)) = self.find_cut(p, to).await? else { return Ok(None) };
        let open = self.open_at(p, end).await.map_err(TruncateError::Read)?;
        Ok(open.map(|open| Plan { end, cut, open }))
    }

    /// The producers whose transactions are open at `end`, from what the log holds. None if the log has changed meanwhile.
    async fn open_at(&self, p: &Shared, end: Offset) -> Result<Option<Producers>, ReadError> {
        let (names, start) = {
            let p = p.borrow();
            let start = p.log.start();
            let holds = p.log.segment_of(end).filter(|s| s.transactional && end > start);
            let Some(s) = holds else { return Ok(Some(Producers::default())) };
            let matter = |of: &&Segment| of.end > s.unstable_from && of.name.base < end;
            let names: Vec<_> = p.log.segments().iter().filter(matter).map(|s| s.name).collect();
            (names, start)
        };
        let followed = txn_index::follow(self, p, &names, (start, end), |_, _| {}).await?;
        Ok(followed.map(|all| all.with_open_transactions()))
    }

    async fn find_cut(
        &self,
        p: &Shared,
        to: Offset,
    ) -> Result<Option<(Offset, Option<Kept>)>, TruncateError> {
        let name = {
            let p = p.borrow();
            refuse(&p)?;
            let holds = p.log.segment_of(to).filter(|_| to > p.log.start());
            match holds {
                None => return Ok(Some((to, None))),
                Some(s) if s.name.base == to => return Ok(Some((to, None))),
                Some(s) => s.name,
            }
        };
        // An index that cannot be read, or makes no sense, is not used, and nothing is left of it.
        let on_disk = self.index_entries(p, name).await.unwrap_or_default();
        let Some(whole) = p.borrow().log.segment(name).cloned() else { return Ok(None) };
        let base = p.borrow().files.get(&name).map_or(0, |f| f.index_base) as usize;
        let mut entries = on_disk;
        entries.truncate(base);
        let complete = entries.len() == base;
        entries.extend_from_slice(whole.index.entries());
        let index = Index::from_entries(entries).filter(|_| complete).unwrap_or_default();
        let found = self.cut_at(p, &whole, &index, to).await;
        let Some(live) = p.borrow().log.segment(name).map(|s| (s.len, s.end)) else {
            return Ok(None);
        };
        if live.0 < whole.len {
            return Ok(None);
        }
        let segment = found.map_err(TruncateError::Read)?;
        let (start, len) = (p.borrow().log.start(), segment.len);
        let end = segment.end.max(start);
        // Not even the first batch of the segment is left: then nothing of it is.
        let left = index.entries().partition_point(|e| e.position < len);
        let index_entries = u32::try_from(left).unwrap_or(u32::MAX);
        let cut = (len > 0 && end > start).then_some(Kept { segment, index_entries });
        Ok(Some((end, cut)))
    }

    /// What `whole` keeps when the log ends at `to`, or where the batch that holds `to` begins.
    async fn cut_at(
        &self,
        p: &Shared,
        whole: &Segment,
        index: &Index,
        to: Offset,
    ) -> Result<Segment, ReadError> {
        let relative = u32::try_from(to - whole.name.base).unwrap_or(u32::MAX);
        let after = index.entries().partition_point(|e| e.offset <= relative);
        let entry_at =
            |after: usize| after.checked_sub(1).and_then(|i| index.entries().get(i)).copied();
        let entry = entry_at(after);
        let mut found = self.cut_from(p, whole, entry, to).await;
        // Nothing behind the entry is left. In front of it there may be a gap, so where the batch before it ends is not known:
        // that one is behind the entry before.
        let nothing = |cut: &Segment| entry.is_some_and(|e| cut.len == e.position);
        if whole.compacted && found.as_ref().is_ok_and(nothing) {
            found = self.cut_from(p, whole, entry_at(after.saturating_sub(1)), to).await;
        }
        let found = match (found, entry) {
            // Perhaps only the index is wrong.
            (Err(ReadError::Corrupt { .. }), Some(_)) => self.cut_from(p, whole, None, to).await,
            (found, _) => found,
        };
        let mut cut = found?;
        if whole.max_timestamp_batch < cut.end {
            cut.max_timestamp = whole.max_timestamp;
            cut.max_timestamp_batch = whole.max_timestamp_batch;
        } else if cut.max_timestamp_batch == Offset::NONE {
            // The largest is in front of the entry that the walk began at.
            let most = cut.max_timestamp;
            let from = floor(index, |e| e.max_timestamp_before < most);
            let mut walk = walk(self, p, whole.name, from);
            while let Some(b) = next_batch(&mut walk, whole.name).await? {
                if b.header.max_timestamp >= most || b.position >= cut.len {
                    cut.max_timestamp_batch = b.header.base_offset;
                    break;
                }
            }
        }
        Ok(cut)
    }

    async fn cut_from(
        &self,
        p: &Shared,
        whole: &Segment,
        entry: Option<IndexEntry>,
        to: Offset,
    ) -> Result<Segment, ReadError> {
        let mut cut = Segment::new(whole.name, whole.created_at);
        cut.first_timestamp = whole.first_timestamp;
        cut.appended_at = whole.appended_at;
        cut.compacted = whole.compacted;
        if let Some(e) = entry {
            cut.len = e.position;
            cut.end = whole.name.base + i64::from(e.offset);
            cut.max_timestamp = e.max_timestamp_before;
            cut.max_timestamp_batch =
                if e.max_timestamp_before.0 < 0 { whole.name.base } else { Offset::NONE };
        }
        let mut expected = (entry.is_none() || !whole.compacted).then_some(cut.end);
        let mut walk = walk(self, p, whole.name, entry);
        while let Some(b) = next_batch(&mut walk, whole.name).await? {
            let (base, next) = (b.header.base_offset, b.header.next_offset());
            let follows = expected.is_none_or(|e| base == e || (whole.compacted && base > e));
            if !follows {
                let (segment, position) = (whole.name, b.position);
                return Err(ReadError::Corrupt {
                    segment,
                    position,
                    why: "offsets do not continue",
                });
            }
            if next > to {
                break;
            }
            expected = Some(next);
            cut.len = b.position + b.bytes;
            cut.end = next;
            if b.header.max_timestamp > cut.max_timestamp {
                cut.max_timestamp = b.header.max_timestamp;
                cut.max_timestamp_batch = base;
            }
        }
        Ok(cut)
    }

    /// Looks for the last batches of `wanted` below `end`, the newest segment first. None if the log has changed meanwhile.
    async fn look_for(
        &self,
        p: &Shared,
        end: Offset,
        mut wanted: BTreeSet<ProducerId>,
    ) -> Result<Option<FromLog>, TruncateError> {
        let mut found = FromLog::new();
        let below = |s: &&Segment| s.name.base < end;
        let segments: Vec<Segment> =
            p.borrow().log.segments().iter().filter(below).cloned().collect();
        for s in segments.iter().rev() {
            let mut here = Producers::default();
            let mut walk = Walk::new(self, Rc::clone(p), s.name);
            loop {
                let batch = match next_batch(&mut walk, s.name).await {
                    Ok(Some(b)) if b.header.base_offset < end => b,
                    Ok(_) => break,
                    Err(_) if p.borrow().log.segment(s.name).is_none() => return Ok(None),
                    Err(e) => return Err(TruncateError::Read(e)),
                };
                let meta = batch.meta();
                if meta.is_idempotent() && wanted.contains(&meta.producer_id) {
                    here.note(&meta, batch.header.base_offset, s.appended_at);
                }
            }
            for (id, producer) in here.sorted() {
                wanted.remove(&id);
                found.insert(id, Some(producer.clone()));
            }
            if wanted.is_empty() {
                break;
            }
        }
        found.extend(wanted.into_iter().map(|id| (id, None)));
        Ok(Some(found))
    }
}

const NO_SEGMENT: SegmentName = SegmentName { base: Offset::ZERO, creation: 0 };

fn refuse(p: &Partition) -> Result<(), TruncateError> {
    if p.deleted {
        return Err(TruncateError::Refused(Refusal::UnknownPartition));
    }
    match &p.incomplete {
        Some(why) => Err(TruncateError::Refused(Refusal::Incomplete(why.clone()))),
        None => Ok(()),
    }
}

/// Whether a segment would be cut that compaction has made, while the manifest still names those it was made of: a start
/// would not find it.
fn names_what_no_manifest_does(p: &Partition, plan: &Plan) -> bool {
    let Some(kept) = plan.cut.as_ref().filter(|_| !planted::is(Planted::CutOfAnUnnamedSegment))
    else {
        return false;
    };
    let cut = kept.segment.name;
    let Some(s) = p.log.segment(cut) else { return false };
    s.compacted && p.replaced.iter().any(|of| of.base >= cut.base && of.base < s.end)
}

/// What of a log a plan rests upon.
#[derive(PartialEq, Eq)]
struct Shape {
    generation: u32,
    start: Offset,
    end: Offset,
    segments: Vec<(SegmentName, u32)>,
}

impl Shape {
    fn of(p: &Partition) -> Self {
        let segments = p.log.segments().iter().map(|s| (s.name, s.len)).collect();
        Self { generation: p.log.generation(), start: p.log.start(), end: p.log.end(), segments }
    }
}

/// The log says of itself that it can be cut here, and cannot.
fn no_place(p: &Partition, end: Offset) -> ReadError {
    let segment = p.log.segment_of(end).map_or(NO_SEGMENT, |s| s.name);
    ReadError::Corrupt { segment, position: 0, why: "the log cannot be cut at the end of a batch" }
}

/// Whether the log is still one that can be cut as planned.
fn still_fits(p: &Partition, plan: &Plan) -> bool {
    if plan.end >= p.log.end() {
        return false;
    }
    let Some(kept) = &plan.cut else {
        // At the base of a segment, or at the start of the log.
        let holds = p.log.segment_of(plan.end);
        return plan.end <= p.log.start() || holds.is_none_or(|s| s.name.base == plan.end);
    };
    let cut = &kept.segment;
    let holds = p.log.segment_of(plan.end);
    let in_it = holds.is_some_and(|s| s.name == cut.name && s.len > cut.len);
    // Offsets behind the last kept batch may be none of a compacted segment: then the next one holds the end.
    let before = || p.log.segment(cut.name).is_some_and(|s| s.len >= cut.len && s.end >= cut.end);
    plan.end > p.log.start() && (in_it || before())
}

/// Cuts the log and everything that follows from it; the segments that have left it.
fn apply(rt: &Runtime, p: &mut Partition, end: Offset, truncated: Truncated) -> Vec<SegmentName> {
    let Truncated { cut, producers } = truncated;
    let mut index = None;
    let segment = cut.map(|cut| {
        index = Some((cut.segment.name, cut.index_entries));
        let mut segment = cut.segment;
        if let Some(whole) = p.log.segment(segment.name) {
            segment.transactional = whole.transactional;
            segment.unstable_from = whole.unstable_from;
            segment.aborted = whole.aborted.cut(end);
        }
        let written = p.files.get(&segment.name).map_or(0, |f| f.index_base);
        let left = p.log.segment(segment.name).map_or(&[][..], |s| s.index.entries());
        let here = left.partition_point(|e| e.position < segment.len);
        // If the file has more entries than are left in all, then none of those in memory is.
        if cut.index_entries >= written {
            segment.index = Index::from_entries(left[..here].to_vec()).unwrap_or_default();
        }
        segment
    });
    let producers = p.log.producers().cut_back(end, &producers);
    let dropped = p.log.truncate(end, segment, producers).segments;
    p.follow_truncation(rt.memory(), &dropped, index);
    dropped
}

/// Follows a Truncate record; why it cannot be followed.
pub(crate) fn replay(
    rt: &Runtime,
    p: &mut Partition,
    h: &crate::format::record::Header,
    payload: &[u8],
) -> Option<String> {
    let truncated = match Truncated::parse(payload) {
        Ok(truncated) => truncated,
        Err(e) => return Some(format!("a truncation that says nothing: {e}")),
    };
    if h.offset > p.log.end() {
        return Some(format!("truncation to {} beyond the end {}", h.offset, p.log.end()));
    }
    if h.generation != p.log.generation() + 1 {
        let ours = p.log.generation();
        return Some(format!("truncation {} of a log of generation {ours}", h.generation));
    }
    if let Some(cut) = &truncated.cut {
        let s = &cut.segment;
        let holds = p.log.segments().iter().rev().find(|of| of.name.base < h.offset);
        let fits = holds.is_some_and(|of| of.name == s.name && of.len >= s.len);
        if !fits || s.end != h.offset || h.offset <= p.log.start() {
            return Some(format!("a truncation to {} cuts another segment, {}", h.offset, s.name));
        }
    }
    apply(rt, p, h.offset, truncated);
    None
}

fn floor(index: &Index, holds: impl Fn(&IndexEntry) -> bool) -> Option<IndexEntry> {
    let after = index.entries().partition_point(holds);
    after.checked_sub(1).and_then(|i| index.entries().get(i)).copied()
}

fn walk<'a>(
    store: &'a Store,
    p: &Shared,
    name: SegmentName,
    entry: Option<IndexEntry>,
) -> Walk<'a> {
    Walk::new(store, Rc::clone(p), name).starting_at(entry.map_or(0, |e| e.position))
}
