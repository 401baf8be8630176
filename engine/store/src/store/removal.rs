//! Files that nobody needs any more are removed.
//!
//! What has been deleted, or has left a log, is answered for when its record is flushed. Its files go afterwards, some at a
//! time, and nobody waits for them: a large topic has a hundred thousand. What a stop or a crash leaves of them goes soon after
//! the next start, which needs no checkpoint for that, see `strays.rs`.

use super::{Inner, Store};
use crate::partition::Shared;
use crate::reserve::is_out_of_files;
use crate::shortage::OUT_OF_FILES_PAUSE;
use crate::writer;
use ids::PartitionId;
use log::SegmentName;
use runtime::sync::Notify;
use std::cell::{Cell, RefCell};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::Path;
use std::rc::Rc;

/// So many partitions lose files at the same time: each waits for the disk several times, and what they sync is committed
/// together.
const AT_ONCE: usize = 4;

/// Files that go when a record is flushed.
struct Removal {
    partition: Shared,
    id: PartitionId,
    /// The commit of the record that drops them.
    sequence: u64,
    what: What,
}

enum What {
    /// These segments of a log that goes on.
    Segments(Vec<SegmentName>),
    /// All of a deleted partition.
    Partition,
}

/// What is on its way out on this core. In line are at most all segments that there were.
#[derive(Default)]
pub(crate) struct Removals {
    line: RefCell<VecDeque<Removal>>,
    /// Partitions that lose files right now: those of one go one after the other.
    busy: RefCell<BTreeSet<PartitionId>>,
    /// Deleted partitions whose files have not gone yet. One that is made with the same id meanwhile would have the same
    /// names: none of its blocks is written before they have.
    leaving: RefCell<BTreeMap<PartitionId, Option<Shared>>>,
    /// Tasks that remove files; there are some as long as anything is in line.
    tasks: Cell<usize>,
    /// Rung when one of them ends.
    ended: Notify,
}

impl Removals {
    /// Whether the files of a deleted partition are about to go.
    pub(crate) fn are_leaving(&self, id: PartitionId) -> bool {
        self.leaving.borrow().contains_key(&id)
    }

    /// A partition is made: it waits for the files of one that had the same id.
    pub(super) fn hold(&self, id: PartitionId, made: &Shared) {
        if let Some(successor) = self.leaving.borrow_mut().get_mut(&id) {
            made.borrow_mut().writing = true;
            *successor = Some(Rc::clone(made));
        }
    }

    /// The next one whose partition nobody is at.
    fn next(&self) -> Option<Removal> {
        let (mut line, mut busy) = (self.line.borrow_mut(), self.busy.borrow_mut());
        let first = line.iter().position(|r| !busy.contains(&r.id))?;
        let next = line.remove(first)?;
        busy.insert(next.id);
        Some(next)
    }

    /// Resolves when no task removes anything any more.
    pub(super) async fn over(&self) {
        while self.tasks.get() > 0 {
            self.ended.notified().await;
        }
    }
}

impl Store {
    /// Resolves when the files of all that was deleted, or has left its log, have gone.
    pub async fn removed(&self) {
        self.inner.removals.over().await;
    }
}

/// A partition has been deleted by the record in commit `sequence`: its files go when that is flushed.
pub(super) fn remove_partition(inner: &Rc<Inner>, partition: &Shared, sequence: u64) {
    let id = partition.borrow().id;
    let is_first = match inner.removals.leaving.borrow_mut().entry(id) {
        Entry::Vacant(free) => {
            free.insert(None);
            true
        }
        Entry::Occupied(mut successor) => {
            successor.insert(None);
            false
        }
    };
    if is_first {
        let removal =
            Removal { partition: Rc::clone(partition), id, sequence, what: What::Partition };
        begin(inner, removal);
    } else {
        // It was made and deleted before the files of the one before it have gone, and has none of its own.
        partition.borrow_mut().writing = false;
        inner.writing_done.notify_all();
    }
}

/// Segments have left the log of `partition` by the record in commit `sequence`: their files go when that is flushed.
pub(super) fn remove_segments(
    inner: &Rc<Inner>,
    partition: &Shared,
    sequence: u64,
    names: Vec<SegmentName>,
) {
    if names.is_empty() {
        return;
    }
    let id = partition.borrow().id;
    let what = What::Segments(names);
    begin(inner, Removal { partition: Rc::clone(partition), id, sequence, what });
}

fn begin(inner: &Rc<Inner>, removal: Removal) {
    let removals = &inner.removals;
    removals.line.borrow_mut().push_back(removal);
    if removals.tasks.get() >= AT_ONCE {
        return;
    }
    removals.tasks.set(removals.tasks.get() + 1);
    let me = Rc::clone(inner);
    inner.rt.spawn(async move {
        while let Some(next) = me.removals.next() {
            carry_out(&me, &next).await;
            // What is left then goes at the next start.
            if me.stopping.get() {
                break;
            }
            end(&me, &next);
        }
        me.removals.tasks.set(me.removals.tasks.get() - 1);
        me.removals.ended.notify_all();
    });
}

async fn carry_out(inner: &Rc<Inner>, removal: &Removal) {
    let Removal { partition, id, sequence, what } = removal;
    // What comes after a stop is not flushed any more.
    if inner.stopping.get() {
        return;
    }
    inner.journal.flushed(*sequence).await;
    match what {
        What::Segments(names) => {
            for name in names {
                // The files of a deleted partition go all together, and then perhaps to another of its name.
                if inner.stopping.get() || partition.borrow().deleted {
                    return;
                }
                unlink_files(inner, *id, std::slice::from_ref(name)).await;
            }
            give_space_back(inner, &inner.paths.partition(*id)).await;
        }
        What::Partition => {
            // A checkpoint or a writer may still be at its files.
            while partition.borrow().writing {
                inner.writing_done.notified().await;
            }
            if let_go(inner, partition) {
                remove_partition_files(inner, *id).await;
            }
        }
    }
}

/// Who comes next for the partition may go on.
fn end(inner: &Rc<Inner>, removal: &Removal) {
    inner.removals.busy.borrow_mut().remove(&removal.id);
    match removal.what {
        What::Segments(_) => {}
        What::Partition => let_successor_in(inner, removal.id),
    }
}

/// Removes the files of a partition that a process before this one has deleted. One that is made with the same id meanwhile
/// waits for that, as it does for those of one that was deleted just now.
pub(crate) async fn remove_left_behind(inner: &Rc<Inner>, id: PartitionId) {
    inner.removals.leaving.borrow_mut().insert(id, None);
    remove_partition_files(inner, id).await;
    // After a stop some are left, and nobody writes any more.
    if !inner.stopping.get() {
        let_successor_in(inner, id);
    }
}

/// The files of a deleted partition have gone: one that was made meanwhile may have some.
fn let_successor_in(inner: &Rc<Inner>, id: PartitionId) {
    let successor = inner.removals.leaving.borrow_mut().remove(&id).flatten();
    if let Some(successor) = successor {
        successor.borrow_mut().writing = false;
        inner.writing_done.notify_all();
        writer::kick(inner, &successor);
    }
}

/// A deleted partition at whose files nobody is gives up memory and descriptors. Whether it may have files.
///
/// Descriptors before names: with the last one of a file without a name go its blocks, on this core.
pub(super) fn let_go(inner: &Inner, partition: &Shared) -> bool {
    let mut p = partition.borrow_mut();
    p.tail.clear();
    p.files.clear();
    inner.readers.borrow_mut().forget_partition(p.id);
    p.has_directory
}

/// Removes the files of segments that have left the log durably.
pub(crate) async fn unlink_segments(inner: &Rc<Inner>, id: PartitionId, dropped: &[SegmentName]) {
    if dropped.is_empty() {
        return;
    }
    unlink_files(inner, id, dropped).await;
    give_space_back(inner, &inner.paths.partition(id)).await;
}

/// Removes the files of segments; their space comes back when the file system sees fit.
pub(crate) async fn unlink_files(inner: &Rc<Inner>, id: PartitionId, names: &[SegmentName]) {
    let disk = inner.rt.disk();
    for name in names {
        inner.readers.borrow_mut().forget(id, *name);
        for ending in ["log", "index", "txnindex"] {
            let path = inner.paths.segment(id, *name, ending);
            match disk.remove_file(&path).await {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => runtime::tell!("cannot remove {}: {e}", path.display()),
            }
        }
    }
}

/// A journalling file system hands the blocks of removed files out again only when the removal is durable.
async fn give_space_back(inner: &Rc<Inner>, dir: &Path) {
    match inner.sync_dir(dir).await {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => inner.rt.fault(format!("sync of {} failed: {e}", dir.display())),
    }
}

/// Removes all files of a partition, and its topic's directory when it was the last. A stop leaves what is there to the next
/// start.
pub(crate) async fn remove_partition_files(inner: &Rc<Inner>, id: PartitionId) {
    let disk = inner.rt.disk();
    let dir = inner.paths.partition(id);
    let entries = loop {
        if inner.stopping.get() {
            return;
        }
        match disk.read_dir(&dir).await {
            Ok(entries) => break entries,
            // Nothing of it was ever written.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return,
            // Somebody may delete to get out of trouble: it must not be forgotten until the next start.
            Err(e) if is_out_of_files(&e) => inner.rt.sleep(OUT_OF_FILES_PAUSE).await,
            Err(e) => {
                runtime::tell!(
                    "the files of {id} stay until the next start: {}: {e}",
                    dir.display()
                );
                return;
            }
        }
    };
    for e in entries {
        if inner.stopping.get() {
            return;
        }
        match disk.remove_file(&dir.join(&e.name)).await {
            Ok(()) => {}
            // A new start of the log came first.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => runtime::tell!("cannot remove a file of {id}: {e}"),
        }
    }
    give_space_back(inner, &dir).await;
    // A directory that is not empty stays: another partition of the topic is still there.
    let _ = disk.remove_dir(&dir).await;
    let _ = disk.remove_dir(&inner.paths.topic(id.topic)).await;
}
