//! Fetch: reads partitions in the order asked, and waits for more where the client wants to.
//!
//! The first batch of the answer comes whole however large it is, so that no consumer is stuck; after it limits are hard.
//! What is not enough waits for the high watermark of any of its partitions, or for its time.

use super::fetch_sessions::{Asked as SessionAsked, From, Kind, TopicRef, Wanted};
use super::{Asked, codes, read, reply, reply_with};
use crate::broker::{Broker, Session};
use crate::shard::{PartitionError, within};
use ids::{LeaderEpoch, Offset, PartitionId, TopicId};
use runtime::Slice;
use runtime::sync::Notify;
use server::Reply;
use std::rc::Rc;
use std::time::Duration;
use wire::api::fetch::{
    EpochEndOffset, FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
};
use wire::{DecodeError, ErrorCode, Reader, Records};

/// Topic ids instead of names.
const IDS_FROM: i16 = 13;
/// Nobody waits longer than this, whatever he asks for: a connection that died is noticed by then.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// What was found of one partition.
struct Found {
    wanted: Wanted,
    error: ErrorCode,
    high_watermark: Offset,
    last_stable: Offset,
    log_start: Offset,
    diverging: Option<(LeaderEpoch, Offset)>,
    slices: Vec<Slice>,
    bytes: usize,
}

/// What all reads of one request share.
struct Budget {
    left: usize,
    first: bool,
}

pub(super) async fn answer(
    broker: &Rc<Broker>,
    _session: &Rc<Session>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: FetchRequest<'_> = read(reader, asked)?;
    let by_id = asked.version >= IDS_FROM;
    let session = SessionAsked {
        session_id: request.session_id,
        epoch: if asked.version >= 7 { request.session_epoch } else { -1 },
        by_id,
        wanted: wanted(&request, by_id),
        forgotten: forgotten(&request, by_id),
    };
    let now = broker.rt.now();
    let opened = broker.fetch_sessions.borrow_mut().open(session, now);
    let (kind, partitions) = match opened {
        Ok(opened) => opened,
        Err(error_code) => {
            return Ok(reply(asked, &FetchResponse { error_code, ..FetchResponse::default() }));
        }
    };
    let found = wait_and_read(broker, &request, asked.version, &partitions).await;
    let (session_id, found) = match kind {
        Kind::Sessionless => (0, found),
        Kind::Full => {
            let id = i32::try_from(broker.rt.random() & 0x7fff_ffff).unwrap_or(0);
            let mut sessions = broker.fetch_sessions.borrow_mut();
            let id = sessions.make(id, by_id, &partitions, now);
            for f in &found {
                tell(&mut sessions, id, f);
            }
            (id, found)
        }
        Kind::Incremental(id) => {
            let mut sessions = broker.fetch_sessions.borrow_mut();
            let news = found.into_iter().filter(|f| tell(&mut sessions, id, f)).collect();
            (id, news)
        }
    };
    Ok(phrase(broker, asked, session_id, found, request.isolation_level == 1))
}

fn tell(sessions: &mut super::FetchSessions, id: i32, f: &Found) -> bool {
    let failed = f.error != ErrorCode::NONE || f.diverging.is_some();
    sessions.tell(id, &f.wanted, failed, f.bytes, f.high_watermark, f.log_start)
}

fn topic_ref(by_id: bool, name: &str, id: TopicId) -> TopicRef {
    if by_id { TopicRef::Id(id) } else { TopicRef::Name(name.to_owned()) }
}

fn wanted(request: &FetchRequest<'_>, by_id: bool) -> Vec<(Wanted, From)> {
    let mut all = Vec::new();
    for t in &request.topics {
        for p in &t.partitions {
            let topic = topic_ref(by_id, t.topic, t.topic_id);
            let from = From {
                current_leader_epoch: p.current_leader_epoch,
                last_fetched_epoch: p.last_fetched_epoch,
                offset: p.fetch_offset,
                max_bytes: p.partition_max_bytes,
            };
            all.push((Wanted { topic, partition: p.partition }, from));
        }
    }
    all
}

fn forgotten(request: &FetchRequest<'_>, by_id: bool) -> Vec<Wanted> {
    let mut all = Vec::new();
    for t in &request.forgotten_topics_data {
        for p in &t.partitions {
            let topic = topic_ref(by_id, t.topic, t.topic_id);
            all.push(Wanted { topic, partition: *p });
        }
    }
    all
}

async fn wait_and_read(
    broker: &Rc<Broker>,
    request: &FetchRequest<'_>,
    version: i16,
    partitions: &[(Wanted, From)],
) -> Vec<Found> {
    let max_bytes = broker.metadata.settings().fetch_max_bytes as usize;
    let max_bytes = max_bytes.min(usize::try_from(request.max_bytes).unwrap_or(0));
    let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0).min(max_bytes);
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let deadline = broker.rt.now() + wait.min(WAIT_MAX);
    let bell = Rc::new(Notify::new());
    let mut watching = false;
    loop {
        let found = read_all(broker, version, partitions, max_bytes).await;
        let bytes: usize = found.iter().map(|f| f.bytes).sum();
        let failed = found.iter().any(|f| f.error != ErrorCode::NONE || f.diverging.is_some());
        let left = deadline.since(broker.rt.now());
        if bytes >= min_bytes || failed || partitions.is_empty() || left.is_zero() {
            return found;
        }
        if !watching {
            // Watch first and read once more: what came between the read and the watch is not missed.
            watching = true;
            for (wanted, _) in partitions {
                if let Ok(id) = resolve(broker, wanted)
                    && let Some(replica) = broker.shard.replica(id)
                {
                    replica.watch(&bell);
                }
            }
            continue;
        }
        // Time is up or something has moved; both are looked at above.
        let _ = within(&broker.rt, left, bell.notified()).await;
    }
}

async fn read_all(
    broker: &Rc<Broker>,
    version: i16,
    partitions: &[(Wanted, From)],
    max_bytes: usize,
) -> Vec<Found> {
    let mut budget = Budget { left: max_bytes, first: true };
    let mut all = Vec::with_capacity(partitions.len());
    for (wanted, from) in partitions {
        all.push(read_one(broker, version, wanted, from, &mut budget).await);
    }
    all
}

fn resolve(broker: &Broker, wanted: &Wanted) -> Result<PartitionId, ErrorCode> {
    let image = broker.metadata.image();
    let (topic, unknown) = match &wanted.topic {
        TopicRef::Name(name) => (image.topic_named(name), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        TopicRef::Id(id) => (image.topic(*id), ErrorCode::UNKNOWN_TOPIC_ID),
    };
    let topic = topic.ok_or(unknown)?;
    if topic.partition(wanted.partition).is_none() {
        return Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    }
    Ok(PartitionId { topic: topic.id, index: wanted.partition })
}

async fn read_one(
    broker: &Rc<Broker>,
    version: i16,
    wanted: &Wanted,
    from: &From,
    budget: &mut Budget,
) -> Found {
    let mut found = Found {
        wanted: wanted.clone(),
        error: ErrorCode::NONE,
        high_watermark: Offset::NONE,
        last_stable: Offset::NONE,
        log_start: Offset::NONE,
        diverging: None,
        slices: Vec::new(),
        bytes: 0,
    };
    let id = match resolve(broker, wanted) {
        Ok(id) => id,
        Err(code) => {
            found.error = code;
            return found;
        }
    };
    let replica = match broker.shard.check_epoch(id, from.current_leader_epoch) {
        Ok(replica) => replica,
        Err(e) => {
            found.error = codes::of_partition(&e, version).0;
            return found;
        }
    };
    found.high_watermark = replica.high_watermark();
    found.last_stable = replica.last_stable_offset();
    let (log_start, diverging) = broker
        .shard
        .store
        .with_log(id, |l| (l.start(), diverges(l, from)))
        .unwrap_or((Offset::NONE, None));
    found.log_start = log_start;
    if diverging.is_some() {
        found.diverging = diverging;
        return found;
    }
    let max = usize::try_from(from.max_bytes).unwrap_or(0).min(budget.left);
    let bound = found.high_watermark;
    let read = broker.shard.store.read(id, from.offset, bound, max, budget.first).await;
    match read {
        Ok(read) => {
            if read.bytes > 0 {
                budget.first = false;
                budget.left = budget.left.saturating_sub(read.bytes);
            }
            found.bytes = read.bytes;
            found.slices = read.slices;
        }
        Err(e) => {
            if !matches!(e, store::ReadError::OutOfRange { .. }) {
                eprintln!("fetch of {} {} at {}: {e}", replica.topic, id.index, from.offset);
            }
            found.error = codes::of_partition(&PartitionError::Read(e), version).0;
        }
    }
    found
}

/// Where the client's log and ours part ways (KIP-595's truncation on fetch).
fn diverges(log: &log::Log, from: &From) -> Option<(LeaderEpoch, Offset)> {
    if from.last_fetched_epoch == LeaderEpoch::UNKNOWN {
        return None;
    }
    let end = log.end_of_epoch(from.last_fetched_epoch);
    let known = end.end != Offset::NONE;
    let parts = end.epoch < from.last_fetched_epoch || end.end < from.offset;
    (known && parts).then_some((end.epoch, end.end))
}

fn phrase(
    broker: &Broker,
    asked: &Asked<'_>,
    session_id: i32,
    found: Vec<Found>,
    committed_only: bool,
) -> Reply {
    let mut records: Vec<Vec<Slice>> = Vec::new();
    let mut topics: Vec<(TopicRef, Vec<PartitionData<'_>>)> = Vec::new();
    let mut sent = 0;
    for mut f in found {
        sent += f.bytes as u64;
        let data = PartitionData {
            partition_index: f.wanted.partition,
            error_code: f.error,
            high_watermark: f.high_watermark,
            last_stable_offset: f.last_stable,
            log_start_offset: f.log_start,
            aborted_transactions: committed_only.then(Vec::new),
            records: Records::Elsewhere { index: records.len(), len: f.bytes },
            diverging_epoch: f.diverging.map_or_else(EpochEndOffset::default, |(epoch, end)| {
                EpochEndOffset { epoch, end_offset: end }
            }),
            ..PartitionData::default()
        };
        records.push(std::mem::take(&mut f.slices));
        match topics.last_mut() {
            Some((topic, partitions)) if *topic == f.wanted.topic => partitions.push(data),
            _ => topics.push((f.wanted.topic, vec![data])),
        }
    }
    broker.counters.bytes_out.set(broker.counters.bytes_out.get() + sent);
    let responses = topics
        .iter_mut()
        .map(|(topic, partitions)| {
            let partitions = std::mem::take(partitions);
            match topic {
                TopicRef::Name(name) => {
                    FetchableTopicResponse { topic: name, topic_id: TopicId::ZERO, partitions }
                }
                TopicRef::Id(id) => FetchableTopicResponse { topic: "", topic_id: *id, partitions },
            }
        })
        .collect();
    let body = FetchResponse { session_id, responses, ..FetchResponse::default() };
    reply_with(asked, &body, records)
}
