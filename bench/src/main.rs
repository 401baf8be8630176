//! The program: see [`ringwood_bench`].
#![forbid(unsafe_code)]

use clap::Parser;
use std::process::ExitCode;

// The broker's allocator, for every edition.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match ringwood_bench::command::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}
