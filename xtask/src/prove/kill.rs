//! kill -9 under load, again and again.
//!
//! The load, the kills and the verifications are those of a [`Round`], which is one data directory. What is acknowledged must be there, once, in
//! order; no offset may be missing; no producer id may serve two producers. From fifty kills on, each of the cases that the kills are for must have
//! been met: a kill before the broker served, a checkpoint, a lap of the ring, a change of the number of cores.
//!
//! The counts go to a JSON file after every verification and are added to when a run goes on.

use std::path::PathBuf;

use super::counts::Counts;
use super::random::Random;
use super::round::{Blow, Round, SMALL};
use super::throttled::{self, Late, Slow};
use super::{options, programs};
use crate::broker::Broker;
use crate::tally::say;
use crate::{Fault, tree};

/// Kills in one data directory.
const ROUND: u64 = 50;
/// So many kills are enough to meet every case of [`CASES`].
const ENOUGH: u64 = 50;
/// What a run must have met.
const CASES: [&str; 7] = [
    "kills_while_serving",
    "recoveries_cut",
    "checkpoints",
    "ring_wraps",
    "segment_writes",
    "acknowledged",
    "producer_ids",
];

/// kill -9 alone: the disk has all that was written.
struct Kill;

impl Blow for Kill {
    fn strike(&mut self, broker: &mut Broker, _: &mut Counts) -> Result<(), Fault> {
        broker.kill()
    }

    fn end(&mut self, _: &Broker, _: bool) -> Result<(), Fault> {
        Ok(())
    }
}

struct Options {
    cycles: u64,
    cores: Vec<u32>,
    release: bool,
    /// On a disk that is slow enough to show writes that come after the kill.
    throttled: bool,
    state: Option<PathBuf>,
    seed: u64,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Options, Fault> {
        let mut options = Options {
            cycles: 100,
            cores: vec![1, 2, 4],
            release: false,
            throttled: false,
            state: None,
            seed: options::seed()?,
        };
        options::each(words, &["--release", "--throttled"], |name, value| {
            match name {
                "--cycles" => options.cycles = value.parse()?,
                "--cores" => options.cores = options::cores(value)?,
                "--release" => options.release = true,
                "--throttled" => options.throttled = true,
                "--state" => options.state = Some(PathBuf::from(value)),
                "--seed" => options.seed = value.parse()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(options)
    }

    /// The file of counts: another one for the slow disk, whose counts mean something else.
    fn state(&self) -> PathBuf {
        let name = if self.throttled { "throttled.json" } else { "kill.json" };
        self.state.clone().unwrap_or_else(|| tree::target().join("prove").join(name))
    }

    /// A broker that is not started, and what ends it.
    fn broker(&self) -> Result<(Broker, Box<dyn Blow>), Fault> {
        let name = if self.throttled { "prove-throttled" } else { "prove-kill" };
        if self.throttled {
            throttled::release_stale(name)?;
        }
        let mut broker = Broker::fresh(name, self.cores.first().copied().unwrap_or(1))?;
        if self.release {
            broker = broker.program(tree::release_binary("ringwood"));
        }
        if self.throttled {
            broker = broker.with(&[SMALL.as_slice(), &["--reserve", "16MiB"]].concat());
            let slow = Slow::mount(&broker.data())?;
            Ok((broker, Box::new(Late(Some(slow)))))
        } else {
            Ok((broker.with(&SMALL), Box::new(Kill)))
        }
    }
}

/// Runs the cycles; true if nothing that must never happen has happened, in this run or before.
pub(crate) fn run(words: &[&str]) -> Result<bool, Fault> {
    let options = Options::parse(words)?;
    if options.throttled
        && let Some(reason) = throttled::missing()
    {
        say(&format!("SKIPPED prove kill --throttled: {reason}"))?;
        return Ok(true);
    }
    programs::build(options.release)?;
    let state = options.state();
    let mut counts = Counts::load(&state)?;
    let mut random = Random(options.seed);
    say(&format!(
        "prove kill: {} cycles, seed {}, counts in {}",
        options.cycles,
        options.seed,
        state.display()
    ))?;
    let mut left = options.cycles;
    while left > 0 {
        let kills = left.min(ROUND);
        let (broker, blow) = options.broker()?;
        let failed = Round::start(blow, &options.cores, broker)
            .and_then(|round| round.play(kills, &mut random, &mut counts, &state))
            .err();
        if let Some(fault) = failed {
            counts.add("broker_failures", 1);
            say(&format!("FAILED {fault}"))?;
        }
        counts.add("rounds", 1);
        counts.save(&state)?;
        say(&serde_json::to_string(&counts.0)?)?;
        say(&format!(
            "recovery, start to ready: p50 {}, p99 {}; {} records acknowledged a kill",
            counts.recovered_within(50),
            counts.recovered_within(99),
            counts.of("acknowledged") / counts.blows().max(1)
        ))?;
        if counts.bad() > 0 {
            // The data directory of the round stays for whoever looks into it.
            return Ok(false);
        }
        left -= kills;
    }
    let mut unseen = Vec::new();
    if counts.blows() >= ENOUGH {
        unseen = counts.unseen(&CASES);
        if options.cores.len() > 1 {
            unseen.extend(counts.unseen(&["core_changes"]));
        }
    }
    if options.throttled {
        unseen.extend(counts.unseen(&["late_writes_before_lock_was_free"]));
    }
    if !unseen.is_empty() {
        say(&format!("FAILED never met: {}", unseen.join(", ")))?;
    }
    Ok(unseen.is_empty())
}
