//! The data directory: its lock, its layout, and the rings and manifests that the layout names.
//!
//! Core 0 opens it: only one process may use it, and the layout must be settled before any core looks at its part. The other
//! cores join: they hold on to the same lock, because the kernel must keep it until the last write of *each* core has ended.

use crate::format::commit;
use crate::format::layout::{Core, Layout};
use crate::format::manifest::{BatchBuilder, Footer};
use crate::format::{BLOCK, blocks};
use crate::paths::Paths;
use crate::relayout::{self, Relayout};
use ids::CoreId;
use runtime::{DirEntry, Disk, File, HeldLock, Open, Runtime};
use std::path::Path;
use std::time::Duration;
use std::{fmt, io};

/// A ring of this size or more consists of four files, a smaller one of two: a file is twice the largest batch.
const FOUR_FILES_FROM: u64 = 256 << 20;
/// A ring file has room for a commit of some records and for its successor.
const RING_FILE_MIN: u64 = 8 * BLOCK as u64;
/// How long start waits for the lock of a process that is dying.
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// Why a data directory cannot be opened. Nothing has been dropped.
#[derive(Debug)]
pub enum OpenError {
    /// There is no data directory at this place.
    Missing,
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
            Self::Missing => f.write_str("there is no data directory"),
            Self::Locked => f.write_str("another process uses the data directory"),
            Self::Io { what, error } => write!(f, "{what}: {error}"),
            Self::Damaged(what) => write!(f, "the data directory is damaged: {what}"),
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
/// Core 0's is the one that owns the lock: other processes may come when its last copy is gone. A store keeps a copy, so the
/// store of core 0 is dropped last.
#[derive(Clone, Debug)]
pub struct DataDir {
    shared: SharedDir,
    relayout: Option<Relayout>,
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

/// One core's part of a data directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    pub(crate) paths: &'a Paths,
    pub(crate) generation: u64,
    pub(crate) core: CoreId,
    pub(crate) ring: Core,
}

impl DataDir {
    /// Takes the lock and reads the layout; makes both for a directory that is new. If the directory has another number of
    /// cores or rings of another size, its partitions are handed over to a new layout first. Called on core 0.
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
        let lock = take_lock(rt, &paths, LOCK_WAIT).await?;
        let found = find_layout(&disk, &paths).await?;
        let mut relayout = None;
        let layout = match found.layout {
            Some(layout) if relayout::fits(&layout, cores, ring_bytes) => layout,
            Some(old) => {
                if !found.copies_agree {
                    write_layout(&disk, &paths, &old).await?;
                }
                let (new, done) = relayout::change(rt, &paths, &old, cores, ring_bytes).await?;
                relayout = Some(done);
                new
            }
            None => make(rt, &paths, cores, ring_bytes).await?,
        };
        if !found.copies_agree || relayout.is_some() {
            write_layout(&disk, &paths, &layout).await?;
        }
        relayout::remove_others(&disk, &paths, &layout).await?;
        let held = lock.share_lock().map_err(fail("cannot share the lock between cores"))?;
        Ok(Self { shared: SharedDir { paths, layout, lock: held }, relayout, _lock: Some(lock) })
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
        Ok(Self { shared: shared.clone(), relayout: None, _lock: None })
    }

    /// How many cores the directory is laid out for. Core `n` opens part `n`; a partition lies with
    /// [`PartitionId::owner`](ids::PartitionId::owner) of this number.
    #[must_use]
    pub fn cores(&self) -> u16 {
        // A layout with more cores than that is refused when it is read.
        u16::try_from(self.shared.layout.cores.len()).unwrap_or(u16::MAX)
    }

    /// One core's part.
    pub(crate) fn part(&self, core: CoreId) -> Result<Part<'_>, OpenError> {
        let SharedDir { paths, layout, .. } = &self.shared;
        match layout.cores.get(core.index()) {
            Some(ring) => Ok(Part { paths, generation: layout.generation, core, ring: *ring }),
            None => Err(OpenError::NoSuchCore { core, cores: self.cores() }),
        }
    }

    /// What opening it has changed of the layout, if it has: for the operator.
    #[must_use]
    pub fn relayout(&self) -> Option<Relayout> {
        self.relayout
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

/// Takes the lock. Waits for a process that is dying, or dead with writes that have not landed.
pub(crate) async fn take_lock(
    rt: &Runtime,
    paths: &Paths,
    wait: Duration,
) -> Result<File, OpenError> {
    let open = Open { read: true, write: true, create: true, ..Open::default() };
    let lock = rt.disk().open(&paths.lock(), open).await.map_err(fail("cannot open the lock"))?;
    let deadline = rt.now() + wait;
    while !lock.try_lock_exclusive().map_err(fail("cannot lock the data directory"))? {
        if rt.now() >= deadline {
            return Err(OpenError::Locked);
        }
        rt.sleep(Duration::from_millis(5)).await;
    }
    Ok(lock)
}

/// The layout as it was found.
pub(crate) struct FoundLayout {
    /// The newer one that can be read; none in a new directory.
    pub(crate) layout: Option<Layout>,
    /// Both copies are there and say the same.
    pub(crate) copies_agree: bool,
    pub(crate) copies: [LayoutCopy; 2],
}

/// One copy of the layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LayoutCopy {
    Missing,
    /// Its text is not what was written.
    Unreadable,
    Whole(Layout),
}

/// Reads both copies, and syncs them before they are believed.
pub(crate) async fn find_layout(disk: &Disk, paths: &Paths) -> Result<FoundLayout, OpenError> {
    let [a, b] = paths.layouts();
    let copies = [read_layout(disk, &a).await?, read_layout(disk, &b).await?];
    disk.sync_dir(paths.root()).await.map_err(fail("cannot sync the data directory"))?;
    let whole = copies.iter().filter_map(|c| match c {
        LayoutCopy::Whole(layout) => Some(layout),
        LayoutCopy::Missing | LayoutCopy::Unreadable => None,
    });
    let layout = whole.max_by_key(|l| l.generation).cloned();
    if layout.is_none() && copies.contains(&LayoutCopy::Unreadable) {
        return Err(OpenError::Damaged("neither copy of the layout can be read".into()));
    }
    let copies_agree = layout.is_some() && copies[0] == copies[1];
    Ok(FoundLayout { layout, copies_agree, copies })
}

async fn read_layout(disk: &Disk, path: &Path) -> Result<LayoutCopy, OpenError> {
    match disk.open(path, Open { read: true, ..Open::default() }).await {
        Ok(file) => {
            file.sync_data().await.map_err(fail("cannot sync the layout"))?;
            let bytes = read_whole(&file).await.map_err(fail("cannot read the layout"))?;
            let layout = std::str::from_utf8(&bytes).ok().and_then(Layout::parse);
            Ok(layout.map_or(LayoutCopy::Unreadable, LayoutCopy::Whole))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(LayoutCopy::Missing),
        Err(e) => Err(fail("cannot open the layout")(e)),
    }
}

fn fresh_uuid(rt: &Runtime) -> [u8; 16] {
    let mut uuid = [0; 16];
    uuid[..8].copy_from_slice(&rt.random().to_le_bytes());
    uuid[8..].copy_from_slice(&rt.random().to_le_bytes());
    uuid
}

fn ring_files(ring_bytes: u64) -> u32 {
    if ring_bytes < FOUR_FILES_FROM { 2 } else { 4 }
}

/// Bytes of each file of a ring of `ring_bytes`.
pub(crate) fn ring_file_bytes(ring_bytes: u64) -> u64 {
    (ring_bytes / u64::from(ring_files(ring_bytes)))
        .next_multiple_of(BLOCK as u64)
        .max(RING_FILE_MIN)
}

/// New rings, as a layout names them.
pub(crate) fn rings(rt: &Runtime, cores: u16, ring_bytes: u64) -> Vec<Core> {
    let file_bytes = ring_file_bytes(ring_bytes);
    (0..cores)
        .map(|_| Core { ring: fresh_uuid(rt), files: ring_files(ring_bytes), file_bytes })
        .collect()
}

/// Makes rings and manifests of a new directory; the layout, which makes them count, is written by the caller.
async fn make(
    rt: &Runtime,
    paths: &Paths,
    cores: u16,
    ring_bytes: u64,
) -> Result<Layout, OpenError> {
    refuse_if_used(rt, paths).await?;
    let layout =
        Layout { generation: 1, directory: fresh_uuid(rt), cores: rings(rt, cores, ring_bytes) };
    make_rings(rt, paths, &layout).await?;
    Ok(layout)
}

/// Makes rings and manifests of a layout and everything above them, durably. What an attempt that was cut short has left of
/// the same generation goes first.
pub(crate) async fn make_rings(
    rt: &Runtime,
    paths: &Paths,
    layout: &Layout,
) -> Result<(), OpenError> {
    let disk = rt.disk();
    relayout::remove_generation(&disk, paths, layout.generation)
        .await
        .map_err(fail("cannot remove what is left of an earlier attempt"))?;
    disk.create_dir_all(&paths.topics()).await.map_err(fail("cannot make a directory"))?;
    for (core, id) in layout.cores.iter().zip(relayout::core_ids(layout)) {
        make_core(rt, paths, layout.generation, id, core).await?;
    }
    for dir in [paths.cores(layout.generation), paths.topics(), paths.root().to_owned()] {
        disk.sync_dir(&dir).await.map_err(fail("cannot sync a directory"))?;
    }
    // The name of the data directory itself, and of what was made above it.
    let mut above = paths.root().parent();
    while let Some(dir) = above {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        match disk.sync_dir(dir).await {
            Ok(()) => {}
            // Not made here: those can be read and synced.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => break,
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => break,
            Err(e) if e.kind() == io::ErrorKind::ReadOnlyFilesystem => break,
            Err(e) => return Err(fail("cannot sync a directory above the data directory")(e)),
        }
        above = dir.parent().filter(|d| !d.as_os_str().is_empty());
    }
    Ok(())
}

/// A directory without a layout is new, or its making was cut short; then no ring has a commit. If one has, the layout was
/// lost, and making rings would destroy what may be the only copy of something. Other bytes say nothing: a power cut may leave
/// any where zeros were being written.
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
                    if commit::Header::is_at(&first) {
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
    let sealed = BatchBuilder::default().seal(true, core.ring, 1, 0, Footer::default());
    let Some((bytes, _)) = sealed else {
        return Err(OpenError::Damaged("a manifest without entries has no room".into()));
    };
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

/// Bytes of one read of a file that is read whole.
const READ_MAX: usize = 1 << 20;

/// What a file holds.
pub(crate) async fn read_whole(file: &File) -> io::Result<Vec<u8>> {
    let len = file.len()?;
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < len {
        // No more than there is: io_uring reads on behind the end of a file that FUSE serves with direct I/O of its own, and is
        // given the same bytes again and again (Linux 6.18).
        let left = usize::try_from(len - bytes.len() as u64).unwrap_or(READ_MAX).min(READ_MAX);
        let part = if file.is_direct() { blocks(left) } else { left };
        let part = file.read_at(bytes.len() as u64, part).await?;
        if part.is_empty() {
            break;
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}
