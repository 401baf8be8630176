//! How the binary talks to people: on stderr, errors in three parts.

use crate::config::ConfigError;
use std::io::Write;

/// Exit codes, the same for every command.
pub(crate) mod exit {
    pub(crate) use cli::exit::{FAILED, USAGE};
}

/// What, why, what to do. Nobody may be listening any more; that stops nothing.
fn three_parts(area: &str, what: &str, cause: &str, remedy: &str) {
    let text = format!("error[{area}]: {what}\n  cause: {cause}\n  try:   {remedy}\n");
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// A broker that cannot start or go on.
pub(crate) fn error(what: &str, cause: &str, remedy: &str) {
    three_parts("start", what, cause, remedy);
}

/// A configuration that cannot be run.
pub(crate) fn config_error(e: &ConfigError) {
    three_parts("config", &e.what, &e.cause, &e.remedy);
}
