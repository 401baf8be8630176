//! Kafka's own programs: fetched from Maven, unchanged, and how each is called.

use std::fs::create_dir_all;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::broker::Broker;
use crate::program::{self, three_tries};
use crate::{Fault, tree};

/// No tool takes longer, unless the broker is stuck.
const LIMIT: Duration = Duration::from_secs(90);

/// Where artifacts, classes, logs and working files go.
pub(super) fn folder() -> PathBuf {
    tree::target().join("ecosystem")
}

/// Fetches the artifacts and compiles the programs of ours that use them.
pub(super) fn prepare() -> Result<(), String> {
    let (from, into) = (tree::clients().join("java"), folder());
    create_dir_all(&into).map_err(|error| error.to_string())?;
    let mut fetch = Command::new("mvn");
    fetch
        .args(["--quiet", "--batch-mode", "--file"])
        .arg(from.join("ecosystem.xml"))
        .arg(format!("-Dmaven.repo.local={}", into.join("repository").display()))
        .args(["dependency:copy-dependencies", "-Dmdep.overWriteReleases=true"])
        .arg(format!("-DoutputDirectory={}", into.join("lib").display()))
        .current_dir(&into);
    let mut compile = Command::new("javac");
    compile.args(["-d", "classes", "-cp", "lib/*"]).current_dir(&into);
    compile.args(["WordCount.java", "Storm.java", "Retention.java"].map(|file| from.join(file)));
    three_tries(vec![fetch, compile])
}

/// A Java program on the class path of the artifacts.
pub(super) fn java(class: &str) -> Command {
    let into = folder();
    let path = format!("{}:{}/*", into.join("classes").display(), into.join("lib").display());
    let mut command = Command::new("java");
    // Many of them run at once on few processors, and none lives long enough for the second compiler.
    command.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", &path, class]);
    command.current_dir(&into);
    command
}

/// An empty folder for the working files and logs of a part.
pub(super) fn scratch(part: &str) -> Result<PathBuf, Fault> {
    let scratch = folder().join(part);
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch)?;
    }
    create_dir_all(&scratch)?;
    Ok(scratch)
}

/// A broker of its own for a part, serving.
pub(super) fn broker(part: &str) -> Result<Broker, Fault> {
    broker_with(part, &[])
}

/// The same with more arguments.
pub(super) fn broker_with(part: &str, more: &[&str]) -> Result<Broker, Fault> {
    // Members come one by one here, and nobody is to wait for more of them.
    let small =
        ["--memory", "256MiB", "--ring", "64MiB", "--set", "group.initial.rebalance.delay.ms=0"];
    let mut broker =
        Broker::fresh(&format!("ecosystem-{part}"), 2)?.with(&[&small[..], more].concat());
    broker.start()?;
    Ok(broker)
}

/// Kills the broker with -9 and starts it again at once.
pub(super) fn kill(broker: &mut Broker) -> Result<(), Fault> {
    broker.must_live()?;
    broker.kill()?;
    broker.start()
}

/// Runs one of Kafka's tools to its end; gives what it printed.
pub(super) fn tool(class: &str, words: &[&str]) -> Result<String, Fault> {
    let mut command = java(class);
    command.args(words);
    let outcome = program::run(&mut command, None, LIMIT)?;
    if outcome.timed_out || !outcome.status.success() {
        return Err(format!("{class} {}: {}\n    {}", words.join(" "), outcome.status, {
            outcome.last_words()
        })
        .into());
    }
    Ok(String::from_utf8(outcome.out)?)
}

/// `kafka-topics --create`.
pub(super) fn create(bootstrap: &str, topic: &str, partitions: u32) -> Result<(), Fault> {
    let partitions = partitions.to_string();
    let class = "org.apache.kafka.tools.TopicCommand";
    let words = ["--create", "--topic", topic, "--partitions", &partitions];
    tool(class, &[&["--bootstrap-server", bootstrap][..], &words].concat()).map(drop)
}

/// The end of a file of a part, for a complaint.
pub(super) fn tail(path: &Path, lines: usize) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n    ")
}
