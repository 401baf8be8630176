//! The commands as a shell sees them: exit codes, files, and a gate that knows a regression from noise.

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use ringwood_perf::{
    Command,
    hlog::Interval,
    latency::{Kind, Latencies},
    run::{Directory, Recording, Repeat, Run, Stage},
};

use crate::fake_broker::{FakeBroker, Script};

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

/// Runs a command line and gives back its exit code.
pub(crate) fn perf(words: &[&str]) -> u8 {
    let line = Line::try_parse_from(std::iter::once(&"perf").chain(words)).unwrap();
    ringwood_perf::run(line.command)
}

pub(crate) fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    path
}

/// `perf run` of half a second against this broker, kept in `out`.
fn run(broker: &FakeBroker, out: &Path, more: &[&str]) -> u8 {
    let address = broker.address();
    let out = out.display().to_string();
    let mut words = vec!["run", "-b", &address, "--out", &out, "--warmup", "500ms"];
    words.extend(["--size", "120", "--partitions", "2", "--producers", "2", "--batch", "4KiB"]);
    for (name, value) in [("--rate", "4k"), ("--duration", "500ms"), ("--linger", "5ms")] {
        let is_searched = name == "--rate" && more.contains(&"--find-max");
        if !more.contains(&name) && !is_searched {
            words.extend([name, value]);
        }
    }
    words.extend(more);
    perf(&words)
}

/// A broker so slow that no other work on the machine makes the generator's lateness matter beside it.
fn slow() -> Script {
    Script { delay: Duration::from_millis(300), ..Script::default() }
}

const AT_ONCE: [&str; 2] = ["--max-inflight", "1000"];

fn of(path: &Path) -> Run {
    Directory::at(path).run().unwrap()
}

#[test]
fn a_run_leaves_its_directory() {
    let out = scratch("a-run");
    let more = [&AT_ONCE[..], &["--verify", "--consumers", "1"]].concat();
    assert_eq!(run(&FakeBroker::start(slow()), &out, &more), 0);
    for name in [
        "run.json",
        "broker.json",
        "response.hgrm",
        "service.hgrm",
        "e2e.hgrm",
        "intervals.hlog",
        "timeline.csv",
        "report.html",
    ] {
        let text = std::fs::read(out.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(!text.is_empty(), "{name}");
    }
    // It is that of a run that has ended, and nothing beside it says otherwise.
    let log = std::fs::read_to_string(out.join("intervals.hlog")).unwrap();
    assert!(!log.contains("unfinished") && !out.join("intervals.hlog.part").exists(), "{log}");
    let stage = &of(&out).repeats[0].stages[0];
    assert_eq!((stage.sent, stage.failed), (2_000, 0));
    // Who was met is there on its own as well, with its process before and after: here it is this one.
    let met = Directory::at(&out).broker().unwrap();
    assert_eq!(met.fingerprint, "Ringwood 0.0-fake");
    assert_eq!((met.before.len(), met.after.len()), (1, 1));
    assert!(met.cpu_seconds().is_some_and(|seconds| seconds > 0.0));
    // The device is that of the directory that the broker named and that is not broken, not that of `--out`.
    assert_eq!(met.settings["log.dirs"], env!("CARGO_TARGET_TMPDIR"));
    let storage = of(&out).machine.storage.unwrap();
    assert_eq!(storage.directory, Path::new(env!("CARGO_TARGET_TMPDIR")));
    // Added up again, the seconds of the log are the run.
    let total = Directory::at(&out).log().unwrap().total();
    let response = total.values().next().unwrap();
    assert_eq!(response.count(), stage.latency["response"].count);
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("<svg") && !page.contains("<script") && !page.contains("src="));
    let out = out.display().to_string();
    for words in [&["show", &out, "--hist", "--timeline", "--heatmap"][..], &["compare", &out]] {
        assert_eq!(perf(words), 0, "{words:?}");
    }
}

#[test]
fn a_rate_of_the_broker_is_one_of_the_time_under_load() {
    let (out, broker) = (scratch("counters"), FakeBroker::start(slow()));
    let admin = broker.admin();
    let more = [&AT_ONCE[..], &["--admin", &admin]].concat();
    let began = Instant::now();
    assert_eq!(run(&broker, &out, &more), 0);
    let took = began.elapsed().as_secs_f64();
    let run = of(&out);
    let (batches, requests) = broker.batches_and_requests();
    assert!(batches >= requests && requests > 0);
    let inside = run.broker.inside().unwrap();
    assert!((inside.flushes - requests as f64).abs() < 1e-9, "{inside:?}");
    // Half a second of warm-up, half of measurement, and 0.3 s for the last answer. Reading the counters takes 1.2 s each time, in
    // which nothing is sent.
    let loaded = run.broker.counted_seconds;
    assert!(loaded >= 1.25 && loaded <= took - 2.4, "{loaded} of {took}");
    let rate = inside.flushes_per_second.unwrap();
    assert!((rate * loaded - inside.flushes).abs() < 1e-6, "{inside:?}");
}

#[test]
fn quick_deletes_nothing_while_it_measures() {
    // As fast as it goes is 50 produces a second here. Whether the run was valid is another question.
    let script = Script { each: Duration::from_millis(20), ..Script::default() };
    let broker = FakeBroker::start(script);
    let _ = perf(&["quick", "-b", &broker.address()]);
    let (batches, _) = broker.batches_and_requests();
    assert!(batches > 100, "{batches}");
    assert_eq!(broker.batches_at_deletion(), Some(batches));
}

#[test]
fn a_curve_carries_what_it_kept_up_with_for_a_whole_measurement() {
    let broker = FakeBroker::start(Script::default());
    let (address, out) = (broker.address(), scratch("curve"));
    std::fs::create_dir_all(&out).unwrap();
    let [json, markdown] =
        ["points.json", "table.md"].map(|name| out.join(name).display().to_string());
    let mut words = vec!["curve", "-b", &address, "--partitions", "1", "--sizes", "100"];
    words.extend(["--rate", "1k", "--doublings", "1", "--duration", "2s"]);
    words.extend(["--json", &json, "--markdown", &markdown]);
    // Whether the generator was in time is another question.
    let code = perf(&words);
    assert!(matches!(code, 0 | 8), "{code}");
    let text = std::fs::read_to_string(&json).unwrap();
    let points: serde_json::Value = serde_json::from_str(&text).unwrap();
    let of = |name: &str| points[0][name].as_f64().unwrap();
    // The best stage had 2,000 a second. On a busy machine less than 0.95 of that is kept for as long as a measurement lasts, and the
    // rate at which the percentiles are taken at the least.
    assert!(of("ramp_best") > 1_900.0, "{text}");
    assert!(points[0]["confirmed"].as_bool().unwrap(), "{text}");
    assert!(of("carried") < of("ramp_best") * 0.97, "{text}");
    assert!(of("carried") > 980.0, "{text}");
    // What it carries has been read, all of it: a reader that is behind is an overload.
    let (fetches, _, served) = broker.fetches();
    assert!(of("read") > 0.0 && served > 0, "{text}: {fetches} fetches");
    // Three measurements or more, and no topic was deleted between them.
    let (batches, _) = broker.batches_and_requests();
    assert_eq!(broker.batches_at_deletion(), Some(batches));
    let table = std::fs::read_to_string(&markdown).unwrap();
    let row = table.lines().find(|line| line.starts_with("| 100 B, 1 |")).unwrap();
    assert_eq!(row.matches('|').count(), 12, "{table}");
}

#[test]
fn a_stall_beside_as_fast_as_it_goes_is_in_the_percentiles() {
    // The baseline takes six seconds; then come the neighbour, five seconds later the warm-up, and the measurement from about the 13th
    // to the 17th. The broker stops for a second and a half of it: a closed loop would have counted a few records.
    let script = Script {
        each: Duration::from_micros(500),
        stall: Some((Duration::from_millis(14_500), Duration::from_millis(1_500))),
        discard: true,
        ..Script::default()
    };
    let (broker, out) = (FakeBroker::start(script), scratch("gauntlet-4"));
    let (address, kept) = (broker.address(), out.display().to_string());
    let more = ["--scenario", "4", "--rate", "2k", "--duration", "4s", "--out", &kept];
    let code = perf(&[&["gauntlet", "-b", &address, "--baselines", "1"][..], &more].concat());
    assert!(matches!(code, 0 | 8), "{code}");
    let total =
        Directory::at(out.join("4-acks=1-beside-as-fast-as-it-goes")).log().unwrap().total();
    let response = &total[&Kind::Response];
    assert!(response.count() >= 8_000, "{}", response.count());
    let slow = response.histogram().count_between(500_000_000, u64::MAX);
    assert!(slow >= 500, "{slow} of {} waited for half a second", response.count());
}

#[test]
fn exit_codes_say_what_happened() {
    let out = scratch("codes");
    let reading = [&AT_ONCE[..], &["--verify", "--consumers", "1", "--drain", "1s"]].concat();
    let losing = FakeBroker::start(Script { lose: Some(20), ..slow() });
    assert_eq!(run(&losing, &out, &reading), 3, "a lost batch");
    let unread = FakeBroker::start(Script { hidden: Duration::from_secs(3_600), ..slow() });
    assert_eq!(run(&unread, &out, &reading), 8, "readers that read nothing");
    let verify = of(&out).repeats[0].verify.clone().unwrap();
    assert!(verify.unread > 0 && verify.lost == 0, "{verify}");
    let broker = FakeBroker::start(slow());
    let bound = |condition| [&AT_ONCE[..], &["--fail-if", condition]].concat();
    assert_eq!(run(&broker, &out, &bound("p99 > 100ms")), 3, "a bound that is passed");
    assert_eq!(run(&broker, &out, &bound("p99 > 10s")), 0, "a bound that is kept");
    assert_eq!(run(&broker, &out, &bound("p99 > +10%")), 2, "a difference to nothing");
    assert_eq!(run(&broker, &out, &["--verify"]), 2, "nobody to read");
    assert_eq!(perf(&["run", "-b", "127.0.0.1:1"]), 4, "nobody there");
    assert_eq!(perf(&["show", "/nonexistent"]), 1, "no such run");
}

#[test]
fn an_invalid_run_has_no_numbers() {
    let out = scratch("invalid");
    let broker = FakeBroker::start(Script { discard: true, ..Script::default() });
    let (address, kept) = (broker.address(), out.display().to_string());
    // No machine makes 300 million records a second on one thread.
    let mut words = vec!["run", "-b", &address, "--out", &kept, "--rate", "300M", "--size", "16"];
    words.extend(["--batch", "64KiB", "--producers", "1", "--max-inflight", "10000"]);
    words.extend(["--partitions", "2", "--warmup", "0", "--duration", "300ms", "--drain", "300ms"]);
    assert_eq!(perf(&words), 8);
    let run = of(&out);
    assert!(run.verdict.to_string().starts_with("INVALID(generator)"), "{}", run.verdict);
    for summary in run.repeats[0].stages[0].latency.values() {
        assert!(summary.mean.is_none() && summary.percentiles.values().all(Option::is_none));
    }
    // Nor can it pass a gate, and no file of it says more than the run.
    assert_eq!(perf(&["compare", &kept, &kept, "--fail-if", "p99 > +10%"]), 8);
    for file in ["intervals.hlog", "response.hgrm"] {
        let file = out.join(file).display().to_string();
        assert_eq!(perf(&["compare", &file, &file, "--fail-if", "max > 1h"]), 8, "{file}");
    }
    assert_eq!(perf(&["show", &kept, "--hist", "--timeline", "--heatmap"]), 0);
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(!page.contains("Latency by percentile") && !page.contains("over time"));
}

#[test]
fn a_run_keeps_the_brokers_own_log_and_compare_reads_a_stage_of_it() {
    let (out, broker) = (scratch("broker-log"), FakeBroker::start(slow()));
    let admin = broker.admin();
    let more = [&AT_ONCE[..], &["--admin", &admin]].concat();
    assert_eq!(run(&broker, &out, &more), 0);
    let log = out.join("broker.hlog").display().to_string();
    let (_, produces) = broker.batches_and_requests();
    let total = ringwood_perf::hlog::of_tag(&std::fs::read(&log).unwrap(), "Produce.total");
    assert_eq!(total.map(|total| total.count()), Ok(produces));
    let kept = out.display().to_string();
    let json = out.join("compared.json").display().to_string();
    // A file of `ringwood latency export` beside a run directory.
    let words = ["compare", &log, &kept, "--tag", "Produce.total", "--percentiles", "p50"];
    assert_eq!(perf(&[&words[..], &["--json", &json]].concat()), 0);
    let told: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(told["metric"], "Produce.total");
    for place in [0, 1] {
        let p50 = &told["runs"][place]["nanoseconds"]["p50"];
        assert!((p50["value"].as_f64().unwrap() / 3e6 - 1.0).abs() < 0.001, "{told}");
    }
    // Both stages together are no distribution of anything.
    assert_eq!(perf(&["compare", &log, &log]), 1);
    assert_eq!(perf(&["compare", &log, &kept, "--tag", "Produce.none"]), 1);
    // A run under the same name without --admin has none.
    assert_eq!(run(&broker, &out, &AT_ONCE), 0);
    assert!(!out.join("broker.hlog").exists());
    assert_eq!(perf(&["compare", &kept, "--tag", "Produce.total"]), 1);
}

#[test]
fn the_highest_rate_is_found() {
    // One produce every 4 ms, of one batch of at most 31 records for each of two partitions: no more than 15,500 a second, and
    // no less than a batch a produce: 7,750.
    let broker = FakeBroker::start(Script { each: Duration::from_millis(4), ..Script::default() });
    let out = scratch("find-max");
    let more = ["--find-max", "p99<150ms", "--duration", "1s", "--drain", "3s"];
    let code = run(&broker, &out, &more);
    // On a machine that is busy the generator may be the bound: then it says so and names no rate.
    if code == 8 {
        println!("SKIPPED: the generator was the bound; nothing was proved here");
        return;
    }
    assert_eq!(code, 0);
    let found = of(&out).repeats[0].stages[0].target.unwrap();
    assert!((3_000.0..=16_500.0).contains(&found), "{found}");
    // No try had the deletion of another's topic in its percentiles.
    let (batches, _) = broker.batches_and_requests();
    assert!(batches > 100, "{batches}");
    assert_eq!(broker.batches_at_deletion(), Some(batches));
    let never = ["--find-max", "p99<100ms", "--duration", "300ms"];
    let code = run(&FakeBroker::start(slow()), &out, &never);
    assert!(matches!(code, 3 | 8), "no rate is low enough: {code}");
}

#[test]
fn a_planted_regression_shuts_the_gate_and_noise_does_not() {
    // Ten repeats of each: a baseline, the same again, and one whose broker answers a fifth later.
    let repeated = |name: &'static str, delay: u64| {
        thread::spawn(move || {
            let script = Script { delay: Duration::from_millis(delay), ..Script::default() };
            let out = scratch(name);
            let more = [&AT_ONCE[..], &["--repeat", "10"]].concat();
            // Other work on the machine may spoil a run: then it is made again.
            for _ in 0..4 {
                if run(&FakeBroker::start(script.clone()), &out, &more) == 0 {
                    return out.display().to_string();
                }
            }
            panic!("{name}: no valid run in four");
        })
    };
    let runs = [("gate-a", 300), ("gate-b", 300), ("gate-c", 360)].map(|(n, d)| repeated(n, d));
    let [baseline, noise, planted] = runs.map(|run| run.join().unwrap());
    let gate =
        |run: &str, condition: &str| perf(&["compare", &baseline, run, "--fail-if", condition]);
    for condition in ["p50 > +10%", "p90 > +10%", "mean > +10%"] {
        assert_eq!(gate(&noise, condition), 0, "{condition}");
        assert_eq!(gate(&planted, condition), 3, "{condition}");
    }
    assert_eq!(gate(&planted, "p50 > +30%"), 0, "a bound that the regression keeps");
    assert_eq!(gate(&planted, "rate < -5%"), 0, "the rate is the same");
}

/// A run of two repeats kept under this name, whose every response took so many milliseconds, or twice that.
fn kept(name: &str, millis: u64) -> PathBuf {
    let out = scratch(name);
    let repeat = |from_seconds: f64| Repeat {
        from_seconds,
        to_seconds: from_seconds + 1.0,
        stages: vec![Stage {
            seconds: 1.0,
            acknowledged: 1_000,
            bytes: 100_000,
            ..Stage::default()
        }],
        ..Repeat::default()
    };
    let mut run = Run { name: name.into(), started: "then".into(), ..Run::default() };
    let mut recording = Recording::default();
    for (number, extra) in [(0_u32, 0), (1, 10_000)] {
        run.repeats.push(repeat(f64::from(number)));
        let mut latencies = Latencies::default();
        for kind in [Kind::Response, Kind::Prompt, Kind::Service] {
            latencies.of_mut(kind).record_n(millis * 1_000_000 + extra, 900);
            latencies.of_mut(kind).record_n(2 * millis * 1_000_000 + extra, 100);
        }
        let start = Duration::from_secs(u64::from(number));
        let (length, latencies) = (Duration::from_secs(1), (&latencies).into());
        recording.intervals.push(Interval { start, length, latencies });
    }
    recording.timeline = vec!["second,acknowledged_per_s".into(), "0,1000".into()];
    Directory::at(&out).save(&run, &recording).unwrap();
    out
}

#[test]
fn a_comparison_is_written_in_every_form() {
    let (fast, slow) = (kept("kept-fast", 10), kept("kept-slow", 20));
    let out = scratch("compared");
    std::fs::create_dir_all(&out).unwrap();
    let path = |name: &str| out.join(name).display().to_string();
    let [svg, html, json] = ["a.svg", "a.html", "a.json"].map(path);
    let [fast, slow] = [fast, slow].map(|path| path.display().to_string());
    let forms = ["--plot", "--svg", &svg, "--html", &html, "--json", &json];
    assert_eq!(perf(&[&["compare", &fast, &slow][..], &forms].concat()), 0);
    let text = |path: &str| std::fs::read_to_string(path).unwrap();
    let picture = text(&svg);
    assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"), "{picture}");
    for name in ["kept-fast", "kept-slow"] {
        assert!(picture.contains(name) && text(&html).contains(name), "{name}");
    }
    let page = text(&html);
    // Twice as slow, and the spreads of the repeats do not meet: said, and coloured.
    assert!(page.contains("+100.0%") && page.contains("class=\"worse\""), "{page}");
    assert!(page.contains("<svg") && !page.contains("<script") && !page.contains("src="));
    let told: serde_json::Value = serde_json::from_str(&text(&json)).unwrap();
    let p50 = |place: usize| told["runs"][place]["nanoseconds"]["p50"].clone();
    assert!((p50(0)["value"].as_f64().unwrap() / 10e6 - 1.0).abs() < 0.01, "{told}");
    assert!((p50(1)["change_percent"].as_f64().unwrap() - 100.0).abs() < 1.0, "{told}");
    // p99.9 needs 10,000 records: there is none, and no zero in its place.
    assert!(told["runs"][0]["nanoseconds"]["p99.9"]["value"].is_null(), "{told}");
}

#[test]
fn files_of_a_run_compare_like_the_run() {
    let out = kept("kept-files", 10);
    let json = out.join("told.json").display().to_string();
    for file in ["", "intervals.hlog", "response.hgrm"] {
        let path = out.join(file).display().to_string();
        assert_eq!(perf(&["compare", &path, "--percentiles", "p50,p90", "--json", &json]), 0);
        let told: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
        let p50 = told["runs"][0]["nanoseconds"]["p50"]["value"].as_f64();
        assert!(p50.is_some_and(|p50| (p50 / 10e6 - 1.0).abs() < 0.01), "{file}: {told}");
    }
    // What the generator may have made is no number in the text either: its percentile is marked there.
    let text = out.join("late.hgrm");
    let mut late = Latencies::default();
    for (lag, count) in [(0, 99_800), (40_000_000, 200)] {
        late.of_mut(Kind::Response).record_n(10_000_000 + lag, count);
        late.of_mut(Kind::Prompt).record_n(10_000_000, count);
    }
    let mut bytes = Vec::new();
    ringwood_perf::hgrm::write_told(&late, Kind::Response, &mut bytes).unwrap();
    std::fs::write(&text, bytes).unwrap();
    let path = text.display().to_string();
    assert_eq!(perf(&["compare", &path, "--percentiles", "99,99.9", "--json", &json]), 0);
    let told: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let value = |name: &str| told["runs"][0]["nanoseconds"][name]["value"].clone();
    assert!(value("p99").as_f64().is_some() && value("p99.9").is_null(), "{told}");
    assert_eq!(perf(&["compare", &path, "--fail-if", "p99 > 1s"]), 0);
    assert_eq!(perf(&["compare", &path, "--fail-if", "p99.9 > 1s"]), 3);
    let text = out.join("text.hgrm");
    std::fs::write(&text, "no distribution\n").unwrap();
    assert_eq!(perf(&["compare", &text.display().to_string()]), 1);
}

#[test]
fn values_are_the_lines_of_a_file() {
    let (out, broker) = (scratch("lines"), FakeBroker::start(slow()));
    std::fs::create_dir_all(&out).unwrap();
    let lines = out.join("values.txt");
    // Three sizes with room for a stamp.
    let values = [60_usize, 100, 140].map(|length| "v".repeat(length));
    std::fs::write(&lines, values.join("\n")).unwrap();
    let address = broker.address();
    let (kept, size) = (out.display().to_string(), format!("file:{}", lines.display()));
    let words = ["run", "-b", &address, "--out", &kept, "--warmup", "0", "--duration", "500ms"];
    let more = ["--rate", "4k", "--size", &size, "--partitions", "1", "--keep-topics"];
    let code = perf(&[&words[..], &more, &AT_ONCE].concat());
    assert!(matches!(code, 0 | 8), "{code}");
    assert_eq!(of(&out).load["size"], size);
    let sizes = broker.value_sizes();
    assert!([60, 100, 140].iter().all(|size| sizes.contains(size)), "{sizes:?}");
    assert_eq!(sizes.len(), 3, "{sizes:?}");
    let missing = format!("file:{}", out.join("none").display());
    assert_ne!(perf(&["run", "-b", &address, "--size", &missing, "--duration", "100ms"]), 0);
}
