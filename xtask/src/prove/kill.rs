//! kill -9 under load, again and again.
//!
//! The load, the kills and the verifications are those of a [`Round`], which is one data directory. What is acknowledged must be there, once, in
//! order; no offset may be missing; no producer id may serve two producers. From fifty kills on, each of the cases that the kills are for must have
//! been met: a kill before the broker served, a checkpoint, a lap of the ring, a change of the number of cores.
//!
//! The counts go to a JSON file after every verification; a run goes on from there until there are so many cycles in all. A run
//! of a thousand cycles must have acknowledged ten million records, or it has shown less than it is for.

use std::fs::remove_file;
use std::path::PathBuf;
use std::time::Duration;

use super::counts::Counts;
use super::random::Random;
use super::round::{Blow, Round, SMALL};
use super::throttled::{self, Late, Slow};
use super::{options, programs};
use crate::broker::Broker;
use crate::runtimes::RUNTIMES;
use crate::tally::{Tally, say};
use crate::{Fault, clients, tree};

/// Kills in one data directory.
const ROUND: u64 = 50;
/// So many kills are enough to meet every case of [`CASES`].
const ENOUGH: u64 = 50;
/// Kills in a run of the tests: enough of them to meet every case.
const SMOKE: &str = "50";
/// A long run has so many cycles, and must have acknowledged so many records.
const LONG: u64 = 1000;
const LONG_ACKNOWLEDGED: u64 = 10_000_000;
/// The longest that a broker serves before it is killed. One kill in three comes in the first 0.15 s, so a cycle is about 1.5 s.
const SERVES: Duration = Duration::from_millis(4400);
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

    fn serves_at_most(&self) -> Duration {
        SERVES
    }
}

struct Options {
    cycles: u64,
    cores: Vec<u32>,
    release: bool,
    /// On a disk that is slow enough to show writes that come after the kill.
    throttled: bool,
    io: String,
    /// Of the topic: an acknowledgement says either way that the record survives a kill.
    durability: String,
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
            io: "auto".to_owned(),
            durability: "fsync".to_owned(),
            state: None,
            seed: options::seed()?,
        };
        options::each(words, &["--release", "--throttled"], |name, value| {
            match name {
                "--cycles" => options.cycles = value.parse()?,
                "--cores" => options.cores = options::cores(value)?,
                "--release" => options.release = true,
                "--throttled" => options.throttled = true,
                "--io" if ["auto", "uring", "portable"].contains(&value) => {
                    value.clone_into(&mut options.io);
                }
                "--durability" if ["fsync", "written"].contains(&value) => {
                    value.clone_into(&mut options.durability);
                }
                "--io" | "--durability" => return Err("that is none of its words".into()),
                "--state" => options.state = Some(PathBuf::from(value)),
                "--seed" => options.seed = value.parse()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(options)
    }

    /// The file of counts: another one for the slow disk, for each backend that is asked for and for written topics, whose
    /// counts mean something else.
    fn state(&self) -> PathBuf {
        let mut name = if self.throttled { "throttled" } else { "kill" }.to_owned();
        for (word, usual) in [(&self.io, "auto"), (&self.durability, "fsync")] {
            if word != usual {
                name = format!("{name}-{word}");
            }
        }
        let file = format!("{name}.json");
        self.state.clone().unwrap_or_else(|| tree::target().join("prove").join(file))
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
        let words = [SMALL.as_slice(), &["--io", &self.io]].concat();
        if self.throttled {
            broker = broker.with(&words);
            let slow = Slow::mount(&broker.data())?;
            Ok((broker, Box::new(Late(Some(slow)))))
        } else {
            Ok((broker.with(&words), Box::new(Kill)))
        }
    }
}

/// Runs the cycles; true if nothing that must never happen has happened, in this run or before.
pub(crate) fn run(words: &[&str]) -> Result<bool, Fault> {
    let options = Options::parse(words)?;
    if options.throttled {
        programs::must_be_possible("prove kill --throttled", throttled::missing())?;
    }
    programs::build(options.release)?;
    prove(&options)
}

/// Some kills for every run of the tests, with the programs as they have been built.
pub(crate) fn smoke(tally: &mut Tally) -> Result<(), Fault> {
    let go = RUNTIMES.iter().find(|runtime| runtime.suite == "go").ok_or("no go suite")?;
    if !go.is_here() {
        return tally.skip("kill", &go.absence());
    }
    if let Err(complaint) = clients::prepare("go") {
        return tally.check("kill", Some(&complaint));
    }
    let mut options = Options::parse(&["--cycles", SMOKE])?;
    let state = tree::work().join("kill.json");
    if state.exists() {
        remove_file(&state)?;
    }
    options.state = Some(state);
    let good = match prove(&options) {
        Ok(good) => good,
        Err(fault) => {
            say(&format!("kill: {fault}"))?;
            false
        }
    };
    tally.check("kill", (!good).then_some("see above"))
}

fn prove(options: &Options) -> Result<bool, Fault> {
    let state = options.state();
    let mut counts = Counts::load(&state)?;
    let mut random = Random(options.seed);
    say(&format!(
        "prove kill: {} of {} cycles, io {}, durability {}, seed {}, counts in {}",
        counts.blows(),
        options.cycles,
        options.io,
        options.durability,
        options.seed,
        state.display()
    ))?;
    while counts.blows() < options.cycles {
        let kills = (options.cycles - counts.blows()).min(ROUND);
        let (broker, blow) = options.broker()?;
        let failed = Round::start(blow, &options.cores, broker, &options.durability)
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
            "recovery, start to ready: p50 {}, p99 {}; a kill every {} ms; {} records acknowledged a kill",
            counts.recovered_within(50),
            counts.recovered_within(99),
            counts.of("ms_to_a_kill") / counts.blows().max(1),
            counts.of("acknowledged") / counts.blows().max(1)
        ))?;
        if counts.bad() > 0 {
            // The data directory of the round stays for whoever looks into it.
            return Ok(false);
        }
    }
    let gaps = gaps(&counts, options);
    for gap in &gaps {
        say(&format!("FAILED {gap}"))?;
    }
    Ok(counts.bad() == 0 && gaps.is_empty())
}

/// What these counts do not show.
fn gaps(counts: &Counts, options: &Options) -> Vec<String> {
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
    let mut gaps: Vec<String> = unseen.iter().map(|case| format!("never met: {case}")).collect();
    let acknowledged = counts.of("acknowledged");
    if counts.blows() >= LONG && !options.throttled && acknowledged < LONG_ACKNOWLEDGED {
        gaps.push(format!(
            "{acknowledged} records acknowledged in {} cycles, at least {LONG_ACKNOWLEDGED} are needed",
            counts.blows()
        ));
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_must_have_met_everything_and_acknowledged_enough() {
        let options = Options::parse(&[]).unwrap();
        let mut counts = Counts::default();
        for case in CASES {
            counts.add(case, 7);
        }
        counts.add("core_changes", 1);
        assert_eq!(gaps(&counts, &options), [""; 0], "a short run");
        counts.add("kills_while_serving", LONG);
        assert_eq!(gaps(&counts, &options).len(), 1, "too few records");
        counts.add("acknowledged", LONG_ACKNOWLEDGED);
        assert_eq!(gaps(&counts, &options), [""; 0]);
        let slow = Options::parse(&["--throttled"]).unwrap();
        assert_eq!(gaps(&counts, &slow), ["never met: late_writes_before_lock_was_free"]);
    }

    #[test]
    fn counts_of_other_backends_are_apart() {
        let state = |words: &[&str]| {
            let path = Options::parse(words).unwrap().state();
            path.file_name().unwrap().to_string_lossy().into_owned()
        };
        assert_eq!(state(&[]), "kill.json");
        assert_eq!(state(&["--io", "portable"]), "kill-portable.json");
        assert_eq!(state(&["--throttled", "--durability", "written"]), "throttled-written.json");
        assert!(Options::parse(&["--io", "glommio"]).is_err());
    }
}
