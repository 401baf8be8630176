//! LeaveGroup (key 13): leaves a classic group; removes several members at once from version 3 (KIP-345).

use crate::ErrorCode;

schema! {
    /// What the caller asks.
    request LeaveGroupRequest<'a> for LeaveGroup {
        /// The group.
        group_id: &'a str, 0..;
        /// The member.
        member_id: &'a str, 0..=2;
        /// The members that leave.
        members: Vec<MemberIdentity<'a>>, 3..;
    }

    /// A member that leaves.
    part MemberIdentity<'a> {
        /// The member.
        member_id: &'a str, 3..;
        /// The member's fixed name, of a static member (KIP-345).
        group_instance_id: Option<&'a str>, 3..;
        /// Why, in words.
        reason: Option<&'a str>, 5..;
    }

    /// The answer.
    response LeaveGroupResponse<'a> for LeaveGroup {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 1..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// The members.
        members: Vec<MemberResponse<'a>>, 3..;
    }

    /// What became of one member.
    part MemberResponse<'a> {
        /// The member.
        member_id: &'a str, 3..;
        /// The member's fixed name, of a static member (KIP-345).
        group_instance_id: Option<&'a str>, 3..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 3..;
    }
}
