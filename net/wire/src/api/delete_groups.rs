//! DeleteGroups (key 42): deletes groups that have no members (KIP-229).

use crate::ErrorCode;

schema! {
    /// What the caller asks.
    request DeleteGroupsRequest<'a> for DeleteGroups {
        /// The groups to delete.
        groups_names: Vec<&'a str>, 0..;
    }

    /// The answer.
    response DeleteGroupsResponse<'a> for DeleteGroups {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// One answer for each thing asked.
        results: Vec<DeletableGroupResult<'a>>, 0..;
    }

    /// What became of one group.
    part DeletableGroupResult<'a> {
        /// The group.
        group_id: &'a str, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
    }
}
