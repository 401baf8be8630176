//! DeleteGroups: forgets groups without members, and their offsets.

use super::super::{Asked, once, read, reply};
use super::each::{Found, ask_each};
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
    let mut request: DeleteGroupsRequest<'_> = read(reader, asked)?;
    once(&mut request.groups_names, |group| *group);
    let found = ask_each(broker, &request.groups_names, delete).await;
    let results = request.groups_names.iter().zip(found).map(|(group_id, found)| {
        let error_code = match found {
            Ok(Some(code)) | Err(code) => code,
            Ok(None) => ErrorCode::GROUP_ID_NOT_FOUND,
        };
        DeletableGroupResult { group_id, error_code }
    });
    let results = results.collect();
    Ok(reply(asked, &DeleteGroupsResponse { results, ..DeleteGroupsResponse::default() }))
}

async fn delete(broker: Rc<Broker>, id: PartitionId, group: String) -> Found<ErrorCode> {
    let deleted: Result<Deleted, _> =
        broker.groups.ask_and_wait(id, |c, now| c.delete_groups(&[&group], now)).await;
    let deleted = deleted.map_err(|e| e.code())?;
    Ok(deleted.groups.first().map(|g| g.error_code))
}
