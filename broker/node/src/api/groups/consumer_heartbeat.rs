//! ConsumerGroupHeartbeat: a member of a consumer group reports, and learns what it may read (KIP-848).

use super::super::{Asked, read, reply};
use super::join::uuid;
use super::partition;
use crate::broker::Broker;
use crate::groups::NoCoordinator;
use coordinator::{ConsumerGroupHeartbeat, ConsumerGroupHeartbeatResponse as Beaten};
use ids::PartitionId;
use server::Reply;
use std::rc::Rc;
use wire::api::consumer_group_heartbeat::{
    Assignment, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use wire::{DecodeError, Reader};

/// From here on a member brings its own id (KIP-1082).
const BRINGS_MEMBER_ID_FROM: i16 = 1;

pub(in super::super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: ConsumerGroupHeartbeatRequest<'_> = read(reader, asked)?;
    let host = asked.peer.map_or_else(String::new, |ip| format!("/{ip}"));
    let owned = request.topic_partitions.as_ref().map(|topics| {
        let of = topics.iter().flat_map(|t| {
            t.partitions.iter().map(|index| PartitionId { topic: t.topic_id, index: *index })
        });
        of.collect()
    });
    let heartbeat = ConsumerGroupHeartbeat {
        group_id: request.group_id,
        member_id: request.member_id,
        member_epoch: request.member_epoch,
        instance_id: request.instance_id,
        rack_id: request.rack_id,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        subscribed_topic_names: request.subscribed_topic_names,
        subscribed_topic_regex: request.subscribed_topic_regex,
        server_assignor: request.server_assignor,
        topic_partitions: owned,
        client_id: asked.client_id.unwrap_or(""),
        client_host: &host,
        brings_member_id: asked.version >= BRINGS_MEMBER_ID_FROM,
    };
    let fresh = uuid(broker);
    let beaten = match partition(broker, request.group_id) {
        Some(id) => {
            let ask = |c: &mut coordinator::Coordinator, now| {
                c.consumer_group_heartbeat(&heartbeat, &fresh, now)
            };
            broker.groups.ask_and_wait(id, ask).await
        }
        None => Err(NoCoordinator::NotHere),
    };
    let beaten = beaten.unwrap_or_else(|e| Beaten { error_code: e.code(), ..Beaten::default() });
    let body = ConsumerGroupHeartbeatResponse {
        error_code: beaten.error_code,
        error_message: beaten.error_message.as_deref(),
        member_id: beaten.member_id.as_deref(),
        member_epoch: beaten.member_epoch,
        heartbeat_interval_ms: beaten.heartbeat_interval_ms,
        assignment: beaten.assignment.as_ref().map(|p| assignment(p)),
        ..ConsumerGroupHeartbeatResponse::default()
    };
    Ok(reply(asked, &body))
}

/// Partitions in order, topic by topic.
fn assignment(partitions: &[PartitionId]) -> Assignment {
    let mut topic_partitions: Vec<TopicPartitions> = Vec::new();
    for p in partitions {
        match topic_partitions.last_mut() {
            Some(last) if last.topic_id == p.topic => last.partitions.push(p.index),
            _ => {
                let (topic_id, partitions) = (p.topic, vec![p.index]);
                topic_partitions.push(TopicPartitions { topic_id, partitions });
            }
        }
    }
    Assignment { topic_partitions }
}
