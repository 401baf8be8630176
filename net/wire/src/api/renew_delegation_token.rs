//! RenewDelegationToken, key 39.

use crate::message::message;

message! {
    pub struct RenewDelegationTokenRequest<'a> flexible 2 {
        hmac: &'a [u8] [0..],
        renew_period_ms: i64 [0..],
    }

    pub struct RenewDelegationTokenResponse flexible 2 {
        error_code: i16 [0..],
        expiry_timestamp_ms: i64 [0..],
        throttle_time_ms: i32 [0..],
    }
}
