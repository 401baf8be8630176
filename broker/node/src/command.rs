//! The command line.

use crate::config::{NodeConfig, Said};
use crate::say::{self, exit};
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// A Kafka-compatible broker: every ack durable, every core an endpoint, every microsecond explained.
#[derive(Parser)]
#[command(name = "ringwood", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Begin with:
  ringwood start                             a broker on 127.0.0.1:9092
  echo hello | ringwood produce greetings    a record
  ringwood consume greetings --follow        and back
  ringwood topic list                        what there is
Client commands ask 127.0.0.1:9092, or the brokers in -b or RINGWOOD_BOOTSTRAP.";

#[derive(Subcommand)]
enum Command {
    /// Start a broker
    Start(Start),
    /// Check what this machine needs to run a broker well
    Doctor(Start),
    Storage(crate::storage::Storage),
    /// Print the version
    Version,
    #[command(flatten)]
    Client(cli::Command),
    /// Load a broker and measure what its clients see
    #[command(subcommand)]
    Perf(perf::Command),
    /// Write completions, man pages, a systemd unit, a seccomp profile
    #[command(subcommand)]
    Generate(cli::generate::Generate),
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
    /// Data cores [default: auto, the processors of this machine, one if there are at most two]
    #[arg(long, value_name = "N|auto")]
    cores: Option<String>,
    /// Whether each core stays on its processor [default: auto, if there are more than two processors]
    #[arg(long, value_name = "auto|always|never")]
    pin: Option<String>,
    /// When a write is acknowledged: flushed to the disk, or handed to it
    #[arg(long, value_name = "fsync|written")]
    durability: Option<String>,
    /// How the kernel is asked [default: auto, io_uring where it is allowed]
    #[arg(long, value_name = "auto|uring|portable")]
    io: Option<String>,
    /// Memory for buffers of all cores, such as 1GiB [default: a quarter of the machine, at most 1GiB]
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// Size of each core's journal ring, such as 64MiB [default: a quarter of the core's memory, at least 64MiB]
    #[arg(long, value_name = "SIZE")]
    ring: Option<String>,
    /// Free space below which writes are refused [default: 1GiB, or 2% of the file system if that is more]
    #[arg(long, value_name = "SIZE")]
    reserve: Option<String>,
    /// The most partitions, and the most offsets of groups, that metrics show one by one [default: 20000]
    #[arg(long, value_name = "N")]
    metrics_series: Option<String>,
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
            cores: self.cores,
            pin: self.pin,
            memory: self.memory,
            ring: self.ring,
            reserve: self.reserve,
            metrics_series: self.metrics_series,
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
        Command::Version => ExitCode::from(cli::print_version(env!("CARGO_PKG_VERSION"))),
        Command::Client(command) => ExitCode::from(cli::run(command)),
        Command::Perf(command) => ExitCode::from(perf::run(command)),
        Command::Generate(what) => ExitCode::from(cli::generate::run(&what, Cli::command())),
        Command::Storage(storage) => crate::storage::run(storage),
    }
}
