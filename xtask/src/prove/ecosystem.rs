//! Kafka's own programs, and the rebalance storm, against a broker that is killed with -9 while they work.
//!
//! Connect, Streams and the verifiable clients come from Kafka's own artifacts and are not changed. Each part has a broker, a data
//! directory and ports of its own, and ends with the question whether the result is right. What was counted goes to a JSON file,
//! part by part.

mod connect;
mod process;
mod retention;
mod storm;
mod streams;
mod tools;
mod verifiable;

use std::collections::BTreeMap;
use std::fs::{create_dir_all, read, rename, write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::{Map, Value, json};

use super::options;
use crate::runtimes::RUNTIMES;
use crate::tally::say;
use crate::{Fault, program, tree};

/// The parts, in the order in which they run.
const PARTS: [&str; 7] =
    ["verifiable", "verifiable-consumer", "retention", "streams", "connect", "migration", "storm"];

/// The programs that play, and what makes them play.
const SOURCES: [&str; 2] = ["broker/node/tests/clients", "xtask/src/prove/ecosystem"];

struct Options {
    only: Vec<String>,
    /// How long each phase of the storm blows.
    minutes: u64,
    /// The clients whose groups play in the storm.
    clients: Vec<String>,
    /// Groups in one phase of the storm.
    together: usize,
    /// Members of each client's group in the storm.
    members: usize,
    /// Members of the one large group; 0 leaves it out.
    crowd: usize,
    /// How often the broker is killed in each phase of the storm.
    kills: usize,
    /// Phases of the storm that were right before, with the same options, are left out.
    resume: bool,
    seed: u64,
    state: PathBuf,
    /// What the broker is built from, and who plays.
    sources: String,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Options, Fault> {
        let mut options = Options {
            only: PARTS.map(str::to_owned).to_vec(),
            minutes: 10,
            clients: storm::names().map(str::to_owned).collect(),
            together: 2,
            members: 8,
            crowd: 200,
            kills: 5,
            resume: false,
            seed: 1,
            state: tree::target().join("prove").join("ecosystem.json"),
            sources: String::new(),
        };
        options::each(words, &["--resume"], |name, value| {
            match name {
                "--only" => options.only = known("part", value, &PARTS)?,
                "--clients" => {
                    let names: Vec<&str> = storm::names().collect();
                    options.clients = known("client", value, &names)?;
                }
                "--together" => options.together = value.parse()?,
                "--crowd" => options.crowd = value.parse()?,
                "--resume" => options.resume = true,
                "--minutes" => options.minutes = value.parse()?,
                "--members" => options.members = value.parse()?,
                "--kills" => options.kills = value.parse()?,
                "--seed" => options.seed = value.parse()?,
                "--state" => options.state = PathBuf::from(value),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if options.members == 0 || options.minutes == 0 || options.together == 0 {
            return Err("a storm has groups with members and lasts at least a minute".into());
        }
        Ok(options)
    }

    fn wants(&self, part: &str) -> bool {
        self.only.iter().any(|one| one == part)
    }
}

/// Names separated by commas, all of them among these.
fn known(what: &str, value: &str, names: &[&str]) -> Result<Vec<String>, Fault> {
    let asked: Vec<String> = options::list(value)?;
    match asked.iter().find(|name| !names.contains(&name.as_str())) {
        Some(unknown) => {
            Err(format!("no {what} is called {unknown}; there are {}", names.join(", ")).into())
        }
        None => Ok(asked),
    }
}

/// What one part has counted, and what it complains of.
#[derive(Default)]
struct Findings {
    counts: BTreeMap<String, Value>,
    complaints: Vec<String>,
}

impl Findings {
    fn count(&mut self, name: &str, value: impl Into<Value>) {
        self.counts.insert(name.to_owned(), value.into());
    }

    /// A check that holds is counted; one that does not is a complaint.
    fn check(&mut self, holds: bool, complaint: impl FnOnce() -> String) {
        let checks = self.counts.get("checks").and_then(Value::as_u64).unwrap_or(0);
        self.count("checks", checks + 1);
        if !holds {
            self.complaints.push(complaint());
        }
    }

    fn into_json(self) -> Value {
        let mut all: Map<String, Value> = self.counts.into_iter().collect();
        all.insert("complaints".to_owned(), json!(self.complaints));
        Value::Object(all)
    }
}

fn load(path: &Path) -> Result<Map<String, Value>, Fault> {
    if path.exists() { Ok(serde_json::from_slice(&read(path)?)?) } else { Ok(Map::new()) }
}

/// Adds what a part found to the file. Written aside and renamed, so that a run that is cut off leaves what was before or after.
fn save(path: &Path, part: &str, found: &Value) -> Result<(), Fault> {
    let mut all = load(path)?;
    all.insert(part.to_owned(), found.clone());
    if let Some(folder) = path.parent() {
        create_dir_all(folder)?;
    }
    let aside = path.with_extension("new");
    write(&aside, format!("{}\n", serde_json::to_string_pretty(&all)?))?;
    Ok(rename(&aside, path)?)
}

/// Whether a part was right before, and was the same. What was not committed has no name: it never is the same.
fn was_right(found: Option<&Value>, likeness: &[(&str, Value)]) -> bool {
    let is_named = |of: &Value| of.as_str().is_some_and(|name| !name.ends_with('+'));
    found.is_some_and(|found| {
        is_named(&found["sources"])
            && found["complaints"] == json!([])
            && likeness.iter().all(|(name, value)| found[*name] == *value)
    })
}

/// The parts that ran.
#[derive(Default)]
struct Run {
    ran: usize,
    bad: usize,
}

impl Run {
    fn part(
        &mut self,
        state: &Path,
        name: &str,
        play: impl FnOnce(&mut Findings) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        say(&format!("ecosystem/{name}"))?;
        let started = Instant::now();
        let mut findings = Findings::default();
        if let Err(fault) = play(&mut findings) {
            findings.complaints.push(fault.to_string());
        }
        findings.count("seconds", started.elapsed().as_secs());
        for complaint in &findings.complaints {
            say(&format!("FAILED ecosystem/{name}: {complaint}"))?;
        }
        self.ran += 1;
        self.bad += usize::from(!findings.complaints.is_empty());
        let found = findings.into_json();
        say(&format!("ecosystem/{name}: {found}"))?;
        save(state, name, &found)
    }

    /// The storm, phase by phase.
    fn storm(&mut self, options: &Options, has_java: bool) -> Result<(), Fault> {
        let phases = storm::phases(options, has_java)?;
        say(&format!("storm: {} phases of {} minutes", phases.len(), options.minutes))?;
        for phase in phases {
            let name = format!("storm {}", phase.name());
            let before = load(&options.state)?;
            if options.resume && was_right(before.get(&name), &phase.likeness(options)) {
                say(&format!("ecosystem/{name}: was right before, in a run with these options"))?;
                self.ran += 1;
                continue;
            }
            self.part(&options.state, &name, |findings| storm::play(options, &phase, findings))?;
        }
        Ok(())
    }
}

/// Plays the parts that were asked for; true if every one that ran was right and at least one ran.
pub(crate) fn run(words: &[&str]) -> Result<bool, Fault> {
    let mut options = Options::parse(words)?;
    options.sources = tree::sources("ringwood", &SOURCES)?;
    let build = ["build", "--package", "ringwood", "--package", "ringwood-clients-rdkafka"];
    if !program::follow(Command::new("cargo").args(build).current_dir(tree::root()), |_| {})? {
        return Err("the build failed".into());
    }
    let java = RUNTIMES.iter().find(|runtime| runtime.suite == "java").ok_or("no java suite")?;
    let has_java = java.is_here();
    if has_java {
        tools::prepare()
            .map_err(|complaint| format!("Kafka's artifacts could not be set up: {complaint}"))?;
    }
    let mut run = Run::default();
    for part in PARTS.into_iter().filter(|part| options.wants(part)) {
        if part != "storm" && !has_java {
            say(&format!("SKIPPED ecosystem/{part}: {}", java.absence()))?;
            continue;
        }
        match part {
            "verifiable" => {
                run.part(&options.state, part, |found| verifiable::play("classic", found))?;
            }
            "verifiable-consumer" => {
                run.part(&options.state, part, |found| verifiable::play("consumer", found))?;
            }
            "retention" => run.part(&options.state, part, retention::play)?,
            "streams" => run.part(&options.state, part, streams::play)?,
            "connect" => run.part(&options.state, part, connect::play)?,
            "migration" => run.part(&options.state, part, storm::migration::play)?,
            _ => run.storm(&options, has_java)?,
        }
    }
    say(&format!(
        "ecosystem: {} ran, {} failed; counts in {}",
        run.ran,
        run.bad,
        options.state.display()
    ))?;
    Ok(run.bad == 0 && run.ran > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_name_what_is_unknown() {
        let options = Options::parse(&["--only", "storm,connect", "--minutes", "2"]);
        let options = options.expect("known parts");
        assert!(options.wants("storm") && !options.wants("streams") && options.minutes == 2);
        assert!(Options::parse(&["--only", "sparks"]).is_err());
        assert!(Options::parse(&["--minutes"]).is_err());
        assert!(Options::parse(&["--minutes", "0"]).is_err());
        let options = Options::parse(&["--clients", "java-consumer,sarama", "--resume"]);
        assert_eq!(options.expect("known clients").clients, ["java-consumer", "sarama"]);
        assert!(Options::parse(&["--clients", "cobol"]).is_err());
        assert!(Options::parse(&["--together", "0"]).is_err());
    }

    #[test]
    fn only_what_was_right_with_the_same_options_is_left_out() {
        let likeness = [("seed", json!(1)), ("minutes", json!(10))];
        let mut found = json!({"seed": 1, "minutes": 10, "sources": "ab", "complaints": []});
        assert!(was_right(Some(&found), &likeness));
        assert!(!was_right(None, &likeness));
        found["minutes"] = json!(2);
        assert!(!was_right(Some(&found), &likeness));
        found["minutes"] = json!(10);
        found["complaints"] = json!(["lost"]);
        assert!(!was_right(Some(&found), &likeness));
        found["complaints"] = json!([]);
        found["sources"] = json!("ab+");
        assert!(!was_right(Some(&found), &likeness), "something was not committed");
    }

    #[test]
    fn a_check_that_fails_is_a_complaint() {
        let mut findings = Findings::default();
        findings.check(true, || "never".to_owned());
        findings.check(false, || "this".to_owned());
        assert_eq!(findings.counts["checks"], 2);
        assert_eq!(findings.complaints, ["this"]);
    }
}
