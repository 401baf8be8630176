//! The load itself: producers on their schedule, consumers behind them, and one collector that adds everything up.
//!
//! A worker is a thread that drives several producers (or consumers) through non-blocking sockets and `poll`. It never waits
//! for an acknowledgement before the next record is due: the schedule alone decides (see [`crate::schedule`]). Batches are
//! made from templates that are encoded once; per record only its stamp is written, per batch its header and CRC.

mod backlog;
mod batches;
mod clock;
mod collector;
mod consumer;
mod dues;
mod earlier;
mod effort;
mod lateness;
mod links;
mod meter;
mod plan;
mod producer;
mod reading;
mod session;
mod socket;
mod supply;
mod target;
mod trial;
mod values;
mod window;

pub use clock::Clock;
pub(crate) use collector::TIMELINE;
pub use collector::{Live, News};
pub use plan::{Acks, Plan};
pub(crate) use supply::Supply;
pub use target::Target;
pub use trial::{Outcome, trial};
