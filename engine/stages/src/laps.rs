//! One request's stopwatch.
//!
//! Each lap gives the time since the last one to a stage, so that the stages together are exactly the time from the request's
//! first bytes to the end of its answer: nothing is counted twice, and nothing is left out.
//!
//! It is on every request's way, so a lap is a handful of instructions, and what travels with the request is a pointer. A stage
//! that was met has at least one tick: zero means that it was not, and no list of the stages is kept.

use crate::away::Away;
use crate::{ON, Stage, TICK_NANOS};
use ids::{Instant, PartitionId};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// A request that lasts longer than this many ticks (137 s) counts as if it had lasted so long: whatever is added to it later
/// stays below 2^31.
const LONGEST: u64 = (1 << 31) - (1 << 20);

/// What a stopwatch shows. Cells, as a request in progress is looked at, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times {
    /// By stage.
    pub(crate) ticks: [Cell<u32>; Stage::LAPS],
    /// Beginning, last lap and latest possible lap, in ticks of the clock.
    began: u64,
    last: Cell<u64>,
    latest: u64,
    /// The last lap that came after that, when it came; zero without one.
    late: Cell<u64>,
    partition: Cell<Option<PartitionId>>,
    /// It waits for other partitions as well.
    several: Cell<bool>,
    bytes: Cell<u32>,
    api: Cell<u8>,
    /// The stage that it is in, as far as somebody has said.
    stage: Cell<Stage>,
    unread: Cell<bool>,
}

/// A stopwatch, and where the request can be seen while another core has it.
#[derive(Debug)]
struct Sheet {
    times: Times,
    away: RefCell<Option<Away>>,
}

/// A stopwatch, or none: where nothing is timed, and where nobody asks. It travels with its request, on one core; a clone is a second
/// hand on the same one, for who looks at the request meanwhile.
#[derive(Clone, Debug, Default)]
pub struct Laps(Option<Rc<Sheet>>);

impl PartialEq for Laps {
    fn eq(&self, other: &Self) -> bool {
        self.sheet() == other.sheet()
    }
}

impl Eq for Laps {}

impl Laps {
    /// Of a request whose first bytes came at `began`.
    #[must_use]
    #[inline]
    pub fn begin(began: Instant) -> Self {
        if !ON {
            return Self(None);
        }
        Self(Some(Rc::new(Sheet { times: Times::begin(began), away: RefCell::new(None) })))
    }

    /// No stopwatch.
    #[must_use]
    #[inline]
    pub fn none() -> Self {
        Self(None)
    }

    /// The same as [`Laps::begin`], with the memory of a stopwatch that is not needed any more, if nobody else has a hand on it.
    #[must_use]
    #[inline]
    pub fn again(mut self, began: Instant) -> Self {
        match self.0.as_mut().and_then(Rc::get_mut) {
            Some(sheet) => sheet.times = Times::begin(began),
            None => self = Self::begin(began),
        }
        self
    }

    /// Gives the time since the last lap to `stage`.
    #[inline]
    pub fn lap(&mut self, stage: Stage, clock: impl FnOnce() -> Instant) {
        if let Some(sheet) = &self.0 {
            sheet.times.lap_at(stage, clock());
        }
    }

    /// The same at a moment that is known; one before the last lap adds one tick.
    #[inline]
    pub fn lap_at(&mut self, stage: Stage, at: Instant) {
        if let Some(sheet) = &self.0 {
            sheet.times.lap_at(stage, at);
        }
    }

    /// Takes over the laps that were taken elsewhere, since the last lap here: first the way there, then theirs.
    pub fn join(&mut self, way_there: Stage, other: &Times) {
        let Some(Sheet { times, .. }) = self.0.as_deref() else { return };
        times.lap_at(way_there, Instant(other.began * TICK_NANOS));
        for (ticks, passed) in times.ticks.iter().zip(&other.ticks) {
            let passed = passed.get();
            ticks.set(ticks.get().saturating_add(passed));
            times.last.set(times.last.get() + u64::from(passed));
        }
        times.late.set(times.late.get().max(other.late.get()));
        times.partition.set(other.partition.get().or(times.partition.get()));
        times.stage.set(Stage::Crossing);
    }

    /// Which API the request asks for: its place among those that are told apart, and the request's size in bytes.
    #[inline]
    pub fn is_for(&mut self, api: u8) {
        if let Some(sheet) = &self.0 {
            sheet.times.api.set(api);
        }
    }

    /// How many bytes the request has.
    #[inline]
    pub fn has_bytes(&mut self, bytes: usize) {
        if let Some(sheet) = &self.0 {
            sheet.times.bytes.set(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
    }

    /// The partition that the request waits for.
    #[inline]
    pub fn waits_for(&mut self, partition: PartitionId) {
        if let Some(sheet) = &self.0 {
            sheet.times.partition.set(Some(partition));
        }
    }

    /// Whether it waits for other partitions as well: which of them have gone on is not said.
    #[inline]
    pub fn waits_for_several(&mut self, several: bool) {
        if let Some(sheet) = &self.0 {
            sheet.times.several.set(several);
        }
    }

    /// The stage that the request is in from its last lap on. To be said where a stage may last and its API does not say which it
    /// is: a fetch that reads is not one that is parked.
    #[inline]
    pub fn is_in(&mut self, stage: Stage) {
        let Some(sheet) = &self.0 else { return };
        sheet.times.stage.set(stage);
        if let Some(away) = &*sheet.away.borrow() {
            away.say(&sheet.times, stage);
        }
    }

    /// Another core goes on with the request: where it says how far it is. Once in a request.
    pub fn goes_away(&mut self) -> Option<Away> {
        let sheet = self.0.as_deref()?;
        let mut slot = sheet.away.borrow_mut();
        // A core that was told to stop may still be saying something of the request before.
        let away = slot.take().filter(Away::is_free).unwrap_or_default();
        sheet.times.stage.set(Stage::Queue);
        away.say(&sheet.times, Stage::Queue);
        *slot = Some(away.clone());
        Some(away)
    }

    /// The same as [`Laps::begin`], on the core that a request has come to.
    #[must_use]
    pub fn begin_away(began: Instant, away: Option<Away>) -> Self {
        let laps = Self::begin(began);
        if let Some(sheet) = &laps.0 {
            *sheet.away.borrow_mut() = away;
        }
        laps
    }

    /// The stage that the request is in, as far as somebody has said; [`Stage::Handle`] without a word.
    #[must_use]
    pub fn stage(&self) -> Stage {
        let Some(sheet) = self.0.as_deref() else { return Stage::Handle };
        let here = sheet.times.stage.get();
        match &*sheet.away.borrow() {
            Some(away) if here == Stage::Queue => away.stage(),
            Some(_) | None => here,
        }
    }

    /// When the last lap ended, here or on the core that has the request: it has not been seen to move since. None without a
    /// stopwatch.
    #[must_use]
    pub fn since(&self) -> Option<Instant> {
        let sheet = self.0.as_deref()?;
        let here = Instant(sheet.times.moved() * TICK_NANOS);
        match &*sheet.away.borrow() {
            Some(away) if sheet.times.stage.get() == Stage::Queue => Some(here.max(away.since())),
            Some(_) | None => Some(here),
        }
    }

    /// The request ends in the stage that it is in: a last lap.
    pub fn end(&mut self, now: Instant) {
        let stage = self.stage();
        let Some(Sheet { times, away }) = self.0.as_deref() else { return };
        if times.stage.get() == Stage::Queue
            && let Some(away) = &*away.borrow()
            && stage != Stage::Queue
        {
            // What it did there before nobody tells any more: if it was parked, most of it is that.
            let before = if away.was_parked() { Stage::Park } else { Stage::Queue };
            times.lap_at(before, away.since());
        }
        times.lap_at(stage, now);
    }

    /// The client has gone before the answer had left.
    pub fn goes_unread(&mut self) {
        if let Some(sheet) = &self.0 {
            sheet.times.unread.set(true);
        }
    }

    /// When the first bytes came; none without a stopwatch.
    #[must_use]
    pub fn began(&self) -> Option<Instant> {
        self.sheet().map(|times| Instant(times.began * TICK_NANOS))
    }

    /// What it shows now.
    #[must_use]
    pub fn times(&self) -> Option<Times> {
        self.sheet().cloned()
    }

    /// See [`Times::api`]; [`u8::MAX`] without a stopwatch.
    #[must_use]
    pub fn api(&self) -> u8 {
        self.sheet().map_or(u8::MAX, Times::api)
    }

    /// See [`Times::is_unread`].
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.sheet().is_some_and(Times::is_unread)
    }

    /// See [`Times::bytes`].
    #[must_use]
    pub fn bytes(&self) -> u32 {
        self.sheet().map_or(0, Times::bytes)
    }

    /// See [`Times::partition`].
    #[must_use]
    pub fn partition(&self) -> Option<PartitionId> {
        self.sheet().and_then(Times::partition)
    }

    /// See [`Times::stages`].
    pub fn stages(&self) -> impl Iterator<Item = Stage> + '_ {
        self.sheet().into_iter().flat_map(Times::stages)
    }

    /// See [`Times::ticks`].
    #[must_use]
    pub fn ticks(&self, stage: Stage) -> u32 {
        self.sheet().map_or(0, |times| times.ticks(stage))
    }

    /// See [`Times::total`].
    #[must_use]
    pub fn total(&self) -> u32 {
        self.sheet().map_or(0, Times::total)
    }

    /// See [`Times::longest`].
    #[must_use]
    pub fn longest(&self) -> Option<Stage> {
        self.sheet().and_then(Times::longest)
    }

    #[inline]
    pub(crate) fn sheet(&self) -> Option<&Times> {
        self.0.as_deref().map(|sheet| &sheet.times)
    }
}

impl Times {
    #[inline]
    fn begin(began: Instant) -> Self {
        let began = began.0 / TICK_NANOS;
        Self {
            ticks: [const { Cell::new(0) }; Stage::LAPS],
            began,
            last: Cell::new(began),
            latest: began.saturating_add(LONGEST),
            late: Cell::new(0),
            partition: Cell::new(None),
            several: Cell::new(false),
            bytes: Cell::new(0),
            api: Cell::new(u8::MAX),
            stage: Cell::new(Stage::Handle),
            unread: Cell::new(false),
        }
    }

    #[inline]
    fn lap_at(&self, stage: Stage, at: Instant) {
        let Some(ticks) = self.ticks.get(stage as usize) else { return };
        let last = self.last.get();
        let now = at.0 / TICK_NANOS;
        let at = now.min(self.latest).max(last + 1);
        // Below 2^31, see `LONGEST`.
        ticks.set(ticks.get().wrapping_add((at - last) as u32));
        self.last.set(at);
        if now > at {
            self.late.set(now);
        }
    }

    /// Place of the API among those that are told apart.
    #[must_use]
    #[inline]
    pub fn api(&self) -> u8 {
        self.api.get()
    }

    /// Bytes of the request.
    #[must_use]
    pub fn bytes(&self) -> u32 {
        self.bytes.get()
    }

    /// The partition that the request waited for at last.
    #[must_use]
    pub fn partition(&self) -> Option<PartitionId> {
        self.partition.get()
    }

    /// Whether it waited for other partitions as well.
    #[must_use]
    pub fn has_several(&self) -> bool {
        self.several.get()
    }

    /// Whether the client has gone before the answer had left.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.unread.get()
    }

    /// When the last lap ended, in ticks of the clock, however late that was.
    pub(crate) fn moved(&self) -> u64 {
        self.last.get().max(self.late.get())
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
        self.ticks.get(stage as usize).map_or(0, Cell::get)
    }

    /// Everything, in ticks.
    #[inline]
    pub(crate) fn whole(&self) -> u32 {
        // Below 2^31, see `LONGEST`.
        (self.last.get() - self.began) as u32
    }

    /// Everything but [`Stage::Park`], in ticks.
    #[must_use]
    #[inline]
    pub fn total(&self) -> u32 {
        self.whole().saturating_sub(self.ticks[Stage::Park as usize].get())
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
        assert_eq!(laps.ticks(Stage::Receive), 1);
        assert_eq!(laps.ticks(Stage::Append), 1);
        let most = u32::try_from(LONGEST).unwrap();
        laps.lap_at(Stage::Send, Instant(u64::MAX));
        assert_eq!(laps.total(), most);
        laps.lap_at(Stage::Send, Instant(u64::MAX));
        assert_eq!(laps.total(), most + 1);
    }

    #[test]
    fn a_request_stands_still_since_its_last_lap_and_not_since_its_beginning() {
        let mut here = Laps::begin(at(0));
        here.lap_at(Stage::Park, at(6_400));
        assert_eq!((here.began(), here.since()), (Some(at(0)), Some(at(6_400))));
        // Longer than is counted: a member may wait for days.
        let late = at(0) + std::time::Duration::from_secs(1_000);
        here.lap_at(Stage::Park, late);
        assert_eq!(here.since(), Some(late));
        let mut next = here.again(at(0));
        assert_eq!(next.since(), Some(at(0)));
        let mut there = Laps::begin_away(at(64), next.goes_away());
        there.lap_at(Stage::Park, late);
        there.is_in(Stage::Read);
        assert_eq!((next.stage(), next.since()), (Stage::Read, Some(late)));
        next.join(Stage::Queue, &there.times().unwrap());
        assert_eq!((next.stage(), next.since()), (Stage::Crossing, Some(late)));
        assert_eq!(Laps::none().since(), None);
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
        none.join(Stage::Queue, &Laps::begin(at(1)).times().unwrap());
        none.end(at(2));
        assert!(none.goes_away().is_none() && none.began().is_none() && none.times().is_none());
        assert_eq!((none.total(), none.stages().count(), none.longest()), (0, 0, None));
    }

    #[test]
    fn laps_of_another_core_come_between() {
        let mut here = Laps::begin(at(0));
        here.lap_at(Stage::Decode, at(64));
        let mut there = Laps::begin(at(128));
        there.lap_at(Stage::Read, at(192));
        here.join(Stage::Queue, &there.times().unwrap());
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

    #[test]
    fn a_second_hand_sees_what_the_first_does_and_keeps_it() {
        let mut laps = Laps::begin(at(0));
        let seen = laps.clone();
        laps.is_for(3);
        laps.lap_at(Stage::Decode, at(64));
        laps.is_in(Stage::Read);
        assert_eq!((seen.stage(), seen.began()), (Stage::Read, laps.began()));
        assert_eq!(seen.times(), laps.times());
        // Its memory is another request's only when nobody looks any more.
        let next = laps.again(at(200));
        assert_eq!((next.total(), seen.total()), (0, 1000));
    }

    #[test]
    fn a_request_on_another_core_is_seen_from_its_own() {
        let mut here = Laps::begin(at(0));
        here.lap_at(Stage::Decode, at(64));
        let away = here.goes_away();
        assert_eq!(here.stage(), Stage::Queue);
        let mut there = Laps::begin_away(at(128), away);
        there.is_in(Stage::Read);
        assert_eq!(here.stage(), Stage::Read);
        // The core there is told to stop, and nothing of its stopwatch comes back.
        here.end(at(320));
        let times = [(Stage::Decode, 1000), (Stage::Queue, 1000), (Stage::Read, 3000)];
        assert_eq!(here.stages().map(|s| (s, here.ticks(s))).collect::<Vec<_>>(), times);
    }

    #[test]
    fn what_was_parked_on_another_core_is_not_told_as_the_brokers() {
        let mut here = Laps::begin(at(0));
        let mut there = Laps::begin_away(at(64), here.goes_away());
        there.is_in(Stage::Read);
        there.lap_at(Stage::Read, at(128));
        there.is_in(Stage::Park);
        assert_eq!(here.stage(), Stage::Park);
        there.lap_at(Stage::Park, at(64_000));
        there.is_in(Stage::Read);
        here.end(at(64_064));
        assert_eq!((here.ticks(Stage::Park), here.total()), (1_000_000, 1000));
        // The next one of the connection is not taken for this one, which may still be at it there.
        let mut next = here.again(at(70_000));
        let second = next.goes_away();
        there.is_in(Stage::Park);
        assert_eq!(next.stage(), Stage::Queue);
        drop(second);
    }

    #[test]
    fn a_request_ends_in_the_stage_that_it_is_in() {
        let mut laps = Laps::begin(at(0));
        laps.lap_at(Stage::Decode, at(64));
        laps.is_in(Stage::Read);
        laps.end(at(192));
        assert_eq!((laps.ticks(Stage::Read), laps.total()), (2000, 3000));
    }
}
