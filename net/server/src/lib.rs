//! Connections of clients, up to the point where a request is a frame and an answer is a list of slices.
//!
//! Two parts. [`connection`] decides: where frames begin and end, how many requests may be in progress, in which order the
//! answers leave, when a connection has to go. It does no I/O and gets the time as an argument. The driver around it
//! ([`Server`]) accepts, receives, asks the node's [`Handler`], and sends.
//!
//! A server belongs to one core, and so does every connection that it has accepted. Limits on the number of connections
//! are the node's: all cores share one [`ConnectionLimits`].
#![forbid(unsafe_code)]

mod admission;
mod close;
mod config;
pub mod connection;
mod counters;
mod handler;
mod listener;
mod serve;

pub use crate::admission::{Admission, ConnectionLimits, Refused};
pub use crate::close::CloseReason;
pub use crate::config::Config;
pub use crate::connection::{Frame, Reply};
pub use crate::counters::Snapshot;
pub use crate::handler::{Handler, OnDisconnect};
pub use crate::serve::{Drained, InProgress, Server, Stuck};
