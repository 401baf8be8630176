//! What happens to a classic group because time passes.

use super::{ClassicGroup, ClassicState};
use crate::turn::Turn;
use ids::Instant;

impl ClassicGroup {
    /// Carries out what is due, and finds out when to look again.
    pub(crate) fn on_tick(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now.instant;
        self.pending_members.retain(|_, at| *at > now);
        self.maybe_complete(turn);
        if self.join_timer.is_some_and(|t| t.at() <= now)
            && let Some(timer) = self.join_timer.take()
        {
            self.on_join_timer(timer, turn);
        }
        if self.sync_deadline.is_some_and(|at| at <= now) {
            self.sync_deadline = None;
            self.on_sync_deadline(turn);
        }
        let expired = self.members.iter().filter(|(_, m)| m.is_expired(now));
        let expired: Vec<String> = expired.map(|(id, _)| id.clone()).collect();
        if !expired.is_empty() {
            self.remove_all(&expired, turn);
        }
        self.wake = self.next_wake();
    }

    /// Members that joined the generation and never asked for their assignment are given up.
    fn on_sync_deadline(&mut self, turn: &mut Turn<'_>) {
        let late: Vec<String> = std::mem::take(&mut self.pending_sync).into_iter().collect();
        let syncing =
            matches!(self.state, ClassicState::CompletingRebalance | ClassicState::Stable);
        if syncing {
            self.remove_all(&late, turn);
        }
    }

    pub(super) fn next_wake(&self) -> Option<Instant> {
        let is_timed =
            |m: &&super::Member| m.is_new || (m.joining.is_none() && m.syncing.is_none());
        let sessions = self.members.values().filter(is_timed).map(|m| m.expires_at);
        let pending = self.pending_members.values().copied();
        let timers = self.join_timer.map(|t| t.at()).into_iter().chain(self.sync_deadline);
        sessions.chain(pending).chain(timers).min()
    }
}
