//! DescribeAcls (key 29): lists access rules that match a filter (KIP-140, KIP-290).

use crate::ErrorCode;

schema! {
    /// What the caller asks.
    request DescribeAclsRequest<'a> for DescribeAcls {
        /// 1 any, 2 topic, 3 group, 4 cluster, 5 transactional id, 6 delegation token, 7 user.
        resource_type_filter: i8, 0..;
        /// The name to match; `None`: any.
        resource_name_filter: Option<&'a str>, 0..;
        /// 1 any, 2 all that match the name, 3 literal, 4 prefixed.
        pattern_type_filter: i8 = 3, 0..;
        /// The principal to match; `None`: any.
        principal_filter: Option<&'a str>, 0..;
        /// The address to match; `None`: any.
        host_filter: Option<&'a str>, 0..;
        /// 1 any, 2 all, 3 read, 4 write, 5 create, 6 delete, 7 alter, 8 describe, 9 cluster action, 10
        /// describe configs, 11 alter configs, 12 idempotent write, 13 create tokens, 14 describe tokens, 15
        /// two-phase commit.
        operation: i8, 0..;
        /// 1 any, 2 deny, 3 allow.
        permission_type: i8, 0..;
    }

    /// The answer.
    response DescribeAclsResponse<'a> for DescribeAcls {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 0..;
        /// The resources concerned.
        resources: Vec<DescribeAclsResource<'a>>, 0..;
    }

    /// A resource and its rules.
    part DescribeAclsResource<'a> {
        /// 2 topic, 3 group, 4 cluster, 5 transactional id, 6 delegation token, 7 user.
        resource_type: i8, 0..;
        /// The resource's name.
        resource_name: &'a str, 0..;
        /// 3 literal, 4 prefixed.
        pattern_type: i8 = 3, 0..;
        /// The rules of this resource.
        acls: Vec<AclDescription<'a>>, 0..;
    }

    /// An access rule.
    part AclDescription<'a> {
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
}
