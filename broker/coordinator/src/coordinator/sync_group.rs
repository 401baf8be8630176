//! SyncGroup 0 to 5: the leader hands in the assignment, every member takes its own (KIP-345, KIP-559).

use super::Coordinator;
use crate::now::Now;
use crate::response::Outcome;
use wire::ErrorCode;

/// What the caller asks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SyncGroup<'a> {
    /// The group.
    pub group_id: &'a str,
    /// The generation.
    pub generation_id: i32,
    /// The member.
    pub member_id: &'a str,
    /// The member's fixed name, of a static member.
    pub group_instance_id: Option<&'a str>,
    /// The group's protocol type, where the client says it (version 5).
    pub protocol_type: Option<&'a str>,
    /// The group's protocol, where the client says it (version 5).
    pub protocol_name: Option<&'a str>,
    /// From the leader: what each member gets.
    pub assignments: Vec<(&'a str, &'a [u8])>,
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SyncGroupResponse {
    /// NONE, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, ILLEGAL_GENERATION, INCONSISTENT_GROUP_PROTOCOL, INVALID_GROUP_ID,
    /// UNKNOWN_MEMBER_ID, REBALANCE_IN_PROGRESS, FENCED_INSTANCE_ID or UNKNOWN_SERVER_ERROR.
    pub error_code: ErrorCode,
    /// The group's protocol type.
    pub protocol_type: Option<String>,
    /// The group's protocol.
    pub protocol_name: Option<String>,
    /// What the member gets; empty if the leader left it out.
    pub assignment: Vec<u8>,
}

impl SyncGroupResponse {
    /// An answer that says no.
    pub(crate) fn error(error_code: ErrorCode) -> Self {
        Self { error_code, ..Self::default() }
    }
}

impl Coordinator {
    /// SyncGroup. Answered when the leader's assignment is in the log.
    pub fn sync_group(&mut self, request: &SyncGroup<'_>, now: Now) -> Outcome<SyncGroupResponse> {
        if request.group_id.is_empty() {
            return Outcome::Ready(SyncGroupResponse::error(ErrorCode::INVALID_GROUP_ID));
        }
        let Some(group) = self.groups.get(request.group_id) else {
            return Outcome::Ready(SyncGroupResponse::error(ErrorCode::UNKNOWN_MEMBER_ID));
        };
        if group.consumers().is_some() {
            return self.sync_consumers(request, now);
        }
        // What is assigned is kept until the next generation, and so is what members were told.
        let brought: usize = request.assignments.iter().map(|(_, bytes)| bytes.len()).sum();
        if !self.memory.has_room_to_assign(2 * brought) {
            let code = ErrorCode::COORDINATOR_NOT_AVAILABLE;
            return Outcome::Ready(SyncGroupResponse::error(code));
        }
        let ticket = self.out.ticket();
        self.with_group(request.group_id, now, |group, turn| {
            group.classic.sync(request, ticket, turn);
        });
        self.outcome(ticket)
    }
}
