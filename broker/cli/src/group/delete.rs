//! `ringwood group delete`.

use super::failure;
use crate::failure::Done;
use crate::groups;
use crate::output::{Output, say};
use crate::several::{JsonError, Several};
use clap::Args;
use client::Client;
use serde::Serialize;
use wire::ErrorCode;

#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    /// Their names
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    /// A group that does not exist is no failure
    #[arg(long)]
    if_exists: bool,
}

#[derive(Serialize)]
struct Deleted {
    group: String,
    deleted: bool,
    #[serde(flatten)]
    error: Option<JsonError>,
}

pub(super) fn run(client: &mut Client, output: Output, args: &DeleteArgs) -> Done {
    let mut several = Several::default();
    let mut documents = Vec::new();
    for name in &args.groups {
        let mut document = Deleted { group: name.clone(), deleted: false, error: None };
        let done = groups::delete(client, name).and_then(|code| match code {
            ErrorCode::NONE => Ok(()),
            code => Err(groups::refused(name, code)),
        });
        match done {
            Ok(()) => {
                several.worked();
                say(format_args!("deleted {name}"));
                document.deleted = true;
            }
            Err(e) if args.if_exists && e.code() == Some(ErrorCode::GROUP_ID_NOT_FOUND) => {
                several.worked();
                say(format_args!("{name} does not exist"));
            }
            Err(e) => {
                let failure = failure(client, name, format!("cannot delete group {name}"), &e);
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
