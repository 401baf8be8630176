//! `ringwood group list`.

use crate::failure::{Done, Failure};
use crate::groups;
use crate::output::{Column, Output};
use clap::Args;
use client::Client;
use serde::Serialize;

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only groups in this state, such as stable or empty; may be repeated
    #[arg(long = "state", value_name = "STATE", value_delimiter = ',')]
    states: Vec<String>,
    /// Only groups of this type, classic or consumer; may be repeated
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
}

#[derive(Serialize)]
struct Group {
    group: String,
    state: String,
    #[serde(rename = "type")]
    kind: String,
    protocol_type: String,
}

pub(super) fn run(client: &mut Client, output: Output, args: &ListArgs) -> Done {
    let states: Vec<&str> = args.states.iter().map(String::as_str).collect();
    let types: Vec<&str> = args.types.iter().map(String::as_str).collect();
    let found = groups::list(client, &states, &types)
        .map_err(|e| Failure::client("group", "cannot list the groups", &e))?;
    let found: Vec<Group> = found
        .into_iter()
        .map(|g| Group {
            group: g.id,
            state: g.state,
            kind: g.kind.to_lowercase(),
            protocol_type: g.protocol_type,
        })
        .collect();
    if output.json {
        return output.json(&found);
    }
    let rows: Vec<_> =
        found.into_iter().map(|g| [g.group, g.state, g.kind, g.protocol_type]).collect();
    if rows.is_empty() {
        return Ok(());
    }
    output.table(
        [
            Column::Left("GROUP"),
            Column::Left("STATE"),
            Column::Left("TYPE"),
            Column::Left("PROTOCOL TYPE"),
        ],
        &rows,
    )
}
