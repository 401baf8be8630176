//! `ringwood topic alter`.

use crate::changes;
use crate::config;
use crate::connect::topic;
use crate::failure::Done;
use crate::output::Output;
use clap::{ArgGroup, Args};
use client::{Client, ConfigResource};

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("change").required(true).multiple(true)))]
pub(super) struct AlterArgs {
    /// The topic
    topic: String,
    /// Give a key a value; may be repeated
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = changes::pair, group = "change")]
    set: Vec<(String, String)>,
    /// Take a key's value away, so that the default counts again; may be repeated
    #[arg(short, long, value_name = "KEY", value_parser = changes::key, group = "change")]
    unset: Vec<String>,
    /// Add to a list such as cleanup.policy; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = changes::pair, group = "change")]
    append: Vec<(String, String)>,
    /// Take from a list; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = changes::pair, group = "change")]
    subtract: Vec<(String, String)>,
    /// Only check whether it would work
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(client: &mut Client, output: Output, args: &AlterArgs) -> Done {
    topic(client, &args.topic, &format!("cannot change topic {}", args.topic))?;
    let changes = changes::changes(&args.set, &args.unset, &args.append, &args.subtract);
    config::alter(client, output, &ConfigResource::topic(&args.topic), &changes, args.dry_run)
}
