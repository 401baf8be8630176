//! LeaveGroup, and every other way out.

use super::{Asker, ClassicGroup, ClassicState, MemberError};
use crate::coordinator::{JoinGroupResponse, SyncGroupResponse};
use crate::turn::Turn;
use wire::ErrorCode;

impl ClassicGroup {
    /// Which member leaves: itself, or a static one that an administrator names by its instance id alone (KIP-345). `None`
    /// where it only held a member id that was never used.
    pub(crate) fn who_leaves(&mut self, asker: Asker<'_>) -> Result<Option<String>, ErrorCode> {
        if let (true, Some(instance)) = (asker.member_id.is_empty(), asker.group_instance_id) {
            let id = self.static_members.get(instance).cloned();
            return id.map(Some).ok_or(MemberError::Unknown.code());
        }
        if self.pending_members.remove(asker.member_id).is_some() {
            return Ok(None);
        }
        self.check_member(asker).map_err(MemberError::code)?;
        Ok(Some(asker.member_id.to_owned()))
    }

    /// These members are out; the group goes on without them.
    pub(crate) fn remove_all(&mut self, members: &[String], turn: &mut Turn<'_>) {
        let mut any = false;
        for id in members {
            let Some(member) = self.take(id) else { continue };
            any = true;
            // One that waits for an answer may be alive after all: it joins anew.
            let code = ErrorCode::UNKNOWN_MEMBER_ID;
            if let Some(ticket) = member.joining {
                turn.out.answer(ticket, JoinGroupResponse::error(id, code));
            }
            if let Some(ticket) = member.syncing {
                turn.out.answer(ticket, SyncGroupResponse::error(code));
            }
        }
        match self.state {
            ClassicState::Empty => {}
            ClassicState::PreparingRebalance => self.maybe_complete(turn),
            ClassicState::CompletingRebalance | ClassicState::Stable if any => self.rebalance(turn),
            ClassicState::CompletingRebalance | ClassicState::Stable => {}
        }
    }
}

impl ClassicGroup {
    /// The coordinator goes: whoever waits is told `code`.
    pub(crate) fn abandon(&mut self, code: ErrorCode, out: &mut crate::outbox::Outbox) {
        for (id, member) in &mut self.members {
            if let Some(ticket) = member.joining.take() {
                out.answer(ticket, JoinGroupResponse::error(id, code));
            }
            if let Some(ticket) = member.syncing.take() {
                out.answer(ticket, SyncGroupResponse::error(code));
            }
        }
        self.joined = 0;
    }
}
