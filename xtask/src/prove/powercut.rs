//! Power cuts of the real broker on the real kernel, again and again.
//!
//! kill -9 says nothing about durability: what was written survives it even if nothing was ever flushed. So the broker runs on a file system of ours,
//! below the same load as in `prove kill`. The file system keeps apart what no flush has covered. At a cut it drops, keeps or tears that, block by
//! block and name by name, and fails every request from then on; the broker is killed, and starts again on what is left. Nothing that was
//! acknowledged may be lost.
//!
//! A proof that cannot fail shows nothing. So before the first cut the same is done with a disk that lies: it answers flushes and does not flush;
//! and with a broker that lies: a build whose flushes are compiled out, on an honest disk. Then acknowledged records must be lost; if none are, the
//! proof fails.

mod content;
mod mount;
mod tree;

use std::fs::{create_dir_all, remove_file};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use self::mount::{Disk, Mounted};
use super::counts::Counts;
use super::random::Random;
use super::round::{Blow, Round, SMALL, make_topic};
use super::{loopback, options, programs};
use crate::broker::Broker;
use crate::runtimes::RUNTIMES;
use crate::tally::{Tally, say};
use crate::{Fault, clients, program, tree as places};

/// Cuts of one disk; all that it holds is in memory.
const ROUND: u64 = 20;
/// A disk that lies has this many cuts to lose something.
const LIES: u64 = 10;
/// Cuts in a run of the tests.
const SMOKE: &str = "5";
/// So many cuts are enough to meet every case of [`CASES`].
const ENOUGH: u64 = 50;
/// What a run must have met.
const CASES: [&str; 9] = [
    "blocks_kept",
    "blocks_dropped",
    "blocks_torn",
    "names_kept",
    "names_dropped",
    "recoveries_cut",
    "checkpoints",
    "ring_wraps",
    "acknowledged",
];

struct Options {
    cuts: u64,
    cores: Vec<u32>,
    io: String,
    release: bool,
    state: PathBuf,
    seed: u64,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Options, Fault> {
        let mut options = Options {
            cuts: 200,
            cores: vec![1, 2, 4],
            io: "auto".to_owned(),
            release: false,
            state: places::target().join("prove").join("powercut.json"),
            seed: options::seed()?,
        };
        options::each(words, &["--release"], |name, value| {
            match name {
                "--cuts" => options.cuts = value.parse()?,
                "--cores" => options.cores = options::cores(value)?,
                "--io" => value.clone_into(&mut options.io),
                "--release" => options.release = true,
                "--state" => options.state = PathBuf::from(value),
                "--seed" => options.seed = value.parse()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(options)
    }

    /// A broker that is not started, on a disk that has just been mounted.
    fn broker(&self, disk: &Disk) -> Result<(Broker, Mounted), Fault> {
        let name = "prove-powercut";
        loopback::release_stale(&places::work().join(name).join("data"))?;
        let mut words = SMALL.to_vec();
        words.extend(["--io", &self.io]);
        let mut broker = Broker::fresh(name, self.cores[0])?.with(&words);
        if self.release {
            broker = broker.program(places::release_binary("ringwood"));
        }
        create_dir_all(broker.data())?;
        let mounted = Mounted::mount(disk, &broker.data())?;
        Ok((broker, mounted))
    }
}

/// The cut, then the kill, then the disk as the cut left it.
struct Cut {
    mounted: Option<Mounted>,
    /// Where the data directory of a failed round goes.
    failures: Option<PathBuf>,
}

impl Blow for Cut {
    fn strike(&mut self, broker: &mut Broker, counts: &mut Counts) -> Result<(), Fault> {
        let Some(mounted) = self.mounted.take() else { return Err("the disk is gone".into()) };
        let disk = mounted.disk().clone();
        let (blocks, names, flushes) = disk.cut();
        broker.kill()?;
        mounted.unmount()?;
        for (name, n) in [
            ("cuts", 1),
            ("flushes", flushes),
            ("blocks_kept", blocks.kept),
            ("blocks_dropped", blocks.dropped),
            ("blocks_torn", blocks.torn),
            ("names_kept", names.kept),
            ("names_dropped", names.dropped),
        ] {
            counts.add(name, n);
        }
        self.mounted = Some(Mounted::mount(&disk, &broker.data())?);
        Ok(())
    }

    fn end(&mut self, broker: &Broker, failed: bool) -> Result<(), Fault> {
        let Some(mounted) = self.mounted.take() else { return Ok(()) };
        if failed && let Some(to) = &self.failures {
            create_dir_all(to)?;
            let mut copy = Command::new("cp");
            copy.args(["-r", "--sparse=always"]).arg(broker.data()).arg(to);
            if !copy.status()?.success() {
                say(&format!("the data directory could not be copied to {}", to.display()))?;
            }
        }
        mounted.unmount()
    }
}

/// Whether a disk that lies loses records, and after how many cuts.
fn lies(options: &Options, random: &mut Random) -> Result<Option<u64>, Fault> {
    for cuts in 1..=LIES {
        let disk = Disk::new(random.below(u64::MAX));
        let (broker, mounted) = options.broker(&disk)?;
        let blow = Box::new(Cut { mounted: Some(mounted), failures: None });
        let round = Round::start(blow, &options.cores[..1], broker, "fsync")?;
        // Not sooner: a disk that lost the whole data directory would tell nothing about records.
        disk.lie(true);
        let mut counts = Counts::default();
        let state = places::target().join("prove").join("powercut-lying.json");
        let ended = round.play(1, random, &mut counts, &state);
        let why = ended.err().map(|fault| fault.to_string()).unwrap_or_default();
        say(&format!(
            "a disk that lies, cut {cuts}: {} acknowledged records lost ({})",
            counts.of("lost"),
            why.lines().next().unwrap_or("no complaint")
        ))?;
        if counts.of("lost") > 0 {
            return Ok(Some(cuts));
        }
    }
    Ok(None)
}

/// Whether a broker that flushes nothing loses records on an honest disk, and after how many cuts. An ordinary one has made the
/// data directory and the topic, and stopped in good order: what is lost then was acknowledged by the other.
fn flushes_nothing(options: &Options, random: &mut Random) -> Result<Option<u64>, Fault> {
    let liar = unflushed(options.release)?;
    for cuts in 1..=LIES {
        let (mut broker, mounted) = options.broker(&Disk::new(random.below(u64::MAX)))?;
        broker.start()?;
        make_topic(&broker, "fsync")?;
        broker.stop(Duration::from_secs(30))?;
        broker = broker.program(liar.clone());
        broker.start()?;
        let log = broker.log();
        let blow = Box::new(Cut { mounted: Some(mounted), failures: None });
        let round = Round::begin(blow, &options.cores[..1], broker)?;
        let mut counts = Counts::default();
        let state = places::target().join("prove").join("powercut-unflushed.json");
        let ended = round.play(1, random, &mut counts, &state);
        let why = ended.err().map(|fault| fault.to_string()).unwrap_or_default();
        // Where the metadata went too, nobody is left to read records from: the broker itself knows what was lost.
        let losses = losses(&String::from_utf8_lossy(&std::fs::read(&log)?));
        say(&format!(
            "flushes compiled out, cut {cuts}: {} acknowledged records lost, {losses} losses told by the broker ({})",
            counts.of("lost"),
            why.lines().next().unwrap_or("no complaint")
        ))?;
        if counts.of("lost") > 0 || losses > 0 {
            return Ok(Some(cuts));
        }
    }
    Ok(None)
}

/// How often a broker says of a partition, or of the metadata, that acknowledged commits of it are gone.
fn losses(log: &str) -> usize {
    let words = ["is incomplete and takes no writes: ", "acknowledged metadata is missing: "];
    log.lines().filter(|line| words.iter().any(|words| line.contains(words))).count()
}

/// Builds the broker without its flushes, beside the others: no program that anybody else starts may be that one.
fn unflushed(release: bool) -> Result<PathBuf, Fault> {
    let at = places::target().join("unflushed");
    let mut command = Command::new("cargo");
    command.args(["build", "--package", "ringwood", "--features", "flush-compiled-out"]);
    command.arg("--target-dir").arg(&at).current_dir(places::root());
    if release {
        command.arg("--release");
    }
    if !program::follow(&mut command, |_| {})? {
        return Err("the build without flushes failed".into());
    }
    Ok(at.join(if release { "release" } else { "debug" }).join("ringwood"))
}

/// Runs the cuts; true if a lying disk and a lying broker lost records and honest ones none.
pub(crate) fn run(words: &[&str]) -> Result<bool, Fault> {
    let options = Options::parse(words)?;
    programs::must_be_possible("prove powercut", mount::missing().map(str::to_owned))?;
    programs::build(options.release)?;
    prove(&options, true)
}

/// A few cuts for every run of the tests, with the programs as they have been built.
pub(crate) fn smoke(tally: &mut Tally) -> Result<(), Fault> {
    let go = RUNTIMES.iter().find(|runtime| runtime.suite == "go").ok_or("no go suite")?;
    let reason = mount::missing().map(str::to_owned);
    if let Some(reason) = reason.or_else(|| (!go.is_here()).then(|| go.absence())) {
        return tally.skip("powercut", &reason);
    }
    if let Err(complaint) = clients::prepare("go") {
        return tally.check("powercut", Some(&complaint));
    }
    let mut options = Options::parse(&["--cuts", SMOKE])?;
    options.state = places::work().join("powercut.json");
    if options.state.exists() {
        remove_file(&options.state)?;
    }
    // The build without flushes would take longer than all the rest.
    let good = match prove(&options, false) {
        Ok(good) => good,
        Err(fault) => {
            say(&format!("powercut: {fault}"))?;
            false
        }
    };
    tally.check("powercut", (!good).then_some("see above"))
}

fn prove(options: &Options, whole: bool) -> Result<bool, Fault> {
    let mut counts = Counts::load(&options.state)?;
    let mut random = Random(options.seed);
    say(&format!(
        "prove powercut: {} of {} cuts, seed {}, counts in {}",
        counts.of("cuts"),
        options.cuts,
        options.seed,
        options.state.display()
    ))?;
    if counts.of("lying_disk_found_after_cuts") == 0 {
        let Some(cuts) = lies(options, &mut random)? else {
            say("FAILED a disk that lies lost nothing: what this proof says means little")?;
            return Ok(false);
        };
        counts.add("lying_disk_found_after_cuts", cuts);
        counts.save(&options.state)?;
    }
    if whole && counts.of("flushes_compiled_out_found_after_cuts") == 0 {
        let Some(cuts) = flushes_nothing(options, &mut random)? else {
            say(
                "FAILED a broker that flushes nothing lost nothing: what this proof says means little",
            )?;
            return Ok(false);
        };
        counts.add("flushes_compiled_out_found_after_cuts", cuts);
        counts.save(&options.state)?;
    }
    let failures = options.state.with_extension("failed");
    while counts.of("cuts") < options.cuts {
        let cuts = ROUND.min(options.cuts - counts.of("cuts"));
        let (broker, mounted) = options.broker(&Disk::new(random.below(u64::MAX)))?;
        let blow = Box::new(Cut { mounted: Some(mounted), failures: Some(failures.clone()) });
        let failed = Round::start(blow, &options.cores, broker, "fsync")
            .and_then(|round| round.play(cuts, &mut random, &mut counts, &options.state))
            .err();
        if let Some(fault) = failed {
            counts.add("broker_failures", 1);
            say(&format!("FAILED {fault}"))?;
        }
        counts.save(&options.state)?;
        say(&serde_json::to_string(&counts.0)?)?;
        if counts.bad() > 0 {
            return Ok(false);
        }
    }
    let unseen = if counts.blows() < ENOUGH { Vec::new() } else { counts.unseen(&CASES) };
    if !unseen.is_empty() {
        say(&format!("FAILED never met: {}", unseen.join(", ")))?;
    }
    Ok(counts.bad() == 0 && unseen.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_broker_says_of_lost_records_and_metadata_is_a_loss() {
        let log = "ready\npartition t/1 is incomplete and takes no writes: commits after 5 are damaged\n\
            error[start]: x\n  cause: acknowledged metadata is missing: commits after 5 are damaged\n";
        assert_eq!(losses(log), 2);
        assert_eq!(losses("ready\nstopping\n"), 0);
    }
}
