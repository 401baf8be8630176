//! One request's stopwatch.
//!
//! Each lap gives the time since the last one to a stage, so that the stages together are exactly the time from the request's
//! first bytes to the end of its answer: nothing is counted twice, and nothing is left out.

use crate::{ON, Stage, TICK_NANOS};
use ids::{Instant, PartitionId};

const KEPT: usize = if ON { Stage::LAPS } else { 0 };

/// A stopwatch. Plain data: it travels with its request, to other cores too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Laps {
    began: Instant,
    /// Of the last lap, in ticks since the beginning.
    last: u32,
    /// Which stages have had a lap.
    met: u32,
    ticks: [u32; KEPT],
    /// Place of the API among those that are told apart.
    pub api: u8,
    /// Bytes of the request.
    pub bytes: u32,
    /// The partition that the request waited for at last.
    pub partition: Option<PartitionId>,
}

impl Laps {
    /// Of a request whose first bytes came at `began`.
    #[must_use]
    #[inline]
    pub fn begin(began: Instant) -> Self {
        Self { began, last: 0, met: 0, ticks: [0; KEPT], api: 0, bytes: 0, partition: None }
    }

    /// Gives the time since the last lap to `stage`.
    #[inline]
    pub fn lap(&mut self, stage: Stage, clock: impl FnOnce() -> Instant) {
        if ON {
            self.lap_at(stage, clock());
        }
    }

    /// The same at a moment that is known; one before the last lap changes nothing.
    #[inline]
    pub fn lap_at(&mut self, stage: Stage, at: Instant) {
        let Some(ticks) = self.ticks.get_mut(stage as usize) else { return };
        let at = u32::try_from(at.0.saturating_sub(self.began.0) / TICK_NANOS).unwrap_or(u32::MAX);
        let passed = at.saturating_sub(self.last);
        *ticks = ticks.saturating_add(passed);
        self.met |= 1 << (stage as u8);
        self.last += passed;
    }

    /// Takes over the laps that were taken elsewhere, since the last lap here: first the way there, then theirs.
    pub fn join(&mut self, way_there: Stage, other: &Self) {
        if !ON {
            return;
        }
        self.lap_at(way_there, other.began);
        for stage in other.stages() {
            let passed = other.ticks(stage);
            if let Some(ticks) = self.ticks.get_mut(stage as usize) {
                *ticks = ticks.saturating_add(passed);
            }
            self.last = self.last.saturating_add(passed);
        }
        self.met |= other.met;
        self.partition = other.partition.or(self.partition);
    }

    /// When it began.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.began
    }

    /// The stages that have had a lap, in order.
    #[inline]
    pub fn stages(&self) -> impl Iterator<Item = Stage> + use<> {
        let mut left = self.met;
        std::iter::from_fn(move || {
            let place = left.trailing_zeros();
            left &= left.wrapping_sub(1);
            Stage::ALL.get(place as usize).copied()
        })
    }

    /// What a stage took, in ticks.
    #[must_use]
    #[inline]
    pub fn ticks(&self, stage: Stage) -> u32 {
        if stage == Stage::Total {
            return self.total();
        }
        self.ticks.get(stage as usize).copied().unwrap_or(0)
    }

    /// Everything but [`Stage::Park`], in ticks.
    #[must_use]
    #[inline]
    pub fn total(&self) -> u32 {
        self.last
            - self.ticks.get(Stage::Park as usize).map_or(0, |parked| (*parked).min(self.last))
    }

    /// The stage that took longest, of those that count.
    #[must_use]
    pub fn longest(&self) -> Option<Stage> {
        self.stages().filter(|s| *s != Stage::Park).max_by_key(|s| self.ticks(*s))
    }
}

#[cfg(all(test, not(feature = "compiled-out")))]
mod tests {
    use super::*;

    fn at(micros: u64) -> Instant {
        Instant(1_000_000 + micros * 1000)
    }

    #[test]
    fn stages_add_up_to_the_whole() {
        let mut laps = Laps::begin(at(0));
        for (stage, us) in
            [(Stage::Receive, 7), (Stage::Decode, 20), (Stage::Flush, 820), (Stage::Send, 833)]
        {
            laps.lap(stage, || at(us));
        }
        let sum: u32 = laps.stages().map(|s| laps.ticks(s)).sum();
        assert_eq!((sum, laps.total()), (833_000 / 64, 833_000 / 64));
        assert_eq!(laps.longest(), Some(Stage::Flush));
        assert_eq!(laps.stages().count(), 4);
    }

    #[test]
    fn waiting_that_was_asked_for_is_not_in_the_total() {
        let mut laps = Laps::begin(at(0));
        laps.lap_at(Stage::Read, at(10));
        laps.lap_at(Stage::Park, at(500_010));
        laps.lap_at(Stage::Read, at(500_030));
        assert_eq!(laps.total(), 30_000 / 64);
        assert_eq!(laps.longest(), Some(Stage::Read));
    }

    #[test]
    fn time_does_not_run_backwards_and_not_over() {
        let mut laps = Laps::begin(at(100));
        laps.lap_at(Stage::Receive, at(50));
        laps.lap_at(Stage::Decode, at(200));
        laps.lap_at(Stage::Append, at(150));
        assert_eq!(laps.ticks(Stage::Receive), 0);
        assert_eq!(laps.ticks(Stage::Append), 0);
        laps.lap_at(Stage::Send, Instant(u64::MAX));
        laps.lap_at(Stage::Send, Instant(u64::MAX));
        assert_eq!(laps.total(), u32::MAX);
    }

    #[test]
    fn laps_of_another_core_come_between() {
        let mut here = Laps::begin(at(0));
        here.lap_at(Stage::Decode, at(64));
        let mut there = Laps::begin(at(128));
        there.lap_at(Stage::Read, at(192));
        here.join(Stage::Queue, &there);
        here.lap_at(Stage::Crossing, at(320));
        let times: Vec<(Stage, u32)> = here.stages().map(|s| (s, here.ticks(s))).collect();
        let each = 1000;
        assert_eq!(
            times,
            [
                (Stage::Decode, each),
                (Stage::Queue, each),
                (Stage::Read, each),
                (Stage::Crossing, 2 * each)
            ]
        );
        assert_eq!(here.total(), 5 * each);
    }
}
