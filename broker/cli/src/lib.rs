//! The client-side commands of the one binary: what people type to look at a cluster, change it, write to it and read from it.
//!
//! ```text
//!  topic, group,            one request or a few, a table or JSON
//!  config, cluster
//!  produce, consume         streams of records, through a format (`format`) of fields and delimiters
//!  latency, top             what a broker says about itself on its admin address (`admin`)
//!  generate                 completions, man pages, a systemd unit, a seccomp profile
//!  groups, member           consumer groups, and one member of one
//!  faces                    Kafka's own tools, by whose names the binary may be called
//!  connect                  which cluster, how long; names that are near
//!  output, failure, advice  data on stdout, talk on stderr, errors in three parts, exit codes (`exit`)
//! ```
//!
//! Every command ends in a [`failure::Stop`] or well, and [`run`] turns that into the exit code.
#![forbid(unsafe_code)]

mod admin;
mod advice;
mod changes;
mod cluster;
mod config;
mod connect;
mod consume;
pub mod exit;
pub mod faces;
mod failure;
mod figures;
mod format;
pub mod generate;
mod group;
mod groups;
mod latency;
mod member;
mod output;
mod produce;
mod several;
mod time;
mod top;
mod topic;

use clap::Subcommand;
use failure::{Done, Stop};

/// The commands that talk to a cluster.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look at topics, make them, change them
    Topic(topic::TopicArgs),
    /// Write records to a topic, from stdin or files
    Produce(Box<produce::ProduceArgs>),
    /// Read records from topics
    Consume(Box<consume::ConsumeArgs>),
    /// Look at consumer groups, move them, delete them
    Group(group::GroupArgs),
    /// Look at configurations and change them
    Config(config::ConfigArgs),
    /// Look at the cluster and its brokers
    Cluster(cluster::ClusterCommandArgs),
    /// Where the time of a broker's requests goes, stage by stage
    Latency(latency::LatencyArgs),
    /// Watch a broker: load, queues, commits and latency of each core, the busiest partitions
    Top(top::TopArgs),
    /// Be Kafka's command-line tools
    Tools(faces::ToolsArgs),
}

/// Runs the command; its exit code, see [`exit`].
#[must_use]
pub fn run(command: Command) -> u8 {
    end(match command {
        Command::Topic(args) => topic::run(args),
        Command::Produce(args) => produce::run(*args),
        Command::Consume(args) => consume::run(*args),
        Command::Group(args) => group::run(args),
        Command::Config(args) => config::run(args),
        Command::Cluster(args) => cluster::run(&args),
        Command::Latency(args) => latency::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Tools(args) => faces::run_tools(&args),
    })
}

/// Prints the version; the exit code.
#[must_use]
pub fn print_version(version: &str) -> u8 {
    end(output::write(format!("ringwood {version}\n").as_bytes()))
}

fn end(done: Done) -> u8 {
    match done {
        Ok(()) | Err(Stop::ReaderGone) => exit::OK,
        Err(Stop::Said(code)) => code,
        Err(Stop::Failed(failure)) => {
            failure.say();
            failure.code
        }
    }
}
