//! Files that a crash has left: between a record that drops them and their removal, or between a checkpoint's steps.
//!
//! Rest logs go at once, before anything is written. Segments, and whole partitions, go after the next checkpoint, in the
//! background: a directory is looked at only once in a life of the process, and nobody waits for it.

use crate::data_dir::Part;
use crate::partition::Shared;
use crate::store::{Inner, Store, remove_partition_files, unlink_segments};
use ids::{Offset, PartitionId, PartitionIndex, TopicId};
use log::SegmentName;
use runtime::Runtime;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::rc::Rc;
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
            eprintln!("a rest log that is no longer used cannot be removed: {e}");
        }
    }
}

/// Looks for strays when the first checkpoint is done.
pub(crate) fn sweep_later(store: &Store, known: Known, cores: u16) {
    let inner = Rc::clone(&store.inner);
    store.inner.rt.spawn(async move {
        while inner.counters.get().checkpoints == 0 {
            inner.checkpoint_done.notified().await;
        }
        if let Err(e) = sweep(&inner, &known, cores).await {
            eprintln!("files that a crash has left cannot be looked for: {e}");
        }
    });
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
                    remove_partition_files(inner, id).await;
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
    match inner.rt.disk().read_dir(dir).await {
        Ok(entries) => Ok(entries.into_iter().map(|e| e.name).collect()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e),
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
