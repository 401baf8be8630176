//! DescribeGroups (key 15): the state and the members of classic groups.

use crate::ErrorCode;

schema! {
    /// What the caller asks.
    request DescribeGroupsRequest<'a> for DescribeGroups {
        /// The groups to describe.
        groups: Vec<&'a str>, 0..;
        /// Whether to say what the caller may do.
        include_authorized_operations: bool, 3..;
    }

    /// The answer.
    response DescribeGroupsResponse<'a> for DescribeGroups {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 1..;
        /// One entry for each group.
        groups: Vec<DescribedGroup<'a>>, 0..;
    }

    /// A group.
    part DescribedGroup<'a> {
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 6..;
        /// The group.
        group_id: &'a str, 0..;
        /// The group's state, as text.
        group_state: &'a str, 0..;
        /// The kind of protocol: `consumer`, `connect` or another.
        protocol_type: &'a str, 0..;
        /// The protocol that the group chose.
        protocol_data: &'a str, 0..;
        /// The members.
        members: Vec<DescribedGroupMember<'a>>, 0..;
        /// What the caller may do, one bit an operation; `i32::MIN` when not asked for.
        authorized_operations: i32 = i32::MIN, 3..;
    }

    /// A member of a group.
    part DescribedGroupMember<'a> {
        /// The member.
        member_id: &'a str, 0..;
        /// The member's fixed name, of a static member (KIP-345).
        group_instance_id: Option<&'a str>, 4..;
        /// The member's client id.
        client_id: &'a str, 0..;
        /// The member's address.
        client_host: &'a str, 0..;
        /// What the member said about itself, in the protocol's own bytes.
        member_metadata: &'a [u8], 0..;
        /// What is assigned to the member, in the protocol's own bytes.
        member_assignment: &'a [u8], 0..;
    }
}
