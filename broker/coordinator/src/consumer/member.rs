//! A member of a consumer group.

use super::{ClassicFace, Partitions};
use crate::classic::weight_of;
use crate::config::millis;
use crate::memory::OVERHEAD;
use ids::Instant;
use std::collections::BTreeSet;
use std::time::Duration;

/// The epoch of a static member that has left for a while.
pub(crate) const STATIC_MEMBER_AWAY: i32 = -2;

/// What a topic takes in a member's set, besides its name.
pub(crate) const TOPIC_BYTES: usize = 48;
/// What a partition takes in a set, and in the group's book of owners.
const PARTITION_BYTES: usize = 64;

/// How far a member is on its way to the target assignment. The numbers are those of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MemberState {
    /// It has what the target of its epoch says.
    Stable = 0,
    /// It has to give up partitions, and has not said that it did.
    Unrevoked = 1,
    /// It waits for partitions that others still have.
    Unreleased = 2,
}

/// A member. Static if it has an `instance_id` (KIP-345).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ConsumerMember {
    pub(crate) instance_id: Option<String>,
    pub(crate) rack_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) topics: BTreeSet<String>,
    pub(crate) pattern: Option<String>,
    pub(crate) assignor: Option<String>,
    /// Of a member of the classic protocol.
    pub(crate) classic: Option<ClassicFace>,
    pub(crate) epoch: i32,
    pub(crate) previous_epoch: i32,
    pub(crate) state: MemberState,
    /// What it may use.
    pub(crate) assigned: Partitions,
    /// What it has to give up.
    pub(crate) pending_revocation: Partitions,
    /// What it shall have.
    pub(crate) target: Partitions,
    pub(crate) expires_at: Instant,
    /// Until when it has to have given up what it has to, or, of the classic protocol, to have asked for what it has.
    pub(crate) revoke_until: Option<Instant>,
    /// An answer with its assignment may not have reached it.
    pub(crate) resend: bool,
    /// What it said about itself is known; a damaged log may hold only the rest.
    pub(crate) is_known: bool,
    /// What the group's weight has of it.
    pub(crate) weighed: usize,
}

impl ConsumerMember {
    pub(crate) fn new() -> Self {
        Self {
            instance_id: None,
            rack_id: None,
            client_id: String::new(),
            client_host: String::new(),
            rebalance_timeout_ms: -1,
            topics: BTreeSet::new(),
            pattern: None,
            assignor: None,
            classic: None,
            epoch: 0,
            previous_epoch: 0,
            state: MemberState::Stable,
            assigned: Partitions::new(),
            pending_revocation: Partitions::new(),
            target: Partitions::new(),
            expires_at: Instant(u64::MAX),
            revoke_until: None,
            resend: false,
            is_known: false,
            weighed: 0,
        }
    }

    /// The bytes that it takes in memory, about.
    pub(crate) fn weight(&self) -> usize {
        let texts = [&self.instance_id, &self.rack_id, &self.pattern, &self.assignor];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let topics: usize = self.topics.iter().map(|t| TOPIC_BYTES + t.len()).sum();
        let said = self.classic.as_ref().map_or(0, |face| weight_of(&face.protocols));
        let has = self.assigned.len() + self.pending_revocation.len() + self.target.len();
        let host = self.client_id.len() + self.client_host.len();
        OVERHEAD + texts + topics + said + host + has * PARTITION_BYTES
    }

    pub(crate) fn is_away(&self) -> bool {
        self.epoch == STATIC_MEMBER_AWAY
    }

    /// How long it may be silent, if it says so itself: members of the classic protocol do.
    pub(crate) fn session_timeout(&self) -> Option<Duration> {
        self.classic.as_ref().map(ClassicFace::session_timeout)
    }

    pub(crate) fn rebalance_timeout(&self) -> Duration {
        millis(self.rebalance_timeout_ms)
    }
}
