//! Compaction in small slices and at a rate, so that what a core does for clients is not held up.
//!
//! **Processor.** After 200 us of work, or 64 KiB of batches, a slice ends and compaction sleeps: only a sleep lets the reactor
//! look at its sockets and files, a task that merely lets others go first is polled again in the same turn. It sleeps as long
//! as it has worked, three times as long while clients write or read: at most a half, or a quarter, of a core. One batch is
//! the smallest piece of work, so a batch that is larger than a slice makes a longer one; the longest is counted.
//!
//! **Device.** While nobody else is at the device, compaction reads and writes as fast as the operator allows
//! (`log.cleaner.io.max.bytes.per.second`, by default without limit). While clients write, it takes four times what they
//! write, and at least 8 MiB in a second. A pass over a log that is half dirty moves about five bytes for each new one, fewer
//! the dirtier the log is: so a cleaner that falls behind finds less to do for each byte, and catches up.

use crate::store::Inner;
use ids::Instant;
use std::rc::Rc;
use std::time::Duration;

const SLICE: Duration = Duration::from_micros(200);
const SLICE_BYTES: u64 = 64 * 1024;
/// Longer pauses do not make anybody's turn come sooner.
const PAUSE_MAX: Duration = Duration::from_millis(10);
/// What clients do is looked at again after this.
const LOOK: Duration = Duration::from_millis(50);
/// Less than this in a second is nobody's load: marks of the journal, heartbeats, a trickle of commits.
pub(super) const QUIET: f64 = 64.0 * 1024.0;
/// What compaction may move in a second whatever clients do, unless the operator says less.
const FLOOR: f64 = 8.0 * 1024.0 * 1024.0;
const SHARE: f64 = 4.0;
/// At once: a store that stops is not kept waiting.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// A pass that had to wait may be this much faster afterwards.
const CREDIT: Duration = Duration::from_millis(100);

pub(super) struct Pace {
    inner: Rc<Inner>,
    /// The operator's limit.
    limit: f64,
    load: Load,
    budget: Budget,
    slice: Slice,
    longest: Slice,
}

/// Work between two visits to the reactor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Slice {
    began: Instant,
    pub(super) took: Duration,
    pub(super) bytes: u64,
}

impl Pace {
    pub(super) fn new(inner: Rc<Inner>, bytes_per_second: f64) -> Self {
        let now = inner.rt.clock();
        let load = Load { looked: now, journalled: inner.journal.counters().bytes, rate: None };
        let slice = Slice { began: now, ..Slice::default() };
        Self {
            inner,
            limit: bytes_per_second,
            load,
            budget: Budget { paid: now },
            slice,
            longest: Slice::default(),
        }
    }

    /// The longest time, and the most bytes, between two visits to the reactor.
    pub(super) fn longest(&self) -> Slice {
        self.longest
    }

    /// A batch of `bytes` has been worked upon.
    pub(super) fn worked(&mut self, bytes: usize) {
        let slice = &mut self.slice;
        slice.took = self.inner.rt.clock().since(slice.began);
        slice.bytes += bytes as u64;
        self.longest.took = self.longest.took.max(slice.took);
        self.longest.bytes = self.longest.bytes.max(slice.bytes);
    }

    /// `moved` bytes have been read or written. Sleeps if the slice is over, or if that was too much.
    pub(super) async fn after(&mut self, moved: u64) {
        let now = self.inner.rt.clock();
        self.load.look(now, || self.inner.journal.counters().bytes);
        let reading = self.inner.cold.is_busy();
        let rate = allowed(self.limit, self.load.rate, reading);
        let ahead = self.budget.spend(now, moved, rate);
        let over = self.slice.took >= SLICE || self.slice.bytes >= SLICE_BYTES;
        if !over && ahead.is_zero() {
            return;
        }
        let busy = reading || self.load.rate.is_none_or(|r| r >= QUIET);
        self.sleep_until(now + pause(self.slice.took, busy).max(ahead)).await;
        self.waited();
    }

    async fn sleep_until(&self, until: Instant) {
        let rt = &self.inner.rt;
        while !self.inner.stopping.get() {
            let now = rt.clock();
            match until.since(now) {
                Duration::ZERO => return,
                left => rt.sleep_until(now + left.min(SLEEP_MAX)).await,
            }
        }
    }

    /// The device, or the clock, was waited for: the reactor has been visited.
    pub(super) fn waited(&mut self) {
        self.slice = Slice { began: self.inner.rt.clock(), ..Slice::default() };
    }
}

/// How long to sleep after `worked`; never not at all.
fn pause(worked: Duration, busy: bool) -> Duration {
    (worked * if busy { 3 } else { 1 }).clamp(Duration::from_micros(1), PAUSE_MAX)
}

/// Bytes that may be moved in a second while clients write `load` bytes in a second, and perhaps read from files. What they
/// write is not known at first.
fn allowed(limit: f64, load: Option<f64>, reading: bool) -> f64 {
    match load {
        Some(load) if load < QUIET && !reading => limit,
        Some(load) => limit.min((SHARE * load).max(FLOOR)),
        None => limit.min(FLOOR),
    }
}

/// What clients write.
struct Load {
    looked: Instant,
    journalled: u64,
    rate: Option<f64>,
}

impl Load {
    /// More load counts at once, less load by and by: a producer's pause is no invitation.
    fn look(&mut self, now: Instant, journalled: impl FnOnce() -> u64) {
        let since = now.since(self.looked);
        if since < LOOK {
            return;
        }
        let bytes = journalled();
        let rate = bytes.saturating_sub(self.journalled) as f64 / since.as_secs_f64();
        let before = self.rate.unwrap_or(rate);
        self.rate = Some(rate.max((rate + before) / 2.0));
        (self.looked, self.journalled) = (now, bytes);
    }
}

/// Bytes against time.
struct Budget {
    /// When what has been moved so far would have been moved at the rate.
    paid: Instant,
}

impl Budget {
    /// How long to wait after `bytes` more.
    fn spend(&mut self, now: Instant, bytes: u64, rate: f64) -> Duration {
        let cost = Duration::try_from_secs_f64(bytes as f64 / rate.max(1.0));
        let idle = now.since(self.paid).saturating_sub(CREDIT);
        self.paid = self.paid + idle + cost.unwrap_or(Duration::MAX);
        self.paid.since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn the_operators_limit_holds_whatever_clients_do() {
        for load in [None, Some(0.0), Some(1e9)] {
            for reading in [false, true] {
                assert_eq!(allowed(1e6, load, reading), 1e6, "{load:?}");
            }
        }
    }

    #[test]
    fn without_a_limit_it_is_as_fast_as_it_can_only_while_nobody_else_is_there() {
        assert_eq!(allowed(f64::MAX, Some(1_000.0), false), f64::MAX);
        assert_eq!(allowed(f64::MAX, Some(1_000.0), true), FLOOR);
        assert_eq!(allowed(f64::MAX, None, false), FLOOR);
        assert_eq!(allowed(f64::MAX, Some(1e6), false), FLOOR);
        assert_eq!(allowed(f64::MAX, Some(1e8), false), 4e8);
    }

    #[test]
    fn the_rate_is_kept_and_a_long_wait_is_no_credit() {
        let start = Instant::default() + S(100);
        let mut b = Budget { paid: start };
        assert_eq!(b.spend(start, 3_000_000, 1e6), S(3));
        assert_eq!(b.spend(start + S(1), 1_000_000, 1e6), S(3));
        assert_eq!(b.spend(start + S(4), 0, 1e6), S(0));
        // An hour later only the credit is there, not an hour's worth.
        let later = start + S(3_600);
        assert_eq!(b.spend(later, 1_000_000, 1e6), S(1) - CREDIT);
        assert!(b.spend(later, u64::MAX, 0.0) > S(1_000_000));
    }

    #[test]
    fn load_rises_at_once_and_falls_by_and_by() {
        let start = Instant::default() + S(100);
        let mut load = Load { looked: start, journalled: 0, rate: None };
        load.look(start + LOOK / 2, || unreachable!("too soon to look"));
        load.look(start + S(1), || 1_000_000);
        assert_eq!(load.rate, Some(1e6));
        load.look(start + S(2), || 1_000_000);
        assert_eq!(load.rate, Some(5e5));
        load.look(start + S(3), || 9_000_000);
        assert_eq!(load.rate, Some(8e6));
    }

    #[test]
    fn it_always_sleeps_and_longer_while_others_work() {
        assert!(!pause(Duration::ZERO, false).is_zero());
        assert_eq!(pause(SLICE, true), 3 * SLICE);
        assert_eq!(pause(S(1), true), PAUSE_MAX);
    }
}
