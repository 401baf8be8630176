//! Heartbeat 0 to 4: a member lives.

use super::Coordinator;
use crate::classic::Asker;
use crate::now::Now;
use wire::ErrorCode;

/// What the caller asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Heartbeat<'a> {
    /// The group.
    pub group_id: &'a str,
    /// The generation.
    pub generation_id: i32,
    /// The member.
    pub member_id: &'a str,
    /// The member's fixed name, of a static member.
    pub group_instance_id: Option<&'a str>,
}

impl Coordinator {
    /// Heartbeat: NONE, ILLEGAL_GENERATION, INVALID_GROUP_ID, UNKNOWN_MEMBER_ID, REBALANCE_IN_PROGRESS (join again; the
    /// session is refreshed all the same) or FENCED_INSTANCE_ID.
    pub fn heartbeat(&mut self, request: Heartbeat<'_>, now: Now) -> ErrorCode {
        let Heartbeat { group_id, generation_id, member_id, group_instance_id } = request;
        if group_id.is_empty() {
            return ErrorCode::INVALID_GROUP_ID;
        }
        // The alarm may stay: a session only gets longer, and the alarm finds out.
        match self.groups.get_mut(group_id) {
            None => ErrorCode::UNKNOWN_MEMBER_ID,
            Some(group) if group.consumers().is_some() => self.heartbeat_consumers(request, now),
            Some(group) => {
                let asker = Asker { member_id, group_instance_id };
                group.classic.heartbeat(asker, generation_id, now.instant)
            }
        }
    }
}
