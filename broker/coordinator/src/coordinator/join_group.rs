//! JoinGroup 0 to 9: enters a classic group and waits for its next generation (KIP-134, KIP-345, KIP-394, KIP-814).

use super::Coordinator;
use crate::config::millis;
use crate::group::Group;
use crate::memory::OVERHEAD;
use crate::now::Now;
use crate::response::Outcome;
use std::time::Duration;
use wire::ErrorCode;

/// What the caller asks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct JoinGroup<'a> {
    /// The group.
    pub group_id: &'a str,
    /// The member; empty on the first try.
    pub member_id: &'a str,
    /// The member's fixed name, of a static member.
    pub group_instance_id: Option<&'a str>,
    /// The client id of the request's header.
    pub client_id: &'a str,
    /// The client's address, such as `/10.0.0.7`.
    pub client_host: &'a str,
    /// How long the coordinator waits for a heartbeat.
    pub session_timeout_ms: i32,
    /// How long the member may take to join again; negative (version 0): as long as the session timeout.
    pub rebalance_timeout_ms: i32,
    /// `consumer`, `connect` or another.
    pub protocol_type: &'a str,
    /// The protocols that the member speaks, the best first, each with what the member says about itself.
    pub protocols: Vec<(&'a str, &'a [u8])>,
    /// Whether a dynamic member comes back with the member id that it is told (version 4 and up).
    pub needs_member_id: bool,
    /// Whether a leader understands that it has nothing to assign (version 9 and up).
    pub can_skip_assignment: bool,
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct JoinGroupResponse {
    /// NONE, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, INCONSISTENT_GROUP_PROTOCOL, INVALID_GROUP_ID, UNKNOWN_MEMBER_ID,
    /// INVALID_SESSION_TIMEOUT, REBALANCE_IN_PROGRESS (another request of the same member replaced this one),
    /// MEMBER_ID_REQUIRED, GROUP_MAX_SIZE_REACHED, FENCED_INSTANCE_ID or INVALID_REQUEST.
    pub error_code: ErrorCode,
    /// The generation, or -1.
    pub generation_id: i32,
    /// The group's protocol type.
    pub protocol_type: Option<String>,
    /// The protocol that the group chose.
    pub protocol_name: Option<String>,
    /// The member that makes the assignment.
    pub leader: String,
    /// Whether the leader has nothing to assign.
    pub skip_assignment: bool,
    /// The member; with MEMBER_ID_REQUIRED the id to come back with.
    pub member_id: String,
    /// All members; for the leader alone.
    pub members: Vec<JoinedMember>,
}

/// A member, as the leader sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinedMember {
    /// The member.
    pub member_id: String,
    /// The member's fixed name, of a static member.
    pub group_instance_id: Option<String>,
    /// What it says about itself in the group's protocol.
    pub metadata: Vec<u8>,
}

impl JoinGroup<'_> {
    pub(crate) fn session_timeout(&self) -> Duration {
        millis(self.session_timeout_ms)
    }

    pub(crate) fn rebalance_timeout_ms(&self) -> i32 {
        if self.rebalance_timeout_ms < 0 {
            self.session_timeout_ms
        } else {
            self.rebalance_timeout_ms
        }
    }

    /// The bytes that a member takes in memory that says this, about.
    fn weight(&self) -> usize {
        let said = self.protocols.iter().map(|(name, metadata)| 64 + name.len() + metadata.len());
        let texts = self.client_id.len() + self.client_host.len() + self.protocol_type.len();
        OVERHEAD + texts + self.group_instance_id.map_or(0, str::len) + said.sum::<usize>()
    }

    /// The member id to give out: the client's or the instance's name, and what makes it distinct.
    pub(crate) fn new_member_id(&self, fresh: &str) -> String {
        let name = self.group_instance_id.unwrap_or(self.client_id);
        let name = &name[..name.floor_char_boundary(MEMBER_NAME_MAX)];
        format!("{name}-{fresh}")
    }
}

/// Into how many batches everything must fit that a member says in all of its protocols: one of them is chosen, and written.
const PROTOCOLS_MAX: usize = 4;

/// The most bytes of a client's name that a member id repeats. Ids that are given out and never used are kept for a session.
pub(crate) const MEMBER_NAME_MAX: usize = 255;

/// The longest string of a request or a record, in bytes.
pub(crate) const STRING_MAX: usize = 32_767;

impl JoinGroupResponse {
    /// An answer that says no.
    pub(crate) fn error(member_id: &str, error_code: ErrorCode) -> Self {
        let member_id = member_id.to_owned();
        Self { error_code, generation_id: -1, member_id, ..Self::default() }
    }
}

impl Coordinator {
    /// JoinGroup. `fresh` is a text that nobody has seen before, such as a UUID: the end of the member id if one is given
    /// out.
    pub fn join_group(
        &mut self,
        request: &JoinGroup<'_>,
        fresh: &str,
        now: Now,
    ) -> Outcome<JoinGroupResponse> {
        if let Err(code) = self.check_join(request) {
            return Outcome::Ready(JoinGroupResponse::error(request.member_id, code));
        }
        let consumers = self.groups.get(request.group_id).and_then(Group::consumers);
        if consumers.is_some_and(|group| !group.members.is_empty()) {
            return self.join_consumers(request, fresh, now);
        }
        let ticket = self.out.ticket();
        self.with_group(request.group_id, now, |group, turn| {
            if let Some(consumers) = group.consumers_mut() {
                // It has no members: it becomes a classic group. What cannot be written now is written later.
                consumers.delete();
                consumers.write(turn).ok();
            }
            group.classic.join(request, fresh, ticket, turn);
        });
        self.outcome(ticket)
    }

    fn check_join(&self, request: &JoinGroup<'_>) -> Result<(), ErrorCode> {
        let fits = |text: &str| text.len() <= STRING_MAX;
        if request.group_id.is_empty() || !fits(request.group_id) {
            return Err(ErrorCode::INVALID_GROUP_ID);
        }
        let texts = [request.member_id, request.client_id, request.client_host];
        let instance = request.group_instance_id.unwrap_or("");
        let texts = texts.into_iter().chain([request.protocol_type, instance]);
        if !texts.chain(request.protocols.iter().map(|(name, _)| *name)).all(fits) {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        // A member that the group's record has no room for would keep the group from ever being stable, and what it says would
        // fill the memory meanwhile.
        let said = request.protocols.iter().map(|(name, metadata)| name.len() + metadata.len());
        let room = self.config.batch_bytes_max;
        if said.clone().any(|said| said > room) || said.sum::<usize>() > PROTOCOLS_MAX * room {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        let (min, max) =
            (self.config.group_min_session_timeout_ms, self.config.group_max_session_timeout_ms);
        if request.session_timeout_ms < min || request.session_timeout_ms > max {
            return Err(ErrorCode::INVALID_SESSION_TIMEOUT);
        }
        // A member id comes from a group that exists.
        let known = self.groups.get(request.group_id).is_some_and(Group::exists);
        if !known && !request.member_id.is_empty() {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        if !self.has_room(request.group_id, request.member_id, request.weight()) {
            return Err(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        }
        Ok(())
    }
}
