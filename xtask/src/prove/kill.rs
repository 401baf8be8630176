//! kill -9 under load, again and again.
//!
//! Eight idempotent producers of librdkafka write to 64 partitions. Half of them live through every kill; the other half is replaced after each. The
//! broker is killed at a uniformly random moment, often before it has come back from the kill before, and started again at once. Every few kills the
//! producers settle, and franz-go, which shares no code with the writers, reads every partition from where it stopped to its end. What is
//! acknowledged must be there, once, in order; no offset may be missing; no producer id may serve two producers. One round is one data directory.
//!
//! The counts go to a JSON file after every verification and are added to when a run goes on.

use std::collections::BTreeMap;
use std::fs::{create_dir_all, read, rename, write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::random::Random;
use super::throttled::{Late, Slow};
use crate::broker::Broker;
use crate::program::{self, Conversation};
use crate::tally::say;
use crate::{Fault, clients, tree};

/// What ends the broker of a round, and what becomes of its disk.
pub(super) trait Blow {
    fn strike(&mut self, broker: &mut Broker, counts: &mut Counts) -> Result<(), Fault>;

    /// The round is over and the broker does not run. If it failed, what the disk holds is put where it can be looked into.
    fn end(&mut self, broker: &Broker, failed: bool) -> Result<(), Fault>;
}

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

const PARTITIONS: u32 = 64;
const PRODUCERS: usize = 8;
/// Records a second and producer.
const RATE: u32 = 1500;
/// Kills between two verifications.
const STRETCH: u64 = 5;
/// A small ring and small segments: checkpoints, rolls and laps fall into every cycle.
pub(super) const SMALL: [&str; 4] = ["--ring", "8MiB", "--memory", "256MiB"];
/// Bounds of recovery times, in milliseconds.
const STEPS: [u64; 22] = [
    5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 125, 150, 200, 250, 300, 400, 500, 750, 1000, 2000,
    5000,
];
const RECOVERED: &str = "recovery_ms_to_";
/// Kills in one data directory.
const ROUND: u64 = 50;
/// What must be zero, as the auditor calls it.
const NEVER: [&str; 6] =
    ["duplicated", "out_of_order", "holes", "producer_id_reused", "malformed", "missing"];

/// What the broker counted up to a kill, as it told it last.
const COUNTED: [(&str, &str); 3] = [
    ("ringwood_store_checkpoints_total", "checkpoints"),
    ("ringwood_journal_wraps_total", "ring_wraps"),
    ("ringwood_store_segment_writes_total", "segment_writes"),
];

struct Options {
    cycles: u64,
    cores: Vec<u32>,
    release: bool,
    /// On a disk that is slow enough to show writes that come after the kill.
    throttled: bool,
    state: PathBuf,
    seed: u64,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Options, Fault> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let mut options = Options {
            cycles: 100,
            cores: vec![1, 2, 4],
            release: false,
            throttled: false,
            state: tree::work().join("prove-kill.json"),
            seed: u64::from(now.subsec_nanos()) ^ now.as_secs(),
        };
        let mut rest = words;
        while let [name, more @ ..] = rest {
            if *name == "--release" {
                options.release = true;
                rest = more;
                continue;
            }
            if *name == "--throttled" {
                options.throttled = true;
                rest = more;
                continue;
            }
            let [value, more @ ..] = more else {
                return Err(format!("{name} needs a value").into());
            };
            match *name {
                "--cycles" => options.cycles = value.parse()?,
                "--cores" => {
                    options.cores = value.split(',').map(str::parse).collect::<Result<_, _>>()?;
                }
                "--state" => options.state = PathBuf::from(value),
                "--seed" => options.seed = value.parse()?,
                other => return Err(format!("no such option: {other}").into()),
            }
            rest = more;
        }
        Ok(options)
    }
}

/// The counts of all runs so far.
#[derive(Default)]
pub(super) struct Counts(pub(super) BTreeMap<String, u64>);

impl Counts {
    pub(super) fn load(path: &Path) -> Result<Counts, Fault> {
        if !path.exists() {
            return Ok(Counts::default());
        }
        let found: Map<String, Value> = serde_json::from_slice(&read(path)?)?;
        Ok(Counts(
            found.into_iter().filter_map(|(name, value)| Some((name, value.as_u64()?))).collect(),
        ))
    }

    pub(super) fn add(&mut self, name: &str, more: u64) {
        *self.0.entry(name.to_owned()).or_insert(0) += more;
    }

    pub(super) fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// One more recovery, counted by its length so that runs add up.
    fn recovered(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bound = STEPS.into_iter().find(|ms| micros <= ms * 1000).unwrap_or(u64::MAX);
        self.add(&format!("{RECOVERED}{bound:020}"), 1);
    }

    /// The bound, in milliseconds, that this share (in percent) of the recoveries kept.
    fn recovery(&self, percent: u64) -> u64 {
        let steps =
            || self.0.iter().filter_map(|(name, n)| Some((name.strip_prefix(RECOVERED)?, *n)));
        let all: u64 = steps().map(|(_, n)| n).sum();
        let mut seen = 0;
        for (bound, n) in steps() {
            seen += n;
            if seen * 100 >= all * percent {
                return bound.parse().unwrap_or(u64::MAX);
            }
        }
        0
    }

    /// Written aside and renamed, so that a run that is cut off leaves the counts before or after.
    pub(super) fn save(&self, path: &Path) -> Result<(), Fault> {
        if let Some(folder) = path.parent() {
            create_dir_all(folder)?;
        }
        let aside = path.with_extension("new");
        write(&aside, format!("{}\n", serde_json::to_string_pretty(&self.0)?))?;
        Ok(rename(&aside, path)?)
    }

    pub(super) fn bad(&self) -> u64 {
        let of: u64 = NEVER.iter().map(|name| self.of(name)).sum();
        of + self.of("lost")
            + self.of("faults")
            + self.of("broker_failures")
            + self.of("late_writes_after_lock_was_free")
    }
}

/// Builds the broker (optimized as users have it, if asked for), the load and the auditor.
pub(super) fn build(release: bool) -> Result<(), Fault> {
    let cargo = |words: &[&str]| -> Result<(), Fault> {
        let mut command = Command::new("cargo");
        command.args(words).current_dir(tree::root());
        let built = program::follow(&mut command, |_| {})?;
        if built { Ok(()) } else { Err("the build failed".into()) }
    };
    if release {
        cargo(&["build", "--package", "ringwood-clients-rdkafka"])?;
        cargo(&["build", "--release", "--package", "ringwood"])?;
    } else {
        cargo(&["build", "--package", "ringwood", "--package", "ringwood-clients-rdkafka"])?;
    }
    create_dir_all(tree::work())?;
    Ok(clients::prepare("go").map_err(|complaint| {
        format!("the verifying client (go) could not be built: {complaint}")
    })?)
}

/// Runs the cycles; true if nothing that must never happen has happened, in this run or before.
pub(crate) fn run(words: &[&str]) -> Result<bool, Fault> {
    let options = Options::parse(words)?;
    build(options.release)?;
    let mut counts = Counts::load(&options.state)?;
    let mut random = Random(options.seed);
    say(&format!(
        "prove kill: {} cycles, seed {}, counts in {}",
        options.cycles,
        options.seed,
        options.state.display()
    ))?;
    let mut left = options.cycles;
    if options.cores.is_empty() {
        return Err("--cores names none".into());
    }
    while left > 0 {
        let kills = left.min(ROUND);
        let name = if options.throttled { "prove-throttled" } else { "prove-kill" };
        let mut broker = Broker::fresh(name, options.cores[0])?.with(&SMALL);
        if options.release {
            broker = broker.program(tree::release_binary("ringwood"));
        }
        let blow: Box<dyn Blow> = if options.throttled {
            broker = broker.with(&[SMALL.as_slice(), &["--reserve", "16MiB"]].concat());
            Box::new(Late(Some(Slow::mount(&broker.data())?)))
        } else {
            Box::new(Kill)
        };
        let failed = Round::start(broker, &options.cores, blow)?
            .play(kills, &mut random, &mut counts, &options.state)
            .err();
        if let Some(fault) = failed {
            counts.add("broker_failures", 1);
            say(&format!("FAILED {fault}"))?;
        }
        counts.add("rounds", 1);
        counts.save(&options.state)?;
        say(&serde_json::to_string(&counts.0)?)?;
        say(&format!(
            "recovery, start to ready: p50 at most {} ms, p99 at most {} ms",
            counts.recovery(50),
            counts.recovery(99)
        ))?;
        if counts.bad() > 0 {
            // The data directory of the round stays for whoever looks into it.
            return Ok(false);
        }
        left -= kills;
    }
    if options.throttled && counts.of("late_writes_before_lock_was_free") == 0 {
        say("FAILED no write came after a kill: the disk was not slow enough to show anything")?;
        return Ok(false);
    }
    Ok(true)
}

/// One data directory with its writers and its reader.
pub(super) struct Round {
    broker: Broker,
    blow: Box<dyn Blow>,
    /// The numbers of cores to change among.
    cores: Vec<u32>,
    load: Conversation,
    /// When it was started, until it serves.
    started: Option<Instant>,
    recoveries: Vec<Duration>,
    audit: Conversation,
    /// Producer and partition: records acknowledged, offset of the last.
    acknowledged: BTreeMap<String, BTreeMap<String, (u64, i64)>>,
    /// Producer and partition: records that the auditor has read.
    seen: BTreeMap<String, BTreeMap<String, u64>>,
    /// The auditor's totals at the verification before.
    before: BTreeMap<&'static str, u64>,
}

impl Round {
    /// Starts the broker, makes the topic, and starts the load and the auditor.
    pub(super) fn start(
        mut broker: Broker,
        cores: &[u32],
        blow: Box<dyn Blow>,
    ) -> Result<Round, Fault> {
        broker.start()?;
        let bootstrap = broker.bootstrap();
        let client = || Command::new(tree::binary("ringwood-clients-rdkafka"));
        let (topic, partitions) = ("prove-kill", PARTITIONS.to_string());
        let mut create = client();
        create.args(["create", &bootstrap, topic, &partitions]);
        create.args(["retention.ms=-1", "segment.bytes=1048576"]);
        let created = program::run(&mut create, None, Duration::from_secs(60))?;
        if !created.status.success() {
            return Err(
                format!("the topic could not be created\n    {}", created.last_words()).into()
            );
        }
        let (producers, rate) = (PRODUCERS.to_string(), RATE.to_string());
        let mut load = client();
        load.args(["load", &bootstrap, topic, &partitions, &producers, &rate]);
        let mut audit = Command::new(tree::work().join("go/client"));
        audit.args(["audit", &bootstrap, topic]);
        Ok(Round {
            broker,
            blow,
            cores: cores.to_vec(),
            started: None,
            recoveries: Vec::new(),
            load: Conversation::start("the load", &mut load)?,
            audit: Conversation::start("the auditor", &mut audit)?,
            acknowledged: BTreeMap::new(),
            seen: BTreeMap::new(),
            before: BTreeMap::new(),
        })
    }

    /// So many blows with verifications between; then the data directory is removed, unless something failed.
    pub(super) fn play(
        mut self,
        kills: u64,
        random: &mut Random,
        counts: &mut Counts,
        state: &Path,
    ) -> Result<(), Fault> {
        let played = self.blows(kills, random, counts, state);
        self.broker.kill()?;
        self.blow.end(&self.broker, played.is_err())?;
        played?;
        self.load.end(Duration::from_secs(30))?;
        self.audit.end(Duration::from_secs(30))?;
        self.broker.discard()
    }

    fn blows(
        &mut self,
        kills: u64,
        random: &mut Random,
        counts: &mut Counts,
        state: &Path,
    ) -> Result<(), Fault> {
        // Long enough that every producer has written before the first kill.
        sleep(Duration::from_secs(1));
        for kill in 1..=kills {
            // One kill in three aims at the recovery, the others at the first two seconds of service.
            let window = if random.below(3) == 0 { 150 } else { 2000 };
            self.rest(Duration::from_millis(random.below(window)));
            self.broker.must_live()?;
            counts.add(
                if self.broker.is_ready() { "kills_while_serving" } else { "kills_before_service" },
                1,
            );
            for (metric, name) in COUNTED {
                counts.add(name, self.broker.metric(metric).unwrap_or(0));
            }
            self.blow.strike(&mut self.broker, counts)?;
            // One start in four is with another number of cores.
            if random.below(4) == 0 {
                let other = random.below(self.cores.len() as u64);
                let cores = usize::try_from(other).ok().and_then(|n| self.cores.get(n)).copied();
                self.broker.set_cores(cores.unwrap_or(1));
                counts.add("core_counts_chosen", 1);
            }
            self.broker.spawn()?;
            self.started = Some(Instant::now());
            let dropped = self.load.ask("renew", Duration::from_secs(60))?;
            self.book(&dropped, counts);
            if kill % STRETCH == 0 || kill == kills {
                self.verify(counts)?;
                counts.save(state)?;
                if counts.bad() > 0 {
                    return Err("what must never happen has happened".into());
                }
            }
        }
        Ok(())
    }

    /// Sleeps, and notes when the broker became ready meanwhile.
    fn rest(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while self.started.is_some() && Instant::now() < until {
            if self.broker.is_ready() {
                self.ready();
            }
            sleep(Duration::from_millis(2));
        }
        sleep(until.saturating_duration_since(Instant::now()));
    }

    /// The broker serves: what it took since its start is a recovery.
    fn ready(&mut self) {
        self.recoveries.extend(self.started.take().map(|started| started.elapsed()));
    }

    /// Takes a ledger of the load into the books.
    fn book(&mut self, answer: &Value, counts: &mut Counts) {
        for entry in answer.get("ledger").and_then(Value::as_array).into_iter().flatten() {
            let name = entry.get("name").and_then(Value::as_str).unwrap_or_default();
            for fault in entry.get("faults").and_then(Value::as_array).into_iter().flatten() {
                counts.add("faults", 1);
                eprintln!("prove kill: {name}: {fault}");
            }
            let book = self.acknowledged.entry(name.to_owned()).or_default();
            for (partition, pair) in
                entry.get("acknowledged").and_then(Value::as_object).into_iter().flatten()
            {
                let count = pair.get(0).and_then(Value::as_u64).unwrap_or(0);
                let last = pair.get(1).and_then(Value::as_i64).unwrap_or(-1);
                book.insert(partition.clone(), (count, last));
            }
        }
    }

    fn verify(&mut self, counts: &mut Counts) -> Result<(), Fault> {
        let started = Instant::now();
        self.broker.wait_until_ready(Duration::from_secs(60))?;
        self.ready();
        for recovery in self.recoveries.drain(..) {
            counts.recovered(recovery);
        }
        let settled = self.load.ask("settle", Duration::from_secs(150))?;
        let restless = settled.get("restless").and_then(Value::as_array).map_or(0, Vec::len);
        if restless > 0 {
            return Err(
                format!("producers without an answer for 120 s: {}", settled["restless"]).into()
            );
        }
        self.book(&settled, counts);
        let report = self.audit.ask("verify", Duration::from_secs(330))?;
        if let Some(error) = report.get("error") {
            return Err(format!("the auditor could not read: {error}").into());
        }
        for name in NEVER.iter().chain(&["records", "producer_ids"]) {
            let total = report["totals"].get(*name).and_then(Value::as_u64).unwrap_or(0);
            let before = self.before.insert(name, total).unwrap_or(0);
            counts.add(name, total.saturating_sub(before));
        }
        for (producer, partitions) in report["seen"].as_object().into_iter().flatten() {
            let seen = self.seen.entry(producer.clone()).or_default();
            for (partition, count) in partitions.as_object().into_iter().flatten() {
                seen.insert(partition.clone(), count.as_u64().unwrap_or(0));
            }
        }
        let (mut acknowledged, mut lost) = (0, 0);
        for (producer, partitions) in std::mem::take(&mut self.acknowledged) {
            for (partition, (count, last)) in partitions {
                let seen = self
                    .seen
                    .get(&producer)
                    .and_then(|seen| seen.get(&partition))
                    .copied()
                    .unwrap_or(0);
                acknowledged += count;
                if seen < count {
                    lost += count - seen;
                    eprintln!(
                        "prove kill: {producer} partition {partition}: {count} acknowledged, the last at {last}, {seen} seen"
                    );
                }
            }
        }
        counts.add("lost", lost);
        counts.add("verifications", 1);
        let examples = report["totals"]["examples"].as_array().cloned().unwrap_or_default();
        for example in &examples {
            eprintln!("prove kill: {example}");
        }
        say(&format!(
            "verified after {} kills: {acknowledged} acknowledged, {} read in all, {} bad, {:.1} s",
            counts.of("kills_while_serving") + counts.of("kills_before_service"),
            counts.of("records"),
            counts.bad(),
            started.elapsed().as_secs_f32()
        ))?;
        self.load.ask("go", Duration::from_secs(30))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recoveries_are_told_by_their_bounds() {
        let mut counts = Counts::default();
        assert_eq!(counts.recovery(50), 0);
        for ms in 1..=100 {
            counts.recovered(Duration::from_millis(ms));
        }
        assert_eq!((counts.recovery(50), counts.recovery(99)), (50, 100));
        counts.recovered(Duration::from_secs(7));
        assert_eq!(counts.recovery(100), u64::MAX);
    }
}
