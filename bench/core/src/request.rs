//! What a frame asks for, and how it is refused.

use std::fmt;
use wire::DecodeError;
use wire::frame::FrameError;

/// The one topic.
pub const TOPIC: &str = "bench";

/// Why a connection is closed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refused {
    /// No frame.
    Frame(FrameError),
    /// No request, or one that was cut.
    Decode(DecodeError),
    /// An API or version that this core does not serve.
    Unsupported {
        /// The API's number.
        api: i16,
        /// The version.
        version: i16,
    },
    /// More requests than may be unanswered.
    TooManyUnanswered,
    /// An answer cannot be said in the version asked for.
    Encode(wire::EncodeError),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(e) => e.fmt(f),
            Self::Decode(e) => e.fmt(f),
            Self::Unsupported { api, version } => {
                write!(f, "API {api} version {version} is not served here")
            }
            Self::TooManyUnanswered => f.write_str("too many requests without an answer"),
            Self::Encode(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for Refused {}

impl From<DecodeError> for Refused {
    fn from(e: DecodeError) -> Self {
        Self::Decode(e)
    }
}

impl From<wire::EncodeError> for Refused {
    fn from(e: wire::EncodeError) -> Self {
        Self::Encode(e)
    }
}
