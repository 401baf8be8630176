//! Power cuts and kills of the store on the simulated disk, as many images as are asked for.
//!
//! The work is done by the crash test of the store; this runs it stretch by stretch and adds up what it counts. The counts, and
//! the seed to go on with, are in a JSON file: a run that is cut off goes on where its last stretch ended. Before the first
//! stretch every planted bug must have been found: those of the store by its crash test, those of the node (what a broker does
//! above its store, such as a duplicate that is acknowledged too early) by the simulation of a whole node. At the end no case of
//! the list may be missing, and each type of journal record must have been the last before a cut for one image in a hundred.

use std::collections::BTreeMap;
use std::fs::{create_dir_all, read, rename, write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::options;
use crate::program::Ending;
use crate::tally::say;
use crate::{Fault, program, tree};

/// The test that does it, and what it shares with others.
const SOURCES: [&str; 2] = ["engine/store/tests/crash", "engine/store/tests/scene"];
/// Which package a test is of, and which of its targets.
const STORE: [&str; 6] =
    ["--package", "ringwood-store", "--features", "planted", "--test", "crash"];
const NODE: [&str; 4] = ["--package", "ringwood", "--bin", "ringwood"];
const BUGS_OF_THE_STORE: &str = "planted::every_planted_bug_is_found";
const BUGS_OF_THE_NODE: &str = "node::simulation::bugs_of_the_node_are_found";
/// Images between two savings of the counts.
const STRETCH: u64 = 5_000;
/// A test says nothing before it has taken all of them; without optimizations that is long.
const SILENCE: Duration = Duration::from_secs(4 * 3600);
/// What is counted for each type of journal record, and for how many images one of each there must be.
const LAST_RECORD: &str = "last record before a cut: ";
const LAST_RECORD_ONE_IN: u64 = 100;
/// So many seeds at least, for so many images: no seed may have more than its share.
const IMAGES_OF_A_SEED_MAX: u64 = 100;

struct Options {
    images: u64,
    seed: u64,
    release: bool,
    state: PathBuf,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Options, Fault> {
        let state = tree::target().join("prove").join("crash.json");
        let mut options = Options { images: 100_000, seed: 1, release: false, state };
        options::each(words, &["--release"], |name, value| {
            match name {
                "--release" => options.release = true,
                "--images" => options.images = value.parse()?,
                "--seed" => options.seed = value.parse()?,
                "--state" => options.state = PathBuf::from(value),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(options)
    }
}

/// What all runs so far have counted.
#[derive(Default)]
struct State {
    counts: BTreeMap<String, u64>,
    /// For each planted bug, the seed and the number of images that found it.
    planted: Map<String, Value>,
    /// The same of the bugs of the node, and what was tested for that: more than the store.
    planted_node: Map<String, Value>,
    node_sources: String,
    next_seed: u64,
    /// What was tested. Counts of other sources prove nothing of these.
    sources: String,
}

impl State {
    fn load(path: &Path, seed: u64, sources: &str) -> Result<State, Fault> {
        let anew = State { next_seed: seed, sources: sources.to_owned(), ..State::default() };
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
        let counts = found["counts"].as_object().into_iter().flatten();
        Ok(State {
            counts: counts.filter_map(|(n, v)| Some((n.clone(), v.as_u64()?))).collect(),
            planted: found["planted"].as_object().cloned().unwrap_or_default(),
            planted_node: found["planted_node"].as_object().cloned().unwrap_or_default(),
            node_sources: found["node_sources"].as_str().unwrap_or_default().to_owned(),
            next_seed: found["next_seed"].as_u64().unwrap_or(seed),
            sources: sources.to_owned(),
        })
    }

    /// Written aside and renamed, so that a run that is cut off leaves the counts before or after.
    fn save(&self, path: &Path) -> Result<(), Fault> {
        if let Some(folder) = path.parent() {
            create_dir_all(folder)?;
        }
        let all = json!({
            "counts": self.counts, "planted": self.planted, "next_seed": self.next_seed,
            "sources": self.sources, "planted_node": self.planted_node,
            "node_sources": self.node_sources,
        });
        let aside = path.with_extension("new");
        write(&aside, format!("{}\n", serde_json::to_string_pretty(&all)?))?;
        Ok(rename(&aside, path)?)
    }

    fn of(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    fn images(&self) -> u64 {
        self.of("images")
    }

    /// What this run does not show, one line each.
    fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        for (name, count) in &self.counts {
            let last = name.starts_with(LAST_RECORD);
            let least = if last { self.images() / LAST_RECORD_ONE_IN } else { 1 };
            if *count < least.max(1) && name != "violations" {
                gaps.push(format!("{name}: {count}, at least {} are needed", least.max(1)));
            }
        }
        for (name, found) in self.planted.iter().chain(&self.planted_node) {
            if found["images"].as_u64().unwrap_or(0) == 0 {
                gaps.push(format!("{name} was found without an image"));
            }
        }
        let seeds = self.of("seeds");
        if seeds * IMAGES_OF_A_SEED_MAX < self.images() {
            gaps.push(format!("{seeds} seeds are too few for {} images", self.images()));
        }
        gaps
    }
}

/// One run of one test; its lines go to `each`.
fn test(
    of: &[&str],
    name: &str,
    release: bool,
    (seed, images): (u64, u64),
    each: impl FnMut(&str),
) -> Result<bool, Fault> {
    let mut command = Command::new("cargo");
    command.args(["test", "--quiet"]).args(of);
    if release {
        command.arg("--release");
    }
    command
        .args(["--", "--include-ignored", "--nocapture", "--exact", name])
        .env("RINGWOOD_CRASH_SEED", seed.to_string())
        .env("RINGWOOD_CRASH_IMAGES", images.to_string())
        .current_dir(tree::root());
    Ok(program::watch(&mut command, SILENCE, each)? == Ending::Good)
}

/// Looks for every planted bug of one package; none found is none that was looked for.
fn hunt(of: &[&str], name: &str, release: bool) -> Result<Option<Map<String, Value>>, Fault> {
    let mut found = Map::new();
    let all = test(of, name, release, (1, 0), |line| found.extend(planted(line)))?;
    if all && !found.is_empty() {
        return Ok(Some(found));
    }
    say("FAILED a planted bug was not found: what the crash test says means little")?;
    Ok(None)
}

/// `planted NAME seed S images N`
fn planted(line: &str) -> Option<(String, Value)> {
    let words: Vec<&str> = line.split(' ').collect();
    let ["planted", name, "seed", seed, "images", images, ..] = words[..] else { return None };
    let images = images.trim_end_matches(':');
    let found = json!({ "seed": seed.parse::<u64>().ok()?, "images": images.parse::<u64>().ok()? });
    Some((name.to_owned(), found))
}

/// `count N NAME`
fn count(line: &str) -> Option<(String, u64)> {
    let (n, name) = line.strip_prefix("count ")?.split_once(' ')?;
    Some((name.to_owned(), n.parse().ok()?))
}

/// Runs until there were so many images in all; true if nothing was lost, every planted bug was found, and every case of the
/// list was seen.
pub(crate) fn run(words: &[&str]) -> Result<bool, Fault> {
    let options = Options::parse(words)?;
    let sources = tree::sources("ringwood-store", &SOURCES)?;
    let mut state = State::load(&options.state, options.seed, &sources)?;
    say(&format!(
        "prove crash: {} images of {}, seed {}, counts in {}",
        state.images(),
        options.images,
        state.next_seed,
        options.state.display()
    ))?;
    if state.planted.is_empty() {
        let Some(found) = hunt(&STORE, BUGS_OF_THE_STORE, options.release)? else {
            return Ok(false);
        };
        state.planted = found;
        state.save(&options.state)?;
    }
    let node_sources = tree::sources("ringwood", &[])?;
    if state.node_sources != node_sources || node_sources.ends_with('+') {
        let Some(found) = hunt(&NODE, BUGS_OF_THE_NODE, options.release)? else {
            return Ok(false);
        };
        state.planted_node = found;
        state.node_sources = node_sources;
        state.save(&options.state)?;
    }
    while state.images() < options.images {
        let images = STRETCH.min(options.images - state.images());
        let mut next = None;
        let mut counts = Vec::new();
        let name = "a_stretch_of_seeds";
        let stretch = (state.next_seed, images);
        let good = test(&STORE, name, options.release, stretch, |line| {
            counts.extend(count(line));
            if let Some(seed) = line.strip_prefix("next seed ") {
                next = seed.parse().ok();
            }
        })?;
        for (name, n) in counts {
            *state.counts.entry(name).or_insert(0) += n;
        }
        state.next_seed = next.ok_or("the crash test ended without its counts")?;
        *state.counts.entry("violations".to_owned()).or_insert(0) += u64::from(!good);
        state.save(&options.state)?;
        if !good {
            say("FAILED the seed is above")?;
            return Ok(false);
        }
    }
    let violations = state.of("violations");
    for (name, n) in &state.counts {
        say(&format!("{n:>12} {name}"))?;
    }
    say(&format!(
        "{} images of {} seeds, {violations} violations, {} planted bugs of the store found, {} of the node",
        state.images(),
        state.of("seeds"),
        state.planted.len(),
        state.planted_node.len()
    ))?;
    let gaps = state.gaps();
    for gap in &gaps {
        say(&format!("FAILED {gap}"))?;
    }
    Ok(violations == 0 && gaps.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(counts: &[(&str, u64)]) -> State {
        let counts = counts.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
        State { counts, ..State::default() }
    }

    #[test]
    fn what_was_not_seen_is_a_gap_and_so_is_what_was_seen_too_seldom() {
        let good = [("images", 1_000), ("seeds", 20), ("violations", 0), ("power cut", 1)];
        assert!(state(&good).gaps().is_empty());
        let mut unseen = good.to_vec();
        unseen.push(("ring wrapped", 0));
        assert_eq!(state(&unseen).gaps(), ["ring wrapped: 0, at least 1 are needed"]);
        let mut rare = good.to_vec();
        rare.push(("last record before a cut: Delete", 9));
        assert_eq!(state(&rare).gaps().len(), 1);
        let mut unproved = state(&good);
        unproved.planted_node.insert("ProducerIdReused".into(), json!({ "seed": 1, "images": 0 }));
        assert_eq!(unproved.gaps(), ["ProducerIdReused was found without an image"]);
        let few = [("images", 1_000), ("seeds", 9)];
        assert_eq!(state(&few).gaps(), ["9 seeds are too few for 1000 images"]);
    }

    #[test]
    fn lines_of_the_test_are_read() {
        assert_eq!(count("count 7 ring wrapped"), Some(("ring wrapped".to_owned(), 7)));
        assert_eq!(count("7 ring wrapped"), None);
        let (name, found) = planted("planted AckBeforeFlush seed 3 images 20 in 1.0 s: x").unwrap();
        assert_eq!((name.as_str(), &found["images"]), ("AckBeforeFlush", &json!(20)));
        let (_, found) = planted("planted MetadataShownEarly seed 3 images 14: x").unwrap();
        assert_eq!(found["images"], json!(14));
    }
}
