//! `kafka-topics --create`, `--alter` and `--delete`.

use super::{existing, first_refusal};
use crate::faces::end::{Done, End, print, words_of};
use crate::faces::grammar::Words;
use client::{Client, ClientError, NewPartitions, Refusal, To};
use ids::{BrokerId, PartitionIndex};
use std::collections::BTreeSet;
use wire::ErrorCode;
use wire::api::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsResponse,
    CreatePartitionsTopic,
};
use wire::api::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
    CreateTopicsResponse,
};

pub(super) fn create(client: &mut Client, line: &Words) -> Done {
    let name = line.required("topic")?;
    let partitions: Option<i32> = line.number("partitions")?;
    let replicas: Option<i32> = line.number("replication-factor")?;
    if name.contains(['.', '_']) {
        print(
            "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. To avoid issues it is best to use either, but not both.",
        )?;
    }
    let mut configs = Vec::new();
    for pair in line.values("config") {
        let (key, value) = pair.split_once('=').ok_or_else(|| {
            End::Error(format!("Invalid topic config: {pair} is not in the format \"key=val\""))
        })?;
        configs.push((key.trim(), value.trim()));
    }
    let replication_factor = match replicas {
        None => -1,
        Some(n) => i16::try_from(n).ok().filter(|n| *n >= 1).ok_or_else(|| {
            End::Error(format!(
                "The replication factor must be between 1 and {} inclusive",
                i16::MAX
            ))
        })?,
    };
    if partitions.is_some_and(|n| n < 1) {
        return Err(End::Error("The partitions must be greater than 0".into()));
    }
    let assignments = assignment(line)?;
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name,
            num_partitions: partitions.unwrap_or(-1),
            replication_factor,
            assignments: (0..)
                .zip(assignments)
                .map(|(p, broker_ids)| CreatableReplicaAssignment {
                    partition_index: PartitionIndex(p),
                    broker_ids,
                })
                .collect(),
            configs: configs
                .iter()
                .map(|(name, value)| CreatableTopicConfig { name, value: Some(value) })
                .collect(),
        }],
        timeout_ms: timeout_ms(client),
        validate_only: false,
    };
    let reply = client.call(To::Controller, i16::MAX, &request)?;
    let response: CreateTopicsResponse<'_> = reply.decode().map_err(End::malformed)?;
    for t in &response.topics {
        match t.error_code {
            ErrorCode::NONE => print(&format!("Created topic {name}."))?,
            ErrorCode::TOPIC_ALREADY_EXISTS if line.has("if-not-exists") => {}
            code => return Err(refused(name, code, t.error_message)),
        }
    }
    Ok(())
}

fn refused(name: &str, code: ErrorCode, message: Option<&str>) -> End {
    let refusal = Refusal { what: name.to_owned(), code, message: message.map(str::to_owned) };
    End::Error(words_of(&refusal))
}

fn timeout_ms(client: &Client) -> i32 {
    i32::try_from(client.config().request_timeout.as_millis()).unwrap_or(i32::MAX)
}

pub(super) fn alter(client: &mut Client, line: &Words) -> Done {
    let topics = existing(client, line)?;
    let total: i32 = line.number("partitions")?.unwrap_or(0);
    let assignments = assignment(line)?;
    if assignments.is_empty() {
        let wanted: Vec<_> =
            topics.into_iter().map(|t| NewPartitions { topic: t.name, total }).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let outcomes = client.create_partitions(&wanted, false).map_err(End::from)?;
        return first_refusal(outcomes);
    }
    let request = CreatePartitionsRequest {
        topics: topics
            .iter()
            .map(|t| CreatePartitionsTopic {
                name: &t.name,
                count: total,
                // Those of the partitions that are there already stay as they are.
                assignments: Some(
                    assignments
                        .iter()
                        .skip(t.partitions.len())
                        .map(|b| CreatePartitionsAssignment { broker_ids: b.clone() })
                        .collect(),
                ),
            })
            .collect(),
        timeout_ms: timeout_ms(client),
        validate_only: false,
    };
    let reply = client.call(To::Controller, i16::MAX, &request)?;
    let response: CreatePartitionsResponse<'_> = reply.decode().map_err(End::malformed)?;
    match response.results.iter().find(|r| r.error_code != ErrorCode::NONE) {
        None => Ok(()),
        Some(r) => Err(refused(r.name, r.error_code, r.error_message)),
    }
}

pub(super) fn delete(client: &mut Client, line: &Words) -> Done {
    let topics = existing(client, line)?;
    let names: Vec<_> = topics.iter().map(|t| t.name.as_str()).collect();
    if names.is_empty() {
        return Ok(());
    }
    let outcomes = client.delete_topics(&names).map_err(|e: ClientError| End::from(e))?;
    first_refusal(outcomes)
}

/// `--replica-assignment`: the brokers of each partition, `1:2,2:1`.
fn assignment(line: &Words) -> Result<Vec<Vec<BrokerId>>, End> {
    let Some(text) = line.value("replica-assignment")?.filter(|t| !t.is_empty()) else {
        return Ok(Vec::new());
    };
    let mut all: Vec<Vec<BrokerId>> = Vec::new();
    for (at, part) in text.split(',').enumerate() {
        let brokers: Vec<BrokerId> = part
            .split(':')
            .map(|id| {
                id.trim().parse().map(BrokerId).map_err(|_| {
                    End::Error(format!("For input string: \"{}\": it is no broker's id", id.trim()))
                })
            })
            .collect::<Result<_, End>>()?;
        let distinct: BTreeSet<_> = brokers.iter().collect();
        if distinct.len() != brokers.len() {
            return Err(End::Error(format!(
                "Partition replica lists may not contain duplicate entries: {part}"
            )));
        }
        if all.first().is_some_and(|first| first.len() != brokers.len()) {
            return Err(End::Error(format!(
                "Partition {at} has different replication factor: {part}"
            )));
        }
        all.push(brokers);
    }
    Ok(all)
}
