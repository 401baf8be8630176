//! What a handler answers.

use runtime::Slice;
use std::time::Duration;

/// The answer to one request. Slices are whole responses with their length prefix, ready to be sent.
#[derive(Debug)]
pub enum Reply {
    /// Send this.
    Send(Vec<Slice>),
    /// Send this, and start no further request of the connection for a while (KIP-219: the answer leaves at once and tells
    /// the client how long; the channel is muted meanwhile).
    SendThenMute(Vec<Slice>, Duration),
    /// Send this after the answers before it, then close: a failed authentication, for instance.
    SendThenClose(Vec<Slice>, &'static str),
    /// There is no response (Produce with acks=0).
    Nothing,
    /// Close for this reason, once the answers before it are sent.
    Close(&'static str),
}
