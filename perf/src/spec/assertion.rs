//! What must hold: `p99.9<10ms`, `p99 > +10%`, `rate < -5%`, `max > 1s`.
//!
//! In `--find-max` the condition is the one to keep; in `--fail-if` the one that fails. Either way it is a subject, a comparison
//! and a bound; the bound is an absolute time, a count, or a difference to the baseline in percent.

use std::{fmt, str::FromStr};

use super::{
    Quantile, duration, format_nanos,
    quantity::{count, format_count},
};

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Subject {
    /// A latency at a quantile, in nanoseconds.
    Latency(Quantile),
    /// The mean latency, in nanoseconds.
    Mean,
    /// Acknowledged records a second.
    Rate,
}

impl Subject {
    /// A value of this subject for people.
    #[must_use]
    pub fn show(&self, value: f64) -> String {
        match self {
            Self::Latency(_) | Self::Mean => format_nanos(value as u64),
            Self::Rate => format!("{}/s", format_count(value)),
        }
    }
}

/// Which side of the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Strictly below.
    Below,
    /// Below or equal.
    AtMost,
    /// Strictly above.
    Above,
    /// Above or equal.
    AtLeast,
}

/// What it is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Nanoseconds, or records a second.
    Absolute(f64),
    /// Difference to the baseline: +10 is ten percent more.
    Percent(f64),
}

/// One condition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assertion {
    /// What is looked at.
    pub subject: Subject,
    /// Which side of the bound.
    pub comparison: Comparison,
    /// What it is compared with.
    pub bound: Bound,
}

impl Assertion {
    /// Whether the condition holds for this value, given the baseline's where there is one.
    ///
    /// `None`: a percentage without a baseline (or with one of 0) says nothing.
    #[must_use]
    pub fn holds(&self, value: f64, baseline: Option<f64>) -> Option<bool> {
        let (value, bound) = match self.bound {
            Bound::Absolute(bound) => (value, bound),
            Bound::Percent(bound) => {
                let baseline = baseline.filter(|b| *b > 0.0)?;
                ((value - baseline) / baseline * 100.0, bound)
            }
        };
        Some(match self.comparison {
            Comparison::Below => value < bound,
            Comparison::AtMost => value <= bound,
            Comparison::Above => value > bound,
            Comparison::AtLeast => value >= bound,
        })
    }
}

impl FromStr for Assertion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no condition: write 'p99.9<10ms' or 'p99 > +10%'");
        let at = text.find(['<', '>']).ok_or_else(wrong)?;
        let (subject, rest) = text.split_at(at);
        let (comparison, bound) = [
            ("<=", Comparison::AtMost),
            (">=", Comparison::AtLeast),
            ("<", Comparison::Below),
            (">", Comparison::Above),
        ]
        .into_iter()
        .find_map(|(sign, comparison)| Some((comparison, rest.strip_prefix(sign)?.trim())))
        .ok_or_else(wrong)?;
        let subject = match subject.trim() {
            "mean" => Subject::Mean,
            "rate" | "throughput" => Subject::Rate,
            other => Subject::Latency(other.parse()?),
        };
        let bound = if let Some(percent) = bound.strip_suffix('%') {
            Bound::Percent(percent.trim().parse().map_err(|_| wrong())?)
        } else if subject == Subject::Rate {
            Bound::Absolute(count(bound.trim_end_matches("/s"))? as f64)
        } else {
            Bound::Absolute(duration(bound)?.as_nanos() as f64)
        };
        Ok(Self { subject, comparison, bound })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latency(quantile) => quantile.fmt(f),
            Self::Mean => f.write_str("mean"),
            Self::Rate => f.write_str("rate"),
        }
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.comparison {
            Comparison::Below => "<",
            Comparison::AtMost => "<=",
            Comparison::Above => ">",
            Comparison::AtLeast => ">=",
        };
        write!(f, "{} {sign} ", self.subject)?;
        match (self.bound, self.subject) {
            (Bound::Percent(percent), _) => write!(f, "{percent:+}%"),
            (Bound::Absolute(rate), Subject::Rate) => write!(f, "{}/s", format_count(rate)),
            (Bound::Absolute(nanos), Subject::Latency(_) | Subject::Mean) => {
                f.write_str(&format_nanos(nanos as u64))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absolute_bound() {
        let a: Assertion = "p99.9<10ms".parse().unwrap();
        assert_eq!(a.holds(9e6, None), Some(true));
        assert_eq!(a.holds(10e6, None), Some(false));
        assert_eq!(a.to_string(), "p99.9 < 10.0 ms");
    }

    #[test]
    fn a_difference_to_the_baseline() {
        let a: Assertion = "p99 > +10%".parse().unwrap();
        assert_eq!(a.holds(111.0, Some(100.0)), Some(true));
        assert_eq!(a.holds(109.0, Some(100.0)), Some(false));
        assert_eq!(a.holds(109.0, None), None);
        let slower: Assertion = "rate <= -5%".parse().unwrap();
        assert_eq!(slower.holds(95.0, Some(100.0)), Some(true));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "p99", "p99=1ms", "p199<1ms", "p99<fast", "rate>1xyz", "p99 > %"] {
            assert!(text.parse::<Assertion>().is_err(), "{text}");
        }
    }
}
