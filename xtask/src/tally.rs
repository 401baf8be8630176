//! Counts what passed, what failed, and what could not run.

use std::io::{Write, stdout};

use crate::Fault;

/// Everything that a run of `cargo xtask test` has to say at its end.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// Names of the failed checks, for the end of the output.
    failures: Vec<String>,
    /// Client programs that ran, of all.
    pub(crate) clients: usize,
    /// Suites that could not run.
    pub(crate) skipped: Vec<String>,
}

/// Prints one line to standard output at once.
pub(crate) fn say(line: &str) -> Result<(), Fault> {
    let mut out = stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

impl Tally {
    /// Counts one check and says so where it failed.
    pub(crate) fn check(&mut self, name: &str, complaint: Option<&str>) -> Result<(), Fault> {
        if let Some(complaint) = complaint {
            self.failed += 1;
            self.failures.push(name.to_owned());
            say(&format!("FAILED {name}: {complaint}"))
        } else {
            self.passed += 1;
            Ok(())
        }
    }

    /// Counts what another one has counted of its checks.
    pub(crate) fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.failures.extend(other.failures);
    }

    /// What cannot run here.
    pub(crate) fn skip(&mut self, suite: &str, reason: &str) -> Result<(), Fault> {
        self.skipped.push(suite.to_owned());
        say(&format!("SKIPPED {suite}: {reason}"))
    }

    /// A client suite whose runtime is not here.
    pub(crate) fn skip_client(&mut self, suite: &str, reason: &str) -> Result<(), Fault> {
        self.skipped.push(suite.to_owned());
        say(&format!("SKIPPED clients/{suite}: {reason}"))
    }

    /// The closing lines; true if nothing failed.
    pub(crate) fn close(
        &self,
        clients: usize,
        required: impl Fn(&str) -> bool,
    ) -> Result<bool, Fault> {
        for name in &self.failures {
            say(&format!("failed: {name}"))?;
        }
        let missing: Vec<&str> =
            self.skipped.iter().map(String::as_str).filter(|suite| required(suite)).collect();
        if !missing.is_empty() {
            say(&format!("required, but skipped: {}", missing.join(", ")))?;
        }
        let failed = self.failed + missing.len() as u64;
        say(&format!("{} passed, {failed} failed", self.passed))?;
        let skipped = if self.skipped.is_empty() {
            String::new()
        } else {
            format!("; SKIPPED {}", self.skipped.join(", "))
        };
        say(&format!(
            "{} passed, {failed} failed; clients {} of {clients}{skipped}",
            self.passed, self.clients
        ))?;
        Ok(failed == 0 && self.passed > 0)
    }
}
