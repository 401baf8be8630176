//! Latencies of a time that is over, in as many bytes as there is in them.
//!
//! A histogram of three digits up to an hour has 33,792 counters, 270 KB, and a second has records in some hundred of its buckets. A run
//! keeps every second in seven kinds: an hour of whole histograms would be 7 GB. Here are the buckets that have records and no others,
//! for each of them how many lie between it and the one before, and its count, both as LEB128: two to four bytes.

use super::{Kind, Latencies, Latency};

/// One distribution to which nothing more comes, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SparseLatency {
    bytes: Box<[u8]>,
    count: u64,
    censored: u64,
}

impl From<&Latency> for SparseLatency {
    fn from(latency: &Latency) -> Self {
        let mut bytes = Vec::new();
        if latency.count() > 0 {
            let mut next = 0;
            for step in latency.histogram().iter_recorded() {
                let bucket = bucket(step.value_iterated_to());
                push(&mut bytes, bucket - next);
                push(&mut bytes, step.count_since_last_iteration());
                next = bucket + 1;
            }
        }
        Self {
            bytes: bytes.into_boxed_slice(),
            count: latency.count(),
            censored: latency.censored(),
        }
    }
}

impl SparseLatency {
    /// How many records are in it, the censored ones included.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many of them failed or timed out.
    #[must_use]
    pub fn censored(&self) -> u64 {
        self.censored
    }

    /// Every bucket that has records, the lowest first: its highest value in nanoseconds, and how many records.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut bytes = self.bytes.iter();
        let mut next = 0;
        std::iter::from_fn(move || {
            let bucket = next + pull(&mut bytes)?;
            next = bucket + 1;
            Some((highest(bucket), pull(&mut bytes)?))
        })
    }

    /// The same as a histogram, to ask for percentiles.
    #[must_use]
    pub fn dense(&self) -> Latency {
        let mut latency = Latency::new();
        latency.add_sparse(self);
        latency
    }
}

/// One distribution of each kind, to which nothing more comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SparseLatencies {
    kinds: [SparseLatency; 7],
}

impl From<&Latencies> for SparseLatencies {
    fn from(latencies: &Latencies) -> Self {
        Self { kinds: Kind::ALL.map(|kind| latencies.of(kind).into()) }
    }
}

impl SparseLatencies {
    /// The distribution of this kind.
    #[must_use]
    pub fn of(&self, kind: Kind) -> &SparseLatency {
        &self.kinds[kind as usize]
    }

    /// The same as histograms, to ask for percentiles.
    #[must_use]
    pub fn dense(&self) -> Latencies {
        let mut latencies = Latencies::default();
        latencies.add_sparse(self);
        latencies
    }

    /// How much memory it takes.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.kinds.iter().map(|kind| kind.bytes.len()).sum::<usize>()
    }
}

/// Buckets that share their width: half of the counters that three digits take. Those of the first two such halves are 1 ns wide, those
/// of each further one twice as wide as before.
const HALF_BITS: u32 = 10;

/// The number of the bucket that a value is counted in, by the histogram's own division.
fn bucket(nanos: u64) -> u64 {
    let doubled = (nanos >> HALF_BITS).checked_ilog2().unwrap_or(0);
    (u64::from(doubled) << HALF_BITS) + (nanos >> doubled)
}

/// The highest value of a bucket.
fn highest(bucket: u64) -> u64 {
    let doubled = (bucket >> HALF_BITS).saturating_sub(1);
    ((bucket - (doubled << HALF_BITS)) << doubled) + (1_u64 << doubled) - 1
}

fn push(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn pull(bytes: &mut std::slice::Iter<'_, u8>) -> Option<u64> {
    let mut value = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = *bytes.next()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{random::Random, spec::Quantile};

    #[test]
    fn the_buckets_are_those_of_the_histogram() {
        let latency = Latency::new();
        let powers = (0..42).flat_map(|bits| {
            let power = 1_u64 << bits;
            [power - 1, power, power + 1, power + power / 3]
        });
        for nanos in powers.chain([3_600_000_000_000]) {
            assert_eq!(highest(bucket(nanos)), latency.histogram().highest_equivalent(nanos));
        }
        let edges = [0, 2_047, 2_048, 2_049, 2_050].map(bucket);
        assert_eq!(edges, [0, 2_047, 2_048, 2_048, 2_049]);
    }

    #[test]
    fn nothing_is_lost_but_the_empty_buckets() {
        let (mut random, mut latencies) = (Random::new(3), Latencies::default());
        let response = latencies.of_mut(Kind::Response);
        for _ in 0..20_000 {
            response.record((400_000.0 * (1.0 + random.exponential()).powi(3)) as u64);
        }
        response.record_n(0, 3);
        response.record_n(u64::MAX, 2);
        response.record_n(7_000_000, u64::from(u32::MAX) * 9);
        response.censor(30_000_000_000, 5);
        latencies.of_mut(Kind::Lag).record(1);
        let sparse = SparseLatencies::from(&latencies);
        let back = sparse.dense();
        for kind in Kind::ALL {
            let (was, is) = (latencies.of(kind), back.of(kind));
            assert!(is.histogram() == was.histogram(), "{kind:?}");
            assert_eq!((is.count(), is.censored()), (was.count(), was.censored()));
            assert_eq!((is.mean(), is.at(Quantile::MAX)), (was.mean(), was.at(Quantile::MAX)));
            assert_eq!(sparse.of(kind).count(), was.count());
        }
        assert_eq!(SparseLatencies::from(&back), sparse);
        let first = sparse.of(Kind::Response).buckets().next();
        assert_eq!(first, Some((0, 3)));
        assert_eq!(SparseLatency::default().buckets().next(), None);
    }
}
