//! ExpireDelegationToken, key 40.

use crate::message::message;

message! {
    pub struct ExpireDelegationTokenRequest<'a> flexible 2 {
        hmac: &'a [u8] [0..],
        expiry_time_period_ms: i64 [0..],
    }

    pub struct ExpireDelegationTokenResponse flexible 2 {
        error_code: i16 [0..],
        expiry_timestamp_ms: i64 [0..],
        throttle_time_ms: i32 [0..],
    }
}
