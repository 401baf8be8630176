//! DescribeUserScramCredentials (key 50): which SCRAM credentials users have (KIP-554).

use crate::ErrorCode;

schema! {
    /// What the caller asks.
    request DescribeUserScramCredentialsRequest<'a> for DescribeUserScramCredentials {
        /// The users wanted; `None` or empty: all.
        users: Option<Vec<UserName<'a>>>, 0..;
    }

    /// A user.
    part UserName<'a> {
        /// The user.
        name: &'a str, 0..;
    }

    /// The answer.
    response DescribeUserScramCredentialsResponse<'a> for DescribeUserScramCredentials {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 0..;
        /// One answer for each thing asked.
        results: Vec<DescribeUserScramCredentialsResult<'a>>, 0..;
    }

    /// A user's credentials.
    part DescribeUserScramCredentialsResult<'a> {
        /// The user.
        user: &'a str, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 0..;
        /// The user's credentials, without secrets.
        credential_infos: Vec<CredentialInfo>, 0..;
    }

    /// A credential, without its secret.
    part CredentialInfo {
        /// 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
        mechanism: i8, 0..;
        /// How often the password was hashed.
        iterations: i32, 0..;
    }
}
