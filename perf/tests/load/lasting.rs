//! A broker that is away for a while, and one that does not take what is written before a run.

use std::time::Duration;

use ringwood_perf::load::Plan;

use crate::{
    attempt,
    fake_broker::{FakeBroker, Script},
    plan, run_on, target,
};

#[test]
fn a_broker_that_comes_back_after_a_thousand_attempts_is_found() {
    let broker = FakeBroker::start(Script { away: Some((20, 1_000)), ..Script::default() });
    let plan = Plan {
        producers: 1,
        drain: Duration::from_secs(120),
        reconnect_pause: Duration::from_micros(100),
        warmup: Duration::ZERO,
        ..plan()
    };
    let outcome = run_on(&broker, &plan);
    assert_eq!(broker.away(), 0);
    let stage = &outcome.repeat.stages[0];
    assert_eq!(outcome.repeat.acknowledged_in_all + stage.failed, 4_000, "{stage:?}");
    // What was in flight when it went, and nothing of what was due after it.
    assert!(stage.failed > 0 && stage.failed < 2_000, "{stage:?}");
    assert!(!stage.errors.contains_key("not sent before the run's end"), "{:?}", stage.errors);
}

#[test]
fn a_backlog_ends_with_its_broker() {
    let broker = FakeBroker::start(Script { away: Some((20, u64::MAX)), ..Script::default() });
    let plan = Plan {
        backlog_bytes: 2 << 20,
        consumers: 1,
        backlog_patience: Duration::from_millis(300),
        ..plan()
    };
    let failure = attempt(&target(&broker, &plan), &plan).map(drop).unwrap_err();
    assert_eq!(failure.code(), 4, "{failure}");
    let text = failure.to_string();
    assert!(text.contains("for 300ms while the backlog was written"), "{text}");
}

#[test]
fn a_backlog_that_the_broker_refuses_is_no_backlog() {
    let refused = Script { refuse: Some((40, 29)), ..Script::default() };
    let plan = Plan { backlog_bytes: 2 << 20, consumers: 1, ..plan() };
    let broker = FakeBroker::start(refused);
    let failure = attempt(&target(&broker, &plan), &plan).map(drop).unwrap_err();
    assert_eq!(failure.code(), 8, "{failure}");
    let text = failure.to_string();
    assert!(text.contains("records: TOPIC_AUTHORIZATION_FAILED"), "{text}");
}

#[test]
fn a_backlog_that_shows_late_is_waited_for() {
    let script = Script { end_hidden: Duration::from_millis(300), ..Script::default() };
    let plan = Plan { backlog_bytes: 2 << 20, consumers: 2, ..plan() };
    let broker = FakeBroker::start(script);
    let outcome = attempt(&target(&broker, &plan), &plan).unwrap();
    assert!(outcome.repeat.backlog_seconds.is_some());
}
