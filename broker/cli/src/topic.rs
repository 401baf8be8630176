//! `ringwood topic`: one file per verb.

mod add_partitions;
mod alter;
mod create;
mod delete;
mod describe;
mod list;
mod offsets;
mod trim;

use crate::connect::ClusterArgs;
use crate::failure::Done;
use clap::{Args, Subcommand};

/// Look at topics, make them, change them.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct TopicArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(subcommand)]
    command: TopicCommand,
}

#[derive(Debug, Subcommand)]
enum TopicCommand {
    /// List topics
    List(list::ListArgs),
    /// Show partitions, their offsets, and the topic's own configuration
    Describe(describe::DescribeArgs),
    /// Create topics
    Create(create::CreateArgs),
    /// Delete topics and everything in them
    Delete(delete::DeleteArgs),
    /// Change a topic's configuration
    Alter(alter::AlterArgs),
    /// Give a topic more partitions
    AddPartitions(add_partitions::AddPartitionsArgs),
    /// Delete the oldest records of a topic
    Trim(trim::TrimArgs),
    /// Show first and last offsets, or those at a time
    Offsets(offsets::OffsetsArgs),
}

pub(crate) fn run(args: TopicArgs) -> Done {
    let mut client = args.cluster.connect()?;
    let output = args.cluster.output();
    match args.command {
        TopicCommand::List(args) => list::run(&mut client, output, &args),
        TopicCommand::Describe(args) => describe::run(&mut client, output, &args),
        TopicCommand::Create(args) => create::run(&mut client, output, &args),
        TopicCommand::Delete(args) => delete::run(&mut client, output, &args),
        TopicCommand::Alter(args) => alter::run(&mut client, output, &args),
        TopicCommand::AddPartitions(args) => add_partitions::run(&mut client, output, &args),
        TopicCommand::Trim(args) => trim::run(&mut client, output, &args),
        TopicCommand::Offsets(args) => offsets::run(&mut client, output, &args),
    }
}

/// `1 partition`, `2 partitions`.
pub(crate) fn count(n: i64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}
