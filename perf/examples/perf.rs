//! The harness on its own, without the broker's binary around it: `cargo run --release --example perf -- run -b ...`.

use std::process::ExitCode;

#[derive(clap::Parser)]
#[command(name = "perf", about = "Load harness for Kafka-protocol brokers")]
struct Arguments {
    #[command(subcommand)]
    command: ringwood_perf::Command,
}

fn main() -> ExitCode {
    let arguments = <Arguments as clap::Parser>::parse();
    ringwood_perf::run(arguments.command).into()
}
