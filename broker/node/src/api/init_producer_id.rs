//! InitProducerId for idempotent producers (KIP-98): an id that was never handed out before.

use super::{Asked, codes, read, reply};
use crate::broker::Broker;
use crate::metadata_log::ProposeError;
use crate::shard::PartitionError;
use ids::{ProducerEpoch, ProducerId};
use server::Reply;
use std::rc::Rc;
use wire::api::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use wire::{DecodeError, ErrorCode, Reader};

pub(super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: InitProducerIdRequest<'_> = read(reader, asked)?;
    // A producer names both or neither of the id and the epoch that it has. And transactions are not served yet; clients do not
    // try this code again.
    let half = (request.producer_id == ProducerId::NONE)
        != (request.producer_epoch == ProducerEpoch::NONE);
    if half || request.transactional_id.is_some() {
        let body = InitProducerIdResponse {
            error_code: ErrorCode::INVALID_REQUEST,
            producer_epoch: ProducerEpoch::NONE,
            ..InitProducerIdResponse::default()
        };
        return Ok(reply(asked, &body));
    }
    let id = match &broker.controller {
        Some(log) => log.producer_id().await,
        None => Err(ProposeError::Log(PartitionError::NotLeader)),
    };
    let body = match id {
        Ok(producer_id) => InitProducerIdResponse {
            producer_id,
            producer_epoch: ProducerEpoch(0),
            ..InitProducerIdResponse::default()
        },
        Err(e) => InitProducerIdResponse {
            error_code: codes::of_proposal(&e).0,
            producer_epoch: ProducerEpoch::NONE,
            ..InitProducerIdResponse::default()
        },
    };
    Ok(reply(asked, &body))
}
