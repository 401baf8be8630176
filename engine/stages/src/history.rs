//! What a node remembers of its cores: sums since the start, and every second of the last hour.
//!
//! A second is kept as the few bytes that its buckets need, and bytes are bounded too: when an hour does not fit, the oldest
//! seconds go first.

use crate::{Counts, Histogram, Stage};
use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Seconds that are kept at most.
pub const SECONDS_MAX: usize = 3600;
/// Bytes that they take at most.
const BYTES_MAX: usize = 32 << 20;
/// Intervals of each core that are kept apart, to show what it does now.
const RECENT: usize = 10;

/// What was counted: place of the API, stage, counts.
pub type Series = (u8, Stage, Counts);

/// One interval of all cores together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Second {
    /// When it ended: milliseconds since 1970.
    pub ended_ms: u64,
    /// How long it lasted.
    pub length_ms: u64,
    packed: Box<[u8]>,
}

/// A node's memory of its requests. Lives on the control thread.
#[derive(Debug, Default)]
pub struct History {
    totals: BTreeMap<(u16, u8, Stage), Histogram>,
    recent: BTreeMap<u16, VecDeque<Vec<(u8, Counts)>>>,
    seconds: VecDeque<Arc<Second>>,
    bytes: usize,
}

impl History {
    /// Takes what the cores counted in the interval that ended at `ended_ms`.
    pub fn push(&mut self, ended_ms: u64, length_ms: u64, cores: Vec<(u16, Vec<Series>)>) {
        let mut merged: Vec<Series> = Vec::new();
        for (core, mut series) in cores {
            series.sort_by_key(|(api, stage, _)| (*api, *stage));
            let recent = self.recent.entry(core).or_default();
            if recent.len() >= RECENT {
                recent.pop_front();
            }
            let totals = series.iter().filter(|(_, stage, _)| *stage == Stage::Total);
            recent.push_back(totals.map(|(api, _, counts)| (*api, counts.clone())).collect());
            for (api, stage, counts) in &series {
                self.totals.entry((core, *api, *stage)).or_default().add(counts);
            }
            merged = merge(
                merged,
                series,
                |(api, stage, _)| (*api, *stage),
                |(api, stage, a), (.., b)| (api, stage, a.and(b)),
            );
        }
        let packed = pack(&merged);
        self.bytes += packed.len();
        self.seconds.push_back(Arc::new(Second { ended_ms, length_ms, packed }));
        while self.seconds.len() > SECONDS_MAX || self.bytes > BYTES_MAX {
            let Some(gone) = self.seconds.pop_front() else { break };
            self.bytes -= gone.packed.len();
        }
    }

    /// Everything since the start, of one core or of all.
    #[must_use]
    pub fn since_start(&self, core: Option<u16>) -> BTreeMap<(u8, Stage), Histogram> {
        let mut sums: BTreeMap<(u8, Stage), Histogram> = BTreeMap::new();
        for ((of, api, stage), histogram) in &self.totals {
            if core.is_none_or(|core| core == *of) {
                sums.entry((*api, *stage)).or_default().merge(histogram);
            }
        }
        sums
    }

    /// The sums of each core, API and stage since the start.
    #[must_use]
    pub fn totals(&self) -> &BTreeMap<(u16, u8, Stage), Histogram> {
        &self.totals
    }

    /// Whole requests of one API on one core, over the last ten intervals.
    #[must_use]
    pub fn recent(&self, core: u16, api: u8) -> Histogram {
        let mut sum = Histogram::default();
        for (_, counts) in
            self.recent.get(&core).into_iter().flatten().flatten().filter(|(a, _)| *a == api)
        {
            sum.add(counts);
        }
        sum
    }

    /// The last `most` seconds, oldest first. Cheap: the bytes are shared.
    #[must_use]
    pub fn last(&self, most: usize) -> Vec<Arc<Second>> {
        self.seconds.iter().skip(self.seconds.len().saturating_sub(most)).cloned().collect()
    }
}

/// The sum of these seconds.
#[must_use]
pub fn sum(seconds: &[Arc<Second>]) -> BTreeMap<(u8, Stage), Histogram> {
    let mut sums: BTreeMap<(u8, Stage), Histogram> = BTreeMap::new();
    for (api, stage, counts) in seconds.iter().flat_map(|s| s.series()) {
        sums.entry((api, stage)).or_default().add(&counts);
    }
    sums
}

/// What is in either, in order of `key`, both of which are in that order; `both` makes one of two of the same key.
fn merge<T, K: Ord>(
    a: Vec<T>,
    b: Vec<T>,
    key: impl Fn(&T) -> K,
    both: impl Fn(T, T) -> T,
) -> Vec<T> {
    // One core is the usual case.
    if a.is_empty() {
        return b;
    }
    let mut merged = Vec::with_capacity(a.len().max(b.len()));
    let (mut a, mut b) = (a.into_iter().peekable(), b.into_iter().peekable());
    while let (Some(of_a), Some(of_b)) = (a.peek(), b.peek()) {
        let order = key(of_a).cmp(&key(of_b));
        match order {
            Ordering::Less => merged.extend(a.next()),
            Ordering::Greater => merged.extend(b.next()),
            Ordering::Equal => merged.extend(a.next().zip(b.next()).map(|(a, b)| both(a, b))),
        }
    }
    merged.extend(a.chain(b));
    merged
}

impl Counts {
    fn and(self, other: Self) -> Self {
        let add = |(bucket, a): (u16, u32), (_, b): (u16, u32)| (bucket, a.saturating_add(b));
        Self {
            buckets: merge(self.buckets, other.buckets, |(bucket, _)| *bucket, add),
            sum: self.sum.saturating_add(other.sum),
            longest: self.longest.max(other.longest),
        }
    }
}

/// Each series as API, stage, how many buckets, sum, longest, and then for each bucket the step from the one before and its
/// count; numbers as LEB128.
fn pack(merged: &[Series]) -> Box<[u8]> {
    let mut out = Vec::with_capacity(merged.iter().map(|(.., m)| 16 + 3 * m.buckets.len()).sum());
    for (api, stage, counts) in merged {
        out.extend([*api, *stage as u8]);
        put(&mut out, counts.buckets.len() as u64);
        put(&mut out, counts.sum);
        put(&mut out, u64::from(counts.longest));
        let mut before = 0;
        for (bucket, n) in &counts.buckets {
            put(&mut out, u64::from(*bucket - before));
            put(&mut out, u64::from(*n));
            before = *bucket;
        }
    }
    out.into()
}

fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n as u8 & 0x7f) | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn get(from: &mut &[u8]) -> Option<u64> {
    let mut n = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        n |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(n);
        }
    }
    None
}

impl Second {
    /// What was counted in it.
    pub fn series(&self) -> impl Iterator<Item = Series> {
        let mut rest = &*self.packed;
        std::iter::from_fn(move || unpack(&mut rest))
    }
}

fn unpack(rest: &mut &[u8]) -> Option<Series> {
    let [api, stage, after @ ..] = *rest else { return None };
    *rest = after;
    let stage = Stage::at(*stage)?;
    let buckets = get(rest)?;
    let mut counts = Counts {
        sum: get(rest)?,
        longest: u32::try_from(get(rest)?).unwrap_or(u32::MAX),
        ..Counts::default()
    };
    let mut at = 0u64;
    for _ in 0..buckets {
        at += get(rest)?;
        let n = u32::try_from(get(rest)?).unwrap_or(u32::MAX);
        counts.buckets.push((u16::try_from(at).unwrap_or(u16::MAX), n));
    }
    Some((*api, stage, counts))
}

#[cfg(test)]
mod tests;
