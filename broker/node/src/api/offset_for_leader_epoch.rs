//! OffsetForLeaderEpoch (KIP-101, KIP-320): where an epoch ends, so that a client or replica finds where it went astray.

use super::{Asked, codes, read, reply};
use crate::broker::Broker;
use ids::PartitionId;
use log::EpochEnd;
use server::Reply;
use wire::api::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition, OffsetForLeaderTopicResult,
};
use wire::{DecodeError, ErrorCode, Reader};

pub(super) fn answer(
    broker: &Broker,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: OffsetForLeaderEpochRequest<'_> = read(reader, asked)?;
    let topics = request
        .topics
        .iter()
        .map(|t| OffsetForLeaderTopicResult {
            topic: t.topic,
            partitions: t.partitions.iter().map(|p| one(broker, t.topic, p)).collect(),
        })
        .collect();
    let body = OffsetForLeaderEpochResponse { topics, ..OffsetForLeaderEpochResponse::default() };
    Ok(reply(asked, &body))
}

fn one(broker: &Broker, topic: &str, p: &OffsetForLeaderPartition) -> EpochEndOffset {
    let mut out = EpochEndOffset { partition: p.partition, ..EpochEndOffset::default() };
    match look_up(broker, topic, p) {
        Ok(end) => {
            out.leader_epoch = end.epoch;
            out.end_offset = end.end;
        }
        Err(code) => out.error_code = code,
    }
    out
}

fn look_up(
    broker: &Broker,
    topic: &str,
    p: &OffsetForLeaderPartition,
) -> Result<EpochEnd, ErrorCode> {
    let topic = broker.metadata.image().topic_named(topic).map(|t| t.id);
    let topic = topic.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
    let id = PartitionId { topic, index: p.partition };
    if broker.shard.replica(id).is_none() {
        return Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    }
    let replica = broker
        .shard
        .check_epoch(id, p.current_leader_epoch)
        .map_err(|e| codes::of_partition(&e, i16::MAX).0)?;
    let end = broker.shard.store.with_log(id, |l| l.end_of_epoch(p.leader_epoch));
    let end = end.map_err(|_| ErrorCode::NOT_LEADER_OR_FOLLOWER)?;
    // The present epoch may have no record yet; it ends where the log does.
    if p.leader_epoch == replica.epoch() {
        let log_end = broker.shard.store.with_log(id, log::Log::end);
        let log_end = log_end.map_err(|_| ErrorCode::NOT_LEADER_OR_FOLLOWER)?;
        return Ok(EpochEnd { epoch: replica.epoch(), end: log_end });
    }
    Ok(end)
}
