//! What happens to a consumer group because time passes.

use super::ConsumerGroup;
use super::log::WRITE_AGAIN;
use crate::turn::Turn;

impl ConsumerGroup {
    /// Sessions end, and members that did not give up their partitions in time are out. What has changed is still to be
    /// written.
    pub(crate) fn on_tick(&mut self, turn: &Turn<'_>) {
        let now = turn.now.instant;
        let is_due = |m: &super::ConsumerMember| {
            m.expires_at <= now || m.revoke_until.is_some_and(|at| at <= now)
        };
        let due = self.members.iter().filter(|(_, m)| is_due(m));
        let due: Vec<String> = due.map(|(id, _)| id.clone()).collect();
        self.remove_all(&due, turn.now.wall);
        let moments = self.members.values();
        self.wake = moments.flat_map(|m| m.revoke_until.into_iter().chain([m.expires_at])).min();
    }

    /// Writes what has changed; what cannot be written now is tried again later.
    ///
    /// # Errors
    /// A record has no room in a batch.
    pub(crate) fn write(&mut self, turn: &mut Turn<'_>) -> Result<(), crate::AppendFailure> {
        let written = self.push_marked(turn);
        if self.log.is_marked() {
            self.wake_at(turn.now.instant + WRITE_AGAIN);
        }
        written
    }

    /// The log is read: sessions begin anew.
    pub(crate) fn start(&mut self, turn: &mut Turn<'_>) {
        self.members.retain(|_, m| m.is_known);
        self.deleted &= self.members.is_empty();
        self.rebuild();
        self.recall_patterns();
        let session = turn.config.session_timeout(&self.id);
        let now = turn.now.instant;
        for member in self.members.values_mut() {
            member.expires_at = now + member.session_timeout().unwrap_or(session);
            let revoking = member.state == super::MemberState::Unrevoked;
            member.revoke_until = revoking.then(|| now + member.rebalance_timeout());
        }
        if self.members.is_empty() && self.empty_since == ids::Timestamp::NONE {
            self.empty_since = turn.now.wall;
        }
        self.wake = Some(now);
    }
}
