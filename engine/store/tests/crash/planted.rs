//! That the crash test can fail: every planted bug is found, and by what it does: each names what must be said of it. PLANTED names
//! the only one to look for.

use crate::behind_a_pass;
use crate::directed::{self, Scene};
use crate::tally::Tally;
use crate::{IMAGES, try_seed, words_of};
use ringwood_store::{Planted, plant};
use std::panic::catch_unwind;
use std::rc::Rc;

/// What is said of a segment, or of its index, of which a power cut has taken what nobody had synced.
const UNSYNCED: &[&str] = &[
    "no batch header",
    "the file ends inside a batch header",
    "the batch's checksum does not match",
    "the file ends here",
];
/// What was acknowledged, or shown by an earlier start, is not there.
const LOST: &str = "acknowledged or shown up to";
/// A segment that is in the log is not in the directory.
const NO_FILE: &str = "the file is missing";

/// Every bug, and what must be said when it is found: one of these. Whatever else goes wrong is not the bug's doing, or not yet
/// known to be, and does not count.
const ALL: &[(Planted, &[&str])] = &[
    (Planted::AckBeforeFlush, &[LOST]),
    (Planted::AckOutOfSequence, &[LOST]),
    (
        Planted::FlushCreditedTooWidely,
        &[
            LOST,
            "was deleted and is there again",
            "what was flushed after commit",
            "incomplete: the commit after",
        ],
    ),
    (Planted::BrokenLinkCredited, &["flushed batches", "incomplete: the commit after"]),
    (Planted::BrokenChainAccepted, &["incomplete: commits after"]),
    (
        Planted::TornTailTakenForData,
        &[
            "a batch without a header",
            "not the batch that was sent to",
            "the data directory is damaged: record",
            "the batch's checksum does not match",
        ],
    ),
    (Planted::SegmentBeforeItsFlush, &["bytes, the log only"]),
    (Planted::RemovedCoreIgnored, &["ends at 0, acknowledged or shown up to"]),
    (Planted::BlocksAheadOfTheCheckpoint, &["incomplete: bytes"]),
    (Planted::SegmentsNotSynced, UNSYNCED),
    (
        Planted::DirectoriesNotSynced,
        &[NO_FILE, "a piece of the rest log at", "the segment cannot be read: No such file"],
    ),
    (Planted::RestLogNotSynced, &["a piece of the rest log at"]),
    (Planted::LiveStateInAnEntry, &["Offset { expected:"]),
    (Planted::EarlierFileLeftOut, UNSYNCED),
    (Planted::LastBlockForgotten, &[NO_FILE, "the batch's checksum does not match"]),
    (Planted::CompactedNotSynced, UNSYNCED),
    (Planted::NewestOfAKeyDropped, &["is gone, which had to stay"]),
    (Planted::TombstonesGoAtOnce, &["tombstones are gone"]),
    (Planted::CutOfAnUnnamedSegment, &["cuts another segment"]),
    (Planted::ReplacedGoBeforeTheCheckpoint, &[NO_FILE]),
    (Planted::CompactionUnlinksBeforeTheDelete, &[NO_FILE]),
    (Planted::RecoveryWithoutSync, &[LOST, "what was flushed after commit"]),
    (Planted::UnlinkBeforeTheDelete, &[NO_FILE]),
    (Planted::UnlinkBeforeTheLogStart, &[NO_FILE]),
    (Planted::IncompleteMarkLost, &["was incomplete and is served as if it were whole"]),
    (Planted::DamageTakenForTheEnd, &[LOST]),
    (
        Planted::SequencesReused,
        &[
            LOST,
            "incomplete: the commit after",
            "incomplete: commits after",
            "what was flushed after commit",
        ],
    ),
    (
        Planted::ProducersForgotten,
        &["a repeated batch Some(", "a gap Sequence {", "an append was refused: "],
    ),
    (Planted::DirectoryLostAtStart, &[LOST, "was deleted and is there again"]),
    (
        Planted::DeletedLeftOutTooEarly,
        &[LOST, "is gone: its log must reach", "Offset { expected:", "incomplete: bytes"],
    ),
    (Planted::SnapshotOfARefusedCheckpoint, &["of two batches that were acknowledged"]),
    (Planted::HoleForgottenAtStart, &["was hit, the first start marks"]),
    (Planted::DroppedLeftOutTooEarly, &["incomplete: bytes"]),
    (Planted::IndexNewerThanLog, &["names byte"]),
    (
        Planted::RingMovedBeforeTheSecondCopy,
        &[
            "incomplete: the commit after",
            "incomplete: commits after",
            "what was flushed after commit",
        ],
    ),
    (Planted::TruncationNotJournalled, &["incomplete: bytes", NO_FILE, " are done"]),
    (Planted::UnlinkBeforeTheTruncate, &[NO_FILE]),
    (Planted::FileClosedUnderItsWriter, UNSYNCED),
    (Planted::OlderGenerationCounts, &[LOST, "is acknowledged, the log ends at"]),
    (Planted::TransactionIndexBehind, &["was aborted, and what is told is"]),
    (Planted::AbortsForgottenAtReplay, &["was aborted, and what is told is"]),
    (Planted::TransactionIndexNotRebuilt, &["was aborted, and what is told is"]),
    (Planted::EndedTransactionsStayEnded, &["the last stable offset is"]),
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

/// So much of what else was said is shown, which tells what to look at.
const SHOWN: usize = 3;

/// What a hunt has come to.
#[derive(Default)]
struct Hunt {
    /// The first seed that finds the bug, how many images that took, and what it says.
    found: Option<(u64, u64, String)>,
    /// What earlier seeds said, none of which names the bug.
    other: Vec<String>,
}

fn hunt(bug: Planted, says: &[&str], seeds: u64) -> Hunt {
    plant(Some(bug));
    let tally = Rc::new(Tally::default());
    let scene = DIRECTED.iter().find(|(of, _)| *of == bug).map(|(_, scene)| scene);
    let mut hunt = Hunt::default();
    for seed in 1..=seeds {
        let wrong = match scene {
            None => try_seed(seed, &tally, IMAGES).err(),
            Some(scene) => match catch_unwind(|| scene(seed)) {
                Ok(Ok(images)) => {
                    tally.add("images", images);
                    None
                }
                // The image that shows it counts too.
                Ok(Err(what)) => {
                    tally.one("images");
                    Some(what)
                }
                Err(panic) => {
                    tally.one("images");
                    Some(words_of(&*panic))
                }
            },
        };
        let Some(what) = wrong else { continue };
        if names(says, &what) {
            hunt.found = Some((seed, tally.of("images"), what));
            break;
        }
        hunt.other.push(format!("seed {seed}: {what}"));
    }
    plant(None);
    hunt
}

/// Whether what a seed says names the bug.
fn names(says: &[&str], what: &str) -> bool {
    says.iter().any(|part| what.contains(part))
}

#[test]
fn every_planted_bug_is_found() {
    let only = std::env::var("PLANTED").ok();
    // What a panic has said is told in the line of its bug.
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = Vec::new();
    for (bug, says) in ALL {
        let name = format!("{bug:?}");
        if only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        let begun = std::time::Instant::now();
        let hunt = hunt(*bug, says, SEEDS);
        for what in hunt.other.iter().take(SHOWN) {
            println!("{name}: {} seeds say something else than {says:?}: {what}", hunt.other.len());
        }
        match hunt.found {
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

#[test]
fn what_no_bug_of_the_list_says_is_not_taken_for_one() {
    for (bug, says) in ALL {
        assert!(!says.is_empty(), "{bug:?}");
        for other in
            ["a panic: index out of bounds: the len is 3", "it never ends", "the node died"]
        {
            assert!(!names(says, other), "{bug:?}: {other}");
        }
    }
    assert!(names(&["the file is missing"], "segment 7 is damaged at byte 0: the file is missing"));
}
