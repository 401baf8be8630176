//! OffsetForLeaderEpoch (KIP-101, KIP-320): where an epoch ends, so that a client or replica finds where it went astray.

use super::owners::at_owners;
use super::{Asked, codes, read, reply};
use crate::broker::Broker;
use ids::{LeaderEpoch, PartitionId};
use log::EpochEnd;
use server::Reply;
use std::rc::Rc;
use wire::api::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderTopicResult,
};
use wire::{DecodeError, ErrorCode, Reader};

pub(super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: OffsetForLeaderEpochRequest<'_> = read(reader, asked)?;
    let mut questions = Vec::new();
    let mut known = Vec::new();
    for t in &request.topics {
        let topic = broker.metadata.image().topic_named(t.topic).map(|t| t.id);
        for p in &t.partitions {
            let id = topic.map(|topic| PartitionId { topic, index: p.partition });
            let id = id.filter(|id| broker.metadata.image().partition(*id).is_some());
            known.push(id.is_some());
            questions.extend(id.map(|id| (id, (p.current_leader_epoch, p.leader_epoch))));
        }
    }
    let mut answers = at_owners(broker, questions, look_up).await.into_iter();
    let mut known = known.into_iter();
    let mut topics = Vec::with_capacity(request.topics.len());
    for t in &request.topics {
        let mut partitions = Vec::with_capacity(t.partitions.len());
        for p in &t.partitions {
            let mut out = EpochEndOffset { partition: p.partition, ..EpochEndOffset::default() };
            let found = if known.next() == Some(true) {
                answers.next().flatten().unwrap_or(Err(ErrorCode::NOT_LEADER_OR_FOLLOWER))
            } else {
                Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
            };
            match found {
                Ok(end) => {
                    out.leader_epoch = end.epoch;
                    out.end_offset = end.end;
                }
                Err(code) => out.error_code = code,
            }
            partitions.push(out);
        }
        topics.push(OffsetForLeaderTopicResult { topic: t.topic, partitions });
    }
    let body = OffsetForLeaderEpochResponse { topics, ..OffsetForLeaderEpochResponse::default() };
    Ok(reply(asked, &body))
}

async fn look_up(
    broker: Rc<Broker>,
    id: PartitionId,
    (known, epoch): (LeaderEpoch, LeaderEpoch),
) -> Result<EpochEnd, ErrorCode> {
    let replica =
        broker.shard.check_epoch(id, known).map_err(|e| codes::of_partition(&e, i16::MAX).0)?;
    let told = |log: &log::Log| log.epochs().told_by_leader(epoch, replica.epoch(), log.end());
    broker.shard.store.with_log(id, told).map_err(|_| ErrorCode::NOT_LEADER_OR_FOLLOWER)
}
