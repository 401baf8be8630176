//! FindCoordinator: groups belong to the leader of their partition of `__consumer_offsets`, which is made on first use.
//! Transactions and share groups are refused, with a code that clients do not try again.

use super::{Asked, once, read, reply};
use crate::broker::{Broker, CONTROLLER};
use cluster::controller::InternalTopic;
use cluster::name::CONSUMER_OFFSETS;
use ids::BrokerId;
use runtime::Class;
use server::Reply;
use std::rc::Rc;
use wire::api::find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};
use wire::{DecodeError, ErrorCode, Reader};

const GROUP: i8 = 0;
/// From here on a request names several keys (KIP-699).
const SEVERAL_FROM: i16 = 4;

pub(super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let mut request: FindCoordinatorRequest<'_> = read(reader, asked)?;
    once(&mut request.coordinator_keys, |key| *key);
    let group = request.key_type == GROUP;
    if group && broker.metadata.image().topic_named(CONSUMER_OFFSETS).is_none() {
        make_place(broker).await;
    }
    let image = broker.metadata.image();
    let there = image.topic_named(CONSUMER_OFFSETS).is_some();
    let me = image.broker(broker.metadata.me).and_then(|b| Some((b.id, b.endpoints.first()?)));
    let (code, message, (node_id, host, port)) = match me {
        Some((id, e)) if group && there => {
            (ErrorCode::NONE, None, (id, e.host.as_str(), i32::from(e.port)))
        }
        _ => {
            let (code, message) = if group {
                (ErrorCode::COORDINATOR_NOT_AVAILABLE, "the place for groups is not there yet")
            } else {
                (ErrorCode::INVALID_REQUEST, "only consumer groups have a coordinator here")
            };
            (code, Some(message), (BrokerId::NONE, "", -1))
        }
    };
    let body = if asked.version >= SEVERAL_FROM {
        let coordinators = request
            .coordinator_keys
            .iter()
            .map(|key| Coordinator {
                key,
                node_id,
                host,
                port,
                error_code: code,
                error_message: message,
            })
            .collect();
        FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() }
    } else {
        FindCoordinatorResponse {
            error_code: code,
            error_message: message,
            node_id,
            host,
            port,
            ..FindCoordinatorResponse::default()
        }
    };
    Ok(reply(asked, &body))
}

/// Creates `__consumer_offsets`.
async fn make_place(broker: &Rc<Broker>) {
    if broker.is_here(CONTROLLER) {
        create(broker).await;
    } else {
        let run = |b: Rc<Broker>| async move { create(&b).await };
        // A controller that has ended creates nothing; the client asks again.
        let _ = broker.post.ask(CONTROLLER, Class::Control, false, run).await;
    }
}

async fn create(broker: &Rc<Broker>) {
    let Some(log) = &broker.controller else { return };
    let mut fresh = || super::fresh_topic_id(broker);
    let created = log
        .try_propose(|c| c.create_internal_topic(InternalTopic::ConsumerOffsets, &mut fresh))
        .await;
    if let Err(e) = created
        && broker.metadata.image().topic_named(CONSUMER_OFFSETS).is_none()
    {
        runtime::tell!("{CONSUMER_OFFSETS} is not created: {e:?}");
    }
}
