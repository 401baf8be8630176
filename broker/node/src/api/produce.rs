//! Produce: checks on this core, appends where the partition lives, answers when it is acknowledged as asked.
//!
//! All partitions of a request are appended before any is waited for, in the order of the request, and requests of one
//! connection in the order of their arrival: later ones join the next commit without waiting for the acknowledgement. The
//! checks are work for the processor: between two batches others come first, if those before took long.

mod clock;
mod line;
mod recode;

pub(crate) use line::Line;

use super::{Asked, Received, codes, read, reply};
use crate::broker::Broker;
use crate::shard::{Acks, Deadline, PartitionError, Produced, Terms, Trail};
use clock::Clock;
use cluster::config::{TimestampType, TopicConfig};
use ids::{CoreId, Instant, PartitionId, PartitionIndex};
use line::Place;
use log::BatchMeta;
use record::{
    BatchHeader, Codec, DECOMPRESSED_BYTES_MAX, Depth, Invalid, Limits, TimestampRange,
    rewrite_log_append_time, rewrite_max_timestamp, validate,
};
use runtime::{Class, Loan};
use server::{Frame, Reply};
use stages::{Laps, Stage};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use store::Client;
use wire::api::produce::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceResponse,
};
use wire::{DecodeError, ErrorCode, Reader};

/// Kafka's own client for tools; it alone may write internal topics.
const ADMIN_CLIENT: &str = "__admin_client";
/// zstd is known from this version on (KIP-110).
const ZSTD_FROM: i16 = 7;
/// A full disk must not become a storm of retries: an answer that tells of one takes so long.
const DISK_FULL_WAIT: Duration = Duration::from_secs(1);
/// Others come first before the next batch is checked when the core's turn has lasted so long ...
const TURN_TIME: Duration = Duration::from_millis(1);
/// ... or the checks since they last did have gone through so many bytes, received and decompressed: about as long.
const TURN_BYTES: u64 = 1 << 20;

/// What came of one partition.
struct Outcome {
    code: ErrorCode,
    message: Option<String>,
    /// The record that is to blame.
    record: Option<i32>,
    produced: Option<Produced>,
    disk_full: bool,
}

impl Outcome {
    fn error(code: ErrorCode, message: impl Into<Option<String>>) -> Self {
        Self { code, message: message.into(), record: None, produced: None, disk_full: false }
    }
}

/// Why a batch is not even tried.
struct Refused {
    code: ErrorCode,
    message: Option<String>,
    record: Option<i32>,
}

impl Refused {
    fn new(code: ErrorCode, message: impl Into<Option<String>>) -> Self {
        Self { code, message: message.into(), record: None }
    }
}

impl From<Refused> for Outcome {
    fn from(r: Refused) -> Self {
        Self { record: r.record, ..Self::error(r.code, r.message) }
    }
}

type Append<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// A batch that passed, on its way to its partition.
struct Checked<'a> {
    /// Its place in the request.
    place: usize,
    id: PartitionId,
    batch: Cow<'a, [u8]>,
    meta: BatchMeta,
}

/// What another core is asked to append.
type Sent = (PartitionId, Loan, BatchMeta);

/// What it answers.
struct Appended {
    results: Vec<Result<Produced, PartitionError>>,
    /// Dropped where they came from.
    _sent: Vec<Sent>,
    /// When that core began, and the trail of the batch that it acknowledged last.
    last: Option<(Instant, Trail)>,
}

/// How the request wants to be acknowledged.
#[derive(Clone, Copy)]
struct How {
    client: Client,
    acks: Acks,
    timeout: Duration,
    version: i16,
}

impl How {
    fn terms(self, deadline: &Deadline) -> Terms<'_> {
        Terms { client: self.client, acks: self.acks, deadline }
    }
}

pub(super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
    received: Option<Received<'_>>,
    laps: &mut Laps,
) -> Result<Reply, DecodeError> {
    let request: ProduceRequest<'_> = read(reader, asked)?;
    let frame = received.map(|r| r.frame);
    let in_line = received.map(|r| r.line.join());
    if let Some(in_line) = &in_line {
        in_line.comes().await;
    }
    let acks = match request.acks {
        0 => Some(Acks::None),
        1 => Some(Acks::Leader),
        -1 => Some(Acks::All),
        _ => None,
    };
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let client = client(&asked.connection);
    let how = How { client, acks: acks.unwrap_or(Acks::None), timeout, version: asked.version };
    let mut decompressed_max = budget(frame);
    let mut since_turn = 0;
    let mut outcomes: Vec<Option<Outcome>> = Vec::new();
    // The request waits for the batch that is acknowledged last; each gives the laps since the one before.
    let batches = request.topic_data.iter().map(|t| t.partition_data.len()).sum::<usize>();
    let clock = Clock::of(laps, batches);
    let deadline = Deadline::after(timeout);
    let mut here: Vec<(usize, Append<'_>)> = Vec::new();
    let mut elsewhere: BTreeMap<CoreId, Vec<Checked<'_>>> = BTreeMap::new();
    for topic in &request.topic_data {
        for partition in &topic.partition_data {
            if !outcomes.is_empty() {
                let_others_come(broker, &mut since_turn).await;
            }
            let place = outcomes.len();
            outcomes.push(None);
            let bytes = partition.records.bytes().unwrap_or(&[]);
            let before = broker.decompressor.borrow().bytes_written();
            let checked = match acks {
                None => Err(Refused::new(ErrorCode::INVALID_REQUIRED_ACKS, None)),
                Some(_) if request.transactional_id.is_some() => Err(Refused::new(
                    ErrorCode::INVALID_TXN_STATE,
                    "transactions are not served yet".to_owned(),
                )),
                Some(_) => {
                    look(broker, asked, topic.name, partition.index, bytes, decompressed_max)
                }
            };
            // Others decompress, too, while they come first.
            let decompressed = broker.decompressor.borrow().bytes_written() - before;
            decompressed_max = decompressed_max.saturating_sub(decompressed);
            since_turn += decompressed + bytes.len() as u64;
            let (id, batch, meta) = match checked {
                Ok(checked) => checked,
                Err(refused) => {
                    outcomes[place] = Some(refused.into());
                    continue;
                }
            };
            let c = &broker.counters;
            c.records_in.set(c.records_in.get() + u64::try_from(meta.offsets).unwrap_or(0));
            c.bytes_in.set(c.bytes_in.get() + u64::from(meta.len));
            let owner = broker.owner(id);
            let checked = Checked { place, id, batch, meta };
            let core = (!broker.is_here(owner)).then_some(owner);
            clock.begin(core, place, id);
            if core.is_none() {
                here.push((place, append(broker, checked, how, &deadline, &clock)));
            } else {
                elsewhere.entry(owner).or_default().push(checked);
            }
        }
    }
    clock.waits_for_next();
    clock.laps().lap(Stage::Decode, || broker.rt.clock());
    let asked_others: Vec<(CoreId, Vec<usize>, Asked1)> = elsewhere
        .into_iter()
        .map(|(core, checked)| {
            let (places, answer) = hand_over(broker, core, checked, frame, how);
            (core, places, answer)
        })
        .collect();
    all(here, &mut outcomes, in_line).await;
    let others = !asked_others.is_empty();
    for (core, places, answer) in asked_others {
        let (results, last) = answer.await.map(|a| (a.results, a.last)).unwrap_or_default();
        if let Some((began, trail)) = last {
            trail.give(&mut clock.laps(), Some(began));
        }
        let mut results = results.into_iter();
        for place in places {
            let result = results.next().unwrap_or(Err(PartitionError::NotLeader));
            outcomes[place] = Some(settle(result, how));
            clock.on_end(Some(core), place);
        }
    }
    if outcomes.iter().flatten().any(|o| o.disk_full) {
        // Once, however many partitions and cores were asked.
        broker.rt.sleep(DISK_FULL_WAIT.min(timeout)).await;
    }
    *laps = clock.end();
    let refused = outcomes.iter().flatten().any(|o| o.produced.is_none());
    if outcomes.is_empty() || refused {
        // Nobody knows where a refusal's time went: a timeout, or a full disk that answers late.
        laps.lap(Stage::Handle, || broker.rt.clock());
    } else if others {
        laps.lap(Stage::Crossing, || broker.rt.clock());
    }
    let unanswered = || Outcome::error(ErrorCode::NOT_LEADER_OR_FOLLOWER, None);
    let outcomes: Vec<Outcome> =
        outcomes.into_iter().map(|o| o.unwrap_or_else(unanswered)).collect();
    if acks == Some(Acks::None) {
        // Nobody reads an answer. An error is told in the one way that is left.
        let failed = outcomes.iter().any(|o| o.code != ErrorCode::NONE);
        return Ok(if failed {
            Reply::Close("a produce with acks=0 failed")
        } else {
            Reply::Nothing
        });
    }
    let mut next = outcomes.iter();
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for topic in &request.topic_data {
        let mut partition_responses = Vec::with_capacity(topic.partition_data.len());
        for partition in &topic.partition_data {
            let Some(o) = next.next() else { break };
            partition_responses.push(phrase(partition.index, o));
        }
        responses.push(TopicProduceResponse {
            name: topic.name,
            topic_id: topic.topic_id,
            partition_responses,
        });
    }
    let reply = reply(asked, &ProduceResponse { responses, ..ProduceResponse::default() });
    laps.lap(Stage::Encode, || broker.rt.clock());
    Ok(reply)
}

fn phrase(index: PartitionIndex, o: &Outcome) -> PartitionProduceResponse<'_> {
    let mut response = PartitionProduceResponse {
        index,
        error_code: o.code,
        base_offset: ids::Offset::NONE,
        error_message: o.message.as_deref(),
        ..PartitionProduceResponse::default()
    };
    if let Some(p) = &o.produced {
        response.base_offset = p.base_offset;
        response.log_append_time_ms = p.append_time.0;
        response.log_start_offset = p.log_start;
    }
    if let Some(record) = o.record {
        response.record_errors = vec![BatchIndexAndErrorMessage {
            batch_index: record,
            batch_index_error_message: o.message.as_deref(),
        }];
    }
    response
}

/// Whom the store is to be fair to: each connection. Two that are taken for one share what one has.
fn client(connection: &SocketAddr) -> Client {
    let mut hasher = DefaultHasher::new();
    connection.hash(&mut hasher);
    Client(hasher.finish())
}

type Asked1 = crate::post::Asked<Appended>;

/// Lets everything else that can go on come first, if it has waited long.
async fn let_others_come(broker: &Broker, since_turn: &mut u64) {
    let turn = broker.rt.clock().since(broker.rt.now());
    if *since_turn >= TURN_BYTES || turn >= TURN_TIME {
        *since_turn = 0;
        broker.rt.yield_now().await;
    }
}

/// Finds the partition and checks its batch, which may decompress to so many bytes.
fn look<'a>(
    broker: &Broker,
    asked: &Asked<'_>,
    topic: &str,
    index: PartitionIndex,
    bytes: &'a [u8],
    decompressed_max: u64,
) -> Result<(PartitionId, Cow<'a, [u8]>, BatchMeta), Refused> {
    let id = {
        let image = broker.metadata.image();
        let topic = image.topic_named(topic).filter(|t| t.partition(index).is_some());
        topic.map(|t| PartitionId { topic: t.id, index })
    };
    let Some(id) = id else {
        return Err(Refused::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, None));
    };
    if cluster::name::is_internal(topic) && asked.client_id != Some(ADMIN_CLIENT) {
        let why = format!("{topic} is written by the broker only");
        return Err(Refused::new(ErrorCode::INVALID_TOPIC_EXCEPTION, why));
    }
    let config = broker.metadata.topic_config(id.topic, topic);
    let (batch, meta) = check(broker, &config, asked.version, bytes, decompressed_max)?;
    let (batch, meta) = recode::for_topic(broker, &config, batch, meta)?;
    Ok((id, batch, meta))
}

/// Appends on this core, and waits for the acknowledgement.
fn append<'a>(
    broker: &'a Rc<Broker>,
    checked: Checked<'a>,
    how: How,
    deadline: &'a Deadline,
    clock: &'a Clock,
) -> Append<'a> {
    Box::pin(async move {
        let Checked { place, id, batch, meta } = checked;
        let tell = |trail: &Trail| trail.give(&mut clock.laps(), None);
        let result = broker.shard.produce(id, &batch, &meta, how.terms(deadline), tell).await;
        clock.on_end(None, place);
        settle(result, how)
    })
}

/// Lets another core append, all batches before any is waited for. The letter leaves now.
fn hand_over(
    broker: &Rc<Broker>,
    core: CoreId,
    checked: Vec<Checked<'_>>,
    frame: Option<&Frame>,
    how: How,
) -> (Vec<usize>, Asked1) {
    let places = checked.iter().map(|c| c.place).collect();
    let sent: Vec<Sent> =
        checked.into_iter().map(|c| (c.id, lend(broker, c.batch, frame), c.meta)).collect();
    let run = move |b: Rc<Broker>| async move {
        let began = stages::read(|| b.rt.clock());
        let last = Cell::new(None);
        let deadline = &Deadline::after(how.timeout);
        let results = {
            let mut results: Vec<Option<_>> = sent.iter().map(|_| None).collect();
            let appends = sent.iter().enumerate().map(|(i, (id, bytes, meta))| {
                let tell = |trail: &Trail| last.set(Some((began, *trail)));
                let produce = b.shard.produce(*id, bytes, meta, how.terms(deadline), tell);
                let boxed: Pin<Box<dyn Future<Output = _>>> = Box::pin(produce);
                (i, boxed)
            });
            all(appends.collect(), &mut results, None).await;
            results.into_iter().map(|r| r.unwrap_or(Err(PartitionError::NotLeader))).collect()
        };
        Appended { results, _sent: sent, last: last.get() }
    };
    (places, broker.post.ask(core, Class::Data, false, run))
}

/// The batch where it lies in the request, if it was not changed.
fn lend(broker: &Broker, batch: Cow<'_, [u8]>, frame: Option<&Frame>) -> Loan {
    if let (Cow::Borrowed(bytes), Some(frame)) = (&batch, frame) {
        let from = (bytes.as_ptr() as usize).checked_sub(frame.as_ptr() as usize);
        if let Some(from) = from.filter(|from| from + bytes.len() <= frame.len()) {
            return broker.rt.lend(frame.slice(from..from + bytes.len()));
        }
    }
    broker.rt.lend(batch.into_owned())
}

fn settle(result: Result<Produced, PartitionError>, how: How) -> Outcome {
    match result {
        Ok(produced) => {
            Outcome { produced: Some(produced), ..Outcome::error(ErrorCode::NONE, None) }
        }
        Err(e) => {
            let disk_full = matches!(&e, PartitionError::Refused(store::Refusal::DiskFull { .. }));
            let (code, message) = codes::of_partition(&e, how.version);
            Outcome { disk_full, ..Outcome::error(code, message) }
        }
    }
}

/// The batch as the producer compressed it, with the topic's corrections, and what the log must know of it.
fn check<'a>(
    broker: &Broker,
    config: &TopicConfig,
    version: i16,
    bytes: &'a [u8],
    decompressed_max: u64,
) -> Result<(Cow<'a, [u8]>, BatchMeta), Refused> {
    let now = broker.rt.wall();
    let stamped = config.timestamp_type == TimestampType::LogAppendTime;
    let mut limits = limits(
        config,
        (!stamped).then(|| {
            TimestampRange::around(
                now,
                config.timestamp_before_max_ms,
                config.timestamp_after_max_ms,
            )
        }),
    );
    let header = {
        let mut decompressor = broker.decompressor.borrow_mut();
        let left = usize::try_from(decompressed_max).unwrap_or(usize::MAX);
        limits.decompressed_bytes_max = limits.decompressed_bytes_max.min(left);
        match validate(bytes, &limits, &mut decompressor) {
            Ok(valid) => *valid.header(),
            // Kafka corrects it silently, and so do we. Everything before it in the order of checks has passed.
            Err(Invalid::MaxTimestamp { actual, .. }) => {
                let mut corrected = bytes.to_vec();
                rewrite_max_timestamp(&mut corrected, actual);
                if stamped {
                    rewrite_log_append_time(&mut corrected, now);
                }
                let header = BatchHeader::read(&corrected);
                let header =
                    header.ok_or_else(|| Refused::new(ErrorCode::CORRUPT_MESSAGE, None))?;
                check_version(&header, version)?;
                let meta = meta(&header, corrected.len());
                return Ok((Cow::Owned(corrected), meta));
            }
            Err(e) => {
                let record =
                    if let Invalid::NoKey { record } | Invalid::Timestamp { record, .. } = &e {
                        Some(*record)
                    } else {
                        None
                    };
                return Err(Refused {
                    record,
                    ..Refused::new(codes::of_invalid(&e), e.to_string())
                });
            }
        }
    };
    check_version(&header, version)?;
    if stamped {
        let mut stamped = bytes.to_vec();
        rewrite_log_append_time(&mut stamped, now);
        let header = BatchHeader::read(&stamped).unwrap_or(header);
        let meta = meta(&header, stamped.len());
        return Ok((Cow::Owned(stamped), meta));
    }
    Ok((Cow::Borrowed(bytes), meta(&header, bytes.len())))
}

/// Bytes that the batches of a request may decompress to, all together: what the largest batch may, and as many times more
/// as data compresses. A batch of one byte repeated grows 30,000-fold, and a request could hold thousands of such. What is
/// beyond is MESSAGE_TOO_LARGE, as it is for one batch: clients split it.
fn budget(frame: Option<&Frame>) -> u64 {
    let sent = frame.map_or(0, |f| f.len());
    DECOMPRESSED_BYTES_MAX.saturating_add(sent.saturating_mul(RATIO)) as u64
}

/// Fold in which honest requests compress at most, beyond the first 100 MiB.
const RATIO: usize = 32;

fn check_version(header: &BatchHeader, version: i16) -> Result<(), Refused> {
    if header.attributes.codec() == Ok(Codec::Zstd) && version < ZSTD_FROM {
        let why = format!("zstd needs Produce version {ZSTD_FROM}");
        return Err(Refused::new(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE, why));
    }
    if header.attributes.is_transactional() {
        let why = "transactions are not served yet".to_owned();
        return Err(Refused::new(ErrorCode::INVALID_TXN_STATE, why));
    }
    Ok(())
}

fn limits(config: &TopicConfig, timestamps: Option<TimestampRange>) -> Limits {
    Limits {
        batch_bytes_max: config.max_message_bytes as usize,
        depth: Depth::Records,
        keys_required: config.cleanup.compact,
        timestamps,
        ..Limits::default()
    }
}

fn meta(header: &BatchHeader, len: usize) -> BatchMeta {
    BatchMeta {
        len: u32::try_from(len).unwrap_or(u32::MAX),
        offsets: header.offsets(),
        max_timestamp: header.max_timestamp,
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        transactional: header.attributes.is_transactional(),
        control: header.attributes.is_control(),
    }
}

type Step<'a, T> = (usize, Pin<Box<dyn Future<Output = T> + 'a>>);

/// Polls each once, in order, before any is polled again; resolves when all have, with their results in their places. The next in
/// line comes when each has been polled.
async fn all<T>(
    mut steps: Vec<Step<'_, T>>,
    results: &mut [Option<T>],
    mut in_line: Option<Place<'_>>,
) {
    poll_fn(|cx| {
        steps.retain_mut(|(place, step)| match step.as_mut().poll(cx) {
            Poll::Ready(result) => {
                results[*place] = Some(result);
                false
            }
            Poll::Pending => true,
        });
        drop(in_line.take());
        if steps.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
