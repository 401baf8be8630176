//! ListGroups: the groups of all coordinators of this broker.

use super::super::owners::at_owners;
use super::super::{Asked, read, reply};
use crate::broker::Broker;
use cluster::name::CONSUMER_OFFSETS;
use coordinator::ListedGroup as Listed;
use ids::PartitionId;
use server::Reply;
use std::rc::Rc;
use wire::api::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};
use wire::{DecodeError, ErrorCode, Reader};

pub(in super::super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: ListGroupsRequest<'_> = read(reader, asked)?;
    let owned = |filter: &[&str]| -> Vec<String> { filter.iter().map(|f| (*f).into()).collect() };
    let filters = (owned(&request.states_filter), owned(&request.types_filter));
    let ids: Vec<PartitionId> = broker
        .metadata
        .image()
        .topic_named(CONSUMER_OFFSETS)
        .map(|t| t.partition_ids().collect())
        .unwrap_or_default();
    let questions = ids.into_iter().map(|id| (id, filters.clone())).collect();
    let found = at_owners(broker, questions, look).await;
    let mut error_code = ErrorCode::NONE;
    let mut all: Vec<Listed> = Vec::new();
    for f in found {
        match f.unwrap_or(Err(ErrorCode::COORDINATOR_NOT_AVAILABLE)) {
            Ok(groups) => all.extend(groups),
            // What is left out must not look like all there is.
            Err(code) => error_code = code,
        }
    }
    all.sort_by(|a, b| a.group_id.cmp(&b.group_id));
    let groups = all
        .iter()
        .map(|g| ListedGroup {
            group_id: &g.group_id,
            protocol_type: &g.protocol_type,
            group_state: g.state.name(),
            group_type: g.state.group_type(),
        })
        .collect();
    Ok(reply(asked, &ListGroupsResponse { error_code, groups, ..ListGroupsResponse::default() }))
}

type Filters = (Vec<String>, Vec<String>);

async fn look(
    broker: Rc<Broker>,
    id: PartitionId,
    (states, types): Filters,
) -> Result<Vec<Listed>, ErrorCode> {
    let states: Vec<&str> = states.iter().map(String::as_str).collect();
    let types: Vec<&str> = types.iter().map(String::as_str).collect();
    broker.groups.look(id, |c| c.list_groups(&states, &types)).map_err(|e| e.code())
}
