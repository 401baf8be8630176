//! LeaveGroup 0 to 5: members leave, or are removed (KIP-345).

use super::Coordinator;
use crate::classic::Asker;
use crate::now::Now;
use crate::response::Outcome;
use std::collections::BTreeSet;
use wire::ErrorCode;

/// What the caller asks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LeaveGroup<'a> {
    /// The group.
    pub group_id: &'a str,
    /// Who leaves; one member up to version 2.
    pub members: Vec<LeavingMember<'a>>,
}

/// A member that leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeavingMember<'a> {
    /// The member; empty where an administrator removes a static member.
    pub member_id: &'a str,
    /// The member's fixed name, of a static member.
    pub group_instance_id: Option<&'a str>,
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LeaveGroupResponse {
    /// NONE, INVALID_GROUP_ID, COORDINATOR_NOT_AVAILABLE or NOT_COORDINATOR. There are no members then.
    pub error_code: ErrorCode,
    /// What became of each member, in the order of the request. Up to version 2 the first one's error is the answer.
    pub members: Vec<LeftMember>,
}

/// What became of one member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftMember {
    /// As in the request.
    pub member_id: String,
    /// As in the request.
    pub group_instance_id: Option<String>,
    /// NONE, UNKNOWN_MEMBER_ID or FENCED_INSTANCE_ID.
    pub error_code: ErrorCode,
}

impl Coordinator {
    /// LeaveGroup. When the last member leaves, the answer waits until the log knows.
    pub fn leave_group(
        &mut self,
        request: &LeaveGroup<'_>,
        now: Now,
    ) -> Outcome<LeaveGroupResponse> {
        if request.group_id.is_empty() {
            let error_code = ErrorCode::INVALID_GROUP_ID;
            return Outcome::Ready(LeaveGroupResponse { error_code, members: Vec::new() });
        }
        let ticket = self.out.ticket();
        let members = if self.groups.contains_key(request.group_id) {
            self.with_group(request.group_id, now, |group, turn| {
                let consumers = group.consumers().is_some();
                let mut leavers = Leavers::default();
                let mut answers = Vec::with_capacity(request.members.len());
                for leaving in &request.members {
                    let asker = Asker {
                        member_id: leaving.member_id,
                        group_instance_id: leaving.group_instance_id,
                    };
                    let who = if consumers {
                        group.who_leaves_consumers(asker)
                    } else {
                        group.classic.who_leaves(asker)
                    };
                    answers.push(left(leaving, leavers.add(who)));
                }
                if let Some(consumers) = group.consumers_mut() {
                    consumers.remove_all(&leavers.all, turn.now.wall);
                    // What cannot be written now is written later.
                    group.settle_consumers(turn).ok();
                } else {
                    group.classic.remove_all(&leavers.all, turn);
                }
                answers
            })
        } else {
            request.members.iter().map(|m| left(m, ErrorCode::UNKNOWN_MEMBER_ID)).collect()
        };
        let response = LeaveGroupResponse { error_code: ErrorCode::NONE, members };
        self.out.answer_when_committed(ticket, response);
        self.outcome(ticket)
    }
}

/// Who leaves: each once, however often a request names him, in the order of the request.
#[derive(Default)]
struct Leavers {
    all: Vec<String>,
    seen: BTreeSet<String>,
}

impl Leavers {
    /// What is said to one of whom this was found. None was no member, and had nothing but an id.
    fn add(&mut self, who: Result<Option<String>, ErrorCode>) -> ErrorCode {
        match who {
            Err(code) => code,
            Ok(None) => ErrorCode::NONE,
            Ok(Some(id)) if self.seen.contains(&id) => ErrorCode::UNKNOWN_MEMBER_ID,
            Ok(Some(id)) => {
                self.seen.insert(id.clone());
                self.all.push(id);
                ErrorCode::NONE
            }
        }
    }
}

fn left(member: &LeavingMember<'_>, error_code: ErrorCode) -> LeftMember {
    LeftMember {
        member_id: member.member_id.to_owned(),
        group_instance_id: member.group_instance_id.map(str::to_owned),
        error_code,
    }
}
