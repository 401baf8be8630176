//! The command line.

use crate::config::{NodeConfig, Said};
use crate::say::{self, exit};
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// A Kafka-compatible broker: every ack durable, every core an endpoint, every microsecond explained.
#[derive(Parser)]
#[command(name = "ringwood", version, about, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a broker
    Start(Start),
    /// Check what this machine needs to run a broker well
    Doctor(Start),
    Storage(crate::storage::Storage),
    /// Print the version
    Version,
    /// Print a completion script for a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Where and how a broker runs. Flags win over the environment (RINGWOOD_SECTION__KEY), which wins over the file.
#[derive(Args)]
struct Start {
    /// Directory of the data [default: $STATE_DIRECTORY, or ringwood in the user's data directory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address for Kafka clients [default: 127.0.0.1:9092]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Address that clients are told to connect to [default: the one listened on]
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// Address for metrics and health [default: 127.0.0.1:9644]
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<String>,
    /// Data cores; this release runs one
    #[arg(long, value_name = "N|auto", default_value = "auto")]
    cores: String,
    /// When a write is acknowledged: flushed to the disk, or handed to it
    #[arg(long, value_name = "fsync|written")]
    durability: Option<String>,
    /// How the kernel is asked; this release has uring
    #[arg(long, value_name = "auto|uring")]
    io: Option<String>,
    /// Memory for buffers, such as 1GiB [default: a quarter of the machine, at most 1GiB]
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// Size of the journal ring, such as 64MiB [default: a quarter of the memory, at least 64MiB]
    #[arg(long, value_name = "SIZE")]
    ring: Option<String>,
    /// Free space below which writes are refused [default: 1GiB]
    #[arg(long, value_name = "SIZE")]
    reserve: Option<String>,
    /// This broker's id [default: 1]
    #[arg(long, value_name = "ID")]
    node_id: Option<i32>,
    /// Configuration: TOML, or Kafka's server.properties by its ending
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A Kafka broker configuration such as num.partitions=4; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Start {
    fn settle(self) -> Result<NodeConfig, crate::config::ConfigError> {
        let refuse = |what: &str, cause: &str, remedy: &str| {
            Err(crate::config::ConfigError {
                what: what.into(),
                cause: cause.into(),
                remedy: remedy.into(),
            })
        };
        if !matches!(self.cores.as_str(), "auto" | "1") {
            return refuse(
                "--cores above 1 is not available",
                "this release runs one data core",
                "leave --cores out",
            );
        }
        if !matches!(self.io.as_deref(), None | Some("auto" | "uring")) {
            return refuse(
                "this I/O backend is not available",
                "this release has io_uring only",
                "leave --io out",
            );
        }
        let mut kafka = std::collections::BTreeMap::new();
        for pair in &self.set {
            let Some((key, value)) = pair.split_once('=') else {
                return refuse("--set wants KEY=VALUE", pair, "for example --set num.partitions=4");
            };
            kafka.insert(key.trim().to_owned(), value.trim().to_owned());
        }
        let flags = Said {
            data: self.data,
            listen: self.listen,
            advertise: self.advertise,
            admin: self.admin,
            durability: self.durability,
            io: self.io,
            memory: self.memory,
            ring: self.ring,
            reserve: self.reserve,
            node_id: self.node_id,
            kafka,
        };
        let file = match &self.config {
            Some(path) => Said::from_file(path)?,
            None => Said::default(),
        };
        let environment = Said::from_environment(std::env::vars())?;
        NodeConfig::settle(flags.over(environment.over(file)), |name| std::env::var(name).ok())
    }
}

/// Runs the command; its exit code.
#[expect(clippy::print_stdout, reason = "data goes to stdout")]
pub(crate) fn run(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Start(start) => match start.settle() {
            Ok(config) => crate::node::run(config),
            Err(e) => {
                say::config_error(&e);
                ExitCode::from(exit::USAGE)
            }
        },
        Command::Doctor(start) => match start.settle() {
            Ok(config) => crate::doctor::run(&config),
            Err(e) => {
                say::config_error(&e);
                ExitCode::from(exit::USAGE)
            }
        },
        Command::Storage(storage) => crate::storage::run(storage),
        Command::Version => {
            println!("ringwood {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Command::Completion { shell } => {
            let mut command = Cli::command();
            clap_complete::generate(shell, &mut command, "ringwood", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
    }
}
