//! Files that nobody needs any more are removed.

use super::Inner;
use crate::reserve::is_out_of_files;
use crate::shortage::OUT_OF_FILES_PAUSE;
use ids::PartitionId;
use log::SegmentName;
use std::io;
use std::path::Path;
use std::rc::Rc;

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
                Err(e) => eprintln!("cannot remove {}: {e}", path.display()),
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

/// Removes all files of a partition, and its topic's directory when it was the last.
pub(crate) async fn remove_partition_files(inner: &Rc<Inner>, id: PartitionId) {
    let disk = inner.rt.disk();
    let dir = inner.paths.partition(id);
    let entries = loop {
        match disk.read_dir(&dir).await {
            Ok(entries) => break entries,
            // Nothing of it was ever written.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return,
            // Somebody may delete to get out of trouble: it must not be forgotten until the next start.
            Err(e) if is_out_of_files(&e) => inner.rt.sleep(OUT_OF_FILES_PAUSE).await,
            Err(e) => {
                eprintln!("the files of {id} stay until the next start: {}: {e}", dir.display());
                return;
            }
        }
    };
    for e in entries {
        match disk.remove_file(&dir.join(&e.name)).await {
            Ok(()) => {}
            // A new start of the log came first.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => eprintln!("cannot remove a file of {id}: {e}"),
        }
    }
    give_space_back(inner, &dir).await;
    // A directory that is not empty stays: another partition of the topic is still there.
    let _ = disk.remove_dir(&dir).await;
    let _ = disk.remove_dir(&inner.paths.topic(id.topic)).await;
}
