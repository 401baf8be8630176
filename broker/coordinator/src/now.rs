//! The moment at which something happens, on both clocks.

use ids::{Instant, Timestamp};

/// A moment. Timers run on the monotonic clock; what is written to the log carries the wall clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// The monotonic clock.
    pub instant: Instant,
    /// The wall clock.
    pub wall: Timestamp,
}
