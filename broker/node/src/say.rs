//! How the binary talks to people: on stderr, errors in three parts.

use crate::config::ConfigError;

/// Exit codes, the same for every command.
pub(crate) mod exit {
    pub(crate) const FAILED: u8 = 1;
    pub(crate) const USAGE: u8 = 2;
}

/// What, why, what to do.
pub(crate) fn error(what: &str, cause: &str, remedy: &str) {
    eprintln!("error: {what}");
    eprintln!("  cause: {cause}");
    eprintln!("  try:   {remedy}");
}

/// A configuration that cannot be run.
pub(crate) fn config_error(e: &ConfigError) {
    error(&e.what, &e.cause, &e.remedy);
}
