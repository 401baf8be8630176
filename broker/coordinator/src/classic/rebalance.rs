//! Rebalances: members are called back, and a generation begins.

use super::{ClassicGroup, ClassicState, JoinTimer, Member};
use crate::config::millis;
use crate::response::Ticket;
use crate::turn::Turn;
use ids::Instant;
use std::collections::BTreeMap;
use std::time::Duration;
use wire::ErrorCode;

/// How long to wait again when only static members that are away are left, if they gave no time themselves.
const WAIT_AGAIN: Duration = Duration::from_secs(1);

impl ClassicGroup {
    /// Something about the members changed: a rebalance begins, or the present one may be over.
    pub(super) fn rebalance_or_complete(&mut self, turn: &mut Turn<'_>) {
        match self.state {
            ClassicState::PreparingRebalance => self.maybe_complete(turn),
            ClassicState::Empty | ClassicState::CompletingRebalance | ClassicState::Stable => {
                self.rebalance(turn);
            }
        }
    }

    /// Calls the members back.
    pub(crate) fn rebalance(&mut self, turn: &mut Turn<'_>) {
        self.end_sync(ErrorCode::REBALANCE_IN_PROGRESS, turn);
        let was_empty = self.state == ClassicState::Empty;
        self.enter(ClassicState::PreparingRebalance, turn.now.wall);
        let timeout = self.rebalance_timeout();
        if was_empty {
            let delay = Duration::from_millis(turn.config.group_initial_rebalance_delay_ms.into());
            let remaining = timeout.saturating_sub(delay);
            self.arrived = false;
            self.set_join_timer(JoinTimer::Initial {
                at: turn.now.instant + delay,
                step: delay,
                remaining,
            });
        } else if self.all_are_back() {
            self.complete(turn);
        } else {
            self.set_join_timer(JoinTimer::Rebalance { at: turn.now.instant + timeout });
        }
    }

    /// Nobody gets an assignment of this generation any more; those that wait for one are told `code`.
    pub(super) fn end_sync(&mut self, code: ErrorCode, turn: &mut Turn<'_>) {
        self.pending_sync.clear();
        self.sync_deadline = None;
        self.storing = false;
        if self.state == ClassicState::CompletingRebalance {
            // While they waited nobody looked at their sessions.
            let mut first: Option<Instant> = None;
            for member in self.members.values_mut() {
                member.assignment.clear();
                if let Some(ticket) = member.syncing.take() {
                    turn.out.answer(ticket, crate::SyncGroupResponse::error(code));
                    member.expires_at = turn.now.instant + member.session_timeout();
                    first = Some(first.map_or(member.expires_at, |at| at.min(member.expires_at)));
                }
            }
            if let Some(at) = first {
                self.wake_at(at);
            }
            self.weigh_all();
        }
    }

    fn set_join_timer(&mut self, timer: JoinTimer) {
        self.wake_at(timer.at());
        self.join_timer = Some(timer);
    }

    pub(super) fn is_in_initial_delay(&self) -> bool {
        matches!(self.join_timer, Some(JoinTimer::Initial { .. }))
    }

    fn all_are_back(&self) -> bool {
        self.joined == self.members.len() && self.pending_members.is_empty()
    }

    /// Ends the rebalance if there is nobody to wait for. The initial delay is waited for in any case.
    pub(super) fn maybe_complete(&mut self, turn: &mut Turn<'_>) {
        let preparing = self.state == ClassicState::PreparingRebalance;
        if preparing && !self.is_in_initial_delay() && self.all_are_back() {
            self.complete(turn);
        }
    }

    /// The join timer has ended.
    pub(super) fn on_join_timer(&mut self, timer: JoinTimer, turn: &mut Turn<'_>) {
        match timer {
            JoinTimer::Initial { step, remaining, .. } if self.arrived && !remaining.is_zero() => {
                self.arrived = false;
                let delay = millis_of(turn).min(remaining);
                self.set_join_timer(JoinTimer::Initial {
                    at: turn.now.instant + delay,
                    step: delay,
                    remaining: remaining.saturating_sub(step),
                });
            }
            JoinTimer::Initial { .. } | JoinTimer::Rebalance { .. } => self.complete(turn),
        }
    }

    /// The next generation begins with the members that are back, and the static ones that are away.
    fn complete(&mut self, turn: &mut Turn<'_>) {
        self.join_timer = None;
        self.arrived = false;
        let absent = |(id, m): (&String, &Member)| {
            (m.joining.is_none() && !m.is_static()).then(|| id.clone())
        };
        for id in self.members.iter().filter_map(absent).collect::<Vec<_>>() {
            self.take(&id);
        }
        if self.members.is_empty() {
            self.become_empty(turn);
            return;
        }
        if !self.elect_leader() {
            // All are static and away: one of them comes back, or their sessions end.
            let wait = self.rebalance_timeout().max(WAIT_AGAIN);
            self.set_join_timer(JoinTimer::Rebalance { at: turn.now.instant + wait });
            return;
        }
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.protocol_name = self.vote();
        self.subscribed = self.find_subscribed();
        self.enter(ClassicState::CompletingRebalance, turn.now.wall);
        let waiting = |(id, m): (&String, &Member)| m.joining.map(|ticket| (id.clone(), ticket));
        let back: Vec<(String, Ticket)> = self.members.iter().filter_map(waiting).collect();
        for (id, ticket) in back {
            turn.out.answer(ticket, self.joined_response(&id));
            self.take_joining(&id);
            if let Some(member) = self.members.get_mut(&id) {
                member.is_new = false;
            }
            self.refresh_session(&id, turn.now.instant);
            self.pending_sync.insert(id);
        }
        let deadline = turn.now.instant + self.rebalance_timeout();
        self.sync_deadline = Some(deadline);
        self.wake_at(deadline);
    }

    /// Nobody is left. The log has to know, or a restart would bring the members back.
    fn become_empty(&mut self, turn: &mut Turn<'_>) {
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.protocol_name = None;
        self.leader = None;
        self.subscribed = self.find_subscribed();
        self.enter(ClassicState::Empty, turn.now.wall);
        let pushed = self.push_metadata(turn);
        debug_assert!(pushed.is_ok(), "a group without members is a small record");
    }

    /// A leader that is back; of the others the first that is.
    fn elect_leader(&mut self) -> bool {
        let is_back = |id: &String| self.members.get(id).is_some_and(|m| m.joining.is_some());
        if self.leader.as_ref().is_some_and(is_back) {
            return true;
        }
        let first = self.members.iter().find(|(_, m)| m.joining.is_some());
        let Some(first) = first.map(|(id, _)| id.clone()) else { return false };
        self.leader = Some(first);
        true
    }

    /// The protocol that most members prefer among those that all speak; of equals the first by name.
    pub(super) fn vote(&self) -> Option<String> {
        let everyone = self.members.len();
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let spoken = |name: &&str| self.supported.get(*name) == Some(&everyone);
            let best = member.protocols.iter().map(|p| p.name.as_str()).find(spoken);
            if let Some(best) = best {
                *votes.entry(best).or_default() += 1;
            }
        }
        let most = votes.values().max()?;
        votes.iter().find(|(_, n)| *n == most).map(|(name, _)| (*name).to_owned())
    }
}

fn millis_of(turn: &Turn<'_>) -> Duration {
    millis(i32::try_from(turn.config.group_initial_rebalance_delay_ms).unwrap_or(i32::MAX))
}
