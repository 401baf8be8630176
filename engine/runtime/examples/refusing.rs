//! Runs a command below a seccomp filter that refuses io_uring, as in a container with Docker's default profile: the command
//! and all that it starts are told that they may not.
//!
//! `cargo run -p ringwood-runtime --example refusing -- cargo test -p ringwood-runtime`
#![expect(clippy::unwrap_used, reason = "without the filter there is nothing to show")]

#[path = "../tests/refusal/filter.rs"]
mod filter;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let Some(program) = words.next() else {
        eprintln!("usage: refusing PROGRAM [ARGUMENT]...");
        return ExitCode::from(2);
    };
    filter::refuse(libc::SYS_io_uring_setup, libc::EPERM);
    // It takes the place of this process, and returns only where it cannot.
    let error = Command::new(&program).args(words).exec();
    eprintln!("{}: {error}", program.display());
    ExitCode::FAILURE
}
