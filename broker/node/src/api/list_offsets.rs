//! ListOffsets: the first offset, the end, or the first record at or after a time, at the granularity of records.
//!
//! Without tiered storage nothing is tiered and nothing waits for it: the offsets that speak of it are "none", as in Kafka,
//! but for the start of what is local, which is the start of the log.

use super::owners::at_owners;
use super::{Asked, codes, read, reply};
use crate::broker::Broker;
use ids::{LeaderEpoch, Offset, PartitionId, PartitionIndex, Timestamp};
use record::{BatchView, DECOMPRESSED_BYTES_MAX, Found, first_at_or_after, of_max_timestamp};
use server::Reply;
use std::collections::BTreeSet;
use std::rc::Rc;
use wire::api::list_offsets::{
    ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopicResponse,
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
    let mut places = Vec::new();
    let mut questions = Vec::new();
    let mut found: Vec<Result<Answer, ErrorCode>> = Vec::new();
    for t in &request.topics {
        for p in &t.partitions {
            let id = if twice.contains(&(t.name, p.partition_index)) {
                Err(ErrorCode::INVALID_REQUEST)
            } else {
                resolve(broker, t.name, p.partition_index)
            };
            match id {
                Ok(id) => {
                    places.push(found.len());
                    questions.push((
                        id,
                        Question {
                            version: asked.version,
                            time: p.timestamp,
                            epoch: p.current_leader_epoch,
                            committed: request.isolation_level == 1,
                        },
                    ));
                    found.push(Err(ErrorCode::NOT_LEADER_OR_FOLLOWER));
                }
                Err(code) => found.push(Err(code)),
            }
        }
    }
    for (place, answer) in places.into_iter().zip(at_owners(broker, questions, look_up).await) {
        if let Some(answer) = answer {
            found[place] = answer;
        }
    }
    let mut found = found.into_iter();
    let topics = request
        .topics
        .iter()
        .map(|t| ListOffsetsTopicResponse {
            name: t.name,
            partitions: t
                .partitions
                .iter()
                .zip(&mut found)
                .map(|(p, f)| phrase(p.partition_index, f))
                .collect(),
        })
        .collect();
    Ok(reply(asked, &ListOffsetsResponse { topics, ..ListOffsetsResponse::default() }))
}

fn resolve(broker: &Broker, topic: &str, index: PartitionIndex) -> Result<PartitionId, ErrorCode> {
    let image = broker.metadata.image();
    let topic = image.topic_named(topic).filter(|t| t.partition(index).is_some());
    let topic = topic.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
    Ok(PartitionId { topic: topic.id, index })
}

/// What is asked of one partition.
struct Question {
    version: i16,
    time: i64,
    epoch: LeaderEpoch,
    /// Only what is committed (`isolation.level=read_committed`).
    committed: bool,
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

async fn look_up(broker: Rc<Broker>, id: PartitionId, q: Question) -> Result<Answer, ErrorCode> {
    let replica =
        broker.shard.check_epoch(id, q.epoch).map_err(|e| codes::of_partition(&e, i16::MAX).0)?;
    if q.version < known_from(q.time) {
        return Err(ErrorCode::UNSUPPORTED_VERSION);
    }
    let bound = match q.committed {
        true => broker.shard.last_stable(&replica),
        false => replica.high_watermark(),
    };
    let store = &broker.shard.store;
    let epoch_at = |offset: Offset| {
        store
            .with_log(id, |l| l.epochs().at(offset).unwrap_or(l.epochs().latest()))
            .ok()
            // A log that never had a record is the present leader's from its start.
            .filter(|epoch| *epoch != LeaderEpoch::UNKNOWN)
            .unwrap_or(replica.epoch())
    };
    let start = store.with_log(id, log::Log::start).unwrap_or(Offset::ZERO);
    match q.time {
        LATEST => Ok((bound, Timestamp::NONE, replica.epoch())),
        EARLIEST | EARLIEST_LOCAL => Ok((start, Timestamp::NONE, epoch_at(start))),
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => Ok(NOTHING),
        MAX_TIMESTAMP => {
            let read =
                store.batch_of_max_timestamp(id).await.map_err(|e| codes::of_read(&e, i16::MAX))?;
            if read.is_none() && start < bound {
                // No record has a timestamp: the largest is none, and the first record has it.
                return Ok((start, Timestamp::NONE, epoch_at(start)));
            }
            let found =
                search(&broker, read, |view, d| of_max_timestamp(view, d, DECOMPRESSED_BYTES_MAX))?;
            Ok(visible(found, bound, epoch_at))
        }
        time => {
            let found = first_that_late(&broker, id, Timestamp(time), start).await?;
            Ok(visible(found, bound, epoch_at))
        }
    }
}

/// The first record at or above `start` that is not older than `time`.
async fn first_that_late(
    broker: &Broker,
    id: PartitionId,
    time: Timestamp,
    start: Offset,
) -> Result<Option<Found>, ErrorCode> {
    let mut from = start;
    // Twice: the batch that holds the start of the log may have its late records below it. Those behind lie above it whole,
    // and their largest timestamp is that of a record.
    for _ in 0..2 {
        let read = broker.shard.store.batch_at_time(id, time, from).await;
        let read = read.map_err(|e| codes::of_read(&e, i16::MAX))?;
        let Some(read) = read else { return Ok(None) };
        let mut next = from;
        let found = search(broker, Some(read), |view, d| {
            next = view.header().next_offset();
            first_at_or_after(view, time, start, d, DECOMPRESSED_BYTES_MAX)
        })?;
        if found.is_some() || next <= from {
            return Ok(found);
        }
        from = next;
    }
    Ok(None)
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
