//! What a node remembers of its cores: sums since the start, and every second of the last hour.
//!
//! A second is kept as the few bytes that its buckets need, and bytes are bounded too: when an hour does not fit, the oldest
//! seconds go first.

use crate::{Counts, Histogram, Stage};
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
        let mut merged: BTreeMap<(u8, Stage), Merged> = BTreeMap::new();
        for (core, series) in cores {
            let recent = self.recent.entry(core).or_default();
            if recent.len() >= RECENT {
                recent.pop_front();
            }
            let totals = series.iter().filter(|(_, stage, _)| *stage == Stage::Total);
            recent.push_back(totals.map(|(api, _, counts)| (*api, counts.clone())).collect());
            for (api, stage, counts) in series {
                self.totals.entry((core, api, stage)).or_default().add(&counts);
                merged.entry((api, stage)).or_default().add(&counts);
            }
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

#[derive(Default)]
struct Merged {
    buckets: BTreeMap<u16, u64>,
    sum: u64,
    longest: u32,
}

impl Merged {
    fn add(&mut self, counts: &Counts) {
        for (bucket, n) in &counts.buckets {
            *self.buckets.entry(*bucket).or_default() += u64::from(*n);
        }
        self.sum = self.sum.saturating_add(counts.sum);
        self.longest = self.longest.max(counts.longest);
    }
}

/// Each series as API, stage, how many buckets, sum, longest, and then for each bucket the step from the one before and its
/// count; numbers as LEB128.
fn pack(merged: &BTreeMap<(u8, Stage), Merged>) -> Box<[u8]> {
    let mut out = Vec::new();
    for ((api, stage), m) in merged {
        out.extend([*api, *stage as u8]);
        put(&mut out, m.buckets.len() as u64);
        put(&mut out, m.sum);
        put(&mut out, u64::from(m.longest));
        let mut before = 0;
        for (bucket, n) in &m.buckets {
            put(&mut out, u64::from(*bucket - before));
            put(&mut out, *n);
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
