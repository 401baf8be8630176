//! Why a command ends without having done its work, in three parts: what, why, what to do.

use crate::advice;
use crate::exit;
use client::{ClientError, Refusal};
use std::fmt;
use std::io::{self, Write};
use wire::ErrorCode;

/// What did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// One word for programs that read the message: `connect`, `topic`.
    pub(crate) area: &'static str,
    pub(crate) what: String,
    pub(crate) cause: String,
    pub(crate) remedy: String,
    pub(crate) code: u8,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error[{}]: {}", self.area, self.what)?;
        writeln!(f, "  cause: {}", self.cause)?;
        write!(f, "  try:   {}", self.remedy)
    }
}

/// How a command ends early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Nobody reads the output any more: that is an end like any other.
    ReaderGone,
    /// Everything has been said already; only the exit code is left.
    Said(u8),
    /// With a failure.
    Failed(Box<Failure>),
}

pub(crate) type Done = Result<(), Stop>;

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

impl Failure {
    /// The command line asks for what cannot be.
    pub(crate) fn usage(
        what: impl Into<String>,
        cause: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            area: "usage",
            what: what.into(),
            cause: cause.into(),
            remedy: remedy.into(),
            code: exit::USAGE,
        }
    }

    /// A broker said no.
    pub(crate) fn refused(area: &'static str, what: impl Into<String>, refusal: &Refusal) -> Self {
        let code = refusal.code;
        let words = refusal.message.as_deref().filter(|m| !m.is_empty());
        Self {
            area,
            what: what.into(),
            cause: format!("{code}: {}", words.unwrap_or(code.message())),
            remedy: advice::on(code).to_owned(),
            code: exit_of(code),
        }
    }

    /// A call to the cluster did not work.
    pub(crate) fn client(area: &'static str, what: impl Into<String>, error: &ClientError) -> Self {
        match error {
            ClientError::Refused(refusal) => Self::refused(area, what, refusal),
            ClientError::Connect { address, .. } => Self {
                area: "connect",
                what: format!("cannot reach a broker at {address}"),
                cause: error.to_string(),
                remedy: "start one with `ringwood start`, or name another with -b HOST:PORT or RINGWOOD_BOOTSTRAP".into(),
                code: exit::UNREACHABLE,
            },
            ClientError::Protocol { address, .. } => Self {
                area: "connect",
                what: format!("{address} does not answer like a Kafka broker"),
                cause: error.to_string(),
                remedy: "check host and port (-b); a listener with TLS or SASL is not supported yet".into(),
                code: exit::UNREACHABLE,
            },
            ClientError::Socket { .. }
            | ClientError::Closed { .. }
            | ClientError::TimedOut { .. }
            | ClientError::UnknownBroker(_)
            | ClientError::NoLeader { .. } => Self {
                area,
                what: what.into(),
                cause: error.to_string(),
                remedy: "look at the brokers with `ringwood cluster brokers` and try again, with a longer --timeout if they are slow".into(),
                code: exit::UNREACHABLE,
            },
            ClientError::Unsupported { .. } => Self {
                area,
                what: what.into(),
                cause: error.to_string(),
                remedy: "use a broker that has this API; `ringwood cluster info` tells which one answers".into(),
                code: exit::FAILED,
            },
            ClientError::Encode(_) => Self {
                area,
                what: what.into(),
                cause: error.to_string(),
                remedy: "shorten what is sent: it does not fit the protocol".into(),
                code: exit::FAILED,
            },
            ClientError::Records { topic, partition, .. } => Self {
                area,
                what: what.into(),
                cause: error.to_string(),
                remedy: format!(
                    "the bytes are damaged on the way or on the disk: read on behind them with `ringwood consume {topic} -p {partition} -o OFFSET`, and check the broker's disk"
                ),
                code: exit::FAILED,
            },
        }
    }

    /// A file of ours.
    pub(crate) fn file(what: impl Into<String>, error: &io::Error) -> Self {
        Self {
            area: "file",
            what: what.into(),
            cause: error.to_string(),
            remedy: "check the path and its permissions".into(),
            code: exit::FAILED,
        }
    }

    /// Says it on stderr. Nobody may be listening there; there is no other place to complain.
    pub(crate) fn say(&self) {
        let _ = writeln!(io::stderr().lock(), "{self}");
    }
}

/// The exit code for a broker's refusal.
pub(crate) fn exit_of(code: ErrorCode) -> u8 {
    match code {
        ErrorCode::TOPIC_AUTHORIZATION_FAILED
        | ErrorCode::GROUP_AUTHORIZATION_FAILED
        | ErrorCode::CLUSTER_AUTHORIZATION_FAILED
        | ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
        | ErrorCode::DELEGATION_TOKEN_AUTHORIZATION_FAILED
        | ErrorCode::SASL_AUTHENTICATION_FAILED => exit::NOT_AUTHORISED,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::UNKNOWN_TOPIC_ID
        | ErrorCode::TOPIC_ALREADY_EXISTS
        | ErrorCode::GROUP_ID_NOT_FOUND
        | ErrorCode::RESOURCE_NOT_FOUND
        | ErrorCode::BROKER_ID_NOT_REGISTERED
        | ErrorCode::OFFSET_OUT_OF_RANGE => exit::NOT_FOUND_OR_EXISTS,
        ErrorCode::LEADER_NOT_AVAILABLE
        | ErrorCode::BROKER_NOT_AVAILABLE
        | ErrorCode::NETWORK_EXCEPTION => exit::UNREACHABLE,
        _ => exit::FAILED,
    }
}

/// The exit code when one command did several things: those that failed, and how many worked.
pub(crate) fn exit_of_several(worked: usize, failed: &[u8]) -> u8 {
    match failed {
        [] => exit::OK,
        _ if worked > 0 => exit::PARTIAL,
        [first, rest @ ..] if rest.iter().all(|c| c == first) => *first,
        _ => exit::FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_three_parts() {
        let refusal = Refusal {
            what: "create topic orders".into(),
            code: ErrorCode::TOPIC_ALREADY_EXISTS,
            message: None,
        };
        let failure = Failure::refused("topic", "cannot create topic orders", &refusal);
        let text = failure.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "error[topic]: cannot create topic orders");
        assert!(lines[1].starts_with("  cause: TOPIC_ALREADY_EXISTS(36): "), "{text}");
        assert!(lines[2].starts_with("  try:   "), "{text}");
        assert_eq!(failure.code, exit::NOT_FOUND_OR_EXISTS);
    }

    #[test]
    fn several_things_have_one_exit_code() {
        assert_eq!(exit_of_several(2, &[]), exit::OK);
        assert_eq!(exit_of_several(1, &[7]), exit::PARTIAL);
        assert_eq!(exit_of_several(0, &[7, 7]), exit::NOT_FOUND_OR_EXISTS);
        assert_eq!(exit_of_several(0, &[7, 5]), exit::FAILED);
    }
}
