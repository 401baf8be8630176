//! ListOffsets: the first offset, the end, or the first record at or after a time, at the granularity of records.

use super::{Asked, codes, read, reply};
use crate::broker::Broker;
use ids::{LeaderEpoch, Offset, PartitionId, PartitionIndex, Timestamp};
use record::{BatchView, DECOMPRESSED_BYTES_MAX, Found, first_at_or_after, of_max_timestamp};
use server::Reply;
use std::collections::BTreeSet;
use std::rc::Rc;
use wire::api::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use wire::{DecodeError, ErrorCode, Reader};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// The version from which each special timestamp is known (KIP-734, KIP-405, KIP-1005, KIP-1023).
fn known_from(timestamp: i64) -> i16 {
    match timestamp {
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        EARLIEST_PENDING_UPLOAD => 11,
        LATEST | EARLIEST | 0.. => 0,
        _ => i16::MAX,
    }
}

pub(super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: ListOffsetsRequest<'_> = read(reader, asked)?;
    let mut seen = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for t in &request.topics {
        for p in &t.partitions {
            if !seen.insert((t.name, p.partition_index)) {
                twice.insert((t.name, p.partition_index));
            }
        }
    }
    let mut topics = Vec::with_capacity(request.topics.len());
    for t in &request.topics {
        let mut partitions = Vec::with_capacity(t.partitions.len());
        for p in &t.partitions {
            let found = if twice.contains(&(t.name, p.partition_index)) {
                Err(ErrorCode::INVALID_REQUEST)
            } else {
                look_up(broker, asked.version, t.name, p).await
            };
            partitions.push(phrase(p.partition_index, found));
        }
        topics.push(ListOffsetsTopicResponse { name: t.name, partitions });
    }
    Ok(reply(asked, &ListOffsetsResponse { topics, ..ListOffsetsResponse::default() }))
}

type Answer = (Offset, Timestamp, LeaderEpoch);
const NOTHING: Answer = (Offset::NONE, Timestamp::NONE, LeaderEpoch::UNKNOWN);

fn phrase(
    partition_index: PartitionIndex,
    found: Result<Answer, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let mut r =
        ListOffsetsPartitionResponse { partition_index, ..ListOffsetsPartitionResponse::default() };
    match found {
        Ok((offset, timestamp, epoch)) => {
            r.offset = offset;
            r.timestamp = timestamp.0;
            r.leader_epoch = epoch;
        }
        Err(code) => r.error_code = code,
    }
    r
}

async fn look_up(
    broker: &Rc<Broker>,
    version: i16,
    topic: &str,
    p: &ListOffsetsPartition,
) -> Result<Answer, ErrorCode> {
    let id = {
        let image = broker.metadata.image();
        let topic = image.topic_named(topic).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        topic.partition(p.partition_index).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        PartitionId { topic: topic.id, index: p.partition_index }
    };
    let replica = broker
        .shard
        .check_epoch(id, p.current_leader_epoch)
        .map_err(|e| codes::of_partition(&e, i16::MAX).0)?;
    if version < known_from(p.timestamp) {
        return Err(ErrorCode::UNSUPPORTED_VERSION);
    }
    // Isolation level: without transactions the last stable offset is the high watermark.
    let bound = replica.high_watermark();
    let store = &broker.shard.store;
    let epoch_at = |offset: Offset| {
        store
            .with_log(id, |l| l.epochs().at(offset).unwrap_or(l.epochs().latest()))
            .unwrap_or(LeaderEpoch::UNKNOWN)
    };
    let start = store.with_log(id, log::Log::start).unwrap_or(Offset::ZERO);
    match p.timestamp {
        LATEST => Ok((bound, Timestamp::NONE, replica.epoch())),
        EARLIEST | EARLIEST_LOCAL | EARLIEST_PENDING_UPLOAD => {
            Ok((start, Timestamp::NONE, epoch_at(start)))
        }
        LATEST_TIERED => Ok(NOTHING),
        MAX_TIMESTAMP => {
            let read =
                store.batch_of_max_timestamp(id).await.map_err(|e| codes::of_read(&e, i16::MAX))?;
            let found =
                search(broker, read, |view, d| of_max_timestamp(view, d, DECOMPRESSED_BYTES_MAX))?;
            Ok(visible(found, bound, epoch_at))
        }
        time => {
            let time = Timestamp(time);
            let read =
                store.batch_at_time(id, time).await.map_err(|e| codes::of_read(&e, i16::MAX))?;
            let found = search(broker, read, |view, d| {
                first_at_or_after(view, time, start, d, DECOMPRESSED_BYTES_MAX)
            })?;
            Ok(visible(found, bound, epoch_at))
        }
    }
}

fn search(
    broker: &Broker,
    read: Option<store::Read>,
    look: impl FnOnce(
        &BatchView<'_>,
        &mut record::Decompressor,
    ) -> Result<Option<Found>, record::SearchError>,
) -> Result<Option<Found>, ErrorCode> {
    let Some(read) = read else { return Ok(None) };
    let mut bytes = Vec::with_capacity(read.bytes);
    for s in &read.slices {
        bytes.extend_from_slice(s);
    }
    let view = BatchView::first(&bytes).map_err(|_| ErrorCode::CORRUPT_MESSAGE)?;
    look(&view, &mut broker.decompressor.borrow_mut()).map_err(|_| ErrorCode::CORRUPT_MESSAGE)
}

/// What is not committed yet is not shown: the answer is then "none", not an error.
fn visible(
    found: Option<Found>,
    bound: Offset,
    epoch_at: impl FnOnce(Offset) -> LeaderEpoch,
) -> Answer {
    match found {
        Some(f) if f.offset < bound => (f.offset, f.timestamp, epoch_at(f.offset)),
        _ => NOTHING,
    }
}
