//! Opens a data directory: whatever a crash has left becomes the state that was acknowledged.
//!
//! 1. Lock, so that no write of a dead process can land any more.
//! 2. Sync everything that recovery will rely on, before it is read: what is shown to a reader must not vanish later.
//! 3. Layout, manifest, ring: the manifest's entries are the state after commit N, the ring's chain continues from there.
//! 4. The final state is formed in memory. Only then is anything written: a differing copy of the manifest, the Start commit.
//!
//! Nothing is scanned per partition: the cost is that of ring, rest log and manifest.

use crate::checkpoint::{Manifest, RestLog};
use crate::format::layout::{Core, Layout};
use crate::format::manifest::{self, BatchBuilder, Entry, Footer, State};
use crate::format::record::{self, Type};
use crate::format::{BLOCK, blocks, commit};
use crate::journal::{self, Journal, NO_PARTITION, Resume};
use crate::partition::{Partition, PartitionConfig};
use crate::paths::Paths;
use crate::planted::{self, Planted};
use crate::replay::{Outcome, Replay};
use crate::ring::Ring;
use crate::scan::{self, Link};
use crate::store::{Config, Parts, Store};
use ids::{CoreId, PartitionId};
use runtime::{Disk, File, Open, Runtime};
use std::collections::BTreeMap;
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
        }
    }
}

impl std::error::Error for OpenError {}

/// What recovery did, for the log and for tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Commits replayed.
    pub commits: u64,
    /// Records replayed.
    pub records: u64,
    /// Batches replayed.
    pub batches: u64,
    /// Partitions in the manifest.
    pub listed: u64,
    /// Pieces read from the rest log.
    pub rest_pieces: u64,
    /// Partitions with acknowledged records missing.
    pub incomplete: Vec<(PartitionId, String)>,
    /// The process before stopped in good order.
    pub clean: bool,
    /// A copy of the manifest was behind the other and has been rewritten.
    pub manifest_mended: bool,
    /// How often this ring has been started.
    pub start_sequence: u64,
}

fn fail(what: impl Into<String>) -> impl FnOnce(io::Error) -> OpenError {
    let what = what.into();
    move |error| OpenError::Io { what, error }
}

/// A data directory whose lock is held and whose layout is known.
#[derive(Clone, Debug)]
pub struct DataDir {
    paths: Paths,
    layout: Layout,
    _lock: File,
}

impl DataDir {
    /// Takes the lock and reads the layout; makes both for a directory that is new.
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
        sync_names_of(&disk, root).await?;
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
        Ok(Self { paths, layout, _lock: lock })
    }

    /// The directory's own uuid.
    #[must_use]
    pub fn uuid(&self) -> [u8; 16] {
        self.layout.directory
    }

    /// The names below it.
    #[must_use]
    pub fn paths(&self) -> &Paths {
        &self.paths
    }
}

/// Makes the name of the data directory itself durable, and those of the directories above it, which may be as new.
async fn sync_names_of(disk: &Disk, root: &Path) -> Result<(), OpenError> {
    for above in root.ancestors().skip(1) {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        match disk.sync_dir(above).await {
            Ok(()) => {}
            // A directory that we may not read, or that cannot be written, is not one in which we have made something.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => break,
            Err(e) if e.kind() == io::ErrorKind::ReadOnlyFilesystem => break,
            Err(e) => return Err(fail(format!("cannot sync {}", above.display()))(e)),
        }
    }
    Ok(())
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

async fn write_at(rt: &Runtime, file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
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

async fn read_whole(file: &File) -> io::Result<Vec<u8>> {
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

/// The manifest as it was found.
struct FoundManifest {
    states: BTreeMap<PartitionId, State>,
    footer: Footer,
    number: u64,
    crc: u32,
    len: u64,
    live: u64,
}

/// Follows the chain of batches from the start of the file as far as it is intact.
fn follow_manifest(bytes: &[u8], ring: &[u8; 16]) -> Result<Option<FoundManifest>, OpenError> {
    let mut found: Option<FoundManifest> = None;
    let mut at = 0;
    while let Some((header, crc)) = bytes.get(at..).and_then(|b| manifest::Header::parse(b, ring)) {
        let follows = match &found {
            None => header.whole,
            Some(f) => {
                !header.whole && header.previous_crc == f.crc && header.number == f.number + 1
            }
        };
        if !follows {
            break;
        }
        let entries = manifest::entries(&bytes[at..], &header)
            .map_err(|e| OpenError::Damaged(format!("manifest batch {}: {e}", header.number)))?;
        let mut f = found.unwrap_or_else(|| FoundManifest {
            states: BTreeMap::new(),
            footer: header.footer,
            number: 0,
            crc: 0,
            len: 0,
            live: u64::from(header.length),
        });
        for Entry { partition, state } in entries {
            match state {
                Some(state) => f.states.insert(partition, state),
                None => f.states.remove(&partition),
            };
        }
        at += header.length as usize;
        f.footer = header.footer;
        f.number = header.number;
        f.crc = crc;
        f.len = at as u64;
        found = Some(f);
    }
    Ok(found)
}

/// Opens one core's store.
///
/// # Errors
/// [`OpenError`].
pub async fn open(
    rt: &Runtime,
    data: &DataDir,
    core: CoreId,
    config: Config,
    config_of: impl Fn(PartitionId) -> PartitionConfig,
) -> Result<(Store, Report), OpenError> {
    let mut report = Report::default();
    let disk = rt.disk();
    let paths = data.paths.clone();
    let generation = data.layout.generation;
    let part = data.layout.cores[core.index()];
    let open = Open { read: true, write: true, direct: true, ..Open::default() };

    let mut ring_files = Vec::new();
    for n in 0..part.files {
        let path = paths.ring(generation, core, n);
        let file =
            disk.open(&path, open).await.map_err(fail(format!("cannot open ring file {n}")))?;
        if !planted::is(Planted::RecoveryWithoutSync) {
            file.sync_data().await.map_err(fail("cannot sync the ring"))?;
        }
        ring_files.push(file);
    }
    let mut manifest_files = Vec::new();
    let mut manifests = Vec::new();
    for path in paths.manifests(generation, core) {
        let file = disk.open(&path, open).await.map_err(fail("cannot open the manifest"))?;
        file.sync_data().await.map_err(fail("cannot sync the manifest"))?;
        let bytes = read_whole(&file).await.map_err(fail("cannot read the manifest"))?;
        manifests.push((follow_manifest(&bytes, &part.ring)?, bytes));
        manifest_files.push(file);
    }
    disk.sync_dir(&paths.core(generation, core)).await.map_err(fail("cannot sync a directory"))?;
    let newest = |m: &Option<FoundManifest>| m.as_ref().map_or(0, |f| f.number);
    let numbers = [newest(&manifests[0].0), newest(&manifests[1].0)];
    let best = usize::from(numbers[1] > numbers[0]);
    let (found, bytes) = manifests.swap_remove(best);
    let Some(found) = found else {
        return Err(OpenError::Damaged(format!("neither copy of the manifest of core {}", core.0)));
    };
    if numbers[1 - best] < found.number {
        // The other copy is behind: a cut between the two writes. It is made equal before anything is added.
        let good = &bytes[..usize::try_from(found.len).unwrap_or(0)];
        for (i, part) in good.chunks(1 << 20).enumerate() {
            let at = (i as u64) << 20;
            write_at(rt, &manifest_files[1 - best], at, part)
                .await
                .map_err(fail("cannot mend the manifest"))?;
        }
        manifest_files[1 - best].sync_data().await.map_err(fail("cannot sync the manifest"))?;
        report.manifest_mended = true;
    }

    let ring = Ring {
        files: u64::from(part.files),
        file_bytes: part.file_bytes,
        start: found.footer.position,
        head: found.footer.position,
    };
    let mut ring_bytes = Vec::new();
    for file in &ring_files {
        ring_bytes.push(read_whole(file).await.map_err(fail("cannot read the ring"))?);
    }
    let read = |position: u64, n: usize| -> Option<Vec<u8>> {
        let (file, at) = ring.locate(position);
        let at = usize::try_from(at).ok()?;
        ring_bytes.get(file)?.get(at..at + n).map(<[u8]>::to_vec)
    };
    let chain = scan::chain(&ring, &part.ring, &found.footer, read);

    let mut replay = Replay::new(rt.clone(), found.footer.unaccounted);
    report.listed = found.states.len() as u64;
    let rest_file = open_rest(rt, &paths, generation, core, &found.footer).await?;
    for (id, state) in found.states {
        let pieces = state.rest.clone();
        let mut p = Partition::from_state(id, config_of(id), state);
        for piece in &pieces {
            report.rest_pieces += 1;
            if piece.file != found.footer.rest_file {
                // The rest log was written anew while this partition was being deleted. Its Delete is in the ring; were it
                // not, the bytes would be found missing.
                continue;
            }
            let bytes = match &rest_file {
                Some(file) => read_piece(file, piece.at, piece.length as usize).await,
                None => Err(io::ErrorKind::UnexpectedEof.into()),
            };
            let bytes = match bytes {
                Ok(bytes) => bytes,
                // A file that is too short is damage to this partition, not a device that cannot be read.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Vec::new(),
                Err(e) => return Err(fail("cannot read the rest log")(e)),
            };
            if crc32c::crc32c(&bytes) != piece.crc || bytes.is_empty() {
                p.incomplete = Some(format!("a piece of the rest log at {} is damaged", piece.at));
                break;
            }
            replay.load(&mut p, piece, &bytes);
        }
        replay.adopt(p);
    }
    let mut directory = Vec::new();
    for link in &chain.links {
        match link {
            Link::Hole(hole) => {
                // The next start must come to the same result: what is missing here is what its first commit speaks of.
                if !planted::is(Planted::HoleForgottenAtStart) {
                    directory = hole.partitions.clone().unwrap_or_else(|| vec![NO_PARTITION]);
                }
                replay.hole(hole);
            }
            Link::Commit { header } => {
                report.commits += 1;
                let bytes = read(header.position, header.used as usize).unwrap_or_default();
                // A skip holds nothing: what it follows is still the last that does.
                if header.kind == commit::Kind::Records {
                    directory.clear();
                }
                let body = bytes.get(commit::HEADER..).unwrap_or(&[]);
                for r in record::records(body, header.records) {
                    let (h, payload) = r.map_err(|at| {
                        OpenError::Damaged(format!("record {at} of commit {}", header.sequence))
                    })?;
                    report.records += 1;
                    report.batches += u64::from(h.kind == Type::Data);
                    report.clean = h.kind == Type::CleanShutdown;
                    if h.partition != NO_PARTITION {
                        directory.push(h.partition);
                        replay.record(header.sequence, &h, payload, &config_of);
                    }
                }
            }
        }
    }
    drop(ring_bytes);
    let Outcome { partitions, gone, unaccounted } = replay.finish();
    for (id, p) in &partitions {
        if let Some(why) = &p.borrow().incomplete {
            report.incomplete.push((*id, why.clone()));
        }
    }

    let resume = Resume {
        ring: Ring { head: chain.head, ..ring },
        previous: chain.last,
        highest_seen: chain.highest_seen,
        directory: if planted::is(Planted::DirectoryLostAtStart) { Vec::new() } else { directory },
    };
    let journal = Journal::new(rt.clone(), ring_files, part.ring, resume, config.flush_every);
    let b = manifest_files.pop();
    let a = manifest_files.pop();
    let Some(files) = a.zip(b).map(|(a, b)| [a, b]) else {
        return Err(OpenError::Damaged("a manifest is missing".into()));
    };
    let allocated = found.len;
    let store = Store::start(Parts {
        rt: rt.clone(),
        paths,
        generation,
        core,
        config,
        journal,
        partitions,
        manifest: Manifest {
            files,
            ring: part.ring,
            len: found.len,
            allocated,
            live: found.live,
            number: found.number,
            crc: found.crc,
            footer: found.footer,
        },
        rest: RestLog {
            file: rest_file,
            number: found.footer.rest_file,
            len: found.footer.rest_len,
            allocated: found.footer.rest_len,
        },
        gone,
        unaccounted,
    });
    // A crash loop of Start commits must not fill the ring: when it is nearly full, everything is checkpointed first.
    // So it is when the Start commit would be written over the place of a damaged one, which alone shows the damage.
    if chain.open || !store.inner.journal.has_control_room() {
        store.checkpoint().await;
    }
    let start = journal::Entry::of_the_ring(Type::Start, rt.wall());
    report.start_sequence = store.inner.journal.append(&start, [&[], &[]], true, None);
    store.inner.journal.flushed(report.start_sequence).await;
    Ok((store, report))
}

async fn open_rest(
    rt: &Runtime,
    paths: &Paths,
    generation: u64,
    core: CoreId,
    footer: &Footer,
) -> Result<Option<File>, OpenError> {
    if footer.rest_len == 0 {
        return Ok(None);
    }
    let path = paths.rest(generation, core, footer.rest_file);
    let open = Open { read: true, write: true, direct: true, ..Open::default() };
    let file = rt.disk().open(&path, open).await.map_err(fail("cannot open the rest log"))?;
    file.sync_data().await.map_err(fail("cannot sync the rest log"))?;
    Ok(Some(file))
}

async fn read_piece(file: &File, at: u64, len: usize) -> io::Result<Vec<u8>> {
    let from = at - at % BLOCK as u64;
    let skip = usize::try_from(at - from).unwrap_or(0);
    let mut bytes = Vec::with_capacity(skip + len);
    while bytes.len() < skip + len {
        let wanted = blocks(skip + len - bytes.len()).min(1 << 20);
        let part = file.read_at(from + bytes.len() as u64, wanted).await?;
        if part.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&part);
    }
    bytes.truncate(skip + len);
    bytes.drain(..skip);
    Ok(bytes)
}
