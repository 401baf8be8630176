//! `--fail-if`: a condition held against a run and its baseline.
//!
//! A difference in percent is taken between the medians of the repeats, and fails only where it is also more than chance
//! (see [`crate::chance`]): a gate that cries wolf is switched off. What is asked of chance is the bound itself, not whether there
//! is a difference at all: a run that is 7 % above is no regression of 10 %, however sure the 7 % are. So the repeats are held
//! against the baseline's, moved by the bound. With fewer than four repeats on a side nothing can be said, and the gate stays shut.
//! A time or a rate is compared with the value of the whole run.

use std::fmt;

use crate::{
    chance,
    run::Measured,
    spec::{Assertion, Bound},
};

/// What came of one condition and one run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Judgement {
    run: String,
    condition: Assertion,
    finding: Finding,
}

#[derive(Clone, Debug, PartialEq)]
enum Finding {
    /// The condition holds: the gate is shut.
    Holds { text: String },
    /// It does not.
    Passes { text: String },
    /// It would, but a difference like this comes by chance.
    Chance { text: String },
    /// Nobody can say.
    Unknown { why: &'static str },
}

impl Judgement {
    /// Holds the condition against the run. `baseline`: none where the run stands alone.
    pub(super) fn of(condition: Assertion, baseline: Option<&Measured>, run: &Measured) -> Self {
        let finding = match condition.bound {
            Bound::Absolute(_) => absolute(condition, run),
            Bound::Percent(percent) => match baseline {
                Some(baseline) => {
                    let subject = condition.subject;
                    let (before, after) = (baseline.samples(subject), run.samples(subject));
                    relative(condition, percent, &before, &after)
                }
                None => Finding::Unknown { why: "there is no baseline" },
            },
        };
        Self { run: run.name.clone(), condition, finding }
    }

    /// Whether the command is to fail for it: the condition holds, or nobody can say.
    pub(super) fn fails(&self) -> bool {
        matches!(self.finding, Finding::Holds { .. } | Finding::Unknown { .. })
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, condition, finding } = self;
        match finding {
            Finding::Holds { text } => write!(f, "FAIL {run}: {condition}: {text}"),
            Finding::Passes { text } => write!(f, "pass {run}: {condition}: {text}"),
            Finding::Chance { text } => write!(f, "pass {run}: {condition}: {text}, within chance"),
            Finding::Unknown { why } => write!(f, "FAIL {run}: {condition} cannot be told: {why}"),
        }
    }
}

fn absolute(condition: Assertion, run: &Measured) -> Finding {
    let Some(value) = run.value(condition.subject) else {
        let is_moved = run.is_moved(condition.subject);
        let why = if is_moved { "the generator may have made it" } else { "too few records" };
        return Finding::Unknown { why };
    };
    let text = condition.subject.show(value);
    if condition.holds(value, None) == Some(true) {
        Finding::Holds { text }
    } else {
        Finding::Passes { text }
    }
}

/// With so many repeats on each side, spreads that do not meet are one deal of seventy.
const REPEATS_MIN: usize = 4;

fn relative(condition: Assertion, percent: f64, before: &[f64], after: &[f64]) -> Finding {
    let subject = condition.subject;
    if before.len() < REPEATS_MIN || after.len() < REPEATS_MIN {
        return Finding::Unknown { why: "fewer than four repeats that carry it (--repeat 5)" };
    }
    let pair = chance::median(before).zip(chance::median(after));
    let Some((base, here)) = pair.filter(|(base, _)| *base > 0.0) else {
        return Finding::Unknown { why: "too few records" };
    };
    let bound: Vec<f64> = before.iter().map(|value| value * (1.0 + percent / 100.0)).collect();
    let chance = chance::probability(&bound, after).map_or_else(String::new, |p| {
        let percent = (p * 100.0).max(0.01);
        let at_most = if p < 1e-4 { "<" } else { "" };
        format!(", as far from the bound by chance {at_most}{percent:.2} %")
    });
    let text = format!(
        "{} against {}, {:+.1} %, medians of {} and {} repeats{chance}",
        subject.show(here),
        subject.show(base),
        (here - base) / base * 100.0,
        before.len(),
        after.len()
    );
    match (condition.holds(here, Some(base)), chance::differs(&bound, after)) {
        (Some(true), Some(true)) => Finding::Holds { text },
        (Some(true), _) => Finding::Chance { text },
        (Some(false) | None, _) => Finding::Passes { text },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        latency::{Kind, Latencies},
        random::Random,
    };

    fn finding(condition: &str, before: &[f64], after: &[f64]) -> Finding {
        let condition: Assertion = condition.parse().unwrap();
        let Bound::Percent(percent) = condition.bound else { panic!("{condition}") };
        relative(condition, percent, before, after)
    }

    #[test]
    fn what_is_surely_within_the_bound_is_no_regression() {
        // 8 % more with 1.5 % of noise: surely a difference, and surely none of 10 %, though a median of ten may be above it.
        let mut random = Random::new(5);
        let mut repeats = |scale: f64| -> Vec<f64> {
            let mut noise = || (0..12).map(|_| random.unit()).sum::<f64>() - 6.0;
            (0..10).map(|_| 1e7 * scale * (1.0 + 0.015 * noise())).collect()
        };
        let (mut alarms, mut missed) = (0, 0);
        for _ in 0..2_000 {
            let base = repeats(1.0);
            let alarm = |after: &[f64]| {
                matches!(finding("p99 > +10%", &base, after), Finding::Holds { .. })
            };
            alarms += usize::from(alarm(&repeats(1.08)));
            missed += usize::from(!alarm(&repeats(1.2)));
        }
        assert!(alarms <= 20, "{alarms} of 2000");
        assert!(missed <= 20, "{missed} of 2000");
    }

    #[test]
    fn a_percentile_that_cannot_be_told_says_why() {
        let words = |late: u64, count: u64| {
            let mut all = Latencies::default();
            all.of_mut(Kind::Response).record_n(10_000_000 + late, count);
            all.of_mut(Kind::Prompt).record_n(10_000_000, count);
            let run = Measured::of_latencies("a".into(), Kind::Response, all);
            Judgement::of("p99 > 1s".parse().unwrap(), None, &run).to_string()
        };
        assert!(words(0, 1_000).starts_with("pass a: "), "{}", words(0, 1_000));
        assert!(words(0, 999).ends_with("cannot be told: too few records"));
        let moved = words(5_000_000, 1_000);
        assert!(moved.ends_with("cannot be told: the generator may have made it"), "{moved}");
    }

    #[test]
    fn two_repeats_say_nothing() {
        let (many, slow) = ([1e6, 1.1e6, 1e6, 1.2e6, 1.1e6], [3e6; 5]);
        for (before, after) in [(2, 2), (2, 5), (5, 3), (5, 0)] {
            let found = finding("p99 > +10%", &many[..before], &slow[..after]);
            assert!(matches!(found, Finding::Unknown { .. }), "{found:?}");
        }
        assert!(matches!(finding("p99 > +10%", &many, &slow), Finding::Holds { .. }));
        assert!(matches!(finding("p99 > +10%", &many, &many), Finding::Passes { .. }));
    }

    #[test]
    fn a_rate_falls_below_its_bound_the_same_way() {
        let before = [1e5, 1.01e5, 0.99e5, 1e5, 1.02e5];
        let by = |factor: f64| before.map(|rate| rate * factor);
        assert!(matches!(finding("rate < -5%", &before, &by(0.8)), Finding::Holds { .. }));
        assert!(matches!(finding("rate < -5%", &before, &by(0.98)), Finding::Passes { .. }));
        assert!(matches!(finding("rate < -5%", &before, &by(1.5)), Finding::Passes { .. }));
    }
}
