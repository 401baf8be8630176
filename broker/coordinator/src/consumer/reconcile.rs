//! How a member gets from what it has to what it shall have.
//!
//! ```text
//!              has too much                  said that it gave up
//!   Stable ------------------> Unrevoked ---------------------------+
//!     ^  ^                                                          v
//!     |  +----------------- everything else was free --------- (next epoch)
//!     |                                                             |
//!     +------- others let go -------- Unreleased <--- some was not -+
//! ```
//! A member that has to give up something stays in its epoch until it says that it did, and gets nothing new before.

use super::{ConsumerGroup, ConsumerKey, MemberState, Partitions};
use ids::Instant;

impl ConsumerGroup {
    /// Moves a member on as far as it goes; whether it may use others than before. `owned` is what it says it has, if it says
    /// so.
    pub(super) fn reconcile(
        &mut self,
        member_id: &str,
        owned: Option<&Partitions>,
        now: Instant,
    ) -> bool {
        let Some(member) = self.members.get_mut(member_id) else { return false };
        let still_has = |p: &Partitions| owned.is_none_or(|owned| !owned.is_disjoint(p));
        match member.state {
            MemberState::Stable if member.epoch == self.target_epoch => return false,
            MemberState::Unrevoked if still_has(&member.pending_revocation) => return false,
            MemberState::Stable | MemberState::Unrevoked | MemberState::Unreleased => {}
        }
        let before = member.clone();
        for partition in std::mem::take(&mut member.pending_revocation) {
            self.owners.remove(&partition);
        }
        member.revoke_until = None;
        let revoked: Partitions = member.assigned.difference(&member.target).copied().collect();
        member.assigned.retain(|p| member.target.contains(p));
        if !revoked.is_empty() && still_has(&revoked) {
            let until = now + member.rebalance_timeout();
            member.pending_revocation = revoked;
            member.state = MemberState::Unrevoked;
            member.revoke_until = Some(until);
            self.wake_at(until);
        } else {
            for partition in &revoked {
                self.owners.remove(partition);
            }
            let mut waits = false;
            for partition in &member.target {
                if member.assigned.contains(partition) {
                    continue;
                }
                if self.owners.contains_key(partition) {
                    waits = true;
                } else {
                    self.owners.insert(*partition, member_id.to_owned());
                    member.assigned.insert(*partition);
                }
            }
            if member.epoch != self.target_epoch {
                member.previous_epoch = member.epoch;
                member.epoch = self.target_epoch;
            }
            member.state = if waits { MemberState::Unreleased } else { MemberState::Stable };
        }
        let Some(member) = self.members.get(member_id) else { return false };
        let moved = member.assigned != before.assigned;
        if moved
            || member.epoch != before.epoch
            || member.state != before.state
            || member.pending_revocation != before.pending_revocation
        {
            self.log.mark(ConsumerKey::Current(member_id.to_owned()));
        }
        moved
    }
}
