//! Rebalance storms of many members in the simulator, as many seeds as are asked for, on every processor.
//!
//! The work is done by two tests of the coordinator, one for each protocol (every third storm of the consumer protocol has
//! members of the classic one too): messages are lost, doubled and late, members die and come back, the coordinator crashes.
//! This hands them stretches of seeds and adds up what they count. The counts, and which stretches are done, are in a JSON
//! file: a run that is cut off goes on with those that are missing. A failed stretch is no longer missing only when it has
//! been played again and was right.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{create_dir_all, read, rename, write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::thread::{available_parallelism, scope};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::options;
use crate::tally::say;
use crate::{Fault, program, tree};

/// The tests that do it.
const SOURCES: [&str; 2] = ["broker/coordinator/tests/storm", "broker/coordinator/tests/consumers"];
/// Seeds between two savings of the counts, for each processor.
const STRETCH: u64 = 10;
/// No stretch takes longer, unless it is stuck.
const LIMIT: Duration = Duration::from_secs(3_600);

/// A test that plays storms, and how it is told what to play.
struct Kind {
    name: &'static str,
    /// The test program, and the test in it.
    program: &'static str,
    test: &'static str,
    first: &'static str,
    seeds: &'static str,
    members: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind {
        name: "classic",
        program: "storm",
        test: "hundreds_of_members_in_bad_weather",
        first: "STORM_FIRST",
        seeds: "STORM_SEEDS",
        members: "STORM_MEMBERS",
    },
    Kind {
        name: "consumer",
        program: "consumers",
        test: "crowds_share_partitions_in_bad_weather",
        first: "CONSUMERS_FIRST",
        seeds: "CONSUMERS_SEEDS",
        members: "CONSUMERS_MEMBERS",
    },
];

struct Options {
    seeds: u64,
    members: u64,
    processors: usize,
    release: bool,
    state: PathBuf,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Options, Fault> {
        let mut options = Options {
            seeds: 10_000,
            members: 2_000,
            processors: available_parallelism().map_or(1, usize::from),
            release: false,
            state: tree::target().join("prove").join("storms.json"),
        };
        options::each(words, &["--release"], |name, value| {
            match name {
                "--seeds" => options.seeds = value.parse()?,
                "--members" => options.members = value.parse()?,
                "--processors" => options.processors = value.parse()?,
                "--release" => options.release = true,
                "--state" => options.state = PathBuf::from(value),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if options.seeds == 0 || options.processors == 0 {
            return Err("storms need seeds and a processor".into());
        }
        if options.members < 80 {
            return Err("a storm of fewer than 80 members shows little".into());
        }
        // Whole stretches only, so that a longer run goes on with a shorter one.
        options.seeds = options.seeds.next_multiple_of(STRETCH);
        Ok(options)
    }
}

/// What all runs so far have counted.
#[derive(Default)]
struct State {
    members: u64,
    /// What was tested. Counts of other sources prove nothing of these.
    sources: String,
    /// The stretches that are done, by kind.
    done: BTreeMap<String, BTreeSet<u64>>,
    counts: BTreeMap<String, u64>,
    /// Processor time, in seconds, of the stretches that are done.
    seconds: u64,
}

impl State {
    fn load(path: &Path, members: u64, sources: &str) -> Result<State, Fault> {
        let anew = State { members, sources: sources.to_owned(), ..State::default() };
        if !path.exists() {
            return Ok(anew);
        }
        let found: Value = serde_json::from_slice(&read(path)?)?;
        let of = found["sources"].as_str().unwrap_or_default();
        if of != sources || of.ends_with('+') {
            say(&format!("counts of other sources ({of}) are put aside"))?;
            rename(path, path.with_extension("old.json"))?;
            return Ok(anew);
        }
        if found["members"].as_u64() != Some(members) {
            let had = &found["members"];
            return Err(format!(
                "{} counts storms of {had} members; name another --state",
                path.display()
            )
            .into());
        }
        let numbers =
            |all: &Value| all.as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        let done = found["done"].as_object().into_iter().flatten();
        let counts = found["counts"].as_object().into_iter().flatten();
        Ok(State {
            members,
            sources: sources.to_owned(),
            done: done.map(|(kind, all)| (kind.clone(), numbers(all))).collect(),
            counts: counts.filter_map(|(n, v)| Some((n.clone(), v.as_u64()?))).collect(),
            seconds: found["seconds"].as_u64().unwrap_or(0),
        })
    }

    /// Written aside and renamed, so that a run that is cut off leaves the counts before or after.
    fn save(&self, path: &Path) -> Result<(), Fault> {
        if let Some(folder) = path.parent() {
            create_dir_all(folder)?;
        }
        let all = json!({
            "members": self.members, "sources": self.sources, "done": self.done, "counts": self.counts, "seconds": self.seconds,
        });
        let aside = path.with_extension("new");
        write(&aside, format!("{}\n", serde_json::to_string_pretty(&all)?))?;
        Ok(rename(&aside, path)?)
    }

    /// Seeds of a kind that are done.
    fn seeds(&self, kind: &Kind) -> u64 {
        self.done.get(kind.name).map_or(0, |done| done.len() as u64 * STRETCH)
    }

    fn is_done(&self, kind: &Kind, stretch: u64) -> bool {
        self.done.get(kind.name).is_some_and(|done| done.contains(&stretch))
    }

    fn add(&mut self, kind: &Kind, stretch: u64, played: &Played) {
        self.done.entry(kind.name.to_owned()).or_default().insert(stretch);
        self.seconds += played.seconds;
        for (name, n) in &played.counts {
            *self.counts.entry(format!("{}_{name}", kind.name)).or_insert(0) += n;
        }
    }
}

/// What became of a stretch.
struct Played {
    counts: Vec<(String, u64)>,
    seconds: u64,
    /// What the test said last, if it failed.
    complaint: Option<String>,
}

/// `count N NAME`
fn count(line: &str) -> Option<(String, u64)> {
    let (n, name) = line.strip_prefix("count ")?.split_once(' ')?;
    Some((name.to_owned(), n.parse().ok()?))
}

/// Builds the test programs; where each is.
fn build(release: bool) -> Result<BTreeMap<String, PathBuf>, Fault> {
    let mut command = Command::new("cargo");
    command.args([
        "test",
        "--no-run",
        "--message-format",
        "json",
        "--package",
        "ringwood-coordinator",
    ]);
    for kind in &KINDS {
        command.args(["--test", kind.program]);
    }
    if release {
        command.arg("--release");
    }
    say(&format!("+ {}", program::line(&command)))?;
    let outcome = program::run(command.current_dir(tree::root()), None, LIMIT)?;
    if !outcome.status.success() {
        return Err(format!("the build failed\n    {}", outcome.last_words()).into());
    }
    let said = String::from_utf8_lossy(&outcome.out).into_owned();
    Ok(said.lines().filter_map(executable).collect())
}

/// The name and the place of a program that cargo says it has built.
fn executable(line: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    let name = message["target"]["name"].as_str()?.to_owned();
    Some((name, PathBuf::from(message["executable"].as_str()?)))
}

fn play(kind: &Kind, program: &Path, stretch: u64, members: u64) -> Result<Played, String> {
    let mut command = Command::new(program);
    command
        .args(["--exact", kind.test, "--nocapture"])
        .env(kind.first, (stretch * STRETCH).to_string())
        .env(kind.seeds, STRETCH.to_string())
        .env(kind.members, members.to_string())
        .env("RUST_BACKTRACE", "0");
    let started = Instant::now();
    let outcome = program::run(&mut command, None, LIMIT).map_err(|fault| fault.to_string())?;
    let said = String::from_utf8_lossy(&outcome.out).into_owned();
    let counts: Vec<(String, u64)> = said.lines().filter_map(count).collect();
    let complaint = if outcome.timed_out {
        Some(format!("not done after {} s", LIMIT.as_secs()))
    } else if !outcome.status.success() {
        let seed = said.lines().rev().find(|line| line.starts_with("seed ")).unwrap_or("");
        Some(format!("{} {seed}\n    {}", outcome.status, outcome.last_words()))
    } else if counts.is_empty() {
        Some("nothing was counted".to_owned())
    } else {
        None
    };
    Ok(Played { counts, seconds: started.elapsed().as_secs(), complaint })
}

/// Plays what is missing; true if nothing failed and everything that is counted has happened.
pub(crate) fn run(words: &[&str]) -> Result<bool, Fault> {
    let options = Options::parse(words)?;
    let sources = tree::sources("ringwood-coordinator", &SOURCES)?;
    let mut state = State::load(&options.state, options.members, &sources)?;
    let programs = build(options.release)?;
    // The kinds take turns, so that a run that is cut off has some of each.
    let mut missing = Vec::new();
    for stretch in (0..options.seeds / STRETCH).rev() {
        for kind in KINDS.iter().rev().filter(|kind| !state.is_done(kind, stretch)) {
            let program = programs.get(kind.program).ok_or("cargo did not say where a test is")?;
            missing.push((kind, program, stretch));
        }
    }
    say(&format!(
        "prove storms: {} seeds of each protocol with {} members, {} stretches missing, {} at once, counts in {}",
        options.seeds,
        options.members,
        missing.len(),
        options.processors,
        options.state.display()
    ))?;
    let (started, queue) = (Instant::now(), Mutex::new(missing));
    let (sender, played) = channel();
    let mut failed = 0;
    scope(|threads| -> Result<(), Fault> {
        for _ in 0..options.processors {
            let (sender, queue, members) = (sender.clone(), &queue, options.members);
            threads.spawn(move || {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
                    let Some((kind, program, stretch)) = next else { return };
                    // Nobody listens any more when the counts could not be saved.
                    if sender.send((kind, stretch, play(kind, program, stretch, members))).is_err()
                    {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (kind, stretch, outcome) in played {
            let outcome = outcome.and_then(|played| match &played.complaint {
                Some(complaint) => Err(complaint.clone()),
                None => Ok(played),
            });
            match outcome {
                Ok(played) => {
                    state.add(kind, stretch, &played);
                    state.save(&options.state)?;
                }
                Err(complaint) => {
                    failed += 1;
                    say(&format!(
                        "FAILED {} seeds from {}: {complaint}",
                        kind.name,
                        stretch * STRETCH
                    ))?;
                    queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
                }
            }
            let done: u64 = KINDS.iter().map(|kind| state.seeds(kind)).sum();
            if done.is_multiple_of(20 * STRETCH) {
                say(&format!("storms: {done} seeds after {} s", started.elapsed().as_secs()))?;
            }
        }
        Ok(())
    })?;
    let unseen: Vec<&String> = state.counts.iter().filter(|(_, n)| **n == 0).map(|c| c.0).collect();
    for kind in &KINDS {
        say(&format!("{}: {} seeds of {} members", kind.name, state.seeds(kind), options.members))?;
    }
    say(&format!("{}", json!(state.counts)))?;
    say(&format!(
        "storms: {failed} stretches failed; {} s now, {} s of one processor in all",
        started.elapsed().as_secs(),
        state.seconds
    ))?;
    if !unseen.is_empty() {
        say(&format!("FAILED never seen: {unseen:?}"))?;
    }
    let whole = KINDS.iter().all(|kind| state.seeds(kind) >= options.seeds);
    Ok(failed == 0 && whole && unseen.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_come_in_whole_stretches() {
        let options = Options::parse(&["--seeds", "11", "--release"]).expect("known options");
        assert_eq!((options.seeds, options.members, options.release), (20, 2_000, true));
        assert!(Options::parse(&["--seeds", "0"]).is_err());
        assert!(Options::parse(&["--members", "3"]).is_err());
        assert!(Options::parse(&["--speed", "3"]).is_err());
    }

    #[test]
    fn counts_and_programs_are_read() {
        assert_eq!(count("count 17 late"), Some(("late".to_owned(), 17)));
        assert_eq!(count("seed 17"), None);
        let line = r#"{"target":{"name":"storm"},"executable":"/x/storm-1"}"#;
        assert_eq!(executable(line), Some(("storm".to_owned(), PathBuf::from("/x/storm-1"))));
        assert_eq!(executable(r#"{"target":{"name":"lib"},"executable":null}"#), None);
    }

    #[test]
    fn a_stretch_is_counted_once_and_known_again() {
        let folder = std::env::temp_dir().join(format!("storms-{}", std::process::id()));
        let path = folder.join("state.json");
        let mut state = State::load(&path, 200, "abc").expect("none yet");
        let counts = vec![("late".to_owned(), 3)];
        let played = Played { counts, seconds: 2, complaint: None };
        state.add(&KINDS[0], 4, &played);
        state.add(&KINDS[1], 4, &played);
        state.save(&path).expect("saved");
        let again = State::load(&path, 200, "abc").expect("what was saved");
        assert!(again.is_done(&KINDS[0], 4) && !again.is_done(&KINDS[0], 3));
        assert_eq!((again.seeds(&KINDS[1]), again.seconds), (STRETCH, 4));
        assert_eq!(again.counts["classic_late"], 3);
        assert!(State::load(&path, 300, "abc").is_err());
        let other = State::load(&path, 200, "abd").expect("put aside");
        assert_eq!((other.seconds, path.exists()), (0, false), "counts of other sources");
        std::fs::remove_dir_all(&folder).expect("its own folder");
    }
}
