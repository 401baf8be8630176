//! SyncGroup (key 14): the leader of a classic group hands in the assignment, every member takes its own.

use crate::ErrorCode;

schema! {
    /// What the caller asks.
    request SyncGroupRequest<'a> for SyncGroup {
        /// The group.
        group_id: &'a str, 0..;
        /// The group's generation.
        generation_id: i32, 0..;
        /// The member.
        member_id: &'a str, 0..;
        /// The member's fixed name, of a static member (KIP-345).
        group_instance_id: Option<&'a str>, 3..;
        /// The kind of protocol: `consumer`, `connect` or another.
        protocol_type: Option<&'a str>, 5..;
        /// The protocol that the group chose.
        protocol_name: Option<&'a str>, 5..;
        /// The assignment of every member, from the leader; empty from the others.
        assignments: Vec<SyncGroupRequestAssignment<'a>>, 0..;
    }

    /// What the leader assigns to one member.
    part SyncGroupRequestAssignment<'a> {
        /// The member.
        member_id: &'a str, 0..;
        /// What is assigned to the member, in the protocol's own bytes.
        assignment: &'a [u8], 0..;
    }

    /// The answer.
    response SyncGroupResponse<'a> for SyncGroup {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 1..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// The kind of protocol: `consumer`, `connect` or another.
        protocol_type: Option<&'a str>, 5..;
        /// The protocol that the group chose.
        protocol_name: Option<&'a str>, 5..;
        /// What is assigned to the member, in the protocol's own bytes.
        assignment: &'a [u8], 0..;
    }
}
