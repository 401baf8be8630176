//! That the crash test can fail: every planted bug is found. PLANTED names the only one to look for.

use crate::behind_a_pass;
use crate::directed::{self, Scene};
use crate::tally::Tally;
use crate::{IMAGES, try_seed};
use ringwood_store::{Planted, plant};
use std::panic::catch_unwind;
use std::rc::Rc;

const ALL: &[Planted] = &[
    Planted::AckBeforeFlush,
    Planted::AckOutOfSequence,
    Planted::FlushCreditedTooWidely,
    Planted::BrokenLinkCredited,
    Planted::BrokenChainAccepted,
    Planted::TornTailTakenForData,
    Planted::SegmentBeforeItsFlush,
    Planted::RemovedCoreIgnored,
    Planted::BlocksAheadOfTheCheckpoint,
    Planted::SegmentsNotSynced,
    Planted::DirectoriesNotSynced,
    Planted::RestLogNotSynced,
    Planted::LiveStateInAnEntry,
    Planted::EarlierFileLeftOut,
    Planted::LastBlockForgotten,
    Planted::CompactedNotSynced,
    Planted::NewestOfAKeyDropped,
    Planted::TombstonesGoAtOnce,
    Planted::CutOfAnUnnamedSegment,
    Planted::ReplacedGoBeforeTheCheckpoint,
    Planted::CompactionUnlinksBeforeTheDelete,
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
    Planted::HoleForgottenAtStart,
    Planted::DroppedLeftOutTooEarly,
    Planted::IndexNewerThanLog,
    Planted::RingMovedBeforeTheSecondCopy,
    Planted::TruncationNotJournalled,
    Planted::UnlinkBeforeTheTruncate,
    Planted::FileClosedUnderItsWriter,
    Planted::OlderGenerationCounts,
    Planted::TransactionIndexBehind,
    Planted::AbortsForgottenAtReplay,
    Planted::TransactionIndexNotRebuilt,
    Planted::EndedTransactionsStayEnded,
];

/// Bugs that need a moment of their own.
const DIRECTED: &[(Planted, Scene)] = &[
    (Planted::HoleForgottenAtStart, directed::damage_before_a_last_skip),
    (Planted::DroppedLeftOutTooEarly, directed::a_log_start_under_a_checkpoint),
    (Planted::TruncationNotJournalled, directed::a_truncation_under_a_checkpoint),
    (Planted::UnlinkBeforeTheTruncate, directed::a_truncation_under_a_checkpoint),
    (Planted::FileClosedUnderItsWriter, directed::a_write_while_files_are_closed),
    (Planted::SegmentBeforeItsFlush, directed::a_cut_before_the_flush_of_what_was_appended),
    (Planted::TombstonesGoAtOnce, behind_a_pass::tombstones_of_two_passes),
    (Planted::CutOfAnUnnamedSegment, behind_a_pass::a_truncation_right_behind_a_pass),
    (Planted::BrokenLinkCredited, directed::a_short_write_breaks_a_link),
    (Planted::IndexNewerThanLog, directed::an_index_ahead_of_a_lost_tail),
    (
        Planted::SnapshotOfARefusedCheckpoint,
        directed::a_batch_between_a_refused_checkpoint_and_the_next,
    ),
];

/// Seeds that are tried before a bug counts as not found.
const SEEDS: u64 = 1_000;

/// The first seed that finds a bug, how many images that took, and what it says.
fn hunt(bug: Planted, seeds: u64) -> Option<(u64, u64, String)> {
    plant(Some(bug));
    let tally = Rc::new(Tally::default());
    let scene = DIRECTED.iter().find(|(of, _)| *of == bug).map(|(_, scene)| scene);
    let found = (1..=seeds).find_map(|seed| {
        let what = match scene {
            None => try_seed(seed, &tally, IMAGES).err()?,
            Some(scene) => match catch_unwind(|| scene(seed)) {
                Ok(Ok(images)) => {
                    tally.add("images", images);
                    return None;
                }
                // The image that shows it counts too.
                Ok(Err(what)) => {
                    tally.one("images");
                    what
                }
                Err(_) => {
                    tally.one("images");
                    "a panic of the store".into()
                }
            },
        };
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
    for bug in ALL {
        let name = format!("{bug:?}");
        if only.as_ref().is_some_and(|only| *only != name) {
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
