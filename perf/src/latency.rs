//! Latencies as HDR histograms: one per worker and kind, merged by addition, never averaged.
//!
//! Values are nanoseconds with three significant digits, up to an hour. What failed or timed out is recorded too, at no less
//! than the time-out, and counted as censored: the true value is at least that.

mod sparse;
mod told;

use hdrhistogram::Histogram;

pub use sparse::{SparseLatencies, SparseLatency};
pub use told::Told;

use crate::spec::Quantile;

/// Which stretch of a record's life is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// Acknowledgement minus intended time: what a caller feels.
    Response,
    /// Acknowledgement minus send: what the broker and the network took.
    Service,
    /// Send minus intended time: waiting at the client (linger, in-flight bound).
    Delay,
    /// Receipt at a consumer minus intended time.
    #[value(name = "e2e")]
    EndToEnd,
    /// How late the generator itself acted. Not a property of the broker: it says whether the run can be believed.
    Lag,
    /// The least that the response was had the generator acted in time: each record's, less what its batch was closed too late, and less
    /// what its answer may have waited to be read.
    Prompt,
    /// The same of what came to a consumer: less what the batch was closed too late, and less what its receipt may have waited to be read.
    #[value(name = "e2e-prompt")]
    PromptEndToEnd,
}

impl Kind {
    /// Every kind, in the order of the files.
    pub const ALL: [Self; 7] = [
        Self::Response,
        Self::Service,
        Self::Delay,
        Self::EndToEnd,
        Self::Lag,
        Self::Prompt,
        Self::PromptEndToEnd,
    ];

    /// The name in files and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::Service => "service",
            Self::Delay => "delay",
            Self::EndToEnd => "e2e",
            Self::Lag => "lag",
            Self::Prompt => "prompt",
            Self::PromptEndToEnd => "e2e-prompt",
        }
    }

    /// The name at the head of a picture.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Response => "Response",
            Self::Service => "Service",
            Self::Delay => "Delay",
            Self::EndToEnd => "End to end",
            Self::Lag => "Generator lag",
            Self::Prompt => "Response without the generator's lag",
            Self::PromptEndToEnd => "End to end without the generator's lag",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// An hour: what takes longer is recorded as an hour.
const NANOS_MAX: u64 = 3_600_000_000_000;

/// One distribution of latencies, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Latency {
    histogram: Histogram<u64>,
    censored: u64,
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

impl Latency {
    /// An empty distribution.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "the bounds are constants that the type accepts")]
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, NANOS_MAX, 3);
        Self {
            histogram: histogram.expect("1 ns to 1 h in three digits is a histogram"),
            censored: 0,
        }
    }

    /// The distribution that an interval log held.
    #[must_use]
    pub fn from_histogram(histogram: &Histogram<u64>) -> Self {
        let mut latency = Self::new();
        for step in histogram.iter_recorded() {
            latency.record_n(step.value_iterated_to(), step.count_since_last_iteration());
        }
        latency
    }

    /// One record that took this long.
    pub fn record(&mut self, nanos: u64) {
        self.histogram.saturating_record(nanos);
    }

    /// `count` records that took this long.
    pub fn record_n(&mut self, nanos: u64, count: u64) {
        self.histogram.saturating_record_n(nanos, count);
    }

    /// `count` records whose values go down in equal steps from `highest` to `lowest`: a batch of records that were due at equal
    /// gaps and are acknowledged together. The same buckets are counted as by recording each, in a fraction of the time.
    pub fn record_line(&mut self, highest: u64, lowest: u64, count: u64) {
        if count == 0 {
            return;
        }
        let (gaps, span) = (u128::from(count - 1), u128::from(highest.saturating_sub(lowest)));
        if span == 0 || gaps == 0 {
            return self.record_n(highest, count);
        }
        let mut done = 0_u64;
        while done < count {
            let value = highest - (u128::from(done) * span / gaps) as u64;
            let floor = self.histogram.lowest_equivalent(value.min(NANOS_MAX));
            // The last record whose value is still in the bucket that begins at `floor`.
            let reach = u128::from(highest.saturating_sub(floor)) + 1;
            let last = ((reach * gaps - 1) / span).min(gaps) as u64;
            let here = last.max(done) - done + 1;
            self.record_n(value, here);
            done += here;
        }
    }

    /// `count` records that failed or timed out after this long, at the least.
    pub fn censor(&mut self, nanos: u64, count: u64) {
        self.record_n(nanos, count);
        self.censored += count;
    }

    /// Adds what the other holds.
    pub fn add(&mut self, other: &Self) {
        let merged = self.histogram.add(&other.histogram);
        debug_assert!(merged.is_ok(), "both have the same bounds");
        self.censored += other.censored;
    }

    /// Adds what a time that is over holds.
    pub fn add_sparse(&mut self, other: &SparseLatency) {
        for (nanos, count) in other.buckets() {
            self.record_n(nanos, count);
        }
        self.censored += other.censored();
    }

    /// Forgets everything, keeps the memory.
    pub fn reset(&mut self) {
        self.histogram.reset();
        self.censored = 0;
    }

    /// How many records are in it, the censored ones included.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// How many of them failed or timed out.
    #[must_use]
    pub fn censored(&self) -> u64 {
        self.censored
    }

    /// The value at this quantile in nanoseconds; `None` where the sample cannot carry it.
    #[must_use]
    pub fn at(&self, quantile: Quantile) -> Option<u64> {
        if self.count() < quantile.samples_needed() {
            return None;
        }
        Some(match quantile.fraction() {
            1.0.. => self.histogram.max(),
            q => self.histogram.value_at_quantile(q),
        })
    }

    /// The mean in nanoseconds; `None` where there is no record.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.histogram.mean())
    }

    /// The histogram, for the writers.
    #[must_use]
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.histogram
    }
}

/// One distribution of each kind: what a worker keeps and an interval carries.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    kinds: [Latency; 7],
}

impl Latencies {
    /// The distribution of this kind.
    #[must_use]
    pub fn of(&self, kind: Kind) -> &Latency {
        &self.kinds[kind as usize]
    }

    /// The distribution of this kind, to record in.
    pub fn of_mut(&mut self, kind: Kind) -> &mut Latency {
        &mut self.kinds[kind as usize]
    }

    /// Adds what the other holds, kind by kind.
    pub fn add(&mut self, other: &Self) {
        for kind in Kind::ALL {
            if other.of(kind).count() > 0 {
                self.of_mut(kind).add(other.of(kind));
            }
        }
    }

    /// Adds what a time that is over holds, kind by kind.
    pub fn add_sparse(&mut self, other: &SparseLatencies) {
        for kind in Kind::ALL {
            self.of_mut(kind).add_sparse(other.of(kind));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_its_records() {
        for (highest, lowest, count) in [
            (5_000_000, 4_000_000, 1311),
            (1_000, 1, 1000),
            (77, 77, 9),
            (90_000, 12, 7),
            (5, 4, 2),
            (3, 0, 1000),
        ] {
            let (mut line, mut each) = (Latency::new(), Latency::new());
            line.record_line(highest, lowest, count);
            for i in 0..count {
                let down = if count > 1 { i * (highest - lowest) / (count - 1) } else { 0 };
                each.record(highest - down);
            }
            assert_eq!(line.count(), count);
            let buckets = |l: &Latency| -> Vec<(u64, u64)> {
                l.histogram()
                    .iter_recorded()
                    .map(|s| {
                        (
                            l.histogram().lowest_equivalent(s.value_iterated_to()),
                            s.count_since_last_iteration(),
                        )
                    })
                    .collect()
            };
            assert_eq!(buckets(&line), buckets(&each), "{highest} to {lowest} in {count}");
        }
    }

    #[test]
    fn a_small_sample_does_not_carry_a_high_percentile() {
        let mut latency = Latency::new();
        latency.record_n(1_000, 999);
        assert_eq!(latency.at(Quantile::percent(99.0).unwrap()), None);
        latency.record(1_000);
        assert!(latency.at(Quantile::percent(99.0).unwrap()).is_some());
        assert_eq!(Latency::new().at(Quantile::MAX), None);
    }

    #[test]
    fn merging_adds_and_keeps_the_censored() {
        let (mut a, mut b) = (Latency::new(), Latency::new());
        a.record_n(1_000_000, 90);
        b.censor(30_000_000_000, 10);
        a.add(&b);
        assert_eq!((a.count(), a.censored()), (100, 10));
        assert!(a.at(Quantile::MAX).unwrap() >= 30_000_000_000);
        assert_eq!(a.at(Quantile::percent(50.0).unwrap()).map(|v| v / 10_000), Some(100));
    }

    #[test]
    fn beyond_an_hour_is_an_hour() {
        let mut latency = Latency::new();
        latency.record(u64::MAX);
        assert_eq!(latency.count(), 1);
        latency.record_line(u64::MAX, 5, 3);
        assert_eq!(latency.count(), 4);
    }
}
