//! DescribeDelegationToken, key 41.

use crate::message::message;

message! {
    pub struct DescribeDelegationTokenRequest<'a> flexible 2 {
        owners: Option<Vec<DescribeDelegationTokenOwner<'a>>> [0..] = Some(Vec::new()),
    }
    pub struct DescribeDelegationTokenOwner<'a> flexible part {
        principal_type: &'a str [0..],
        principal_name: &'a str [0..],
    }

    pub struct DescribeDelegationTokenResponse<'a> flexible 2 {
        error_code: i16 [0..],
        tokens: Vec<DescribedDelegationToken<'a>> [0..],
        throttle_time_ms: i32 [0..],
    }
    pub struct DescribedDelegationToken<'a> flexible part {
        principal_type: &'a str [0..],
        principal_name: &'a str [0..],
        token_requester_principal_type: &'a str [3..],
        token_requester_principal_name: &'a str [3..],
        issue_timestamp: i64 [0..],
        expiry_timestamp: i64 [0..],
        max_timestamp: i64 [0..],
        token_id: &'a str [0..],
        hmac: &'a [u8] [0..],
        renewers: Vec<DescribedDelegationTokenRenewer<'a>> [0..],
    }
    pub struct DescribedDelegationTokenRenewer<'a> flexible part {
        principal_type: &'a str [0..],
        principal_name: &'a str [0..],
    }
}
