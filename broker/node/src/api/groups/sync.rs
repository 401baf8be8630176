//! SyncGroup: what this generation's leader assigns to a member.

use super::super::{Asked, Later, Waiting, read};
use super::partition;
use crate::broker::Broker;
use crate::groups::{Member, NoCoordinator, Promised};
use coordinator::{SyncGroup, SyncGroupResponse as Synced};
use std::rc::Rc;
use wire::api::ApiKey;
use wire::api::sync_group::{SyncGroupRequest, SyncGroupResponse};
use wire::{DecodeError, ErrorCode, Reader};

pub(in super::super) fn begin(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Waiting, DecodeError> {
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
    let member = Member { api: ApiKey::SyncGroup, peer: asked.connection };
    let promised = match partition(broker, request.group_id) {
        Some(id) => broker.groups.promise(id, Some(member), |c, now| c.sync_group(&sync, now)),
        None => Promised::Ready(Err(NoCoordinator::NotHere)),
    };
    let later = Later::of(broker, asked);
    Ok(Box::pin(async move {
        let synced = promised.answer().await;
        let synced =
            synced.unwrap_or_else(|e| Synced { error_code: refusal(e), ..Synced::default() });
        later.reply(&SyncGroupResponse {
            error_code: synced.error_code,
            protocol_type: synced.protocol_type.as_deref(),
            protocol_name: synced.protocol_name.as_deref(),
            assignment: &synced.assignment,
            ..SyncGroupResponse::default()
        })
    }))
}

/// Clients do not expect to be told here that the log is being read: Java's consumer gives up then. They know how to join again.
fn refusal(why: NoCoordinator) -> ErrorCode {
    match why {
        NoCoordinator::Loading => ErrorCode::REBALANCE_IN_PROGRESS,
        NoCoordinator::NotHere => why.code(),
    }
}
