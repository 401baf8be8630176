//! One command that does the same to several things: each failure is told, and the exit code speaks for all.

use crate::failure::{Done, Failure, Stop, exit_of_several};
use serde::Serialize;

/// What worked and what did not, so far.
#[derive(Debug, Default)]
pub(crate) struct Several {
    worked: usize,
    failed: Vec<u8>,
}

impl Several {
    pub(crate) fn worked(&mut self) {
        self.worked += 1;
    }

    /// Says why and goes on.
    pub(crate) fn failed(&mut self, failure: &Failure) {
        failure.say();
        self.failed.push(failure.code);
    }

    /// The end of the command.
    pub(crate) fn done(self) -> Done {
        match exit_of_several(self.worked, &self.failed) {
            0 => Ok(()),
            code => Err(Stop::Said(code)),
        }
    }
}

/// A failure in JSON output.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct JsonError {
    pub(crate) error: String,
    pub(crate) cause: String,
}

impl From<&Failure> for JsonError {
    fn from(failure: &Failure) -> Self {
        Self { error: failure.what.clone(), cause: failure.cause.clone() }
    }
}
