//! DeleteRecords: moves the start of a log up; answered when that is durable.

use super::owners::at_owners;
use super::{Asked, codes, read, reply};
use crate::broker::Broker;
use ids::{Offset, PartitionId};
use server::Reply;
use std::rc::Rc;
use wire::api::delete_records::{
    DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};
use wire::{DecodeError, ErrorCode, Reader};

pub(super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: DeleteRecordsRequest<'_> = read(reader, asked)?;
    let mut questions = Vec::new();
    let mut checked = Vec::new();
    for t in &request.topics {
        let topic = broker.metadata.image().topic_named(t.name).map(|t| t.id);
        for p in &t.partitions {
            let id = topic.map(|topic| PartitionId { topic, index: p.partition_index });
            let id = id.filter(|id| broker.metadata.image().partition(*id).is_some());
            checked.push(match id {
                None => Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
                Some(_) if cluster::name::is_internal(t.name) => {
                    Err(ErrorCode::INVALID_TOPIC_EXCEPTION)
                }
                Some(id) => {
                    questions.push((id, p.offset));
                    Ok(())
                }
            });
        }
    }
    let mut answers = at_owners(broker, questions, delete).await.into_iter();
    let mut checked = checked.into_iter();
    let mut topics = Vec::with_capacity(request.topics.len());
    for t in &request.topics {
        let mut partitions = Vec::with_capacity(t.partitions.len());
        for p in &t.partitions {
            let done = match checked.next() {
                Some(Err(code)) => Err(code),
                Some(Ok(())) | None => {
                    answers.next().flatten().unwrap_or(Err(ErrorCode::NOT_LEADER_OR_FOLLOWER))
                }
            };
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

async fn delete(broker: Rc<Broker>, id: PartitionId, to: Offset) -> Result<Offset, ErrorCode> {
    broker.shard.delete_records(id, to).await.map_err(|e| codes::of_partition(&e, i16::MAX).0)
}
