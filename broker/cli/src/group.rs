//! `ringwood group`: one file per verb.

mod delete;
mod delete_offsets;
mod describe;
mod each;
mod list;
mod reset;

use crate::connect::{ClusterArgs, near, no_partition, topic};
use crate::failure::{Done, Failure};
use crate::groups::{self, Place};
use clap::{Args, Subcommand};
use client::{Client, ClientError};
use wire::ErrorCode;

/// Look at consumer groups, move them, delete them.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct GroupArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(subcommand)]
    command: GroupCommand,
}

#[derive(Debug, Subcommand)]
enum GroupCommand {
    /// List groups
    List(list::ListArgs),
    /// Show how far groups have read, and who is in them
    Describe(describe::DescribeArgs),
    /// Move the committed offsets of groups without members
    Reset(reset::ResetArgs),
    /// Delete groups without members, with their offsets
    Delete(delete::DeleteArgs),
    /// Delete committed offsets of a group
    DeleteOffsets(delete_offsets::DeleteOffsetsArgs),
}

pub(crate) fn run(args: GroupArgs) -> Done {
    let mut client = args.cluster.connect()?;
    let output = args.cluster.output();
    match args.command {
        GroupCommand::List(args) => list::run(&mut client, output, &args),
        GroupCommand::Describe(args) => describe::run(&mut client, output, &args),
        GroupCommand::Reset(args) => reset::run(&mut client, output, &args),
        GroupCommand::Delete(args) => delete::run(&mut client, output, &args),
        GroupCommand::DeleteOffsets(args) => delete_offsets::run(&mut client, output, &args),
    }
}

/// What did not work with a group; a name that is near is suggested where there is no such group.
fn failure(client: &mut Client, group: &str, what: String, error: &ClientError) -> Failure {
    let mut failure = Failure::client("group", what, error);
    if error.code() == Some(ErrorCode::GROUP_ID_NOT_FOUND) {
        failure.cause =
            format!("{}: the cluster has no group {group}", ErrorCode::GROUP_ID_NOT_FOUND);
        let there = groups::list(client, &[], &[]).unwrap_or_default();
        if let Some(near) = near(group, there.iter().map(|g| g.id.as_str())) {
            failure.remedy = format!("did you mean {near}? `ringwood group list` shows all groups");
        }
    }
    failure
}

/// A topic, or some of its partitions: `orders`, `orders:0,2`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    topic: String,
    partitions: Vec<i32>,
}

fn part(text: &str) -> Result<Part, String> {
    let bad = || format!("`{text}` is no topic with partitions: write TOPIC or TOPIC:0,2");
    let (topic, list) = match text.split_once(':') {
        Some((topic, list)) => (topic, Some(list)),
        None => (text, None),
    };
    let numbers = list.into_iter().flat_map(|list| list.split(','));
    let partitions: Result<Vec<i32>, _> =
        numbers.map(|n| n.parse().ok().filter(|n| *n >= 0).ok_or_else(bad)).collect();
    if topic.is_empty() {
        Err(bad())
    } else {
        Ok(Part { topic: topic.to_owned(), partitions: partitions? })
    }
}

/// The partitions that are meant, which must exist.
fn places(client: &mut Client, parts: &[Part], what: &str) -> Result<Vec<Place>, Failure> {
    let mut places = Vec::new();
    for part in parts {
        let view = topic(client, &part.topic, what)?;
        if let Some(wrong) = part.partitions.iter().find(|p| view.partition(**p).is_none()) {
            return Err(Failure { what: what.to_owned(), ..no_partition(&view, *wrong) });
        }
        let all = view.partitions.iter().map(|p| p.index);
        let wanted = all.filter(|p| part.partitions.is_empty() || part.partitions.contains(p));
        places.extend(wanted.map(|p| (part.topic.clone(), p)));
    }
    places.sort();
    places.dedup();
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_a_topic_or_some_of_its_partitions() {
        let of = |topic: &str, partitions: &[i32]| {
            Ok(Part { topic: topic.into(), partitions: partitions.to_vec() })
        };
        assert_eq!(part("orders"), of("orders", &[]));
        assert_eq!(part("orders:0,2"), of("orders", &[0, 2]));
        for bad in ["", ":1", "t:", "t:x", "t:-1", "t:1,"] {
            assert!(part(bad).is_err(), "{bad}");
        }
    }
}
