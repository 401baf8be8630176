//! Messages, and chance.

use coordinator::{JoinGroupResponse, LeaveGroupResponse, OffsetCommitResponse, SyncGroupResponse};
use ringwood_coordinator as coordinator;
use std::rc::Rc;
use wire::ErrorCode;

/// splitmix64 (Steele, Lea, Flood 2014).
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number of the inclusive range.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from + 1)
    }

    pub(crate) fn percent(&mut self, n: u64) -> bool {
        self.next() % 100 < n
    }
}

/// The text beside a commit that has this number.
pub(crate) fn tag_text(tag: u64) -> String {
    format!("c{tag}")
}

/// The number in the text beside a commit.
pub(crate) fn tag_number(text: &str) -> u64 {
    text.strip_prefix('c').and_then(|n| n.parse().ok()).expect("the text of a commit")
}

/// What a member asks.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Join { member_id: String, metadata: Vec<u8>, needs_member_id: bool },
    Sync { member_id: String, generation: i32, assignments: Vec<(String, Vec<u8>)> },
    Beat { member_id: String, generation: i32 },
    Commit { member_id: String, generation: i32, partition: i32, offset: i64, tag: u64 },
    Leave { member_id: String },
}

/// A message to the coordinator.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) member: usize,
    /// The member's life: answers to an earlier one go nowhere.
    pub(crate) life: u32,
    pub(crate) number: u64,
    pub(crate) ask: Rc<Ask>,
}

/// A message back.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Join(JoinGroupResponse),
    Sync(SyncGroupResponse),
    Beat(ErrorCode),
    Commit(OffsetCommitResponse),
    Leave(LeaveGroupResponse),
}
