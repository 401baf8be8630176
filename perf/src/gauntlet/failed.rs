//! Records that failed, by the names of their errors: a broker that refuses some of its load looks as fast as one that carries it.

use std::collections::BTreeMap;

use crate::run::Run;

/// How many records of a run failed, and of which errors.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Failed {
    records: u64,
    errors: BTreeMap<String, u64>,
}

/// So many errors are named.
const NAMES_MAX: usize = 3;

impl Failed {
    pub(crate) fn of(run: &Run) -> Self {
        let mut failed = Self::default();
        for stage in run.repeats.iter().flat_map(|repeat| &repeat.stages) {
            failed.records += stage.failed;
            // An error that met no record is named in the run, and is no reason here.
            for (error, count) in stage.errors.iter().filter(|(_, count)| **count > 0) {
                *failed.errors.entry(error.clone()).or_default() += count;
            }
        }
        failed
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.records += other.records;
        for (error, count) in &other.errors {
            *self.errors.entry(error.clone()).or_default() += count;
        }
    }

    pub(crate) fn is_none(&self) -> bool {
        self.records == 0
    }

    /// `380: NOT_ENOUGH_REPLICAS 300, KAFKA_STORAGE_ERROR 80`, the most frequent first; `None` where none failed.
    pub(crate) fn words(&self) -> Option<String> {
        if self.is_none() {
            return None;
        }
        let mut errors: Vec<_> = self.errors.iter().collect();
        errors.sort_by(|(_, one), (_, other)| other.cmp(one));
        let mut names: Vec<String> = match errors.as_slice() {
            [(error, _)] => vec![(*error).clone()],
            errors => errors.iter().map(|(error, count)| format!("{error} {count}")).collect(),
        };
        let more = names.len().saturating_sub(NAMES_MAX);
        names.truncate(NAMES_MAX);
        if more > 0 {
            names.push(format!("{more} others"));
        }
        let reasons = if names.is_empty() { "unnamed".to_owned() } else { names.join(", ") };
        Some(format!("{}: {reasons}", self.records))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Repeat, Stage};

    fn run(stages: &[(u64, &[(&str, u64)])]) -> Run {
        let stage = |(failed, errors): &(u64, &[(&str, u64)])| Stage {
            failed: *failed,
            errors: errors.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
            ..Stage::default()
        };
        let stages = stages.iter().map(stage).collect();
        Run { repeats: vec![Repeat { stages, ..Repeat::default() }], ..Run::default() }
    }

    #[test]
    fn what_failed_is_counted_and_named_by_its_errors() {
        assert_eq!(Failed::of(&run(&[(0, &[("fetch: UNKNOWN", 0)])])).words(), None);
        let one = Failed::of(&run(&[(300, &[("NOT_ENOUGH_REPLICAS", 300), ("fetch: X", 0)])]));
        assert_eq!(one.words().unwrap(), "300: NOT_ENOUGH_REPLICAS");
        let mut both = Failed::of(&run(&[(60, &[("STORAGE", 60)]), (20, &[("STORAGE", 20)])]));
        both.add(&one);
        assert_eq!(both.words().unwrap(), "380: NOT_ENOUGH_REPLICAS 300, STORAGE 80");
        both.add(&Failed::of(&run(&[(3, &[("A", 1), ("B", 1), ("C", 1)])])));
        let words = both.words().unwrap();
        assert_eq!(words, "383: NOT_ENOUGH_REPLICAS 300, STORAGE 80, A 1, 2 others");
    }
}
