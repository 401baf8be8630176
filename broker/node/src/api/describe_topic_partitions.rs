//! DescribeTopicPartitions (KIP-966): topics page by page, in the order of their names.

use super::{Asked, operations, read, reply};
use crate::broker::Broker;
use cluster::{ClusterImage, Topic, name};
use server::Reply;
use std::collections::BTreeSet;
use wire::api::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use wire::{DecodeError, ErrorCode, Reader};

/// `max.request.partition.size.limit`.
const PARTITIONS_MAX: i32 = 2000;

pub(super) fn answer(
    broker: &Broker,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: DescribeTopicPartitionsRequest<'_> = read(reader, asked)?;
    let image = broker.metadata.image();
    let mut names: BTreeSet<&str> = if request.topics.is_empty() {
        image.topics().map(|t| &*t.name).collect()
    } else {
        request.topics.iter().map(|t| t.name).collect()
    };
    // A client goes on where it was told to: at a partition, of a topic that it asks for.
    let astray = |c: &Cursor<'_>| {
        c.partition_index.0 < 0 || !request.topics.is_empty() && !names.contains(c.topic_name)
    };
    if request.cursor.as_ref().is_some_and(astray) {
        let topics = request.topics.iter().map(|t| refused(t.name)).collect();
        let body = DescribeTopicPartitionsResponse {
            topics,
            ..DescribeTopicPartitionsResponse::default()
        };
        return Ok(reply(asked, &body));
    }
    let (from, mut first) = match &request.cursor {
        Some(c) => (c.topic_name, c.partition_index.0),
        None => ("", 0),
    };
    names = names.split_off(from);
    let limit = request.response_partition_limit.clamp(1, PARTITIONS_MAX);
    let mut left = usize::try_from(limit).unwrap_or(1);
    let mut topics = Vec::new();
    let mut next_cursor = None;
    for name in names {
        let start = if name == from { std::mem::take(&mut first) } else { 0 };
        let Some(topic) = image.topic_named(name) else {
            topics.push(unknown(name));
            continue;
        };
        let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        if left == 0 {
            next_cursor =
                Some(Cursor { topic_name: name, partition_index: ids::PartitionIndex(start) });
            break;
        }
        let described = describe(&image, topic, start, left);
        left -= described.partitions.len();
        let reached = start + i32::try_from(described.partitions.len()).unwrap_or(i32::MAX);
        topics.push(described);
        if reached < count {
            let partition_index = ids::PartitionIndex(reached);
            next_cursor = Some(Cursor { topic_name: name, partition_index });
            break;
        }
    }
    let body = DescribeTopicPartitionsResponse {
        topics,
        next_cursor,
        ..DescribeTopicPartitionsResponse::default()
    };
    Ok(reply(asked, &body))
}

/// There is no place for an error of the whole request: each topic has it.
fn refused(topic: &str) -> DescribeTopicPartitionsResponseTopic<'_> {
    DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::INVALID_REQUEST,
        name: Some(topic),
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

fn unknown(topic: &str) -> DescribeTopicPartitionsResponseTopic<'_> {
    let valid = name::check(topic).is_ok();
    DescribeTopicPartitionsResponseTopic {
        error_code: if valid {
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        } else {
            ErrorCode::INVALID_TOPIC_EXCEPTION
        },
        name: Some(topic),
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

fn describe<'a>(
    image: &ClusterImage,
    topic: &'a Topic,
    start: i32,
    limit: usize,
) -> DescribeTopicPartitionsResponseTopic<'a> {
    let partitions = topic
        .partition_ids()
        .skip(usize::try_from(start).unwrap_or(0))
        .take(limit)
        .filter_map(|id| image.partition(id).map(|p| (id, p)))
        .map(|(id, p)| DescribeTopicPartitionsResponsePartition {
            error_code: ErrorCode::NONE,
            partition_index: id.index,
            leader_id: p.leader,
            leader_epoch: p.leader_epoch,
            replica_nodes: p.replicas.to_vec(),
            isr_nodes: p.isr.to_vec(),
            eligible_leader_replicas: Some(p.elr.to_vec()),
            last_known_elr: Some(Vec::new()),
            offline_replicas: Vec::new(),
        })
        .collect();
    DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::NONE,
        name: Some(&topic.name),
        topic_id: topic.id,
        is_internal: name::is_internal(&topic.name),
        partitions,
        topic_authorized_operations: operations::of_topic(true),
    }
}
