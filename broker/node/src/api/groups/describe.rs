//! DescribeGroups: state, protocol and members of groups.

use super::super::{Asked, once, operations, read, reply};
use super::each::{Found, ask_each};
use crate::broker::Broker;
use coordinator::DescribedGroup as Described;
use ids::PartitionId;
use server::Reply;
use std::rc::Rc;
use wire::api::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};
use wire::{DecodeError, ErrorCode, Reader};

/// From here on a group that does not exist is an error.
const NOT_FOUND_FROM: i16 = 6;

pub(in super::super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let mut request: DescribeGroupsRequest<'_> = read(reader, asked)?;
    once(&mut request.groups, |group| *group);
    let found = ask_each(broker, &request.groups, look).await;
    let operations = operations::of_group(request.include_authorized_operations);
    let groups = request
        .groups
        .iter()
        .zip(&found)
        .map(|(group, found)| DescribedGroup {
            authorized_operations: operations,
            ..phrase(group, found, asked.version)
        })
        .collect();
    Ok(reply(asked, &DescribeGroupsResponse { groups, ..DescribeGroupsResponse::default() }))
}

async fn look(broker: Rc<Broker>, id: PartitionId, group: String) -> Found<Described> {
    broker.groups.look(id, |c| c.describe_group(&group)).map_err(|e| e.code())
}

fn phrase<'a>(group_id: &'a str, found: &'a Found<Described>, version: i16) -> DescribedGroup<'a> {
    match found {
        Err(code) => DescribedGroup { group_id, error_code: *code, ..DescribedGroup::default() },
        Ok(None) if version >= NOT_FOUND_FROM => DescribedGroup {
            group_id,
            error_code: ErrorCode::GROUP_ID_NOT_FOUND,
            error_message: Some("there is no group of this name"),
            group_state: "Dead",
            ..DescribedGroup::default()
        },
        Ok(None) => DescribedGroup { group_id, group_state: "Dead", ..DescribedGroup::default() },
        Ok(Some(g)) => DescribedGroup {
            group_id,
            group_state: g.state.name(),
            protocol_type: &g.protocol_type,
            protocol_data: &g.protocol,
            members: g
                .members
                .iter()
                .map(|m| DescribedGroupMember {
                    member_id: &m.member_id,
                    group_instance_id: m.group_instance_id.as_deref(),
                    client_id: &m.client_id,
                    client_host: &m.client_host,
                    member_metadata: &m.metadata,
                    member_assignment: &m.assignment,
                })
                .collect(),
            ..DescribedGroup::default()
        },
    }
}
