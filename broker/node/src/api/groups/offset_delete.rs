//! OffsetDelete (KIP-496): forgets offsets of topics that a group does not read any more.

use super::super::{Asked, read, reply};
use super::partition;
use crate::broker::Broker;
use crate::groups::NoCoordinator;
use coordinator::{OffsetDelete, OffsetDeleteResponse as Deleted};
use server::Reply;
use std::rc::Rc;
use wire::api::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};
use wire::{DecodeError, Reader};

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
            .map(|t| (t.name, t.partitions.iter().map(|p| p.partition_index).collect()))
            .collect(),
    };
    let deleted = match partition(broker, request.group_id) {
        Some(id) => broker.groups.ask_and_wait(id, |c, now| c.offset_delete(&delete, now)).await,
        None => Err(NoCoordinator::NotHere),
    };
    let deleted: Deleted =
        deleted.unwrap_or_else(|e| Deleted { error_code: e.code(), topics: Vec::new() });
    let body = OffsetDeleteResponse {
        error_code: deleted.error_code,
        topics: deleted
            .topics
            .iter()
            .map(|t| OffsetDeleteResponseTopic {
                name: &t.name,
                partitions: t
                    .partitions
                    .iter()
                    .map(|p| OffsetDeleteResponsePartition {
                        partition_index: p.partition,
                        error_code: p.error_code,
                    })
                    .collect(),
            })
            .collect(),
        ..OffsetDeleteResponse::default()
    };
    Ok(reply(asked, &body))
}
