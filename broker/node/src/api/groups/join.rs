//! JoinGroup: enters a group and waits for its next generation.

use super::super::{Asked, Later, Waiting, read};
use super::partition;
use crate::broker::Broker;
use crate::groups::{Member, NoCoordinator, Promised};
use coordinator::{JoinGroup, JoinGroupResponse as Joined};
use std::rc::Rc;
use wire::api::ApiKey;
use wire::api::join_group::{JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember};
use wire::{DecodeError, Reader};

/// From here on a dynamic member comes back with the id that it is told (KIP-394).
const NEEDS_MEMBER_ID_FROM: i16 = 4;
/// From here on a leader understands that it has nothing to assign (KIP-814).
const SKIPS_FROM: i16 = 9;

pub(in super::super) fn begin(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Waiting, DecodeError> {
    let request: JoinGroupRequest<'_> = read(reader, asked)?;
    let host = asked.peer.map_or_else(String::new, |ip| format!("/{ip}"));
    let client = asked.client_id.unwrap_or("");
    let fresh = uuid(broker);
    let join = JoinGroup {
        group_id: request.group_id,
        member_id: request.member_id,
        group_instance_id: request.group_instance_id,
        client_id: client,
        client_host: &host,
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        protocol_type: request.protocol_type,
        protocols: request.protocols.iter().map(|p| (p.name, p.metadata)).collect(),
        needs_member_id: asked.version >= NEEDS_MEMBER_ID_FROM,
        can_skip_assignment: asked.version >= SKIPS_FROM,
    };
    let member = Member { api: ApiKey::JoinGroup, peer: asked.connection };
    let promised = match partition(broker, request.group_id) {
        Some(id) => {
            broker.groups.promise(id, Some(member), |c, now| c.join_group(&join, &fresh, now))
        }
        None => Promised::Ready(Err(NoCoordinator::NotHere)),
    };
    let (later, member_id) = (Later::of(broker, asked), request.member_id.to_owned());
    Ok(Box::pin(async move {
        let joined = promised.answer().await.unwrap_or_else(|e| Joined {
            error_code: e.code(),
            generation_id: -1,
            member_id,
            ..Joined::default()
        });
        later.reply(&phrase(&joined))
    }))
}

fn phrase(joined: &Joined) -> JoinGroupResponse<'_> {
    JoinGroupResponse {
        error_code: joined.error_code,
        generation_id: joined.generation_id,
        protocol_type: joined.protocol_type.as_deref(),
        protocol_name: joined.protocol_name.as_deref(),
        leader: &joined.leader,
        skip_assignment: joined.skip_assignment,
        member_id: &joined.member_id,
        members: joined
            .members
            .iter()
            .map(|m| JoinGroupResponseMember {
                member_id: &m.member_id,
                group_instance_id: m.group_instance_id.as_deref(),
                metadata: &m.metadata,
            })
            .collect(),
        ..JoinGroupResponse::default()
    }
}

/// Sixteen random bytes in the usual form (RFC 9562, version 4).
pub(super) fn uuid(broker: &Broker) -> String {
    let (a, b) = (broker.rt.random(), broker.rt.random());
    let version = (a & 0xffff_ffff_ffff_0fff) | 0x4000;
    let variant = (b & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
    let (high, low) = (format!("{version:016x}"), format!("{variant:016x}"));
    format!("{}-{}-{}-{}-{}", &high[..8], &high[8..12], &high[12..], &low[..4], &low[4..])
}
