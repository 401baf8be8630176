//! How a face ends, and in whose words: those of the tool that it stands for.

use crate::exit;
use crate::failure::Stop;
use crate::output::{self, say};
use client::{ClientError, Refusal};

/// Why a face ends early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Nobody reads the output any more.
    ReaderGone,
    /// Everything has been said.
    Said,
    /// A sentence on stderr.
    Error(String),
    /// A sentence on stdout, where the original complains too.
    Complaint(String),
    /// A sentence and the flags, on stderr.
    Usage(String),
}

pub(super) type Done = Result<(), End>;

impl From<Stop> for End {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::ReaderGone => Self::ReaderGone,
            Stop::Said(_) => Self::Said,
            Stop::Failed(failure) => Self::Error(failure.to_string()),
        }
    }
}

impl From<ClientError> for End {
    fn from(error: ClientError) -> Self {
        Self::Error(words(&error))
    }
}

impl End {
    /// The same end; its sentence, if it is one for stderr, becomes what `say` makes of it.
    pub(super) fn or_say(self, say: impl FnOnce(String) -> Self) -> Self {
        match self {
            Self::Error(text) => say(text),
            Self::ReaderGone | Self::Said | Self::Complaint(_) | Self::Usage(_) => self,
        }
    }

    /// An answer that is not the protocol.
    pub(super) fn malformed(error: wire::DecodeError) -> Self {
        Self::Error(format!("a broker's answer cannot be read: {error}"))
    }
}

/// What went wrong, as the originals put it: the broker's own words where it has any.
pub(super) fn words(error: &ClientError) -> String {
    match error {
        ClientError::Refused(refusal) => words_of(refusal),
        ClientError::Connect { .. }
        | ClientError::Socket { .. }
        | ClientError::Closed { .. }
        | ClientError::TimedOut { .. }
        | ClientError::Protocol { .. }
        | ClientError::Encode(_)
        | ClientError::Unsupported { .. }
        | ClientError::NoLeader { .. }
        | ClientError::UnknownBroker(_)
        | ClientError::Records { .. } => error.to_string(),
    }
}

/// A refusal in the broker's words, or in Java's, or by the code's name and meaning.
pub(super) fn words_of(refusal: &Refusal) -> String {
    match refusal.message.as_deref() {
        Some(message) if !message.is_empty() => message.to_owned(),
        Some(_) | None => super::groups::java(refusal.code),
    }
}

/// Prints a line of data.
pub(super) fn print(line: &str) -> Done {
    output::write(format!("{line}\n").as_bytes()).map_err(End::from)
}

/// Prints text as it is.
pub(super) fn print_text(text: &str) -> Done {
    output::write(text.as_bytes()).map_err(End::from)
}

/// Says what is to be said, and gives the exit code.
pub(super) fn close(done: Done, help: &str) -> u8 {
    match done {
        Ok(()) | Err(End::ReaderGone) => exit::OK,
        Err(End::Said) => exit::FAILED,
        Err(End::Error(text)) => {
            say(text);
            exit::FAILED
        }
        Err(End::Complaint(text)) => {
            // A reader that has gone does not hear it, and the exit code is the same.
            let _ = print(&text);
            exit::FAILED
        }
        Err(End::Usage(text)) => {
            say(format_args!("{text}\n{}", help.trim_end()));
            exit::FAILED
        }
    }
}
