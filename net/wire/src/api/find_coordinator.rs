//! FindCoordinator (key 10): finds the broker that coordinates a group or a transactional id; many keys at once from
//! version 4 (KIP-699).

use crate::ErrorCode;
use ids::BrokerId;

schema! {
    /// What the caller asks.
    request FindCoordinatorRequest<'a> for FindCoordinator {
        /// The group or the transactional id.
        key: &'a str, 0..=3;
        /// 0 group, 1 transactional id, 2 share group.
        key_type: i8, 1..;
        /// Groups or transactional ids to look up.
        coordinator_keys: Vec<&'a str>, 4..;
    }

    /// The answer.
    response FindCoordinatorResponse<'a> for FindCoordinator {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 1..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..=3;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 1..=3;
        /// The coordinator.
        node_id: BrokerId, 0..=3;
        /// The host's name or address.
        host: &'a str, 0..=3;
        /// The port.
        port: i32, 0..=3;
        /// One answer for each key.
        coordinators: Vec<Coordinator<'a>>, 4..;
    }

    /// The coordinator of one key.
    part Coordinator<'a> {
        /// The group or the transactional id.
        key: &'a str, 4..;
        /// The coordinator.
        node_id: BrokerId, 4..;
        /// The host's name or address.
        host: &'a str, 4..;
        /// The port.
        port: i32, 4..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 4..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 4..;
    }
}
