//! Why a call did not work: the network, the protocol, or the broker's own no.

use std::fmt;
use std::io;
use wire::frame::FrameError;
use wire::{DecodeError, EncodeError, ErrorCode};

/// A broker's refusal: its code and its words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// What was asked, for people: `create topic orders`.
    pub what: String,
    /// The error code.
    pub code: ErrorCode,
    /// The broker's words, if it had any.
    pub message: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.code)?;
        match &self.message {
            Some(m) if !m.is_empty() => write!(f, ": {m}"),
            Some(_) | None => Ok(()),
        }
    }
}

/// What the other side said is not the protocol.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProtocolError {
    /// A frame length that no frame has.
    Frame(FrameError),
    /// A message that cannot be read.
    Decode(DecodeError),
    /// An answer to a request that was not sent, or not next.
    Correlation {
        /// The number of the oldest open request, if there is one.
        expected: Option<i32>,
        /// The number in the answer.
        got: i32,
    },
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(e) => e.fmt(f),
            Self::Decode(e) => e.fmt(f),
            Self::Correlation { expected: Some(n), got } => {
                write!(f, "an answer to request {got} where {n} was next")
            }
            Self::Correlation { expected: None, got } => {
                write!(f, "an answer to request {got}, and none is open")
            }
        }
    }
}

impl std::error::Error for ProtocolError {}

impl From<FrameError> for ProtocolError {
    fn from(e: FrameError) -> Self {
        Self::Frame(e)
    }
}

impl From<DecodeError> for ProtocolError {
    fn from(e: DecodeError) -> Self {
        Self::Decode(e)
    }
}

/// Why a call did not work.
#[derive(Debug)]
pub enum ClientError {
    /// No connection to the address.
    Connect {
        /// `host:port`.
        address: String,
        /// Why.
        error: io::Error,
    },
    /// A connection broke.
    Socket {
        /// `host:port`.
        address: String,
        /// Why.
        error: io::Error,
    },
    /// The broker closed the connection: Kafka's answer to requests that it cannot read.
    Closed {
        /// `host:port`.
        address: String,
    },
    /// The deadline passed.
    TimedOut {
        /// `host:port`, or what was waited for.
        address: String,
        /// What was being done.
        what: &'static str,
    },
    /// The answer is not the protocol.
    Protocol {
        /// `host:port`.
        address: String,
        /// What is wrong with it.
        error: ProtocolError,
    },
    /// The request does not fit the protocol.
    Encode(EncodeError),
    /// Broker and client have no version of an API in common.
    Unsupported {
        /// `host:port`.
        address: String,
        /// The API.
        api: String,
    },
    /// The broker said no.
    Refused(Refusal),
    /// A partition has no leader to talk to.
    NoLeader {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// A broker's id that the metadata does not know.
    UnknownBroker(i32),
    /// Fetched bytes are not record batches, or their checksum is wrong.
    Records {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// What is wrong.
        why: String,
    },
}

impl ClientError {
    /// A refusal, in short.
    pub fn refused(what: impl Into<String>, code: ErrorCode, message: Option<&str>) -> Self {
        Self::Refused(Refusal { what: what.into(), code, message: message.map(str::to_owned) })
    }

    /// The broker's code, if the broker said no.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(r) => Some(r.code),
            Self::NoLeader { .. } => Some(ErrorCode::LEADER_NOT_AVAILABLE),
            Self::Connect { .. }
            | Self::Socket { .. }
            | Self::Closed { .. }
            | Self::TimedOut { .. }
            | Self::Protocol { .. }
            | Self::Encode(_)
            | Self::Unsupported { .. }
            | Self::UnknownBroker(_)
            | Self::Records { .. } => None,
        }
    }

    /// Whether the connection is of no more use, and another may be.
    #[must_use]
    pub fn is_network(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. }
                | Self::Socket { .. }
                | Self::Closed { .. }
                | Self::TimedOut { .. }
                | Self::Protocol { .. }
        )
    }

    /// Whether asking again, after a look at the metadata, may help.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Socket { .. } | Self::Closed { .. } => true,
            Self::NoLeader { .. } | Self::UnknownBroker(_) => true,
            Self::Refused(r) => r.code.is_retriable(),
            Self::TimedOut { .. }
            | Self::Protocol { .. }
            | Self::Encode(_)
            | Self::Unsupported { .. }
            | Self::Records { .. } => false,
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { address, error } => write!(f, "cannot connect to {address}: {error}"),
            Self::Socket { address, error } => write!(f, "connection to {address}: {error}"),
            Self::Closed { address } => write!(f, "{address} closed the connection"),
            Self::TimedOut { address, what } => write!(f, "{address}: timed out: {what}"),
            Self::Protocol { address, error } => write!(f, "{address}: {error}"),
            Self::Encode(e) => e.fmt(f),
            Self::Unsupported { address, api } => {
                write!(f, "{address} has no version of {api} that this client knows")
            }
            Self::Refused(r) => r.fmt(f),
            Self::NoLeader { topic, partition } => write!(f, "{topic}/{partition} has no leader"),
            Self::UnknownBroker(id) => write!(f, "no broker {id} in the cluster's metadata"),
            Self::Records { topic, partition, why } => write!(f, "{topic}/{partition}: {why}"),
        }
    }
}

impl std::error::Error for ClientError {}

impl From<EncodeError> for ClientError {
    fn from(e: EncodeError) -> Self {
        Self::Encode(e)
    }
}
