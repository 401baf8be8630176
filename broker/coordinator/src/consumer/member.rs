//! A member of a consumer group.

use super::{ClassicFace, Partitions};
use crate::config::millis;
use ids::Instant;
use std::collections::BTreeSet;
use std::time::Duration;

/// The epoch of a static member that has left for a while.
pub(crate) const STATIC_MEMBER_AWAY: i32 = -2;

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
        }
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
