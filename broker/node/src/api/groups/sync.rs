//! SyncGroup: what this generation's leader assigns to a member.

use super::super::{Asked, read, reply};
use super::partition;
use crate::broker::Broker;
use crate::groups::NoCoordinator;
use coordinator::{SyncGroup, SyncGroupResponse as Synced};
use server::Reply;
use std::rc::Rc;
use wire::api::sync_group::{SyncGroupRequest, SyncGroupResponse};
use wire::{DecodeError, Reader};

pub(in super::super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: SyncGroupRequest<'_> = read(reader, asked)?;
    let sync = SyncGroup {
        group_id: request.group_id,
        generation_id: request.generation_id,
        member_id: request.member_id,
        group_instance_id: request.group_instance_id,
        protocol_type: request.protocol_type,
        protocol_name: request.protocol_name,
        assignments: request.assignments.iter().map(|a| (a.member_id, a.assignment)).collect(),
    };
    let synced = match partition(broker, request.group_id) {
        Some(id) => broker.groups.ask_and_wait(id, |c, now| c.sync_group(&sync, now)).await,
        None => Err(NoCoordinator::NotHere),
    };
    let synced = synced.unwrap_or_else(|e| Synced { error_code: e.code(), ..Synced::default() });
    let body = SyncGroupResponse {
        error_code: synced.error_code,
        protocol_type: synced.protocol_type.as_deref(),
        protocol_name: synced.protocol_name.as_deref(),
        assignment: &synced.assignment,
        ..SyncGroupResponse::default()
    };
    Ok(reply(asked, &body))
}
