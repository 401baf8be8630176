//! `ringwood topic create`.

use super::count;
use crate::changes;
use crate::failure::{Done, Failure};
use crate::output::{Output, say};
use crate::several::{JsonError, Several};
use clap::Args;
use client::{Client, NewTopic};
use ids::TopicId;
use serde::Serialize;
use wire::ErrorCode;

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// Their names
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Partitions [default: the broker's num.partitions]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Replicas of each partition [default: the broker's default.replication.factor]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replicas: Option<i16>,
    /// A configuration of its own, such as retention.ms=3600000; may be repeated
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = changes::pair)]
    configs: Vec<(String, String)>,
    /// A topic that exists is no failure
    #[arg(long)]
    if_not_exists: bool,
    /// Only check whether it would work
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Created {
    name: String,
    created: bool,
    id: Option<String>,
    partitions: Option<i32>,
    replication_factor: Option<i16>,
    #[serde(flatten)]
    error: Option<JsonError>,
}

pub(super) fn run(client: &mut Client, output: Output, args: &CreateArgs) -> Done {
    let topics: Vec<_> = args
        .topics
        .iter()
        .map(|name| NewTopic {
            name: name.clone(),
            partitions: args.partitions,
            replication_factor: args.replicas,
            configs: args.configs.clone(),
        })
        .collect();
    let outcomes = client
        .create_topics(&topics, args.dry_run)
        .map_err(|e| Failure::client("topic", "cannot create the topics", &e))?;
    let mut several = Several::default();
    let mut documents = Vec::new();
    for outcome in outcomes {
        let mut document = Created {
            name: outcome.name,
            created: false,
            id: None,
            partitions: None,
            replication_factor: None,
            error: None,
        };
        let name = &document.name;
        match outcome.result {
            Ok(t) => {
                several.worked();
                document.created = !args.dry_run;
                document.id = (t.id != TopicId([0; 16])).then(|| t.id.to_string());
                document.partitions = (t.partitions >= 0).then_some(t.partitions);
                document.replication_factor =
                    (t.replication_factor >= 0).then_some(t.replication_factor);
                let verb = if args.dry_run { "would create" } else { "created" };
                let size = document.partitions.map_or_else(String::new, |n| {
                    let replicas = document.replication_factor.unwrap_or(1);
                    let each = count(replicas.into(), "replica");
                    format!(": {}, {each} each", count(n.into(), "partition"))
                });
                say(format_args!("{verb} {name}{size}"));
            }
            Err(refusal)
                if args.if_not_exists && refusal.code == ErrorCode::TOPIC_ALREADY_EXISTS =>
            {
                several.worked();
                say(format_args!("{name} exists already"));
            }
            Err(refusal) => {
                let failure =
                    Failure::refused("topic", format!("cannot create topic {name}"), &refusal);
                several.failed(&failure);
                document.error = Some(JsonError::from(&failure));
            }
        }
        documents.push(document);
    }
    if output.json {
        output.json(&documents)?;
    }
    several.done()
}
