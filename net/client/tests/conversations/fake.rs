//! A broker that remembers, in a thread, with faults on request: enough of one to hold the client to its word.

use ids::{BrokerId, LeaderEpoch, Offset, ProducerEpoch, ProducerId, TopicId};
use record::{BatchView, Batches, patch_base_offset};
use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use wire::api::{
    api_versions as av, create_topics as ct, delete_topics as dt, describe_configs as dc,
    fetch as f, init_producer_id as ip, list_offsets as lo, metadata as m, produce as p,
};
use wire::frame::{Frame, scan};
use wire::{ApiKey, Encoder, ErrorCode, Message, Reader, Records, RequestHeader, Response};

/// What goes wrong with the next produce request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The records are written, the answer is not: the connection breaks.
    BreakAfterAppend,
    /// The connection breaks, nothing is written.
    BreakBefore,
    /// Every partition is refused with this code.
    Refuse(ErrorCode),
    /// Nothing goes wrong.
    None,
}

#[derive(Default)]
pub(crate) struct Partition {
    pub(crate) batches: Vec<Vec<u8>>,
    pub(crate) end: i64,
    /// By producer: the next sequence, and what was written under which first and last one.
    producers: BTreeMap<i64, (i32, Vec<(i32, i64)>)>,
}

pub(crate) struct State {
    pub(crate) topics: BTreeMap<String, Vec<Partition>>,
    pub(crate) faults: VecDeque<Fault>,
    pub(crate) batch_bytes_max: usize,
    pub(crate) auto_create: Option<usize>,
    pub(crate) aborted: Vec<f::AbortedTransaction>,
    pub(crate) requests: BTreeMap<&'static str, usize>,
    /// The most produce requests that were received before one of them was answered.
    pub(crate) api_versions_max: i16,
    pub(crate) answer_late: Duration,
    next_producer: i64,
}

pub(crate) struct Fake {
    at: SocketAddr,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    /// One for the listener, one for each connection that is open.
    alive: Arc<()>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    pub(crate) fn start() -> Self {
        // Each on an address of its own: the port of one that has ended must not be given to another test's.
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let host = Ipv4Addr::new(127, 77, 1, NEXT.fetch_add(1, Ordering::SeqCst));
        let listener = TcpListener::bind((host, 0)).unwrap();
        let at = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            topics: BTreeMap::new(),
            faults: VecDeque::new(),
            batch_bytes_max: 1 << 20,
            auto_create: None,
            aborted: Vec::new(),
            requests: BTreeMap::new(),
            api_versions_max: 4,
            answer_late: Duration::ZERO,
            next_producer: 1000,
        }));
        let stop = Arc::new(AtomicBool::new(false));
        let alive = Arc::new(());
        let thread = std::thread::spawn({
            let (state, stop, alive) = (state.clone(), stop.clone(), alive.clone());
            move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let (state, stop, alive) = (state.clone(), stop.clone(), alive.clone());
                    let stream = stream.unwrap();
                    std::thread::spawn(move || {
                        serve(stream, at, &state, &stop);
                        drop(alive);
                    });
                }
            }
        });
        Self { at, state, stop, alive, thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> String {
        self.at.to_string()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn create(&self, topic: &str, partitions: usize) {
        let partitions = (0..partitions).map(|_| Partition::default()).collect();
        self.state().topics.insert(topic.to_owned(), partitions);
    }

    /// Writes bytes as they are, at the end of a partition.
    pub(crate) fn append(&self, topic: &str, partition: usize, mut batch: Vec<u8>) {
        let mut state = self.state();
        let partition = &mut state.topics.get_mut(topic).unwrap()[partition];
        patch_base_offset(&mut batch, Offset(partition.end));
        partition.end += i64::from(BatchView::first(&batch).unwrap().header().offsets());
        partition.batches.push(batch);
    }

    /// The values of a partition, in order.
    pub(crate) fn values(&self, topic: &str, partition: usize) -> Vec<String> {
        let state = self.state();
        let mut decompressor = record::Decompressor::new();
        let mut values = Vec::new();
        for bytes in &state.topics[topic][partition].batches {
            let batch = BatchView::first(bytes).unwrap();
            for r in batch.records_with(&mut decompressor, 1 << 24).unwrap() {
                values.push(String::from_utf8(r.unwrap().value.unwrap().to_vec()).unwrap());
            }
        }
        values
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        while Arc::strong_count(&self.alive) > 1 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

enum Answer {
    Frame(Vec<u8>),
    Silence,
    Close,
}

fn serve(mut stream: TcpStream, at: SocketAddr, state: &Mutex<State>, stop: &AtomicBool) {
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut received = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    while !stop.load(Ordering::SeqCst) {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(n) => received.extend_from_slice(&buffer[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => return,
        }
        while let Frame::Whole { contents } = scan(&received, 100 << 20).unwrap() {
            let late = state.lock().unwrap().answer_late;
            std::thread::sleep(late);
            match answer(&received[contents.clone()], at, state, stop) {
                Answer::Frame(frame) => {
                    if stream.write_all(&frame).is_err() {
                        return;
                    }
                }
                Answer::Silence => {}
                Answer::Close => return,
            }
            received.drain(..contents.end);
        }
    }
}

fn say<'a, R: Response<'a>>(h: &RequestHeader<'_>, body: &R) -> Answer {
    let mut e = Encoder::new();
    e.response(h.correlation_id, h.api_version, body).unwrap();
    Answer::Frame(e.into_bytes())
}

fn answer(frame: &[u8], at: SocketAddr, state: &Mutex<State>, stop: &AtomicBool) -> Answer {
    let mut r = Reader::new(frame);
    let h = RequestHeader::decode(&mut r).unwrap();
    let api = h.api().unwrap();
    let v = h.api_version;
    let name: &'static str = match api {
        ApiKey::Produce => "produce",
        ApiKey::Fetch => "fetch",
        ApiKey::Metadata => "metadata",
        ApiKey::ApiVersions => "api_versions",
        _ => "other",
    };
    *state.lock().unwrap().requests.entry(name).or_default() += 1;
    match api {
        ApiKey::ApiVersions => api_versions(&h, &mut state.lock().unwrap()),
        ApiKey::Metadata => {
            let request = m::MetadataRequest::decode_from(&mut r, v).unwrap();
            metadata(&h, &request, at, &mut state.lock().unwrap())
        }
        ApiKey::Produce => {
            let request = p::ProduceRequest::decode_from(&mut r, v).unwrap();
            produce(&h, &request, &mut state.lock().unwrap())
        }
        ApiKey::Fetch => {
            let request = f::FetchRequest::decode_from(&mut r, v).unwrap();
            fetch(&h, &request, state, stop)
        }
        ApiKey::ListOffsets => {
            let request = lo::ListOffsetsRequest::decode_from(&mut r, v).unwrap();
            list_offsets(&h, &request, &state.lock().unwrap())
        }
        ApiKey::InitProducerId => {
            let mut state = state.lock().unwrap();
            state.next_producer += 1;
            let producer_id = ProducerId(state.next_producer);
            let body = ip::InitProducerIdResponse {
                producer_id,
                producer_epoch: ProducerEpoch(0),
                ..Default::default()
            };
            say(&h, &body)
        }
        ApiKey::CreateTopics => {
            let request = ct::CreateTopicsRequest::decode_from(&mut r, v).unwrap();
            create_topics(&h, &request, &mut state.lock().unwrap())
        }
        ApiKey::DeleteTopics => {
            let request = dt::DeleteTopicsRequest::decode_from(&mut r, v).unwrap();
            let mut state = state.lock().unwrap();
            let mut responses = Vec::new();
            for t in &request.topics {
                let gone = state.topics.remove(t.name.unwrap()).is_some();
                let error_code =
                    if gone { ErrorCode::NONE } else { ErrorCode::UNKNOWN_TOPIC_OR_PARTITION };
                let name = t.name;
                responses.push(dt::DeletableTopicResult { name, error_code, ..Default::default() });
            }
            say(&h, &dt::DeleteTopicsResponse { responses, ..Default::default() })
        }
        ApiKey::DescribeConfigs => {
            let request = dc::DescribeConfigsRequest::decode_from(&mut r, v).unwrap();
            let resource = &request.resources[0];
            let entry = |name, value, config_source| dc::DescribeConfigsResourceResult {
                name,
                value: Some(value),
                config_source,
                ..Default::default()
            };
            let result = dc::DescribeConfigsResult {
                resource_type: resource.resource_type,
                resource_name: resource.resource_name,
                configs: vec![entry("retention.ms", "5", 1), entry("cleanup.policy", "delete", 5)],
                ..Default::default()
            };
            say(&h, &dc::DescribeConfigsResponse { results: vec![result], ..Default::default() })
        }
        _ => Answer::Close,
    }
}

fn api_versions(h: &RequestHeader<'_>, state: &mut State) -> Answer {
    let max = state.api_versions_max;
    let key = |api: ApiKey, min_version, max_version| av::ApiVersion {
        api_key: api.code(),
        min_version,
        max_version,
    };
    let mut body = av::ApiVersionsResponse {
        api_keys: vec![
            key(ApiKey::ApiVersions, 0, max),
            key(ApiKey::Metadata, 0, 12),
            key(ApiKey::Produce, 0, 13),
            key(ApiKey::Fetch, 4, 17),
            key(ApiKey::ListOffsets, 1, 6),
            key(ApiKey::InitProducerId, 0, 4),
            key(ApiKey::CreateTopics, 2, 7),
            key(ApiKey::DeleteTopics, 1, 6),
            key(ApiKey::DescribeConfigs, 1, 4),
            key(ApiKey::LeaveGroup, 0, 99),
        ],
        ..Default::default()
    };
    if h.api_version <= max {
        return say(h, &body);
    }
    // KIP-511: version 0, error 35, and at least the entry of ApiVersions itself. -1: as brokers did before.
    body.error_code = ErrorCode::UNSUPPORTED_VERSION;
    body.api_keys.truncate(usize::from(max > 0));
    let h = RequestHeader { api_version: 0, ..*h };
    say(&h, &body)
}

fn metadata(
    h: &RequestHeader<'_>,
    request: &m::MetadataRequest<'_>,
    at: SocketAddr,
    state: &mut State,
) -> Answer {
    let names: Vec<String> = match &request.topics {
        None => state.topics.keys().cloned().collect(),
        Some(list) => list.iter().map(|t| t.name.unwrap().to_owned()).collect(),
    };
    let mut created = Vec::new();
    for name in &names {
        if !state.topics.contains_key(name)
            && request.allow_auto_topic_creation
            && let Some(n) = state.auto_create
        {
            created.push(name.clone());
            let partitions = (0..n).map(|_| Partition::default()).collect();
            state.topics.insert(name.clone(), partitions);
        }
    }
    let topics = names
        .iter()
        .map(|name| match state.topics.get(name) {
            // A topic that is being created is not known yet in the first answer.
            Some(partitions) if !created.contains(name) => m::MetadataResponseTopic {
                name: Some(name),
                topic_id: TopicId([1; 16]),
                partitions: (0..)
                    .zip(partitions)
                    .map(|(i, _)| m::MetadataResponsePartition {
                        partition_index: ids::PartitionIndex(i),
                        leader_id: BrokerId(7),
                        leader_epoch: LeaderEpoch(0),
                        replica_nodes: vec![BrokerId(7)],
                        isr_nodes: vec![BrokerId(7)],
                        ..Default::default()
                    })
                    .collect(),
                ..Default::default()
            },
            _ => m::MetadataResponseTopic {
                name: Some(name),
                error_code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                ..Default::default()
            },
        })
        .collect();
    let host = at.ip().to_string();
    let broker = m::MetadataResponseBroker {
        node_id: BrokerId(7),
        host: &host,
        port: at.port().into(),
        rack: None,
    };
    let body = m::MetadataResponse {
        brokers: vec![broker],
        cluster_id: Some("fake"),
        controller_id: BrokerId(7),
        topics,
        ..Default::default()
    };
    say(h, &body)
}

fn produce(h: &RequestHeader<'_>, request: &p::ProduceRequest<'_>, state: &mut State) -> Answer {
    let fault = state.faults.pop_front().unwrap_or(Fault::None);
    if fault == Fault::BreakBefore {
        return Answer::Close;
    }
    let mut responses = Vec::new();
    for topic in &request.topic_data {
        let mut partition_responses = Vec::new();
        for data in &topic.partition_data {
            let (error_code, base_offset) = match fault {
                Fault::Refuse(code) => (code, -1),
                _ => append(state, topic.name, data.index.0, data.records.bytes().unwrap()),
            };
            partition_responses.push(p::PartitionProduceResponse {
                index: data.index,
                error_code,
                base_offset: Offset(base_offset),
                ..Default::default()
            });
        }
        let topic = topic.name;
        responses.push(p::TopicProduceResponse {
            name: topic,
            partition_responses,
            ..Default::default()
        });
    }
    match (fault, request.acks) {
        (Fault::BreakAfterAppend, _) => Answer::Close,
        (_, 0) => Answer::Silence,
        _ => say(h, &p::ProduceResponse { responses, ..Default::default() }),
    }
}

fn append(state: &mut State, topic: &str, index: i32, bytes: &[u8]) -> (ErrorCode, i64) {
    if bytes.len() > state.batch_bytes_max {
        return (ErrorCode::MESSAGE_TOO_LARGE, -1);
    }
    let limits = record::Limits::default();
    let mut d = record::Decompressor::new();
    let valid = record::validate(bytes, &limits, &mut d).unwrap();
    let header = *valid.header();
    let Some(partition) =
        state.topics.get_mut(topic).and_then(|t| t.get_mut(usize::try_from(index).unwrap()))
    else {
        return (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, -1);
    };
    if header.producer_id != ProducerId::NONE {
        let (next, seen) = partition.producers.entry(header.producer_id.0).or_default();
        if let Some((_, at)) = seen.iter().find(|(first, _)| *first == header.base_sequence) {
            return (ErrorCode::NONE, *at);
        }
        if header.base_sequence != *next {
            return (ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
        }
        *next += header.count;
        seen.push((header.base_sequence, partition.end));
    }
    let placed = valid.to_owned().place(Offset(partition.end), LeaderEpoch(0));
    let at = partition.end;
    partition.end = placed.header().next_offset().0;
    partition.batches.push(placed.into_bytes());
    (ErrorCode::NONE, at)
}

fn fetch(
    h: &RequestHeader<'_>,
    request: &f::FetchRequest<'_>,
    state: &Mutex<State>,
    stop: &AtomicBool,
) -> Answer {
    let until = Instant::now() + Duration::from_millis(request.max_wait_ms.try_into().unwrap());
    loop {
        let state = state.lock().unwrap();
        let mut found = Vec::new();
        let mut any = false;
        for topic in &request.topics {
            for asked in &topic.partitions {
                let index = usize::try_from(asked.partition.0).unwrap();
                let log = state.topics.get(topic.topic).and_then(|t| t.get(index));
                let mut bytes = Vec::new();
                let mut code = ErrorCode::NONE;
                let mut end = -1;
                match log {
                    None => code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                    Some(log) if asked.fetch_offset.0 > log.end => {
                        code = ErrorCode::OFFSET_OUT_OF_RANGE;
                    }
                    Some(log) => {
                        end = log.end;
                        let max = usize::try_from(asked.partition_max_bytes).unwrap();
                        for b in &log.batches {
                            let view = BatchView::first(b).unwrap();
                            if view.header().last_offset() >= asked.fetch_offset {
                                bytes.extend_from_slice(b);
                            }
                        }
                        // As Kafka does: cut at the limit, wherever that is; but the first batch is whole.
                        let first =
                            Batches::new(&bytes).next().map_or(0, |b| b.unwrap().bytes().len());
                        bytes.truncate(max.max(first));
                    }
                }
                any |= !bytes.is_empty() || code != ErrorCode::NONE;
                found.push((topic.topic, asked.partition, code, end, bytes));
            }
        }
        if !any && Instant::now() < until && !stop.load(Ordering::SeqCst) {
            drop(state);
            std::thread::sleep(Duration::from_millis(2));
            continue;
        }
        let responses = found
            .iter()
            .map(|(topic, index, code, end, bytes)| f::FetchableTopicResponse {
                topic,
                partitions: vec![f::PartitionData {
                    partition_index: *index,
                    error_code: *code,
                    high_watermark: Offset(*end),
                    last_stable_offset: Offset(*end),
                    aborted_transactions: (request.isolation_level == 1)
                        .then(|| state.aborted.clone()),
                    records: Records::Slice(bytes),
                    ..Default::default()
                }],
                ..Default::default()
            })
            .collect();
        return say(h, &f::FetchResponse { responses, ..Default::default() });
    }
}

fn list_offsets(
    h: &RequestHeader<'_>,
    request: &lo::ListOffsetsRequest<'_>,
    state: &State,
) -> Answer {
    let mut topics = Vec::new();
    for topic in &request.topics {
        let mut partitions = Vec::new();
        for asked in &topic.partitions {
            let log = &state.topics[topic.name][usize::try_from(asked.partition_index.0).unwrap()];
            let offset = if asked.timestamp == -2 { 0 } else { log.end };
            partitions.push(lo::ListOffsetsPartitionResponse {
                partition_index: asked.partition_index,
                offset: Offset(offset),
                ..Default::default()
            });
        }
        topics.push(lo::ListOffsetsTopicResponse { name: topic.name, partitions });
    }
    say(h, &lo::ListOffsetsResponse { topics, ..Default::default() })
}

fn create_topics(
    h: &RequestHeader<'_>,
    request: &ct::CreateTopicsRequest<'_>,
    state: &mut State,
) -> Answer {
    let mut topics = Vec::new();
    for t in &request.topics {
        let exists = state.topics.contains_key(t.name);
        let n = t.num_partitions.max(1);
        if !exists && !request.validate_only {
            let partitions = (0..n).map(|_| Partition::default()).collect();
            state.topics.insert(t.name.to_owned(), partitions);
        }
        topics.push(ct::CreatableTopicResult {
            name: t.name,
            error_code: if exists { ErrorCode::TOPIC_ALREADY_EXISTS } else { ErrorCode::NONE },
            error_message: exists.then_some("it is there"),
            num_partitions: n,
            replication_factor: 1,
            ..Default::default()
        });
    }
    say(h, &ct::CreateTopicsResponse { topics, ..Default::default() })
}
