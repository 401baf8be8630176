//! One core's world: disk, sockets, clock, timers, memory.
//!
//! The only crate that submits, sends and waits. A [`Runtime`] is the handle of one core; everything that is made from it stays
//! on the core's thread. Above it, code is plain async Rust without locks.

// A line that cannot be written must stop nothing: `tell!`.
#![warn(clippy::print_stderr)]

pub mod allocator;
mod buffer;
mod clock;
mod counters;
mod disk;
mod driver;
mod executor;
#[cfg(feature = "faults")]
pub mod faults;
mod keep;
mod loan;
pub mod mailbox;
mod net;
mod portable;
mod probe;
mod runtime;
pub mod sim;
mod socket;
mod start;
pub mod sync;
pub mod tell;
mod threads;
mod uring;
mod witness;

pub use crate::buffer::{ALIGN, Buffer, Memory, OverBudget, Slice};
pub use crate::counters::{Counters, Flow};
pub use crate::disk::{DirEntry, Disk, File, HeldLock, Linked, Open, Space, URGENT_AT_ONCE};
pub use crate::loan::Loan;
pub use crate::mailbox::{Capacity, Class, Mailbox, Mailboxes, Seat};
pub use crate::net::{Listen, Listener, Net, Received, Stream};
pub use crate::probe::{Features, Note, WhyNot, probe};
pub use crate::runtime::{
    Io, Runtime, RuntimeConfig, Sleep, Tuning, Yield, ZeroCopy, run, run_with,
};
pub use crate::start::{Cores, Pin, StartConfig, start};
pub use crate::witness::Delays;
