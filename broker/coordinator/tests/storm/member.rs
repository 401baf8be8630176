//! A member, as a well-behaved client plays it.

use crate::network::Ask;
use std::rc::Rc;

/// Where a member is in the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    Dead,
    Joining,
    Syncing,
    Stable,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) group: &'static str,
    pub(crate) instance: Option<Rc<str>>,
    pub(crate) client_id: Rc<str>,
    /// Speaks JoinGroup 4 or later.
    pub(crate) modern: bool,
    pub(crate) phase: Phase,
    pub(crate) life: u32,
    pub(crate) member_id: String,
    pub(crate) generation: i32,
    pub(crate) metadata: Vec<u8>,
    /// The number of the JoinGroup or SyncGroup that it waits for, and what it was.
    pub(crate) waits_for: Option<(u64, Rc<Ask>)>,
    /// The number of the heartbeat that it waits for, and until when.
    pub(crate) beat: Option<(u64, u64)>,
    pub(crate) commit: Option<(u64, u64)>,
    pub(crate) next_number: u64,
}

impl Member {
    pub(crate) fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }
}
