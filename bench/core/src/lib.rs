//! The pure part of a produce/fetch core, which every edition of the runtime baseline shares.
//!
//! An edition is a small server of one core: it receives, writes, flushes and sends in the manner of its runtime. What is the
//! same in all of them is here, so that a difference between two editions is a difference between their runtimes:
//!
//! ```text
//!  bytes --Inbox--> frame --Connection--> Log::append --> Group --(edition: write, flush)--> Log::on_durable
//!                              |                                                                  |
//!                              +--> answers wait in request order <------ Connection::release <---+
//! ```
//! It serves Produce 9 to 12 (decode, checksum, place in `engine/log`, copy to the tail and to the group) and Fetch 4 to 12
//! from memory. There is no metadata, no session and no long poll; whoever asks for more is disconnected.
#![forbid(unsafe_code)]

mod block;
mod connection;
mod group;
mod inbox;
mod partition;
mod request;
mod ring;
mod shared_log;

pub use block::{Aligned, BLOCK, Block};
pub use connection::{Connection, Part, UNANSWERED_MAX};
pub use group::{GROUP_BYTES, Group, ReadBack, read_back};
pub use inbox::{FRAME_MAX, Inbox};
pub use partition::{Read, ReadRefusal};
pub use request::{Refused, TOPIC};
pub use ring::create_ring_file;
pub use shared_log::{Appended, Log, LogConfig};
