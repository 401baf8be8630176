//! Another number of cores, or rings of another size: the same partitions under a new layout.
//!
//! The rings of the old layout are replayed one after the other. What they and their rest logs hold goes to segments and to
//! the rest logs of the new layout, by an ordinary checkpoint for each new core that has a part in it; so only one old ring
//! is in memory at a time. The new rings are empty: their manifests name commit 0, and no record has a predecessor.
//!
//! The old generation stays as it is until both copies of the layout name the new one. Segments are written only behind what
//! the old manifests count, with the bytes that replay of the old rings would write there too. So a cut at any moment leaves
//! one of the two whole, and the other is removed at the next start.

use crate::checkpoint;
use crate::data_dir::{OpenError, Part, fail, make_rings, ring_file_bytes, rings};
use crate::format::layout::Layout;
use crate::journal::{Journal, Resume};
use crate::partition::{PartitionConfig, Shared};
use crate::paths::Paths;
use crate::planted::{self, Planted};
use crate::recovery::{self, Purpose, Recovered};
use crate::reserve::Reserve;
use crate::rest_log::RestLog;
use crate::ring::Ring;
use crate::store::{Config, Inner, Parts};
use ids::{CoreId, PartitionId};
use runtime::{Disk, Runtime};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::rc::Rc;

/// What a change of the layout has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relayout {
    /// Cores and bytes of each ring before.
    pub from: (u16, u64),
    /// Cores and bytes of each ring now.
    pub to: (u16, u64),
    /// Partitions that were handed over.
    pub partitions: u64,
    /// Bytes that were in the old rings and rest logs and are in segments or new rest logs now.
    pub bytes: u64,
}

/// Whether the layout is the one that is asked for.
pub(crate) fn fits(layout: &Layout, cores: u16, ring_bytes: u64) -> bool {
    let file_bytes = ring_file_bytes(ring_bytes);
    layout.cores.len() == usize::from(cores)
        && layout.cores.iter().all(|c| c.file_bytes == file_bytes)
}

/// Makes the next generation beside the present one. It counts once the caller has written the layout that this returns; if
/// it fails, what it has made is taken away again.
pub(crate) async fn change(
    rt: &Runtime,
    paths: &Paths,
    old: &Layout,
    cores: u16,
    ring_bytes: u64,
) -> Result<(Layout, Relayout), OpenError> {
    let new = Layout {
        generation: old.generation + 1,
        directory: old.directory,
        cores: rings(rt, cores, ring_bytes),
    };
    let result = hand_over(rt, paths, old, &new).await;
    match result {
        Ok(done) => Ok((new, done)),
        Err(e) => {
            // Perhaps the disk is full: the attempt must not make that worse. The reason is what the caller wants to know.
            let _ = remove_generation(&rt.disk(), paths, new.generation).await;
            Err(e)
        }
    }
}

async fn hand_over(
    rt: &Runtime,
    paths: &Paths,
    old: &Layout,
    new: &Layout,
) -> Result<Relayout, OpenError> {
    make_rings(rt, paths, new).await?;
    let mut heirs = Vec::new();
    for core in core_ids(new) {
        heirs.push(heir(rt, paths, new, core).await?);
    }
    let count = |l: &Layout| u16::try_from(l.cores.len()).unwrap_or(u16::MAX);
    let bytes = |l: &Layout| l.cores.first().map_or(0, |c| u64::from(c.files) * c.file_bytes);
    let mut done = Relayout {
        from: (count(old), bytes(old)),
        to: (count(new), bytes(new)),
        partitions: 0,
        bytes: 0,
    };
    let mut seen = BTreeSet::new();
    for core in core_ids(old) {
        if planted::is(Planted::RemovedCoreIgnored) && core.index() >= heirs.len() {
            continue;
        }
        let part = part(paths, old, core)?;
        let config_of = |_| PartitionConfig::default();
        let found = recovery::recover(rt, &part, Purpose::Look, config_of).await?;
        refuse_what_cannot_move(core, &found, &mut seen)?;
        let mut shares: Vec<BTreeMap<PartitionId, Shared>> = vec![BTreeMap::new(); heirs.len()];
        for (id, p) in found.partitions {
            done.partitions += 1;
            done.bytes += release(&p);
            shares[id.owner(count(new)).index()].insert(id, p);
        }
        for (heir, share) in heirs.iter().zip(shares) {
            if share.is_empty() {
                continue;
            }
            *heir.partitions.borrow_mut() = share;
            checkpoint::append(heir)
                .await
                .map_err(fail("cannot write the partitions' new places"))?;
            heir.partitions.borrow_mut().clear();
            heir.evictable.borrow_mut().clear();
        }
    }
    Ok(done)
}

/// A partition must have one owner, and none may be forgotten.
fn refuse_what_cannot_move(
    core: CoreId,
    found: &Recovered,
    seen: &mut BTreeSet<PartitionId>,
) -> Result<(), OpenError> {
    let core = core.0;
    if found.report.unknown_losses || found.unaccounted.is_some() {
        return Err(OpenError::Damaged(format!(
            "commits of core {core}'s ring are missing, and which partitions they held is not known: \
             start with the cores and ring size that the directory has, and see what is incomplete"
        )));
    }
    match found.partitions.keys().find(|id| !seen.insert(**id)) {
        Some(id) => {
            Err(OpenError::Damaged(format!("partition {id} is on core {core} and on another core")))
        }
        None => Ok(()),
    }
}

/// Makes a recovered partition one that its new core has never heard of; how many of its bytes no segment holds.
fn release(p: &Shared) -> u64 {
    let mut p = p.borrow_mut();
    p.rest.clear();
    p.last_record = 0;
    p.listed = false;
    p.dirty = true;
    let in_files: u64 = p.files.values().map(|f| u64::from(f.durable)).sum();
    p.log.size().saturating_sub(in_files)
}

/// What takes the checkpoints of a new core: a store none of whose tasks runs.
async fn heir(
    rt: &Runtime,
    paths: &Paths,
    new: &Layout,
    core: CoreId,
) -> Result<Rc<Inner>, OpenError> {
    let part = part(paths, new, core)?;
    let (files, manifest) = recovery::open_new(rt, &part).await?;
    let ring = Ring {
        files: u64::from(part.ring.files),
        file_bytes: part.ring.file_bytes,
        start: 0,
        head: 0,
    };
    let config = Config::default();
    let resume = Resume { ring, previous: (0, 0), highest_seen: 0, directory: Vec::new() };
    let journal = Journal::new(rt.clone(), files, part.ring.ring, resume, config.flush_every);
    Ok(Inner::new(Parts {
        rt: rt.clone(),
        paths: paths.clone(),
        generation: new.generation,
        core,
        config,
        journal,
        partitions: BTreeMap::new(),
        manifest,
        rest: RestLog { file: None, number: 0, len: 0, allocated: 0, outgoing: None },
        gone: Vec::new(),
        unaccounted: None,
        data: None,
        reserve: Reserve::none(),
    }))
}

fn part<'a>(paths: &'a Paths, layout: &Layout, core: CoreId) -> Result<Part<'a>, OpenError> {
    let cores = u16::try_from(layout.cores.len()).unwrap_or(u16::MAX);
    let ring = layout.cores.get(core.index()).ok_or(OpenError::NoSuchCore { core, cores })?;
    Ok(Part { paths, generation: layout.generation, core, ring: *ring })
}

pub(crate) fn core_ids(layout: &Layout) -> impl Iterator<Item = CoreId> + use<> {
    (0..u16::try_from(layout.cores.len()).unwrap_or(u16::MAX)).map(CoreId)
}

/// Removes the files of every generation but the layout's own: what a change of the layout has left, finished or not.
pub(crate) async fn remove_others(
    disk: &Disk,
    paths: &Paths,
    layout: &Layout,
) -> Result<(), OpenError> {
    let names = disk.read_dir(paths.root()).await;
    let names = names.map_err(fail("cannot list the data directory"))?;
    for name in names.iter().filter(|n| n.is_dir) {
        let Some(generation) = name.name.strip_prefix("cores-").and_then(|n| n.parse().ok()) else {
            continue;
        };
        if generation != layout.generation {
            remove_generation(disk, paths, generation)
                .await
                .map_err(fail("cannot remove the files of an earlier layout"))?;
        }
    }
    Ok(())
}

pub(crate) async fn remove_generation(
    disk: &Disk,
    paths: &Paths,
    generation: u64,
) -> io::Result<()> {
    let dir = paths.cores(generation);
    if !disk.exists(&dir).await? {
        return Ok(());
    }
    for core in disk.read_dir(&dir).await? {
        let below = dir.join(core.name);
        if core.is_dir {
            remove_files(disk, &below).await?;
            disk.remove_dir(&below).await?;
        } else {
            disk.remove_file(&below).await?;
        }
    }
    disk.remove_dir(&dir).await
}

async fn remove_files(disk: &Disk, dir: &Path) -> io::Result<()> {
    for file in disk.read_dir(dir).await? {
        disk.remove_file(&dir.join(file.name)).await?;
    }
    Ok(())
}
