//! That the crash test can fail: planted bugs are found, but for the few that are named.

use crate::tally::Tally;
use crate::{IMAGES, try_seed};
use ringwood_store::{Planted, plant};
use std::rc::Rc;

const ALL: &[Planted] = &[
    Planted::AckBeforeFlush,
    Planted::AckOutOfSequence,
    Planted::FlushCreditedTooWidely,
    Planted::BrokenChainAccepted,
    Planted::TornTailTakenForData,
    Planted::BlocksAheadOfTheCheckpoint,
    Planted::SegmentsNotSynced,
    Planted::DirectoriesNotSynced,
    Planted::RestLogNotSynced,
    Planted::LiveStateInAnEntry,
    Planted::EarlierFileLeftOut,
    Planted::LastBlockForgotten,
    Planted::RecoveryWithoutSync,
    Planted::UnlinkBeforeTheDelete,
    Planted::UnlinkBeforeTheLogStart,
    Planted::IncompleteMarkLost,
    Planted::DamageTakenForTheEnd,
    Planted::SequencesReused,
    Planted::ProducersForgotten,
    Planted::DirectoryLostAtStart,
    Planted::DeletedLeftOutTooEarly,
    Planted::SnapshotOfARefusedCheckpoint,
];

/// Tried only when asked for by name (PLANTED), and no failure when not found. The first two were found, but only after thousands
/// of images. The last two never were in 20,000: an index that makes no sense is not used; and the ring's old start would have
/// to be overwritten, in a ring that is full, while the second copy is being written.
const ELUSIVE: &[Planted] = &[
    Planted::HoleForgottenAtStart,
    Planted::DroppedLeftOutTooEarly,
    Planted::IndexNewerThanLog,
    Planted::RingMovedBeforeTheSecondCopy,
];

/// Seeds that are tried before a bug counts as not found.
const SEEDS: u64 = 1_000;

/// The first seed that finds a bug, how many images that took, and what it says.
fn hunt(bug: Planted, seeds: u64) -> Option<(u64, u64, String)> {
    plant(Some(bug));
    let tally = Rc::new(Tally::default());
    let found = (1..=seeds).find_map(|seed| {
        let what = try_seed(seed, &tally, IMAGES).err()?;
        Some((seed, tally.of("images"), what))
    });
    plant(None);
    found
}

#[test]
fn every_planted_bug_is_found() {
    let only = std::env::var("PLANTED").ok();
    // Some bugs show as panics of the store; one line about each is enough.
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = Vec::new();
    for bug in ALL.iter().chain(ELUSIVE) {
        let name = format!("{bug:?}");
        let wanted = only.as_ref().map_or(ALL.contains(bug), |only| *only == name);
        if !wanted {
            continue;
        }
        let begun = std::time::Instant::now();
        match hunt(*bug, SEEDS) {
            Some((seed, images, what)) => {
                let seconds = begun.elapsed().as_secs_f32();
                println!("planted {name} seed {seed} images {images} in {seconds:.1} s: {what}");
            }
            None => {
                println!("{name}: NOT FOUND in {:.0} s", begun.elapsed().as_secs_f32());
                missed.push(name);
            }
        }
    }
    let _ = std::panic::take_hook();
    assert!(missed.is_empty(), "not found: {missed:?}");
}
