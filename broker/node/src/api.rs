//! The Kafka protocol's requests: which are served, and who answers them.
//!
//! One file per API below. Each decodes its request in place, asks the shard or the metadata, and phrases the answer. What is
//! not in [`SERVED`] is not advertised, and a request for it closes the connection, as Kafka does.

mod admin_configs;
mod api_versions;
mod cluster;
mod codes;
mod create_partitions;
mod create_topics;
mod delete_records;
mod delete_topics;
mod describe_log_dirs;
mod describe_producers;
mod describe_topic_partitions;
mod fetch;
mod fetch_sessions;
mod find_coordinator;
mod groups;
mod init_producer_id;
mod later;
mod list_config_resources;
mod list_offsets;
mod metadata;
mod offset_for_leader_epoch;
mod operations;
mod owners;
mod produce;
mod update_features;

pub(crate) use fetch::Parts as FetchParts;
pub(crate) use fetch_sessions::FetchSessions;
pub(crate) use produce::Line as ProduceLine;

use crate::broker::{Broker, CONTROLLER, Counters, Session};
use ids::{CoreId, TopicId};
use later::{Later, Waiting};
use runtime::{Class, Slice};
use server::{Frame, Reply};
use stages::{Kind, Laps, Stage};
use std::collections::BTreeSet;
use std::future::ready;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use wire::api::ApiKey;
use wire::{DecodeError, Encoder, Malformed, Message, Piece, Reader, RequestHeader, Response};

/// What this broker serves: API, lowest and highest version. Kafka's versions are in COMPAT.md beside ours; a test holds the
/// two together.
pub(crate) const SERVED: &[(ApiKey, i16, i16)] = &[
    // 0 to 2 are advertised and refused: librdkafka takes their absence for the absence of compression.
    (ApiKey::Produce, 0, 11),
    (ApiKey::Fetch, 4, 17),
    (ApiKey::ListOffsets, 1, 11),
    (ApiKey::Metadata, 0, 13),
    (ApiKey::OffsetCommit, 2, 9),
    (ApiKey::OffsetFetch, 1, 9),
    (ApiKey::FindCoordinator, 0, 6),
    (ApiKey::JoinGroup, 0, 9),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 5),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::DescribeGroups, 0, 6),
    (ApiKey::ListGroups, 0, 5),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::OffsetDelete, 0, 0),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 6),
    (ApiKey::DeleteRecords, 0, 2),
    (ApiKey::InitProducerId, 0, 5),
    (ApiKey::OffsetForLeaderEpoch, 2, 4),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::AlterConfigs, 0, 2),
    (ApiKey::DescribeLogDirs, 1, 4),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
    (ApiKey::DescribeCluster, 0, 2),
    (ApiKey::DescribeProducers, 0, 0),
    (ApiKey::UpdateFeatures, 0, 2),
    (ApiKey::ConsumerGroupHeartbeat, 0, 1),
    (ApiKey::ConsumerGroupDescribe, 0, 1),
    (ApiKey::ListConfigResources, 0, 1),
    (ApiKey::DescribeTopicPartitions, 0, 0),
];

/// The lowest Produce version that is really taken: record batches of format 2.
const PRODUCE_MIN: i16 = 3;

/// Elements that all lists of a request may have together: an answer takes some hundreds of bytes, and as many nanoseconds, for
/// each of them, and nobody else's request is seen meanwhile.
const ELEMENTS_MAX: usize = 100_000;
/// The same, where most of them are partitions whose data is asked for.
const DATA_ELEMENTS_MAX: usize = 20_000;

/// The same at most, where each of several groups is asked for partitions of its own.
const OFFSETS_ELEMENTS_MAX: usize = 500_000;

/// How many elements the lists of a request about so many `groups` may have, where there are so many `partitions`. Whoever names
/// every partition there is once, and as many topics, is served; where offsets of groups are asked for, once for each of them.
fn elements_max(key: ApiKey, partitions: usize, groups: usize) -> usize {
    let data = matches!(
        key,
        ApiKey::Produce
            | ApiKey::Fetch
            | ApiKey::ListOffsets
            | ApiKey::OffsetCommit
            | ApiKey::OffsetForLeaderEpoch
            | ApiKey::DeleteRecords
            | ApiKey::DescribeProducers
    );
    let least = if data { DATA_ELEMENTS_MAX } else { ELEMENTS_MAX };
    let all = partitions.saturating_mul(2);
    // A group is an element itself.
    let of_groups = all.saturating_add(1).saturating_mul(groups).min(OFFSETS_ELEMENTS_MAX);
    let of_groups = if key == ApiKey::OffsetFetch { of_groups } else { 0 };
    all.max(of_groups).max(least)
}

/// What is said to a request whose body is not taken.
fn refuse(error: DecodeError) -> Reply {
    Reply::Close(if error.reason == Malformed::TooMany {
        "a request that names too much"
    } else {
        "a request that cannot be read"
    })
}

/// One request's head, for its answer.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    counters: &'a Counters,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) client_id: Option<&'a str>,
    /// The connection, as the client's address and port.
    pub(crate) connection: SocketAddr,
    /// The client's address.
    pub(crate) peer: Option<IpAddr>,
}

/// A request on the core of its connection.
#[derive(Clone, Copy)]
struct Received<'a> {
    /// What its bytes lie in.
    frame: &'a Frame,
    /// The connection's produces.
    line: &'a ProduceLine,
}

/// Requests that the controller decides: they run on its core.
fn is_for_the_controller(key: ApiKey) -> bool {
    matches!(
        key,
        ApiKey::CreateTopics
            | ApiKey::DeleteTopics
            | ApiKey::CreatePartitions
            | ApiKey::AlterConfigs
            | ApiKey::IncrementalAlterConfigs
            | ApiKey::InitProducerId
    )
}

/// The API at this place of [`SERVED`].
pub(crate) fn api_at(place: u8) -> Option<ApiKey> {
    SERVED.get(usize::from(place)).map(|(key, ..)| *key)
}

/// What the worst requests are told apart by, at each place of [`SERVED`].
pub(crate) fn kinds() -> impl Iterator<Item = Kind> {
    let told_apart = [(ApiKey::Produce, Kind::Produce), (ApiKey::Fetch, Kind::Fetch)];
    SERVED.iter().map(move |(key, ..)| {
        told_apart.iter().find(|(k, _)| k == key).map_or(Kind::Other, |(_, kind)| *kind)
    })
}

/// Answers one request, and divides its time among the stages.
pub(crate) async fn answer(
    broker: Rc<Broker>,
    session: Rc<Session>,
    frame: Frame,
    mut laps: Laps,
) -> (Reply, Laps) {
    let key = api_of(&frame);
    let place = key.and_then(|key| SERVED.iter().position(|(k, ..)| *k == key));
    laps.is_for(place.and_then(|p| u8::try_from(p).ok()).unwrap_or(u8::MAX));
    if key.is_some_and(groups::waits_for_others) {
        laps.is_in(Stage::Park);
    }
    let reply = ask(&broker, key, &session, frame, &mut laps).await;
    match key {
        // They tell their stages apart.
        Some(ApiKey::Produce | ApiKey::Fetch) => {}
        // They wait for the other members.
        Some(ApiKey::JoinGroup | ApiKey::SyncGroup) => laps.lap(Stage::Park, || broker.rt.clock()),
        _ => laps.lap(Stage::Handle, || broker.rt.clock()),
    }
    (reply, laps)
}

async fn ask(
    broker: &Rc<Broker>,
    key: Option<ApiKey>,
    session: &Session,
    frame: Frame,
    laps: &mut Laps,
) -> Reply {
    let peer = session.peer;
    if let Some(key) = key {
        broker.counters.count(key);
        if is_for_the_controller(key) && !broker.is_here(CONTROLLER) {
            return forward(broker, CONTROLLER, peer, frame).await;
        }
        if let Some(owner) = groups::owner(broker, key, &frame) {
            return forward(broker, owner, peer, frame).await;
        }
        if groups::waits_for_others(key) {
            let waiting = begin(broker, peer, &frame);
            // The room for requests is for those that are worked on.
            drop(frame);
            return waiting.await;
        }
    }
    let received = Received { frame: &frame, line: &session.produces };
    answer_here(broker, peer, &frame, Some(received), laps).await
}

/// Answers a request that came by no connection: its frame, without its length, and the answer's, with it. On core 0, where
/// the controller is; nothing where the request cannot be answered.
pub(crate) async fn answer_inside(broker: &Rc<Broker>, frame: &[u8]) -> Option<Vec<u8>> {
    let key = api_of(frame)?;
    broker.counters.count(key);
    let here = SocketAddr::from(([127, 0, 0, 1], 0));
    // Nobody counts it among the requests of clients.
    let mut laps = Laps::none();
    match answer_here(broker, here, frame, None, &mut laps).await {
        Reply::Send(slices) | Reply::SendThenMute(slices, _) | Reply::SendThenClose(slices, _) => {
            Some(slices.iter().flat_map(|s| s.iter().copied()).collect())
        }
        Reply::Close(_) | Reply::Nothing => None,
    }
}

/// What another core answered.
enum Answered {
    Send(Vec<u8>),
    Close(&'static str),
    Nothing,
}

impl From<Reply> for Answered {
    fn from(reply: Reply) -> Self {
        match reply {
            Reply::Send(slices) | Reply::SendThenMute(slices, _) => {
                Self::Send(slices.iter().flat_map(|s| s.iter().copied()).collect())
            }
            Reply::SendThenClose(_, why) | Reply::Close(why) => Self::Close(why),
            Reply::Nothing => Self::Nothing,
        }
    }
}

/// Lets another core answer.
async fn forward(broker: &Rc<Broker>, core: CoreId, peer: SocketAddr, frame: Frame) -> Reply {
    let waits = api_of(&frame).is_some_and(groups::waits_for_others);
    let (home, frame) = (broker.rt.core(), broker.rt.lend(frame));
    let run = move |b: Rc<Broker>| async move {
        if waits {
            let waiting = begin(&b, peer, &frame);
            // The frame goes home before the answer: that one may be long in coming.
            b.post.tell(home, Class::Control, move |_| drop(frame));
            return (Answered::from(waiting.await), None);
        }
        // The core of the connection times the whole of it.
        let mut laps = Laps::none();
        let reply = answer_here(&b, peer, &frame, None, &mut laps).await;
        // The frame goes home with the answer.
        (Answered::from(reply), Some(frame))
    };
    match broker.post.ask(core, Class::Control, false, run).await {
        Some((Answered::Send(bytes), _)) => Reply::Send(vec![Slice::from(bytes)]),
        Some((Answered::Close(why), _)) => Reply::Close(why),
        Some((Answered::Nothing, _)) => Reply::Nothing,
        None => Reply::Close("the broker stops"),
    }
}

/// What a request is, as its first bytes say.
fn api_of(frame: &[u8]) -> Option<ApiKey> {
    frame.first_chunk().map(|key| i16::from_be_bytes(*key)).and_then(ApiKey::from_code)
}

/// Reads the head of a request that is served; otherwise, what is said to it.
fn open<'a>(
    broker: &'a Broker,
    peer: SocketAddr,
    bytes: &'a [u8],
) -> Result<(ApiKey, Asked<'a>, Reader<'a>), Reply> {
    let mut reader = Reader::new(bytes);
    let Ok(header) = RequestHeader::decode(&mut reader) else {
        return Err(Reply::Close("a request header that cannot be read"));
    };
    let Some(key) = header.api() else { return Err(Reply::Close("an API that is not known")) };
    let asked = Asked {
        counters: &broker.counters,
        version: header.api_version,
        correlation_id: header.correlation_id,
        client_id: header.client_id,
        connection: peer,
        peer: Some(peer.ip()),
    };
    let Some((_, min, max)) = SERVED.iter().find(|(k, ..)| *k == key) else {
        return Err(Reply::Close("an API that is not served"));
    };
    let served = (*min..=*max).contains(&asked.version);
    if key == ApiKey::ApiVersions && !served {
        return Err(api_versions::fall_back(&asked));
    }
    if !served || (key == ApiKey::Produce && asked.version < PRODUCE_MIN) {
        return Err(Reply::Close("a version that is not served"));
    }
    let groups = groups::named(key, asked.version, &reader);
    let partitions = broker.metadata.image().partition_count();
    reader.limit_elements(elements_max(key, partitions, groups));
    Ok((key, asked, reader))
}

/// Carries out a request that waits for others, up to the wait.
#[expect(clippy::wildcard_enum_match_arm, reason = "two against the rest")]
fn begin(broker: &Rc<Broker>, peer: SocketAddr, bytes: &[u8]) -> Waiting {
    let (key, asked, mut reader) = match open(broker, peer, bytes) {
        Ok(opened) => opened,
        Err(reply) => return Box::pin(ready(reply)),
    };
    let waiting = match key {
        ApiKey::JoinGroup => groups::join(broker, &asked, &mut reader),
        ApiKey::SyncGroup => groups::sync(broker, &asked, &mut reader),
        _ => return Box::pin(ready(Reply::Close("a request that waits for nobody"))),
    };
    waiting.unwrap_or_else(|e| Box::pin(ready(refuse(e))))
}

/// `received` says where `bytes` have come from, if that is a connection of this core.
#[expect(clippy::wildcard_enum_match_arm, reason = "what is not served is most of the protocol")]
async fn answer_here(
    broker: &Rc<Broker>,
    peer: SocketAddr,
    bytes: &[u8],
    received: Option<Received<'_>>,
    laps: &mut Laps,
) -> Reply {
    let (key, asked, mut reader) = match open(broker, peer, bytes) {
        Ok(opened) => opened,
        Err(reply) => return reply,
    };
    let result = match key {
        ApiKey::Produce => produce::answer(broker, &asked, &mut reader, received, laps).await,
        // Apart, so that their state is no part of every produce's: a request is moved whole where it begins.
        ApiKey::Fetch => Box::pin(fetch::answer(broker, &asked, &mut reader, laps)).await,
        _ => Box::pin(answer_other(broker, key, &asked, &mut reader)).await,
    };
    result.unwrap_or_else(refuse)
}

/// Answers what is not data.
#[expect(clippy::wildcard_enum_match_arm, reason = "what is not served is most of the protocol")]
async fn answer_other(
    broker: &Rc<Broker>,
    key: ApiKey,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    match key {
        ApiKey::ListOffsets => list_offsets::answer(broker, asked, reader).await,
        ApiKey::Metadata => metadata::answer(broker, asked, reader).await,
        ApiKey::FindCoordinator => find_coordinator::answer(broker, asked, reader).await,
        ApiKey::JoinGroup => Ok(groups::join(broker, asked, reader)?.await),
        ApiKey::SyncGroup => Ok(groups::sync(broker, asked, reader)?.await),
        ApiKey::Heartbeat => groups::heartbeat(broker, asked, reader),
        ApiKey::ConsumerGroupHeartbeat => groups::consumer_heartbeat(broker, asked, reader).await,
        ApiKey::ConsumerGroupDescribe => groups::consumer_describe(broker, asked, reader).await,
        ApiKey::LeaveGroup => groups::leave(broker, asked, reader).await,
        ApiKey::OffsetCommit => groups::offset_commit(broker, asked, reader).await,
        ApiKey::OffsetFetch => groups::offset_fetch(broker, asked, reader).await,
        ApiKey::OffsetDelete => groups::offset_delete(broker, asked, reader).await,
        ApiKey::DescribeGroups => groups::describe(broker, asked, reader).await,
        ApiKey::ListGroups => groups::list(broker, asked, reader).await,
        ApiKey::DeleteGroups => groups::delete(broker, asked, reader).await,
        ApiKey::ApiVersions => api_versions::answer(broker, asked, reader),
        ApiKey::CreateTopics => create_topics::answer(broker, asked, reader).await,
        ApiKey::DeleteTopics => delete_topics::answer(broker, asked, reader).await,
        ApiKey::DeleteRecords => delete_records::answer(broker, asked, reader).await,
        ApiKey::InitProducerId => init_producer_id::answer(broker, asked, reader).await,
        ApiKey::OffsetForLeaderEpoch => {
            offset_for_leader_epoch::answer(broker, asked, reader).await
        }
        ApiKey::DescribeConfigs => admin_configs::describe(broker, asked, reader),
        ApiKey::AlterConfigs => admin_configs::alter(broker, asked, reader).await,
        ApiKey::IncrementalAlterConfigs => {
            admin_configs::alter_incrementally(broker, asked, reader).await
        }
        ApiKey::ListConfigResources => list_config_resources::answer(broker, asked, reader),
        ApiKey::DescribeLogDirs => describe_log_dirs::answer(broker, asked, reader).await,
        ApiKey::CreatePartitions => create_partitions::answer(broker, asked, reader).await,
        ApiKey::DescribeCluster => cluster::describe(broker, asked, reader),
        ApiKey::DescribeProducers => describe_producers::answer(broker, asked, reader).await,
        ApiKey::UpdateFeatures => update_features::answer(broker, asked, reader),
        ApiKey::DescribeTopicPartitions => describe_topic_partitions::answer(broker, asked, reader),
        _ => Ok(Reply::Close("an API that is not served")),
    }
}

/// An id that no topic had before.
fn fresh_topic_id(broker: &Broker) -> TopicId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&broker.rt.random().to_be_bytes());
    id[8..].copy_from_slice(&broker.rt.random().to_be_bytes());
    TopicId(id)
}

/// Leaves each thing that a request asks for once, where it was mentioned first: an answer must not be larger than what there is
/// to say, however often it is asked.
pub(crate) fn once<T, K: Ord>(all: &mut Vec<T>, key: impl Fn(&T) -> K) {
    let mut seen = BTreeSet::new();
    all.retain(|one| seen.insert(key(one)));
}

/// Reads a request's body.
pub(crate) fn read<'a, M: Message<'a>>(
    reader: &mut Reader<'a>,
    asked: &Asked<'_>,
) -> Result<M, DecodeError> {
    M::decode_leading(reader, asked.version)
}

/// Phrases an answer that holds no records.
pub(crate) fn reply<'a, R: Response<'a>>(asked: &Asked<'_>, body: &R) -> Reply {
    reply_with(asked, body, Vec::new())
}

/// Phrases an answer; `records` are the bytes that it refers to, by their index.
pub(crate) fn reply_with<'a, R: Response<'a>>(
    asked: &Asked<'_>,
    body: &R,
    mut records: Vec<Vec<Slice>>,
) -> Reply {
    let mut encoder = Encoder::new();
    if encoder.response(asked.correlation_id, asked.version, body).is_err() {
        return Reply::Close("an answer that cannot be said in this version");
    }
    asked.counters.count_errors(R::KEY, encoder.errors());
    let pieces: Vec<Piece> = encoder.pieces().collect();
    let bytes = Slice::from(encoder.into_bytes());
    let mut out = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match piece {
            Piece::Bytes(range) => out.push(bytes.slice(range)),
            Piece::Records { index, .. } => {
                if let Some(slices) = records.get_mut(index) {
                    out.append(slices);
                }
            }
        }
    }
    Reply::Send(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_of_an_offset_fetch_may_be_asked_for_every_partition() {
        // 300 groups and 400 topics of one partition each.
        let named = 300 * (1 + 400 + 400);
        assert!(elements_max(ApiKey::OffsetFetch, 400, 300) >= named);
        assert_eq!(elements_max(ApiKey::OffsetFetch, 400, 1), ELEMENTS_MAX);
        assert_eq!(elements_max(ApiKey::OffsetFetch, 1, usize::MAX), OFFSETS_ELEMENTS_MAX);
        // Very many partitions may be named once, however many groups there are.
        assert_eq!(elements_max(ApiKey::OffsetFetch, 1_000_000, 2), 2_000_000);
        for key in [ApiKey::Metadata, ApiKey::DescribeGroups] {
            assert_eq!(elements_max(key, 400, 300), ELEMENTS_MAX);
            assert_eq!(elements_max(key, 400_000, 300), 800_000);
        }
        assert_eq!(elements_max(ApiKey::OffsetCommit, 400, 300), DATA_ELEMENTS_MAX);
    }
}
