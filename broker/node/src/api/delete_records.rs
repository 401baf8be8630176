//! DeleteRecords: moves the start of a log up; answered when that is durable.

use super::{Asked, codes, read, reply};
use crate::broker::Broker;
use ids::{Offset, PartitionId};
use server::Reply;
use std::rc::Rc;
use wire::api::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest,
    DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use wire::{DecodeError, ErrorCode, Reader};

pub(super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: DeleteRecordsRequest<'_> = read(reader, asked)?;
    let mut topics = Vec::with_capacity(request.topics.len());
    for t in &request.topics {
        let mut partitions = Vec::with_capacity(t.partitions.len());
        for p in &t.partitions {
            let done = delete(broker, t.name, p).await;
            partitions.push(DeleteRecordsPartitionResult {
                partition_index: p.partition_index,
                low_watermark: done.unwrap_or(Offset::NONE),
                error_code: done.err().unwrap_or(ErrorCode::NONE),
            });
        }
        topics.push(DeleteRecordsTopicResult { name: t.name, partitions });
    }
    Ok(reply(asked, &DeleteRecordsResponse { topics, ..DeleteRecordsResponse::default() }))
}

async fn delete(
    broker: &Rc<Broker>,
    topic: &str,
    p: &DeleteRecordsPartition,
) -> Result<Offset, ErrorCode> {
    let id = broker.metadata.image().topic_named(topic).map(|t| t.id);
    let topic_id = id.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
    if cluster::name::is_internal(topic) {
        return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
    }
    let id = PartitionId { topic: topic_id, index: p.partition_index };
    if broker.shard.replica(id).is_none() {
        return Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    }
    broker.shard.delete_records(id, p.offset).await.map_err(|e| codes::of_partition(&e, i16::MAX).0)
}
