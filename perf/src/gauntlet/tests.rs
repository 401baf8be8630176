//! What a scenario is worth, what the baseline is, and what the shell is told.

use std::time::{Duration, SystemTime};

use super::{
    course::{Noise, beside, measured_until, steps, was_beside},
    findings::{BASELINE, Base, Findings, conclude, last_line},
    line::{Line, Played, happened},
    scenarios::{Sign, scenarios},
};
use crate::{
    failure::Failure,
    latency::{Kind, Latencies},
    load::Plan,
    machine::Used,
    measure::Scene,
    run::{Recording, Repeat, Run, Stage, Verdict},
    spec::RateSpec,
    view::Cell,
};

#[test]
fn every_measured_load_is_an_open_loop() {
    for scenario in scenarios(&Plan::default()) {
        assert_ne!(scenario.plan.rate, RateSpec::Max, "{}", scenario.name);
    }
}

#[test]
fn all_nine_scenarios_are_there() {
    let numbers: std::collections::BTreeSet<u32> =
        scenarios(&Plan::default()).iter().map(|scenario| scenario.number).collect();
    assert_eq!(numbers, (1..=9).collect());
}

#[test]
fn the_long_run_is_the_longest() {
    let baseline = Plan { rate: RateSpec::constant(20_000), ..Plan::default() };
    let all = scenarios(&baseline);
    let long = all.iter().find(|scenario| scenario.number == 2).unwrap();
    assert!(all.iter().all(|scenario| scenario.plan.duration <= long.plan.duration));
    assert_eq!(long.plan.duration, baseline.duration * 5);
}

#[test]
fn what_the_device_took_beside_a_neighbour_is_told_with_what_it_can_take() {
    let used = Used { seconds: 4.0, written_bytes: 800 << 20, ..Used::default() };
    let told = |neighbour: Option<Run>, device| {
        let repeats = vec![Repeat { broker: Some(used), ..Repeat::default() }];
        let (run, total) = (Run { repeats, ..Run::default() }, Latencies::default());
        let warmup = Duration::from_secs(2);
        happened(&Played { run, total, neighbour, warmup, signs: &[], device })
    };
    let beside = || Some(Run::default());
    let ceiling = Some(f64::from(400 << 20));
    assert!(told(beside(), ceiling).ends_with("device 200.0 MiB/s of 400.0 MiB/s"));
    assert!(told(beside(), None).ends_with("device 200.0 MiB/s"));
    assert_eq!(told(None, ceiling), "");
}

#[test]
fn a_backlog_that_was_read_before_the_measurement_is_told() {
    let told = |backlog_seconds| {
        let mut run = Run::default();
        run.load.insert("backlog".into(), "2.0 GiB".into());
        run.repeats.push(Repeat { backlog_seconds, ..Default::default() });
        let warmup = Duration::from_secs(2);
        let total = Latencies::default();
        happened(&Played { run, total, neighbour: None, warmup, signs: &[], device: None })
    };
    assert_eq!(told(Some(0.2)), "backlog read in 0.2 s, before the measurement");
    assert_eq!(told(Some(9.0)), "backlog read in 9.0 s");
    assert_eq!(told(None), "backlog not read");
}

/// A scenario whose backlog was read too soon, where it is one of a backlog.
fn line(scenario: Option<(u32, &'static str)>, p99: u64, signs: &'static [Sign]) -> Line {
    let mut total = Latencies::default();
    total.of_mut(Kind::Response).record_n(p99, 2_000);
    let early = Repeat { backlog_seconds: Some(0.5), ..Default::default() };
    let (run, warmup) = (Run { repeats: vec![early], ..Run::default() }, Duration::from_secs(2));
    let played = Box::new(Played { run, total, neighbour: None, warmup, signs, device: None });
    Line::Played { name: "x".into(), scenario, played }
}

#[test]
fn the_baseline_is_the_median_of_several_between_the_scenarios() {
    assert_eq!(steps(2, 1), [None, Some(0), Some(1)]);
    assert_eq!(steps(4, 3), [None, Some(0), Some(1), None, Some(2), Some(3), None]);
    for (scenarios, baselines) in [(14, 3), (1, 3), (14, 5), (3, 9)] {
        let steps = steps(scenarios, baselines);
        let count = steps.iter().filter(|step| step.is_none()).count();
        assert_eq!(count, baselines as usize, "{scenarios} {baselines}");
        assert_eq!(steps.iter().flatten().count(), scenarios);
        assert!(steps[0].is_none() && steps.last().is_some_and(Option::is_none));
    }
    // One that had bad luck moves nothing.
    let mut lines: Vec<Line> =
        [4_000_000, 20_000_000, 5_000_000].map(|p99| line(None, p99, &[])).into();
    lines.push(line(Some((8, "noisy")), 10_000_000, &[]));
    let base = Base::of(&lines);
    assert!(base.p99.is_some_and(|p99| (p99 / 5e6 - 1.0).abs() < 0.01), "{base:?}");
    assert!(base.is_steady(), "{base:?}");
    let mut findings = Findings::default();
    lines.iter().for_each(|line| findings.add(line, &base));
    let (ratio, name) = findings.worst.unwrap();
    assert!((ratio - 2.0).abs() < 0.01 && name == "noisy", "{ratio}");
    assert_eq!((findings.played, findings.unknown.len()), (1, 0));
    // None of them is like another: nothing can be held against their median.
    let wild = Base { p99: Some(5e6), all: vec![1e6, 5e6, 20e6], measured: 3 };
    assert!(wild.line().ends_with("; too far apart to tell\n"), "{}", wild.line());
    let mut findings = Findings::default();
    lines.iter().for_each(|line| findings.add(line, &wild));
    assert_eq!((findings.worst, findings.unknown.len()), (None, 1));
    assert_eq!(findings.conclude(Some(2.0)).map_err(|f| f.code()), Err(8));
    // A baseline that came to nothing is no scenario.
    let failure = Failure::Unreachable("gone".into());
    let nothing = Line::Nothing { name: "0 baseline, 2".into(), number: BASELINE, failure };
    findings.add(&nothing, &wild);
    assert_eq!((findings.played, findings.unknown.len(), findings.failures.len()), (1, 1, 1));
    lines.push(nothing);
    assert_eq!((Base::of(&lines).measured, Base::of(&lines).all.len()), (4, 3));
    // Nor is one with which the broker did not keep up a measure: everything would be little beside it.
    let mut saturated = line(None, 900_000_000, &[]);
    if let Line::Played { played, .. } = &mut saturated {
        played.run.verdict = Verdict::Saturated("held".into());
    }
    lines.push(saturated);
    assert_eq!((Base::of(&lines).measured, Base::of(&lines).all.len()), (5, 3));
    let steady = Base { p99: Some(5e6), all: vec![4e6, 5e6, 6e6], measured: 4 };
    let told = "baseline p99: 5.00 ms, median of 3 of 4 from 4.00 ms to 6.00 ms\n";
    assert_eq!(steady.line(), told);
}

#[test]
fn a_scenario_that_was_another_is_not_measured() {
    let base = Base { p99: Some(5e6), all: vec![5e6], measured: 1 };
    let mut findings = Findings::default();
    let backlog = || line(Some((5, "x")), 6_000_000, &[Sign::Backlog]);
    findings.add(&backlog(), &base);
    assert_eq!((findings.worst, &findings.unknown[..]), (None, &["5".to_owned()][..]));
    assert_eq!(findings.conclude(None).map_err(|f| f.code()), Err(8));
    let row = backlog().row(base.p99);
    let text = |cell: Option<&Cell>| cell.map(|cell| cell.text.clone()).unwrap_or_default();
    assert_eq!(text(row.get(6)), "n/a");
    assert_eq!(text(row.last()), "INVALID: the backlog was read before the measurement");
}

#[test]
fn a_scenario_of_the_generators_numbers_is_not_measured() {
    let base = Base { p99: Some(5e6), all: vec![5e6], measured: 1 };
    let mut invalid = line(Some((8, "x")), 6_000_000, &[]);
    if let Line::Played { played, .. } = &mut invalid {
        played.run.verdict = Verdict::Invalid("late".into());
    }
    let mut findings = Findings::default();
    findings.add(&line(Some((1, "x")), 6_000_000, &[]), &base);
    assert_eq!(findings.conclude(None).map_err(|f| f.code()), Ok(()));
    findings.add(&invalid, &base);
    assert_eq!(findings.unknown, ["8"]);
    let failure = findings.conclude(None).unwrap_err();
    assert_eq!(failure.code(), 8, "{failure}");
    assert!(failure.to_string().contains("INVALID(generator): late"), "{failure}");
}

#[test]
fn a_neighbour_is_there_until_the_end_of_what_was_measured_and_not_longer() {
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    // Two seconds of warm-up, twelve that are measured. The last answer came twenty seconds later, and the counters after that.
    let stages = vec![Stage { seconds: 12.0, ..Stage::default() }];
    let repeat = Repeat {
        from_seconds: 2.0,
        stages,
        to_seconds: 34.0,
        loaded_seconds: 34.0,
        ..Repeat::default()
    };
    let run = Run { repeats: vec![repeat], ..Run::default() };
    let until = measured_until(&run, &Recording { started: at(100), ..Recording::default() });
    assert_eq!(until, at(114));
    let stays = |noise| was_beside(true, Noise { until: noise, deleted: at(999) }, until);
    assert_eq!(stays(at(114)), Ok(()));
    let early = stays(at(112)).unwrap_err();
    assert!(early.code() == 8 && early.to_string().contains("2000 ms too early"), "{early}");
    let goes = |deleted| was_beside(false, Noise { until: at(107), deleted }, until);
    assert_eq!(goes(at(113)), Ok(()));
    assert_eq!(goes(at(114)).map_err(|f| f.code()), Err(8));
}

#[test]
fn the_topic_of_a_neighbour_that_goes_is_deleted_whatever_else_stays() {
    let scene = Scene { keep_topics: true, admin: Some("x:1".into()), ..Scene::default() };
    let mut goes = 0;
    for scenario in scenarios(&Plan::default()) {
        let Some(neighbour) = scenario.neighbour else { continue };
        let beside = beside(&scene, &neighbour);
        assert_eq!(beside.keep_topics, neighbour.stays, "{}", scenario.name);
        assert!(beside.quiet && beside.admin.is_none(), "{}", scenario.name);
        goes += u32::from(!neighbour.stays);
    }
    assert_eq!(goes, 1);
}

#[test]
fn records_that_failed_are_in_the_row() {
    let mut line = line(Some((1, "x")), 6_000_000, &[]);
    let text = |line: &Line, column: usize| line.row(Some(5e6))[column].text.clone();
    assert_eq!(text(&line, 10), "valid");
    let refused = |failed, name: &str| Stage {
        failed,
        errors: [(name.to_owned(), failed)].into(),
        ..Stage::default()
    };
    if let Line::Played { played, .. } = &mut line {
        played.run.repeats[0].stages.push(refused(380, "NOT_ENOUGH_REPLICAS"));
        let repeat = Repeat { stages: vec![refused(7, "STORAGE")], ..Repeat::default() };
        played.neighbour = Some(Run { repeats: vec![repeat], ..Run::default() });
    }
    assert_eq!(text(&line, 10), "valid, records failed 380: NOT_ENOUGH_REPLICAS");
    assert!(text(&line, 9).ends_with("of its records failed 7: STORAGE"), "{}", text(&line, 9));
}

static SIGNS: [Sign; 5] =
    [Sign::Retention, Sign::Compaction, Sign::Backlog, Sign::Readers, Sign::Loud];

#[test]
fn every_sign_can_be_missed() {
    let stage = |received, saturated| Stage {
        seconds: 10.0,
        acknowledged: 1_000,
        received,
        saturated,
        ..Default::default()
    };
    let repeat = |stage, backlog_seconds| Repeat {
        stages: vec![stage],
        backlog_seconds,
        ..Default::default()
    };
    let run = |stage, backlog| Run { repeats: vec![repeat(stage, backlog)], ..Run::default() };
    let of = |run: Run, neighbour, sign| {
        let (total, warmup) = (Latencies::default(), Duration::from_secs(2));
        let place = SIGNS.iter().position(|other| *other == sign).unwrap();
        Played { run, total, neighbour, warmup, signs: &SIGNS[place..=place], device: None }
    };
    let lacking = |run: Run, neighbour, sign| !of(run, neighbour, sign).lacking().is_empty();
    let counted = |before: &str, after: &str| {
        let mut run = run(stage(0, 0.0), None);
        let counters = |text: &str| {
            let json = format!("{{\"ringwood_journal_flushes_total\": 1.0{text}}}");
            serde_json::from_str(&json).unwrap()
        };
        run.broker.counters_before = counters(before);
        run.broker.counters_after = counters(after);
        run
    };
    for (sign, name) in [
        (Sign::Retention, "ringwood_kafka_start_offset"),
        (Sign::Compaction, "ringwood_cleaner_dropped_records_total"),
    ] {
        let at = |value: f64| format!(", \"{name}\": {value:.1}");
        // What is gone of other topics, or of a time before, is no sign.
        assert!(lacking(counted(&at(7.0), &at(7.0)), None, sign), "{sign:?}");
        assert!(!lacking(counted(&at(7.0), &at(9.0)), None, sign), "{sign:?}");
        // Nobody tells: that is not held against the broker, and it is said.
        let silent = of(counted("", ""), None, sign);
        assert!(silent.lacking().is_empty() && silent.untold().len() == 1, "{sign:?}");
        assert!(happened(&silent).contains("is not told"), "{sign:?}");
        let told = of(counted(&at(0.0), &at(9.0)), None, sign);
        assert!(told.untold().is_empty() && happened(&told).ends_with("took 9"), "{sign:?}");
    }
    // There was no topic before.
    let first = of(counted("", ", \"ringwood_kafka_start_offset\": 3.0"), None, Sign::Retention);
    assert!(first.lacking().is_empty() && first.untold().is_empty());
    assert!(lacking(run(stage(0, 0.0), Some(0.5)), None, Sign::Backlog));
    assert!(!lacking(run(stage(0, 0.0), Some(9.0)), None, Sign::Backlog));
    assert!(!lacking(run(stage(0, 0.0), None), None, Sign::Backlog), "not read to its end");
    let eight = |received| {
        let mut run = run(stage(received, 0.0), None);
        run.load.insert("groups".into(), "8".into());
        run
    };
    assert!(lacking(eight(3_900), None, Sign::Readers));
    assert!(!lacking(eight(7_900), None, Sign::Readers));
    let beside = |saturated| Some(run(stage(0, saturated), None));
    assert!(lacking(run(stage(0, 0.0), None), beside(0.01), Sign::Loud));
    assert!(!lacking(run(stage(0, 0.0), None), beside(0.6), Sign::Loud));
}

#[test]
fn what_is_to_be_seen_is_asked_of_those_scenarios_that_can_show_it() {
    for scenario in scenarios(&Plan::default()) {
        let of = |sign| scenario.signs.contains(&sign);
        let policy = |name: &str| scenario.topic_config.iter().any(|(n, _)| n == name);
        assert_eq!(of(Sign::Retention), policy("retention.bytes"), "{}", scenario.name);
        assert_eq!(of(Sign::Compaction), policy("cleanup.policy"), "{}", scenario.name);
        assert_eq!(of(Sign::Backlog), scenario.plan.backlog_bytes > 0, "{}", scenario.name);
        assert_eq!(of(Sign::Readers), scenario.plan.groups > 1, "{}", scenario.name);
        let stays = scenario.neighbour.as_ref().is_some_and(|neighbour| neighbour.stays);
        assert_eq!(of(Sign::Loud), stays, "{}", scenario.name);
    }
}

#[test]
fn a_gate_is_not_passed_by_what_is_not_known() {
    type Failures<'a> = &'a [(String, Failure)];
    let code = |failures: Failures<'_>, invalids: &[String], worst, unknown: &[String], bound| {
        let worst = Some((worst, "x"));
        conclude(failures, invalids, worst, unknown, bound).map_or_else(|f| f.code(), |()| 0)
    };
    let one = ["8".to_owned()];
    assert_eq!(code(&[], &[], 1.5, &[], Some(2.0)), 0);
    assert_eq!(code(&[], &[], 2.5, &[], Some(2.0)), 3);
    assert_eq!(code(&[], &[], 1.5, &one, Some(2.0)), 8);
    assert_eq!(code(&[], &[], 1.5, &one, None), 0);
    // A neighbour that had gone too early is a measurement that was none: not the broker's failure.
    assert_eq!(code(&[], &one, 1.5, &one, None), 8);
    let failed = |failure| [("8".to_owned(), failure)];
    let refused = failed(Failure::Assertion("--verify".into()));
    assert_eq!(code(&refused, &one, 1.5, &one, None), 3);
    // A broker that could not be reached in one scenario is that, whatever else there is.
    let gone = failed(Failure::Unreachable("gone".into()));
    assert_eq!(code(&gone, &one, 2.5, &one, Some(2.0)), 4);
    assert_eq!(code(&[gone, refused].concat(), &[], 1.5, &one, None), 3);
}

#[test]
fn the_last_line_has_the_worst_and_what_is_not_known() {
    let text = last_line(Some((3.456, "a noisy neighbour")), 11, &["4".into()]);
    let expected = "worst p99 over baseline p99: 3.46 (a noisy neighbour); at most 2: missed; not told by 1 of 11: 4\n";
    assert_eq!(text, expected);
    assert!(last_line(Some((1.5, "x")), 1, &[]).ends_with("1.50 (x); at most 2: reached\n"));
    assert!(last_line(None, 1, &["8".into()]).contains("not told;"));
}
