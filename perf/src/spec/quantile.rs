//! A point of a distribution: `p50`, `99.9`, `max`.

use std::{fmt, str::FromStr};

/// A quantile between 0 and 1; 1 is the maximum.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Quantile(f64);

impl Quantile {
    /// What 1 of 100 exceeds.
    pub const P99: Self = Self(0.99);

    /// The largest value seen.
    pub const MAX: Self = Self(1.0);

    /// The quantile of this percentile: 99.9 is 0.999.
    ///
    /// # Errors
    /// A percentile outside 0 to 100.
    pub fn percent(percent: f64) -> Result<Self, String> {
        if (0.0..=100.0).contains(&percent) {
            Ok(Self(percent / 100.0))
        } else {
            Err(format!("percentile {percent} is not between 0 and 100"))
        }
    }

    /// Between 0 and 1.
    #[must_use]
    pub fn fraction(self) -> f64 {
        self.0
    }

    /// How many samples carry it: 10/(1-q), so that ten of them lie above. The maximum needs one.
    #[must_use]
    pub fn samples_needed(self) -> u64 {
        if self.0 >= 1.0 {
            return 1;
        }
        // The small term keeps 10/(1-0.99) at 1000 where floating point makes 1000.0000000000009 of it.
        (10.0 / (1.0 - self.0) - 1e-6).ceil() as u64
    }
}

impl FromStr for Quantile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "max" {
            return Ok(Self::MAX);
        }
        let number: f64 = text
            .trim_start_matches('p')
            .parse()
            .map_err(|_| format!("`{text}` is not a percentile: write 50, p99.9 or max"))?;
        Self::percent(number)
    }
}

impl fmt::Display for Quantile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >= 1.0 {
            return f.write_str("max");
        }
        // Ten digits, then off with the noise: 0.999 * 100 is 99.9 and prints so.
        let text = format!("{:.6}", self.0 * 100.0);
        write!(f, "p{}", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// A list such as `50,90,99,99.9,max`.
///
/// # Errors
/// The first part that is no percentile.
pub fn quantiles(text: &str) -> Result<Vec<Quantile>, String> {
    text.split(',').map(str::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        let list = quantiles("50,p99,99.9,99.99,max").unwrap();
        let shown: Vec<String> = list.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["p50", "p99", "p99.9", "p99.99", "max"]);
        assert!(quantiles("50,101").is_err());
        assert!(quantiles("").is_err());
    }

    #[test]
    fn ten_samples_must_lie_above() {
        let needed = |text: &str| text.parse::<Quantile>().unwrap().samples_needed();
        assert_eq!(needed("p50"), 20);
        assert_eq!(needed("p99"), 1_000);
        assert_eq!(needed("p99.9"), 10_000);
        assert_eq!(needed("max"), 1);
    }
}
