//! A sum of tallies.

use crate::tally::{BUCKETS, range};
use crate::{Counts, TICK_NANOS};

/// Durations of any number of intervals and cores, merged by addition.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Box<[u64]>,
    count: u64,
    sum: u64,
    longest: u32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS].into(), count: 0, sum: 0, longest: 0 }
    }
}

impl Histogram {
    /// Adds what happened in an interval.
    pub fn add(&mut self, counts: &Counts) {
        for (bucket, n) in &counts.buckets {
            if let Some(count) = self.counts.get_mut(usize::from(*bucket)) {
                *count += u64::from(*n);
                self.count += u64::from(*n);
            }
        }
        self.sum = self.sum.saturating_add(counts.sum);
        self.longest = self.longest.max(counts.longest);
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Self) {
        for (count, n) in self.counts.iter_mut().zip(&other.counts) {
            *count += n;
        }
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
        self.longest = self.longest.max(other.longest);
    }

    /// How many durations it holds.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum, in nanoseconds.
    #[must_use]
    pub fn sum_nanos(&self) -> u64 {
        self.sum.saturating_mul(TICK_NANOS)
    }

    /// The longest, in nanoseconds.
    #[must_use]
    pub fn max_nanos(&self) -> u64 {
        u64::from(self.longest) * TICK_NANOS
    }

    /// The duration that this fraction of them does not exceed, in nanoseconds: the end of its bucket, as HDR histograms tell
    /// it. Zero if there are none.
    #[must_use]
    pub fn quantile_nanos(&self, fraction: f64) -> u64 {
        let wanted = ((fraction * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut below = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            below += count;
            if below >= wanted {
                return (range(bucket).1 * TICK_NANOS).min(self.max_nanos());
            }
        }
        0
    }

    /// How many are below `nanos`. Exact where that is a power of two of at least 8192: there a bucket begins.
    #[must_use]
    pub fn count_below(&self, nanos: u64) -> u64 {
        let buckets = self.counts.iter().enumerate();
        buckets.take_while(|(b, _)| range(*b).1 * TICK_NANOS < nanos).map(|(_, n)| n).sum()
    }

    /// What is in it: the middle of a bucket in nanoseconds, but no more than the longest, and its count.
    pub fn values(&self) -> impl Iterator<Item = (u64, u64)> {
        let max = self.max_nanos();
        self.counts
            .iter()
            .enumerate()
            .filter(|(_, n)| **n > 0)
            .map(move |(bucket, n)| {
                let (low, high) = range(bucket);
                ((low + high).saturating_mul(TICK_NANOS) / 2, *n)
            })
            .map(move |(value, n)| (value.min(max), n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ticks: impl Iterator<Item = u32>) -> Histogram {
        let mut histogram = Histogram::default();
        histogram.add(&ticks.collect());
        histogram
    }

    #[test]
    fn quantiles_are_right_to_a_64th() {
        let h = of(1..=100_000);
        for q in [0.5, 0.9, 0.99, 0.999] {
            let exact = q * 100_000.0 * 64.0;
            let off = h.quantile_nanos(q) as f64 / exact - 1.0;
            assert!((0.0..1.0 / 64.0).contains(&off), "{q}: {off}");
        }
        assert_eq!(h.quantile_nanos(1.0), 6_400_000);
        assert_eq!((h.count(), h.max_nanos()), (100_000, 6_400_000));
        assert_eq!(Histogram::default().quantile_nanos(0.5), 0);
    }

    #[test]
    fn counts_below_powers_of_two_are_exact() {
        let h = of(0..4096);
        for power in 13..18 {
            assert_eq!(h.count_below(1 << power), (1 << power) / 64, "2^{power}");
        }
        assert_eq!(h.count_below(u64::MAX), 4096);
    }

    #[test]
    fn sums_are_sums() {
        let (mut a, b) = (of(1..=10), of(100_000..100_010));
        a.merge(&b);
        assert_eq!((a.count(), a.values().map(|(_, n)| n).sum::<u64>()), (20, 20));
        assert!(a.values().all(|(v, _)| v <= a.max_nanos()));
        assert_eq!(a.sum_nanos(), 64 * (55 + 1_000_045));
    }
}
