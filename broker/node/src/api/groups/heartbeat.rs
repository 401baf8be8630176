//! Heartbeat: a member lives, and learns whether its group rebalances.

use super::super::{Asked, read, reply};
use super::partition;
use crate::broker::Broker;
use crate::groups::NoCoordinator;
use coordinator::Heartbeat;
use server::Reply;
use std::rc::Rc;
use wire::api::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use wire::{DecodeError, ErrorCode, Reader};

pub(in super::super) fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: HeartbeatRequest<'_> = read(reader, asked)?;
    let heartbeat = Heartbeat {
        group_id: request.group_id,
        generation_id: request.generation_id,
        member_id: request.member_id,
        group_instance_id: request.group_instance_id,
    };
    let beaten = match partition(broker, request.group_id) {
        Some(id) => broker.groups.ask(id, |c, now| c.heartbeat(heartbeat, now)),
        None => Err(NoCoordinator::NotHere),
    };
    let error_code = match beaten {
        Ok(code) => code,
        // Nobody is to leave a group because its coordinator has just started.
        Err(NoCoordinator::Loading) => ErrorCode::NONE,
        Err(e) => e.code(),
    };
    Ok(reply(asked, &HeartbeatResponse { error_code, ..HeartbeatResponse::default() }))
}
