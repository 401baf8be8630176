//! The binary `ringwood`: a Kafka-compatible broker.

mod admin;
mod api;
mod broker;
mod cleaner;
mod command;
mod config;
mod doctor;
mod groups;
mod latency;
mod metadata;
mod metadata_log;
mod metrics;
mod node;
mod planted;
mod post;
mod say;
mod shard;
mod storage;

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    command::run(command::Cli::parse())
}
