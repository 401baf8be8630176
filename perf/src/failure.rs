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

    /// Several as one: of the kind of all of them, or, where they differ, something that was to hold and does not. `None`: there is
    /// none.
    pub(crate) fn together(failures: &[(String, Self)]) -> Option<Self> {
        let (_, first) = failures.first()?;
        let said = failures.iter().map(|(what, failure)| format!("{what}: {failure}"));
        let text = said.collect::<Vec<_>>().join("; ");
        let is_one_kind = failures.iter().all(|(_, failure)| failure.code() == first.code());
        Some(match first {
            Self::Unreachable(_) if is_one_kind => Self::Unreachable(text),
            Self::Invalid(_) if is_one_kind => Self::Invalid(text),
            Self::Local(_) if is_one_kind => Self::Local(text),
            Self::Interrupted(signal) if is_one_kind => Self::Interrupted(*signal),
            Self::Usage(_) if is_one_kind => Self::Usage(text),
            Self::Usage(_)
            | Self::Assertion(_)
            | Self::Unreachable(_)
            | Self::Invalid(_)
            | Self::Local(_)
            | Self::Interrupted(_) => Self::Assertion(text),
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_failures_of_one_kind_are_one_of_it() {
        let gone = || ("2".to_owned(), Failure::Unreachable("gone".into()));
        let other = || ("5".to_owned(), Failure::Local("no room".into()));
        let code = |all: &[(String, Failure)]| Failure::together(all).map(|f| f.code());
        assert_eq!(code(&[]), None);
        assert_eq!(code(&[gone(), gone()]), Some(4));
        assert_eq!(code(&[other()]), Some(1));
        assert_eq!(code(&[gone(), other()]), Some(3));
        let text = Failure::together(&[gone(), other()]).map(|f| f.to_string());
        let said = "error[assertion]: 2: error[unreachable]: gone; 5: error[local]: no room";
        assert_eq!(text.as_deref(), Some(said));
    }
}
