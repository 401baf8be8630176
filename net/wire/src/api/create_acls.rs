//! CreateAcls (key 30): adds access rules (KIP-140, KIP-290).

use crate::ErrorCode;

schema! {
    /// What the caller asks.
    request CreateAclsRequest<'a> for CreateAcls {
        /// The rules to add.
        creations: Vec<AclCreation<'a>>, 0..;
    }

    /// An access rule to add.
    part AclCreation<'a> {
        /// 2 topic, 3 group, 4 cluster, 5 transactional id, 6 delegation token, 7 user.
        resource_type: i8, 0..;
        /// The resource's name.
        resource_name: &'a str, 0..;
        /// 3 literal, 4 prefixed.
        resource_pattern_type: i8 = 3, 0..;
        /// Whom the rule is for, such as `User:alice`.
        principal: &'a str, 0..;
        /// The address the rule is for; `*`: any.
        host: &'a str, 0..;
        /// 1 any, 2 all, 3 read, 4 write, 5 create, 6 delete, 7 alter, 8 describe, 9 cluster action, 10
        /// describe configs, 11 alter configs, 12 idempotent write, 13 create tokens, 14 describe tokens, 15
        /// two-phase commit.
        operation: i8, 0..;
        /// 1 any, 2 deny, 3 allow.
        permission_type: i8, 0..;
    }

    /// The answer.
    response CreateAclsResponse<'a> for CreateAcls {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// One answer for each thing asked.
        results: Vec<AclCreationResult<'a>>, 0..;
    }

    /// What became of one rule.
    part AclCreationResult<'a> {
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 0..;
    }
}
