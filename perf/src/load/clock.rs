//! One clock for all workers: nanoseconds since 1970, monotone within a run.

use std::time::{Duration, Instant, SystemTime};

/// Reads the wall clock once and counts on monotonically from there.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base: Instant,
    origin: u64,
}

impl Clock {
    /// A clock that stands at the wall clock's time now.
    #[must_use]
    pub fn start() -> Self {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { base: Instant::now(), origin: wall.as_nanos() as u64 }
    }

    /// Nanoseconds since 1970.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.origin + self.base.elapsed().as_nanos() as u64
    }

    /// The wall-clock time of such a number.
    #[must_use]
    pub fn wall(at: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(at)
    }
}
