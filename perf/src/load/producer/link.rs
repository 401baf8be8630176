//! One connection of a producer, and what is on its way over it.

use std::collections::VecDeque;

use crate::load::{batches::Closed, dues::Dues, socket::Socket};

/// A batch on its way.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) partition: u32,
    pub(super) count: u32,
    pub(super) dues: Dues,
    pub(super) first_sequence: u64,
    pub(super) bytes: u64,
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) correlation: i32,
    pub(super) at: u64,
    pub(super) batches: Vec<Sent>,
    /// Bytes ever queued on the socket up to the request's end: with acks 0 it is done when they are written.
    pub(super) mark: u64,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) socket: Socket,
    pub(super) ready: VecDeque<Closed>,
    pub(super) flying: VecDeque<Flight>,
    pub(super) correlation: i32,
    /// Since when the bound has held ready work back.
    pub(super) held_since: Option<u64>,
    /// When it last stopped doing so: nothing that waited for it could have gone before.
    pub(super) room_since: u64,
}

impl Link {
    pub(super) fn new(socket: Socket) -> Self {
        Self {
            socket,
            ready: VecDeque::new(),
            flying: VecDeque::new(),
            correlation: 0,
            held_since: None,
            room_since: 0,
        }
    }
}
