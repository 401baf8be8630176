//! DescribeProducers (KIP-664): the idempotent producers that a partition knows.

use super::{Asked, read, reply};
use crate::broker::Broker;
use ids::{Offset, PartitionId, PartitionIndex};
use server::Reply;
use wire::api::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState,
    TopicResponse,
};
use wire::{DecodeError, ErrorCode, Reader};

pub(super) fn answer(
    broker: &Broker,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: DescribeProducersRequest<'_> = read(reader, asked)?;
    let topics = request
        .topics
        .iter()
        .map(|t| TopicResponse {
            name: t.name,
            partitions: t.partition_indexes.iter().map(|p| one(broker, t.name, *p)).collect(),
        })
        .collect();
    let body = DescribeProducersResponse { topics, ..DescribeProducersResponse::default() };
    Ok(reply(asked, &body))
}

fn one<'a>(broker: &Broker, topic: &str, index: PartitionIndex) -> PartitionResponse<'a> {
    let topic = broker.metadata.image().topic_named(topic).map(|t| t.id);
    let id = topic.map(|topic| PartitionId { topic, index });
    let Some(id) = id.filter(|id| broker.shard.replica(*id).is_some()) else {
        return PartitionResponse {
            partition_index: index,
            error_code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            ..PartitionResponse::default()
        };
    };
    let producers = broker.shard.store.with_log(id, |l| {
        l.producers()
            .sorted()
            .into_iter()
            .map(|(producer_id, p)| ProducerState {
                producer_id,
                producer_epoch: i32::from(p.epoch.0),
                last_sequence: p.last_sequence(),
                last_timestamp: p.batches().next_back().map_or(-1, |b| b.max_timestamp.0),
                coordinator_epoch: p.coordinator_epoch,
                current_txn_start_offset: p.transaction_start.unwrap_or(Offset::NONE),
            })
            .collect()
    });
    PartitionResponse {
        partition_index: index,
        active_producers: producers.unwrap_or_default(),
        ..PartitionResponse::default()
    }
}
