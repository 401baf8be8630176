//! What the lines come to: the baseline that they are held against, and the worst of them.

use super::line::Line;
use crate::{chance::median, failure::Failure, spec::format_nanos};

/// The baseline among the scenarios' numbers.
pub(super) const BASELINE: u32 = 0;

/// What the design allows: the worst p99 over that of the baseline.
const RATIO_MAX: f64 = 2.0;

/// The baseline's p99, nanoseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Base {
    /// The median of those that were valid: a broker that did not keep up was not at rest.
    pub(super) p99: Option<f64>,
    /// The valid ones.
    pub(super) all: Vec<f64>,
    pub(super) measured: usize,
}

impl Base {
    pub(super) fn of(lines: &[Line]) -> Self {
        let valid = lines.iter().filter(|l| l.is_baseline() && l.kept_up()).filter_map(Line::p99);
        let all: Vec<f64> = valid.map(|nanos| nanos as f64).collect();
        let measured = lines.iter().filter(|line| line.is_of_baseline()).count();
        Self { p99: median(&all), all, measured }
    }

    pub(super) fn bounds(&self) -> (f64, f64) {
        let low = self.all.iter().copied().fold(f64::INFINITY, f64::min);
        (low, self.all.iter().copied().fold(0.0, f64::max))
    }

    /// Nothing can be held to a bound by a measure that differs from itself by as much. One that had bad luck is no reason: that is
    /// what the median is for.
    pub(super) fn is_steady(&self) -> bool {
        let Some(p99) = self.p99 else { return false };
        let is_near = |one: &&f64| **one <= p99 * RATIO_MAX && **one * RATIO_MAX >= p99;
        self.all.iter().filter(is_near).count() * 2 > self.all.len()
    }

    /// What the scenarios are held against.
    pub(super) fn measure(&self) -> Option<f64> {
        self.p99.filter(|_| self.is_steady())
    }

    pub(super) fn line(&self) -> String {
        let Some(p99) = self.p99 else { return String::new() };
        let ((low, high), show) = (self.bounds(), |nanos: f64| format_nanos(nanos as u64));
        let (count, measured) = (self.all.len(), self.measured);
        let of = if count < measured { format!(" of {measured}") } else { String::new() };
        let unsteady = if self.is_steady() { "" } else { "; too far apart to tell" };
        format!(
            "baseline p99: {}, median of {count}{of} from {} to {}{unsteady}\n",
            show(p99),
            show(low),
            show(high)
        )
    }
}

/// What the lines came to.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) worst: Option<(f64, &'static str)>,
    /// Scenarios that were begun.
    pub(super) played: u32,
    /// Those of which no ratio is known.
    pub(super) unknown: Vec<String>,
    /// By scenario why there is nothing of it.
    pub(super) failures: Vec<(String, Failure)>,
    pub(super) invalids: Vec<String>,
}

impl Findings {
    pub(super) fn add(&mut self, line: &Line, base: &Base) {
        match line {
            Line::Played { scenario: None, .. } => {}
            Line::Played { name, scenario: Some((number, what)), played } => {
                self.played += 1;
                let lacking = played.lacking();
                match base.measure().zip(line.p99()) {
                    Some((base, here)) if lacking.is_empty() => {
                        let ratio = here as f64 / base;
                        if self.worst.is_none_or(|(worst, _)| ratio > worst) {
                            self.worst = Some((ratio, what));
                        }
                    }
                    Some(_) | None => self.unknown.push(number.to_string()),
                }
                // A scenario whose numbers are the generator's is as little measured as one that was another.
                if played.run.verdict.is_invalid() {
                    self.invalids.push(format!("{name}: {}", played.run.verdict));
                } else if !lacking.is_empty() {
                    self.invalids.push(format!("{name}: {}", lacking.join(", ")));
                }
            }
            Line::Nothing { name, number, failure } => {
                if *number != BASELINE {
                    self.played += 1;
                    self.unknown.push(number.to_string());
                }
                match failure {
                    // A measurement that was none is not the broker's failure.
                    Failure::Invalid(_) => self.invalids.push(format!("{name}: {failure}")),
                    Failure::Usage(_)
                    | Failure::Assertion(_)
                    | Failure::Unreachable(_)
                    | Failure::Local(_)
                    | Failure::Interrupted(_) => {
                        self.failures.push((name.clone(), failure.clone()));
                    }
                }
            }
        }
    }

    pub(super) fn last_line(&self) -> String {
        last_line(self.worst, self.played, &self.unknown)
    }

    pub(super) fn conclude(&self, fail_above: Option<f64>) -> Result<(), Failure> {
        conclude(&self.failures, &self.invalids, self.worst, &self.unknown, fail_above)
    }
}

/// What the gauntlet says to the shell. A gate is not passed by a scenario of which nothing is known.
pub(super) fn conclude(
    failures: &[(String, Failure)],
    invalids: &[String],
    worst: Option<(f64, &str)>,
    unknown: &[String],
    fail_above: Option<f64>,
) -> Result<(), Failure> {
    if let Some(failure) = Failure::together(failures) {
        return Err(failure);
    }
    if let (Some((ratio, name)), Some(bound)) = (worst, fail_above)
        && ratio > bound
    {
        let text = format!("{name}: p99 is {ratio:.2} times the baseline's, allowed {bound}");
        return Err(Failure::Assertion(text));
    }
    if !invalids.is_empty() {
        return Err(Failure::Invalid(invalids.join("; ")));
    }
    if fail_above.is_some() && !unknown.is_empty() {
        let text = format!("not told by scenario {}: the gate stays shut", unknown.join(", "));
        return Err(Failure::Invalid(text));
    }
    Ok(())
}

/// The figure that all of it is for. Scenarios whose numbers are the generator's are named: nothing is known of them.
pub(super) fn last_line(worst: Option<(f64, &str)>, played: u32, unknown: &[String]) -> String {
    let told = match worst {
        Some((ratio, name)) => {
            let reached = if ratio <= RATIO_MAX { "reached" } else { "missed" };
            format!("{ratio:.2} ({name}); at most {RATIO_MAX}: {reached}")
        }
        None => "not told".to_owned(),
    };
    let unknown = if unknown.is_empty() {
        String::new()
    } else {
        format!("; not told by {} of {played}: {}", unknown.len(), unknown.join(", "))
    };
    format!("worst p99 over baseline p99: {told}{unknown}\n")
}
