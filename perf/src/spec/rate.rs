//! How many records a second: `200k/s`, a ramp `100k..1M:6`, or `max`.

use std::{fmt, str::FromStr};

use super::quantity::{count, format_count};

/// The offered load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateSpec {
    /// As fast as the in-flight bound allows. The only closed loop here: latencies of such a run say little.
    Max,
    /// Equal stages, each at its own rate in records a second. One stage is a constant rate.
    Stages(Vec<u64>),
}

impl RateSpec {
    /// A constant rate in records a second.
    #[must_use]
    pub fn constant(rate: u64) -> Self {
        Self::Stages(vec![rate])
    }
}

impl FromStr for RateSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().trim_end_matches("/s");
        if text == "max" {
            return Ok(Self::Max);
        }
        let Some((from, rest)) = text.split_once("..") else {
            let rate = count(text)?;
            if rate == 0 {
                return Err("a rate of 0 sends nothing: write 200k/s, 100k..1M:6 or max".into());
            }
            return Ok(Self::constant(rate));
        };
        let (to, steps) = rest.split_once(':').ok_or_else(|| {
            format!("`{text}` lacks its number of stages: write 100k..1M:6 for six stages")
        })?;
        let (from, to) = (count(from)?, count(to)?);
        let steps: u64 =
            steps.parse().map_err(|_| format!("`{steps}` is not a number of stages"))?;
        if !(2..=1000).contains(&steps) || from == 0 || to == 0 {
            return Err(format!("`{text}`: a ramp has 2 to 1000 stages and no rate of 0"));
        }
        let span = to as f64 - from as f64;
        let stage = |i: u64| (from as f64 + span * i as f64 / (steps - 1) as f64).round() as u64;
        Ok(Self::Stages((0..steps).map(stage).collect()))
    }
}

impl fmt::Display for RateSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => f.write_str("max"),
            Self::Stages(rates) => match rates.as_slice() {
                [one] => write!(f, "{}/s", format_count(*one as f64)),
                [first, .., last] => write!(
                    f,
                    "{}..{}/s in {} stages",
                    format_count(*first as f64),
                    format_count(*last as f64),
                    rates.len()
                ),
                [] => f.write_str("nothing"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms() {
        assert_eq!("200k/s".parse(), Ok(RateSpec::constant(200_000)));
        assert_eq!("max".parse(), Ok(RateSpec::Max));
        assert_eq!(
            "100k..1M:4".parse(),
            Ok(RateSpec::Stages(vec![100_000, 400_000, 700_000, 1_000_000]))
        );
        assert!("0".parse::<RateSpec>().is_err());
        assert!("1..2".parse::<RateSpec>().is_err());
        assert!("1..2:1".parse::<RateSpec>().is_err());
        assert!("fast".parse::<RateSpec>().is_err());
    }
}
