//! Compaction in small slices, so that what a core does for clients is not held up.
//!
//! After each batch others get their turn. After each millisecond of work compaction sleeps as long as it has worked, so it
//! never takes more than half of a core, and longer if it has read and written more than it may in a second.

use ids::Instant;
use runtime::Runtime;
use std::time::Duration;

const SLICE: Duration = Duration::from_millis(1);
/// At once: a lower rate while it sleeps takes effect soon enough.
const SLEEP_MAX: Duration = Duration::from_secs(1);

pub(super) struct Pace {
    rt: Runtime,
    bytes_per_second: f64,
    started: Instant,
    slice: Instant,
    bytes: u64,
}

impl Pace {
    pub(super) fn new(rt: Runtime, bytes_per_second: f64) -> Self {
        let now = rt.now();
        Self { rt, bytes_per_second, started: now, slice: now, bytes: 0 }
    }

    /// `bytes` have been read or written.
    pub(super) async fn after(&mut self, bytes: u64) {
        self.bytes += bytes;
        let now = self.rt.now();
        let worked = now.since(self.slice);
        let ahead = ahead(self.bytes, self.bytes_per_second, now.since(self.started));
        if worked < SLICE && ahead.is_zero() {
            self.rt.yield_now().await;
            return;
        }
        let pause = if worked < SLICE { Duration::ZERO } else { worked.min(10 * SLICE) };
        self.rt.sleep(pause.max(ahead).min(SLEEP_MAX)).await;
        self.slice = self.rt.now();
    }
}

/// How far `bytes` in `elapsed` is ahead of the rate.
fn ahead(bytes: u64, bytes_per_second: f64, elapsed: Duration) -> Duration {
    let due = bytes as f64 / bytes_per_second.max(1.0);
    let due = Duration::try_from_secs_f64(due).unwrap_or(Duration::MAX);
    due.saturating_sub(elapsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_over_the_whole_pass() {
        let s = Duration::from_secs;
        assert_eq!(ahead(3_000_000, 1e6, s(1)), s(2));
        assert_eq!(ahead(3_000_000, 1e6, s(4)), s(0));
        assert_eq!(ahead(u64::MAX, f64::MAX, s(0)), s(0));
        assert!(ahead(u64::MAX, 0.0, s(0)) > s(1_000_000));
    }
}
