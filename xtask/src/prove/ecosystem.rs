//! Kafka's own programs, and the rebalance storm, against a broker that is killed with -9 while they work.
//!
//! Connect, Streams and the verifiable clients come from Kafka's own artifacts and are not changed. Each part has a broker, a data
//! directory and ports of its own, and ends with the question whether the result is right. What was counted goes to a JSON file,
//! part by part.

mod connect;
mod process;
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
const PARTS: [&str; 4] = ["verifiable", "streams", "connect", "storm"];

struct Options {
    only: Vec<String>,
    /// How long the storm blows.
    minutes: u64,
    /// Members of each client's group in the storm.
    members: usize,
    /// How often the broker is killed in the storm.
    kills: usize,
    seed: u64,
    state: PathBuf,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Options, Fault> {
        let mut options = Options {
            only: PARTS.map(str::to_owned).to_vec(),
            minutes: 10,
            members: 8,
            kills: 5,
            seed: 1,
            state: tree::target().join("prove").join("ecosystem.json"),
        };
        options::each(words, &[], |name, value| {
            match name {
                "--only" => {
                    options.only = options::list(value)?;
                    let unknown = options.only.iter().find(|part| !PARTS.contains(&part.as_str()));
                    if let Some(unknown) = unknown {
                        return Err(format!(
                            "no part is called {unknown}; there are {}",
                            PARTS.join(", ")
                        )
                        .into());
                    }
                }
                "--minutes" => options.minutes = value.parse()?,
                "--members" => options.members = value.parse()?,
                "--kills" => options.kills = value.parse()?,
                "--seed" => options.seed = value.parse()?,
                "--state" => options.state = PathBuf::from(value),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if options.members == 0 || options.minutes == 0 {
            return Err("a storm has members and lasts at least a minute".into());
        }
        Ok(options)
    }

    fn wants(&self, part: &str) -> bool {
        self.only.iter().any(|one| one == part)
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

/// Adds what a part found to the file. Written aside and renamed, so that a run that is cut off leaves what was before or after.
fn save(path: &Path, part: &str, found: &Value) -> Result<(), Fault> {
    let mut all: Map<String, Value> =
        if path.exists() { serde_json::from_slice(&read(path)?)? } else { Map::new() };
    all.insert(part.to_owned(), found.clone());
    if let Some(folder) = path.parent() {
        create_dir_all(folder)?;
    }
    let aside = path.with_extension("new");
    write(&aside, format!("{}\n", serde_json::to_string_pretty(&all)?))?;
    Ok(rename(&aside, path)?)
}

/// Plays the parts that were asked for; true if every one that ran was right and at least one ran.
pub(crate) fn run(words: &[&str]) -> Result<bool, Fault> {
    let options = Options::parse(words)?;
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
    let (mut ran, mut bad) = (Vec::new(), Vec::new());
    for part in PARTS.into_iter().filter(|part| options.wants(part)) {
        if part != "storm" && !has_java {
            say(&format!("SKIPPED ecosystem/{part}: {}", java.absence()))?;
            continue;
        }
        say(&format!("ecosystem/{part}"))?;
        let started = Instant::now();
        let mut findings = Findings::default();
        let outcome = match part {
            "verifiable" => verifiable::play(&mut findings),
            "streams" => streams::play(&mut findings),
            "connect" => connect::play(&mut findings),
            _ => storm::play(&options, has_java, &mut findings),
        };
        if let Err(fault) = outcome {
            findings.complaints.push(fault.to_string());
        }
        findings.count("seconds", started.elapsed().as_secs());
        for complaint in &findings.complaints {
            say(&format!("FAILED ecosystem/{part}: {complaint}"))?;
        }
        if !findings.complaints.is_empty() {
            bad.push(part);
        }
        ran.push(part);
        let found = findings.into_json();
        say(&format!("ecosystem/{part}: {found}"))?;
        save(&options.state, part, &found)?;
    }
    say(&format!(
        "ecosystem: {} ran, {} failed; counts in {}",
        ran.len(),
        bad.len(),
        options.state.display()
    ))?;
    Ok(bad.is_empty() && !ran.is_empty())
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
