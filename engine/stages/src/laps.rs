//! One request's stopwatch.
//!
//! Each lap gives the time since the last one to a stage, so that the stages together are exactly the time from the request's
//! first bytes to the end of its answer: nothing is counted twice, and nothing is left out.
//!
//! It is on every request's way, so a lap is a handful of instructions, and what travels with the request is a pointer. A stage
//! that was met has at least one tick: zero means that it was not, and no list of the stages is kept.

use crate::{ON, Stage, TICK_NANOS};
use ids::{Instant, PartitionId};

/// A request that lasts longer than this many ticks (137 s) counts as if it had lasted so long: whatever is added to it later
/// stays below 2^31.
const LONGEST: u64 = (1 << 31) - (1 << 20);

/// What a stopwatch shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sheet {
    /// By stage.
    pub(crate) ticks: [u32; Stage::LAPS],
    /// Beginning, last lap and latest possible lap, in ticks of the clock.
    began: u64,
    last: u64,
    latest: u64,
    api: u8,
    bytes: u32,
    partition: Option<PartitionId>,
    unread: bool,
}

/// A stopwatch, or none: where nothing is timed, and where nobody asks. It travels with its request, to other cores too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Laps(Option<Box<Sheet>>);

impl Laps {
    /// Of a request whose first bytes came at `began`.
    #[must_use]
    #[inline]
    pub fn begin(began: Instant) -> Self {
        if ON { Self(Some(Box::new(Sheet::begin(began)))) } else { Self(None) }
    }

    /// No stopwatch.
    #[must_use]
    #[inline]
    pub fn none() -> Self {
        Self(None)
    }

    /// The same as [`Laps::begin`], with the memory of a stopwatch that is not needed any more.
    #[must_use]
    #[inline]
    pub fn again(mut self, began: Instant) -> Self {
        match &mut self.0 {
            Some(sheet) => **sheet = Sheet::begin(began),
            None => self = Self::begin(began),
        }
        self
    }

    /// Gives the time since the last lap to `stage`.
    #[inline]
    pub fn lap(&mut self, stage: Stage, clock: impl FnOnce() -> Instant) {
        if let Some(sheet) = &mut self.0 {
            sheet.lap_at(stage, clock());
        }
    }

    /// The same at a moment that is known; one before the last lap adds one tick.
    #[inline]
    pub fn lap_at(&mut self, stage: Stage, at: Instant) {
        if let Some(sheet) = &mut self.0 {
            sheet.lap_at(stage, at);
        }
    }

    /// Takes over the laps that were taken elsewhere, since the last lap here: first the way there, then theirs.
    pub fn join(&mut self, way_there: Stage, other: &Self) {
        let (Some(sheet), Some(other)) = (&mut self.0, &other.0) else { return };
        sheet.lap_at(way_there, Instant(other.began * TICK_NANOS));
        for (ticks, passed) in sheet.ticks.iter_mut().zip(other.ticks) {
            *ticks = ticks.saturating_add(passed);
            sheet.last += u64::from(passed);
        }
        sheet.partition = other.partition.or(sheet.partition);
    }

    /// Which API the request asks for: its place among those that are told apart, and the request's size in bytes.
    #[inline]
    pub fn is_for(&mut self, api: u8) {
        if let Some(sheet) = &mut self.0 {
            sheet.api = api;
        }
    }

    /// How many bytes the request has.
    #[inline]
    pub fn has_bytes(&mut self, bytes: usize) {
        if let Some(sheet) = &mut self.0 {
            sheet.bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        }
    }

    /// The partition that the request waits for.
    #[inline]
    pub fn waits_for(&mut self, partition: PartitionId) {
        if let Some(sheet) = &mut self.0 {
            sheet.partition = Some(partition);
        }
    }

    /// The client has gone before the answer had left.
    pub fn goes_unread(&mut self) {
        if let Some(sheet) = &mut self.0 {
            sheet.unread = true;
        }
    }

    /// Whether the client has gone before the answer had left.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.0.as_ref().is_some_and(|s| s.unread)
    }

    /// Place of the API among those that are told apart.
    #[must_use]
    pub fn api(&self) -> u8 {
        self.0.as_ref().map_or(u8::MAX, |s| s.api)
    }

    /// Bytes of the request.
    #[must_use]
    pub fn bytes(&self) -> u32 {
        self.0.as_ref().map_or(0, |s| s.bytes)
    }

    /// The partition that the request waited for at last.
    #[must_use]
    pub fn partition(&self) -> Option<PartitionId> {
        self.0.as_ref().and_then(|s| s.partition)
    }

    /// The stages that have had a lap, in order.
    pub fn stages(&self) -> impl Iterator<Item = Stage> + '_ {
        Stage::ALL[..Stage::LAPS].iter().copied().filter(|s| self.ticks(*s) > 0)
    }

    /// What a stage took, in ticks; zero if the request did not meet it.
    #[must_use]
    pub fn ticks(&self, stage: Stage) -> u32 {
        if stage == Stage::Total {
            return self.total();
        }
        let ticks = self.0.as_ref().and_then(|s| s.ticks.get(stage as usize));
        ticks.copied().unwrap_or(0)
    }

    /// Everything but [`Stage::Park`], in ticks.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.0.as_ref().map_or(0, |s| s.total())
    }

    /// The stage that took longest, of those that count.
    #[must_use]
    pub fn longest(&self) -> Option<Stage> {
        self.stages().filter(|s| *s != Stage::Park).max_by_key(|s| self.ticks(*s))
    }

    #[inline]
    pub(crate) fn sheet(&self) -> Option<&Sheet> {
        self.0.as_deref()
    }
}

impl Sheet {
    #[inline]
    fn begin(began: Instant) -> Self {
        let began = began.0 / TICK_NANOS;
        Self {
            ticks: [0; Stage::LAPS],
            began,
            last: began,
            latest: began.saturating_add(LONGEST),
            api: u8::MAX,
            bytes: 0,
            partition: None,
            unread: false,
        }
    }

    #[inline]
    fn lap_at(&mut self, stage: Stage, at: Instant) {
        let Some(ticks) = self.ticks.get_mut(stage as usize) else { return };
        let at = (at.0 / TICK_NANOS).min(self.latest).max(self.last + 1);
        // Below 2^31, see `LONGEST`.
        *ticks = ticks.wrapping_add((at - self.last) as u32);
        self.last = at;
    }

    #[inline]
    pub(crate) fn api(&self) -> usize {
        usize::from(self.api)
    }

    /// Everything, in ticks.
    #[inline]
    pub(crate) fn whole(&self) -> u32 {
        // Below 2^31, see `LONGEST`.
        (self.last - self.began) as u32
    }

    /// Everything but [`Stage::Park`], in ticks.
    #[inline]
    pub(crate) fn total(&self) -> u32 {
        self.whole().saturating_sub(self.ticks[Stage::Park as usize])
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
        assert_eq!(laps.ticks(Stage::Receive), 1);
        assert_eq!(laps.ticks(Stage::Append), 1);
        let most = u32::try_from(LONGEST).unwrap();
        laps.lap_at(Stage::Send, Instant(u64::MAX));
        assert_eq!(laps.total(), most);
        laps.lap_at(Stage::Send, Instant(u64::MAX));
        assert_eq!(laps.total(), most + 1);
    }

    #[test]
    fn the_memory_of_one_serves_the_next() {
        let mut laps = Laps::begin(at(0));
        laps.is_for(3);
        laps.goes_unread();
        laps.lap_at(Stage::Park, at(10));
        assert!(laps.is_unread());
        laps = laps.again(at(50));
        assert_eq!(laps, Laps::begin(at(50)));
        assert_eq!(Laps::none().again(at(50)), laps);
        assert_eq!((laps.stages().count(), laps.total()), (0, 0));
    }

    #[test]
    fn nobody_is_told_what_nobody_times() {
        let mut none = Laps::none();
        none.lap(Stage::Send, || panic!("a clock was read for nothing"));
        none.join(Stage::Queue, &Laps::begin(at(1)));
        assert_eq!((none.total(), none.stages().count(), none.longest()), (0, 0, None));
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
