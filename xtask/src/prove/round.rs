//! One data directory under load: blows against its broker, and verifications between them.
//!
//! Eight idempotent producers of librdkafka write to 64 partitions. Half of them live through every blow; the other half is replaced after each. One
//! blow in three falls at a random moment of the first 150 ms, often before the broker has come back from the one before, the others at one of
//! some seconds, each of them uniformly; and the broker is started again at once.
//! Every few blows the producers settle, and franz-go, which shares no code with the writers, reads every partition from where it stopped to its end.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::counts::{Counts, NEVER};
use super::random::Random;
use crate::broker::Broker;
use crate::program::{self, Conversation};
use crate::tally::say;
use crate::{Fault, tree};

/// What ends the broker of a round, and what becomes of its disk.
pub(super) trait Blow {
    fn strike(&mut self, broker: &mut Broker, counts: &mut Counts) -> Result<(), Fault>;

    /// How long the broker serves before the blow, at most.
    fn serves_at_most(&self) -> Duration {
        Duration::from_secs(2)
    }

    /// The round is over and the broker does not run. If it failed, what the disk holds is put where it can be looked into.
    fn end(&mut self, broker: &Broker, failed: bool) -> Result<(), Fault>;
}

const TOPIC: &str = "prove-kill";
const PARTITIONS: u32 = 64;
const PRODUCERS: usize = 8;
/// Records a second and producer: in 1,000 cycles more than 10 million are acknowledged.
const RATE: u32 = 2500;
/// Kills between two verifications.
const STRETCH: u64 = 5;
/// Complaints of one kind that are printed in full.
const EXAMPLES: usize = 5;
/// A small ring and small segments: checkpoints, rolls and laps fall into every cycle.
pub(super) const SMALL: [&str; 4] = ["--ring", "8MiB", "--memory", "256MiB"];
/// What the broker counted up to a kill, as it told it last.
const COUNTED: [(&str, &str); 3] = [
    ("ringwood_store_checkpoints_total", "checkpoints"),
    ("ringwood_journal_wraps_total", "ring_wraps"),
    ("ringwood_store_segment_writes_total", "segment_writes"),
];

fn client() -> Command {
    Command::new(tree::binary("ringwood-clients-rdkafka"))
}

/// Makes the topic of a round.
pub(super) fn make_topic(broker: &Broker, durability: &str) -> Result<(), Fault> {
    let mut create = client();
    create.args(["create", &broker.bootstrap(), TOPIC, &PARTITIONS.to_string()]);
    create.args(["retention.ms=-1", "segment.bytes=1048576"]);
    create.arg(format!("ringwood.durability={durability}"));
    let created = program::run(&mut create, None, Duration::from_secs(60))?;
    if created.status.success() {
        return Ok(());
    }
    Err(format!("the topic could not be created\n    {}", created.last_words()).into())
}

/// One data directory with its writers and its reader.
pub(super) struct Round {
    broker: Broker,
    blow: Box<dyn Blow>,
    /// The numbers of cores to change among, and the one that it has.
    cores: Vec<u32>,
    has: Option<u32>,
    load: Conversation,
    /// When it was started, until it serves.
    started: Option<Instant>,
    recoveries: Vec<Duration>,
    audit: Conversation,
    /// Producer and partition: records acknowledged, offset of the last.
    acknowledged: BTreeMap<String, BTreeMap<String, (u64, i64)>>,
    /// The same as it was counted at the verification before.
    booked: BTreeMap<String, BTreeMap<String, u64>>,
    /// Producer and partition: records that the auditor has read.
    seen: BTreeMap<String, BTreeMap<String, u64>>,
    /// The auditor's totals at the verification before.
    before: BTreeMap<&'static str, u64>,
}

impl Round {
    /// Starts the broker, makes the topic with this durability, and starts the load and the auditor. The broker comes last, so
    /// that where this fails it is dropped, and so killed, before the disk that `blow` may own.
    pub(super) fn start(
        blow: Box<dyn Blow>,
        cores: &[u32],
        mut broker: Broker,
        durability: &str,
    ) -> Result<Round, Fault> {
        broker.start()?;
        make_topic(&broker, durability)?;
        Round::begin(blow, cores, broker)
    }

    /// The same with a broker that runs and has the topic.
    pub(super) fn begin(
        blow: Box<dyn Blow>,
        cores: &[u32],
        broker: Broker,
    ) -> Result<Round, Fault> {
        let (bootstrap, partitions) = (broker.bootstrap(), PARTITIONS.to_string());
        let (producers, rate) = (PRODUCERS.to_string(), RATE.to_string());
        let mut load = client();
        load.args(["load", &bootstrap, TOPIC, &partitions, &producers, &rate]);
        let mut audit = Command::new(tree::work().join("go/client"));
        audit.args(["audit", &bootstrap, TOPIC]);
        Ok(Round {
            broker,
            blow,
            cores: cores.to_vec(),
            has: cores.first().copied(),
            started: None,
            recoveries: Vec::new(),
            load: Conversation::start("the load", &mut load)?,
            audit: Conversation::start("the auditor", &mut audit)?,
            acknowledged: BTreeMap::new(),
            booked: BTreeMap::new(),
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
            // One kill in three aims at the recovery, the others at the service behind it.
            let serves = u64::try_from(self.blow.serves_at_most().as_millis()).unwrap_or(2000);
            let early = random.below(3) == 0;
            let time = random.below(if early { 150 } else { serves });
            self.rest(Duration::from_millis(time));
            counts.add("ms_to_a_kill", time);
            self.broker.must_live()?;
            counts.add(
                if self.broker.is_ready() { "kills_while_serving" } else { "recoveries_cut" },
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
                counts.add("core_changes", u64::from(cores != self.has));
                self.has = cores;
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
                eprintln!("prove: {name}: {fault}");
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
        let (mut acknowledged, mut lost, mut told) = (0, 0, 0);
        for (producer, partitions) in std::mem::take(&mut self.acknowledged) {
            for (partition, (count, last)) in partitions {
                let seen = self
                    .seen
                    .get(&producer)
                    .and_then(|seen| seen.get(&partition))
                    .copied()
                    .unwrap_or(0);
                let booked = self.booked.entry(producer.clone()).or_default();
                let before = booked.insert(partition.clone(), count).unwrap_or(0);
                acknowledged += count.saturating_sub(before);
                if seen < count {
                    lost += count - seen;
                    told += 1;
                    if told <= EXAMPLES {
                        eprintln!(
                            "prove: {producer} partition {partition}: {count} acknowledged, the last at {last}, {seen} seen"
                        );
                    }
                }
            }
        }
        if told > EXAMPLES {
            eprintln!("prove: and the same of {} more", told - EXAMPLES);
        }
        counts.add("acknowledged", acknowledged);
        counts.add("lost", lost);
        counts.add("verifications", 1);
        let examples = report["totals"]["examples"].as_array().cloned().unwrap_or_default();
        for example in examples.iter().take(EXAMPLES) {
            eprintln!("prove: {example}");
        }
        say(&format!(
            "verified after {} blows: {} acknowledged, {} read, {} bad, {:.1} s",
            counts.blows(),
            counts.of("acknowledged"),
            counts.of("records"),
            counts.bad(),
            started.elapsed().as_secs_f32()
        ))?;
        self.load.ask("go", Duration::from_secs(30))?;
        Ok(())
    }
}
