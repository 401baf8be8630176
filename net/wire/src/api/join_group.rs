//! JoinGroup (key 11): enters a classic group and waits for its next generation (KIP-394, KIP-345, KIP-814).

use crate::ErrorCode;

schema! {
    /// What the caller asks.
    request JoinGroupRequest<'a> for JoinGroup {
        /// The group.
        group_id: &'a str, 0..;
        /// How long the coordinator waits for a heartbeat before it takes the member for dead.
        session_timeout_ms: i32, 0..;
        /// How long the member may take to give up partitions and join again.
        rebalance_timeout_ms: i32 = -1, 1..;
        /// The member; empty on the first try.
        member_id: &'a str, 0..;
        /// The member's fixed name, of a static member (KIP-345).
        group_instance_id: Option<&'a str>, 5..;
        /// The kind of protocol: `consumer`, `connect` or another.
        protocol_type: &'a str, 0..;
        /// The protocols that the member speaks, the best first.
        protocols: Vec<JoinGroupRequestProtocol<'a>>, 0..;
        /// Why, in words.
        reason: Option<&'a str>, 8..;
    }

    /// A protocol that the member speaks.
    part JoinGroupRequestProtocol<'a> {
        /// The protocol.
        name: &'a str, 0..;
        /// What the member says about itself, in the protocol's own bytes.
        metadata: &'a [u8], 0..;
    }

    /// The answer.
    response JoinGroupResponse<'a> for JoinGroup {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 2..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// The group's generation.
        generation_id: i32 = -1, 0..;
        /// The kind of protocol: `consumer`, `connect` or another.
        protocol_type: Option<&'a str>, 7..;
        /// The protocol that the group chose.
        protocol_name: Option<&'a str>, 0.., nullable 7..;
        /// The member that makes the assignment.
        leader: &'a str, 0..;
        /// Whether the leader has nothing to assign (KIP-814).
        skip_assignment: bool, 9..;
        /// The member.
        member_id: &'a str, 0..;
        /// The members.
        members: Vec<JoinGroupResponseMember<'a>>, 0..;
    }

    /// A member, for the leader.
    part JoinGroupResponseMember<'a> {
        /// The member.
        member_id: &'a str, 0..;
        /// The member's fixed name, of a static member (KIP-345).
        group_instance_id: Option<&'a str>, 5..;
        /// What the member said about itself, in the protocol's own bytes.
        metadata: &'a [u8], 0..;
    }
}
