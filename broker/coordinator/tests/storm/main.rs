//! Rebalance storms: many members over a bad network, with a coordinator that dies at any moment.
//!
//! A seed decides everything: messages are lost, doubled and overtaken; members die, leave and come back; appends fail;
//! the coordinator crashes, keeps the committed log and any part of what was appended after it, and is rebuilt by replay.
//! Then the weather clears, and every group must come to rest.
//!
//! What is checked all the time: a generation has one leader and one protocol; every member of a generation gets exactly
//! what one and the same leader sent for it; an acknowledged commit is in the committed log, and a refused one is not;
//! what OffsetFetch says is the last committed record; every ticket is answered once; after a tick nothing is due.
//! At the end: all living members are stable in one generation and the group has no others; when all fall silent, the
//! group is empty one session later.
//!
//! `STORM_SEEDS=100 STORM_FIRST=7 cargo test -p ringwood-coordinator --test storm` runs more of them, and
//! `STORM_MEMBERS=2000` larger ones: `cargo xtask prove storms`.
#![expect(clippy::unwrap_used, reason = "a broken storm should stop here and say where")]

mod broker;
mod calendar;
mod checks;
mod member;
mod network;
mod world;

use world::{Scale, World};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn seeds(default: u64) -> std::ops::Range<u64> {
    let first = number("STORM_FIRST").unwrap_or(0);
    first..first + number("STORM_SEEDS").unwrap_or(default)
}

#[test]
fn small_groups_in_bad_weather() {
    let mut sum = checks::Tally::default();
    for seed in seeds(60) {
        let scale = Scale { members: 12, chaos_ms: 180_000, calm: false };
        sum.add(World::new(seed, scale).run());
    }
    sum.assert_eventful();
    println!("{sum:?}");
}

#[test]
fn hundreds_of_members_in_bad_weather() {
    let mut sum = checks::Tally::default();
    for seed in seeds(2) {
        let members = usize::try_from(number("STORM_MEMBERS").unwrap_or(400)).unwrap();
        let scale = Scale { members, chaos_ms: 90_000, calm: false };
        sum.add(World::new(1_000_000 + seed, scale).run());
    }
    assert!(sum.crashes > 0 && sum.generations > 0 && sum.assignments > 1_000, "{sum:?}");
    for (name, n) in sum.each() {
        println!("count {n} {name}");
    }
}

#[test]
fn in_fair_weather_nobody_is_fenced_or_forgotten() {
    let scale = Scale { members: 30, chaos_ms: 120_000, calm: true };
    let sum = World::new(7, scale).run();
    assert_eq!(
        (sum.crashes, sum.fenced, sum.unknown_members, sum.timeouts),
        (0, 0, 0, 0),
        "{sum:?}"
    );
    assert!(sum.commits_acked > 100, "{sum:?}");
}
