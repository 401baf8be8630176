//! DeleteGroups: forgets groups without members, and their offsets.

use super::super::owners::at_owners;
use super::super::{Asked, read, reply};
use super::partition;
use crate::broker::Broker;
use coordinator::DeleteGroupsResponse as Deleted;
use ids::PartitionId;
use server::Reply;
use std::rc::Rc;
use wire::api::delete_groups::{DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse};
use wire::{DecodeError, ErrorCode, Reader};

pub(in super::super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: DeleteGroupsRequest<'_> = read(reader, asked)?;
    let ids: Vec<Option<PartitionId>> =
        request.groups_names.iter().map(|g| partition(broker, g)).collect();
    let questions = ids
        .iter()
        .zip(&request.groups_names)
        .filter_map(|(id, group)| id.map(|id| (id, (*group).to_owned())))
        .collect();
    let mut answers = at_owners(broker, questions, delete).await.into_iter();
    let results = ids
        .iter()
        .zip(&request.groups_names)
        .map(|(id, group_id)| DeletableGroupResult {
            group_id,
            error_code: match id {
                Some(_) => answers.next().flatten().unwrap_or(ErrorCode::NOT_COORDINATOR),
                None => ErrorCode::GROUP_ID_NOT_FOUND,
            },
        })
        .collect();
    Ok(reply(asked, &DeleteGroupsResponse { results, ..DeleteGroupsResponse::default() }))
}

async fn delete(broker: Rc<Broker>, id: PartitionId, group: String) -> ErrorCode {
    let deleted: Result<Deleted, _> =
        broker.groups.ask_and_wait(id, |c, now| c.delete_groups(&[&group], now)).await;
    match deleted {
        Ok(d) => d.groups.first().map_or(ErrorCode::GROUP_ID_NOT_FOUND, |g| g.error_code),
        Err(e) => e.code(),
    }
}
