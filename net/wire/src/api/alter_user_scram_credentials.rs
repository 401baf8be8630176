//! AlterUserScramCredentials (key 51): sets and removes SCRAM credentials (KIP-554).

use crate::ErrorCode;

schema! {
    /// What the caller asks.
    request AlterUserScramCredentialsRequest<'a> for AlterUserScramCredentials {
        /// Credentials to remove.
        deletions: Vec<ScramCredentialDeletion<'a>>, 0..;
        /// Credentials to set.
        upsertions: Vec<ScramCredentialUpsertion<'a>>, 0..;
    }

    /// A credential to remove.
    part ScramCredentialDeletion<'a> {
        /// The user.
        name: &'a str, 0..;
        /// 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
        mechanism: i8, 0..;
    }

    /// A credential to set.
    part ScramCredentialUpsertion<'a> {
        /// The user.
        name: &'a str, 0..;
        /// 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
        mechanism: i8, 0..;
        /// How often the password was hashed.
        iterations: i32, 0..;
        /// The salt.
        salt: &'a [u8], 0..;
        /// The salted and hashed password.
        salted_password: &'a [u8], 0..;
    }

    /// The answer.
    response AlterUserScramCredentialsResponse<'a> for AlterUserScramCredentials {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// One answer for each thing asked.
        results: Vec<AlterUserScramCredentialsResult<'a>>, 0..;
    }

    /// What became of one user.
    part AlterUserScramCredentialsResult<'a> {
        /// The user.
        user: &'a str, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 0..;
    }
}
