//! Counts of durations: one core, one API, one stage.
//!
//! The buckets are those of an HDR histogram: as wide as a tick up to 127 ticks, and above it 64 for every doubling, so that no
//! value is off by more than a 64th. The size is fixed: 1728 counts of four bytes reach over all of `u32`.

/// Sub-buckets of a doubling, as a power of two.
const BITS: u32 = 6;
/// How many buckets there are.
pub(crate) const BUCKETS: usize = 1728;

/// The bucket of a duration in ticks.
#[inline]
pub(crate) fn bucket(ticks: u32) -> usize {
    let shift = (31 - BITS) - (ticks | ((2 << BITS) - 1)).leading_zeros();
    ((shift << BITS) + (ticks >> shift)) as usize
}

/// The lowest and the highest duration of a bucket, in ticks.
pub(crate) fn range(bucket: usize) -> (u64, u64) {
    let bucket = bucket as u64;
    let shift = (bucket >> BITS).saturating_sub(1);
    let low = (bucket - (shift << BITS)) << shift;
    (low, low + (1 << shift) - 1)
}

/// A tally: only its owner's core touches it.
#[derive(Debug)]
pub struct Tally {
    counts: [u32; BUCKETS],
    /// The rows of 64 buckets in which there are counts, a bit each.
    rows: u32,
    sum: u64,
    longest: u32,
}

/// What a tally held: what happened in one interval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Buckets that are not empty, rising, and their counts.
    pub buckets: Vec<(u16, u32)>,
    /// Sum of the durations, in ticks.
    pub sum: u64,
    /// The longest, in ticks.
    pub longest: u32,
}

impl Default for Tally {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], rows: 0, sum: 0, longest: 0 }
    }
}

impl Tally {
    /// Counts a duration in ticks.
    #[inline]
    pub fn record(&mut self, ticks: u32) {
        let bucket = bucket(ticks);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count = count.wrapping_add(1);
        }
        self.rows |= 1 << (bucket >> BITS);
        self.sum += u64::from(ticks);
        self.longest = self.longest.max(ticks);
    }

    /// Takes everything out. Touches only what was in use.
    pub fn drain(&mut self) -> Option<Counts> {
        if self.rows == 0 {
            return None;
        }
        let mut out = Counts { buckets: Vec::new(), sum: self.sum, longest: self.longest };
        for (row, counts) in (0u16..).zip(self.counts.chunks_mut(1 << BITS)) {
            if self.rows & (1 << row) == 0 {
                continue;
            }
            for (place, count) in (row << BITS..).zip(counts).filter(|(_, count)| **count > 0) {
                out.buckets.push((place, std::mem::take(count)));
            }
        }
        (self.rows, self.sum, self.longest) = (0, 0, 0);
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        let mut next = 0;
        for b in 0..BUCKETS {
            let (low, high) = range(b);
            assert_eq!(low, next, "bucket {b}");
            next = high + 1;
        }
        assert_eq!(next, 1 << 32);
        assert_eq!(bucket(u32::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_drained_tally_is_empty() {
        let mut tally = Tally::default();
        assert_eq!(tally.drain(), None);
        for ticks in [5, 5, 200, 1_000_000] {
            tally.record(ticks);
        }
        let counts = tally.drain().unwrap();
        assert_eq!(counts.buckets.iter().map(|(_, n)| n).sum::<u32>(), 4);
        assert_eq!((counts.sum, counts.longest), (1_000_210, 1_000_000));
        assert_eq!(tally.drain(), None);
        tally.record(7);
        assert_eq!(tally.drain().map(|c| c.buckets), Some(vec![(7, 1)]));
    }

    proptest! {
        #[test]
        fn every_duration_lies_in_its_bucket(ticks: u32) {
            let (low, high) = range(bucket(ticks));
            prop_assert!((low..=high).contains(&u64::from(ticks)));
            prop_assert!((high - low) * 64 <= low.max(64), "a 64th");
        }
    }
}
