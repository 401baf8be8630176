//! What became of a baseline or a scenario, as a line of the table.

use std::time::Duration;

use super::scenarios::Sign;
use crate::{
    failure::Failure,
    latency::{Kind, Latencies, Told},
    run::{HELD_MIN, Repeat, Run, Stage},
    spec::{Quantile, format_count},
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
}

/// What became of one line of the table.
pub(super) enum Line {
    Played {
        name: String,
        scenario: Option<(u32, &'static str)>,
        played: Box<Played>,
        lacking: Vec<&'static str>,
    },
    /// Why there is nothing.
    Nothing { name: String, number: u32, failure: Failure },
}

impl Line {
    pub(super) fn is_baseline(&self) -> bool {
        matches!(self, Self::Played { scenario: None, .. })
    }

    /// The p99 of a run whose numbers are the broker's.
    pub(super) fn p99(&self) -> Option<u64> {
        let Self::Played { played, .. } = self else { return None };
        played.p99()
    }

    pub(super) fn row(&self, base: Option<f64>) -> Vec<Cell> {
        match self {
            Self::Played { name, played, lacking, .. } => row(name, played, lacking, base),
            Self::Nothing { name, failure, .. } => {
                let is_invalid = matches!(failure, Failure::Invalid(_));
                let text = if is_invalid { "INVALID" } else { "FAILED" }.to_owned();
                vec![Cell::plain(name), Cell { text, tone: Tone::Worse }]
            }
        }
    }
}

impl Played {
    pub(super) fn p99(&self) -> Option<u64> {
        if self.run.verdict.is_invalid() {
            return None;
        }
        self.total.at(Kind::Response, Quantile::percent(99.0).ok()?)
    }

    /// Which of the signs are not there. Of a broker that does not tell, what only it could tell is not held against it.
    pub(super) fn lacking(&self, signs: &[Sign]) -> Vec<&'static str> {
        let lacks = |sign: &Sign| match sign {
            Sign::Retention => {
                let gone = self.run.broker.counters_after.get("ringwood_kafka_start_offset");
                gone.filter(|gone| *gone <= 0.0).map(|_| "retention took nothing")
            }
            Sign::Compaction => {
                let taken = self.run.broker.inside().and_then(|inside| inside.compacted_records);
                taken.filter(|taken| *taken <= 0.0).map(|_| "compaction took nothing")
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
        signs.iter().filter_map(lacks).collect()
    }
}

fn row(name: &str, played: &Played, lacking: &[&str], base: Option<f64>) -> Vec<Cell> {
    let Played { run, total, .. } = played;
    let at = |percent| {
        if run.verdict.is_invalid() {
            return Told::Moved.to_string();
        }
        let quantile = Quantile::percent(percent).ok();
        quantile.map_or(Told::TooFew, |q| total.told(Kind::Response, q)).to_string()
    };
    let here = played.p99().filter(|_| lacking.is_empty());
    let ratio = base.zip(here).map(|(base, here)| here as f64 / base);
    let verdict = match lacking {
        [] => run.verdict.word().to_owned(),
        lacking => format!("INVALID: {}", lacking.join(", ")),
    };
    let inside = run.broker.inside().unwrap_or_default();
    let number = |value: Option<f64>| value.map_or_else(|| "n/a".into(), |v| format!("{v:.2}"));
    [
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
        verdict,
    ]
    .map(Cell::plain)
    .into()
}

/// What shows that the scenario was what its name says: what retention and compaction took away, how soon a backlog was read, how
/// much went out, how loud the neighbour was.
pub(super) fn happened(played: &Played) -> String {
    let Played { run, neighbour, warmup, .. } = played;
    let mut words = Vec::new();
    let after = &run.broker.counters_after;
    // Every topic of a scenario before this one is gone: what lies below the starts was taken from this one.
    if let Some(gone) = after.get("ringwood_kafka_start_offset").filter(|gone| *gone > 0.0) {
        words.push(format!("retention took {}", format_count(gone)));
    }
    let dropped = run.broker.inside().and_then(|inside| inside.compacted_records);
    if let Some(dropped) = dropped.filter(|dropped| *dropped > 0.0) {
        words.push(format!("compaction took {}", format_count(dropped)));
    }
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
    }
    words.join(", ")
}
