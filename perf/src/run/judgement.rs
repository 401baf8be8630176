//! What a repeat is worth: is the generator to be believed, and did the broker keep up?
//!
//! The generator is not believed where its own lateness may have made the p99, or the percentile that is named instead, where it had
//! no core, or did not even make its records. Another percentile that it may have made is withheld alone: see [`crate::latency::Told`].
//!
//! The broker did not keep up where one of four things says so. A moment at which the bound on requests in flight was met, or a
//! stall that ended, is none of them: what it cost is in the percentiles, and the numbers are the broker's all the same.
//! 1. The bound held ready records back for a share of the time that no percentile can overlook, in at least half of the seconds.
//! 2. Less was acknowledged than was due, by more than what is on its way at any moment.
//! 3. Records that it acknowledged had not come to the consumers when the wait for them was over.
//! 4. The median of the response grew from third to third of the measurement: a queue that never empties.

use super::{Generator, Stage, Verdict};
use crate::{
    chance::median,
    latency::{Kind, Latencies},
    spec::{Quantile, format_nanos},
};

/// Everything that a repeat is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The latencies of all stages.
    pub total: &'a Latencies,
    /// How the generator did.
    pub generator: &'a Generator,
    /// What each stage came to.
    pub stages: &'a [Stage],
    /// The median of the response in each measured second, in order, nanoseconds.
    pub medians: &'a [u64],
    /// The rate was not `max`: lateness means something, and there is a rate to keep up with.
    pub is_open_loop: bool,
    /// The percentile that must not be the generator's.
    pub judged: Quantile,
}

/// Above this share of a core, a generator thread measures itself.
const BUSY_MAX: f64 = 0.9;

/// From this share of the time on, the bound on requests in flight is what is measured.
pub(crate) const HELD_MIN: f64 = 0.05;

/// In so many of the seconds it is, or it was a stall that ended.
const HELD_SECONDS_MIN: f64 = 0.5;

/// Less than this share of what was due may be missing for no reason: rounding at the edges of the measurement.
const SHORT_MIN: f64 = 0.02;

/// At most this share of what was due is on its way when a stage ends.
const ON_ITS_WAY_MAX: f64 = 0.5;

/// Seconds that a growth is looked for in, at least.
const GROWTH_SECONDS_MIN: usize = 6;

/// Seconds of response that each second of the measurement added, from which on the queue is growing.
const GROWTH_MIN: f64 = 0.01;

/// Judges a repeat.
#[must_use]
pub fn judge(evidence: &Evidence<'_>) -> Verdict {
    if let Some(why) = generator_fault(evidence) {
        return Verdict::Invalid(why);
    }
    match broker_fault(evidence) {
        Some(why) => Verdict::Saturated(why),
        None => Verdict::Valid,
    }
}

/// Why the generator is not to be believed.
fn generator_fault(evidence: &Evidence<'_>) -> Option<String> {
    let Evidence { total, generator, is_open_loop, judged, .. } = *evidence;
    if generator.busiest > BUSY_MAX {
        return Some(format!(
            "its busiest thread used {:.0} % of a core; give it more threads or cores, or lower the rate",
            generator.busiest * 100.0
        ));
    }
    if generator.wanted > BUSY_MAX {
        return Some(format!(
            "a thread of it wanted a core {:.0} % of the time and had one for less; leave it one, or lower the rate",
            generator.wanted * 100.0
        ));
    }
    if generator.unsent > 0 {
        return Some(format!(
            "it had not even made {} records when the run ended; lower the rate",
            generator.unsent
        ));
    }
    if !is_open_loop {
        return None;
    }
    let (measured, least) = total.moved(Kind::Response, judged)?;
    Some(format!(
        "it acted late: had it not, {judged} might be {} and not {}; leave it a core of its own, or lower the rate",
        format_nanos(least),
        format_nanos(measured)
    ))
}

/// Why the broker did not keep up.
fn broker_fault(evidence: &Evidence<'_>) -> Option<String> {
    if !evidence.is_open_loop {
        return None;
    }
    let held = evidence.stages.iter().filter(|stage| stage.held_seconds >= HELD_SECONDS_MIN);
    let held = held.map(|stage| stage.saturated).fold(0.0, f64::max);
    if held >= HELD_MIN {
        return Some(format!(
            "the in-flight bound held ready records back {:.1} % of the time",
            held * 100.0
        ));
    }
    let response = evidence.total.of(Kind::Response);
    let fastest = if response.count() == 0 { 0 } else { response.histogram().min() };
    if let Some(share) = evidence.stages.iter().find_map(|stage| short(stage, fastest)) {
        return Some(format!("{:.1} % of what was due was acknowledged in time", share * 100.0));
    }
    let missing: u64 = evidence.stages.iter().map(|stage| stage.missing).sum();
    if missing > 0 {
        return Some(format!("{missing} records were acknowledged and not received in time"));
    }
    let (first, last) = growth(evidence.medians)?;
    Some(format!(
        "the median response grew all the time, from {} to {}",
        format_nanos(first as u64),
        format_nanos(last as u64)
    ))
}

/// The share of its due records that a stage acknowledged, where that is too little. `fastest`: how long an acknowledgement takes at
/// the least; what was due within it from the stage's end is not missing, it is on its way. Half of all is never on its way:
/// where an acknowledgement takes as long as that, the queue was there from the start.
fn short(stage: &Stage, fastest: u64) -> Option<f64> {
    let due = stage.target? * stage.seconds;
    if due < 1.0 {
        return None;
    }
    let share = stage.acknowledged as f64 / due;
    let on_its_way = (fastest as f64 / 1e9 / stage.seconds).min(ON_ITS_WAY_MAX);
    // Poisson arrivals: three standard deviations of their number.
    let allowed = SHORT_MIN + on_its_way + 3.0 / due.sqrt();
    (1.0 - share > allowed).then_some(share)
}

/// The medians of the first and the last third, where the response grew from each third to the next by what a queue adds that
/// never empties. A single step, or a stall, is no such growth.
fn growth(medians: &[u64]) -> Option<(f64, f64)> {
    if medians.len() < GROWTH_SECONDS_MIN {
        return None;
    }
    let third = medians.len() / 3;
    let of = |from: usize| {
        let seconds: Vec<f64> = medians[from..from + third].iter().map(|n| *n as f64).collect();
        median(&seconds)
    };
    let (first, middle, last) = (of(0)?, of(third)?, of(medians.len() - third)?);
    let least = GROWTH_MIN * third as f64 * 1e9;
    (middle - first > least && last - middle > least).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(p99: u64, lag: u64) -> Latencies {
        let mut total = Latencies::default();
        total.of_mut(Kind::Response).record_n(p99, 100_000);
        total.of_mut(Kind::Lag).record_n(lag, 100_000);
        total
    }

    /// Ten seconds at 1,000 records a second, all acknowledged.
    fn kept_up() -> Stage {
        Stage {
            target: Some(1_000.0),
            seconds: 10.0,
            sent: 10_000,
            acknowledged: 10_000,
            ..Stage::default()
        }
    }

    fn verdict_of(
        total: &Latencies,
        generator: &Generator,
        stage: Stage,
        is_open_loop: bool,
    ) -> Verdict {
        let (stages, medians) = ([stage], []);
        let judged = Quantile::P99;
        judge(&Evidence {
            total,
            generator,
            stages: &stages,
            medians: &medians,
            is_open_loop,
            judged,
        })
    }

    fn of_generator(total: &Latencies, generator: &Generator, is_open_loop: bool) -> Verdict {
        verdict_of(total, generator, kept_up(), is_open_loop)
    }

    fn of_broker(stage: Stage) -> Verdict {
        verdict_of(&measured(5, 5), &Generator::default(), stage, true)
    }

    /// Records of a broker that takes `service`, of which these were closed so late.
    fn late(service: u64, late: &[(u64, u64)]) -> Latencies {
        let mut total = Latencies::default();
        for (lag, count) in late {
            total.of_mut(Kind::Response).record_n(service + lag, *count);
            total.of_mut(Kind::Prompt).record_n(service, *count);
            total.of_mut(Kind::Lag).record_n(*lag, *count);
        }
        total
    }

    #[test]
    fn a_late_generator_is_not_believed() {
        let idle = Generator { busiest: 0.3, ..Generator::default() };
        // A tenth of the p99 is allowed, and no more.
        let tenth = late(20_000_000, &[(2_000_000, 10_000)]);
        assert_eq!(of_generator(&tenth, &idle, true), Verdict::Valid);
        let more = of_generator(&late(5_000_000, &[(1_200_000, 10_000)]), &idle, true);
        assert!(more.is_invalid(), "{more}");
        assert!(more.to_string().contains("might be 5.00 ms and not 6.20 ms"), "{more}");
        // Less than a millisecond is no excuse where the broker took half of one.
        assert!(of_generator(&late(450_000, &[(900_000, 10_000)]), &idle, true).is_invalid());
        // A closed loop has no lateness.
        let all = measured(5_000_000, 1_200_000);
        assert_eq!(of_generator(&all, &idle, false), Verdict::Valid);
    }

    #[test]
    fn what_is_too_rare_to_move_the_p99_does_not_spoil_a_run() {
        let calm = Generator::default();
        let rare = late(10_000_000, &[(10_000, 99_900), (2_000_000, 100)]);
        assert_eq!(of_generator(&rare, &calm, true), Verdict::Valid);
        let often = late(10_000_000, &[(10_000, 98_000), (2_000_000, 2_000)]);
        assert!(of_generator(&often, &calm, true).is_invalid());
        // So it is where the records are too few for a p99 to be told.
        let few = late(2_000_000, &[(10_000, 290), (4_000_000, 10)]);
        assert!(of_generator(&few, &calm, true).is_invalid());
    }

    #[test]
    fn a_run_is_judged_by_the_percentile_that_it_is_for() {
        let total = late(10_000_000, &[(10_000, 98_000), (2_000_000, 2_000)]);
        let generator = Generator::default();
        let judged = |judged: &str| {
            let judged = judged.parse().unwrap();
            let (total, generator, stages) = (&total, &generator, &[kept_up()]);
            let is_open_loop = true;
            judge(&Evidence { total, generator, stages, medians: &[], is_open_loop, judged })
        };
        let Verdict::Invalid(why) = judged("p99.9") else { panic!("{}", judged("p99.9")) };
        assert!(why.contains("p99.9 might be"), "{why}");
        assert!(judged("p99").is_invalid());
        assert_eq!(judged("p90"), Verdict::Valid);
        // What is withheld is told with what it lies between.
        let summary = crate::run::Summary::of(&total, Kind::Response);
        assert_eq!(summary.percentiles["p99"], None);
        let (least, measured) = summary.bounds["p99"];
        assert!(least < measured && measured >= 10_000_000, "{least} {measured}");
        assert!(!summary.bounds.contains_key("p50"));
    }

    #[test]
    fn a_busy_generator_is_not_believed() {
        let busy = Generator { busiest: 0.95, ..Generator::default() };
        assert!(of_generator(&measured(5, 5), &busy, false).is_invalid());
        // Without a core is as bad as busy: either way it could not act when it was to.
        let starved = Generator { busiest: 0.5, wanted: 0.95, ..Generator::default() };
        assert!(of_generator(&measured(5, 5), &starved, false).is_invalid());
    }

    #[test]
    fn what_was_never_made_is_the_generators_fault() {
        // Censored at the time-out the unsent records lift p99 so far that any lag looks small beside it.
        let mut total = measured(5_000_000, 50_000_000);
        total.of_mut(Kind::Response).censor(30_000_000_000, 100_000);
        let behind = Generator { unsent: 100_000, ..Generator::default() };
        assert!(of_generator(&total, &behind, true).is_invalid());
    }

    #[test]
    fn a_bound_that_was_met_for_a_moment_is_no_overload() {
        for share in [0.0, 0.000_1, 0.03] {
            assert_eq!(of_broker(Stage { saturated: share, ..kept_up() }), Verdict::Valid);
        }
        let held = |saturated, held_seconds| Stage { saturated, held_seconds, ..kept_up() };
        let verdict = of_broker(held(0.25, 0.5));
        assert!(verdict.to_string().contains("25.0 %"), "{verdict}");
        // A stall of a second of twelve is one second of twelve and 8 % of the time.
        assert_eq!(of_broker(held(0.08, 1.0 / 12.0)), Verdict::Valid);
        assert!(matches!(of_broker(held(0.06, 1.0)), Verdict::Saturated(_)));
    }

    #[test]
    fn less_than_was_due_is_an_overload() {
        let with = |acknowledged| of_broker(Stage { acknowledged, ..kept_up() });
        assert_eq!(with(9_900), Verdict::Valid);
        let verdict = with(9_000);
        assert!(verdict.to_string().contains("90.0 % of what was due"), "{verdict}");
        // Every answer takes two seconds: what was due in the last two is on its way.
        let slow = measured(2_000_000_000, 5);
        let stage = Stage { acknowledged: 8_000, ..kept_up() };
        assert_eq!(verdict_of(&slow, &Generator::default(), stage, true), Verdict::Valid);
        // A queue as long as the whole measurement is not on its way.
        let queue = measured(40_000_000_000, 5);
        let stage = Stage { acknowledged: 3_000, ..kept_up() };
        let verdict = verdict_of(&queue, &Generator::default(), stage, true);
        assert!(matches!(verdict, Verdict::Saturated(_)), "{verdict}");
        // As fast as it goes there is nothing to keep up with.
        let stage = Stage { target: None, acknowledged: 5, ..kept_up() };
        assert_eq!(verdict_of(&slow, &Generator::default(), stage, false), Verdict::Valid);
    }

    #[test]
    fn a_queue_that_grows_is_an_overload_and_a_stall_is_none() {
        let seconds = |of: fn(u64) -> u64| (0..30).map(of).collect::<Vec<u64>>();
        // 3 % too much: 30 ms more with every second.
        assert!(growth(&seconds(|s| 3_000_000 + s * 30_000_000)).is_some());
        // 2 ms, and a stall of three seconds near the end.
        let stalled = seconds(|s| if (24..27).contains(&s) { 800_000_000 } else { 2_000_000 });
        assert_eq!(growth(&stalled), None);
        // Slower from some second on, and steady there.
        let stepped = seconds(|s| if s < 14 { 2_000_000 } else { 900_000_000 });
        assert_eq!(growth(&stepped), None);
        // Noise.
        assert_eq!(growth(&seconds(|s| 2_000_000 + s % 7 * 9_000_000)), None);
        assert_eq!(growth(&[1; 5]), None);
    }
}
