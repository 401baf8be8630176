//! Answers, and the tickets of those that come later.

use crate::outbox::AppendFailure;
use crate::{
    ConsumerGroupHeartbeatResponse, DeleteGroupsResponse, JoinGroupResponse, LeaveGroupResponse,
    OffsetCommitResponse, OffsetDeleteResponse, SyncGroupResponse,
};
use wire::ErrorCode;

/// Stands for an answer that comes later. Every ticket is answered exactly once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// What an operation gives back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome<R> {
    /// The answer.
    Ready(R),
    /// The answer comes from [`poll_answer`](crate::Coordinator::poll_answer), under this ticket.
    Parked(Ticket),
}

/// An answer that was waited for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Which request it answers.
    pub ticket: Ticket,
    /// The answer.
    pub response: Response,
}

macro_rules! responses {
    ($($(#[$doc:meta])* $name:ident($type:ty),)*) => {
        /// An answer of any operation that may have to wait.
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub enum Response {
            $($(#[$doc])* $name($type),)*
        }

        $(impl From<$type> for Response {
            fn from(response: $type) -> Self {
                Self::$name(response)
            }
        }

        impl TryFrom<Response> for $type {
            type Error = Response;
            #[allow(clippy::wildcard_enum_match_arm, reason = "one against the rest")]
            fn try_from(response: Response) -> Result<Self, Response> {
                match response {
                    Response::$name(response) => Ok(response),
                    other => Err(other),
                }
            }
        })*
    };
}

responses! {
    /// Of JoinGroup.
    JoinGroup(JoinGroupResponse),
    /// Of SyncGroup.
    SyncGroup(SyncGroupResponse),
    /// Of LeaveGroup.
    LeaveGroup(LeaveGroupResponse),
    /// Of OffsetCommit.
    OffsetCommit(OffsetCommitResponse),
    /// Of OffsetDelete.
    OffsetDelete(OffsetDeleteResponse),
    /// Of DeleteGroups.
    DeleteGroups(DeleteGroupsResponse),
    /// Of ConsumerGroupHeartbeat.
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse),
}

impl Response {
    /// The same answer after its records could not be appended.
    pub(crate) fn failed(self, failure: AppendFailure) -> Self {
        let too_large = failure == AppendFailure::TooLarge;
        let code = match &self {
            Self::OffsetCommit(_) if too_large => ErrorCode::INVALID_COMMIT_OFFSET_SIZE,
            Self::JoinGroup(_)
            | Self::SyncGroup(_)
            | Self::LeaveGroup(_)
            | Self::OffsetCommit(_)
            | Self::OffsetDelete(_)
            | Self::DeleteGroups(_)
            | Self::ConsumerGroupHeartbeat(_) => failure.code(),
        };
        self.with_error(code)
    }

    /// The same answer with `code` wherever it said yes.
    pub(crate) fn with_error(self, code: ErrorCode) -> Self {
        match self {
            Self::JoinGroup(r) => JoinGroupResponse::error(&r.member_id, code).into(),
            Self::SyncGroup(_) => SyncGroupResponse::error(code).into(),
            Self::LeaveGroup(mut r) => {
                r.error_code = code;
                r.members.clear();
                r.into()
            }
            Self::OffsetCommit(mut r) => {
                for partition in r.topics.iter_mut().flat_map(|t| &mut t.partitions) {
                    refuse(&mut partition.error_code, code);
                }
                r.into()
            }
            Self::OffsetDelete(mut r) => {
                r.error_code = code;
                r.topics.clear();
                r.into()
            }
            Self::ConsumerGroupHeartbeat(r) if r.error_code.is_none() => {
                ConsumerGroupHeartbeatResponse::error(code, "the group was not written").into()
            }
            Self::ConsumerGroupHeartbeat(r) => r.into(),
            Self::DeleteGroups(mut r) => {
                for group in &mut r.groups {
                    refuse(&mut group.error_code, code);
                }
                r.into()
            }
        }
    }
}

fn refuse(slot: &mut ErrorCode, code: ErrorCode) {
    if slot.is_none() {
        *slot = code;
    }
}
