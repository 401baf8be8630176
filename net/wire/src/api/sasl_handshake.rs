//! SaslHandshake (key 17): agrees on a SASL mechanism. After version 0 bare tokens follow, after version 1
//! SaslAuthenticate (KIP-152).

use crate::ErrorCode;

schema! {
    /// What the caller asks.
    request SaslHandshakeRequest<'a> for SaslHandshake {
        /// The mechanism wanted, such as `SCRAM-SHA-256`.
        mechanism: &'a str, 0..;
    }

    /// The answer.
    response SaslHandshakeResponse<'a> for SaslHandshake {
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// The mechanisms enabled.
        mechanisms: Vec<&'a str>, 0..;
    }
}
