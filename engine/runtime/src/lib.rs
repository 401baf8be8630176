//! One core's world: disk, sockets, clock, timers, memory.
//!
//! The only crate that submits, sends and waits. A [`Runtime`] is the handle of one core; everything that is made from it stays
//! on the core's thread. Above it, code is plain async Rust without locks.

mod buffer;
mod disk;
mod executor;
mod net;
mod runtime;
pub mod sim;
mod socket;
pub mod sync;
mod uring;

pub use crate::buffer::{ALIGN, Buffer, Memory, OverBudget, Slice};
pub use crate::disk::{DirEntry, Disk, File, Open, Space};
pub use crate::net::{Listen, Listener, Net, Received, Stream};
pub use crate::runtime::{Runtime, RuntimeConfig, Sleep, Yield, run};
