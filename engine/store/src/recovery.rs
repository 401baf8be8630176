//! Opens one core's store: whatever a crash has left becomes the state that was acknowledged.
//!
//! 1. The lock is held and the layout is known: see `data_dir.rs`. No write of a dead process can land any more.
//! 2. Sync everything that recovery will rely on, before it is read: what is shown to a reader must not vanish later.
//! 3. Manifest and ring: the manifest's entries are the state after commit N, the ring's chain continues from there.
//! 4. The final state is formed in memory. Only then is anything written: a differing copy of the manifest, the Start commit.
//!
//! Nothing is scanned per partition: the cost is that of ring, rest log and manifest.

use crate::checkpoint::{Manifest, RestLog};
use crate::data_dir::{DataDir, OpenError, fail, read_whole, write_at};
use crate::format::manifest::{self, Entry, Footer, State};
use crate::format::record::{self, Type};
use crate::format::{BLOCK, blocks, commit};
use crate::journal::{self, Journal, NO_PARTITION, Resume};
use crate::partition::{Partition, PartitionConfig};
use crate::paths::Paths;
use crate::replay::Replay;
use crate::ring::Ring;
use crate::scan::{self, Link};
use crate::store::{Config, Parts, Store};
use ids::{CoreId, PartitionId};
use runtime::{File, Open, Runtime};
use std::collections::BTreeMap;
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
    /// How often this ring has been started.
    pub start_sequence: u64,
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
    let paths = data.paths().clone();
    let generation = data.generation();
    let Some(part) = data.part(core) else {
        return Err(OpenError::NoSuchCore { core, cores: data.cores() });
    };
    let open = Open { read: true, write: true, direct: true, ..Open::default() };

    let mut ring_files = Vec::new();
    for n in 0..part.files {
        let path = paths.ring(generation, core, n);
        let file =
            disk.open(&path, open).await.map_err(fail(format!("cannot open ring file {n}")))?;
        file.sync_data().await.map_err(fail("cannot sync the ring"))?;
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

    let mut replay = Replay::new(rt.clone());
    report.listed = found.states.len() as u64;
    let rest_file = open_rest(rt, &paths, generation, core, &found.footer).await?;
    for (id, state) in found.states {
        let pieces = state.rest.clone();
        let mut p = Partition::from_state(id, config_of(id), state);
        for piece in &pieces {
            report.rest_pieces += 1;
            let bytes = match &rest_file {
                Some(file) => read_piece(file, piece.at, piece.length as usize).await,
                None => Err(io::Error::other("there is no rest log")),
            };
            let bytes = bytes.map_err(fail("cannot read the rest log"))?;
            if crc32c::crc32c(&bytes) != piece.crc {
                p.incomplete = Some(format!("a piece of the rest log at {} is damaged", piece.at));
                break;
            }
            replay.load(&mut p, piece, &bytes);
        }
        replay.adopt(p);
    }
    for link in &chain.links {
        match link {
            Link::Hole(hole) => replay.hole(hole),
            Link::Commit { header } => {
                report.commits += 1;
                let bytes = read(header.position, header.used as usize).unwrap_or_default();
                let body = bytes.get(commit::HEADER..).unwrap_or(&[]);
                for r in record::records(body, header.records) {
                    let (h, payload) = r.map_err(|at| {
                        OpenError::Damaged(format!("record {at} of commit {}", header.sequence))
                    })?;
                    report.records += 1;
                    report.batches += u64::from(h.kind == Type::Data);
                    report.clean = h.kind == Type::CleanShutdown;
                    if h.partition != NO_PARTITION {
                        replay.record(header.sequence, &h, payload, &config_of);
                    }
                }
            }
        }
    }
    drop(ring_bytes);
    let (partitions, gone) = replay.finish();
    for (id, p) in &partitions {
        if let Some(why) = &p.borrow().incomplete {
            report.incomplete.push((*id, why.clone()));
        }
    }

    let resume = Resume {
        ring: Ring { head: chain.head, ..ring },
        previous: chain.last,
        highest_seen: chain.highest_seen,
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
    });
    // A crash loop of Start commits must not fill the ring: when it is nearly full, everything is checkpointed first.
    if !store.inner.journal.has_room(4 * BLOCK) {
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
