//! Where the time of a request goes.
//!
//! ```text
//!  stage      the stages, in the order in which a request meets them
//!  laps       one request's stopwatch: it travels with the request and divides its whole time among the stages
//!  away       how far the request is while another core has it
//!  tally      counts of one core and API: a histogram of fixed size for each stage, emptied once a second
//!  recorder   one core's tallies, and the worst requests of the second
//!  histogram  sums of tallies: what is shown, and what quantiles are taken from
//!  history    a node's sums since its start, and its last hour second by second
//! ```
//! Time comes as an argument and is told in ticks of [`TICK_NANOS`]. A request costs no allocation if its connection has the
//! stopwatch of one that is over; an API that was never asked before costs one.
#![forbid(unsafe_code)]

mod away;
mod histogram;
mod history;
mod laps;
mod recorder;
mod stage;
mod tally;

pub use away::Away;
pub use histogram::Histogram;
pub use history::{History, SECONDS_MAX, Second, Series, sum};
pub use laps::{Laps, Times};
pub use recorder::{Interval, Kind, Recorder, Worst};
pub use stage::Stage;
pub use tally::Counts;

use ids::Instant;

/// Whether anything is timed.
pub const ON: bool = !cfg!(feature = "compiled-out");

/// Nanoseconds of a tick, the unit of all counts.
pub const TICK_NANOS: u64 = 64;

/// The time, where time is kept.
#[inline]
pub fn read(clock: impl FnOnce() -> Instant) -> Instant {
    if ON { clock() } else { Instant(0) }
}
