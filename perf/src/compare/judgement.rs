//! `--fail-if`: a condition held against a run and its baseline.
//!
//! A difference in percent is taken between the medians of the repeats, and fails only where it is also more than chance
//! (see [`crate::chance`]): a gate that cries wolf is switched off. Runs without repeats are compared as they are. A time or a
//! rate is compared with the value of the whole run.

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
            Bound::Percent(_) => match baseline {
                Some(baseline) => relative(condition, baseline, run),
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
        return Finding::Unknown { why: "too few records" };
    };
    let text = condition.subject.show(value);
    if condition.holds(value, None) == Some(true) {
        Finding::Holds { text }
    } else {
        Finding::Passes { text }
    }
}

fn relative(condition: Assertion, baseline: &Measured, run: &Measured) -> Finding {
    let subject = condition.subject;
    let (before, after) = (baseline.samples(subject), run.samples(subject));
    let differs = chance::differs(&before, &after);
    // With repeats on both sides the medians speak, else the runs as a whole.
    let pair = match differs {
        Some(_) => chance::median(&before).zip(chance::median(&after)),
        None => baseline.value(subject).zip(run.value(subject)),
    };
    let Some((base, here)) = pair.filter(|(base, _)| *base > 0.0) else {
        return Finding::Unknown { why: "too few records" };
    };
    let of = match differs {
        Some(_) => format!(", medians of {} and {} repeats", before.len(), after.len()),
        None => ", one measurement each".into(),
    };
    let chance = chance::probability(&before, &after).filter(|_| differs.is_some()).map_or_else(
        String::new,
        |p| {
            let percent = (p * 100.0).max(0.01);
            let at_most = if p < 1e-4 { "<" } else { "" };
            format!(", by chance {at_most}{percent:.2} %")
        },
    );
    let text = format!(
        "{} against {}, {:+.1} %{of}{chance}",
        subject.show(here),
        subject.show(base),
        (here - base) / base * 100.0
    );
    match (condition.holds(here, Some(base)), differs) {
        (Some(true), Some(false)) => Finding::Chance { text },
        (Some(true), Some(true) | None) => Finding::Holds { text },
        (Some(false) | None, _) => Finding::Passes { text },
    }
}
