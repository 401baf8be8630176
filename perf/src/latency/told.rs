//! What a number is worth: the value, or that the generator's own lateness may have made it.
//!
//! A batch that the generator closed late makes its records' latencies longer than the broker made them, by at most that lateness; so does
//! an answer that it came late to read. The truth lies between what was measured and what is left without both ([`Kind::Prompt`],
//! [`Kind::PromptEndToEnd`]). Where the two are near each other the
//! number is the broker's; where they are not it is nobody's, and none is given. A percentile may be good beside one that is not:
//! one late record in a thousand moves no p99, and may be all of a p99.9.

use super::{Kind, Latencies, Latency};
use crate::spec::{Quantile, format_nanos};

/// By at most this share of itself the generator may have moved a number.
const SHARE_MAX: f64 = 0.1;

/// A number may be moved by so much, however small it is, nanoseconds: the schedule is kept with no better a clock than the
/// scheduler's.
const NANOS_MAX: u64 = 50_000;

/// A percentile, where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nanoseconds.
    Nanos(u64),
    /// The sample is too small.
    TooFew,
    /// The generator may have moved it by more than a tenth.
    Moved,
}

impl Told {
    /// The value, where there is one.
    #[must_use]
    pub fn nanos(self) -> Option<u64> {
        match self {
            Self::Nanos(nanos) => Some(nanos),
            Self::TooFew | Self::Moved => None,
        }
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nanos(nanos) => f.write_str(&format_nanos(*nanos)),
            Self::TooFew => f.write_str("n/a"),
            Self::Moved => f.write_str("INVALID"),
        }
    }
}

/// Whether a number is still the broker's: between `least` and `measured` lies the truth.
fn is_near(measured: f64, least: f64) -> bool {
    measured - least <= (measured * SHARE_MAX).max(NANOS_MAX as f64)
}

impl Latencies {
    /// What is to be said of this kind at this quantile.
    #[must_use]
    pub fn told(&self, kind: Kind, quantile: Quantile) -> Told {
        match self.of(kind).at(quantile) {
            None => Told::TooFew,
            Some(_) if self.moved(kind, quantile).is_some() => Told::Moved,
            Some(nanos) => Told::Nanos(nanos),
        }
    }

    /// The value of this kind at this quantile; `None` where the sample cannot carry it or the generator may have made it.
    #[must_use]
    pub fn at(&self, kind: Kind, quantile: Quantile) -> Option<u64> {
        self.told(kind, quantile).nanos()
    }

    /// The mean of this kind; `None` where there is no record or the generator may have made it.
    #[must_use]
    pub fn mean(&self, kind: Kind) -> Option<f64> {
        let mean = self.of(kind).mean()?;
        let least = match (kind, self.prompt_of(kind)) {
            (_, Some(prompt)) => prompt.mean()?,
            (Kind::Response | Kind::Delay | Kind::EndToEnd, None) => {
                mean - self.of(Kind::Lag).mean().unwrap_or(0.0)
            }
            (Kind::Service | Kind::Lag | Kind::Prompt | Kind::PromptEndToEnd, None) => mean,
        };
        is_near(mean, least).then_some(mean)
    }

    /// Where the generator may have moved this percentile by too much: what was measured, and the least that it may be in truth. It is
    /// asked of the sample as it is, whether it carries the percentile or not.
    #[must_use]
    pub fn moved(&self, kind: Kind, quantile: Quantile) -> Option<(u64, u64)> {
        let measured = raw(self.of(kind), quantile.fraction());
        let least = match (kind, self.prompt_of(kind)) {
            (_, Some(prompt)) => raw(prompt, quantile.fraction()),
            (Kind::Response | Kind::Delay | Kind::EndToEnd, None) => {
                self.least(kind, quantile.fraction())
            }
            (Kind::Service | Kind::Lag | Kind::Prompt | Kind::PromptEndToEnd, None) => measured,
        };
        let least = least.min(measured);
        (!is_near(measured as f64, least as f64)).then_some((measured, least))
    }

    /// The same records without what the generator added, where each of them is there so as well. A log of an earlier version has the lag
    /// alone, and so has what was read too far behind the producers.
    fn prompt_of(&self, kind: Kind) -> Option<&Latency> {
        let prompt = match kind {
            Kind::Response => self.of(Kind::Prompt),
            Kind::EndToEnd => self.of(Kind::PromptEndToEnd),
            Kind::Service | Kind::Delay | Kind::Lag | Kind::Prompt | Kind::PromptEndToEnd => {
                return None;
            }
        };
        (prompt.count() == self.of(kind).count()).then_some(prompt)
    }

    /// What a quantile is at the least, known only how the lags are spread and not which record had which: if at most a share `e` of
    /// the records were late by more than d, at most that share can have come down by more than d. The best of some shares.
    fn least(&self, kind: Kind, fraction: f64) -> u64 {
        let (measured, lag) = (self.of(kind), self.of(Kind::Lag));
        let above = 1.0 - fraction;
        [0.0, above / 10.0, above / 5.0, above / 2.0, above, 0.01, 0.05]
            .into_iter()
            .filter(|share| *share <= fraction)
            .map(|share| raw(measured, fraction - share).saturating_sub(raw(lag, 1.0 - share)))
            .max()
            .unwrap_or(0)
    }
}

/// The value at this share of the records, whether they carry it or not.
fn raw(latency: &Latency, fraction: f64) -> u64 {
    if fraction >= 1.0 {
        latency.histogram().max()
    } else {
        latency.histogram().value_at_quantile(fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records of a broker that takes `service`, of which these were closed so late.
    fn measured(service: u64, late: &[(u64, u64)]) -> Latencies {
        let mut all = Latencies::default();
        for (lag, count) in late {
            all.of_mut(Kind::Response).record_n(service + lag, *count);
            all.of_mut(Kind::Prompt).record_n(service, *count);
            all.of_mut(Kind::EndToEnd).record_n(service + lag, *count);
            all.of_mut(Kind::Lag).record_n(*lag, *count);
        }
        all
    }

    fn told(all: &Latencies, kind: Kind) -> [bool; 4] {
        [50.0, 99.0, 99.9, 100.0].map(|percent| {
            let told = all.told(kind, Quantile::percent(percent).unwrap());
            assert_ne!(told, Told::TooFew);
            told != Told::Moved
        })
    }

    #[test]
    fn a_late_record_in_a_thousand_spoils_what_it_can_have_moved_and_no_more() {
        // A broker of 10 ms, and one record of a thousand late by 2 ms, of which the p99.9 may be one.
        let all = measured(10_000_000, &[(10_000, 99_890), (2_000_000, 110)]);
        assert_eq!(told(&all, Kind::Response), [true, true, false, false]);
        assert_eq!(told(&all, Kind::EndToEnd), [true, true, false, false]);
        // Late by less than a tenth: every number stands.
        let all = measured(10_000_000, &[(10_000, 99_890), (900_000, 110)]);
        assert_eq!(told(&all, Kind::Response), [true; 4]);
        // One record of fifty.
        let all = measured(10_000_000, &[(10_000, 98_000), (2_000_000, 2_000)]);
        assert_eq!(told(&all, Kind::Response), [true, false, false, false]);
        assert_eq!(told(&all, Kind::EndToEnd), [true, false, false, false]);
    }

    #[test]
    fn a_fast_broker_asks_for_a_generator_in_time() {
        let all = measured(400_000, &[(300_000, 100_000)]);
        for kind in [Kind::Response, Kind::EndToEnd] {
            assert_eq!(told(&all, kind), [false; 4]);
            assert_eq!(all.mean(kind), None);
        }
        // What the clock cannot do better is no fault.
        let all = measured(100_000, &[(40_000, 100_000)]);
        assert_eq!(told(&all, Kind::Response), [true; 4]);
        assert!(all.mean(Kind::Response).is_some());
    }

    #[test]
    fn the_lateness_of_other_records_is_none_of_a_latency_s() {
        // One batch of fifty is late by 2 ms, and its records are fast all the same; the slow ones were closed in time.
        let mut all = Latencies::default();
        for (count, service, late) in [(2_000, 1_000_000, 2_000_000), (95_000, 1_000_000, 10_000)] {
            all.of_mut(Kind::EndToEnd).record_n(service + late, count);
            all.of_mut(Kind::PromptEndToEnd).record_n(service, count);
            all.of_mut(Kind::Lag).record_n(late, count);
        }
        all.of_mut(Kind::EndToEnd).record_n(9_000_000, 3_000);
        all.of_mut(Kind::PromptEndToEnd).record_n(9_000_000, 3_000);
        all.of_mut(Kind::Lag).record_n(10_000, 3_000);
        assert_eq!(told(&all, Kind::EndToEnd), [true; 4]);
        // The spread of the lags alone cannot tell.
        *all.of_mut(Kind::PromptEndToEnd) = Latency::new();
        assert!(told(&all, Kind::EndToEnd).contains(&false));
        // A record without its pair: then no pair is believed.
        all.of_mut(Kind::PromptEndToEnd).record_n(1, 99_999);
        assert!(told(&all, Kind::EndToEnd).contains(&false));
    }

    #[test]
    fn without_the_pairs_the_spread_of_the_lags_is_enough() {
        let mut all = measured(10_000_000, &[(10_000, 99_890), (2_000_000, 110)]);
        *all.of_mut(Kind::Prompt) = Latency::new();
        assert_eq!(told(&all, Kind::Response), [true, true, false, false]);
    }
}
