//! Flips a bit of what a power cut has left, and says what that excuses.
//!
//! | where | what must follow |
//! |---|---|
//! | a commit at or below the flushed mark | its partitions are incomplete, all others whole |
//! | a commit above the mark | a clean end there: nobody can tell it from a log that ends |
//! | one copy of manifest or layout | nothing |
//! | a segment | reads of that partition fail, or the bit was not one of the log |
//! | a transaction index | nothing: the log says what it held |
//! | a rest log | the piece's partition is incomplete, or the piece was dead |

use crate::autopsy::{Commit, Examined, Ring};
use crate::life::ROOT;
use crate::model::{Excuse, Incomplete, Model};
use crate::random::Random;
use ids::PartitionId;
use ringwood_store::Paths;
use ringwood_store::format::record::Type;
use runtime::sim::{NodeId, World};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What was done.
pub(crate) struct Done {
    pub(crate) kind: String,
    pub(crate) place: String,
    pub(crate) excuse: Excuse,
}

/// Flips one bit somewhere; `None` if there is nothing to damage there yet.
pub(crate) fn flip(
    world: &World,
    node: NodeId,
    model: &mut Model,
    examined: &Examined,
    random: &mut Random,
) -> Option<Done> {
    // Few images have a transaction index: where there is one it is damaged more often than its turn is.
    let rare = if random.one_in(3) { txn_index(world, node, random) } else { None };
    let done = match rare {
        Some(done) => done,
        None => match random.below(8) {
            0..4 => ring(world, node, examined, random),
            4 => manifest(world, node, random),
            5 => segment(world, node, model, random),
            6 => rest(world, node, random),
            _ => layout(world, node, random),
        }?,
    };
    model.excuse = done.excuse.clone();
    Some(done)
}

fn at(world: &World, node: NodeId, path: &Path, bit: u64) -> Option<String> {
    world.flip_bit(node, path, bit).ok()?;
    Some(format!("{} bit {bit}", path.display()))
}

fn ring(world: &World, node: NodeId, examined: &Examined, random: &mut Random) -> Option<Done> {
    let rings: Vec<&Ring> = examined.iter().filter(|r| !r.chain.is_empty()).collect();
    let ring = *rings.get(usize::try_from(random.below(rings.len() as u64)).ok()?)?;
    let before_a_skip = ring.flushed_before_a_last_skip().filter(|_| random.one_in(2));
    let nth = match before_a_skip {
        Some(nth) => nth as u64,
        None if random.one_in(3) => ring.chain.len() as u64 - 1,
        None => random.below(ring.chain.len() as u64),
    };
    let nth = usize::try_from(nth).ok()?;
    let victim = ring.commits.get(&ring.chain[nth])?;
    let bit = (victim.at * 8) + random.below(u64::from(victim.header.used) * 8);
    let mut excuse = Excuse::default();
    if victim.header.sequence <= ring.flushed_without(victim.header.sequence) {
        excuse.incomplete = match directory_holder(ring, nth) {
            true => Incomplete::These(victim.partitions()),
            false => Incomplete::Core(ring.core),
        };
        let kind = match before_a_skip {
            Some(_) => "bit flip below F, before a last skip",
            None => "bit flip below F",
        };
        let place = at(world, node, &victim.path, bit)?;
        return Some(Done { kind: kind.into(), place, excuse });
    }
    // Without the record of a truncation that was acknowledged the log is what it was before, and nobody can tell.
    let of = |sequence: &u64| ring.commits[sequence].records.iter().map(|r| r.1);
    if ring.chain[nth..].iter().flat_map(of).any(|kind| kind == Type::Truncate) {
        return None;
    }
    let mut lost: BTreeMap<PartitionId, i64> = BTreeMap::new();
    for sequence in &ring.chain[nth..] {
        for (id, kind, offset) in &ring.commits[sequence].records {
            // Its segments may be unlinked already, or left out of a checkpoint: a reader is told.
            if matches!(kind, Type::LogStart | Type::Delete) {
                excuse.unreadable.push(*id);
            }
            let from = match kind {
                Type::Data => *offset,
                // A checkpoint under way leaves a deleted partition's entry as it was long ago.
                Type::Delete => 0,
                // Only the record itself is lost.
                Type::Start
                | Type::Truncate
                | Type::LogStart
                | Type::CleanShutdown
                | Type::Directory => i64::MAX,
            };
            let entry = lost.entry(*id).or_insert(from);
            *entry = (*entry).min(from);
        }
    }
    excuse.incomplete = Incomplete::These(excuse.unreadable.clone());
    excuse.lost_from = lost;
    let place = at(world, node, &victim.path, bit)?;
    Some(Done { kind: "bit flip above F".into(), place, excuse })
}

/// One bit in the middle of a commit's records; where.
pub(crate) fn flip_in(world: &World, node: NodeId, victim: &Commit) -> Option<String> {
    at(world, node, &victim.path, (victim.at + u64::from(victim.header.used) / 2) * 8)
}

/// Whether the commit after the `nth` is there to say what that one held.
fn directory_holder(ring: &Ring, nth: usize) -> bool {
    let victim = &ring.commits[&ring.chain[nth]];
    let before = nth.checked_sub(1).map_or(ring.footer.sequence, |n| ring.chain[n]);
    let next = ring.chain.get(nth + 1).map(|s| &ring.commits[s]);
    victim.header.sequence - before <= 2
        && next.is_some_and(|n| n.header.kind == ringwood_store::format::commit::Kind::Records)
}

fn files(world: &World, node: NodeId, like: &str) -> Vec<(PathBuf, usize)> {
    let image = world.disk_image(node);
    let of = image.into_iter().filter(|(p, b)| p.to_string_lossy().contains(like) && !b.is_empty());
    of.map(|(path, bytes)| (path, bytes.len())).collect()
}

fn some_bit(
    world: &World,
    node: NodeId,
    like: &str,
    random: &mut Random,
) -> Option<(PathBuf, String)> {
    let files = files(world, node, like);
    let (path, len) = files.get(usize::try_from(random.below(files.len() as u64)).ok()?)?;
    // Most of an allocated file is empty: what is written is worth more, and its last blocks most.
    let bytes = world.file(node, path)?;
    let used = bytes.iter().rposition(|b| *b != 0).map_or(*len, |last| last + 1) as u64;
    let from = if random.one_in(2) { used.saturating_sub(4096) / 4096 * 4096 } else { 0 };
    let place = at(world, node, path, (from + random.below(used - from)) * 8 + random.below(8))?;
    Some((path.clone(), place))
}

fn manifest(world: &World, node: NodeId, random: &mut Random) -> Option<Done> {
    let which = random.pick(&["/manifest-a", "/manifest-b"]);
    let (_, place) = some_bit(world, node, which, random)?;
    Some(Done { kind: "bit flip in a manifest".into(), place, excuse: Excuse::default() })
}

/// One bit of the first copy of a manifest; nothing may come of it.
pub(crate) fn flip_the_first_manifest(
    world: &World,
    node: NodeId,
    examined: &Examined,
    random: &mut Random,
) -> Option<Done> {
    let ahead = examined.iter().find(|r| r.first_copy_is_ahead())?;
    let (_, place) = some_bit(world, node, &format!("/{}/manifest-a", ahead.core), random)?;
    let kind = "bit flip in a manifest that is ahead of its copy".into();
    Some(Done { kind, place, excuse: Excuse::default() })
}

fn layout(world: &World, node: NodeId, random: &mut Random) -> Option<Done> {
    let paths = Paths::new(Path::new(ROOT)).layouts();
    let lens: Vec<u64> =
        paths.iter().map(|p| world.file(node, p).map_or(0, |b| b.len() as u64)).collect();
    if lens.contains(&0) {
        return None;
    }
    let n = usize::try_from(random.below(2)).ok()?;
    let place = at(world, node, &paths[n], random.below(lens[n] * 8))?;
    Some(Done { kind: "bit flip in a layout".into(), place, excuse: Excuse::default() })
}

fn segment(world: &World, node: NodeId, model: &Model, random: &mut Random) -> Option<Done> {
    let (path, place) = some_bit(world, node, ".log", random)?;
    let paths = Paths::new(Path::new(ROOT));
    let owner = model.parts.keys().find(|id| path.starts_with(paths.partition(**id)))?;
    let excuse = Excuse { unreadable: vec![*owner], ..Excuse::default() };
    Some(Done { kind: "bit flip in a segment".into(), place, excuse })
}

/// One bit of a transaction index; nothing may come of it.
fn txn_index(world: &World, node: NodeId, random: &mut Random) -> Option<Done> {
    let (_, place) = some_bit(world, node, ".txnindex", random)?;
    Some(Done { kind: "bit flip in a transaction index".into(), place, excuse: Excuse::default() })
}

fn rest(world: &World, node: NodeId, random: &mut Random) -> Option<Done> {
    let (path, place) = some_bit(world, node, "/rest-", random)?;
    let core = path.parent()?.file_name()?.to_string_lossy().parse().ok()?;
    let excuse = Excuse { incomplete: Incomplete::Core(core), ..Excuse::default() };
    Some(Done { kind: "bit flip in a rest log".into(), place, excuse })
}
