//! `ringwood cluster`: who is there.

use crate::connect::ClusterArgs;
use crate::failure::{Done, Failure, Stop};
use crate::output::{Column, Output};
use clap::{Args, Subcommand};
use client::{Client, ClusterDescription};
use serde::Serialize;

/// Look at the cluster and its brokers.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct ClusterCommandArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(subcommand)]
    command: ClusterCommand,
}

#[derive(Debug, Subcommand)]
enum ClusterCommand {
    /// The cluster's id, controller, and how much it holds
    Info,
    /// The brokers, one a line
    Brokers,
}

pub(crate) fn run(args: &ClusterCommandArgs) -> Done {
    let mut client = args.cluster.connect()?;
    let output = args.cluster.output();
    let described = client
        .describe_cluster()
        .map_err(|e| Failure::client("cluster", "cannot describe the cluster", &e))?;
    match args.command {
        ClusterCommand::Info => info(&mut client, output, &described),
        ClusterCommand::Brokers => brokers(output, &described),
    }
}

#[derive(Serialize)]
struct Info {
    cluster_id: Option<String>,
    controller: Option<i32>,
    brokers: usize,
    topics: usize,
    partitions: usize,
    leaderless_partitions: usize,
    apis: usize,
}

fn info(client: &mut Client, output: Output, described: &ClusterDescription) -> Done {
    let failed = |e: &client::ClientError| {
        Stop::from(Failure::client("cluster", "cannot describe the cluster", e))
    };
    let view = client.refresh_all().map_err(|e| failed(&e))?;
    let topics: Vec<_> = view.topics.values().filter(|t| !t.is_internal).collect();
    let partitions = topics.iter().flat_map(|t| &t.partitions);
    let mut info = Info {
        cluster_id: described.id.clone(),
        controller: described.controller.map(|id| id.0),
        brokers: described.brokers.len(),
        topics: topics.len(),
        partitions: partitions.clone().count(),
        leaderless_partitions: partitions.filter(|p| p.leader == ids::BrokerId::NONE).count(),
        apis: 0,
    };
    info.apis = client.versions().map_err(|e| failed(&e))?.iter().count();
    if output.json {
        return output.json(&info);
    }
    let row = |name: &str, value: String| [name.to_owned(), value];
    let none = || "-".to_owned();
    output.table(
        [Column::Left("CLUSTER"), Column::Left("")],
        &[
            row("id", info.cluster_id.unwrap_or_else(none)),
            row("controller", info.controller.map_or_else(none, |id| id.to_string())),
            row("brokers", info.brokers.to_string()),
            row("topics", info.topics.to_string()),
            row("partitions", info.partitions.to_string()),
            row("leaderless partitions", info.leaderless_partitions.to_string()),
            row("Kafka APIs", info.apis.to_string()),
        ],
    )
}

#[derive(Serialize)]
struct Broker<'a> {
    id: i32,
    host: &'a str,
    port: i32,
    rack: Option<&'a str>,
    controller: bool,
    fenced: bool,
}

fn brokers(output: Output, described: &ClusterDescription) -> Done {
    let brokers: Vec<_> = described
        .brokers
        .iter()
        .map(|(b, fenced)| Broker {
            id: b.id.0,
            host: &b.host,
            port: b.port,
            rack: b.rack.as_deref(),
            controller: described.controller == Some(b.id),
            fenced: *fenced,
        })
        .collect();
    if output.json {
        return output.json(&brokers);
    }
    let rows: Vec<_> = brokers
        .iter()
        .map(|b| {
            let role = match (b.controller, b.fenced) {
                (true, _) => "controller",
                (false, true) => "fenced",
                (false, false) => "broker",
            };
            [
                b.id.to_string(),
                b.host.to_owned(),
                b.port.to_string(),
                b.rack.unwrap_or("-").to_owned(),
                role.to_owned(),
            ]
        })
        .collect();
    output.table(
        [
            Column::Right("ID"),
            Column::Left("HOST"),
            Column::Right("PORT"),
            Column::Left("RACK"),
            Column::Left("ROLE"),
        ],
        &rows,
    )
}
