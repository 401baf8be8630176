//! `ringwood topic describe`.

use super::{count, list};
use crate::connect::topic;
use crate::failure::{Done, Failure};
use crate::output::{Column, Output};
use crate::several::Several;
use clap::Args;
use client::{
    Client, ConfigResource, ConfigSource, FoundOffset, Isolation, OffsetQuery, Refusal, TopicView,
};
use ids::BrokerId;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Debug, Args)]
pub(super) struct DescribeArgs {
    /// The topics
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
}

#[derive(Serialize)]
struct Described {
    name: String,
    id: Option<String>,
    internal: bool,
    replication_factor: usize,
    partitions: Vec<Partition>,
    configs: Vec<Config>,
}

#[derive(Serialize)]
struct Partition {
    partition: i32,
    leader: Option<i32>,
    leader_epoch: i32,
    replicas: Vec<i32>,
    in_sync: Vec<i32>,
    offline: Vec<i32>,
    log_start_offset: Option<i64>,
    high_watermark: Option<i64>,
}

#[derive(Serialize)]
struct Config {
    name: String,
    value: Option<String>,
}

pub(super) fn run(client: &mut Client, output: Output, args: &DescribeArgs) -> Done {
    let mut several = Several::default();
    let mut described = Vec::new();
    for name in &args.topics {
        match describe(client, name) {
            Ok(topic) => {
                several.worked();
                described.push(topic);
            }
            Err(failure) => several.failed(&failure),
        }
    }
    if output.json {
        output.json(&described)?;
    } else {
        for topic in &described {
            show(output, topic)?;
        }
    }
    several.done()
}

fn describe(client: &mut Client, name: &str) -> Result<Described, Failure> {
    let what = format!("cannot describe topic {name}");
    let view = topic(client, name, &what)?;
    let failed = |e: &client::ClientError| Failure::client("topic", what.clone(), e);
    let offsets = Offsets::ask(client, &view).map_err(|e| failed(&e))?;
    let configs =
        client.describe_config(&ConfigResource::topic(name), None).map_err(|e| failed(&e))?;
    Ok(Described {
        name: name.to_owned(),
        id: list::id(&view),
        internal: view.is_internal,
        replication_factor: list::replication_factor(&view),
        partitions: view.partitions.iter().map(|p| partition(p, &offsets)).collect(),
        configs: configs
            .into_iter()
            .filter(|c| c.source == ConfigSource::Topic)
            .map(|c| Config { name: c.name, value: c.value })
            .collect(),
    })
}

fn partition(p: &client::PartitionView, offsets: &Offsets) -> Partition {
    let ids = |list: &[BrokerId]| list.iter().map(|b| b.0).collect();
    Partition {
        partition: p.index,
        leader: (p.leader != BrokerId::NONE).then_some(p.leader.0),
        leader_epoch: p.leader_epoch.0,
        replicas: ids(&p.replicas),
        in_sync: ids(&p.in_sync),
        offline: ids(&p.offline),
        log_start_offset: Offsets::at(&offsets.earliest, p.index),
        high_watermark: Offsets::at(&offsets.latest, p.index),
    }
}

fn show(output: Output, described: &Described) -> Done {
    let partitions = i64::try_from(described.partitions.len()).unwrap_or(i64::MAX);
    let replicas = i64::try_from(described.replication_factor).unwrap_or(i64::MAX);
    output.heading(&format!(
        "{}  {}, {}{}",
        described.name,
        count(partitions, "partition"),
        if replicas == 1 { "1 replica each".into() } else { format!("{replicas} replicas each") },
        described.id.as_ref().map_or_else(String::new, |id| format!(", id {id}")),
    ))?;
    for c in &described.configs {
        output.heading(&format!("  {}={}", c.name, c.value.as_deref().unwrap_or_default()))?;
    }
    let number = |n: Option<i64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let list = |ids: &[i32]| ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
    let rows: Vec<_> = described
        .partitions
        .iter()
        .map(|p| {
            [
                described.name.to_owned(),
                p.partition.to_string(),
                p.leader.map_or_else(|| "none".to_owned(), |id| id.to_string()),
                p.leader_epoch.to_string(),
                list(&p.replicas),
                list(&p.in_sync),
                number(p.log_start_offset),
                number(p.high_watermark),
            ]
        })
        .collect();
    output.table(
        [
            Column::Left("TOPIC"),
            Column::Right("PARTITION"),
            Column::Right("LEADER"),
            Column::Right("EPOCH"),
            Column::Left("REPLICAS"),
            Column::Left("IN SYNC"),
            Column::Right("START"),
            Column::Right("END"),
        ],
        &rows,
    )
}

/// First and last offsets of a topic's partitions; those that cannot be had are left out.
struct Offsets {
    earliest: BTreeMap<i32, Result<FoundOffset, Refusal>>,
    latest: BTreeMap<i32, Result<FoundOffset, Refusal>>,
}

impl Offsets {
    fn ask(client: &mut Client, view: &TopicView) -> Result<Self, client::ClientError> {
        let mut ask = |query| {
            // A partition without a leader has nobody to ask, and waiting for one helps nobody who wants to see that.
            let led = view.partitions.iter().filter(|p| p.leader != BrokerId::NONE);
            let queries: Vec<_> = led.map(|p| (p.index, query)).collect();
            client.list_offsets(&view.name, &queries, Isolation::default())
        };
        Ok(Self { earliest: ask(OffsetQuery::Earliest)?, latest: ask(OffsetQuery::Latest)? })
    }

    fn at(offsets: &BTreeMap<i32, Result<FoundOffset, Refusal>>, partition: i32) -> Option<i64> {
        offsets.get(&partition)?.as_ref().ok().map(|found| found.offset.0)
    }
}
