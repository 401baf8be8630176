//! DescribeProducers (KIP-664): the idempotent producers that a partition knows.

use super::owners::at_owners;
use super::{Asked, once, read, reply};
use crate::broker::Broker;
use ids::{Offset, PartitionId};
use server::Reply;
use std::rc::Rc;
use wire::api::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState,
    TopicResponse,
};
use wire::{DecodeError, ErrorCode, Reader};

pub(super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let mut request: DescribeProducersRequest<'_> = read(reader, asked)?;
    once(&mut request.topics, |t| t.name);
    for t in &mut request.topics {
        once(&mut t.partition_indexes, |index| *index);
    }
    let mut questions = Vec::new();
    let mut known = Vec::new();
    for t in &request.topics {
        let topic = broker.metadata.image().topic_named(t.name).map(|t| t.id);
        for index in &t.partition_indexes {
            let id = topic.map(|topic| PartitionId { topic, index: *index });
            let id = id.filter(|id| broker.metadata.image().partition(*id).is_some());
            known.push(id.is_some());
            questions.extend(id.map(|id| (id, ())));
        }
    }
    let mut answers = at_owners(broker, questions, producers).await.into_iter();
    let mut known = known.into_iter();
    let mut topics = Vec::with_capacity(request.topics.len());
    for t in &request.topics {
        let mut partitions = Vec::with_capacity(t.partition_indexes.len());
        for index in &t.partition_indexes {
            let mut out =
                PartitionResponse { partition_index: *index, ..PartitionResponse::default() };
            if known.next() == Some(true) {
                match answers.next().flatten().flatten() {
                    Some(producers) => out.active_producers = producers,
                    None => out.error_code = ErrorCode::NOT_LEADER_OR_FOLLOWER,
                }
            } else {
                out.error_code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
            }
            partitions.push(out);
        }
        topics.push(TopicResponse { name: t.name, partitions });
    }
    let body = DescribeProducersResponse { topics, ..DescribeProducersResponse::default() };
    Ok(reply(asked, &body))
}

async fn producers(broker: Rc<Broker>, id: PartitionId, (): ()) -> Option<Vec<ProducerState>> {
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
    producers.ok()
}
