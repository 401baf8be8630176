//! Tests that need io_uring, where it is refused. Tests of other packages, too, have this file as a module of theirs.

use super::{WhyNot, probe};
use std::io::Write;

/// Whether a test that needs io_uring can run. Where it is refused the test is skipped with a line that says why, or fails if
/// nothing may be skipped.
pub(crate) fn has_io_uring() -> bool {
    let why = match probe() {
        // Whatever else went wrong is no refusal: the test is to meet it.
        Ok(_) | Err(WhyNot::Other(_)) => return true,
        Err(why) => why,
    };
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let package = env!("CARGO_PKG_NAME").trim_start_matches("ringwood-");
    // Past the harness, which keeps to itself what a passed test prints.
    let line = format!("SKIPPED {package}/{test}: it needs io_uring, and {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    assert!(std::env::var_os("RINGWOOD_REQUIRE").is_none(), "this test is required");
    false
}
