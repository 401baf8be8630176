//! LeaveGroup: members go, or an administrator removes them.

use super::super::{Asked, read, reply};
use super::partition;
use crate::broker::Broker;
use crate::groups::NoCoordinator;
use coordinator::{LeaveGroup, LeaveGroupResponse as Left, LeavingMember};
use server::Reply;
use std::rc::Rc;
use wire::api::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberResponse};
use wire::{DecodeError, ErrorCode, Reader};

/// From here on a request names several members.
const SEVERAL_FROM: i16 = 3;

pub(in super::super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: LeaveGroupRequest<'_> = read(reader, asked)?;
    let several = asked.version >= SEVERAL_FROM;
    let members = if several {
        let members = request.members.iter();
        members
            .map(|m| LeavingMember {
                member_id: m.member_id,
                group_instance_id: m.group_instance_id,
            })
            .collect()
    } else {
        vec![LeavingMember { member_id: request.member_id, group_instance_id: None }]
    };
    let leave = LeaveGroup { group_id: request.group_id, members };
    let left = match partition(broker, request.group_id) {
        Some(id) => broker.groups.ask_and_wait(id, |c, now| c.leave_group(&leave, now)).await,
        None => Err(NoCoordinator::NotHere),
    };
    let left: Left = left.unwrap_or_else(|e| Left { error_code: e.code(), members: Vec::new() });
    let mut error_code = left.error_code;
    if !several && error_code == ErrorCode::NONE {
        error_code = left.members.first().map_or(ErrorCode::NONE, |m| m.error_code);
    }
    let body = LeaveGroupResponse {
        error_code,
        members: left
            .members
            .iter()
            .map(|m| MemberResponse {
                member_id: &m.member_id,
                group_instance_id: m.group_instance_id.as_deref(),
                error_code: m.error_code,
            })
            .collect(),
        ..LeaveGroupResponse::default()
    };
    Ok(reply(asked, &body))
}
