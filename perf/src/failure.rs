//! How a command ends when it does not end well.

use std::{fmt, process::ExitCode};

use crate::interrupt;

/// Why a command failed; each kind has its exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The command line asks for what cannot be. Exit code 2.
    Usage(String),
    /// Something that was to hold does not: `--fail-if`, `--verify`. Exit code 3.
    Assertion(String),
    /// No broker answers. Exit code 4.
    Unreachable(String),
    /// A run whose numbers mean nothing. Exit code 8.
    Invalid(String),
    /// A file or a process of ours. Exit code 1.
    Local(String),
    /// A signal of this number asked for the end. Exit code 128 and its number, as shells have it.
    Interrupted(i32),
}

impl Failure {
    /// The process's exit code.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Local(_) => 1,
            Self::Usage(_) => 2,
            Self::Assertion(_) => 3,
            Self::Unreachable(_) => 4,
            Self::Invalid(_) => 8,
            Self::Interrupted(signal) => interrupt::code(*signal),
        }
    }

    /// A failed file operation, with what was attempted.
    pub(crate) fn file(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::Local(format!("cannot {what} {}: {error}", path.display()))
    }
}

impl From<Failure> for ExitCode {
    fn from(failure: Failure) -> Self {
        failure.code().into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, text) = match self {
            Self::Usage(text) => ("usage", text),
            Self::Assertion(text) => ("assertion", text),
            Self::Unreachable(text) => ("unreachable", text),
            Self::Invalid(text) => ("invalid", text),
            Self::Local(text) => ("local", text),
            Self::Interrupted(signal) => {
                return write!(f, "error[interrupted]: by {}", interrupt::name(*signal));
            }
        };
        write!(f, "error[{kind}]: {text}")
    }
}
