//! A checkpoint: bytes leave the ring only when a segment or the rest log holds them durably.
//!
//! 1. Seal the commit being filled; it is commit N. A partition's state after N is the state now; whoever changes a partition
//!    before the checkpoint has come to it keeps that state aside first. Wait until N is flushed.
//! 2. For every partition that changed: whole blocks to segments once enough are due, some partitions beside each other; the
//!    remainder, as far as it is new, to the rest log, one partition after the other.
//! 3. Sync every segment file that was written, the rest log, and the directories of new files up to the root.
//! 4. Append entries and footer to the manifest: copy A, sync, copy B, sync.
//! 5. Only then the ring's start moves to just after N.
//!
//! A checkpoint needs no ring space. One that the disk refuses (no space to allocate) changes nothing and is tried again.

mod slices;

use crate::compact;
use crate::format::manifest::{BatchBuilder, DurableFile, Footer, RestPiece, State};
use crate::format::rest;
use crate::partition::{OpenFile, SegmentFile, Shared, floor_block};
use crate::planted::{self, Planted};
use crate::reserve::is_out_of_files;
use crate::rest_log::{self, write_aligned};
use crate::store::Inner;
use crate::txn_index;
use crate::writer;
use ids::{Offset, PartitionId, Timestamp};
use log::{Log, Segment, SegmentName};
use runtime::sync::oneshot;
use runtime::{File, Open};
use slices::Slices;
use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A checkpoint begins when this much of the ring is used.
pub(crate) const AT_FULLNESS: f64 = 0.5;
/// From here on producers are slowed.
pub(crate) const SLOW_FROM: f64 = 0.7;
/// So many segment files, or directories, are synced at the same time: a file system commits them together.
const SYNCS_IN_FLIGHT: usize = 32;

/// The manifest's two files, and where their chain ends.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) files: [File; 2],
    pub(crate) ring: [u8; 16],
    pub(crate) len: u64,
    pub(crate) allocated: u64,
    /// Bytes of the last whole batch: what it would take to say everything once.
    pub(crate) live: u64,
    pub(crate) number: u64,
    pub(crate) crc: u32,
    pub(crate) footer: Footer,
}

/// What a checkpoint has found out of one partition, to be applied when the manifest holds it.
struct Taken {
    partition: Shared,
    state: State,
    indexed: Vec<Indexed>,
}

/// How many entries the file of a segment's transaction index had, and has now.
type Indexed = (SegmentName, u32, u32);

/// A partition whose segments hold what they are to hold of its state after N. Nobody else writes its blocks meanwhile.
struct Written {
    partition: Shared,
    log: Log,
    last_record: u64,
    /// One for each segment: bytes and index entries in its files.
    files: Vec<DurableFile>,
    indexed: Vec<Indexed>,
}

struct Plan {
    number: u64,
    whole_manifest: bool,
    rest: rest_log::Writer,
    taken: Vec<Taken>,
    /// The last record of a partition that was left out because it is deleted.
    deleted_by: u64,
    /// As it was at the seal: partitions that have been named since are not among the taken.
    unaccounted: u64,
}

/// Takes a checkpoint; manifest and rest log are written anew if that is due.
pub(crate) async fn run(inner: &Rc<Inner>) -> io::Result<()> {
    let due = rewrites_due(inner);
    run_with(inner, due).await
}

/// Takes a checkpoint that adds to manifest and rest log, whatever they hold already.
pub(crate) async fn append(inner: &Rc<Inner>) -> io::Result<()> {
    run_with(inner, (false, false)).await
}

async fn run_with(inner: &Rc<Inner>, (whole_manifest, new_rest): (bool, bool)) -> io::Result<()> {
    let number = inner.checkpoint.get() + 1;
    // From here to the collection of the dirty ones nothing awaits: this is the state after N.
    let n = inner.journal.seal();
    let mut dirty = Vec::new();
    for p in inner.partitions.borrow().values() {
        let mut p_mut = p.borrow_mut();
        p_mut.dirty |= (whole_manifest && p_mut.listed) || (new_rest && !p_mut.rest.is_empty());
        if p_mut.dirty {
            dirty.push(Rc::clone(p));
        }
    }
    let gone = std::mem::take(&mut *inner.gone.borrow_mut());
    inner.checkpoint.set(number);
    inner.checkpointing.set(true);
    let plan = Plan {
        number,
        whole_manifest,
        rest: rest_log::Writer::new(&inner.rest.borrow(), new_rest),
        taken: Vec::new(),
        deleted_by: 0,
        unaccounted: inner.unaccounted.get().map_or(0, |after| after + 1),
    };
    let result = carry_out(inner, plan, n, &dirty, &gone).await;
    if result.is_err() {
        inner.count(|c| c.checkpoints_refused += 1);
        // Nothing was promised: the next checkpoint takes these partitions again, with a later N.
        for p in &dirty {
            let mut p = p.borrow_mut();
            p.dirty = true;
            p.snapshot = None;
            p.processed = number;
            // Nobody asks for the state after this N any more: a change that comes before the next checkpoint must not keep
            // it aside, or that one would take it for its own.
            if !planted::is(Planted::SnapshotOfARefusedCheckpoint) {
                p.checkpoint = number;
            }
        }
        inner.gone.borrow_mut().extend(gone);
    }
    if result.as_ref().is_err_and(is_out_of_files) && !planted::is(Planted::SegmentsNotSynced) {
        close_all(inner).await;
    }
    if result.is_ok() {
        // No segment is replaced while a checkpoint is under way: all that are had been before N.
        compact::settled(inner, &dirty);
    }
    inner.checkpointing.set(false);
    for p in &dirty {
        writer::kick(inner, p);
    }
    if result.is_ok() {
        inner.count(|c| c.checkpoints += 1);
    }
    inner.checkpoint_done.notify_all();
    result
}

fn rewrites_due(inner: &Rc<Inner>) -> (bool, bool) {
    let manifest = inner.manifest.borrow();
    let whole = manifest.len > (2 * manifest.live).max(inner.config.thresholds.rewrite_min);
    let rest = inner.rest.borrow();
    let new_rest = rest.len > inner.config.thresholds.rewrite_min && {
        let live: u64 = inner
            .partitions
            .borrow()
            .values()
            .map(|p| {
                p.borrow().rest.iter().map(|r| rest::size(r.length as usize) as u64).sum::<u64>()
            })
            .sum();
        rest.len > 2 * live
    };
    (whole, new_rest)
}

async fn carry_out(
    inner: &Rc<Inner>,
    mut plan: Plan,
    n: u64,
    dirty: &[Shared],
    gone: &[PartitionId],
) -> io::Result<()> {
    inner.journal.flushed(n).await;
    let (sequence, crc, position) = inner.journal.end_of(n);
    let (mut taken, mut synced) = (0, 0);
    for some in dirty.chunks(inner.config.thresholds.partitions_at_once.max(1)) {
        take(inner, &mut plan, some).await?;
        taken += some.len();
        // A file stays open until it is synced: with very many partitions some are synced, and closed, before the others are opened.
        if taken - synced >= inner.config.thresholds.open_files_kept.max(1)
            && !planted::is(Planted::SegmentsNotSynced)
        {
            sync_segments(inner, &dirty[synced..taken]).await;
            close_files(&dirty[synced..taken], 0);
            synced = taken;
        }
    }
    plan.rest.finish(inner).await?;
    if !planted::is(Planted::SegmentsNotSynced) {
        sync_segments(inner, dirty).await;
        close_files(dirty, inner.config.thresholds.open_files_kept);
        close_idle(inner);
    }
    if !planted::is(Planted::DirectoriesNotSynced) {
        sync_directories(inner).await;
    }
    inner.journal.flushed(left_out_by(&plan)).await;
    let footer = Footer {
        sequence,
        crc,
        position,
        rest_file: plan.rest.number,
        rest_len: plan.rest.end(),
        unaccounted: plan.unaccounted,
    };
    write_manifest(inner, &plan, gone, footer).await?;
    apply(inner, plan, footer).await;
    inner.journal.release(position);
    Ok(())
}

/// Brings the bytes of some partitions up to N into segments, beside each other, and then into the rest log, and notes their
/// states after N.
async fn take(inner: &Rc<Inner>, plan: &mut Plan, some: &[Shared]) -> io::Result<()> {
    let mut ends = Vec::with_capacity(some.len());
    for p in some {
        let (ended, end) = oneshot();
        let (inner, p, number) = (Rc::clone(inner), Rc::clone(p), plan.number);
        inner.rt.clone().spawn(async move { ended.send(bring_to_files(&inner, &p, number).await) });
        ends.push(end);
    }
    // All of them, also after a refusal: whoever is still writing must not meet the next checkpoint.
    let mut written = Vec::with_capacity(some.len());
    let mut result = Ok(());
    for (p, end) in some.iter().zip(ends) {
        match end.await {
            Some(Ok(Some(w))) => written.push(w),
            Some(Ok(None)) => {
                // It is deleted, and its entry stays as it is; without its records in the ring it would be the state of long
                // ago.
                if !planted::is(Planted::DeletedLeftOutTooEarly) {
                    plan.deleted_by = plan.deleted_by.max(p.borrow().last_record);
                }
            }
            Some(Err(e)) => result = Err(e),
            // A task that is dropped goes with the process.
            None => result = Err(io::ErrorKind::Interrupted.into()),
        }
    }
    for w in written {
        let partition = Rc::clone(&w.partition);
        if result.is_ok() {
            result = note(inner, plan, w).await;
        }
        {
            let mut p = partition.borrow_mut();
            p.writing = false;
            p.processed = plan.number;
        }
        inner.writing_done.notify_all();
    }
    result
}

/// Brings one partition's blocks up to N into its segments; none if it is deleted. If it answers with a state, the partition
/// is left with its `writing` taken.
async fn bring_to_files(inner: &Rc<Inner>, p: &Shared, number: u64) -> io::Result<Option<Written>> {
    while p.borrow().writing {
        inner.writing_done.notified().await;
    }
    if p.borrow().deleted {
        return Ok(None);
    }
    let (mut log, last_record) = {
        let mut p = p.borrow_mut();
        p.writing = true;
        match p.snapshot.take() {
            Some(_) if planted::is(Planted::LiveStateInAnEntry) => {
                (p.log.without_index(), p.last_record)
            }
            Some(kept) => (kept.log, kept.last_record),
            None => {
                p.checkpoint = number;
                // From here on an append makes it dirty again, for the next checkpoint.
                p.dirty = false;
                (p.log.without_index(), p.last_record)
            }
        }
    };
    match write_files(inner, p, &log).await {
        Ok((files, indexed)) => {
            for (name, _, now) in &indexed {
                if let Some(s) = log.segment_mut(*name) {
                    s.aborted.moved_to_file(*now);
                    if planted::is(Planted::TransactionIndexBehind) {
                        s.aborted = s.aborted.cut(Offset::ZERO);
                    }
                }
            }
            Ok(Some(Written { partition: Rc::clone(p), log, last_record, files, indexed }))
        }
        Err(e) => {
            {
                let mut p = p.borrow_mut();
                p.writing = false;
                p.processed = number;
            }
            inner.writing_done.notify_all();
            Err(e)
        }
    }
}

async fn write_files(
    inner: &Rc<Inner>,
    p: &Shared,
    log: &Log,
) -> io::Result<(Vec<DurableFile>, Vec<Indexed>)> {
    let mut files: Vec<DurableFile> = Vec::new();
    let mut indexed: Vec<Indexed> = Vec::new();
    for s in log.segments() {
        let here = still_here(p, s.name, s.len);
        let still_here = here.is_some();
        let len = here.unwrap_or(s.len);
        // One that was cut since N takes no more bytes, whatever it was then.
        let sealed = log.is_sealed(s.name) || len < s.len;
        if still_here {
            let submitted = p.borrow().files.get(&s.name).map_or(0, |f| f.submitted);
            if sealed && submitted < len {
                let forget = planted::is(Planted::LastBlockForgotten);
                let to = if forget { floor_block(len) } else { len };
                writer::write_segment(inner, p, s.name, to, !forget).await?;
            } else if !sealed
                && floor_block(len).saturating_sub(submitted) >= inner.config.thresholds.blocks_due
            {
                writer::write_segment(inner, p, s.name, floor_block(len), false).await?;
            }
            let written = p.borrow().files.get(&s.name).map_or(0, |f| f.written);
            writer::write_index(inner, p, s.name, written.min(len), sealed).await?;
            if !s.aborted.tail().is_empty() {
                let now = txn_index::write(inner, p, s, sealed).await?;
                indexed.push((s.name, s.aborted.in_file(), now));
            }
        }
        let (mut bytes, index_entries) =
            p.borrow().files.get(&s.name).map_or((0, 0), |f| (f.written, f.index_written));
        if planted::is(Planted::LastBlockForgotten) && sealed && still_here {
            bytes = s.len;
        }
        files.push(DurableFile { name: s.name, bytes, index_entries });
    }
    Ok((files, indexed))
}

/// How many of a segment's first `len` bytes the log still holds; none if the segment has left it.
fn still_here(p: &Shared, name: SegmentName, len: u32) -> Option<u32> {
    p.borrow().log.segment(name).map(|s| s.len.min(len))
}

/// Brings what no block holds into the rest log, and notes the partition's state after N.
async fn note(inner: &Rc<Inner>, plan: &mut Plan, w: Written) -> io::Result<()> {
    let Written { partition: p, log, last_record, mut files, indexed } = w;
    let mut pieces: Vec<RestPiece> = Vec::new();
    for (s, f) in log.segments().iter().zip(&files) {
        // What a truncation has taken since N is not to be had, and not needed: its record follows in the ring.
        let len = still_here(&p, s.name, s.len).unwrap_or(s.len);
        if f.bytes < len {
            gather_rest(inner, plan, &p, s.name, (f.bytes, len), &mut pieces).await?;
        }
    }
    files.retain(|f| f.bytes > 0);
    let mut log = log;
    if planted::is(Planted::ProducersForgotten) {
        log.expire_producers(Timestamp(i64::MAX / 2), 0);
    }
    let incomplete =
        p.borrow().incomplete.clone().filter(|_| !planted::is(Planted::IncompleteMarkLost));
    let unused_from = p.borrow().unused_from(log.end(), incomplete.is_some());
    let state =
        State { log, files, rest: pieces, last_record, directory: 0, incomplete, unused_from };
    plan.taken.push(Taken { partition: p, state, indexed });
    Ok(())
}

/// The commit that must be flushed before the manifest leaves out what records behind N have dropped. A segment that has left
/// the log since N, or has been cut, perhaps only just now, needs no bytes, and its file no sync, but only then: recovery will
/// find the record that dropped them in the ring.
fn left_out_by(plan: &Plan) -> u64 {
    let dropped = plan.taken.iter().filter_map(|t| {
        let p = t.partition.borrow();
        let gone = |s: &Segment| p.log.segment(s.name).is_none_or(|live| live.len < s.len);
        let gone = t.state.log.segments().iter().any(gone);
        (gone && !planted::is(Planted::DroppedLeftOutTooEarly)).then_some(p.last_record)
    });
    dropped.max().unwrap_or(0).max(plan.deleted_by)
}

/// The bytes `from..to` of a segment are in the rest log already, or are added to it.
async fn gather_rest(
    inner: &Rc<Inner>,
    plan: &mut Plan,
    p: &Shared,
    segment: SegmentName,
    (from, to): (u32, u32),
    pieces: &mut Vec<RestPiece>,
) -> io::Result<()> {
    let mut covered = from;
    if !plan.rest.new {
        let p = p.borrow();
        covered = p.rest_end(segment, from);
        let live = |r: &&RestPiece| r.segment == segment && r.position + r.length > from;
        pieces.extend(p.rest.iter().filter(live));
    }
    if covered >= to {
        return Ok(());
    }
    let found = rest_log::above(inner, p, segment, covered, to).await;
    // Of an incomplete partition only a part may be here. Whatever is here stays here. And a segment may have been dropped
    // meanwhile, and its memory with it; the record that dropped it follows in the ring.
    rest_log::on_stop(inner, p, segment, &found);
    if p.borrow().log.segment(segment).is_none() || found.slices.is_empty() {
        return Ok(());
    }
    let id = p.borrow().id;
    pieces.push(plan.rest.push(inner, id, segment, covered, &found.slices).await?);
    Ok(())
}

async fn sync_segments(inner: &Rc<Inner>, dirty: &[Shared]) {
    // Also files of partitions that are clean by now but were written since the last checkpoint are synced: a file is counted
    // only by the entry of a partition that is taken, and such a partition is dirty.
    let mut unsynced = Vec::new();
    let mut slices = Slices::new(inner);
    for p in dirty {
        slices.next().await;
        let mut p_mut = p.borrow_mut();
        let id = p_mut.id;
        for (name, f) in p_mut.files.iter_mut() {
            // Cleared before: what is written during the sync is not covered by it.
            if std::mem::take(&mut f.unsynced) {
                match f.file.as_ref().map(OpenFile::handle) {
                    Some(file) => unsynced.push((Rc::clone(p), name, file)),
                    // The entry would count bytes that nobody has synced.
                    None if planted::is(Planted::FileClosedUnderItsWriter) => {}
                    None => inner.rt.fault(format!(
                        "segment {name} of {id} was written and closed without a sync"
                    )),
                }
            }
            if let Some(index) = f.unsynced_index.take() {
                unsynced.push((Rc::clone(p), name, index));
            }
        }
    }
    let me = Rc::clone(inner);
    beside(inner, unsynced, move |(p, name, file)| {
        let inner = Rc::clone(&me);
        async move {
            if let Err(e) = file.sync_data().await {
                inner.rt.fault(format!("sync of segment {name} of {} failed: {e}", p.borrow().id));
            }
            inner.count(|c| c.syncs += 1);
        }
    })
    .await;
}

/// Closes the files of segments that are no longer written, and of all beyond the first `kept` that are open.
fn close_files(partitions: &[Shared], kept: usize) {
    let mut open = 0;
    for p in partitions {
        let mut p = p.borrow_mut();
        let active = p.log.segments().last().map(|s| s.name);
        // Who is about to write holds the file already, and the next checkpoint has to find it.
        let idle = !p.writing || planted::is(Planted::FileClosedUnderItsWriter);
        let closable = open >= kept;
        for (name, f) in p.files.iter_mut() {
            open += usize::from(f.file.is_some());
            if idle && !f.unsynced && (closable || Some(name) != active) {
                f.file = None;
            }
        }
    }
}

/// A partition that is idle has no file open, where there are too many open.
fn close_idle(inner: &Rc<Inner>) {
    let kept = inner.config.thresholds.open_files_kept;
    if inner.segment_files.get() > kept {
        let all: Vec<Shared> = inner.partitions.borrow().values().cloned().collect();
        let (busy, idle): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|p| p.borrow().processed == inner.checkpoint.get());
        let left: usize = busy.iter().map(|p| p.borrow().open_files()).sum();
        close_files(&idle, kept.saturating_sub(left));
    }
}

/// Out of descriptors: every file is synced and closed, so that the next try finds some.
async fn close_all(inner: &Rc<Inner>) {
    let all: Vec<Shared> = inner.partitions.borrow().values().cloned().collect();
    sync_segments(inner, &all).await;
    close_files(&all, 0);
}

/// A name is durable only if the directories above it are: all of them are, before the manifest speaks of a file.
async fn sync_directories(inner: &Rc<Inner>) {
    let directories = std::mem::take(&mut *inner.unlisted.borrow_mut()).into_iter().collect();
    let me = Rc::clone(inner);
    beside(inner, directories, move |dir: PathBuf| {
        let inner = Rc::clone(&me);
        async move { sync_dir(&inner, &dir).await }
    })
    .await;
}

/// Does `what` with every item, [`SYNCS_IN_FLIGHT`] at the same time.
async fn beside<T: 'static, F: Future<Output = ()> + 'static>(
    inner: &Rc<Inner>,
    items: Vec<T>,
    what: impl Fn(T) -> F + 'static,
) {
    let tasks = items.len().min(SYNCS_IN_FLIGHT);
    let (queue, what) = (Rc::new(RefCell::new(items)), Rc::new(what));
    let mut ends = Vec::new();
    for _ in 0..tasks {
        let (ended, end) = oneshot();
        let (queue, what) = (Rc::clone(&queue), Rc::clone(&what));
        inner.rt.spawn(async move {
            loop {
                let next = queue.borrow_mut().pop();
                let Some(item) = next else { break };
                what(item).await;
            }
            ended.send(());
        });
        ends.push(end);
    }
    for end in ends {
        // A task that is dropped goes with the process.
        let _ = end.await;
    }
}

async fn sync_dir(inner: &Rc<Inner>, dir: &Path) {
    match inner.sync_dir(dir).await {
        Ok(()) => {}
        // A topic that was deleted meanwhile.
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => inner.rt.fault(format!("sync of {} failed: {e}", dir.display())),
    }
}

async fn write_manifest(
    inner: &Rc<Inner>,
    plan: &Plan,
    gone: &[PartitionId],
    footer: Footer,
) -> io::Result<()> {
    let mut batch = BatchBuilder::default();
    let mut slices = Slices::new(inner);
    for t in &plan.taken {
        slices.next().await;
        batch.push(t.partition.borrow().id, Some(&t.state));
    }
    if !plan.whole_manifest {
        for id in gone {
            slices.next().await;
            batch.push(*id, None);
        }
    }
    let (ring, number, previous_crc) = {
        let m = inner.manifest.borrow();
        (m.ring, m.number + 1, if plan.whole_manifest { 0 } else { m.crc })
    };
    // Nothing has been written: the manifest that is there stays true.
    let sealed = batch.seal(plan.whole_manifest, ring, number, previous_crc, footer);
    let (bytes, crc) = sealed.ok_or_else(|| {
        io::Error::other(
            "the entries of one checkpoint take 4 GiB, and a manifest has no room for it",
        )
    })?;
    let len = bytes.len() as u64;
    if plan.whole_manifest {
        let files = replace_manifests(inner, &bytes).await?;
        let mut m = inner.manifest.borrow_mut();
        m.files = files;
        m.len = len;
        m.allocated = len.next_multiple_of(inner.config.thresholds.allocate);
        m.live = len;
        inner.count(|c| c.manifest_rewrites += 1);
    } else {
        let (files, at, allocated) = {
            let m = inner.manifest.borrow();
            (m.files.clone(), m.len, m.allocated)
        };
        if at + len > allocated {
            let more = (at + len - allocated).next_multiple_of(inner.config.thresholds.allocate);
            for file in &files {
                file.allocate(allocated, more).await?;
            }
            inner.manifest.borrow_mut().allocated = allocated + more;
        }
        for file in &files {
            write_aligned(inner, file, at, &bytes, "manifest").await;
            if let Err(e) = file.sync_data().await {
                inner.rt.fault(format!("sync of the manifest failed: {e}"));
            }
            if planted::is(Planted::RingMovedBeforeTheSecondCopy) {
                inner.journal.release(footer.position);
            }
        }
        inner.manifest.borrow_mut().len = at + len;
    }
    inner.count(|c| c.manifest_bytes += 2 * len);
    let mut m = inner.manifest.borrow_mut();
    m.number = number;
    m.crc = crc;
    m.footer = footer;
    Ok(())
}

/// Writes both copies anew: both temporary files, synced; then one after the other takes its place, the second only when the
/// name of the first is durable. A disk that is full says so before either has changed.
async fn replace_manifests(inner: &Rc<Inner>, bytes: &[u8]) -> io::Result<[File; 2]> {
    let paths = inner.paths.manifests(inner.generation, inner.core);
    let dir = inner.paths.core(inner.generation, inner.core);
    let disk = inner.rt.disk();
    let mut files = Vec::new();
    for path in &paths {
        let open = Open {
            read: true,
            write: true,
            create: true,
            truncate: true,
            direct: true,
            ..Open::default()
        };
        let file = disk.open(&path.with_extension("new"), open).await?;
        file.allocate(0, (bytes.len() as u64).next_multiple_of(inner.config.thresholds.allocate))
            .await?;
        files.push(file);
    }
    for file in &files {
        write_aligned(inner, file, 0, bytes, "manifest").await;
        if let Err(e) = file.sync_data().await {
            inner.rt.fault(format!("sync of the manifest failed: {e}"));
        }
    }
    for path in &paths {
        if let Err(e) = disk.rename(&path.with_extension("new"), path).await {
            // One copy may be new by now and the other not: as at a crash, which the next start knows how to mend.
            inner.rt.fault(format!("rename of the manifest failed: {e}"));
        }
        sync_dir(inner, &dir).await;
    }
    let b = files.pop();
    let a = files.pop();
    a.zip(b).map(|(a, b)| [a, b]).ok_or_else(|| io::Error::other("a manifest is missing"))
}

/// The manifest holds it: now memory says so too.
async fn apply(inner: &Rc<Inner>, plan: Plan, footer: Footer) {
    let Plan { taken, rest, .. } = plan;
    // The new rest log counts from here on. What this has not come to yet has its pieces in the old one, which stays open as
    // long: so others may go on in between.
    let old = rest.take_over(&mut inner.rest.borrow_mut(), footer.rest_len);
    let mut slices = Slices::new(inner);
    for t in taken {
        slices.next().await;
        let mut p = t.partition.borrow_mut();
        p.listed = true;
        for d in &t.state.files {
            if let Some(f) = p.files.get_mut(&d.name) {
                f.durable = f.durable.max(d.bytes);
            }
        }
        for (name, before, now) in t.indexed {
            // One that was found damaged meanwhile is in memory now, and is written by the next checkpoint.
            let live = p.log.segment_mut(name).filter(|s| s.aborted.in_file() == before);
            if let Some(s) = live {
                s.aborted.moved_to_file(now);
            }
        }
        let names: Vec<SegmentName> = p.log.segments().iter().map(|s| s.name).collect();
        p.rest = t.state.rest;
        p.rest.retain(|r| names.contains(&r.segment));
        p.rest.shrink_to_fit();
        for name in names {
            let done = p.files.get(&name).map_or(0, |f| f.index_written);
            let sealed = p.log.is_sealed(name);
            let whole = p.log.segment(name).is_some_and(|s| {
                let of = |f: &SegmentFile| {
                    let all = f.index_base as usize + s.index.entries().len();
                    f.durable >= s.len && done as usize == all
                };
                p.files.get(&name).is_some_and(of)
            });
            if sealed && whole && done > 0 {
                // All of it is in the index file: the memory can go.
                if let Some(s) = p.log.segment_mut(name) {
                    s.index.clear();
                }
                if let Some(f) = p.files.get_mut(&name) {
                    f.index_base = done;
                    // What was read back before ends where the file ended then.
                    f.cold_index = None;
                }
            }
        }
        p.tail.rest();
        let mentions = std::iter::repeat_with(|| Rc::downgrade(&t.partition)).take(p.mentions());
        inner.evictable.borrow_mut().extend(mentions);
    }
    inner.rest.borrow_mut().outgoing = None;
    if let Some(number) = old {
        inner.count(|c| c.rest_rewrites += 1);
        let path = inner.paths.rest(inner.generation, inner.core, number);
        match inner.rt.disk().remove_file(&path).await {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => runtime::tell!("cannot remove {}: {e}", path.display()),
        }
    }
}
