//! A simulated world: nodes with faulty disks and a faulty network between them, on one thread, in virtual time.
//!
//! The same code that runs on a real core runs here: a [`Runtime`](crate::Runtime) of a simulated core has the same disk, the
//! same sockets, the same clock. Whatever could happen in one of several ways (which task goes on, how long an operation takes,
//! what a power cut leaves) is decided by one generator, so that a seed replays a run, event for event.

mod config;
mod content;
mod disk;
mod files;
mod net;
mod random;
mod world;

pub use config::{Delay, SimConfig};
pub use files::DiskOp;
pub use world::{Injection, NodeId, Outcome, World};

pub(crate) use files::SimFile;
pub(crate) use net::{SimListener, SimStream};
pub(crate) use world::SimCore;
