//! CreateDelegationToken, key 38.

use crate::message::message;

message! {
    pub struct CreateDelegationTokenRequest<'a> flexible 2 {
        owner_principal_type: Option<&'a str> [3..] = Some(""),
        owner_principal_name: Option<&'a str> [3..] = Some(""),
        renewers: Vec<CreatableRenewers<'a>> [0..],
        max_lifetime_ms: i64 [0..],
    }
    pub struct CreatableRenewers<'a> flexible part {
        principal_type: &'a str [0..],
        principal_name: &'a str [0..],
    }

    pub struct CreateDelegationTokenResponse<'a> flexible 2 {
        error_code: i16 [0..],
        principal_type: &'a str [0..],
        principal_name: &'a str [0..],
        token_requester_principal_type: &'a str [3..],
        token_requester_principal_name: &'a str [3..],
        issue_timestamp_ms: i64 [0..],
        expiry_timestamp_ms: i64 [0..],
        max_timestamp_ms: i64 [0..],
        token_id: &'a str [0..],
        hmac: &'a [u8] [0..],
        throttle_time_ms: i32 [0..],
    }
}
