//! What a proof counts: a JSON file of numbers that is added to when a run goes on.

use std::collections::BTreeMap;
use std::fs::{create_dir_all, read, rename, write};
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::tally::say;
use crate::{Fault, tree};

/// Bounds of recovery times, in milliseconds.
const STEPS: [u64; 22] = [
    5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 125, 150, 200, 250, 300, 400, 500, 750, 1000, 2000,
    5000,
];
const RECOVERED: &str = "recovery_ms_to_";
/// What must be zero, as the auditor calls it.
pub(super) const NEVER: [&str; 6] =
    ["duplicated", "out_of_order", "holes", "producer_id_reused", "malformed", "missing"];

/// The programs that work against the broker, and what makes them.
const PLAYERS: [&str; 2] = ["broker/node/tests/clients", "xtask/src/prove/round.rs"];

/// The counts of all runs so far, and the name of the sources that they are of: counts of others prove nothing of these.
#[derive(Default)]
pub(super) struct Counts(pub(super) BTreeMap<String, u64>, String);

/// The name of what proofs with the running broker are of.
pub(super) fn of_the_broker() -> Result<String, Fault> {
    tree::sources("ringwood", &PLAYERS)
}

impl Counts {
    /// None yet, of the broker as it is built now.
    pub(super) fn anew() -> Result<Counts, Fault> {
        Ok(Counts(BTreeMap::new(), of_the_broker()?))
    }

    /// Those of earlier runs with the same sources. Others are put aside.
    pub(super) fn load(path: &Path) -> Result<Counts, Fault> {
        Self::load_of(path, of_the_broker()?)
    }

    fn load_of(path: &Path, sources: String) -> Result<Counts, Fault> {
        if !path.exists() {
            return Ok(Counts(BTreeMap::new(), sources));
        }
        let found: Map<String, Value> = serde_json::from_slice(&read(path)?)?;
        let of = found.get("sources").and_then(Value::as_str).unwrap_or_default();
        if of != sources || of.ends_with('+') {
            say(&format!("counts of other sources ({of}) are put aside"))?;
            rename(path, path.with_extension("old.json"))?;
            return Ok(Counts(BTreeMap::new(), sources));
        }
        let numbers = found.into_iter().filter_map(|(name, value)| Some((name, value.as_u64()?)));
        Ok(Counts(numbers.collect(), sources))
    }

    pub(super) fn add(&mut self, name: &str, more: u64) {
        *self.0.entry(name.to_owned()).or_insert(0) += more;
    }

    /// Sets a count that is known whole, or keeps what is larger.
    pub(super) fn raise(&mut self, name: &str, to: u64) {
        let count = self.0.entry(name.to_owned()).or_insert(0);
        *count = to.max(*count);
    }

    pub(super) fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Blows so far: kills or cuts, while the broker served and before it did.
    pub(super) fn blows(&self) -> u64 {
        self.of("kills_while_serving") + self.of("recoveries_cut")
    }

    /// Those of these names that have counted nothing.
    pub(super) fn unseen<'a>(&self, names: &[&'a str]) -> Vec<&'a str> {
        names.iter().copied().filter(|name| self.of(name) == 0).collect()
    }

    /// One more recovery, counted by its length so that runs add up.
    pub(super) fn recovered(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bound = STEPS.into_iter().find(|ms| micros <= ms * 1000).unwrap_or(u64::MAX);
        self.add(&format!("{RECOVERED}{bound:020}"), 1);
    }

    /// The bound, in milliseconds, that this share (in percent) of the recoveries kept.
    fn recovery(&self, percent: u64) -> u64 {
        let steps =
            || self.0.iter().filter_map(|(name, n)| Some((name.strip_prefix(RECOVERED)?, *n)));
        let all: u64 = steps().map(|(_, n)| n).sum();
        let mut seen = 0;
        for (bound, n) in steps() {
            seen += n;
            if seen * 100 >= all * percent {
                return bound.parse().unwrap_or(u64::MAX);
            }
        }
        0
    }

    /// The same in words.
    pub(super) fn recovered_within(&self, percent: u64) -> String {
        match self.recovery(percent) {
            u64::MAX => format!("over {} ms", STEPS[STEPS.len() - 1]),
            bound => format!("at most {bound} ms"),
        }
    }

    /// Written aside and renamed, so that a run that is cut off leaves the counts before or after.
    pub(super) fn save(&self, path: &Path) -> Result<(), Fault> {
        if let Some(folder) = path.parent() {
            create_dir_all(folder)?;
        }
        let numbers = self.0.iter().map(|(name, n)| (name.clone(), Value::from(*n)));
        let sources = ("sources".to_owned(), Value::from(self.1.as_str()));
        let all: Map<String, Value> = numbers.chain([sources]).collect();
        let aside = path.with_extension("new");
        write(&aside, format!("{}\n", serde_json::to_string_pretty(&all)?))?;
        Ok(rename(&aside, path)?)
    }

    pub(super) fn bad(&self) -> u64 {
        let of: u64 = NEVER.iter().map(|name| self.of(name)).sum();
        of + self.of("lost")
            + self.of("faults")
            + self.of("broker_failures")
            + self.of("late_writes_after_lock_was_free")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_go_on_with_the_same_sources_only() {
        let folder = std::env::temp_dir().join(format!("counts-{}", std::process::id()));
        let path = folder.join("state.json");
        let load = |of: &str| Counts::load_of(&path, of.to_owned()).expect("readable");
        let mut counts = load("ab");
        counts.add("kills", 3);
        counts.save(&path).expect("saved");
        assert_eq!(load("ab").of("kills"), 3);
        assert_eq!(load("ac").of("kills"), 0);
        assert_eq!(load("ab").of("kills"), 0, "they were put aside");
        let mut counts = load("ab+");
        counts.add("kills", 3);
        counts.save(&path).expect("saved");
        assert_eq!(load("ab+").of("kills"), 0, "something was not committed");
        std::fs::remove_dir_all(&folder).expect("its own folder");
    }

    #[test]
    fn recoveries_are_told_by_their_bounds() {
        let mut counts = Counts::default();
        assert_eq!(counts.recovery(50), 0);
        for ms in 1..=100 {
            counts.recovered(Duration::from_millis(ms));
        }
        assert_eq!((counts.recovery(50), counts.recovery(99)), (50, 100));
        counts.recovered(Duration::from_secs(7));
        assert_eq!(counts.recovery(100), u64::MAX);
        assert_eq!(counts.recovered_within(50), "at most 60 ms");
        assert_eq!(counts.recovered_within(100), "over 5000 ms");
    }
}
