//! The time between two turns of a core's loop, for a few instructions.
//!
//! The kernel's clock is read once a turn. Within a turn the processor's counter tells how much has passed since: reading it
//! takes a hundredth of the instructions of the clock. How fast it counts is measured against the clock while the core runs, so
//! an error never outlives a turn. Where the counter is not known to be steady (no invariant TSC, another architecture), or has
//! not been measured yet, the clock is read.

use ids::Instant;
use std::cell::Cell;

/// How long the counter is measured before it is trusted, and how often it is measured again, in nanoseconds.
const MEASURE: u64 = 50_000_000;
/// Nanoseconds of a count that can be true, as 32.32 fixed point: from 10 GHz down to 100 MHz.
const POSSIBLE: std::ops::RangeInclusive<u64> = (1 << 32) / 10..=(10 << 32);

/// So fast that no time can be told from any count: it stands in for a rate that is not known, so that it need not be asked
/// for in the usual case.
const UNKNOWN: u64 = u64::MAX;

/// A core's counter, and its place in time.
#[derive(Debug)]
pub(crate) struct Counter {
    steady: bool,
    /// Count and clock at the beginning of the turn.
    turn: Cell<(u64, u64)>,
    /// The same at the first turn.
    first: Cell<(u64, u64)>,
    /// When it is measured next.
    next: Cell<u64>,
    /// Nanoseconds of a count, in 32.32; [`UNKNOWN`] if not known.
    scale: Cell<u64>,
}

impl Counter {
    pub(crate) fn new() -> Self {
        Self {
            steady: is_steady(),
            turn: Cell::default(),
            first: Cell::default(),
            next: Cell::default(),
            scale: Cell::new(UNKNOWN),
        }
    }

    /// A turn begins at `now`.
    #[inline]
    pub(crate) fn on_turn(&self, now: Instant) {
        if !self.steady {
            return;
        }
        let Some(count) = count() else { return };
        self.turn.set((count, now.0));
        if now.0 >= self.next.get() {
            self.measure(count, now.0);
        }
    }

    fn measure(&self, count: u64, now: u64) {
        self.next.set(now + MEASURE);
        let (first, began) = self.first.get();
        let counted = count.saturating_sub(first);
        if began == 0 || counted == 0 {
            self.first.set((count, now));
            return;
        }
        let scale = u128::from(now.saturating_sub(began)) << 32;
        let scale = u64::try_from(scale / u128::from(counted)).unwrap_or(0);
        // A counter that was set back, as by moving a virtual machine, is measured anew.
        let known = POSSIBLE.contains(&scale);
        self.scale.set(if known { scale } else { UNKNOWN });
        if !known {
            self.first.set((count, now));
        }
    }

    /// The time at this very moment, if the counter tells it.
    #[inline]
    pub(crate) fn now(&self) -> Option<Instant> {
        let (turn, at) = self.turn.get();
        // The product overflows after four seconds of a turn at 1 GHz, if the counter was set back, and if its rate is not
        // known: then the clock is asked.
        let passed = count()?.wrapping_sub(turn).checked_mul(self.scale.get())? >> 32;
        Some(Instant(at + passed))
    }
}

#[cfg(target_arch = "x86_64")]
fn is_steady() -> bool {
    use std::arch::x86_64::__cpuid;
    // Leaf 0x8000_0007, bit 8 of EDX: the counter runs at one rate in all states of the processor.
    __cpuid(0x8000_0000).eax >= 0x8000_0007 && __cpuid(0x8000_0007).edx & (1 << 8) != 0
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn count() -> Option<u64> {
    // SAFETY: every x86-64 has the instruction; Linux leaves it allowed unless a process asks otherwise of itself.
    Some(unsafe { std::arch::x86_64::_rdtsc() })
}

#[cfg(not(target_arch = "x86_64"))]
fn is_steady() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
fn count() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant as Clock};

    #[test]
    fn the_counter_goes_with_the_clock() {
        let (counter, began) = (Counter::new(), Clock::now());
        let now = || Instant(1 + u64::try_from(began.elapsed().as_nanos()).unwrap());
        counter.on_turn(now());
        assert_eq!(counter.now(), None, "not measured yet");
        std::thread::sleep(Duration::from_millis(60));
        counter.on_turn(now());
        if !counter.steady {
            assert_eq!(counter.now(), None);
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
        let (before, told, after) = (now(), counter.now().unwrap(), now());
        // A thousandth of the 20 ms since the turn.
        assert!(
            told.0 + 20_000 > before.0 && told.0 < after.0 + 20_000,
            "{before:?} {told:?} {after:?}"
        );
    }

    #[test]
    fn a_counter_that_was_set_back_is_measured_anew() {
        let counter = Counter::new();
        counter.measure(1_000_000, 1);
        counter.measure(151_000_000, 50_000_001);
        assert_eq!(counter.scale.get() >> 30, 1, "three counts in a nanosecond");
        counter.measure(5, 100_000_001);
        assert_eq!(counter.scale.get(), 1431655765, "nothing was counted since: kept");
        counter.measure(10, 150_000_001);
        assert_eq!(counter.scale.get(), UNKNOWN);
        assert_eq!(counter.now(), None);
        counter.measure(150_000_010, 200_000_001);
        assert_eq!(counter.scale.get() >> 30, 1);
    }
}
