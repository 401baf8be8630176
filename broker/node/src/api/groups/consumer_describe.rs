//! ConsumerGroupDescribe: epochs, members and assignments of consumer groups (KIP-848).

use super::super::{Asked, once, operations, read, reply};
use super::each::{Found, ask_each};
use crate::broker::Broker;
use coordinator::{DescribedConsumerGroup, DescribedPartitions};
use ids::PartitionId;
use server::Reply;
use std::rc::Rc;
use wire::api::consumer_group_describe::{
    Assignment, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribedGroup,
    Member, TopicPartitions,
};
use wire::{DecodeError, ErrorCode, Reader};

/// The member types (KIP-1099): which protocol it speaks.
const CLASSIC: i8 = 0;
const CONSUMER: i8 = 1;

pub(in super::super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let mut request: ConsumerGroupDescribeRequest<'_> = read(reader, asked)?;
    once(&mut request.group_ids, |group| *group);
    let found = ask_each(broker, &request.group_ids, look).await;
    let operations = operations::of_group(request.include_authorized_operations);
    let groups = request
        .group_ids
        .iter()
        .zip(&found)
        .map(|(group, found)| DescribedGroup {
            authorized_operations: operations,
            ..phrase(group, found)
        })
        .collect();
    Ok(reply(
        asked,
        &ConsumerGroupDescribeResponse { groups, ..ConsumerGroupDescribeResponse::default() },
    ))
}

async fn look(broker: Rc<Broker>, id: PartitionId, group: String) -> Found<DescribedConsumerGroup> {
    broker.groups.look(id, |c| c.describe_consumer_group(&group)).map_err(|e| e.code())
}

fn phrase<'a>(group_id: &'a str, found: &'a Found<DescribedConsumerGroup>) -> DescribedGroup<'a> {
    match found {
        Ok(_) if group_id.is_empty() => DescribedGroup {
            error_code: ErrorCode::INVALID_GROUP_ID,
            error_message: Some("the group id is empty"),
            ..DescribedGroup::default()
        },
        Err(code) => DescribedGroup { group_id, error_code: *code, ..DescribedGroup::default() },
        Ok(None) => DescribedGroup {
            group_id,
            error_code: ErrorCode::GROUP_ID_NOT_FOUND,
            error_message: Some("there is no consumer group of this name"),
            ..DescribedGroup::default()
        },
        Ok(Some(g)) => DescribedGroup {
            group_id,
            group_state: g.state.name(),
            group_epoch: g.epoch,
            assignment_epoch: g.assignment_epoch,
            assignor_name: &g.assignor,
            members: g
                .members
                .iter()
                .map(|m| Member {
                    member_id: &m.member_id,
                    instance_id: m.instance_id.as_deref(),
                    rack_id: m.rack_id.as_deref(),
                    member_epoch: m.epoch,
                    client_id: &m.client_id,
                    client_host: &m.client_host,
                    subscribed_topic_names: m.topics.iter().map(String::as_str).collect(),
                    subscribed_topic_regex: m.pattern.as_deref(),
                    assignment: assignment(&m.assigned),
                    target_assignment: assignment(&m.target),
                    member_type: if m.is_classic { CLASSIC } else { CONSUMER },
                })
                .collect(),
            ..DescribedGroup::default()
        },
    }
}

fn assignment(topics: &[DescribedPartitions]) -> Assignment<'_> {
    let topic_partitions = topics
        .iter()
        .map(|t| TopicPartitions {
            topic_id: t.topic_id,
            topic_name: &t.topic,
            partitions: t.partitions.clone(),
        })
        .collect();
    Assignment { topic_partitions }
}
