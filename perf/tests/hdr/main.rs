//! The files of a run, opened with the public HdrHistogram library.
//!
//! That for Python is used where `python3` (or the interpreter that `PYTHON` names) has the package `hdrhistogram`, the reference
//! in Java where `HDRHISTOGRAM_JAR` names it. Where there is none, the test says loudly that it proved nothing.

#![expect(clippy::unwrap_used, reason = "a scene that cannot be set up is a failed test")]

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use ringwood_perf::{
    hgrm,
    hlog::{Counted, Interval, write_counted},
    latency::{Kind, Latencies},
    random::Random,
    run::{Directory, Recording, Run},
    spec::Quantile,
};

const PERCENTS: [f64; 7] = [50.0, 75.0, 90.0, 99.0, 99.9, 99.99, 100.0];

/// Latencies of six decades, a stall, and censored records.
fn recording() -> Recording {
    let mut random = Random::new(5);
    let mut intervals = Vec::new();
    for second in 0..8 {
        let mut latencies = Latencies::default();
        for _ in 0..20_000 {
            let nanos = 200_000.0 * (1.0 + random.exponential()).powi(3);
            latencies.of_mut(Kind::Response).record(nanos as u64);
            latencies.of_mut(Kind::Service).record((nanos / 3.0) as u64);
            latencies.of_mut(Kind::EndToEnd).record((nanos * 1.5) as u64);
        }
        if second == 5 {
            latencies.of_mut(Kind::Response).record_line(1_000_000_000, 1, 5_000);
            latencies.of_mut(Kind::Response).censor(30_000_000_000, 7);
        }
        let start = Duration::from_millis(500 + second * 1_000);
        let (length, latencies) = (Duration::from_secs(1), (&latencies).into());
        intervals.push(Interval { start, length, latencies });
    }
    let started = SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_250);
    Recording { started, intervals, timeline: vec!["second".into()], ..Recording::default() }
}

fn python() -> Option<PathBuf> {
    let program = std::env::var_os("PYTHON").map_or_else(|| "python3".into(), PathBuf::from);
    let found = Command::new(&program).args(["-c", "import hdrh"]).output();
    found.is_ok_and(|output| output.status.success()).then_some(program)
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[test]
fn the_public_library_reads_what_was_measured() {
    let Some(python) = python() else {
        println!(
            "SKIPPED: python3 with the package hdrhistogram is not at hand; nothing was proved here"
        );
        return;
    };
    let directory = Directory::at(scratch("hdr-read-back"));
    let recording = recording();
    directory.save(&Run { name: "read back".into(), ..Run::default() }, &recording).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hdr/read_back.py");
    let output = Command::new(python).arg(script).arg(directory.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["lines"], 24);
    assert!(
        (found["start"].as_f64().unwrap() - 1_800_000_000.25).abs() < 0.001,
        "{}",
        found["start"]
    );
    let total = recording.total();
    for kind in [Kind::Response, Kind::Service, Kind::EndToEnd] {
        let (ours, theirs) = (total.of(kind), &found["tags"][kind.name()]);
        assert_eq!(theirs["count"], ours.count(), "{}", kind.name());
        for (percent, theirs) in PERCENTS.iter().zip(theirs["percentiles"].as_array().unwrap()) {
            let ours = ours.at(Quantile::percent(*percent).unwrap()).unwrap();
            let theirs = theirs.as_u64().unwrap();
            // Which record is the one at a percentile is rounded differently: its neighbour's bucket will do.
            assert!(
                ours.abs_diff(theirs) <= ours / 500,
                "{} at {percent}: {ours} here, {theirs} there",
                kind.name()
            );
        }
        same_distribution(&directory, kind, theirs);
    }
    assert_eq!(found["tags"]["response"]["count"], 8 * 20_000 + 5_007);
}

/// Two stages of two seconds, as a broker writes its own latencies: by API and stage, buckets and counts.
fn stages() -> Vec<u8> {
    let line = |tag: &str, second, counts: &[(u64, u64)]| Counted {
        tag: tag.into(),
        start: Duration::from_secs(second),
        length: Duration::from_secs(1),
        counts: counts.to_vec(),
    };
    let lines = [
        line("Produce.flush", 0, &[(400_000, 900), (2_000_000, 90)]),
        line("Fetch.read", 0, &[(9_000, 5_000)]),
        line("Produce.flush", 1, &[(400_000, 900), (60_000_000, 110)]),
        line("Fetch.read", 1, &[(11_000, 5_000)]),
    ];
    let mut text = Vec::new();
    let started = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    write_counted(&mut text, started, &["tags are API.stage".into()], lines).unwrap();
    text
}

/// `intervals.hlog` of a directory of its own is what the scripts read.
fn stages_in(name: &str) -> PathBuf {
    let directory = scratch(name);
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("intervals.hlog"), stages()).unwrap();
    directory
}

#[test]
fn the_public_library_reads_a_brokers_stages() {
    let Some(python) = python() else {
        println!(
            "SKIPPED: python3 with the package hdrhistogram is not at hand; nothing was proved here"
        );
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hdr/read_back.py");
    let output = Command::new(python).arg(script).arg(stages_in("hdr-stages")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["lines"], 4);
    for (tag, count, p50, max) in
        [("Produce.flush", 2_000, 400_000, 60_000_000), ("Fetch.read", 10_000, 9_000, 11_000)]
    {
        let theirs = &found["tags"][tag];
        assert_eq!(theirs["count"], count, "{tag}");
        // Three digits are kept.
        let near = |value: &serde_json::Value, ours: u64| {
            value.as_u64().unwrap().abs_diff(ours) <= ours / 500
        };
        assert!(near(&theirs["percentiles"][0], p50) && near(&theirs["max"], max), "{found}");
    }
}

#[test]
fn the_reference_library_reads_a_brokers_stages() {
    let Some(jar) = std::env::var_os("HDRHISTOGRAM_JAR") else {
        println!("SKIPPED: HDRHISTOGRAM_JAR names no HdrHistogram.jar; nothing was proved here");
        return;
    };
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hdr/ReadBack.java");
    let log = stages_in("hdr-stages-reference").join("intervals.hlog");
    for (tag, count, max) in [("Produce.flush", 2_000, 60e6), ("Fetch.read", 10_000, 11e3)] {
        let mut java = Command::new("java");
        let output = java.arg("-cp").arg(&jar).arg(&source).arg(&log).arg(tag).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let theirs = hgrm::parse(&String::from_utf8_lossy(&output.stdout)).unwrap();
        assert_eq!(theirs.count, count, "{tag}");
        let found = theirs.at(1.0).unwrap();
        assert!((found - max).abs() <= 501.0 + max / 500.0, "{tag}: {found}");
    }
}

/// Every line of the `.hgrm`: as many records at or below its value as the library has.
fn same_distribution(directory: &Directory, kind: Kind, theirs: &serde_json::Value) {
    let path = directory.path().join(format!("{}.hgrm", kind.name()));
    let ours = counts(&std::fs::read_to_string(path).unwrap());
    let theirs: Vec<u64> =
        theirs["distribution"].as_array().unwrap().iter().map(|c| c.as_u64().unwrap()).collect();
    assert!(ours.len() > 50);
    assert_eq!(ours, theirs, "{}", kind.name());
}

/// The third column: how many records lie at or below the value of each line.
fn counts(text: &str) -> Vec<u64> {
    let is_number = |line: &&str| line.trim_start().starts_with(|c: char| c.is_ascii_digit());
    let third = |line: &str| line.split_ascii_whitespace().nth(2).unwrap().parse().unwrap();
    text.lines().filter(is_number).map(third).collect()
}

fn curve(path: &Path) -> hgrm::Curve {
    hgrm::parse(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Three digits are kept, and the text has three places of a millisecond at the least.
fn close(ours: f64, theirs: f64, kind: Kind, quantile: f64) {
    assert!(
        (ours - theirs).abs() <= 501.0 + ours / 1_000.0,
        "{} at {quantile}: {ours} here, {theirs} there",
        kind.name()
    );
}

#[test]
fn the_reference_library_writes_the_same_distribution() {
    let Some(jar) = std::env::var_os("HDRHISTOGRAM_JAR") else {
        println!("SKIPPED: HDRHISTOGRAM_JAR names no HdrHistogram.jar; nothing was proved here");
        return;
    };
    let directory = Directory::at(scratch("hdr-reference"));
    directory.save(&Run { name: "reference".into(), ..Run::default() }, &recording()).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hdr/ReadBack.java");
    for kind in [Kind::Response, Kind::Service, Kind::EndToEnd] {
        let log = directory.path().join("intervals.hlog");
        let mut java = Command::new("java");
        java.arg("-cp").arg(&jar).arg(&source).arg(log).arg(kind.name());
        let output = java.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let theirs = hgrm::parse(&String::from_utf8_lossy(&output.stdout)).unwrap();
        let path = directory.path().join(format!("{}.hgrm", kind.name()));
        let ours = curve(&path);
        assert_eq!(ours.count, theirs.count);
        assert_eq!(ours.points.len(), theirs.points.len(), "{}", kind.name());
        for ((quantile, ours), (their_quantile, theirs)) in ours.points.iter().zip(&theirs.points) {
            assert!((quantile - their_quantile).abs() < 1e-9);
            close(*ours, *theirs, kind, *quantile);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(counts(&text), counts(&String::from_utf8_lossy(&output.stdout)));
    }
}
