//! `ringwood topic add-partitions`.

use super::count;
use crate::connect::topic;
use crate::failure::{Done, Failure};
use crate::output::{Output, say};
use clap::{ArgGroup, Args};
use client::{Client, NewPartitions};
use serde::Serialize;

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("how many").required(true)))]
pub(super) struct AddPartitionsArgs {
    /// The topic
    topic: String,
    /// How many it shall have in all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..), group = "how many")]
    total: Option<i32>,
    /// How many to add
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..), group = "how many")]
    add: Option<i32>,
    /// Only check whether it would work
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Grown<'a> {
    name: &'a str,
    partitions_before: i32,
    partitions: i32,
}

pub(super) fn run(client: &mut Client, output: Output, args: &AddPartitionsArgs) -> Done {
    let name = &args.topic;
    let what = format!("cannot add partitions to topic {name}");
    let view = topic(client, name, &what)?;
    let before = i32::try_from(view.partitions.len()).unwrap_or(i32::MAX);
    let total = args.total.unwrap_or_else(|| before.saturating_add(args.add.unwrap_or(0)));
    let new = NewPartitions { topic: name.clone(), total };
    let outcomes = client
        .create_partitions(&[new], args.dry_run)
        .map_err(|e| Failure::client("topic", what.clone(), &e))?;
    for outcome in outcomes {
        outcome.result.map_err(|refusal| Failure::refused("topic", what.clone(), &refusal))?;
    }
    let verb = if args.dry_run { "would have" } else { "has" };
    say(format_args!("{name} {verb} {}, it had {before}", count(total.into(), "partition")));
    if !args.dry_run {
        say("keys may now belong to another partition than before");
    }
    if output.json {
        let partitions = if args.dry_run { before } else { total };
        output.json(&Grown { name, partitions_before: before, partitions })?;
    }
    Ok(())
}
