//! What readers find, and how they ask for it.

use std::time::{Duration, Instant};

use ringwood_perf::{
    latency::Kind,
    load::{Acks, Plan},
};

use crate::{
    attempt,
    fake_broker::{FakeBroker, Script},
    run, run_on, target, verified,
};

/// Longer than any of these runs.
const NEVER: Duration = Duration::from_secs(3_600);

#[test]
fn what_a_reader_had_not_come_to_is_not_called_lost() {
    // All of it is in the log, and none of it could be read before the wait for it was over.
    let plan = Plan { drain: Duration::from_secs(1), ..verified() };
    let outcome = run(Script { hidden: NEVER, ..Script::default() }, &plan);
    let verdict = outcome.repeat.verify.unwrap();
    assert!(verdict.is_clean(), "{verdict} {:?}", verdict.findings);
    // But a produce that a busy machine had given up.
    assert_eq!(verdict.unread + verdict.unknown, 4_800, "{verdict}");
    assert!(verdict.unread > 0, "{verdict}");
    assert!(verdict.findings[0].starts_with("unread: partition"), "{:?}", verdict.findings);
}

#[test]
fn without_acknowledgements_there_is_to_be_what_was_handed_over() {
    // The log shows its end a moment late, as one does whose flush is still to come.
    let late = Duration::from_millis(300);
    let script = Script { hidden: late, end_hidden: late, ..Script::default() };
    let plan = Plan { acks: Acks::None, drain: Duration::from_secs(20), ..verified() };
    let outcome = run(script, &plan);
    assert_eq!(outcome.total.of(Kind::EndToEnd).count(), 4_000);
    assert_eq!(outcome.repeat.stages[0].missing, 0);
    let verdict = outcome.repeat.verify.unwrap();
    assert!(verdict.is_clean() && verdict.unread == 0, "{verdict} {:?}", verdict.findings);
    assert_eq!(verdict.received, 4_800, "{verdict}");
}

#[test]
fn what_one_repeat_gave_up_may_come_in_the_next() {
    // The broker runs what it has taken to its end, though its client has gone: into the log of the next repeat.
    let broker = FakeBroker::start(Script { withhold: Some(40), ..Script::default() });
    let plan = Plan { producers: 1, drain: Duration::from_secs(1), ..verified() };
    let target = target(&broker, &plan);
    let [first, second] = [(); 2].map(|()| attempt(&target, &plan).unwrap().repeat.verify.unwrap());
    assert!(first.is_clean() && first.unknown > 0 && first.late == 0, "{first}");
    assert!(second.is_clean() && second.late > 0, "{second} {:?}", second.findings);
    assert!(second.late <= first.unknown, "{first}; {second}");
    assert!(second.to_string().ends_with("of an earlier repeat"), "{second}");
}

#[test]
fn a_reader_names_only_what_has_moved() {
    let broker = FakeBroker::start(Script::default());
    let plan = Plan { partitions: 300, consumers: 1, ..verified() };
    let verdict = run_on(&broker, &plan).repeat.verify.unwrap();
    assert!(verdict.is_clean(), "{verdict} {:?}", verdict.findings);
    assert_eq!(verdict.received, 4_800, "{verdict}");
    // All of them once, and then each one that had records in the answer before.
    let (fetches, named, served) = broker.fetches();
    assert!(named <= 300 + served, "{fetches} fetches named {named}; {served} had records");
}

#[test]
fn a_session_that_the_broker_has_let_go_begins_anew() {
    for script in [
        Script { forget_sessions: Some(20), ..Script::default() },
        Script { no_sessions: true, ..Script::default() },
    ] {
        let outcome = run(script.clone(), &Plan { partitions: 30, ..verified() });
        let errors = &outcome.repeat.stages[0].errors;
        assert!(errors.is_empty(), "{script:?}: {errors:?}");
        let verdict = outcome.repeat.verify.unwrap();
        assert!(verdict.is_clean(), "{script:?}: {verdict} {:?}", verdict.findings);
        assert_eq!(verdict.received, 4_800, "{script:?}: {verdict}");
    }
}

#[test]
fn what_was_deleted_before_it_was_read_is_passed_over() {
    let broker = FakeBroker::start(Script { deleted: Some((1, 200)), ..Script::default() });
    let began = Instant::now();
    let plan = Plan { consumers: 1, ..verified() };
    let outcome = run_on(&broker, &plan);
    let errors = &outcome.repeat.stages[0].errors;
    let verdict = outcome.repeat.verify.unwrap();
    assert_eq!((verdict.lost, verdict.unread), (200, 0), "{verdict} {errors:?}");
    assert_eq!(verdict.received, 4_600, "{verdict}");
    // It asks once, looks for where the log begins, and goes on from there: at worst again after each pause.
    let most = began.elapsed().as_millis() / plan.reconnect_pause.as_millis() + 1;
    let astray = u128::from(broker.astray());
    assert!((1..=most).contains(&astray), "{astray} of at most {most}");
}
