//! ListGroups (key 16): the groups that a broker coordinates (KIP-518, KIP-848).

use crate::ErrorCode;

schema! {
    /// What the caller asks.
    request ListGroupsRequest<'a> for ListGroups {
        /// Only groups in these states; empty: all.
        states_filter: Vec<&'a str>, 4..;
        /// Only groups of these types; empty: all.
        types_filter: Vec<&'a str>, 5..;
    }

    /// The answer.
    response ListGroupsResponse<'a> for ListGroups {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 1..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// One entry for each group.
        groups: Vec<ListedGroup<'a>>, 0..;
    }

    /// A group.
    part ListedGroup<'a> {
        /// The group.
        group_id: &'a str, 0..;
        /// The kind of protocol: `consumer`, `connect` or another.
        protocol_type: &'a str, 0..;
        /// The group's state, as text.
        group_state: &'a str, 4..;
        /// `classic`, `consumer`, `share` or `streams`.
        group_type: &'a str, 5..;
    }
}
