//! The state of a classic group in `__consumer_offsets`. A null value deletes.

use crate::internal::Prefixed;

schema! {
    /// Which group it is.
    message GroupMetadataKey<'a> versions 2 to 2 {
        /// The group.
        group: &'a str, 0..;
    }

    /// The group.
    message GroupMetadataValue<'a> versions 0 to 4 flexible 4 {
        /// The kind of protocol: `consumer`, `connect` or another; empty for a group that only commits.
        protocol_type: &'a str, 0..;
        /// The generation.
        generation: i32, 0..;
        /// The protocol that the group chose.
        protocol: Option<&'a str>, 0..;
        /// The member that makes the assignment.
        leader: Option<&'a str>, 0..;
        /// Since when the group is in its state, in milliseconds, or -1.
        current_state_timestamp: i64 = -1, 2..;
        /// The members.
        members: Vec<MemberMetadata<'a>>, 0..;
    }

    /// A member.
    part MemberMetadata<'a> {
        /// The member.
        member_id: &'a str, 0..;
        /// The member's fixed name, of a static member (KIP-345).
        group_instance_id: Option<&'a str>, 3..;
        /// The member's client id.
        client_id: &'a str, 0..;
        /// The member's address.
        client_host: &'a str, 0..;
        /// How long the member may take to join again, in milliseconds; -1: as long as the session timeout.
        rebalance_timeout: i32 = -1, 1..;
        /// How long the coordinator waits for a heartbeat, in milliseconds.
        session_timeout: i32, 0..;
        /// What the member said about itself, in the protocol's own bytes.
        subscription: &'a [u8], 0..;
        /// What is assigned to the member, in the protocol's own bytes.
        assignment: &'a [u8], 0..;
    }
}

impl<'a> Prefixed<'a> for GroupMetadataKey<'a> {}
impl<'a> Prefixed<'a> for GroupMetadataValue<'a> {}
