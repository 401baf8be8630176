//! One JSON line a check, as `CORPUS.md` wants it.

use std::io::{Write, stdout};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use serde_json::{Value, json};

/// Why a check failed, in words.
pub(crate) type Fault = Box<dyn std::error::Error>;

/// Counts the checks and prints them.
#[derive(Default)]
pub(crate) struct Report {
    checks: u64,
}

impl Report {
    /// Runs one check. Its error is its failure; an error of this function is standard output failing.
    pub(crate) fn attempt(
        &mut self,
        check: &str,
        action: impl FnOnce() -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.checks += 1;
        match action() {
            Ok(()) => print(&json!({"check": check, "ok": true})),
            Err(fault) => {
                let detail: String = fault.to_string().chars().take(600).collect();
                print(&json!({"check": check, "ok": false, "detail": detail}))
            }
        }
    }

    /// The last line.
    pub(crate) fn end(&self) -> Result<(), Fault> {
        print(&json!({"end": self.checks}))
    }
}

/// Prints one line of JSON and flushes it.
pub(crate) fn print(line: &Value) -> Result<(), Fault> {
    let mut out = stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Good only if the broker refused with this code.
pub(crate) fn refused(want: RDKafkaErrorCode, outcome: Result<(), Fault>) -> Result<(), Fault> {
    let Err(fault) = outcome else { return Err(format!("want {want:?}, was accepted").into()) };
    let got = match fault.downcast_ref::<KafkaError>() {
        // The binding's own accessor leaves this one out.
        Some(KafkaError::AdminOp(code)) => Some(*code),
        Some(error) => error.rdkafka_error_code(),
        None => None,
    };
    match got {
        Some(got) if got == want => Ok(()),
        _ => Err(format!("want {want:?}, got {fault}").into()),
    }
}

/// Asks until the answer is the wanted one, for at most 20 s.
pub(crate) fn eventually<T: PartialEq + std::fmt::Debug>(
    want: &T,
    mut ask: impl FnMut() -> Result<T, Fault>,
) -> Result<(), Fault> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match ask() {
            Ok(found) if found == *want => return Ok(()),
            other if Instant::now() > deadline => {
                return Err(format!("want {want:?}, got {other:?}").into());
            }
            _ => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}
