//! SyncGroup: the leader hands in what everyone gets, and everyone gets it once it is in the log.

use super::{Asker, ClassicGroup, ClassicState};
use crate::coordinator::{SyncGroup, SyncGroupResponse};
use crate::outbox::{Action, AppendFailure};
use crate::response::Ticket;
use crate::turn::Turn;
use std::collections::BTreeMap;
use wire::ErrorCode;

impl ClassicGroup {
    /// A member asks for its assignment; the leader brings all of them.
    pub(crate) fn sync(&mut self, request: &SyncGroup<'_>, ticket: Ticket, turn: &mut Turn<'_>) {
        let member_id = request.member_id;
        if let Err(code) = self.check_sync(request) {
            turn.out.answer(ticket, SyncGroupResponse::error(code));
            return;
        }
        match self.state {
            ClassicState::Empty => {
                turn.out.answer(ticket, SyncGroupResponse::error(ErrorCode::UNKNOWN_MEMBER_ID));
            }
            ClassicState::PreparingRebalance => {
                let code = ErrorCode::REBALANCE_IN_PROGRESS;
                turn.out.answer(ticket, SyncGroupResponse::error(code));
            }
            ClassicState::Stable => {
                self.forget_sync(member_id);
                self.refresh_session(member_id, turn.now.instant);
                turn.out.answer(ticket, self.synced_response(member_id));
            }
            ClassicState::CompletingRebalance => {
                let Some(member) = self.members.get_mut(member_id) else { return };
                if let Some(earlier) = member.syncing.replace(ticket) {
                    let code = ErrorCode::REBALANCE_IN_PROGRESS;
                    turn.out.answer(earlier, SyncGroupResponse::error(code));
                }
                self.forget_sync(member_id);
                // What the leader sends again while the first is on its way is the same or comes too late.
                if self.is_leader(member_id) && !self.storing {
                    self.store(request, turn);
                }
            }
        }
    }

    fn check_sync(&self, request: &SyncGroup<'_>) -> Result<(), ErrorCode> {
        let asker =
            Asker { member_id: request.member_id, group_instance_id: request.group_instance_id };
        self.check_generation(asker, request.generation_id)?;
        let differs = |asked: Option<&str>, own: &Option<String>| {
            asked.is_some_and(|asked| own.as_deref() != Some(asked))
        };
        if differs(request.protocol_type, &self.protocol_type)
            || differs(request.protocol_name, &self.protocol_name)
        {
            return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        Ok(())
    }

    /// Sends the leader's assignment to the log. Members that it leaves out get empty bytes; strangers get nothing.
    fn store(&mut self, request: &SyncGroup<'_>, turn: &mut Turn<'_>) {
        let assigned: BTreeMap<&str, &[u8]> = request.assignments.iter().copied().collect();
        for (id, member) in &mut self.members {
            member.assignment = assigned.get(id.as_str()).map_or_else(Vec::new, |a| a.to_vec());
        }
        self.weigh_all();
        match self.push_metadata(turn) {
            Ok(()) => {
                self.storing = true;
                let (group, generation) = (self.id.clone(), self.generation);
                turn.out.when_settled(Action::Assignment { group, generation });
            }
            Err(failure) => self.on_assignment_failed(failure, turn),
        }
    }

    /// Who waits for the assignment of `generation`, which is on its way to the log.
    pub(crate) fn waits_for_assignment(&self, generation: i32) -> impl Iterator<Item = Ticket> {
        let awaited = self.awaits(generation);
        self.members.values().filter(move |_| awaited).filter_map(|member| member.syncing)
    }

    fn awaits(&self, generation: i32) -> bool {
        let storing = self.state == ClassicState::CompletingRebalance && self.storing;
        storing && self.generation == generation
    }

    /// The assignment of `generation` is in the log, or is not.
    pub(crate) fn on_assignment(
        &mut self,
        generation: i32,
        failure: Option<AppendFailure>,
        turn: &mut Turn<'_>,
    ) {
        if !self.awaits(generation) {
            // The group has gone on without it.
            return;
        }
        if let Some(failure) = failure {
            return self.on_assignment_failed(failure, turn);
        }
        self.storing = false;
        self.enter(ClassicState::Stable, turn.now.wall);
        let waiting: Vec<String> = self
            .members
            .iter()
            .filter(|(_, m)| m.syncing.is_some())
            .map(|(id, _)| id.clone())
            .collect();
        for id in waiting {
            let response = self.synced_response(&id);
            let ticket = self.members.get_mut(&id).and_then(|m| m.syncing.take());
            self.refresh_session(&id, turn.now.instant);
            if let Some(ticket) = ticket {
                turn.out.answer(ticket, response);
            }
        }
    }

    /// The group tries again with another generation.
    fn on_assignment_failed(&mut self, failure: AppendFailure, turn: &mut Turn<'_>) {
        self.end_sync(failure.code(), turn);
        self.rebalance(turn);
    }

    fn synced_response(&mut self, member_id: &str) -> SyncGroupResponse {
        if let Some(member) = self.members.get_mut(member_id) {
            member.is_told();
        }
        self.weigh(member_id);
        SyncGroupResponse {
            error_code: ErrorCode::NONE,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment: self.members.get(member_id).map_or_else(Vec::new, |m| m.assignment.clone()),
        }
    }
}
