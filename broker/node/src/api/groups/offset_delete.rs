//! OffsetDelete (KIP-496): forgets offsets of topics that a group does not read any more. What does not exist is told, as where
//! offsets are committed: a mistyped topic is no success.

use super::super::{Asked, read, reply};
use super::{exists, partition};
use crate::broker::Broker;
use crate::groups::NoCoordinator;
use coordinator::{OffsetDelete, OffsetDeleteResponse as Deleted};
use ids::PartitionIndex;
use server::Reply;
use std::collections::BTreeMap;
use std::rc::Rc;
use wire::api::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};
use wire::{DecodeError, ErrorCode, Reader};

pub(in super::super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: OffsetDeleteRequest<'_> = read(reader, asked)?;
    let delete = OffsetDelete {
        group_id: request.group_id,
        topics: request
            .topics
            .iter()
            .map(|t| {
                let indexes = t.partitions.iter().map(|p| p.partition_index);
                (t.name, indexes.filter(|index| exists(broker, t.name, *index)).collect())
            })
            .filter(|(_, partitions): &(_, Vec<_>)| !partitions.is_empty())
            .collect(),
    };
    let deleted = match partition(broker, request.group_id) {
        Some(id) => broker.groups.ask_and_wait(id, |c, now| c.offset_delete(&delete, now)).await,
        None => Err(NoCoordinator::NotHere),
    };
    let deleted: Deleted =
        deleted.unwrap_or_else(|e| Deleted { error_code: e.code(), topics: Vec::new() });
    let codes: BTreeMap<(&str, PartitionIndex), ErrorCode> = deleted
        .topics
        .iter()
        .flat_map(|t| t.partitions.iter().map(|p| ((t.name.as_str(), p.partition), p.error_code)))
        .collect();
    // What is wrong with the group as a whole stands for everything.
    let asked_for = request.topics.iter().filter(|_| deleted.error_code == ErrorCode::NONE);
    let topics = asked_for
        .map(|t| OffsetDeleteResponseTopic {
            name: t.name,
            partitions: t
                .partitions
                .iter()
                .map(|p| OffsetDeleteResponsePartition {
                    partition_index: p.partition_index,
                    error_code: codes
                        .get(&(t.name, p.partition_index))
                        .copied()
                        .unwrap_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
                })
                .collect(),
        })
        .collect();
    let body = OffsetDeleteResponse {
        error_code: deleted.error_code,
        topics,
        ..OffsetDeleteResponse::default()
    };
    Ok(reply(asked, &body))
}
