//! `ringwood topic delete`.

use crate::connect::near;
use crate::failure::{Done, Failure};
use crate::output::{Output, say};
use crate::several::{JsonError, Several};
use clap::Args;
use client::Client;
use serde::Serialize;
use wire::ErrorCode;

#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    /// Their names
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// A topic that does not exist is no failure
    #[arg(long)]
    if_exists: bool,
}

#[derive(Serialize)]
struct Deleted {
    name: String,
    deleted: bool,
    #[serde(flatten)]
    error: Option<JsonError>,
}

pub(super) fn run(client: &mut Client, output: Output, args: &DeleteArgs) -> Done {
    let names: Vec<_> = args.topics.iter().map(String::as_str).collect();
    let outcomes = client
        .delete_topics(&names)
        .map_err(|e| Failure::client("topic", "cannot delete the topics", &e))?;
    let mut several = Several::default();
    let mut documents = Vec::new();
    for outcome in outcomes {
        let mut document = Deleted { name: outcome.name, deleted: false, error: None };
        let name = &document.name;
        match outcome.result {
            Ok(()) => {
                several.worked();
                say(format_args!("deleted {name}"));
                document.deleted = true;
            }
            Err(refusal)
                if args.if_exists && refusal.code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION =>
            {
                several.worked();
                say(format_args!("{name} does not exist"));
            }
            Err(refusal) => {
                let what = format!("cannot delete topic {name}");
                let mut failure = Failure::refused("topic", what, &refusal);
                if refusal.code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION {
                    let there = client.refresh_all().ok().map(|view| &view.topics);
                    let near = there.and_then(|t| near(name, t.keys().map(String::as_str)));
                    let suggestion =
                        near.map_or_else(String::new, |n| format!("did you mean {n}? "));
                    failure.cause = format!("{}: the cluster has no topic {name}", refusal.code);
                    failure.remedy = format!(
                        "{suggestion}`ringwood topic list` shows what there is; --if-exists lets it pass"
                    );
                }
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
