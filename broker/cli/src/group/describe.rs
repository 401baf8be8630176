//! `ringwood group describe`.

use super::each::each;
use super::failure;
use crate::failure::{Done, Stop};
use crate::groups::{self, Described, Place};
use crate::output::{Column, Output};
use crate::topic::count;
use clap::Args;
use client::{Client, ClientError};
use serde::Serialize;
use std::collections::BTreeMap;
use wire::ErrorCode;

#[derive(Debug, Args)]
pub(super) struct DescribeArgs {
    /// Their names
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    /// Show the members and what each has, not the offsets
    #[arg(long)]
    members: bool,
}

#[derive(Serialize)]
struct Facts {
    state: String,
    #[serde(rename = "type")]
    kind: &'static str,
    assignor: String,
    coordinator: i32,
    /// Of the partitions whose lag is known.
    lag: i64,
    members: Vec<Member>,
    partitions: Vec<Partition>,
}

#[derive(Serialize)]
struct Member {
    member_id: String,
    instance_id: Option<String>,
    client_id: String,
    host: String,
    partitions: Vec<MemberPartition>,
}

#[derive(Serialize)]
struct MemberPartition {
    topic: String,
    partition: i32,
}

#[derive(Serialize)]
struct Partition {
    topic: String,
    partition: i32,
    committed: Option<i64>,
    leader_epoch: Option<i32>,
    end: Option<i64>,
    lag: Option<i64>,
    member_id: Option<String>,
    client_id: Option<String>,
    host: Option<String>,
}

pub(super) fn run(client: &mut Client, output: Output, args: &DescribeArgs) -> Done {
    let describe = |client: &mut Client, name: &str, facts: &mut Option<Facts>| {
        let found = look(client, name).map_err(|e| {
            let what = format!("cannot describe group {name}");
            Box::new(failure(client, name, what, &e))
        })?;
        *facts = Some(found);
        Ok(())
    };
    let show = |groups: Vec<(String, Option<Facts>)>| {
        for (i, (group, facts)) in groups.into_iter().enumerate() {
            let Some(facts) = facts else { continue };
            show(output, &group, facts, args.members, i > 0)?;
        }
        Ok(())
    };
    each(client, output, &args.groups, describe, show)?.done()
}

fn look(client: &mut Client, name: &str) -> Result<Facts, ClientError> {
    let described = groups::describe(client, name)?
        .ok_or_else(|| groups::refused(name, ErrorCode::GROUP_ID_NOT_FOUND))?;
    let partitions = partitions(client, name, &described)?;
    let members = described.members.into_iter().map(|m| Member {
        member_id: m.id,
        instance_id: Some(m.instance).filter(|i| !i.is_empty()),
        client_id: m.client_id,
        host: m.host,
        partitions: m
            .partitions
            .into_iter()
            .map(|(topic, partition)| MemberPartition { topic, partition })
            .collect(),
    });
    Ok(Facts {
        state: described.state,
        kind: described.kind,
        assignor: described.assignor,
        coordinator: described.coordinator.0,
        lag: partitions.iter().filter_map(|p| p.lag).sum(),
        members: members.collect(),
        partitions,
    })
}

/// Those with an offset and those that a member has, by topic and partition.
fn partitions(
    client: &mut Client,
    name: &str,
    described: &Described,
) -> Result<Vec<Partition>, ClientError> {
    let committed = groups::committed(client, name)?;
    let mut owners: BTreeMap<&Place, &groups::Member> = BTreeMap::new();
    for member in &described.members {
        owners.extend(member.partitions.iter().map(|p| (p, member)));
    }
    let mut places: Vec<Place> = committed.keys().chain(owners.keys().copied()).cloned().collect();
    places.sort();
    places.dedup();
    let ends = groups::ends(client, &places)?;
    let of = |place: Place| {
        let at = committed.get(&place);
        let end = ends.get(&place).copied();
        let owner = owners.get(&place);
        let committed = at.map(|c| c.offset.0);
        Partition {
            committed,
            leader_epoch: at.map(|c| c.leader_epoch.0).filter(|e| *e >= 0),
            end,
            lag: committed.zip(end).map(|(committed, end)| (end - committed).max(0)),
            member_id: owner.map(|m| m.id.clone()),
            client_id: owner.map(|m| m.client_id.clone()),
            host: owner.map(|m| m.host.clone()),
            topic: place.0,
            partition: place.1,
        }
    };
    Ok(places.into_iter().map(of).collect())
}

fn show(
    output: Output,
    group: &str,
    facts: Facts,
    members: bool,
    follows: bool,
) -> Result<(), Stop> {
    let n = i64::try_from(facts.members.len()).unwrap_or(i64::MAX);
    let space = if follows { "\n" } else { "" };
    output.heading(&format!(
        "{space}{group}  {}, {}, {}, {} behind",
        facts.state,
        facts.kind,
        count(n, "member"),
        count(facts.lag, "record")
    ))?;
    if members {
        show_members(output, group, facts.members)
    } else {
        show_partitions(output, group, facts.partitions)
    }
}

fn none() -> String {
    "-".to_owned()
}

fn show_members(output: Output, group: &str, members: Vec<Member>) -> Result<(), Stop> {
    let rows: Vec<_> = members
        .into_iter()
        .map(|m| {
            let has: Vec<String> = m
                .partitions
                .chunk_by(|a, b| a.topic == b.topic)
                .filter_map(|of_topic| {
                    let numbers: Vec<_> =
                        of_topic.iter().map(|p| p.partition.to_string()).collect();
                    of_topic.first().map(|p| format!("{}:{}", p.topic, numbers.join(",")))
                })
                .collect();
            let has = if has.is_empty() { none() } else { has.join(" ") };
            [
                group.to_owned(),
                m.member_id,
                m.instance_id.unwrap_or_else(none),
                m.client_id,
                m.host,
                has,
            ]
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    output.table(
        [
            Column::Left("GROUP"),
            Column::Left("MEMBER"),
            Column::Left("INSTANCE"),
            Column::Left("CLIENT"),
            Column::Left("HOST"),
            Column::Left("PARTITIONS"),
        ],
        &rows,
    )
}

fn show_partitions(output: Output, group: &str, partitions: Vec<Partition>) -> Result<(), Stop> {
    let number = |n: Option<i64>| n.map_or_else(none, |n| n.to_string());
    let rows: Vec<_> = partitions
        .into_iter()
        .map(|p| {
            [
                group.to_owned(),
                p.topic,
                p.partition.to_string(),
                number(p.committed),
                number(p.end),
                number(p.lag),
                p.client_id.unwrap_or_else(none),
                p.host.unwrap_or_else(none),
            ]
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    output.table(
        [
            Column::Left("GROUP"),
            Column::Left("TOPIC"),
            Column::Right("PARTITION"),
            Column::Right("COMMITTED"),
            Column::Right("END"),
            Column::Right("LAG"),
            Column::Left("CLIENT"),
            Column::Left("HOST"),
        ],
        &rows,
    )
}
