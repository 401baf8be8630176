//! Fetch: reads partitions in the order asked, and waits for more where the client wants to.
//!
//! The first batch of the answer comes whole however large it is, so that no consumer is stuck; after it limits are hard.
//! What is not enough waits for the high watermark of any of its partitions, or for its time. Readers of committed data get
//! nothing at or above the last stable offset, and the names of the aborted transactions among what they get (KIP-98); that
//! offset moves only when the high watermark does, or the start of the log.
//!
//! | file | what |
//! |---|---|
//! | `fetch.rs` | the request, its session, and the answer |
//! | `fetch/empties.rs` | batches without records, which answer nothing |
//! | `fetch/gather.rs` | the partitions of one request, over all cores |
//! | `fetch/part.rs` | those of one core, for as long as their reader is there |
//! | `fetch/read.rs` | those of one core: reading and waiting |

mod empties;
mod gather;
mod part;
mod read;

pub(crate) use part::Parts;

use super::fetch_sessions::{Asked as SessionAsked, Findings, From, Kind, TopicRef, Wanted};
use super::{Asked, reply, reply_with};
use crate::broker::Broker;
use ids::{CoreId, Instant, LeaderEpoch, Offset, TopicId};
use log::AbortedTxn;
use runtime::Slice;
use server::Reply;
use stages::{Laps, Stage};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::rc::Rc;
use std::time::Duration;
use wire::api::fetch::{
    AbortedTransaction, EpochEndOffset, FetchRequest, FetchResponse, FetchableTopicResponse,
    PartitionData,
};
use wire::{DecodeError, ErrorCode, Reader, Records};

/// Topic ids instead of names.
const IDS_FROM: i16 = 13;
/// The isolation level of readers of committed data.
const READ_COMMITTED: i8 = 1;
/// Nobody waits longer than this, whatever he asks for: a connection that died is noticed by then.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// How much a request wants, and until when.
#[derive(Clone, Copy)]
struct Limits {
    version: i16,
    max_bytes: usize,
    min_bytes: usize,
    deadline: Instant,
    /// Only what is committed (`isolation.level=read_committed`): nothing at or above the last stable offset.
    committed: bool,
}

/// What was found of one partition. The bytes are slices on the core that has them, and loans on their way to another.
struct Got<B> {
    error: ErrorCode,
    high_watermark: Offset,
    last_stable: Offset,
    /// Nothing at or above this offset is readable: one of the two above.
    bound: Offset,
    /// What was aborted of it; none unless only what is committed was asked for.
    aborted: Vec<AbortedTxn>,
    log_start: Offset,
    diverging: Option<(LeaderEpoch, Offset)>,
    records: Vec<B>,
    bytes: usize,
    /// They came from a disk: there is a backlog, of which one read gives only so much.
    cold: bool,
    /// Where it goes on, if it was the limit of the whole that left something out.
    more: Option<Offset>,
}

impl<B> Got<B> {
    fn error(error: ErrorCode) -> Self {
        Self {
            error,
            high_watermark: Offset::NONE,
            last_stable: Offset::NONE,
            bound: Offset::NONE,
            aborted: Vec::new(),
            log_start: Offset::NONE,
            diverging: None,
            records: Vec::new(),
            bytes: 0,
            cold: false,
            more: None,
        }
    }

    fn nothing_more_to_wait_for(&self) -> bool {
        self.error != ErrorCode::NONE || self.diverging.is_some()
    }

    /// Whether a fetch is answered now, however little there is. As in Kafka nobody waits for more of a backlog.
    fn ends_the_wait(&self) -> bool {
        self.nothing_more_to_wait_for() || (self.cold && self.bytes > 0)
    }

    /// The same with the bytes in another form.
    fn map<C>(self, f: impl FnMut(B) -> C) -> Got<C> {
        Got {
            error: self.error,
            high_watermark: self.high_watermark,
            last_stable: self.last_stable,
            bound: self.bound,
            aborted: self.aborted,
            log_start: self.log_start,
            diverging: self.diverging,
            records: self.records.into_iter().map(f).collect(),
            bytes: self.bytes,
            cold: self.cold,
            more: self.more,
        }
    }

    /// Adds what was found behind it. An error there is told when it is asked for the next time.
    fn go_on(&mut self, next: Self) {
        self.more = next.more;
        if next.error != ErrorCode::NONE || next.bytes == 0 {
            return;
        }
        self.high_watermark = next.high_watermark;
        self.last_stable = next.last_stable;
        self.bound = next.bound;
        self.log_start = next.log_start;
        self.aborted.extend(next.aborted);
        self.records.extend(next.records);
        self.bytes += next.bytes;
        self.cold |= next.cold;
    }
}

/// A partition as the client named it, and what was found of it.
struct Found {
    /// Its number in the session, or its place in the request.
    number: u32,
    turn: u64,
    wanted: Wanted,
    got: Got<Slice>,
    /// There is nothing more to read before it moves.
    asleep: bool,
}

pub(super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
    laps: &mut Laps,
) -> Result<Reply, DecodeError> {
    let request: FetchRequest<'_> = super::read(reader, asked)?;
    let by_id = asked.version >= IDS_FROM;
    let session = SessionAsked {
        session_id: request.session_id,
        epoch: if asked.version >= 7 { request.session_epoch } else { -1 },
        by_id,
        wanted: wanted(&request, by_id),
        forgotten: forgotten(&request, by_id),
    };
    let new_id = || i32::try_from(broker.rt.random() & 0x7fff_ffff).unwrap_or(0);
    let key = broker.fetch_parts.fresh_key();
    let opened = broker.fetch_sessions.borrow_mut().open(session, broker.rt.now(), new_id, key);
    end_parts(broker);
    let opened = match opened {
        Ok(opened) => opened,
        Err(error_code) => {
            return Ok(reply(asked, &FetchResponse { error_code, ..FetchResponse::default() }));
        }
    };
    laps.lap(Stage::Decode, || broker.rt.clock());
    let limits = Limits::of(broker, &request, asked.version);
    let (session_id, full) = match opened.kind {
        Kind::Sessionless => (0, true),
        Kind::Full(id) => (id, true),
        Kind::Incremental(id) => (id, false),
    };
    // A client that goes before it has heard of its session never asks for it.
    let mut unheard = Unheard { broker, id: session_id, armed: full && session_id != 0 };
    let parts = opened.parts.as_ref().map(|(key, _)| *key);
    let mut found = gather::gather(broker, &limits, opened, laps).await;
    if let Some(key) = parts {
        let mut sessions = broker.fetch_sessions.borrow_mut();
        found.retain(|f| tell(&mut sessions, session_id, f) || full);
        if !sessions.settle(session_id) {
            // It had to give way meanwhile. Parts may have come back since.
            let cores = (0..broker.metadata.cores).map(CoreId);
            gather::remove(broker, key, cores);
        }
    }
    unheard.armed = false;
    let reply = phrase(broker, asked, session_id, found, limits.committed);
    laps.lap(Stage::Encode, || broker.rt.clock());
    Ok(reply)
}

impl Limits {
    fn of(broker: &Broker, request: &FetchRequest<'_>, version: i16) -> Self {
        let max_bytes = broker.metadata.settings().fetch_max_bytes as usize;
        let max_bytes = max_bytes.min(usize::try_from(request.max_bytes).unwrap_or(0));
        // More than a good part of what one read gives would wait for its time beside records that are there.
        let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0);
        let min_bytes = min_bytes.min(max_bytes).min(store::READ_BYTES_MAX / 4);
        let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
        let deadline = broker.rt.now() + wait.min(WAIT_MAX);
        let committed = request.isolation_level == READ_COMMITTED;
        Self { version, max_bytes, min_bytes, deadline, committed }
    }
}

fn tell(sessions: &mut super::FetchSessions, id: i32, f: &Found) -> bool {
    let found = Findings {
        error: f.got.nothing_more_to_wait_for(),
        bytes: f.got.bytes,
        high_watermark: f.got.high_watermark,
        log_start: f.got.log_start,
        asleep: f.asleep,
    };
    sessions.tell(id, f.number, found)
}

/// Removes what sessions that have ended had on the cores.
fn end_parts(broker: &Broker) {
    let ended = broker.fetch_sessions.borrow_mut().take_ended();
    for (key, cores) in ended {
        gather::remove(broker, key, cores.into_iter());
    }
}

/// A session that is closed again unless its client is told of it.
struct Unheard<'a> {
    broker: &'a Rc<Broker>,
    id: i32,
    armed: bool,
}

impl Drop for Unheard<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.broker.fetch_sessions.borrow_mut().close(self.id);
            end_parts(self.broker);
        }
    }
}

/// Made once for each topic: its partitions share the name.
fn topic_ref(by_id: bool, name: &str, id: TopicId) -> TopicRef {
    if by_id { TopicRef::Id(id) } else { TopicRef::Name(name.into()) }
}

/// As in Kafka: a partition that stands there twice is asked for once, as it stands there last.
fn wanted(request: &FetchRequest<'_>, by_id: bool) -> Vec<(Wanted, From)> {
    let mut all: Vec<(Wanted, From)> = Vec::new();
    let mut places: BTreeMap<Wanted, usize> = BTreeMap::new();
    for t in &request.topics {
        let topic = topic_ref(by_id, t.topic, t.topic_id);
        for p in &t.partitions {
            let from = From {
                current_leader_epoch: p.current_leader_epoch,
                last_fetched_epoch: p.last_fetched_epoch,
                offset: p.fetch_offset,
                max_bytes: p.partition_max_bytes,
            };
            let wanted = Wanted { topic: topic.clone(), partition: p.partition };
            match places.entry(wanted) {
                Entry::Vacant(place) => {
                    all.push((place.key().clone(), from));
                    place.insert(all.len() - 1);
                }
                Entry::Occupied(place) => {
                    if let Some(before) = all.get_mut(*place.get()) {
                        before.1 = from;
                    }
                }
            }
        }
    }
    all
}

fn forgotten(request: &FetchRequest<'_>, by_id: bool) -> Vec<Wanted> {
    let mut all = Vec::new();
    for t in &request.forgotten_topics_data {
        let topic = topic_ref(by_id, t.topic, t.topic_id);
        all.extend(t.partitions.iter().map(|p| Wanted { topic: topic.clone(), partition: *p }));
    }
    all
}

fn named(aborted: &[AbortedTxn]) -> Vec<AbortedTransaction> {
    let name =
        |t: &AbortedTxn| AbortedTransaction { producer_id: t.producer_id, first_offset: t.first };
    aborted.iter().map(name).collect()
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
    for Found { wanted, got: f, .. } in found {
        sent += f.bytes as u64;
        let data = PartitionData {
            partition_index: wanted.partition,
            error_code: f.error,
            high_watermark: f.high_watermark,
            last_stable_offset: f.last_stable,
            log_start_offset: f.log_start,
            aborted_transactions: committed_only.then(|| named(&f.aborted)),
            records: Records::Elsewhere { index: records.len(), len: f.bytes },
            diverging_epoch: f.diverging.map_or_else(EpochEndOffset::default, |(epoch, end)| {
                EpochEndOffset { epoch, end_offset: end }
            }),
            ..PartitionData::default()
        };
        records.push(f.records);
        match topics.last_mut() {
            Some((topic, partitions)) if *topic == wanted.topic => partitions.push(data),
            _ => topics.push((wanted.topic, vec![data])),
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
