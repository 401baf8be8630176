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

use crate::broker::Broker;
use crate::program::{self, Conversation};
use crate::tally::say;
use crate::{Fault, clients, tree};

const PARTITIONS: u32 = 64;
const PRODUCERS: usize = 8;
/// Records a second and producer.
const RATE: u32 = 1500;
/// Kills between two verifications.
const STRETCH: u64 = 5;
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
    state: PathBuf,
    seed: u64,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Options, Fault> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let mut options = Options {
            cycles: 100,
            cores: vec![1, 2, 4],
            state: tree::work().join("prove-kill.json"),
            seed: u64::from(now.subsec_nanos()) ^ now.as_secs(),
        };
        for pair in words.chunks(2) {
            match pair {
                ["--cycles", value] => options.cycles = value.parse()?,
                ["--cores", value] => {
                    options.cores = value.split(',').map(str::parse).collect::<Result<_, _>>()?
                }
                ["--state", value] => options.state = PathBuf::from(value),
                ["--seed", value] => options.seed = value.parse()?,
                other => return Err(format!("no such option: {}", other.join(" ")).into()),
            }
        }
        Ok(options)
    }
}

/// The counts of all runs so far.
#[derive(Default)]
struct Counts(BTreeMap<String, u64>);

impl Counts {
    fn load(path: &Path) -> Result<Counts, Fault> {
        if !path.exists() {
            return Ok(Counts::default());
        }
        let found: Map<String, Value> = serde_json::from_slice(&read(path)?)?;
        Ok(Counts(
            found.into_iter().filter_map(|(name, value)| Some((name, value.as_u64()?))).collect(),
        ))
    }

    fn add(&mut self, name: &str, more: u64) {
        *self.0.entry(name.to_owned()).or_insert(0) += more;
    }

    fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Written aside and renamed, so that a run that is cut off leaves the counts before or after.
    fn save(&self, path: &Path) -> Result<(), Fault> {
        if let Some(folder) = path.parent() {
            create_dir_all(folder)?;
        }
        let aside = path.with_extension("new");
        write(&aside, format!("{}\n", serde_json::to_string_pretty(&self.0)?))?;
        Ok(rename(&aside, path)?)
    }

    fn bad(&self) -> u64 {
        let of: u64 = NEVER.iter().map(|name| self.of(name)).sum();
        of + self.of("lost") + self.of("faults") + self.of("broker_failures")
    }
}

/// Uniform numbers; the seed is printed, so that a run's moments can be had again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}

/// Runs the cycles; true if nothing that must never happen has happened, in this run or before.
pub(crate) fn run(words: &[&str]) -> Result<bool, Fault> {
    let options = Options::parse(words)?;
    let build = ["build", "--package", "ringwood", "--package", "ringwood-clients-rdkafka"];
    if !program::follow(Command::new("cargo").args(build).current_dir(tree::root()), |_| {})? {
        return Err("the build failed".into());
    }
    create_dir_all(tree::work())?;
    clients::prepare("go").map_err(|complaint| {
        format!("the verifying client (go) could not be built: {complaint}")
    })?;
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
        let failed = Round::start(&options.cores)?
            .play(kills, &mut random, &mut counts, &options.state)
            .err();
        if let Some(fault) = failed {
            counts.add("broker_failures", 1);
            say(&format!("FAILED {fault}"))?;
        }
        counts.add("rounds", 1);
        counts.save(&options.state)?;
        say(&serde_json::to_string(&counts.0)?)?;
        if counts.bad() > 0 {
            // The data directory of the round stays for whoever looks into it.
            return Ok(false);
        }
        left -= kills;
    }
    Ok(true)
}

/// One data directory with its writers and its reader.
struct Round {
    broker: Broker,
    /// The numbers of cores to change among.
    cores: Vec<u32>,
    load: Conversation,
    audit: Conversation,
    /// Producer and partition: records acknowledged, offset of the last.
    acknowledged: BTreeMap<String, BTreeMap<String, (u64, i64)>>,
    /// Producer and partition: records that the auditor has read.
    seen: BTreeMap<String, BTreeMap<String, u64>>,
    /// The auditor's totals at the verification before.
    before: BTreeMap<&'static str, u64>,
}

impl Round {
    fn start(cores: &[u32]) -> Result<Round, Fault> {
        let first = cores.first().copied().unwrap_or(1);
        // A small ring and small segments: checkpoints, rolls and laps fall into every cycle.
        let small = ["--ring", "8MiB", "--memory", "256MiB"];
        let mut broker = Broker::fresh("prove-kill", first)?.with(&small);
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
            cores: cores.to_vec(),
            load: Conversation::start("the load", &mut load)?,
            audit: Conversation::start("the auditor", &mut audit)?,
            acknowledged: BTreeMap::new(),
            seen: BTreeMap::new(),
            before: BTreeMap::new(),
        })
    }

    fn play(
        mut self,
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
            sleep(Duration::from_millis(random.below(window)));
            self.broker.must_live()?;
            counts.add(
                if self.broker.is_ready() { "kills_while_serving" } else { "kills_before_service" },
                1,
            );
            for (metric, name) in COUNTED {
                counts.add(name, self.broker.metric(metric).unwrap_or(0));
            }
            self.broker.kill()?;
            // One start in four is with another number of cores.
            if random.below(4) == 0 {
                let other = random.below(self.cores.len() as u64);
                let cores = usize::try_from(other).ok().and_then(|n| self.cores.get(n)).copied();
                self.broker.set_cores(cores.unwrap_or(1));
                counts.add("core_counts_chosen", 1);
            }
            self.broker.spawn()?;
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
        self.load.end(Duration::from_secs(30))?;
        self.audit.end(Duration::from_secs(30))?;
        self.broker.discard()
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
