//! `ringwood topic list`.

use crate::failure::{Done, Failure};
use crate::output::{Column, Output, say};
use clap::Args;
use client::{Client, TopicView};
use ids::TopicId;
use serde::Serialize;
use wire::ErrorCode;

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Kafka's own topics too
    #[arg(long)]
    internal: bool,
}

#[derive(Serialize)]
struct Topic<'a> {
    name: &'a str,
    id: Option<String>,
    partitions: usize,
    replication_factor: usize,
    internal: bool,
}

/// A topic's id, if the broker gives ids.
pub(super) fn id(view: &TopicView) -> Option<String> {
    (view.id != TopicId([0; 16])).then(|| view.id.to_string())
}

pub(super) fn replication_factor(view: &TopicView) -> usize {
    view.partitions.first().map_or(0, |p| p.replicas.len())
}

pub(super) fn run(client: &mut Client, output: Output, args: &ListArgs) -> Done {
    let view =
        client.refresh_all().map_err(|e| Failure::client("topic", "cannot list the topics", &e))?;
    let topics: Vec<_> = view
        .topics
        .values()
        .filter(|t| t.error == ErrorCode::NONE && (args.internal || !t.is_internal))
        .map(|t| Topic {
            name: &t.name,
            id: id(t),
            partitions: t.partitions.len(),
            replication_factor: replication_factor(t),
            internal: t.is_internal,
        })
        .collect();
    if output.json {
        return output.json(&topics);
    }
    if topics.is_empty() && output.terminal {
        say("no topics yet: make one with `ringwood topic create NAME`");
        return Ok(());
    }
    let rows: Vec<_> = topics
        .iter()
        .map(|t| [t.name.to_owned(), t.partitions.to_string(), t.replication_factor.to_string()])
        .collect();
    output.table(
        [Column::Left("TOPIC"), Column::Right("PARTITIONS"), Column::Right("REPLICAS")],
        &rows,
    )
}
