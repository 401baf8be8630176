//! An interrupted command leaves nothing behind: no broker, no folder, no topic. What it had finished it tells, and a run that is killed has
//! told of its finished seconds.
//!
//! The program that is started is this binary again, and so is the broker that the program starts: they are told apart by their environment.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use ringwood_perf::{latency::Kind, run::Directory};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    commands::{perf, scratch},
    fake_broker::{FakeBroker, Script},
};

/// The command line of a `perf`, a word a line.
const PERF: &str = "RINGWOOD_TEST_PERF";

/// The arguments of a broker.
const BROKER: &str = "RINGWOOD_TEST_BROKER";

/// By which this binary is one of the two.
const PROGRAM: [&str; 4] = ["--ignored", "--exact", "interrupt::program", "--nocapture"];

/// However busy the machine is.
const PATIENCE: Duration = Duration::from_secs(120);

/// After the signal all of it is gone within this.
const GONE: Duration = Duration::from_secs(25);

#[test]
#[ignore = "the program that the others start"]
fn program() {
    // The broker's environment has its parent's in it.
    if let Ok(arguments) = env::var(BROKER) {
        let words: Vec<&str> = arguments.split(' ').collect();
        let of = |name: &str| words[words.iter().position(|word| *word == name).unwrap() + 1];
        let broker = FakeBroker::start_at(of("--listen"), Script::default());
        broker.admin_at(of("--admin"));
        loop {
            thread::park();
        }
    }
    if let Ok(line) = env::var(PERF) {
        let code = perf(&line.lines().collect::<Vec<_>>());
        std::process::exit(i32::from(code));
    }
}

/// A `perf` of its own process, and what it says.
struct Started {
    process: Child,
    said: Receiver<String>,
}

impl Started {
    fn new(words: &[&str]) -> Self {
        Self::with_path(words, &env::var("PATH").unwrap_or_default())
    }

    /// One that finds other programs along this path.
    fn with_path(words: &[&str], path: &str) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(PROGRAM)
            .env(PERF, words.join("\n"))
            .env("PATH", path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let (sender, said) = mpsc::channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { process, said }
    }

    fn wait_until_it_says(&self, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut all = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.said.recv_timeout(left).unwrap_or_else(|e| panic!("{e}: {all:?}"));
            if line.contains(words) {
                return;
            }
            all.push(line);
        }
    }

    /// To this process alone, as `kill` does it.
    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.process.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Its exit code; `None`: a signal ended it.
    fn code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + GONE;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it goes on: {:?}", self.said.try_iter().last());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn entries(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name());
    names.map(|name| name.to_string_lossy().into_owned()).collect()
}

/// The processes that name this folder in their command line or environment.
fn names_it(folder: &Path) -> Vec<String> {
    let folder = folder.display().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let says = |process: &Path| {
        ["cmdline", "environ"].iter().any(|file| {
            let text = fs::read(process.join(file)).unwrap_or_default();
            String::from_utf8_lossy(&text).contains(&folder)
        })
    };
    processes.filter(|process| says(process)).map(|path| path.display().to_string()).collect()
}

/// A gauntlet on a broker of its own in this folder.
fn gauntlet(name: &str) -> (std::path::PathBuf, Started) {
    let folder = scratch(name);
    fs::create_dir_all(&folder).unwrap();
    // Beside the folder, which is to be empty in the end.
    let program = folder.with_extension("sh");
    let binary = env::current_exe().unwrap();
    let text =
        format!("#!/bin/sh\n{BROKER}=\"$*\" exec '{}' {}\n", binary.display(), PROGRAM.join(" "));
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let (place, program) = (folder.display().to_string(), program.display().to_string());
    let words = ["gauntlet", "--dir", &place, "--ringwood", &program, "--cold-memory"];
    let load = ["--rate", "1k/s", "--duration", "10m"];
    let started = Started::new(&[&words[..], &load].concat());
    (folder, started)
}

fn wait_for_its_folder(folder: &Path) {
    let deadline = Instant::now() + PATIENCE;
    while !entries(folder).iter().any(|name| name.starts_with("ringwood-perf-")) {
        assert!(Instant::now() < deadline, "{:?}", entries(folder));
        thread::sleep(Duration::from_millis(5));
    }
}

#[track_caller]
fn all_is_gone(folder: &Path) {
    let deadline = Instant::now() + GONE;
    loop {
        let (left, still) = (entries(folder), names_it(folder));
        if left.is_empty() && still.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{left:?} {still:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_command_that_is_interrupted_leaves_nothing_behind() {
    // While its broker starts, or shortly after.
    let (folder, mut started) = gauntlet("interrupted-early");
    wait_for_its_folder(&folder);
    started.signal(Signal::TERM);
    assert_eq!(started.code(), Some(143));
    all_is_gone(&folder);
    // Under load, which the broker itself goes on to answer.
    let (folder, mut started) = gauntlet("interrupted-late");
    started.wait_until_it_says("generator lag");
    assert!(names_it(&folder).len() >= 2, "the program and its broker name it");
    started.signal(Signal::INT);
    assert_eq!(started.code(), Some(130));
    all_is_gone(&folder);
}

#[test]
fn an_interrupted_command_waits_for_no_program_of_others() {
    let folder = scratch("interrupted-mvn");
    fs::create_dir_all(&folder).unwrap();
    let (place, mvn) = (folder.display().to_string(), folder.join("mvn"));
    // It starts another, as a script of a JVM's may.
    let text = format!("#!/bin/sh\nsleep 1000 &\necho > '{place}/began'\nwait\n");
    fs::write(&mvn, text).unwrap();
    fs::set_permissions(&mvn, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{place}:{}", env::var("PATH").unwrap_or_default());
    let mut started = Started::with_path(&["peers", "--dir", &place, "--cold-memory"], &path);
    let deadline = Instant::now() + PATIENCE;
    while !folder.join("began").exists() {
        assert!(Instant::now() < deadline, "{:?}", entries(&folder));
        thread::sleep(Duration::from_millis(5));
    }
    started.signal(Signal::TERM);
    assert_eq!(started.code(), Some(143));
    // Their environment has the folder in it.
    let deadline = Instant::now() + GONE;
    while !names_it(&folder).is_empty() {
        assert!(Instant::now() < deadline, "{:?}", names_it(&folder));
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_command_that_is_killed_leaves_nothing_behind() {
    let (folder, mut started) = gauntlet("killed");
    started.wait_until_it_says("generator lag");
    started.signal(Signal::KILL);
    assert_eq!(started.code(), None);
    all_is_gone(&folder);
}

#[test]
fn what_keeps_processors_awake_ends_with_an_interrupted_command() {
    let all = rustix::thread::sched_getaffinity(None).unwrap().count() as usize;
    if thread::available_parallelism().unwrap().get() < all {
        eprintln!("SKIPPED: processor time is bounded here, and nothing may be kept awake");
        return;
    }
    let (broker, out) = (FakeBroker::start(Script::default()), scratch("interrupted-awake"));
    let (address, kept) = (broker.address(), out.display().to_string());
    let words = ["run", "-b", &address, "--out", &kept, "--keep-awake", "--rate", "1k"];
    let more = ["--warmup", "0", "--duration", "2s", "--repeat", "100"];
    let mut started = Started::new(&[&words[..], &more].concat());
    started.wait_until_it_says("2 of 100");
    let tasks = fs::read_dir(format!("/proc/{}/task", started.process.id())).unwrap().flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    assert_eq!(names.filter(|name| name.starts_with("awake-")).count(), all);
    started.signal(Signal::INT);
    assert_eq!(started.code(), Some(130));
    assert_eq!(Directory::at(&out).run().unwrap().kept_awake, all);
}

#[test]
fn an_interrupted_run_deletes_its_topics_and_keeps_its_finished_repeats() {
    let (broker, out) = (FakeBroker::start(Script::default()), scratch("interrupted-run"));
    let (address, kept) = (broker.address(), out.display().to_string());
    let words = ["run", "-b", &address, "--out", &kept, "--rate", "1k", "--warmup", "0"];
    let mut started =
        Started::new(&[&words[..], &["--duration", "2s", "--repeat", "100"]].concat());
    // Of a second repeat, so that one is finished.
    started.wait_until_it_says("2 of 100");
    assert_eq!(broker.batches_at_deletion(), None);
    started.signal(Signal::TERM);
    assert_eq!(started.code(), Some(143));
    assert!(broker.batches_at_deletion().is_some(), "its topic is still there");
    let run = Directory::at(&out).run().unwrap();
    assert!((1..100).contains(&run.repeats.len()), "{}", run.repeats.len());
    let why = run.ended_early.unwrap();
    assert!(why.contains("of 100: ") && why.contains("SIGTERM"), "{why}");
}

#[test]
fn an_interrupted_gauntlet_or_curve_reports_what_was_finished() {
    let (broker, out) = (FakeBroker::start(Script::default()), scratch("interrupted-report"));
    fs::create_dir_all(&out).unwrap();
    let address = broker.address();
    let [table, json] =
        ["table.md", "points.json"].map(|name| out.join(name).display().to_string());
    let words = ["gauntlet", "-b", &address, "--rate", "1k/s", "--duration", "1s"];
    let mut started = Started::new(&[&words[..], &["--markdown", &table]].concat());
    // The second step, so that one is finished.
    started.wait_until_it_says("1 16 producers");
    started.signal(Signal::INT);
    assert_eq!(started.code(), Some(130));
    let text = fs::read_to_string(&table).unwrap();
    let first = text.lines().next().unwrap();
    assert!(first.starts_with("ended early after "), "{text}");
    assert!(first.ends_with(" of 16 steps, by SIGINT"), "{text}");
    assert!(text.contains("\n| 0 baseline, 1 |"), "{text}");
    // Nor does what was cut off stand there as a failure.
    assert!(!text.contains("FAILED"), "{text}");
    let words = ["curve", "-b", &address, "--partitions", "1,2", "--sizes", "100", "--rate", "1k"];
    let more = ["--doublings", "1", "--duration", "1s", "--json", &json, "--markdown", &table];
    let mut started = Started::new(&[&words[..], &more].concat());
    started.wait_until_it_says("2 partitions, values of ");
    started.signal(Signal::TERM);
    assert_eq!(started.code(), Some(143));
    let (said, text) = ("ended early after 1 of 2 points, by SIGTERM", fs::read(&table).unwrap());
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with(said) && text.contains("\n| 100 B, 1 |"), "{text}");
    let points: serde_json::Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    assert_eq!(points.as_array().map(Vec::len), Some(1), "{points}");
    assert_eq!(points[0]["partitions"], 1, "{points}");
    assert_eq!(points[0]["ended_early"], said, "{points}");
}

#[test]
fn a_run_that_is_killed_leaves_the_log_of_its_finished_seconds() {
    let (broker, out) = (FakeBroker::start(Script::default()), scratch("killed-run"));
    let (address, kept) = (broker.address(), out.display().to_string());
    let words = ["run", "-b", &address, "--out", &kept, "--rate", "1k", "--warmup", "0"];
    let mut started = Started::new(&[&words[..], &["--duration", "10m"]].concat());
    // Each line is of a second of which every worker has told. When the fifth comes, those of the first three are in the log.
    for _ in 0..5 {
        started.wait_until_it_says("generator lag");
    }
    started.signal(Signal::KILL);
    assert_eq!(started.code(), None);
    let directory = Directory::at(&out);
    let log = directory.log().unwrap();
    let responses = log.lines.iter().filter(|(kind, ..)| *kind == Kind::Response);
    let counts: Vec<u64> = responses.map(|(.., latency)| latency.count()).collect();
    assert!(counts.len() >= 3 && counts.iter().all(|count| *count > 0), "{counts:?}");
    assert!(directory.run().is_err(), "nobody has judged it");
}
