//! Power cuts and kills of the store on the simulated disk, as many images as are asked for.
//!
//! The work is done by the crash test of the store; this runs it stretch by stretch and adds up what it counts. The counts, and
//! the seed to go on with, are in a JSON file: a run that is cut off goes on where its last stretch ended. Before the first
//! stretch every planted bug must have been found.

use std::collections::BTreeMap;
use std::fs::{create_dir_all, read, rename, write};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value, json};

use super::options;
use crate::tally::say;
use crate::{Fault, program, tree};

/// Images between two savings of the counts.
const STRETCH: u64 = 5_000;

struct Options {
    images: u64,
    seed: u64,
    state: PathBuf,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Options, Fault> {
        let state = tree::target().join("prove").join("crash.json");
        let mut options = Options { images: 100_000, seed: 1, state };
        options::each(words, &[], |name, value| {
            match name {
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
    next_seed: u64,
}

impl State {
    fn load(path: &Path, seed: u64) -> Result<State, Fault> {
        if !path.exists() {
            return Ok(State { next_seed: seed, ..State::default() });
        }
        let found: Value = serde_json::from_slice(&read(path)?)?;
        let counts = found["counts"].as_object().into_iter().flatten();
        Ok(State {
            counts: counts.filter_map(|(n, v)| Some((n.clone(), v.as_u64()?))).collect(),
            planted: found["planted"].as_object().cloned().unwrap_or_default(),
            next_seed: found["next_seed"].as_u64().unwrap_or(seed),
        })
    }

    /// Written aside and renamed, so that a run that is cut off leaves the counts before or after.
    fn save(&self, path: &Path) -> Result<(), Fault> {
        if let Some(folder) = path.parent() {
            create_dir_all(folder)?;
        }
        let all = json!({
            "counts": self.counts, "planted": self.planted, "next_seed": self.next_seed,
        });
        let aside = path.with_extension("new");
        write(&aside, format!("{}\n", serde_json::to_string_pretty(&all)?))?;
        Ok(rename(&aside, path)?)
    }

    fn images(&self) -> u64 {
        self.counts.get("images").copied().unwrap_or(0)
    }
}

/// One run of the store's crash test; its lines go to `each`.
fn test(name: &str, seed: u64, images: u64, each: impl FnMut(&str)) -> Result<bool, Fault> {
    let mut command = Command::new("cargo");
    command
        .args(["test", "--quiet", "--package", "ringwood-store", "--features", "planted"])
        .args(["--test", "crash", "--", "--include-ignored", "--nocapture", "--exact", name])
        .env("RINGWOOD_CRASH_SEED", seed.to_string())
        .env("RINGWOOD_CRASH_IMAGES", images.to_string())
        .current_dir(tree::root());
    program::follow(&mut command, each)
}

/// `planted NAME seed S images N`
fn planted(line: &str) -> Option<(String, Value)> {
    let words: Vec<&str> = line.split(' ').collect();
    let ["planted", name, "seed", seed, "images", images, ..] = words[..] else { return None };
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
    let mut state = State::load(&options.state, options.seed)?;
    say(&format!(
        "prove crash: {} images of {}, seed {}, counts in {}",
        state.images(),
        options.images,
        state.next_seed,
        options.state.display()
    ))?;
    if state.planted.is_empty() {
        let mut found = Map::new();
        let all = test("planted::every_planted_bug_is_found", 1, 0, |line| {
            found.extend(planted(line));
        })?;
        if !all || found.is_empty() {
            say("FAILED a planted bug was not found: what the crash test says means little")?;
            return Ok(false);
        }
        state.planted = found;
        state.save(&options.state)?;
    }
    while state.images() < options.images {
        let images = STRETCH.min(options.images - state.images());
        let mut next = None;
        let mut counts = Vec::new();
        let good = test("a_stretch_of_seeds", state.next_seed, images, |line| {
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
    let unseen: Vec<&String> =
        state.counts.iter().filter(|(n, c)| **c == 0 && *n != "violations").map(|c| c.0).collect();
    let violations = state.counts.get("violations").copied().unwrap_or(0);
    say(&format!(
        "{} images of {} seeds, {violations} violations, {} planted bugs found",
        state.images(),
        state.counts.get("seeds").copied().unwrap_or(0),
        state.planted.len()
    ))?;
    if !unseen.is_empty() {
        say(&format!("FAILED never seen: {unseen:?}"))?;
    }
    Ok(violations == 0 && unseen.is_empty())
}
