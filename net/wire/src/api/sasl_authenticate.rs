//! SaslAuthenticate (key 36): carries the tokens of a SASL exchange (KIP-152, KIP-368).

use crate::ErrorCode;

schema! {
    /// What the caller asks.
    request SaslAuthenticateRequest<'a> for SaslAuthenticate {
        /// The token, as the mechanism defines it.
        auth_bytes: &'a [u8], 0..;
    }

    /// The answer.
    response SaslAuthenticateResponse<'a> for SaslAuthenticate {
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 0..;
        /// The token, as the mechanism defines it.
        auth_bytes: &'a [u8], 0..;
        /// How long the session lasts before the client has to authenticate again; 0: for ever.
        session_lifetime_ms: i64, 1..;
    }
}
