//! What became of a baseline or a scenario, as a line of the table.

use std::time::Duration;

use super::{failed::Failed, findings::BASELINE, scenarios::Sign};
use crate::{
    failure::Failure,
    latency::{Kind, Latencies, Told},
    load::Plan,
    run::{HELD_MIN, Recording, Repeat, Run, Stage, Verdict},
    spec::{Quantile, format_bytes, format_count},
    terminal::Tone,
    view::Cell,
};

pub(super) const HEADER: [&str; 11] = [
    "scenario",
    "acked/s",
    "p50",
    "p99",
    "p99.9",
    "max",
    "p99/baseline",
    "flushes/s",
    "written/byte",
    "what else happened",
    "verdict",
];

/// A scenario's run, and its neighbour's.
pub(super) struct Played {
    pub(super) run: Run,
    /// Its latencies added up: of a dozen scenarios the seconds would be hundreds of MiB.
    pub(super) total: Latencies,
    pub(super) neighbour: Option<Run>,
    pub(super) warmup: Duration,
    /// What has to be seen of it.
    pub(super) signs: &'static [Sign],
    /// Bytes a second that the broker's device takes in flushed writes, where that was measured.
    pub(super) device: Option<f64>,
}

/// What became of one line of the table.
pub(super) enum Line {
    Played {
        name: String,
        scenario: Option<(u32, &'static str)>,
        played: Box<Played>,
    },
    /// Why there is nothing.
    Nothing {
        name: String,
        number: u32,
        failure: Failure,
    },
}

impl Line {
    /// A baseline that came to something.
    pub(super) fn is_baseline(&self) -> bool {
        matches!(self, Self::Played { scenario: None, .. })
    }

    /// The same, or one that did not.
    pub(super) fn is_of_baseline(&self) -> bool {
        self.is_baseline() || matches!(self, Self::Nothing { number: BASELINE, .. })
    }

    /// The broker kept up with the load: of a baseline that did not, the others' p99 would be a small part.
    pub(super) fn kept_up(&self) -> bool {
        let Self::Played { played, .. } = self else { return false };
        matches!(played.run.verdict, Verdict::Valid)
    }

    /// The p99 of a run whose numbers are the broker's.
    pub(super) fn p99(&self) -> Option<u64> {
        let Self::Played { played, .. } = self else { return None };
        played.p99()
    }

    pub(super) fn row(&self, base: Option<f64>) -> Vec<Cell> {
        match self {
            Self::Played { name, played, .. } => row(name, played, base),
            Self::Nothing { name, failure, .. } => {
                let is_invalid = matches!(failure, Failure::Invalid(_));
                let text = if is_invalid { "INVALID" } else { "FAILED" }.to_owned();
                vec![Cell::plain(name), Cell { text, tone: Tone::Worse }]
            }
        }
    }
}

impl Played {
    pub(super) fn of(run: Run, recording: &Recording, plan: &Plan, signs: &'static [Sign]) -> Self {
        let (total, warmup) = (recording.total(), plan.warmup);
        Self { run, total, neighbour: None, warmup, signs, device: None }
    }

    /// Bytes a second that local brokers made the device write while it was measured.
    fn written(&self) -> Option<f64> {
        let used = self.run.repeats.iter().find_map(|repeat| repeat.broker)?;
        (used.seconds > 0.0).then(|| used.written_bytes as f64 / used.seconds)
    }

    pub(super) fn p99(&self) -> Option<u64> {
        if self.run.verdict.is_invalid() {
            return None;
        }
        self.total.at(Kind::Response, Quantile::percent(99.0).ok()?)
    }

    /// By how much the first offsets of all partitions rose: records that retention took away. `None`: nobody tells.
    fn retired_records(&self) -> Option<f64> {
        const STARTS: &str = "ringwood_kafka_start_offset";
        let broker = &self.run.broker;
        // Before there was a topic there was no such line.
        let before = broker.counters_before.get(STARTS).unwrap_or(0.0);
        Some(broker.counters_after.get(STARTS)? - before)
    }

    fn compacted_records(&self) -> Option<f64> {
        self.run.broker.inside().and_then(|inside| inside.compacted_records)
    }

    /// Which of the signs nobody could tell: what only the broker knows, of one that does not say it.
    pub(super) fn untold(&self) -> Vec<&'static str> {
        let untold = |sign: &Sign| match sign {
            Sign::Retention if self.retired_records().is_none() => {
                Some("what retention took is not told")
            }
            Sign::Compaction if self.compacted_records().is_none() => {
                Some("what compaction took is not told")
            }
            Sign::Retention | Sign::Compaction | Sign::Backlog | Sign::Readers | Sign::Loud => None,
        };
        self.signs.iter().filter_map(untold).collect()
    }

    /// Which of the signs are not there. What nobody could tell is not held against the broker.
    pub(super) fn lacking(&self) -> Vec<&'static str> {
        let lacks = |sign: &Sign| match sign {
            Sign::Retention => {
                let taken = self.retired_records().filter(|taken| *taken <= 0.0);
                taken.map(|_| "retention took nothing")
            }
            Sign::Compaction => {
                let taken = self.compacted_records().filter(|taken| *taken <= 0.0);
                taken.map(|_| "compaction took nothing")
            }
            Sign::Backlog => {
                let early = |seconds: f64| seconds < self.warmup.as_secs_f64();
                let read = |repeat: &Repeat| repeat.backlog_seconds.is_some_and(early);
                let all = self.run.repeats.iter().all(read);
                all.then_some("the backlog was read before the measurement")
            }
            Sign::Readers => {
                let sum = |of: fn(&Stage) -> u64| -> u64 {
                    self.run.repeats.iter().flat_map(|r| &r.stages).map(of).sum()
                };
                let groups = self.run.load.get("groups").and_then(|g| g.parse().ok()).unwrap_or(1);
                let due: u64 = sum(|stage| stage.acknowledged) * groups;
                (sum(|stage| stage.received) * 2 < due).then_some("less than half was read")
            }
            Sign::Loud => {
                let held = |stage: &Stage| stage.saturated >= HELD_MIN;
                let stages = self.neighbour.iter().flat_map(|run| &run.repeats);
                let loud = stages.flat_map(|repeat| &repeat.stages).any(held);
                (!loud).then_some("the neighbour was not held back by the broker")
            }
        };
        self.signs.iter().filter_map(lacks).collect()
    }
}

fn row(name: &str, played: &Played, base: Option<f64>) -> Vec<Cell> {
    let (Played { run, total, .. }, lacking) = (played, played.lacking());
    let at = |percent| {
        if run.verdict.is_invalid() {
            return Told::Moved.to_string();
        }
        let quantile = Quantile::percent(percent).ok();
        quantile.map_or(Told::TooFew, |q| total.told(Kind::Response, q)).to_string()
    };
    let here = played.p99().filter(|_| lacking.is_empty());
    let ratio = base.zip(here).map(|(base, here)| here as f64 / base);
    let verdict = match lacking.as_slice() {
        [] => run.verdict.word().to_owned(),
        lacking => format!("INVALID: {}", lacking.join(", ")),
    };
    let verdict = match Failed::of(run).words() {
        Some(failed) => {
            Cell { text: format!("{verdict}, records failed {failed}"), tone: Tone::Worse }
        }
        None => Cell::plain(verdict),
    };
    let inside = run.broker.inside().unwrap_or_default();
    let number = |value: Option<f64>| value.map_or_else(|| "n/a".into(), |v| format!("{v:.2}"));
    let cells = [
        name.to_owned(),
        format_count(run.rate()),
        at(50.0),
        at(99.0),
        at(99.9),
        at(100.0),
        number(ratio),
        inside.flushes_per_second.map_or_else(|| "n/a".into(), format_count),
        number(inside.write_amplification),
        happened(played),
    ];
    cells.map(Cell::plain).into_iter().chain([verdict]).collect()
}

/// What shows that the scenario was what its name says: what retention and compaction took away, how soon a backlog was read, how
/// much went out, how loud the neighbour was.
pub(super) fn happened(played: &Played) -> String {
    let Played { run, neighbour, warmup, .. } = played;
    let mut words = Vec::new();
    if let Some(gone) = played.retired_records().filter(|gone| *gone > 0.0) {
        words.push(format!("retention took {}", format_count(gone)));
    }
    if let Some(dropped) = played.compacted_records().filter(|dropped| *dropped > 0.0) {
        words.push(format!("compaction took {}", format_count(dropped)));
    }
    words.extend(played.untold().into_iter().map(str::to_owned));
    for repeat in &run.repeats {
        match repeat.backlog_seconds {
            Some(seconds) if seconds < warmup.as_secs_f64() => {
                words.push(format!("backlog read in {seconds:.1} s, before the measurement"));
            }
            Some(seconds) => words.push(format!("backlog read in {seconds:.1} s")),
            None if run.load.contains_key("backlog") => words.push("backlog not read".into()),
            None => {}
        }
        let received: f64 =
            repeat.stages.iter().map(|s| s.received as f64 / s.seconds.max(1e-9)).sum();
        if received > 0.0 {
            words.push(format!("{}/s read", format_count(received)));
        }
    }
    if let Some(neighbour) = neighbour {
        words.push(format!("neighbour {}/s", format_count(neighbour.rate())));
        let failed = Failed::of(neighbour).words();
        words.extend(failed.map(|failed| format!("of its records failed {failed}")));
        // That it was held back does not say by what.
        words.extend(played.written().map(|written| {
            let most = played.device.map(|device| format!(" of {}/s", format_bytes(device)));
            format!("device {}/s{}", format_bytes(written), most.unwrap_or_default())
        }));
    }
    words.join(", ")
}
