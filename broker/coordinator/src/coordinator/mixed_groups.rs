//! JoinGroup, SyncGroup, Heartbeat and LeaveGroup by members of the classic protocol in a consumer group (KIP-848).

use super::{Coordinator, Heartbeat, JoinGroup, JoinGroupResponse, SyncGroup, SyncGroupResponse};
use crate::classic::Asker;
use crate::group::Group;
use crate::now::Now;
use crate::response::Outcome;
use crate::turn::Turn;
use wire::ErrorCode;

impl Coordinator {
    /// JoinGroup. Answered when everything that the group has changed is in the log.
    pub(super) fn join_consumers(
        &mut self,
        request: &JoinGroup<'_>,
        fresh: &str,
        now: Now,
    ) -> Outcome<JoinGroupResponse> {
        let ticket = self.out.ticket();
        let answer = self.with_group(request.group_id, now, |group, turn| {
            let answer = group.join_consumers(request, fresh, turn);
            match group.settle_consumers(turn) {
                Ok(()) => answer,
                Err(failure) => {
                    group.expel(Some(&answer.member_id), turn);
                    JoinGroupResponse::error(&answer.member_id, failure.code())
                }
            }
        });
        self.out.answer_when_all_committed(ticket, request.group_id, answer);
        self.outcome(ticket)
    }

    /// SyncGroup. Answered when what is assigned is in the log.
    pub(super) fn sync_consumers(
        &mut self,
        request: &SyncGroup<'_>,
        now: Now,
    ) -> Outcome<SyncGroupResponse> {
        let ticket = self.out.ticket();
        let answer = self.with_group(request.group_id, now, |group, turn| {
            let unknown = Err(ErrorCode::UNKNOWN_MEMBER_ID);
            let synced = group.consumers_mut().map_or(unknown, |c| c.sync_classic(request, turn));
            synced.unwrap_or_else(SyncGroupResponse::error)
        });
        self.out.answer_when_all_committed(ticket, request.group_id, answer);
        self.outcome(ticket)
    }

    /// Heartbeat.
    pub(super) fn heartbeat_consumers(&mut self, request: Heartbeat<'_>, now: Now) -> ErrorCode {
        self.with_group(request.group_id, now, |group, turn| {
            let unknown = ErrorCode::UNKNOWN_MEMBER_ID;
            let consumers = group.consumers_mut();
            consumers.map_or(unknown, |c| c.heartbeat_classic(request, turn.now.instant))
        })
    }
}

impl Group {
    /// The records of the group have no room in a batch since this member spoke: it goes, so that the others go on.
    pub(super) fn expel(&mut self, member_id: Option<&str>, turn: &mut Turn<'_>) {
        if let (Some(id), Some(consumers)) = (member_id, self.consumers_mut()) {
            consumers.remove_all(&[id.to_owned()], turn.now.wall);
            // What cannot be written now is written later.
            self.settle_consumers(turn).ok();
        }
    }

    /// Which member of a consumer group leaves by LeaveGroup; `None` where it only held a member id that was never used.
    pub(super) fn who_leaves_consumers(
        &mut self,
        asker: Asker<'_>,
    ) -> Result<Option<String>, ErrorCode> {
        if self.classic.pending_members.remove(asker.member_id).is_some() {
            return Ok(None);
        }
        let consumers = self.consumers().ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        consumers.who_leaves(asker).map(Some)
    }

    fn join_consumers(
        &mut self,
        request: &JoinGroup<'_>,
        fresh: &str,
        turn: &mut Turn<'_>,
    ) -> JoinGroupResponse {
        let is_static = request.group_instance_id.is_some();
        let is_pending = self.classic.pending_members.contains_key(request.member_id);
        let (member_id, is_new) = match request.member_id {
            "" => (request.new_member_id(fresh), true),
            id => (id.to_owned(), is_pending),
        };
        let refuse = |code| JoinGroupResponse::error(&member_id, code);
        if is_pending && is_static {
            // Member ids are not handed out ahead to static members.
            return refuse(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        if request.member_id.is_empty() && !is_static && request.needs_member_id {
            self.classic.expect(&member_id, request, turn);
            return refuse(ErrorCode::MEMBER_ID_REQUIRED);
        }
        let Some(consumers) = self.consumers_mut() else {
            return refuse(ErrorCode::UNKNOWN_MEMBER_ID);
        };
        match consumers.join_classic(request, &member_id, is_new, turn) {
            Ok(joined) => {
                self.classic.pending_members.remove(&member_id);
                joined
            }
            // A member id of ours that is not one yet would mislead.
            Err(code) if request.member_id.is_empty() => JoinGroupResponse::error("", code),
            Err(code) => refuse(code),
        }
    }
}
