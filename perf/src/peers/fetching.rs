//! Fetching what lies there, as fast as one consumer can, the second time that it is read.
//!
//! The first reading is not measured: a JVM has never gone that way then, and compiles it meanwhile. The measurement lasts longer than
//! the reading, so that slow ones have their time; what a broker uses after the last byte is its idling, and in no figure.

use std::time::Duration;

use crate::{
    load::Plan,
    run::{Run, Stage},
    spec::RateSpec,
};

/// What is written to be fetched: so many seconds of what was produced as fast as it went, and no more than so many bytes.
const SECONDS: f64 = 4.0;
const BYTES_MAX: f64 = (2_u64 << 30) as f64;

/// A reading is watched for so long at most: far fewer seconds are enough for so many bytes.
const WATCHED_MAX: Duration = Duration::from_secs(10);

/// It is written as fast as it was produced before, and then watched for as long.
pub(super) const FILLED: Duration = Duration::from_secs(2 * SECONDS as u64);

/// So long a reading is watched, where other measurements take this long.
pub(super) fn watched(duration: Duration) -> Duration {
    duration.min(WATCHED_MAX)
}

/// Writes it, and has one consumer read it once.
pub(super) fn fill(plan: &Plan, bytes_rate: f64) -> Plan {
    Plan {
        duration: Duration::from_secs_f64(SECONDS),
        backlog_bytes: (bytes_rate * SECONDS).clamp(1.0, BYTES_MAX) as u64,
        ..reading(plan)
    }
}

/// Has one consumer read the same topic again.
pub(super) fn fetch(plan: &Plan) -> Plan {
    Plan { duration: watched(plan.duration), from_start: true, ..reading(plan) }
}

/// Next to nothing is written meanwhile.
fn reading(plan: &Plan) -> Plan {
    Plan { rate: RateSpec::constant(1), consumers: 1, warmup: Duration::ZERO, ..plan.clone() }
}

/// What the fetching came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fetched {
    pub(super) bytes_rate: f64,
    pub(super) cpu_per_gb: Option<f64>,
}

impl Fetched {
    /// `written`: the stage that says how many bytes a record has. `None`: nothing was fetched.
    pub(super) fn of(read: &Run, written: &Stage) -> Option<Self> {
        let repeat = read.repeats.first()?;
        let stage = repeat.stages.first()?;
        let each = written.bytes as f64 / written.acknowledged.max(1) as f64;
        let bytes = stage.received as f64 * each;
        // Where everything was read before the end, the rest of the time is not the broker's, and the rest of its CPU its idling.
        let (seconds, used) = match repeat.backlog_seconds {
            Some(seconds) if seconds < stage.seconds => (seconds, repeat.backlog_broker),
            Some(_) | None => (stage.seconds, repeat.broker),
        };
        (bytes > 0.0 && seconds > 0.0).then(|| Self {
            bytes_rate: bytes / seconds,
            cpu_per_gb: used.map(|used| used.cpu_seconds / bytes * 1e9),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{machine::Used, run::Repeat};

    #[test]
    fn what_is_measured_is_a_second_reading_of_the_same() {
        let plan = Plan { duration: Duration::from_secs(20), partitions: 7, ..Plan::default() };
        let (first, second) = (fill(&plan, 100e6), fetch(&plan));
        assert_eq!((first.backlog_bytes, first.from_start), (400_000_000, false));
        assert_eq!((second.backlog_bytes, second.from_start), (0, true));
        assert_eq!((first.partitions, first.consumers), (second.partitions, second.consumers));
        assert_eq!(second.duration, WATCHED_MAX);
        assert!(second.warmup.is_zero(), "nothing is read before it is watched");
        assert_eq!(fill(&plan, 9e9).backlog_bytes, 2 << 30);
    }

    #[test]
    fn fetched_bytes_are_counted_by_what_a_record_weighs() {
        let written = Stage { bytes: 1_100, acknowledged: 10, ..Stage::default() };
        let used = |cpu_seconds| Some(Used { cpu_seconds, ..Used::default() });
        let read = |received, backlog_seconds, backlog_broker| Run {
            repeats: vec![Repeat {
                stages: vec![Stage { seconds: 20.0, received, ..Stage::default() }],
                broker: used(2.2),
                backlog_seconds,
                backlog_broker,
                ..Repeat::default()
            }],
            ..Run::default()
        };
        // Read in 2 s of 20, with half of the CPU that all of them took: the other half is the idling of 18 s.
        let fetched = Fetched::of(&read(10_000_000, Some(2.0), used(1.1)), &written).unwrap();
        assert!((fetched.bytes_rate - 550e6).abs() < 1.0, "{fetched:?}");
        assert!((fetched.cpu_per_gb.unwrap() - 1.0).abs() < 1e-9, "{fetched:?}");
        // Where the CPU of the reading is not known, that of all the time does not stand in for it.
        let fetched = Fetched::of(&read(10_000_000, Some(2.0), None), &written).unwrap();
        assert_eq!(fetched.cpu_per_gb, None);
        // Still reading when the time was over.
        for late in [Some(40.0), None] {
            let fetched = Fetched::of(&read(10_000_000, late, None), &written).unwrap();
            assert!((fetched.bytes_rate - 55e6).abs() < 1.0, "{fetched:?}");
            assert!((fetched.cpu_per_gb.unwrap() - 2.0).abs() < 1e-9, "{fetched:?}");
        }
        assert_eq!(Fetched::of(&read(0, None, None), &written), None);
    }
}
