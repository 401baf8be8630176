//! The server over real sockets, and over simulated ones by seed: order, hostile clients, limits, and the end.
#![expect(clippy::unwrap_used, reason = "a test may stop where it fails")]

// The name that the other crates know it by.
extern crate ringwood_server as server;

mod client;
mod disconnects;
mod drain;
mod echo;
mod fairness;
mod hostile;
mod limits;
mod memory;
mod order;
mod scene;
mod simulated;
mod stages;
