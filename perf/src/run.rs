//! What a run came to: the facts beside the histograms, as `run.json` holds them.

mod directory;
mod growing;
mod judgement;

use std::collections::{BTreeMap, BTreeSet};

pub use directory::{Directory, Recording};
pub(crate) use directory::{Measured, Wanted};
pub(crate) use growing::Growing;
pub(crate) use judgement::HELD_MIN;
pub use judgement::{Evidence, judge};

use crate::{
    latency::{Kind, Latencies, Told},
    machine::{Counters, Machine, Meanwhile, Usage, Used},
    spec::{Quantile, format_nanos},
    verify,
};

/// The percentiles of every summary.
pub(crate) const PERCENTS: [f64; 6] = [50.0, 90.0, 99.0, 99.9, 99.99, 100.0];

/// A run: one command, one or more repeats of the same work.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Run {
    /// Version of this file's form.
    pub format: u32,
    /// The run's name: that of its directory.
    pub name: String,
    /// When it began, in UTC.
    pub started: String,
    /// Name and version of the harness.
    pub tool: String,
    /// Revision of the harness's source, where the build knew it.
    pub revision: String,
    /// The command line as typed.
    pub arguments: Vec<String>,
    /// The load in words: rate, size, keys, partitions, acks and so on.
    pub load: BTreeMap<String, String>,
    /// The generator's machine.
    pub machine: Machine,
    /// Processors of the generator that a thread of the idle class each kept from sleeping meanwhile.
    pub kept_awake: usize,
    /// Who answered, and under which settings.
    pub broker: Broker,
    /// Each repeat on its own: their spread is the measure of chance.
    pub repeats: Vec<Repeat>,
    /// Why there are fewer of them than were asked for, where one failed.
    pub ended_early: Option<String>,
    /// What the run is worth.
    pub verdict: Verdict,
}

impl Run {
    /// The first lines of its interval log.
    pub(crate) fn log_head(&self) -> Vec<String> {
        vec![format!("{} {}", self.tool, self.name), self.arguments.join(" ")]
    }

    /// Acknowledged records a second, mean over the measured time of all repeats.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let stages = || self.repeats.iter().flat_map(|repeat| &repeat.stages);
        let seconds: f64 = stages().map(|stage| stage.seconds).sum();
        let acknowledged: u64 = stages().map(|stage| stage.acknowledged).sum();
        if seconds > 0.0 { acknowledged as f64 / seconds } else { 0.0 }
    }

    /// CPU seconds of local brokers for each GB acknowledged, over all repeats.
    #[must_use]
    pub fn cpu_per_gb(&self) -> Option<f64> {
        let bytes: u64 = self.repeats.iter().flat_map(|r| &r.stages).map(|s| s.bytes).sum();
        let seconds: Option<f64> = self.repeats.iter().map(Repeat::broker_seconds).sum();
        (bytes > 0).then_some(seconds? / bytes as f64 * 1e9)
    }

    /// Records that failed, timed out or could not be sent before the end, over all repeats.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.repeats.iter().flat_map(|repeat| &repeat.stages).map(|stage| stage.failed).sum()
    }

    /// The same in words, with what they met: `380 records failed: NOT_ENOUGH_REPLICAS`. `None`: none did.
    #[must_use]
    pub fn failures(&self) -> Option<String> {
        let mut met = BTreeMap::<&str, u64>::new();
        for (error, count) in
            self.repeats.iter().flat_map(|repeat| &repeat.stages).flat_map(|stage| &stage.errors)
        {
            *met.entry(error).or_default() += count;
        }
        failures(self.failed(), met)
    }

    /// The verdict, and what failed beside it. A broker that refuses one record of a hundred keeps up with the others: that is no
    /// overload, and is not to look like a broker that refuses none.
    #[must_use]
    pub fn verdict_and_failures(&self) -> String {
        match self.failures() {
            Some(failures) => format!("{}, {failures}", self.verdict),
            None => self.verdict.to_string(),
        }
    }
}

/// How many kinds of errors are named.
const ERRORS_NAMED: usize = 3;

fn failures(failed: u64, met: BTreeMap<&str, u64>) -> Option<String> {
    if failed == 0 {
        return None;
    }
    // Those that no record failed by belong to consumers, and to connections that were made anew.
    let mut met: Vec<(&str, u64)> = met.into_iter().filter(|(_, count)| *count > 0).collect();
    met.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let names: Vec<String> = met
        .iter()
        .take(ERRORS_NAMED)
        .map(|(error, count)| match met.as_slice() {
            [_] => (*error).to_owned(),
            _ => format!("{error} ({count})"),
        })
        .chain((met.len() > ERRORS_NAMED).then(|| "others".to_owned()))
        .collect();
    let noun = if failed == 1 { "record" } else { "records" };
    let colon = if names.is_empty() { "" } else { ": " };
    Some(format!("{failed} {noun} failed{colon}{}", names.join(", ")))
}

/// The revision of the source that this program was built from, as the build knew it.
#[must_use]
pub fn revision() -> String {
    env!("RINGWOOD_REVISION").to_owned()
}

/// The broker that was met.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Broker {
    /// The addresses that were connected to.
    pub addresses: Vec<String>,
    /// Which software it is, told from its ApiVersions answer.
    pub fingerprint: String,
    /// The cluster's name for itself.
    pub cluster_id: String,
    /// Flush and durability settings that it tells about, and whatever marks it (a portable backend).
    pub settings: BTreeMap<String, String>,
    /// Local broker processes before the run.
    pub before: Vec<Usage>,
    /// The same processes after the run.
    pub after: Vec<Usage>,
    /// Seconds of load between the two readings of its counters: with warm-up, drain and the writing of a backlog, without the pauses in
    /// which nothing was sent.
    pub counted_seconds: f64,
    /// The broker's own counters before the run, where it serves metrics.
    pub counters_before: Counters,
    /// The same after the run.
    pub counters_after: Counters,
}

/// What the broker's counters say of a run: see [`Broker::inside`].
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Inside {
    /// Flushes of the device.
    pub flushes: f64,
    /// The same a second.
    pub flushes_per_second: Option<f64>,
    /// Records that one flush made durable, mean.
    pub records_per_flush: Option<f64>,
    /// Bytes written for each byte of batches taken.
    pub write_amplification: Option<f64>,
    /// Bytes copied in user space for each byte of batches taken: on receipt, into the tail, into the commit. Copies on the way out are not
    /// in it; no counter is of them.
    pub copies_in: Option<f64>,
    /// Records that compaction left out.
    pub compacted_records: Option<f64>,
    /// Messages between cores for each request of a client.
    pub messages_per_request: Option<f64>,
}

impl Broker {
    /// The revision of the source that it was built from, where it tells: Ringwood does.
    #[must_use]
    pub fn revision(&self) -> Option<&str> {
        self.settings.get("ringwood.revision").map(String::as_str)
    }

    /// CPU seconds that local brokers spent during the run; `None` where no process could be read twice.
    #[must_use]
    pub fn cpu_seconds(&self) -> Option<f64> {
        self.difference(Usage::cpu_seconds)
    }

    /// The kernel's share of them, between 0 and 1.
    #[must_use]
    pub fn kernel_share(&self) -> Option<f64> {
        let all = self.cpu_seconds().filter(|seconds| *seconds > 0.0)?;
        Some(self.difference(|usage| usage.system_seconds)? / all)
    }

    /// Bytes that local brokers made the device write during the run.
    #[must_use]
    pub fn written_bytes(&self) -> Option<f64> {
        self.difference(|usage| usage.written_bytes as f64)
    }

    /// Flushes, write amplification and messages between cores, from the broker's own counters over the whole run, warm-up
    /// included. `None`: it serves none that are known here.
    #[must_use]
    pub fn inside(&self) -> Option<Inside> {
        let rise = |names: &[&str]| self.counters_after.rise(&self.counters_before, names);
        let share = |of: Option<f64>, by: Option<f64>| Some(of? / by.filter(|by| *by > 0.0)?);
        let flushes = rise(&["ringwood_journal_flushes_total"])?;
        let written = rise(&[
            "ringwood_journal_bytes_total",
            "ringwood_store_segment_bytes_total",
            "ringwood_store_rest_bytes_total",
            "ringwood_store_manifest_bytes_total",
        ]);
        let records = rise(&["ringwood_kafka_records_produced_total"]);
        Some(Inside {
            flushes,
            flushes_per_second: share(Some(flushes), Some(self.counted_seconds)),
            copies_in: share(
                rise(&[
                    "ringwood_store_tail_copied_bytes_total",
                    "ringwood_store_commit_copied_bytes_total",
                    "ringwood_network_copied_bytes_total",
                ]),
                rise(&["ringwood_kafka_produce_bytes_total"]),
            ),
            compacted_records: rise(&["ringwood_cleaner_dropped_records_total"]),
            records_per_flush: share(records, Some(flushes)),
            write_amplification: share(written, rise(&["ringwood_kafka_produce_bytes_total"])),
            messages_per_request: share(
                rise(&["ringwood_core_messages_total"]),
                rise(&["ringwood_kafka_requests_total"]),
            ),
        })
    }

    fn difference(&self, of: impl Fn(&Usage) -> f64) -> Option<f64> {
        let pairs: Vec<f64> = self
            .before
            .iter()
            .filter_map(|before| {
                let after = self.after.iter().find(|after| after.pid == before.pid)?;
                Some(of(after) - of(before))
            })
            .collect();
        (!pairs.is_empty()).then(|| pairs.iter().sum())
    }
}

/// One repeat.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Repeat {
    /// Seconds from the log's start to the repeat's first measured moment.
    pub from_seconds: f64,
    /// Seconds from the log's start to the end of its last interval.
    pub to_seconds: f64,
    /// One entry for a constant rate, several for a ramp.
    pub stages: Vec<Stage>,
    /// The generator's own state.
    pub generator: Generator,
    /// What `--verify` found.
    pub verify: Option<verify::Verdict>,
    /// What this repeat is worth.
    pub verdict: Verdict,
    /// What local broker processes used while it was measured: warm-up and drain are not in it.
    pub broker: Option<Used>,
    /// What all of the machine did while it was measured, the generator included.
    pub machine: Option<Meanwhile>,
    /// Seconds from the first due record, warm-up included, to the last acknowledgement.
    pub loaded_seconds: f64,
    /// Records acknowledged in that time.
    pub acknowledged_in_all: u64,
    /// Seconds that the backlog took to write.
    pub fill_seconds: f64,
    /// Seconds that the consumers needed to catch up with the backlog, where one was asked for and reached.
    pub backlog_seconds: Option<f64>,
    /// What local broker processes used from the first measured moment until then, where it was within the measurement.
    pub backlog_broker: Option<Used>,
}

impl Repeat {
    /// CPU seconds of the broker for each GB that was acknowledged (and read, where there are consumers).
    #[must_use]
    pub fn cpu_per_gb(&self) -> Option<f64> {
        let bytes: u64 = self.stages.iter().map(|stage| stage.bytes).sum();
        (bytes > 0).then_some(self.broker_seconds()? / bytes as f64 * 1e9)
    }

    /// CPU seconds of the broker in as much time as its bytes were counted in: the two readings of its process come when somebody has a
    /// core for them, and a tenth of a second more is a fortieth of a measurement of four.
    fn broker_seconds(&self) -> Option<f64> {
        let used = self.broker?;
        let seconds: f64 = self.stages.iter().map(|stage| stage.seconds).sum();
        let share = if used.seconds > 0.0 { seconds / used.seconds } else { 1.0 };
        Some(used.cpu_seconds * share)
    }

    /// The same of the harness's own threads.
    #[must_use]
    pub fn client_cpu_per_gb(&self) -> Option<f64> {
        let bytes: u64 = self.stages.iter().map(|stage| stage.bytes).sum();
        (bytes > 0).then_some(self.generator.cpu_seconds / bytes as f64 * 1e9)
    }

    /// The same of the cores that the broker was kept to, whoever was busy there: with what the kernel does later in the broker's name.
    #[must_use]
    pub fn cores_per_gb(&self, cores: &[usize]) -> Option<f64> {
        let bytes: u64 = self.stages.iter().map(|stage| stage.bytes).sum();
        let busy = self.machine.as_ref()?.busy_on(cores)?;
        (bytes > 0).then_some(busy / bytes as f64 * 1e9)
    }

    /// Acknowledged records a second of all the time from the first due one to the last answer, warm-up and drain included: a broker that
    /// takes longer than the schedule has fewer.
    #[must_use]
    pub fn achieved(&self) -> f64 {
        if self.loaded_seconds > 0.0 {
            self.acknowledged_in_all as f64 / self.loaded_seconds
        } else {
            0.0
        }
    }

    /// Takes the latencies out of what is shown: they are the generator's. The files of the run keep them.
    pub(crate) fn withhold(&mut self) {
        for summary in self.stages.iter_mut().flat_map(|stage| stage.latency.values_mut()) {
            summary.mean = None;
            summary.percentiles.values_mut().for_each(|value| *value = None);
            summary.moved = summary.percentiles.keys().cloned().collect();
            summary.bounds.clear();
        }
    }
}

/// One stretch of constant offered rate: only records whose intended time lies in it are counted.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Stage {
    /// Records a second that were due; `None` for `max`.
    pub target: Option<f64>,
    /// How long it lasted.
    pub seconds: f64,
    /// Records that were due and sent.
    pub sent: u64,
    /// Records acknowledged during the stage without an error; of an open loop no more than were due in it.
    pub acknowledged: u64,
    /// Records that failed, timed out or could not be sent before the end.
    pub failed: u64,
    /// Bytes of the acknowledged batches as sent.
    pub bytes: u64,
    /// Records received by consumers, each group counted.
    pub received: u64,
    /// Records acknowledged that had not been received when the consumers ended, each group counted. They are in `e2e`, with at least
    /// the time-out.
    pub missing: u64,
    /// Share of the time in which the in-flight bound held ready work back, between 0 and 1, mean of the producers.
    pub saturated: f64,
    /// Share of the stage's seconds in which it did so for 5 % of the time or more, between 0 and 1.
    pub held_seconds: f64,
    /// The first kinds of errors and how many records met them.
    pub errors: BTreeMap<String, u64>,
    /// The latencies by kind.
    pub latency: BTreeMap<String, Summary>,
}

impl Stage {
    /// Acknowledged records a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        if self.seconds > 0.0 { self.acknowledged as f64 / self.seconds } else { 0.0 }
    }

    /// Acknowledged bytes a second.
    #[must_use]
    pub fn bytes_rate(&self) -> f64 {
        if self.seconds > 0.0 { self.bytes as f64 / self.seconds } else { 0.0 }
    }
}

/// How the generator did.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Generator {
    /// CPU share of its busiest thread, between 0 and 1.
    pub busiest: f64,
    /// Whether its producers could go before other work on their cores (SCHED_FIFO), as only root may.
    pub goes_first: bool,
    /// Share of the time in which one thread used a core or stood ready without one: the most of any, between 0 and 1.
    pub wanted: f64,
    /// Records that it had not made when the run ended, though nothing stopped it.
    pub unsent: u64,
    /// CPU seconds of all of its threads.
    pub cpu_seconds: f64,
    /// Share of the time that its busiest thread stood ready without a core, between 0 and 1.
    pub waited: f64,
    /// How late it acted, 99.9th percentile, nanoseconds.
    pub lag_p999: Option<u64>,
}

/// A distribution in a few numbers; nanoseconds.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Records in it.
    pub count: u64,
    /// Records in it whose true value is higher.
    pub censored: u64,
    /// The mean.
    pub mean: Option<f64>,
    /// By percentile (`p99.9`, `max`); null where the sample cannot carry it, or the generator may have made it.
    pub percentiles: BTreeMap<String, Option<u64>>,
    /// Those that the generator's own lateness may have moved by more than a tenth.
    pub moved: BTreeSet<String>,
    /// Of those: without its lateness and with it, nanoseconds; the truth lies between the two.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub bounds: BTreeMap<String, (u64, u64)>,
}

impl Summary {
    /// The numbers of this kind.
    #[must_use]
    pub fn of(latencies: &Latencies, kind: Kind) -> Self {
        let latency = latencies.of(kind);
        let mut summary = Self {
            count: latency.count(),
            censored: latency.censored(),
            mean: latencies.mean(kind),
            ..Self::default()
        };
        for quantile in PERCENTS.iter().filter_map(|percent| Quantile::percent(*percent).ok()) {
            let told = latencies.told(kind, quantile);
            summary.percentiles.insert(quantile.to_string(), told.nanos());
            if told == Told::Moved {
                summary.moved.insert(quantile.to_string());
                if let Some((measured, least)) = latencies.moved(kind, quantile) {
                    summary.bounds.insert(quantile.to_string(), (least, measured));
                }
            }
        }
        summary
    }

    /// What a table has at this percentile.
    #[must_use]
    pub fn cell(&self, percentile: &str) -> String {
        match self.percentiles.get(percentile).copied().flatten() {
            Some(nanos) => format_nanos(nanos),
            None if self.moved.contains(percentile) => Told::Moved.to_string(),
            None => Told::TooFew.to_string(),
        }
    }

    /// The summaries of the kinds that have records.
    #[must_use]
    pub fn all(latencies: &Latencies) -> BTreeMap<String, Self> {
        Kind::ALL
            .into_iter()
            .filter(|kind| latencies.of(*kind).count() > 0)
            .map(|kind| (kind.name().to_owned(), Self::of(latencies, kind)))
            .collect()
    }
}

/// What a run is worth.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase", tag = "is", content = "because")]
pub enum Verdict {
    /// The numbers are the broker's.
    #[default]
    Valid,
    /// The broker did not keep up with the offered rate: see [`judge`]. The numbers stand, and are those of an overloaded broker.
    Saturated(String),
    /// The numbers are the generator's own, not the broker's.
    Invalid(String),
}

impl Verdict {
    /// The verdict in a word, for a cell of a table.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Saturated(_) => "SATURATED",
            Self::Invalid(_) => "INVALID(generator)",
        }
    }

    /// Whether the numbers are the generator's own.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        matches!(self, Self::Invalid(_))
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Valid => f.write_str("valid"),
            Self::Saturated(why) => write!(f, "SATURATED: {why}"),
            Self::Invalid(why) => write!(f, "INVALID(generator): {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repeat of four seconds whose broker was read after `seconds`.
    fn repeat(seconds: f64, stage: Stage) -> Repeat {
        let stage = Stage { seconds: 4.0, bytes: 2_000_000_000, ..stage };
        let used = Used { seconds, cpu_seconds: seconds * 0.5, ..Used::default() };
        Repeat { stages: vec![stage], broker: Some(used), ..Repeat::default() }
    }

    #[test]
    fn a_run_says_whether_its_processors_were_kept_awake() {
        let of = |text: &str| serde_json::from_str::<Run>(text).map(|run| run.kept_awake).ok();
        assert_eq!(of("{}"), Some(0), "runs of before");
        let told = serde_json::to_value(Run { kept_awake: 2, ..Run::default() }).unwrap();
        assert_eq!(told["kept_awake"], 2);
        assert_eq!(of(&told.to_string()), Some(2));
    }

    #[test]
    fn a_reading_that_comes_late_is_no_cost_of_the_broker() {
        let late = repeat(5.0, Stage::default());
        // Half a core for four seconds and two GB.
        assert_eq!(repeat(4.0, Stage::default()).cpu_per_gb(), Some(1.0));
        assert_eq!(late.cpu_per_gb(), Some(1.0));
        let run = Run { repeats: vec![late.clone(), late], ..Run::default() };
        assert_eq!(run.cpu_per_gb(), Some(1.0));
    }

    #[test]
    fn a_copy_on_receipt_is_a_copy() {
        let counters = |of: f64| {
            serde_json::from_value(serde_json::json!({
                "ringwood_journal_flushes_total": of,
                "ringwood_store_tail_copied_bytes_total": of * 100.0,
                "ringwood_store_commit_copied_bytes_total": of * 100.0,
                "ringwood_network_copied_bytes_total": of * 50.0,
                "ringwood_kafka_produce_bytes_total": of * 100.0,
            }))
            .unwrap()
        };
        let (counters_before, counters_after) = (counters(1.0), counters(5.0));
        let broker = Broker { counters_before, counters_after, ..Broker::default() };
        assert_eq!(broker.inside().and_then(|inside| inside.copies_in), Some(2.5));
    }

    #[test]
    fn what_fails_is_told_beside_any_verdict() {
        let stage = |failed, errors: &[(&str, u64)]| Stage {
            failed,
            errors: errors.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
            ..Stage::default()
        };
        let run = |stages: Vec<Stage>| Run {
            repeats: stages.into_iter().map(|stage| repeat(4.0, stage)).collect(),
            ..Run::default()
        };
        let lost = ("consumer connection lost", 0);
        assert_eq!(run(vec![stage(0, &[lost])]).verdict_and_failures(), "valid");
        let one = run(vec![stage(300, &[("NOT_ENOUGH_REPLICAS", 300), lost])]);
        assert_eq!(one.verdict_and_failures(), "valid, 300 records failed: NOT_ENOUGH_REPLICAS");
        let two = run(vec![
            stage(1, &[("timed out", 1)]),
            stage(4, &[("timed out", 1), ("NOT_ENOUGH_REPLICAS", 3)]),
        ]);
        let words = "5 records failed: NOT_ENOUGH_REPLICAS (3), timed out (2)";
        assert_eq!(two.failures().as_deref(), Some(words));
        let many = [("a", 4), ("b", 3), ("c", 2), ("d", 1)];
        let words = "10 records failed: a (4), b (3), c (2), others";
        assert_eq!(run(vec![stage(10, &many)]).failures().as_deref(), Some(words));
        assert_eq!(run(vec![stage(1, &[])]).failures().as_deref(), Some("1 record failed"));
    }
}
