//! `ringwood storage`: looks into a data directory that no broker uses, and ends the marks of partitions that lost records.
//!
//! Everything but `accept-loss` only reads. Data goes to stdout: tables on a terminal, tab-separated otherwise, one JSON object
//! a line with `--json`.

mod accept_loss;
mod dump;
mod info;
mod names;
mod out;
mod verify;

use crate::config::{ConfigError, NodeConfig, Said};
use crate::say::{self, exit};
use clap::{Args, Subcommand};
use ids::{CoreId, PartitionId};
use names::Names;
use out::Out;
use runtime::{Runtime, RuntimeConfig};
use std::path::PathBuf;
use std::process::ExitCode;
use store::OpenError;
use store::inspect::Inspector;

/// Data was asked for that is not there.
const NOT_FOUND: u8 = 7;

/// Looks into a data directory while no broker uses it
#[derive(Args)]
pub(crate) struct Storage {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Layout, rings, manifests, partitions and their bytes
    Info(Common),
    /// Every commit of the rings since the last checkpoint, and every batch of the segments
    Dump {
        #[command(flatten)]
        common: Common,
        /// Only the rings
        #[arg(long, conflicts_with = "segments")]
        rings: bool,
        /// Only the segments
        #[arg(long)]
        segments: bool,
    },
    /// Read every byte that counts; fails if something is damaged
    Verify(Common),
    /// Go on without acknowledged records that are missing: ends the mark of an incomplete partition
    AcceptLoss {
        /// TOPIC or TOPIC:PARTITION, by name or id
        #[arg(value_name = "TOPIC[:PARTITION]")]
        whose: String,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Args)]
struct Common {
    /// Directory of the data [default: as for start]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Only this topic, or TOPIC:PARTITION, by name or id; may be repeated
    #[arg(long = "topic", value_name = "TOPIC[:PARTITION]")]
    topics: Vec<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// What went wrong, for people, and the exit code.
struct Failed {
    code: u8,
    what: String,
    cause: String,
    remedy: String,
}

impl Failed {
    fn not_found(what: impl Into<String>, cause: impl Into<String>) -> Self {
        let remedy = "`ringwood storage info` lists what is there".into();
        Self { code: NOT_FOUND, what: what.into(), cause: cause.into(), remedy }
    }
}

/// Runs the command; its exit code.
pub(crate) fn run(storage: Storage) -> ExitCode {
    let common = match &storage.command {
        Command::Info(common) | Command::Verify(common) => common,
        Command::Dump { common, .. } | Command::AcceptLoss { common, .. } => common,
    };
    let config = match settle(common) {
        Ok(config) => config,
        Err(e) => {
            say::config_error(&e);
            return ExitCode::from(exit::USAGE);
        }
    };
    let runtime = RuntimeConfig { core: CoreId(0), memory_limit: config.memory, pin: None };
    match runtime::run(&runtime, |rt| carry_out(rt, config, storage.command)) {
        Ok(Ok(code)) => ExitCode::from(code),
        Ok(Err(e)) => {
            say::error(&e.what, &e.cause, &e.remedy);
            ExitCode::from(e.code)
        }
        Err(e) => {
            let cause = format!("io_uring is refused: {e}");
            let remedy = "run `ringwood doctor`, which explains each prerequisite";
            say::error("the reactor cannot start", &cause, remedy);
            ExitCode::from(exit::FAILED)
        }
    }
}

fn settle(common: &Common) -> Result<NodeConfig, ConfigError> {
    let flags = Said { data: common.data.clone(), ..Said::default() };
    let environment = Said::from_environment(std::env::vars())?;
    NodeConfig::settle(flags.over(environment), |name| std::env::var(name).ok())
}

async fn carry_out(rt: Runtime, config: NodeConfig, command: Command) -> Result<u8, Failed> {
    let mut inspector =
        Inspector::open(&rt, &config.data).await.map_err(|e| opening(&config, &e))?;
    let names = Names::read(&inspector, &config).await;
    match command {
        Command::Info(common) => {
            let only = names.filter(&inspector, &common.topics)?;
            info::show(&inspector.info(), &names, &only, Out::new(common.json));
            Ok(0)
        }
        Command::Dump { common, rings, segments } => {
            let only = names.filter(&inspector, &common.topics)?;
            let what = dump::What { rings: !segments, segments: !rings };
            dump::show(&inspector, &names, &only, what, Out::new(common.json)).await
        }
        Command::Verify(common) => {
            Ok(verify::show(&inspector, &names, Out::new(common.json)).await)
        }
        Command::AcceptLoss { whose, common } => {
            let whose = names.partitions(&inspector, &whose)?;
            let out = Out::new(common.json);
            accept_loss::carry_out(&mut inspector, &names, &whose, out).await
        }
    }
}

fn opening(config: &NodeConfig, e: &OpenError) -> Failed {
    let what = format!("cannot look into {}", config.data.display());
    let (code, remedy) = match e {
        OpenError::Missing => (NOT_FOUND, "name the directory that the broker uses with --data"),
        OpenError::Locked => {
            (exit::FAILED, "stop the broker first: files must not change meanwhile")
        }
        OpenError::Io { .. } | OpenError::Damaged(_) | OpenError::NoSuchCore { .. } => {
            (exit::FAILED, "see the cause; nothing has been changed")
        }
    };
    Failed { code, what, cause: e.to_string(), remedy: remedy.into() }
}

/// Which partitions are meant; all if nobody said.
struct Only(Option<Vec<PartitionId>>);

impl Only {
    fn has(&self, id: PartitionId) -> bool {
        self.0.as_ref().is_none_or(|some| some.contains(&id))
    }
}
