//! Opens one core's store: whatever a crash has left becomes the state that was acknowledged.
//!
//! 1. The lock is held and the layout is known: see `data_dir.rs`. No write of a dead process can land any more.
//! 2. Sync everything that recovery will rely on, before it is read: what is shown to a reader must not vanish later.
//! 3. Manifest and ring: the manifest's entries are the state after commit N, the ring's chain continues from there.
//! 4. The final state is formed in memory. Only then is anything written: a differing copy of the manifest, the Start commit.
//!
//! Nothing is scanned per partition: the cost is that of ring, rest log and manifest.

use crate::checkpoint::Manifest;
use crate::data_dir::{DataDir, OpenError, Part, fail, read_whole, write_at};
use crate::format::commit;
use crate::format::manifest::{self, Entry, Footer, State};
use crate::format::record::{self, Type};
use crate::journal::{Journal, NO_PARTITION, Resume};
use crate::partition::{Partition, PartitionConfig, Shared};
use crate::planted::{self, Planted};
use crate::replay::{Outcome, Replay};
use crate::reserve::{Reserve, is_full};
use crate::rest_log::{self, RestLog};
use crate::ring::Ring;
use crate::scan::{self, Chain, Link};
use crate::store::{Config, Parts, Store};
use crate::strays;
use ids::{CoreId, PartitionId};
use runtime::{File, Open, Runtime};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

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
    /// Commits are missing that were flushed, and which partitions they held is not known.
    pub unknown_losses: bool,
    /// The commit with which this process begins; none while the disk is too full for the checkpoint that must come first.
    pub start_sequence: Option<u64>,
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

impl FoundManifest {
    fn opened(&self, files: [File; 2], ring: [u8; 16]) -> Manifest {
        Manifest {
            files,
            ring,
            len: self.len,
            allocated: self.len,
            live: self.live,
            number: self.number,
            crc: self.crc,
            footer: self.footer,
        }
    }
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

/// What the files of one core say, in memory. Nothing has been written, but for a copy of the manifest that was behind.
pub(crate) struct Recovered {
    pub(crate) report: Report,
    pub(crate) partitions: BTreeMap<PartitionId, Shared>,
    pub(crate) gone: Vec<PartitionId>,
    /// See [`Outcome`].
    pub(crate) unaccounted: Option<u64>,
    pub(crate) chain: Chain,
    pub(crate) ring: Ring,
    /// The partitions of the last commit of the chain.
    pub(crate) directory: Vec<PartitionId>,
    pub(crate) ring_files: Vec<File>,
    pub(crate) manifest: Manifest,
    /// The last intact batch of each copy of the manifest.
    pub(crate) manifest_numbers: [u64; 2],
    pub(crate) rest: RestLog,
}

/// What the caller is going to do with the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Write them. What the rest log holds stays there.
    Serve,
    /// Write them, with everything that no segment holds in memory.
    Mend,
    /// Only read them, with everything that no segment holds in memory.
    Look,
}

/// Forms the state of one core's partitions from manifest, rest log and ring.
pub(crate) async fn recover(
    rt: &Runtime,
    data: &Part<'_>,
    purpose: Purpose,
    config_of: impl Fn(PartitionId) -> PartitionConfig,
) -> Result<Recovered, OpenError> {
    let mut report = Report::default();
    let part = data.ring;
    let (ring_files, mut manifest_files, missing) = open_files(rt, data, purpose).await?;
    let mut manifests = Vec::new();
    for file in &manifest_files {
        let bytes = read_whole(file).await.map_err(fail("cannot read the manifest"))?;
        manifests.push((follow_manifest(&bytes, &part.ring)?, bytes));
    }
    let newest = |m: &Option<FoundManifest>| m.as_ref().map_or(0, |f| f.number);
    let mut numbers = [newest(&manifests[0].0), newest(&manifests[1].0)];
    if let Some(copy) = missing {
        numbers[copy] = 0;
    }
    let best = usize::from(numbers[1] > numbers[0]);
    let (found, bytes) = manifests.swap_remove(best);
    let Some(mut found) = found else {
        let core = data.core.0;
        return Err(OpenError::Damaged(format!("neither copy of the manifest of core {core}")));
    };
    if numbers[1 - best] < found.number && purpose != Purpose::Look {
        // The other copy is behind: a cut between the two writes. It is made equal before anything is added.
        let good = &bytes[..usize::try_from(found.len).unwrap_or(0)];
        manifest_files[1 - best] =
            mend_manifest(rt, data, 1 - best, &manifest_files[1 - best], good)
                .await
                .map_err(fail("cannot mend the manifest"))?;
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

    let expected = expected_bytes(&chain, read);
    let mut replay = Replay::new(rt.clone(), expected, found.footer.unaccounted);
    report.listed = found.states.len() as u64;
    let rest_file = open_rest(rt, data, &found.footer, purpose).await?;
    if purpose == Purpose::Serve {
        let (pieces, damaged) = rest_log::check(rest_file.as_ref(), &found.footer, &found.states)
            .await
            .map_err(fail("cannot read the rest log"))?;
        report.rest_pieces = pieces;
        for (id, state) in std::mem::take(&mut found.states) {
            let mut p = Partition::from_state(id, config_of(id), state);
            replay.expect(&mut p, 0);
            leave(&mut p, &found.footer, &damaged);
            replay.adopt(p);
        }
    }
    for (id, state) in std::mem::take(&mut found.states) {
        let pieces = state.rest.clone();
        let mut p = Partition::from_state(id, config_of(id), state);
        replay.expect(&mut p, pieces.iter().map(|r| r.length as usize).sum());
        for piece in &pieces {
            report.rest_pieces += 1;
            if piece.file != found.footer.rest_file {
                // The rest log was written anew while this partition was being deleted. Its Delete is in the ring; were it
                // not, the bytes would be found missing.
                continue;
            }
            let bytes = match &rest_file {
                Some(file) => rest_log::read(file, piece.at, piece.length as usize).await,
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
                report.unknown_losses |= hole.partitions.is_none();
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
    let ring = Ring { head: chain.head, ..ring };
    let rest = RestLog {
        file: rest_file,
        number: found.footer.rest_file,
        len: found.footer.rest_len,
        allocated: found.footer.rest_len,
        outgoing: None,
    };
    let manifest = found.opened(manifest_files, part.ring);
    Ok(Recovered {
        report,
        partitions,
        gone,
        unaccounted,
        chain,
        ring,
        directory,
        ring_files,
        manifest,
        manifest_numbers: numbers,
        rest,
    })
}

/// The partition's pieces stay in the rest log, as far as they are whole.
fn leave(p: &mut Partition, footer: &Footer, damaged: &BTreeSet<u64>) {
    // The rest log was written anew while this partition was being deleted. Its Delete is in the ring; were it not, the bytes
    // would be found missing.
    p.rest.retain(|piece| piece.file == footer.rest_file);
    if let Some(n) = p.rest.iter().position(|piece| damaged.contains(&piece.at)) {
        p.incomplete = Some(format!("a piece of the rest log at {} is damaged", p.rest[n].at));
        p.rest.truncate(n);
        p.dirty = true;
    }
}

/// Opens ring and manifests, and syncs them before anything of them is believed.
async fn open_files(
    rt: &Runtime,
    data: &Part<'_>,
    purpose: Purpose,
) -> Result<(Vec<File>, [File; 2], Option<usize>), OpenError> {
    let disk = rt.disk();
    let write = purpose != Purpose::Look;
    let open = Open { read: true, write, direct: true, ..Open::default() };
    let mut ring_files = Vec::new();
    for n in 0..data.ring.files {
        let path = data.paths.ring(data.generation, data.core, n);
        let file =
            disk.open(&path, open).await.map_err(fail(format!("cannot open ring file {n}")))?;
        // A ring file never changes its length. One that is cut looks like the end of the log, and what is beyond may have been
        // acknowledged.
        let (len, whole) =
            (file.len().map_err(fail("cannot read the ring"))?, data.ring.file_bytes);
        if len != whole {
            return Err(OpenError::Damaged(format!(
                "ring file {n} has {len} bytes instead of {whole}"
            )));
        }
        if !planted::is(Planted::RecoveryWithoutSync) {
            file.sync_data().await.map_err(fail("cannot sync the ring"))?;
        }
        ring_files.push(file);
    }
    let (manifests, missing) = open_manifests(rt, data, open).await?;
    let dir = data.paths.core(data.generation, data.core);
    disk.sync_dir(&dir).await.map_err(fail("cannot sync a directory"))?;
    Ok((ring_files, manifests, missing))
}

/// Opens both copies of the manifest. One that is missing is made, empty, as one that is behind; who only looks reads the other
/// in its place. Which one that was is the second answer.
async fn open_manifests(
    rt: &Runtime,
    data: &Part<'_>,
    open: Open,
) -> Result<([File; 2], Option<usize>), OpenError> {
    let disk = rt.disk();
    let paths = data.paths.manifests(data.generation, data.core);
    let mut files = Vec::new();
    for path in &paths {
        match disk.open(path, open).await {
            Ok(file) => files.push(Some(file)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => files.push(None),
            Err(e) => return Err(fail("cannot open the manifest")(e)),
        }
    }
    let missing = files.iter().position(Option::is_none);
    if let Some(copy) = missing
        && let Some(other) = files[1 - copy].clone()
    {
        let make = Open { create: true, ..open };
        files[copy] = Some(if open.write {
            disk.open(&paths[copy], make).await.map_err(fail("cannot make the manifest anew"))?
        } else {
            other
        });
    }
    let both: Option<Vec<File>> = files.into_iter().collect();
    let Some(Ok(files)) = both.map(<[File; 2]>::try_from) else {
        return Err(OpenError::Damaged("both copies of the manifest are missing".into()));
    };
    for file in &files {
        file.sync_data().await.map_err(fail("cannot sync the manifest"))?;
    }
    Ok((files, missing))
}

/// Writes a copy of the manifest anew, beside the old one, whose place it then takes: whoever looks at it after a cut finds
/// the old or the new, not a torn one, which could not be told from a damaged one. On a full disk it is written over the old.
async fn mend_manifest(
    rt: &Runtime,
    data: &Part<'_>,
    copy: usize,
    old: &File,
    good: &[u8],
) -> io::Result<File> {
    let disk = rt.disk();
    let path = &data.paths.manifests(data.generation, data.core)[copy];
    let new = path.with_extension("new");
    let open = Open {
        read: true,
        write: true,
        create: true,
        truncate: true,
        direct: true,
        ..Open::default()
    };
    let file = disk.open(&new, open).await?;
    let file = match file.allocate(0, good.len() as u64).await {
        Ok(()) => file,
        Err(e) if is_full(&e) => {
            drop(file);
            disk.remove_file(&new).await?;
            write_manifest(rt, old, good).await?;
            return Ok(old.clone());
        }
        Err(e) => return Err(e),
    };
    write_manifest(rt, &file, good).await?;
    disk.rename(&new, path).await?;
    disk.sync_dir(&data.paths.core(data.generation, data.core)).await?;
    Ok(file)
}

async fn write_manifest(rt: &Runtime, file: &File, good: &[u8]) -> io::Result<()> {
    for (i, part) in good.chunks(1 << 20).enumerate() {
        write_at(rt, file, (i as u64) << 20, part).await?;
    }
    file.sync_data().await
}

/// Opens ring and manifest of a core that has just been made.
pub(crate) async fn open_new(
    rt: &Runtime,
    data: &Part<'_>,
) -> Result<(Vec<File>, Manifest), OpenError> {
    let (ring_files, files, _) = open_files(rt, data, Purpose::Serve).await?;
    let bytes = read_whole(&files[0]).await.map_err(fail("cannot read the manifest"))?;
    let Some(found) = follow_manifest(&bytes, &data.ring.ring)? else {
        return Err(OpenError::Damaged("the manifest that has just been written".into()));
    };
    Ok((ring_files, found.opened(files, data.ring.ring)))
}

/// How many bytes of batches replay is going to put into memory, for each partition: so that it takes no more than that.
fn expected_bytes(
    chain: &Chain,
    read: impl Fn(u64, usize) -> Option<Vec<u8>>,
) -> BTreeMap<PartitionId, usize> {
    let mut expected = BTreeMap::new();
    for link in &chain.links {
        let Link::Commit { header } = link else { continue };
        let bytes = read(header.position, header.used as usize).unwrap_or_default();
        let body = bytes.get(commit::HEADER..).unwrap_or(&[]);
        for (h, payload) in record::records(body, header.records).flatten() {
            if h.kind == Type::Data {
                *expected.entry(h.partition).or_default() += payload.len();
            }
        }
    }
    expected
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
    let part = data.part(core)?;
    let recovered = recover(rt, &part, Purpose::Serve, config_of).await?;
    let mut report = recovered.report;
    let resume = Resume {
        ring: recovered.ring,
        previous: recovered.chain.last,
        highest_seen: recovered.chain.highest_seen,
        directory: if planted::is(Planted::DirectoryLostAtStart) {
            Vec::new()
        } else {
            recovered.directory
        },
    };
    // Of a partition that is not known all may be lost, and of an incomplete one a person has to decide: nothing of them goes.
    let certain = recovered.unaccounted.is_none() && !report.unknown_losses;
    let known = strays::known(&recovered.partitions);
    strays::remove_rest_logs(rt, &part, recovered.rest.number).await;
    let reserve = Reserve::open(rt, &part).await.map_err(fail("cannot open the reserve"))?;
    let uuid = part.ring.ring;
    let files = recovered.ring_files;
    let journal = Journal::new(rt.clone(), files, uuid, resume, config.flush_every);
    let store = Store::start(Parts {
        rt: rt.clone(),
        paths: data.paths().clone(),
        generation: part.generation,
        core,
        config,
        journal,
        partitions: recovered.partitions,
        manifest: recovered.manifest,
        rest: recovered.rest,
        gone: recovered.gone,
        unaccounted: recovered.unaccounted,
        data: Some(data.clone()),
        reserve,
    });
    store.keep_reserve().await;
    // A crash loop of Start commits must not fill the ring: when it is nearly full, everything is checkpointed first.
    // So it is when the Start commit would be written over the place of a damaged one, which alone shows the damage.
    report.start_sequence = if recovered.chain.open || !store.inner.journal.has_control_room() {
        store.begin_after_a_checkpoint().await
    } else {
        Some(store.begin().await)
    };
    if certain {
        strays::sweep_later(&store, known, data.cores());
    }
    Ok((store, report))
}

async fn open_rest(
    rt: &Runtime,
    data: &Part<'_>,
    footer: &Footer,
    purpose: Purpose,
) -> Result<Option<File>, OpenError> {
    if footer.rest_len == 0 {
        return Ok(None);
    }
    let path = data.paths.rest(data.generation, data.core, footer.rest_file);
    let write = purpose != Purpose::Look;
    let open = Open { read: true, write, direct: true, ..Open::default() };
    let file = match rt.disk().open(&path, open).await {
        Ok(file) => file,
        // Whose bytes it held is in the manifest: they are incomplete, and the others go on.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(fail("cannot open the rest log")(e)),
    };
    file.sync_data().await.map_err(fail("cannot sync the rest log"))?;
    Ok(Some(file))
}
