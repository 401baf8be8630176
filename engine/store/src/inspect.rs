//! Looks into a data directory while no broker uses it. Nothing is written, except by [`Inspector::accept_loss`].
//!
//! The lock is held as long as the inspector lives, so that no broker can start meanwhile. What is shown is the state that
//! the next start would find: manifests and rings are read as recovery reads them.

mod aborted;
mod accept;
mod dump;
mod gap;
mod verify;
pub(crate) mod walk;

pub use aborted::AbortedLine;
pub use accept::{AcceptError, Loss};
pub use dump::{BatchLine, CommitLine, RecordLine, RingLine};
pub use verify::{Finding, Severity, Verified};

use crate::data_dir::{self, FoundLayout, OpenError, Part, find_layout, take_lock};
use crate::format::layout::Layout;
use crate::format::rest;
use crate::journal::{Journal, Resume};
use crate::partition::{PartitionConfig, Shared};
use crate::paths::Paths;
use crate::recovery::{self, Purpose, Report};
use crate::reserve::Reserve;
use crate::ring::Ring;
use crate::scan::Chain;
use crate::store::{Config, Inner, Parts, Store};
use ids::{CoreId, Offset, PartitionId};
use runtime::{File, Runtime};
use std::path::Path;
use std::time::Duration;

/// A broker that is stopping gives the lock back in this time; one that runs does not.
const LOCK_WAIT: Duration = Duration::from_secs(2);

/// A data directory that is looked into.
pub struct Inspector {
    rt: Runtime,
    paths: Paths,
    layout: Layout,
    /// What each copy of the layout says.
    copies: [data_dir::LayoutCopy; 2],
    cores: Vec<Result<Looked, OpenError>>,
    _lock: File,
}

/// One core's part, as recovery would find it.
struct Looked {
    core: CoreId,
    store: Store,
    report: Report,
    chain: Chain,
    ring: Ring,
    ring_files: Vec<File>,
    /// The number of the last intact batch of each copy of the manifest.
    manifests: [u64; 2],
}

/// What a data directory consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Rises with every change of cores or ring size.
    pub generation: u64,
    /// The directory's own uuid.
    pub directory: [u8; 16],
    /// One for each core, in order.
    pub cores: Vec<CoreInfo>,
    /// All partitions, in the order of their ids.
    pub partitions: Vec<PartitionInfo>,
}

/// One core's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreInfo {
    /// Which core.
    pub core: CoreId,
    /// Why nothing more can be said, if that is so.
    pub damage: Option<String>,
    /// Bytes of the ring.
    pub ring_bytes: u64,
    /// Bytes of it that the next start replays.
    pub ring_used: u64,
    /// Commits in those bytes.
    pub commits: u64,
    /// The commit after which replay begins.
    pub replay_after: u64,
    /// The last commit.
    pub last_commit: u64,
    /// The highest commit that is known to have been flushed.
    pub flushed_through: u64,
    /// The process before stopped in good order.
    pub clean: bool,
    /// The number of the last intact batch of each copy of the manifest.
    pub manifests: [u64; 2],
    /// Bytes of each copy that count.
    pub manifest_bytes: u64,
    /// Which rest log is in use, and how many bytes of it count.
    pub rest: (u32, u64),
    /// Bytes of it that some partition still needs.
    pub rest_live: u64,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionInfo {
    /// Which partition.
    pub id: PartitionId,
    /// The core whose ring it uses.
    pub core: CoreId,
    /// The first offset, and the one that the next record gets.
    pub offsets: (Offset, Offset),
    /// How many segments it has.
    pub segments: usize,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Bytes of those that are in segment files; the others are in the rest log or the ring.
    pub in_files: u64,
    /// Bytes of those that are in the rest log.
    pub in_rest: u64,
    /// No offset from here on was ever given to a record. Above the end of what it holds only if records are missing.
    pub unused_from: Offset,
    /// Idempotent producers that are remembered.
    pub producers: usize,
    /// Acknowledged records are missing: why.
    pub incomplete: Option<String>,
}

impl Inspector {
    /// Takes the lock and reads layout, manifests and rings. A core whose manifest cannot be read is reported by
    /// [`Inspector::info`] and [`Inspector::verify`]; it hides none of the others.
    ///
    /// # Errors
    /// [`OpenError::Missing`] if there is no data directory, [`OpenError::Locked`] while a broker uses it, and
    /// [`OpenError::Damaged`] if neither copy of the layout can be read.
    pub async fn open(rt: &Runtime, root: &Path) -> Result<Self, OpenError> {
        let paths = Paths::new(root);
        let disk = rt.disk();
        let exists = disk.exists(root).await.map_err(data_dir::fail("cannot see the directory"))?;
        if !exists {
            return Err(OpenError::Missing);
        }
        // The directory is left as it is found: also without a lock, if it is none of ours.
        let used = disk.exists(&paths.lock()).await;
        if !used.map_err(data_dir::fail("cannot see the lock"))? {
            return Err(OpenError::Missing);
        }
        let lock = take_lock(rt, &paths, LOCK_WAIT).await?;
        let FoundLayout { layout, copies, .. } = find_layout(&disk, &paths).await?;
        let Some(layout) = layout else { return Err(OpenError::Missing) };
        let mut it = Self { rt: rt.clone(), paths, layout, copies, cores: Vec::new(), _lock: lock };
        for n in 0..it.layout.cores.len() {
            let looked = it.look(CoreId(u16::try_from(n).unwrap_or(u16::MAX))).await;
            it.cores.push(looked);
        }
        Ok(it)
    }

    fn part(&self, core: CoreId) -> Result<Part<'_>, OpenError> {
        let cores = u16::try_from(self.layout.cores.len()).unwrap_or(u16::MAX);
        let ring = self.layout.cores.get(core.index());
        let ring = *ring.ok_or(OpenError::NoSuchCore { core, cores })?;
        Ok(Part { paths: &self.paths, generation: self.layout.generation, core, ring })
    }

    async fn look(&self, core: CoreId) -> Result<Looked, OpenError> {
        let part = self.part(core)?;
        let default = |_| PartitionConfig::default();
        let found = recovery::recover(&self.rt, &part, Purpose::Look, default).await?;
        let config = Config::default();
        let resume = Resume {
            ring: found.ring,
            previous: found.chain.last,
            highest_seen: found.chain.highest_seen,
            directory: found.directory,
        };
        let files = found.ring_files.clone();
        let journal =
            Journal::new(self.rt.clone(), files, part.ring.ring, resume, config.flush_every);
        // None of its tasks runs: nothing is ever written by it.
        let inner = Inner::new(Parts {
            rt: self.rt.clone(),
            paths: self.paths.clone(),
            generation: self.layout.generation,
            core,
            config,
            journal,
            partitions: found.partitions,
            manifest: found.manifest,
            rest: found.rest,
            gone: found.gone,
            unaccounted: found.unaccounted,
            data: None,
            reserve: Reserve::none(),
        });
        Ok(Looked {
            core,
            store: Store { inner },
            report: found.report,
            chain: found.chain,
            ring: found.ring,
            ring_files: found.ring_files,
            manifests: found.manifest_numbers,
        })
    }

    /// The core's partitions for reading, with [`Store::read`] and [`Store::with_log`]; `None` if its manifest cannot be read.
    #[must_use]
    pub fn store(&self, core: CoreId) -> Option<&Store> {
        self.cores.get(core.index()).and_then(|c| c.as_ref().ok()).map(|c| &c.store)
    }

    /// How many cores the directory has.
    #[must_use]
    pub fn cores(&self) -> u16 {
        u16::try_from(self.cores.len()).unwrap_or(u16::MAX)
    }

    fn looked(&self) -> impl Iterator<Item = &Looked> {
        self.cores.iter().flatten()
    }

    /// The partition and the core's part that it lies in.
    fn find(&self, id: PartitionId) -> Option<(&Looked, Shared)> {
        self.looked().find_map(|c| c.store.partition(id).ok().map(|p| (c, p)))
    }

    /// What the directory consists of.
    #[must_use]
    pub fn info(&self) -> Info {
        let mut partitions: Vec<PartitionInfo> = self
            .looked()
            .flat_map(|c| {
                let all = c.store.inner.partitions.borrow();
                all.values().map(|p| partition_info(c.core, p)).collect::<Vec<_>>()
            })
            .collect();
        partitions.sort_by_key(|p| p.id);
        let cores = self.cores.iter().enumerate().map(|(n, c)| self.core_info(n, c)).collect();
        Info {
            generation: self.layout.generation,
            directory: self.layout.directory,
            cores,
            partitions,
        }
    }

    fn core_info(&self, n: usize, core: &Result<Looked, OpenError>) -> CoreInfo {
        let ring = self.layout.cores.get(n);
        let mut info = CoreInfo {
            core: CoreId(u16::try_from(n).unwrap_or(u16::MAX)),
            damage: None,
            ring_bytes: ring.map_or(0, |r| u64::from(r.files) * r.file_bytes),
            ring_used: 0,
            commits: 0,
            replay_after: 0,
            last_commit: 0,
            flushed_through: 0,
            clean: false,
            manifests: [0; 2],
            manifest_bytes: 0,
            rest: (0, 0),
            rest_live: 0,
        };
        match core {
            Err(e) => info.damage = Some(e.to_string()),
            Ok(c) => {
                let manifest = c.store.inner.manifest.borrow();
                info.ring_used = c.ring.used();
                info.commits = c.report.commits;
                info.replay_after = manifest.footer.sequence;
                info.last_commit = c.chain.last.0;
                info.flushed_through = c.chain.flushed_through;
                info.clean = c.report.clean;
                info.manifests = c.manifests;
                info.manifest_bytes = manifest.len;
                info.rest = (manifest.footer.rest_file, manifest.footer.rest_len);
                let all = c.store.inner.partitions.borrow();
                let sizes = all.values().map(|p| {
                    let p = p.borrow();
                    p.rest.iter().map(|r| rest::size(r.length as usize) as u64).sum::<u64>()
                });
                info.rest_live = sizes.sum();
            }
        }
        info
    }
}

fn partition_info(core: CoreId, p: &Shared) -> PartitionInfo {
    let p = p.borrow();
    let in_files = p.log.segments().iter().map(|s| {
        let written = p.files.get(&s.name).map_or(0, |f| f.durable);
        u64::from(written.min(s.len))
    });
    PartitionInfo {
        id: p.id,
        core,
        offsets: (p.log.start(), p.log.end()),
        segments: p.log.segments().len(),
        bytes: p.log.size(),
        in_files: in_files.sum(),
        in_rest: p.rest.iter().map(|r| u64::from(r.length)).sum(),
        unused_from: p.unused_from(p.log.end(), p.incomplete.is_some()),
        producers: p.log.producers().len(),
        incomplete: p.incomplete.clone(),
    }
}
