//! `ringwood group delete-offsets`.

use super::{Part, failure, part, places};
use crate::failure::{Done, Failure};
use crate::groups;
use crate::output::{Output, say};
use crate::several::{JsonError, Several};
use clap::Args;
use client::Client;
use serde::Serialize;
use wire::ErrorCode;

#[derive(Debug, Args)]
pub(super) struct DeleteOffsetsArgs {
    /// The group
    group: String,
    /// A topic, or some of its partitions: orders, orders:0,2; may be repeated
    #[arg(short, long = "topic", required = true, value_name = "TOPIC[:N,...]", value_parser = part)]
    topics: Vec<Part>,
}

#[derive(Serialize)]
struct Deleted {
    topic: String,
    partition: i32,
    deleted: bool,
    #[serde(flatten)]
    error: Option<JsonError>,
}

pub(super) fn run(client: &mut Client, output: Output, args: &DeleteOffsetsArgs) -> Done {
    let group = &args.group;
    let what = format!("cannot delete offsets of group {group}");
    let places = places(client, &args.topics, &what)?;
    let found = groups::delete_offsets(client, group, &places)
        .and_then(|found| found.map_err(|code| groups::refused(group, code)))
        .map_err(|e| failure(client, group, what, &e))?;
    let mut several = Several::default();
    let mut documents = Vec::new();
    for ((topic, partition), code) in found {
        let mut document = Deleted {
            topic: topic.clone(),
            partition,
            deleted: code == ErrorCode::NONE,
            error: None,
        };
        if document.deleted {
            several.worked();
            say(format_args!("deleted the offset of partition {partition} of {topic}"));
        } else {
            let what = format!(
                "cannot delete the offset of group {group} in partition {partition} of topic {topic}"
            );
            let failure = Failure::client("group", what, &groups::refused(group, code));
            several.failed(&failure);
            document.error = Some(JsonError::from(&failure));
        }
        documents.push(document);
    }
    if output.json {
        output.json(&documents)?;
    }
    several.done()
}
