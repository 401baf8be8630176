//! The binary `ringwood`: a Kafka-compatible broker.

// A line that cannot be written must stop nothing: `tell!`.
#![warn(clippy::print_stderr)]

mod admin;
mod api;
mod broker;
mod cleaner;
mod command;
mod config;
mod doctor;
mod groups;
mod lag;
mod latency;
mod metadata;
mod metadata_log;
mod metrics;
mod node;
mod planted;
mod post;
mod rest;
mod say;
mod scrubber;
mod shard;
mod storage;

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    runtime::allocator::give_back_at_once();
    let mut arguments = std::env::args_os();
    // Called by the name of one of Kafka's tools, it is that tool.
    if let Some(face) = arguments.next().as_ref().and_then(cli::faces::called_as) {
        return ExitCode::from(face.run(arguments));
    }
    command::run(command::Cli::parse())
}
