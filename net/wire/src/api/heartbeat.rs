//! Heartbeat (key 12): tells the coordinator of a classic group that a member lives.

use crate::ErrorCode;

schema! {
    /// What the caller asks.
    request HeartbeatRequest<'a> for Heartbeat {
        /// The group.
        group_id: &'a str, 0..;
        /// The group's generation.
        generation_id: i32, 0..;
        /// The member.
        member_id: &'a str, 0..;
        /// The member's fixed name, of a static member (KIP-345).
        group_instance_id: Option<&'a str>, 3..;
    }

    /// The answer.
    response HeartbeatResponse for Heartbeat {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 1..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
    }
}
