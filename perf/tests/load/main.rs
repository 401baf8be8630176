//! The load against a broker whose every fault is known.
//!
//! What is asserted are bounds that hold however slow the machine is: a latency is at least what the script makes it, a fault is
//! named, a sound run is clean.

#![expect(clippy::unwrap_used, reason = "a scene that cannot be set up is a failed test")]

mod commands;
mod fake_broker;
mod interrupt;
mod lasting;
mod reading;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fake_broker::{FakeBroker, Script};
use record::Codec;
use ringwood_perf::{
    failure::Failure,
    latency::{Kind, Latency},
    load::{Acks, Clock, Outcome, Plan, Target, trial},
    run::{Evidence, Verdict, judge},
    schedule::Arrival,
    spec::{KeySpec, Quantile, RateSpec, SizeSpec},
    verify,
};

/// A second of load, small enough for any machine.
fn plan() -> Plan {
    Plan {
        rate: RateSpec::constant(4_000),
        size: SizeSpec::Fixed(120),
        partitions: 3,
        producers: 2,
        linger: Duration::from_millis(5),
        batch_bytes: 4 << 10,
        warmup: Duration::from_millis(200),
        duration: Duration::from_millis(1_000),
        drain: Duration::from_secs(20),
        ..Plan::default()
    }
}

fn verified() -> Plan {
    Plan { verify: true, consumers: 2, drain: Duration::from_secs(3), ..plan() }
}

/// The broker with fresh topics of its own.
fn target(broker: &FakeBroker, plan: &Plan) -> Arc<Target> {
    static TOPICS: AtomicU64 = AtomicU64::new(0);
    let mut target = Target::discover(&[broker.address()]).unwrap();
    let number = TOPICS.fetch_add(1, Ordering::Relaxed);
    let topics = (0..plan.topics).map(|topic| format!("test-{number}-{topic}")).collect();
    target.use_topics(topics, plan.partitions, 1, &[]).unwrap();
    Arc::new(target)
}

fn attempt(target: &Arc<Target>, plan: &Plan) -> Result<Outcome, Failure> {
    let clock = Clock::start();
    let started = clock.now();
    trial(&Arc::new(plan.clone()), target, clock, started, 0, &mut |_| ())
}

fn run_on(broker: &FakeBroker, plan: &Plan) -> Outcome {
    attempt(&target(broker, plan), plan).unwrap()
}

fn run(script: Script, plan: &Plan) -> Outcome {
    run_on(&FakeBroker::start(script), plan)
}

fn at(outcome: &Outcome, kind: Kind, percentile: &str) -> Duration {
    let quantile: Quantile = percentile.parse().unwrap();
    Duration::from_nanos(outcome.total.of(kind).at(quantile).expect("the sample carries it"))
}

fn verdict(script: Script) -> verify::Verdict {
    run(script, &verified()).repeat.verify.expect("asked for")
}

/// The verdict on the broker alone, whatever else the machine did to the generator.
fn of_the_broker(outcome: &Outcome) -> Verdict {
    let mut total = outcome.total.clone();
    *total.of_mut(Kind::Lag) = Latency::new();
    *total.of_mut(Kind::Prompt) = total.of(Kind::Response).clone();
    judge(&Evidence {
        total: &total,
        generator: &Default::default(),
        stages: &outcome.repeat.stages,
        medians: &outcome.medians,
        is_open_loop: true,
        judged: Quantile::P99,
    })
}

#[test]
fn a_broker_that_keeps_up_with_jitter_is_valid() {
    // Every tenth answer takes 80 ms, the others 10 ms, and room for as many in flight as come meanwhile.
    let script = Script {
        delay: Duration::from_millis(10),
        slow: Some((10, Duration::from_millis(80))),
        ..Script::default()
    };
    let plan = Plan { inflight_max: 1_000, duration: Duration::from_secs(2), ..plan() };
    let outcome = run(script, &plan);
    assert_eq!(of_the_broker(&outcome), Verdict::Valid, "{:?}", outcome.repeat.stages);
}

#[test]
fn a_broker_that_cannot_keep_up_is_saturated() {
    // One produce every 20 ms, of one batch of at most 31 records: 1,550 of 4,000 records a second.
    let script = || Script { each: Duration::from_millis(20), ..Script::default() };
    let slow = Plan { producers: 1, partitions: 1, ..plan() };
    let verdict = of_the_broker(&run(script(), &slow));
    assert!(verdict.to_string().contains("held ready records back"), "{verdict}");
    // Nothing is held back where a thousand may be in flight: but less is acknowledged than is due.
    let verdict = of_the_broker(&run(script(), &Plan { inflight_max: 1_000, ..slow }));
    assert!(verdict.to_string().contains("of what was due"), "{verdict}");
}

#[test]
fn the_rate_that_was_achieved_is_that_of_the_broker() {
    // One batch of at most 31 records every 10 ms: 3,100 of 4,000 records a second. All of them are acknowledged in the end.
    let script = Script { each: Duration::from_millis(10), ..Script::default() };
    let plan = Plan { producers: 1, partitions: 1, warmup: Duration::ZERO, ..plan() };
    let repeat = run(script, &plan).repeat;
    assert_eq!(repeat.acknowledged_in_all, 4_000);
    assert!(repeat.achieved() < 3_400.0, "{}", repeat.achieved());
}

#[test]
fn a_queue_that_grows_slowly_is_seen() {
    // A batch of 21 records every 5.25 ms, and one answered every 5.5 ms: 5 % too much is 45 ms more with every second, which for
    // seven seconds leaves the acknowledged records within what is on its way.
    let script = Script { each: Duration::from_micros(5_500), ..Script::default() };
    let plan = Plan {
        producers: 1,
        partitions: 1,
        inflight_max: 1_000,
        duration: Duration::from_secs(7),
        ..plan()
    };
    let outcome = run(script, &plan);
    let verdict = of_the_broker(&outcome);
    assert!(matches!(verdict, Verdict::Saturated(_)), "{verdict} {:?}", outcome.medians);
}

#[test]
fn every_record_of_the_schedule_is_sent_and_acknowledged() {
    let outcome = run(Script { delay: Duration::from_millis(20), ..Script::default() }, &plan());
    let stage = &outcome.repeat.stages[0];
    assert_eq!((stage.sent, stage.failed), (4_000, 0));
    assert_eq!(outcome.total.of(Kind::Response).count(), 4_000);
    // The answer takes 20 ms; three digits are kept.
    let least = Duration::from_micros(19_980);
    assert!(at(&outcome, Kind::Service, "p50") >= least);
    assert!(at(&outcome, Kind::Response, "p50") >= least);
}

#[test]
fn a_stall_of_a_second_is_in_the_percentiles() {
    // The schedule goes on through the stall: its records wait for up to a second, and every one of them is counted. A load that
    // waits for its answers would have sent ten requests meanwhile and counted ten.
    let stall = Some((Duration::from_millis(700), Duration::from_secs(1)));
    let longer = Plan { duration: Duration::from_secs(2), ..plan() };
    let outcome = run(Script { stall, ..Script::default() }, &longer);
    assert_eq!(outcome.total.of(Kind::Response).count(), 8_000);
    assert!(at(&outcome, Kind::Response, "p99") >= Duration::from_millis(900));
    assert!(at(&outcome, Kind::Response, "p75") >= Duration::from_millis(300));
    assert!(outcome.saturated > 0.1, "{}", outcome.saturated);
    let verdict = of_the_broker(&outcome);
    assert!(matches!(verdict, Verdict::Saturated(_)), "{verdict}");
}

#[test]
fn what_was_due_before_is_not_in_the_rate() {
    // The broker stops in the middle of the warm-up and answers in the measurement: 400 records more than were due in it.
    let stall = Some((Duration::from_millis(100), Duration::from_millis(300)));
    let outcome =
        run(Script { stall, ..Script::default() }, &Plan { inflight_max: 1_000, ..plan() });
    let stage = &outcome.repeat.stages[0];
    assert!(stage.acknowledged <= 4_000 && stage.rate() <= 4_000.0, "{stage:?}");
    assert!(outcome.repeat.acknowledged_in_all == 4_800, "{:?}", outcome.repeat);
    let lines =
        outcome.timeline.iter().filter_map(|line| line.split(',').nth(1)?.parse::<u64>().ok());
    assert!(lines.sum::<u64>() > 4_000, "{:?}", outcome.timeline);
}

#[test]
fn a_stall_that_ends_is_no_overload() {
    // A second of six, which the bound holds back for a sixth of the time: its cost is in the percentiles, and the broker kept up.
    let stall = Some((Duration::from_millis(2_200), Duration::from_secs(1)));
    let longer = Plan { duration: Duration::from_secs(6), ..plan() };
    let outcome = run(Script { stall, ..Script::default() }, &longer);
    assert!(outcome.saturated > 0.05, "{}", outcome.saturated);
    assert!(at(&outcome, Kind::Response, "p99") >= Duration::from_millis(700));
    let stage = &outcome.repeat.stages[0];
    assert!(stage.held_seconds > 0.0 && stage.held_seconds < 0.5, "{}", stage.held_seconds);
    assert_eq!(of_the_broker(&outcome), Verdict::Valid);
}

#[test]
fn a_slow_broker_is_not_taken_for_a_slow_generator() {
    // One request in flight, answered after 20 ms, and a batch due every 5 ms: the bound holds back nearly all the time. The
    // batches that wait for it are open still, and late by the broker's fault.
    let delay = Duration::from_millis(20);
    for keys in [KeySpec::None, KeySpec::Random(100)] {
        let plan = Plan { inflight_max: 1, keys, ..plan() };
        let outcome = run(Script { delay, ..Script::default() }, &plan);
        assert!(outcome.saturated > 0.5, "{keys}: {}", outcome.saturated);
        let lag = at(&outcome, Kind::Lag, "p50");
        assert!(lag < Duration::from_millis(2), "{keys}: {lag:?}");
        assert!(at(&outcome, Kind::Delay, "p50") > lag);
    }
}

#[test]
fn what_is_ready_for_a_broker_goes_in_one_request() {
    // Each producer has a record every half millisecond, for another partition nearly every time, and 5 ms of linger: ten open
    // batches when the first of them has to go. One request for each would fill the bound and measure nothing else.
    let broker =
        FakeBroker::start(Script { delay: Duration::from_millis(10), ..Script::default() });
    let plan = Plan { keys: KeySpec::Random(10_000), partitions: 300, ..plan() };
    let outcome = run_on(&broker, &plan);
    assert_eq!(outcome.total.of(Kind::Response).count(), 4_000);
    let (batches, requests) = broker.batches_and_requests();
    assert!(batches > 3_000, "{batches}");
    assert!(requests * 4 <= batches, "{batches} batches in {requests} requests");
}

#[test]
fn what_is_measured_is_what_the_broker_does() {
    // Every tenth answer takes 200 ms, the others 20 ms; with one request in flight they do not hold each other up. What is due
    // while one is in flight waits for it, and its response says so.
    let script = Script {
        delay: Duration::from_millis(20),
        slow: Some((10, Duration::from_millis(200))),
        ..Script::default()
    };
    let plan = Plan {
        producers: 1,
        inflight_max: 1,
        partitions: 1,
        rate: RateSpec::constant(500),
        ..plan()
    };
    let outcome = run(script, &Plan { duration: Duration::from_secs(3), ..plan });
    let service = outcome.total.of(Kind::Service).histogram().clone();
    // Ten answers take 9 * 20 ms + 200 ms; each carries what was due since the one before: after a slow one ten times as many.
    // Of 190 records then, 100 wait behind the slow answer and leave together in a fast one.
    assert!(service.min() >= 19_900_000, "{}", service.min());
    assert!(service.max() >= 199_000_000, "{}", service.max());
    let slow = service.count_between(150_000_000, 3_600_000_000_000);
    let share = slow as f64 / service.len() as f64;
    // A slow answer's own batch holds 20 ms of records, of 380 ms in a round: 5 %.
    assert!((0.03..=0.12).contains(&share), "{share}");
    // Half of all records are due while a slow one is in flight (200 of 380 ms), and wait for the rest of it and 20 ms more.
    let response = outcome.total.of(Kind::Response).histogram().clone();
    let waited = response.count_between(60_000_000, 3_600_000_000_000) as f64;
    let share = waited / response.len() as f64;
    assert!((0.38..=0.9).contains(&share), "{share}");
}

#[test]
fn the_latencies_are_those_of_the_brokers_own_clock() {
    // The broker notes when each produce came and when its answer left: on a busy machine that is later than the script has it, and the
    // harness is held against the note. Nothing that it reports may be shorter than the script, and in the best of some runs its median
    // is no more than 3 ms above the note. A record waits for its batch up to 5 ms before: that is `delay`, and in no `service`.
    let delay = Duration::from_millis(30);
    let (mut best, mut delays) = (Duration::MAX, Duration::MAX);
    for _ in 0..5 {
        let broker = FakeBroker::start(Script { delay, ..Script::default() });
        let outcome = run_on(&broker, &Plan { inflight_max: 1_000, ..plan() });
        let (median, noted) = (at(&outcome, Kind::Service, "p50"), broker.median_answer());
        // Three digits are kept.
        assert!(median >= Duration::from_micros(29_970), "{median:?} {noted:?}");
        best = best.min(median.saturating_sub(noted));
        // Half of the records wait for half of the linger or longer.
        let waited = at(&outcome, Kind::Delay, "p50");
        assert!(waited >= Duration::from_millis(1), "{waited:?}");
        delays = delays.min(waited);
        if best < Duration::from_millis(3) && delays < Duration::from_millis(6) {
            return;
        }
    }
    panic!("service {best:?} above the broker's own, delay {delays:?}");
}

#[test]
fn what_a_consumer_waits_for_is_in_the_end_to_end_latency() {
    // What is stored shows 100 ms later: no record can come sooner after it was due, and in the best of some runs half of them come
    // within 25 ms more (5 ms of linger, and a fetch that looks every millisecond).
    let hidden = Duration::from_millis(100);
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let outcome =
            run(Script { hidden, ..Script::default() }, &Plan { verify: false, ..verified() });
        let e2e = outcome.total.of(Kind::EndToEnd);
        assert_eq!(e2e.count(), 4_000);
        assert!(e2e.histogram().min() >= 99_900_000, "{}", e2e.histogram().min());
        // The producer had its answer long before.
        best = best.min(at(&outcome, Kind::EndToEnd, "p50"));
        if best < Duration::from_millis(125) {
            return;
        }
    }
    panic!("{best:?}");
}

#[test]
fn a_produce_that_is_never_answered_is_given_up_at_the_time_out() {
    // The connection stays open: only the clock can tell. What waited is counted at the time-out, and what came after it goes on.
    let timeout = Duration::from_millis(700);
    let plan =
        Plan { timeout, warmup: Duration::ZERO, duration: Duration::from_secs(2), ..verified() };
    let outcome = run(Script { silent: Some(30), ..Script::default() }, &plan);
    let stage = &outcome.repeat.stages[0];
    assert!(stage.failed > 0 && stage.acknowledged > 0, "{stage:?}");
    assert_eq!(stage.errors.get("timed out"), Some(&stage.failed), "{:?}", stage.errors);
    let response = outcome.total.of(Kind::Response);
    assert_eq!((response.count(), response.censored()), (8_000, stage.failed));
    let late = response.histogram().count_between(699_000_000, u64::MAX);
    assert!(late >= stage.failed, "{late} of {}", stage.failed);
    // It was stored all the same: of unknown fate, and no fault of the broker's.
    let verdict = outcome.repeat.verify.unwrap();
    assert!(verdict.is_clean() && verdict.unknown > 0, "{verdict} {:?}", verdict.findings);
}

#[test]
fn a_fetch_that_is_never_answered_is_asked_again_at_the_time_out() {
    let timeout = Duration::from_millis(700);
    let plan = Plan {
        timeout,
        consumers: 1,
        warmup: Duration::ZERO,
        duration: Duration::from_secs(2),
        ..verified()
    };
    let outcome = run(Script { silent_fetch: Some(20), ..Script::default() }, &plan);
    let errors = &outcome.repeat.stages[0].errors;
    assert!(errors.contains_key("fetch timed out"), "{errors:?}");
    // Everything is read in the end, and what waited for the time-out says so.
    let verdict = outcome.repeat.verify.as_ref().unwrap();
    assert!(verdict.is_clean(), "{verdict} {:?}", verdict.findings);
    // All but a produce that a busy machine had given up at the same time-out.
    let given_up = outcome.repeat.stages[0].failed;
    assert!((8_000 - given_up..=8_000).contains(&verdict.received), "{verdict}, {given_up}");
    assert!(at(&outcome, Kind::EndToEnd, "max") >= Duration::from_millis(650));
}

#[test]
fn a_sound_broker_passes() {
    for keys in [KeySpec::None, KeySpec::Random(100), KeySpec::Sequential] {
        let outcome = run(Script::default(), &Plan { keys, ..verified() });
        let verdict = outcome.repeat.verify.unwrap();
        assert!(verdict.is_clean(), "{keys}: {verdict} {:?}", verdict.findings);
        // Warm-up and measurement: 1.2 s at 4,000 a second.
        assert_eq!(verdict.received, 4_800, "{keys}");
        assert_eq!(outcome.total.of(Kind::EndToEnd).count(), 4_000, "{keys}");
    }
}

#[test]
fn every_group_reads_everything() {
    let outcome = run(Script::default(), &Plan { groups: 3, topics: 2, ..verified() });
    let verdict = outcome.repeat.verify.unwrap();
    assert!(verdict.is_clean(), "{verdict} {:?}", verdict.findings);
    assert_eq!(verdict.received, 3 * 4_800);
}

#[test]
fn what_was_never_received_is_in_the_percentiles() {
    // One of three partitions is acknowledged and never served: a third of the records of either group.
    let plan = Plan { consumers: 1, groups: 2, drain: Duration::from_secs(1), ..plan() };
    let outcome = run(Script { mute: Some(1), ..Script::default() }, &plan);
    let (stage, e2e) = (&outcome.repeat.stages[0], outcome.total.of(Kind::EndToEnd));
    assert_eq!(e2e.count(), 2 * 4_000);
    assert_eq!(e2e.censored(), stage.missing);
    assert!((2_000..=3_300).contains(&stage.missing), "{}", stage.missing);
    // With the time-out, as whatever else was given up.
    assert!(at(&outcome, Kind::EndToEnd, "p90") >= Duration::from_secs(29));
    let in_the_log: u64 =
        outcome.intervals.iter().map(|i| i.latencies.of(Kind::EndToEnd).count()).sum();
    assert_eq!(in_the_log, 2 * 4_000);
    let verdict = of_the_broker(&outcome);
    assert!(verdict.to_string().contains("not received in time"), "{verdict}");
}

#[test]
fn a_lost_batch_is_named() {
    let verdict = verdict(Script { lose: Some(40), ..Script::default() });
    assert!(verdict.lost > 0 && verdict.duplicates == 0, "{verdict}");
    assert!(verdict.findings[0].starts_with("lost: producer"), "{:?}", verdict.findings);
}

#[test]
fn a_doubled_batch_is_named() {
    let verdict = verdict(Script { double: Some(40), ..Script::default() });
    assert!(verdict.duplicates > 0 && verdict.lost == 0, "{verdict}");
    assert!(verdict.findings[0].starts_with("duplicate: producer"), "{:?}", verdict.findings);
}

#[test]
fn a_swapped_batch_is_named() {
    // Keys fill every partition's batch at once, so that the two batches are of one producer often enough to be told apart from
    // two producers' batches, whose order means nothing; a single producer makes it certain.
    let plan = Plan { producers: 1, ..verified() };
    let verdict = run(Script { swap: Some(40), ..Script::default() }, &plan).repeat.verify.unwrap();
    assert!(verdict.reordered > 0 && verdict.lost == 0, "{verdict}");
    assert!(verdict.findings[0].starts_with("out of order: producer 0"), "{:?}", verdict.findings);
}

#[test]
fn an_altered_record_is_named() {
    let verdict = verdict(Script { alter: Some(40), ..Script::default() });
    assert_eq!(verdict.corrupt, 1, "{verdict}");
    assert!(
        verdict.findings.iter().any(|f| f.starts_with("corrupt: partition")),
        "{:?}",
        verdict.findings
    );
}

#[test]
fn what_is_received_is_there_without_the_generators_lag_as_well() {
    for keys in [KeySpec::None, KeySpec::Random(100)] {
        let plan = Plan { groups: 2, verify: false, keys, ..verified() };
        let outcome = run(Script { delay: Duration::from_millis(5), ..Script::default() }, &plan);
        let [whole, prompt] =
            [Kind::EndToEnd, Kind::PromptEndToEnd].map(|kind| outcome.total.of(kind));
        assert_eq!((whole.count(), prompt.count()), (8_000, 8_000));
        let mean = |latency: &Latency| latency.mean().unwrap();
        assert!(mean(prompt) <= mean(whole), "{} {}", mean(prompt), mean(whole));
        // Not less than the broker took, and the linger of most.
        assert!(mean(prompt) > 2e6, "{}", mean(prompt));
    }
}

#[test]
fn a_refused_batch_is_counted_at_the_time_out() {
    let refused = Script { refuse: Some((60, 19)), ..Script::default() };
    let outcome = run(refused, &Plan { warmup: Duration::ZERO, ..verified() });
    let stage = &outcome.repeat.stages[0];
    assert!(stage.failed > 0);
    assert_eq!(stage.errors.get("NOT_ENOUGH_REPLICAS"), Some(&stage.failed));
    let response = outcome.total.of(Kind::Response);
    assert_eq!((response.count(), response.censored()), (4_000, stage.failed));
    // What failed is in the response without the generator's lag as well: the one is held against the other.
    let prompt = outcome.total.of(Kind::Prompt);
    assert_eq!((prompt.count(), prompt.censored()), (4_000, stage.failed));
    assert!(at(&outcome, Kind::Response, "max") >= Duration::from_secs(29));
    let verdict = outcome.repeat.verify.unwrap();
    assert!(verdict.is_clean() && verdict.unknown >= stage.failed, "{verdict}");
}

#[test]
fn a_broken_connection_is_made_anew() {
    for idempotent in [false, true] {
        let script = Script { hang_up: Some(60), ..Script::default() };
        let outcome = run(script, &Plan { idempotent, warmup: Duration::ZERO, ..verified() });
        let stage = &outcome.repeat.stages[0];
        assert!(stage.failed > 0 && stage.acknowledged > 0, "{stage:?}");
        let verdict = outcome.repeat.verify.unwrap();
        assert!(verdict.is_clean() && verdict.unknown > 0, "{verdict} {:?}", verdict.findings);
        assert_eq!(outcome.total.of(Kind::Response).count(), 4_000);
    }
}

#[test]
fn sequences_of_idempotent_producers_have_no_gaps() {
    // The fake broker refuses any other sequence with OUT_OF_ORDER_SEQUENCE_NUMBER.
    let plan = Plan { idempotent: true, keys: KeySpec::Zipf(1.0, 50), ..verified() };
    let outcome = run(Script { delay: Duration::from_millis(3), ..Script::default() }, &plan);
    assert_eq!(outcome.repeat.stages[0].failed, 0, "{:?}", outcome.repeat.stages[0].errors);
    assert!(outcome.repeat.verify.unwrap().is_clean());
}

#[test]
fn every_codec_comes_back_as_it_went() {
    for codec in Codec::ALL {
        let broker = FakeBroker::start(Script::default());
        let outcome = run_on(&broker, &Plan { codec, ..verified() });
        let verdict = outcome.repeat.verify.unwrap();
        assert!(verdict.is_clean(), "{codec}: {verdict} {:?}", verdict.findings);
        assert_eq!(verdict.received, 4_800, "{codec}");
        assert_eq!(broker.codecs(), 1 << codec.number(), "{codec}");
    }
}

#[test]
fn without_acknowledgements_the_consumers_tell() {
    let outcome = run(Script::default(), &Plan { acks: Acks::None, ..verified() });
    assert_eq!(outcome.total.of(Kind::EndToEnd).count(), 4_000);
    assert!(outcome.repeat.verify.unwrap().is_clean());
}

#[test]
fn poisson_arrivals_and_ramps_are_counted_by_stage() {
    let rate = RateSpec::Stages(vec![1_000, 4_000]);
    let plan = Plan { rate, arrival: Arrival::Poisson, ..plan() };
    let outcome = run(Script::default(), &plan);
    let sent: Vec<u64> = outcome.repeat.stages.iter().map(|stage| stage.sent).collect();
    // Half a second each; five standard deviations.
    assert!((388..=612).contains(&sent[0]) && (1_776..=2_224).contains(&sent[1]), "{sent:?}");
    assert!(outcome.repeat.stages.iter().all(|stage| stage.failed == 0));
}

#[test]
fn as_fast_as_it_goes_stays_within_the_bound() {
    let delay = Duration::from_millis(50);
    let plan = Plan { rate: RateSpec::Max, inflight_max: 2, ..verified() };
    let outcome = run(Script { delay, ..Script::default() }, &plan);
    let stage = &outcome.repeat.stages[0];
    // Two producers with two requests in flight, each answered after 50 ms and holding one batch of at most 4 KiB: 31 records.
    let most = 2 * 2 * 31 * (1_000 / 50 + 1);
    assert!(stage.acknowledged > 0 && stage.acknowledged <= most, "{}", stage.acknowledged);
    // Nearly all the time is the broker's: the bound says so.
    assert!(stage.saturated > 0.5, "{}", stage.saturated);
    assert!(outcome.repeat.verify.unwrap().is_clean());
}

#[test]
fn a_backlog_is_caught_up() {
    let plan = Plan { backlog_bytes: 2 << 20, consumers: 2, ..plan() };
    let outcome = run(Script::default(), &plan);
    assert!(outcome.repeat.backlog_seconds.is_some());
    // Only what was due in the window is timed.
    assert_eq!(outcome.total.of(Kind::EndToEnd).count(), 4_000);
}

#[test]
fn a_consumer_reads_no_faster_than_it_is_told_to() {
    // 2 MiB of backlog in 1.2 s of load, asked for at 1 MiB a second by each of two consumers: no broker is so fast that they have it
    // much sooner than in a second. What they may save up is a tenth of one.
    let plan = Plan {
        backlog_bytes: 2 << 20,
        consumers: 2,
        read_bytes_per_second: Some(1 << 20),
        fetch_bytes: 64 << 10,
        partitions: 4,
        ..plan()
    };
    let outcome = run(Script::default(), &plan);
    let seconds = outcome.repeat.backlog_seconds.expect("the backlog was read");
    assert!(seconds > 0.5, "{seconds}");
}

#[test]
fn what_lies_there_is_read_again_from_its_first_record() {
    // As above: so many bytes are read no sooner than in half a second, the first time and the second. From the end on there is nothing
    // to catch up with.
    let reading = Plan {
        consumers: 2,
        read_bytes_per_second: Some(1 << 20),
        fetch_bytes: 64 << 10,
        partitions: 4,
        ..plan()
    };
    let first = Plan { backlog_bytes: 2 << 20, ..reading.clone() };
    let second = Plan { from_start: true, ..reading };
    let mut target = Target::discover(&[FakeBroker::start(Script::default()).address()]).unwrap();
    target.use_topics(vec!["read-twice".into()], 4, 1, &[]).unwrap();
    let (target, clock) = (Arc::new(target), Clock::start());
    for plan in [first, second] {
        let outcome = trial(&Arc::new(plan), &target, clock, clock.now(), 0, &mut |_| ()).unwrap();
        let seconds = outcome.repeat.backlog_seconds.expect("it was read");
        assert!(seconds > 0.5, "{seconds}");
    }
}

#[test]
fn a_generator_that_cannot_keep_up_says_so() {
    // No machine makes 300 million records a second on one thread, and neither bound is in the way.
    let plan = Plan {
        rate: RateSpec::constant(300_000_000),
        size: SizeSpec::Fixed(16),
        producers: 1,
        inflight_max: 10_000,
        buffer_bytes: 1 << 40,
        batch_bytes: 64 << 10,
        warmup: Duration::ZERO,
        duration: Duration::from_millis(300),
        drain: Duration::from_millis(300),
        ..plan()
    };
    let outcome = run(Script { discard: true, ..Script::default() }, &plan);
    let verdict = outcome.verdict(true, plan.judged);
    assert!(matches!(verdict, Verdict::Invalid(_)), "{verdict} {:?}", outcome.repeat.generator);
    assert!(verdict.to_string().starts_with("INVALID(generator)"));
}

#[test]
fn nobody_there_is_said() {
    let failure = Target::discover(&["127.0.0.1:1".to_owned()]).unwrap_err();
    assert_eq!(failure.code(), 4, "{failure}");
}
