//! Where the time of a broker went, told for the targets that it missed.
//!
//! A broker that serves its own latencies says in which stages its produces were, and its counters what it did for them; the kernel says
//! which share of its CPU seconds was its own part. What would move a figure is said of the largest of these: it is a direction to
//! look into, and no measurement.

use std::collections::BTreeMap;

use super::Seen;
use crate::{
    chance::median,
    hlog,
    latency::Latency,
    run::{Inside, Recording, Run},
    spec::{Quantile, format_nanos},
};

/// Stages below this share of the time are left out.
const SHARE_MIN: f64 = 0.05;

/// The stage that is all the others together.
const TOTAL: &str = "total";

/// Waiting that a request asked for: it is not in the total.
const PARK: &str = "park";

/// Stages of the produces of one part, all turns added up.
#[derive(Clone, Debug, Default)]
pub(super) struct Stages(BTreeMap<String, Latency>);

impl Stages {
    /// Adds those of a run whose broker told its own latencies.
    pub(super) fn add(&mut self, recording: &Recording) {
        // What is no log of stages tells nothing here; the run directory has it as it came.
        let lines = recording.broker_log.as_deref().and_then(|log| hlog::parse_tagged(log).ok());
        for line in lines.into_iter().flatten() {
            if let Some(stage) = line.tag.strip_prefix("Produce.").filter(|stage| *stage != PARK) {
                self.0.entry(stage.to_owned()).or_default().add_sparse(&line.latency);
            }
        }
    }

    /// Each stage's share of the time of all produces, and its p99, the largest share first.
    fn shares(&self) -> Vec<(&str, f64, Option<u64>)> {
        let spent = |latency: &Latency| Some(latency.mean()? * latency.count() as f64);
        let Some(all) = self.0.get(TOTAL).and_then(spent).filter(|all| *all > 0.0) else {
            return Vec::new();
        };
        let p99 = |latency: &Latency| latency.at(Quantile::percent(99.0).ok()?);
        let stages = self.0.iter().filter(|(name, _)| *name != TOTAL);
        let mut shares: Vec<_> = stages
            .filter_map(|(name, latency)| {
                Some((name.as_str(), spent(latency)? / all, p99(latency)))
            })
            .filter(|(_, share, _)| *share >= SHARE_MIN)
            .collect();
        shares.sort_by(|(_, one, _), (_, other, _)| other.total_cmp(one));
        shares
    }

    fn words(&self) -> Option<String> {
        let shares = self.shares();
        let (most, ..) = shares.first()?;
        let words: Vec<String> = shares
            .iter()
            .map(|(name, share, p99)| {
                let p99 =
                    p99.map_or_else(String::new, |nanos| format!(" (p99 {})", format_nanos(nanos)));
                format!("{name} {:.0} %{p99}", share * 100.0)
            })
            .collect();
        Some(format!(
            "of a produce's time in the broker {}. What would move it: {}",
            words.join(", "),
            what_moves(most)
        ))
    }
}

/// What a contender's turns told of its inside.
#[derive(Clone, Debug, Default)]
pub(super) struct Profile {
    /// As fast as it went, at the common rate, at half of its own maximum.
    pub(super) fast: Stages,
    pub(super) calm: Stages,
    pub(super) half: Stages,
    inside: Vec<Inside>,
    /// The kernel's share of the CPU seconds, as fast as it went.
    kernel: Vec<f64>,
}

impl Profile {
    /// Takes in what a turn told as fast as it went.
    pub(super) fn add(&mut self, fast: &Run, recording: &Recording) {
        self.fast.add(recording);
        self.inside.extend(fast.broker.inside());
        self.kernel.extend(fast.broker.kernel_share());
    }

    fn of_inside(&self, of: fn(&Inside) -> Option<f64>) -> Option<f64> {
        median(&self.inside.iter().filter_map(of).collect::<Vec<f64>>())
    }

    /// Of the CPU seconds.
    fn cpu_words(&self) -> Option<String> {
        let kernel = median(&self.kernel)?;
        let mut words =
            vec![format!("{:.0} % of the CPU seconds were the kernel's", kernel * 100.0)];
        let mut told = |value: Option<f64>, what: &str| {
            words.extend(value.map(|value| format!("{value:.1} {what}")));
        };
        told(self.of_inside(|inside| inside.copies_in), "bytes copied for each taken");
        told(self.of_inside(|inside| inside.write_amplification), "bytes written for each");
        told(self.of_inside(|inside| inside.records_per_flush), "records a flush");
        told(
            self.of_inside(|inside| inside.messages_per_request),
            "messages between cores a request",
        );
        let moves = if kernel >= 0.5 {
            "fewer calls and copies of the kernel for each byte: larger requests and commits, bytes written once"
        } else {
            "less of its own work for each byte: checksums, copies, messages between cores"
        };
        Some(format!("{}. What would move it: {moves}", words.join(", ")))
    }
}

/// Which of a contender's figures a target is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Ingest,
    Cpu,
    CalmLatency,
    HalfLatency,
    /// Nothing is kept of where this comes from.
    Other,
}

impl Seen {
    /// Why a figure is what it is, as far as the broker told.
    pub(super) fn why(&self, about: About) -> String {
        let profile = &self.profile;
        let words = match about {
            About::Ingest => {
                let (stages, cpu) = (profile.fast.words(), profile.cpu_words());
                (stages.is_some() || cpu.is_some())
                    .then(|| stages.into_iter().chain(cpu).collect::<Vec<_>>().join("; "))
            }
            About::Cpu => profile.cpu_words(),
            About::CalmLatency => profile.calm.words(),
            About::HalfLatency => profile.half.words(),
            About::Other => None,
        };
        words.unwrap_or_else(|| "nothing that was kept says why".into())
    }
}

/// What shortens a stage.
fn what_moves(stage: &str) -> &'static str {
    match stage {
        "flush" => "a device that flushes sooner, and fewer bytes in front of each flush",
        "write" => {
            "a device that takes more bytes a second, and fewer bytes: each is written twice"
        }
        "commit" => "a shorter write and flush of the commit before, which it waits for",
        "admit" => "a larger journal ring, or a device that takes the segments' bytes sooner",
        "queue" | "wake" | "receive" => {
            "a core that is less busy: more cores, or larger and fewer requests"
        }
        "crossing" => "clients that ask the core which has the partition",
        "order" | "send" => "clients that read their answers sooner, or more connections",
        _ => "less work of the broker's own for each request: larger and fewer requests",
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::{hlog::Counted, machine::Usage, run::Broker};

    fn recording(lines: &[(&str, u64, u64)]) -> Recording {
        let lines = lines.iter().map(|(tag, nanos, count)| Counted {
            tag: (*tag).into(),
            start: Duration::ZERO,
            length: Duration::from_secs(1),
            counts: vec![(*nanos, *count)],
        });
        let mut log = Vec::new();
        hlog::write_counted(&mut log, SystemTime::UNIX_EPOCH, &[], lines).unwrap();
        Recording { broker_log: Some(log), ..Recording::default() }
    }

    #[test]
    fn the_largest_stage_is_named_first_and_what_moves_it() {
        let mut stages = Stages::default();
        assert_eq!(stages.words(), None);
        stages.add(&Recording::default());
        // A fetch, what was asked for, and what is next to nothing are not in it.
        stages.add(&recording(&[
            ("Produce.total", 1_000_000, 4_000),
            ("Produce.queue", 200_000, 4_000),
            ("Produce.flush", 700_000, 2_000),
            ("Produce.encode", 1_000, 4_000),
            ("Produce.park", 9_000_000, 4_000),
            ("Fetch.read", 9_000_000, 4_000),
        ]));
        // Turns are added up: the flushes of the other half.
        stages.add(&recording(&[("Produce.flush", 700_000, 2_000)]));
        let words = stages.words().unwrap();
        assert_eq!(
            words,
            "of a produce's time in the broker flush 70 % (p99 700 us), queue 20 % (p99 200 us). \
             What would move it: a device that flushes sooner, and fewer bytes in front of each flush"
        );
        stages.add(&Recording { broker_log: Some(b"no log".to_vec()), ..Recording::default() });
        assert_eq!(stages.words(), Some(words));
    }

    #[test]
    fn the_kernels_share_says_where_to_look() {
        let run = |user_seconds, system_seconds| {
            let after = Usage { pid: 1, user_seconds, system_seconds, ..Usage::default() };
            let before = Usage { pid: 1, ..Usage::default() };
            let counters = |flushes: f64, copied: f64| {
                serde_json::from_value(serde_json::json!({
                    "ringwood_journal_flushes_total": flushes,
                    "ringwood_store_tail_copied_bytes_total": copied,
                    "ringwood_kafka_produce_bytes_total": copied / 2.0,
                }))
                .unwrap()
            };
            let broker = Broker {
                before: vec![before],
                after: vec![after],
                counters_before: counters(0.0, 0.0),
                counters_after: counters(9.0, 8e6),
                ..Broker::default()
            };
            Run { broker, ..Run::default() }
        };
        let told = |run: &Run| {
            let mut profile = Profile::default();
            profile.add(run, &Recording::default());
            profile.cpu_words().unwrap()
        };
        let kernel = told(&run(1.0, 3.0));
        assert!(kernel.starts_with("75 % of the CPU seconds were the kernel's, 2.0 bytes copied"));
        assert!(kernel.contains("fewer calls"), "{kernel}");
        assert!(told(&run(3.0, 1.0)).contains("its own work"));
        assert_eq!(Profile::default().cpu_words(), None);
    }
}
