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
    let filters = (known(&request.states_filter), known(&request.types_filter));
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

/// The states and types that a group may have, both protocols together.
const NAMES: [&str; 9] = [
    "Assigning",
    "CompletingRebalance",
    "Dead",
    "Empty",
    "PreparingRebalance",
    "Reconciling",
    "Stable",
    "classic",
    "consumer",
];

/// A filter as each coordinator gets it: the names in it that a group may have, each once. A filter of other names alone still
/// is one and chooses nothing, where an empty one chooses all.
fn known(filter: &[&str]) -> Vec<String> {
    let has = |name: &str| filter.iter().any(|f| f.eq_ignore_ascii_case(name));
    let mut names: Vec<String> =
        NAMES.iter().filter(|name| has(name)).map(|name| (*name).to_owned()).collect();
    if names.is_empty() && !filter.is_empty() {
        names.push("none".to_owned());
    }
    names
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_has_each_name_once_and_only_names_that_there_are() {
        assert!(known(&[]).is_empty());
        assert_eq!(known(&["stable", "STABLE", "", "x"]), ["Stable"]);
        assert_eq!(known(&["x", "x"]), ["none"]);
        assert_eq!(known(&["Consumer"]), ["consumer"]);
    }
}
