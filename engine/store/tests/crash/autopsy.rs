//! Looks at a disk as a crash has left it, by the format's description alone: which commits are intact, where the chain ends,
//! what its last record says. It tells which cases an image covers, and where a flipped bit must lead to what.

use crate::life::ROOT;
use crate::tally::Tally;
use ids::{CoreId, PartitionId, TopicId};
use ringwood_store::Paths;
use ringwood_store::format::commit::{self, Kind};
use ringwood_store::format::layout::Layout;
use ringwood_store::format::manifest::{self, Footer};
use ringwood_store::format::record::{self, Type};
use runtime::sim::{NodeId, World};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const BLOCK: usize = 4096;

/// One intact commit.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    pub(crate) header: commit::Header,
    pub(crate) crc: u32,
    /// Which file holds it, and where.
    pub(crate) path: PathBuf,
    pub(crate) at: u64,
    /// Partition, type and offset of its records.
    pub(crate) records: Vec<(PartitionId, Type, i64)>,
}

impl Commit {
    pub(crate) fn partitions(&self) -> Vec<PartitionId> {
        self.records.iter().map(|r| r.0).filter(|id| id.topic != TopicId::ZERO).collect()
    }
}

/// One core's ring and manifest.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    pub(crate) core: u16,
    pub(crate) commits: BTreeMap<u64, Commit>,
    /// The sequences that the chain holds, in order, from the manifest's footer on.
    pub(crate) chain: Vec<u64>,
    pub(crate) footer: Footer,
    /// The last intact batch of each copy of the manifest.
    pub(crate) copies: [u64; 2],
    pub(crate) size: u64,
}

impl Ring {
    /// The highest sequence that is known to be flushed, without what `but` says.
    pub(crate) fn flushed_without(&self, but: u64) -> u64 {
        let others = self.commits.values().filter(|c| c.header.sequence != but);
        others.map(|c| c.header.flushed_through).max().unwrap_or(0).max(self.footer.sequence)
    }

    /// The flushed mark.
    pub(crate) fn flushed(&self) -> u64 {
        self.flushed_without(0)
    }

    /// Only the first copy of the manifest has the last batch: were it damaged, the second must still be enough.
    pub(crate) fn first_copy_is_ahead(&self) -> bool {
        self.copies[0] > self.copies[1]
    }

    /// The chain ends in a skip, and the commit before that is known to be flushed: its place in the chain. Were it damaged,
    /// only what the next start writes could say whom that hit.
    pub(crate) fn flushed_before_a_last_skip(&self) -> Option<usize> {
        let nth = self.chain.len().checked_sub(2)?;
        let (sequence, last) = (self.chain[nth], &self.commits[&self.chain[nth + 1]]);
        let skip = last.header.kind == Kind::Skip;
        (skip && sequence <= self.flushed_without(sequence)).then_some(nth)
    }

    fn head(&self) -> u64 {
        let last = self.chain.last().and_then(|s| self.commits.get(s));
        last.map_or(self.footer.position, |c| c.header.next)
    }
}

/// A whole disk.
#[derive(Debug, Default)]
pub(crate) struct Autopsy {
    rings: Vec<Ring>,
}

/// What an autopsy found.
pub(crate) type Examined = Vec<Ring>;

impl Autopsy {
    pub(crate) fn of(world: &World, node: NodeId) -> Self {
        let paths = Paths::new(Path::new(ROOT));
        let layout = paths.layouts().iter().find_map(|path| {
            let bytes = world.file(node, path)?;
            Layout::parse(&String::from_utf8_lossy(&bytes))
        });
        let Some(layout) = layout else { return Self::default() };
        let rings = (0..)
            .zip(&layout.cores)
            .filter_map(|(core, part)| {
                let files: Vec<(PathBuf, Vec<u8>)> = (0..part.files)
                    .map(|n| {
                        let path = paths.ring(layout.generation, CoreId(core), n);
                        let bytes = world.file(node, &path).unwrap_or_default();
                        (path, bytes)
                    })
                    .collect();
                let commits = intact(&files, &part.ring, part.file_bytes);
                let manifests = paths.manifests(layout.generation, CoreId(core));
                let found = manifests.map(|p| last_footer(&world.file(node, &p)?, &part.ring));
                let copies = found.map(|f| f.map_or(0, |f| f.0));
                let footer = found.into_iter().flatten().max_by_key(|(number, _)| *number)?.1;
                let mut ring = Ring {
                    core,
                    commits,
                    chain: Vec::new(),
                    footer,
                    copies,
                    size: part.file_bytes * u64::from(part.files),
                };
                ring.chain = follow(&ring);
                Some(ring)
            })
            .collect();
        Self { rings }
    }

    /// Counts the cases that this disk is one of.
    pub(crate) fn examine(self, tally: &Tally) -> Examined {
        for ring in &self.rings {
            let last = ring.chain.last().copied().unwrap_or(ring.footer.sequence);
            let beyond =
                ring.commits.range(last + 1..).any(|(_, c)| c.header.position >= ring.head());
            tally.add("hole above F", u64::from(beyond && last >= ring.flushed()));
            let used = ring.head() - ring.footer.position;
            tally.add("ring nine tenths full", u64::from(used * 10 >= ring.size * 9));
            let end = ring.chain.last().and_then(|s| ring.commits.get(s));
            if let Some((_, kind, _)) = end.and_then(|c| c.records.last()) {
                tally.one(&format!("last record before a cut: {kind:?}"));
            }
            let skip = end.is_some_and(|c| c.header.kind == Kind::Skip);
            tally.add("last commit before a cut: skip", u64::from(skip));
            let wrapped = ring.footer.position / ring.size != ring.head() / ring.size;
            tally.add("the chain crosses the ring's end", u64::from(wrapped));
        }
        self.rings
    }
}

fn intact(files: &[(PathBuf, Vec<u8>)], uuid: &[u8; 16], file_bytes: u64) -> BTreeMap<u64, Commit> {
    let mut all = BTreeMap::new();
    let size = file_bytes * files.len() as u64;
    for (n, (path, bytes)) in files.iter().enumerate() {
        let mut at = 0;
        while at + BLOCK <= bytes.len() {
            let here = &bytes[at..];
            let header = commit::Header::parse(here, uuid).filter(|h| {
                h.position % size == n as u64 * file_bytes + at as u64
                    && here.len() >= h.length as usize
                    && h.is_intact(here)
            });
            let Some(header) = header else {
                at += BLOCK;
                continue;
            };
            let body = &here[commit::HEADER..header.used as usize];
            let records = record::records(body, header.records)
                .filter_map(Result::ok)
                .map(|(r, _)| (r.partition, r.kind, r.offset.0))
                .collect();
            let crc = commit::Header::stored_crc(here);
            let commit = Commit { header, crc, path: path.clone(), at: at as u64, records };
            all.insert(header.sequence, commit);
            at += header.length as usize;
        }
    }
    all
}

fn last_footer(bytes: &[u8], uuid: &[u8; 16]) -> Option<(u64, Footer)> {
    let mut found: Option<(manifest::Header, u32)> = None;
    let mut at = 0;
    while let Some((h, crc)) = bytes.get(at..).and_then(|b| manifest::Header::parse(b, uuid)) {
        let follows = match &found {
            None => h.whole,
            Some((p, crc)) => !h.whole && h.previous_crc == *crc && h.number == p.number + 1,
        };
        if !follows {
            break;
        }
        at += h.length as usize;
        found = Some((h, crc));
    }
    found.map(|(h, _)| (h.number, h.footer))
}

fn follow(ring: &Ring) -> Vec<u64> {
    let by_position: BTreeMap<u64, u64> =
        ring.commits.values().map(|c| (c.header.position, c.header.sequence)).collect();
    let mut chain = Vec::new();
    let (mut last, mut head) = ((ring.footer.sequence, ring.footer.crc), ring.footer.position);
    while let Some(c) = by_position.get(&head).and_then(|s| ring.commits.get(s)) {
        if (c.header.previous_sequence, c.header.previous_crc) != last {
            break;
        }
        last = (c.header.sequence, c.crc);
        head = c.header.next;
        chain.push(c.header.sequence);
    }
    chain
}

/// With RINGWOOD_CRASH_LOOK in the environment, what the rings of an image hold.
pub(crate) fn look(number: u64, examined: &Examined) {
    if std::env::var_os("RINGWOOD_CRASH_LOOK").is_none() {
        return;
    }
    for ring in examined {
        eprintln!("image {number} core {} {:?} F {}", ring.core, ring.footer, ring.flushed());
        for c in ring.commits.values() {
            let h = &c.header;
            let chained = if ring.chain.contains(&h.sequence) { "in" } else { "--" };
            let what: Vec<String> = c
                .records
                .iter()
                .map(|(id, kind, at)| {
                    let id = id.to_string();
                    format!("{kind:?} {} {at}", &id[id.len().saturating_sub(8)..])
                })
                .collect();
            eprintln!(
                "  {chained} {} at {}+{} after {} flushed {}: {}",
                h.sequence,
                h.position,
                h.length,
                h.previous_sequence,
                h.flushed_through,
                what.join(", ")
            );
        }
    }
}
