//! Counts of durations: one core, one API, every stage.
//!
//! The buckets are those of an HDR histogram: as wide as a tick up to 127 ticks, and above it 64 for every doubling, so that no
//! value is off by more than a 64th. The size is fixed: 1728 counts of four bytes reach over all of `u32`.
//!
//! A request is counted for all stages at once, without a branch: the upper bits of a number as floating point are its power of
//! two and the 64th of it, that is its bucket, and the compiler finds those of several stages with one instruction. So the
//! counts lie by [slot] while they are gathered, and get their buckets when they are taken out. Of the stages that a request
//! did not meet it counts a slot that nobody reads.

use crate::Stage;
use crate::laps::Times;

/// Sub-buckets of a doubling, as a power of two.
const BITS: u32 = 6;
/// How many buckets there are.
pub(crate) const BUCKETS: usize = 1728;
/// Slots: one for nothing, and 64 for each of 31 powers of two.
const SLOTS: usize = 2048;
/// Bits of a floating-point number that say more than its bucket.
const BELOW: u32 = f32::MANTISSA_DIGITS - 1 - BITS;
/// The slot of the lowest power of two, which is 1.
const FIRST: usize = (1.0_f32.to_bits() >> BELOW) as usize % SLOTS;

/// The bucket of a duration in ticks.
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

/// The slot of a duration below 2^31.
#[inline]
fn slot(ticks: u32) -> usize {
    // More than 24 bits would be rounded up: without the lowest that is kept they are rounded down. The half gives nothing a
    // slot of its own, and changes no other.
    let kept = ticks & !(ticks >> (f32::MANTISSA_DIGITS - 1));
    ((kept.cast_signed() as f32 + 0.5).to_bits() >> BELOW) as usize % SLOTS
}

/// The slot of a stage that was not met.
const NOTHING: usize = (0.5_f32.to_bits() >> BELOW) as usize % SLOTS;

/// The slots of a request's stages; adds their durations up and keeps the longest. Apart from its caller, so that the compiler
/// sees that all four are different, and takes several stages at a time.
#[inline(never)]
fn spread(
    ticks: &[u32; Stage::LAPS],
    slots: &mut [u32; Stage::LAPS],
    sums: &mut [u32; Stage::LAPS],
    longest: &mut [i32; Stage::LAPS],
) {
    for (place, ticks) in slots.iter_mut().zip(ticks) {
        *place = slot(*ticks) as u32;
    }
    for (sum, ticks) in sums.iter_mut().zip(ticks) {
        *sum = sum.wrapping_add(*ticks);
    }
    for (longest, ticks) in longest.iter_mut().zip(ticks) {
        *longest = (*longest).max(ticks.cast_signed());
    }
}

/// The bucket whose durations go into a slot. In order of the durations the slots go round: from [`FIRST`] to the last, and
/// on from 0 to [`NOTHING`].
fn bucket_of(slot: usize) -> usize {
    let place = (slot + SLOTS - FIRST) % SLOTS;
    let (power, part) = (place >> BITS, place & ((1 << BITS) - 1));
    let bits = BITS as usize;
    if power < bits {
        return ((1 << bits) + part) >> (bits - power);
    }
    ((power + 1 - bits) << BITS) + part
}

/// A tally: only its owner's core touches it.
#[derive(Debug)]
pub(crate) struct Tally {
    requests: u32,
    counts: Box<[[u32; SLOTS]; Stage::COUNT]>,
    /// Sums since they were last added to `sums`, and how much more they can take.
    fresh: [u32; Stage::LAPS],
    room: u32,
    sums: [u64; Stage::COUNT],
    longest: [i32; Stage::LAPS],
    longest_total: u32,
}

/// What a tally held: what happened in one interval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bucket and count, in order of the buckets; no count is zero.
    pub buckets: Vec<(u16, u32)>,
    /// All durations added up, in ticks.
    pub sum: u64,
    /// The longest, in ticks.
    pub longest: u32,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            requests: 0,
            // Zeros of the allocator: what is never counted is never touched.
            counts: zeros(),
            fresh: [0; Stage::LAPS],
            room: u32::MAX,
            sums: [0; Stage::COUNT],
            longest: [0; Stage::LAPS],
            longest_total: 0,
        }
    }
}

impl Tally {
    /// Counts a request; its total.
    #[inline]
    pub(crate) fn record(&mut self, times: &Times) -> u32 {
        let mut ticks = [0; Stage::LAPS];
        for (to, from) in ticks.iter_mut().zip(&times.ticks) {
            *to = from.get();
        }
        let total = times.total();
        self.requests = self.requests.wrapping_add(1);
        let all = times.whole();
        if self.room < all {
            self.add_up();
        }
        self.room -= all;
        let mut slots = [0; Stage::LAPS];
        spread(&ticks, &mut slots, &mut self.fresh, &mut self.longest);
        for (counts, slot) in self.counts.iter_mut().zip(slots) {
            let count = &mut counts[slot as usize % SLOTS];
            *count = count.wrapping_add(1);
        }
        let count = &mut self.counts[Stage::Total as usize][slot(total)];
        *count = count.wrapping_add(1);
        self.sums[Stage::Total as usize] += u64::from(total);
        self.longest_total = self.longest_total.max(total);
        total
    }

    #[cold]
    fn add_up(&mut self) {
        for (sum, fresh) in self.sums.iter_mut().zip(&mut self.fresh) {
            *sum += u64::from(std::mem::take(fresh));
        }
        self.room = u32::MAX;
    }

    /// Takes everything out: what the stages had that were met.
    pub(crate) fn drain(&mut self) -> Vec<(Stage, Counts)> {
        let mut all = Vec::new();
        if self.requests == 0 {
            return all;
        }
        self.requests = 0;
        self.add_up();
        let longest = self.longest.iter_mut().map(|l| std::mem::take(l).cast_unsigned());
        let longest = longest.chain([std::mem::take(&mut self.longest_total)]);
        for (((stage, counts), longest), sum) in
            Stage::ALL.into_iter().zip(self.counts.iter_mut()).zip(longest).zip(&mut self.sums)
        {
            let sum = std::mem::take(sum);
            counts[NOTHING] = 0;
            if sum > 0 {
                all.push((stage, Counts { buckets: take(counts, longest), sum, longest }));
            }
        }
        all
    }
}

/// All zero, from the allocator.
fn zeros() -> Box<[[u32; SLOTS]; Stage::COUNT]> {
    let zeros = vec![[0; SLOTS]; Stage::COUNT].into_boxed_slice();
    zeros.try_into().unwrap_or_else(|_| Box::new([[0; SLOTS]; Stage::COUNT]))
}

/// Counts that are looked at together.
const GROUP: usize = 8;

/// Takes the counts out of their slots, in order of the durations. Looks only as far as the longest.
fn take(counts: &mut [u32; SLOTS], longest: u32) -> Vec<(u16, u32)> {
    let mut buckets = Vec::with_capacity(1 << BITS);
    let last = (slot(longest) + SLOTS - FIRST) % SLOTS;
    for place in (0..=last).step_by(GROUP) {
        let first = (FIRST + place) % SLOTS;
        let Some(group) = counts.get_mut(first..first + GROUP) else { break };
        if group.iter().fold(0, |all, n| all | n) == 0 {
            continue;
        }
        for (slot, count) in (first..).zip(group).filter(|(_, count)| **count > 0) {
            let bucket = u16::try_from(bucket_of(slot)).unwrap_or(u16::MAX);
            buckets.push((bucket, std::mem::take(count)));
        }
    }
    buckets
}

/// The counts of these durations, in ticks.
impl FromIterator<u32> for Counts {
    fn from_iter<I: IntoIterator<Item = u32>>(durations: I) -> Self {
        let (mut counts, mut all) = (Self::default(), std::collections::BTreeMap::new());
        for ticks in durations {
            *all.entry(u16::try_from(bucket(ticks)).unwrap_or(u16::MAX)).or_default() += 1;
            counts.sum += u64::from(ticks);
            counts.longest = counts.longest.max(ticks);
        }
        counts.buckets = all.into_iter().collect();
        counts
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
    fn a_slot_has_the_durations_of_its_bucket() {
        assert_eq!(slot(0), NOTHING);
        let mut ticks = 1u32;
        while ticks < 1 << 31 {
            let near = [ticks - 1, ticks, ticks + 1, ticks + ticks / 64, ticks + ticks / 64 - 1];
            for t in near.into_iter().filter(|t| (1..1 << 31).contains(t)) {
                assert_eq!(bucket_of(slot(t)), bucket(t), "{t}");
                assert_ne!(slot(t), NOTHING, "{t}");
            }
            ticks += ticks / 64 + 1;
        }
        assert_eq!(bucket_of(slot((1 << 31) - 1)), bucket((1 << 31) - 1));
        // Groups of slots do not go round.
        assert!(FIRST.is_multiple_of(GROUP) && SLOTS.is_multiple_of(GROUP));
    }

    fn sheet(ticks: &[(Stage, u32)]) -> crate::Laps {
        let mut laps = crate::Laps::begin(ids::Instant(0));
        let mut at = 0;
        for (stage, ticks) in ticks {
            at += u64::from(*ticks) * crate::TICK_NANOS;
            laps.lap_at(*stage, ids::Instant(at));
        }
        laps
    }

    #[cfg(not(feature = "compiled-out"))]
    #[test]
    fn a_drained_tally_has_everything_and_is_empty() {
        let mut tally = Tally::default();
        assert_eq!(tally.drain(), []);
        let times = [5, 5, 200, 1_000_000];
        for ticks in times {
            let laps = sheet(&[(Stage::Flush, ticks), (Stage::Park, 9), (Stage::Send, 3)]);
            assert_eq!(tally.record(laps.sheet().unwrap()), ticks + 3);
        }
        let expected = [
            (Stage::Flush, times.into_iter().collect()),
            (Stage::Park, [9; 4].into_iter().collect()),
            (Stage::Send, [3; 4].into_iter().collect()),
            (Stage::Total, times.into_iter().map(|t| t + 3).collect()),
        ];
        assert_eq!(tally.drain(), expected);
        assert_eq!(tally.drain(), []);
        tally.record(sheet(&[(Stage::Read, 7)]).sheet().unwrap());
        let seven: Counts = [7].into_iter().collect();
        assert_eq!(tally.drain(), [(Stage::Read, seven.clone()), (Stage::Total, seven)]);
    }

    #[cfg(not(feature = "compiled-out"))]
    #[test]
    fn sums_do_not_run_over() {
        let mut tally = Tally::default();
        let laps = sheet(&[(Stage::Park, 1 << 30), (Stage::Flush, 1 << 29)]);
        (0..10).for_each(|_| _ = tally.record(laps.sheet().unwrap()));
        let sums: Vec<u64> = tally.drain().iter().map(|(_, counts)| counts.sum).collect();
        assert_eq!(sums, [10 << 29, 10 << 30, 10 << 29]);
    }

    proptest! {
        #[test]
        fn every_duration_lies_in_its_bucket(ticks: u32) {
            let (low, high) = range(bucket(ticks));
            prop_assert!((low..=high).contains(&u64::from(ticks)));
            prop_assert!((high - low) * 64 <= low.max(64), "a 64th");
            let short = ticks >> 1;
            prop_assert!(short == 0 || bucket_of(slot(short)) == bucket(short));
        }
    }
}
