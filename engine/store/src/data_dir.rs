//! The data directory: its lock, its layout, and the rings and manifests that the layout names.
//!
//! Core 0 opens it: only one process may use it, and the layout must be settled before any core looks at its part. The other
//! cores join: they hold on to the same lock, because the kernel must keep it until the last write of *each* core has ended.

use crate::format::layout::{Core, Layout};
use crate::format::manifest::{BatchBuilder, Footer};
use crate::format::{BLOCK, blocks};
use crate::paths::Paths;
use ids::CoreId;
use runtime::{DirEntry, Disk, File, HeldLock, Open, Runtime};
use std::path::Path;
use std::time::Duration;
use std::{fmt, io};

/// A ring consists of this many files.
const RING_FILES: u32 = 4;
/// How long start waits for the lock of a process that is dying.
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// Why a data directory cannot be opened. Nothing has been dropped.
#[derive(Debug)]
pub enum OpenError {
    /// Another process uses it.
    Locked,
    /// The device says no.
    Io {
        /// What was tried.
        what: String,
        /// What it said.
        error: io::Error,
    },
    /// What is there cannot be read as what it should be.
    Damaged(String),
    /// The directory was made for another number of cores.
    Cores {
        /// That number.
        found: usize,
        /// The number asked for.
        wanted: usize,
    },
    /// The directory has no part for this core.
    NoSuchCore {
        /// Which core.
        core: CoreId,
        /// How many there are.
        cores: u16,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked => f.write_str("another process uses the data directory"),
            Self::Io { what, error } => write!(f, "{what}: {error}"),
            Self::Damaged(what) => write!(f, "the data directory is damaged: {what}"),
            Self::Cores { found, wanted } => {
                write!(f, "the data directory was made for {found} cores, not {wanted}")
            }
            Self::NoSuchCore { core, cores } => {
                write!(
                    f,
                    "core {} is asked for, and the data directory is laid out for {cores}",
                    core.0
                )
            }
        }
    }
}

impl std::error::Error for OpenError {}

pub(crate) fn fail(what: impl Into<String>) -> impl FnOnce(io::Error) -> OpenError {
    let what = what.into();
    move |error| OpenError::Io { what, error }
}

/// A data directory whose lock is held and whose layout is known, as one core has it. A cheap copy of the names.
///
/// Core 0's is the one that owns the lock: when it is dropped other processes may come, so it is dropped last.
#[derive(Clone, Debug)]
pub struct DataDir {
    shared: SharedDir,
    /// On core 0 only.
    _lock: Option<File>,
}

/// What the other cores need of a data directory: [`DataDir::join`] makes a [`DataDir`] of it on each of them.
#[derive(Clone, Debug)]
pub struct SharedDir {
    paths: Paths,
    layout: Layout,
    lock: HeldLock,
}

impl DataDir {
    /// Takes the lock and reads the layout; makes both for a directory that is new. Called on core 0.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(
        rt: &Runtime,
        root: &Path,
        cores: u16,
        ring_bytes: u64,
    ) -> Result<Self, OpenError> {
        let disk = rt.disk();
        disk.create_dir_all(root).await.map_err(fail("cannot make the data directory"))?;
        let paths = Paths::new(root);
        let lock = Open { read: true, write: true, create: true, ..Open::default() };
        let lock = disk.open(&paths.lock(), lock).await.map_err(fail("cannot open the lock"))?;
        let deadline = rt.now() + LOCK_WAIT;
        while !lock.try_lock_exclusive().map_err(fail("cannot lock the data directory"))? {
            if rt.now() >= deadline {
                return Err(OpenError::Locked);
            }
            rt.sleep(Duration::from_millis(5)).await;
        }
        let mut layouts = Vec::new();
        let mut existing = 0;
        for path in paths.layouts() {
            let open = Open { read: true, write: true, ..Open::default() };
            match disk.open(&path, open).await {
                Ok(file) => {
                    existing += 1;
                    file.sync_data().await.map_err(fail("cannot sync the layout"))?;
                    let bytes = read_whole(&file).await.map_err(fail("cannot read the layout"))?;
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    layouts.extend(Layout::parse(&text));
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(fail("cannot open the layout")(e)),
            }
        }
        disk.sync_dir(root).await.map_err(fail("cannot sync the data directory"))?;
        layouts.sort_by_key(|l| l.generation);
        let layout = match layouts.pop() {
            Some(layout) => layout,
            None if existing > 0 => {
                return Err(OpenError::Damaged("neither copy of the layout can be read".into()));
            }
            None => make(rt, &paths, cores, ring_bytes).await?,
        };
        if layout.cores.len() != usize::from(cores) {
            return Err(OpenError::Cores { found: layout.cores.len(), wanted: usize::from(cores) });
        }
        write_layout(&disk, &paths, &layout).await?;
        let held = lock.share_lock().map_err(fail("cannot share the lock between cores"))?;
        Ok(Self { shared: SharedDir { paths, layout, lock: held }, _lock: Some(lock) })
    }

    /// What another core of this process needs to [`join`](DataDir::join).
    #[must_use]
    pub fn share(&self) -> SharedDir {
        self.shared.clone()
    }

    /// Holds on to the lock on one more core, before that core writes anything. Where the kernel cannot tie the lock to a
    /// core's writes this is no error: [`runtime::Features::lock_outlives_writes`] says so on core 0 already.
    ///
    /// # Errors
    /// [`OpenError::Io`]: no descriptors are left.
    pub fn join(rt: &Runtime, shared: &SharedDir) -> Result<Self, OpenError> {
        rt.hold_lock(&shared.lock).map_err(fail("cannot hold the lock on another core"))?;
        Ok(Self { shared: shared.clone(), _lock: None })
    }

    /// How many cores the directory is laid out for. Core `n` opens part `n`; a partition lies with
    /// [`PartitionId::owner`](ids::PartitionId::owner) of this number.
    #[must_use]
    pub fn cores(&self) -> u16 {
        // A layout with more cores than that is refused when it is read.
        u16::try_from(self.shared.layout.cores.len()).unwrap_or(u16::MAX)
    }

    /// Rises with every change of the layout; names the directory of the cores' files.
    pub(crate) fn generation(&self) -> u64 {
        self.shared.layout.generation
    }

    /// One core's ring; `None` if there is no such core.
    pub(crate) fn part(&self, core: CoreId) -> Option<Core> {
        self.shared.layout.cores.get(core.index()).copied()
    }

    /// The directory's own uuid.
    #[must_use]
    pub fn uuid(&self) -> [u8; 16] {
        self.shared.layout.directory
    }

    /// The names below it.
    #[must_use]
    pub fn paths(&self) -> &Paths {
        &self.shared.paths
    }
}

fn fresh_uuid(rt: &Runtime) -> [u8; 16] {
    let mut uuid = [0; 16];
    uuid[..8].copy_from_slice(&rt.random().to_le_bytes());
    uuid[8..].copy_from_slice(&rt.random().to_le_bytes());
    uuid
}

/// Makes rings and manifests of a new directory; the layout, which makes them count, is written by the caller.
async fn make(
    rt: &Runtime,
    paths: &Paths,
    cores: u16,
    ring_bytes: u64,
) -> Result<Layout, OpenError> {
    let disk = rt.disk();
    let file_bytes = (ring_bytes / u64::from(RING_FILES)).next_multiple_of(BLOCK as u64);
    let part = || Core { ring: fresh_uuid(rt), files: RING_FILES, file_bytes };
    let layout = Layout {
        generation: 1,
        directory: fresh_uuid(rt),
        cores: (0..cores).map(|_| part()).collect(),
    };
    refuse_if_used(rt, paths).await?;
    disk.create_dir_all(&paths.topics()).await.map_err(fail("cannot make a directory"))?;
    for (i, core) in layout.cores.iter().enumerate() {
        let id = CoreId(u16::try_from(i).unwrap_or(u16::MAX));
        make_core(rt, paths, layout.generation, id, core).await?;
    }
    for dir in [paths.cores(layout.generation), paths.topics(), paths.root().to_owned()] {
        disk.sync_dir(&dir).await.map_err(fail("cannot sync a directory"))?;
    }
    Ok(layout)
}

/// A directory without a layout is new, or its making was cut short; then no ring has a commit. If one has, the layout was
/// lost, and making rings would destroy what may be the only copy of something.
async fn refuse_if_used(rt: &Runtime, paths: &Paths) -> Result<(), OpenError> {
    let disk = rt.disk();
    let names = |e: io::Result<Vec<DirEntry>>| match e {
        Ok(entries) => Ok(entries),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(fail("cannot list the data directory")(e)),
    };
    let lost = |what: &str| Err(OpenError::Damaged(format!("the layout is missing, but {what}")));
    if !names(disk.read_dir(&paths.topics()).await)?.is_empty() {
        return lost("there are topics");
    }
    for generation in names(disk.read_dir(paths.root()).await)? {
        if !generation.is_dir || !generation.name.starts_with("cores-") {
            continue;
        }
        let dir = paths.root().join(generation.name);
        for core in names(disk.read_dir(&dir).await)? {
            let ring = dir.join(core.name).join("ring-0");
            let open = Open { read: true, direct: true, ..Open::default() };
            match disk.open(&ring, open).await {
                Ok(file) => {
                    let first = file.read_at(0, BLOCK).await.map_err(fail("cannot read a ring"))?;
                    if first.iter().any(|b| *b != 0) {
                        return lost("a ring has commits");
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(fail("cannot open a ring")(e)),
            }
        }
    }
    Ok(())
}

async fn make_core(
    rt: &Runtime,
    paths: &Paths,
    generation: u64,
    id: CoreId,
    core: &Core,
) -> Result<(), OpenError> {
    let disk = rt.disk();
    let dir = paths.core(generation, id);
    disk.create_dir_all(&dir).await.map_err(fail("cannot make a directory"))?;
    // Zeros are written, not only allocated: a flush of an overwritten block waits for no file-system metadata.
    let zeros = zeros(rt, 1 << 20);
    for n in 0..core.files {
        let path = paths.ring(generation, id, n);
        let open = Open { read: true, write: true, create: true, direct: true, ..Open::default() };
        let file = disk.open(&path, open).await.map_err(fail("cannot make a ring file"))?;
        file.allocate(0, core.file_bytes).await.map_err(fail("cannot allocate the ring"))?;
        let mut at = 0;
        while at < core.file_bytes {
            let n = (core.file_bytes - at).min(zeros.len() as u64);
            let part = zeros.slice(0..usize::try_from(n).unwrap_or(BLOCK));
            file.write_at(at, part).await.map_err(fail("cannot write the ring"))?;
            at += n;
        }
        file.sync_data().await.map_err(fail("cannot sync the ring"))?;
    }
    let (bytes, _) = BatchBuilder::default().seal(true, core.ring, 1, 0, Footer::default());
    for path in paths.manifests(generation, id) {
        let open = Open { read: true, write: true, create: true, direct: true, ..Open::default() };
        let file = disk.open(&path, open).await.map_err(fail("cannot make a manifest"))?;
        write_at(rt, &file, 0, &bytes).await.map_err(fail("cannot write a manifest"))?;
        file.sync_data().await.map_err(fail("cannot sync a manifest"))?;
    }
    disk.sync_dir(&dir).await.map_err(fail("cannot sync a directory"))
}

fn zeros(rt: &Runtime, n: usize) -> runtime::Slice {
    let mut buffer = rt.memory().alloc_beyond(n);
    buffer.append(&[0]);
    buffer.pad_to(n);
    buffer.slice(0..n)
}

pub(crate) async fn write_at(rt: &Runtime, file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
    let mut buffer = rt.memory().alloc_beyond(blocks(bytes.len()));
    buffer.append(bytes);
    buffer.pad_to(BLOCK);
    let n = buffer.len();
    file.write_at(at, buffer.slice(0..n)).await
}

/// Writes both copies: temporary file, sync, rename, directory sync.
async fn write_layout(disk: &Disk, paths: &Paths, layout: &Layout) -> Result<(), OpenError> {
    for path in paths.layouts() {
        let temporary = path.with_extension("new");
        let open =
            Open { read: true, write: true, create: true, truncate: true, ..Open::default() };
        let file = disk.open(&temporary, open).await.map_err(fail("cannot write the layout"))?;
        let text = runtime::Slice::from(layout.to_text().into_bytes());
        file.write_at(0, text).await.map_err(fail("cannot write the layout"))?;
        file.sync_data().await.map_err(fail("cannot sync the layout"))?;
        disk.rename(&temporary, &path).await.map_err(fail("cannot rename the layout"))?;
        disk.sync_dir(paths.root()).await.map_err(fail("cannot sync the data directory"))?;
    }
    Ok(())
}

pub(crate) async fn read_whole(file: &File) -> io::Result<Vec<u8>> {
    let len = file.len()?;
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < len {
        let part = file.read_at(bytes.len() as u64, 1 << 20).await?;
        if part.is_empty() {
            break;
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}
