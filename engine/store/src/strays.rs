//! Files that a crash or a stop has left: between a record that drops them and their removal, or between a checkpoint's steps.
//!
//! Rest logs go at once, before anything is written. Segments, and whole partitions, go in the background, some seconds after
//! the start or when the first checkpoint is done, whichever comes first: a directory is looked at only once in a life of the
//! process, and nobody waits for it.
//!
//! They need no checkpoint, which does not come on an idle core, nor on a full disk, where these files may be what fills it:
//!
//! - Recovery syncs ring and manifest before it reads them, and makes both copies of the manifest equal. So whatever dropped a
//!   file is flushed, as it is where files go in the life that dropped them, and every later start comes to the same result: from
//!   this manifest and a longer ring, or from a later manifest, which was made of that result.
//! - The manifest may still name what goes. Recovery opens no segment; the ring's Delete, LogStart or Truncate takes it out of
//!   the state before anybody does. What compaction has replaced in this life stays until no manifest names it.
//! - A process that dies half-way leaves fewer files of something that is still unknown, and the next one looks again.
//! - A partition that is made meanwhile waits for the files that would have its names, and a segment that is made meanwhile has
//!   a number that no stray has.
//!
//! Where commits are missing, and nobody knows whose, nothing goes.

use crate::data_dir::Part;
use crate::partition::Shared;
use crate::reserve::is_out_of_files;
use crate::shortage::OUT_OF_FILES_PAUSE;
use crate::store::{Inner, Store, remove_left_behind, unlink_segments};
use ids::{Offset, PartitionId, PartitionIndex, TopicId};
use log::SegmentName;
use runtime::Runtime;
use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::io;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// Between two directories.
const PAUSE: Duration = Duration::from_millis(2);

/// The creation number that comes next, of every partition that is known at the start. A file with a lower one either
/// belongs to the log, or has left it.
pub(crate) type Known = BTreeMap<PartitionId, u32>;

pub(crate) fn known(partitions: &BTreeMap<PartitionId, Shared>) -> Known {
    partitions.iter().map(|(id, p)| (*id, p.borrow().log.next_creation())).collect()
}

/// Removes rest logs that no manifest speaks of. What cannot be removed stays; it is in nobody's way.
pub(crate) async fn remove_rest_logs(rt: &Runtime, part: &Part<'_>, current: u32) {
    let dir = part.paths.core(part.generation, part.core);
    let Ok(names) = rt.disk().read_dir(&dir).await else { return };
    for e in names {
        let number = e.name.strip_prefix("rest-").and_then(|n| n.parse::<u32>().ok());
        if number.is_some_and(|n| n != current)
            && let Err(e) = rt.disk().remove_file(&dir.join(&e.name)).await
        {
            runtime::tell!("a rest log that is no longer used cannot be removed: {e}");
        }
    }
}

/// Looks for strays when the first checkpoint is done, or after [`Config::strays_after`](crate::Config::strays_after) without
/// one.
pub(crate) fn sweep_later(store: &Store, known: Known, cores: u16) {
    let inner = Rc::clone(&store.inner);
    store.inner.rt.spawn(async move {
        wait(&inner).await;
        if let Err(e) = sweep(&inner, &known, cores).await {
            runtime::tell!("files that a crash has left cannot be looked for: {e}");
        }
    });
}

/// Resolves when it is time to look: what a start has to do for others comes first.
async fn wait(inner: &Inner) {
    let mut pause = pin!(inner.rt.sleep(inner.config.strays_after));
    let mut waits = true;
    while waits && inner.counters.get().checkpoints == 0 {
        let mut done = pin!(inner.checkpoint_done.notified());
        poll_fn(|cx| {
            if pause.as_mut().poll(cx).is_ready() {
                waits = false;
                return Poll::Ready(());
            }
            done.as_mut().poll(cx)
        })
        .await;
    }
}

async fn sweep(inner: &Rc<Inner>, known: &Known, cores: u16) -> io::Result<()> {
    let disk = inner.rt.disk();
    for topic in list(inner, &inner.paths.topics()).await? {
        let Some(id) = topic_id(&topic) else { continue };
        for index in list(inner, &inner.paths.topic(id)).await? {
            let Ok(index) = index.parse::<i32>() else { continue };
            let id = PartitionId { topic: id, index: PartitionIndex(index) };
            if id.owner(cores) != inner.core {
                continue;
            }
            inner.rt.sleep(PAUSE).await;
            // The next start finds the rest.
            if inner.stopping.get() {
                return Ok(());
            }
            let here = inner.partitions.borrow().get(&id).cloned();
            match (here, known.get(&id)) {
                // Its Delete is flushed: it was not in the ring's chain otherwise. An id is never used again.
                // Or it was made since, and is being deleted: the record that says so must be flushed first.
                (None, None) => {
                    let so_far = inner.journal.seal();
                    inner.journal.flushed(so_far).await;
                    let taken = inner.partitions.borrow().contains_key(&id);
                    if taken || inner.removals.are_leaving(id) {
                        continue;
                    }
                    remove_left_behind(inner, id).await;
                    inner.count(|c| c.strays += 1);
                }
                (Some(p), Some(next)) => sweep_partition(inner, &p, id, *next).await?,
                // Deleted since, by someone who removes its files; or made since.
                (None, Some(_)) | (Some(_), None) => {}
            }
        }
        // A topic without a partition is not left behind.
        let _ = disk.remove_dir(&inner.paths.topic(id)).await;
    }
    Ok(())
}

/// The names in a directory that may go while it is read.
async fn list(inner: &Inner, dir: &Path) -> io::Result<Vec<String>> {
    loop {
        match inner.rt.disk().read_dir(dir).await {
            Ok(entries) => return Ok(entries.into_iter().map(|e| e.name).collect()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            // Somebody closes one before long, and nobody else looks in this life.
            Err(e) if is_out_of_files(&e) && !inner.stopping.get() => {
                inner.rt.sleep(OUT_OF_FILES_PAUSE).await;
            }
            Err(e) => return Err(e),
        }
    }
}

async fn sweep_partition(
    inner: &Rc<Inner>,
    p: &Shared,
    id: PartitionId,
    next: u32,
) -> io::Result<()> {
    let names: BTreeSet<SegmentName> =
        list(inner, &inner.paths.partition(id)).await?.iter().filter_map(|n| segment(n)).collect();
    let (strays, record) = {
        let p = p.borrow();
        if p.incomplete.is_some() || p.deleted {
            return Ok(());
        }
        // What compaction has replaced is named by the manifest until the next checkpoint is durable; it sees to that.
        let stray = |n: &SegmentName| {
            n.creation < next && p.log.segment(*n).is_none() && !p.replaced.contains(n)
        };
        (names.into_iter().filter(stray).collect::<Vec<_>>(), p.last_record)
    };
    if !strays.is_empty() {
        // One that has only just left the log goes when the record that says so is flushed.
        inner.journal.flushed(record).await;
        inner.count(|c| c.strays += strays.len() as u64);
        unlink_segments(inner, id, &strays).await;
    }
    Ok(())
}

/// The segment that a file belongs to.
fn segment(file: &str) -> Option<SegmentName> {
    let (name, _) = file.split_once('.')?;
    let (base, creation) = name.split_once('-')?;
    Some(SegmentName { base: Offset(base.parse().ok()?), creation: creation.parse().ok()? })
}

fn topic_id(directory: &str) -> Option<TopicId> {
    TopicId::parse(directory)
}
