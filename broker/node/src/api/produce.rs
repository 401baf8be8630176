//! Produce: checks on this core, appends where the partition lives, answers when it is acknowledged as asked.
//!
//! All partitions of a request are appended before any is waited for, in the order of the request, and requests of one
//! connection in the order of their arrival: later ones join the next commit without waiting for the acknowledgement.

use super::{Asked, codes, read, reply};
use crate::broker::Broker;
use crate::shard::{Acks, PartitionError, Produced, Replica};
use cluster::config::{TimestampType, TopicConfig};
use ids::{PartitionId, PartitionIndex};
use log::BatchMeta;
use record::{
    BatchHeader, Codec, Depth, Invalid, Limits, TimestampRange, rewrite_log_append_time,
    rewrite_max_timestamp, validate,
};
use server::Reply;
use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use wire::api::produce::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceResponse,
};
use wire::{DecodeError, ErrorCode, Reader};

/// Kafka's own client for tools; it alone may write internal topics.
const ADMIN_CLIENT: &str = "__admin_client";
/// zstd is known from this version on (KIP-110).
const ZSTD_FROM: i16 = 7;

/// What came of one partition.
struct Outcome {
    code: ErrorCode,
    message: Option<String>,
    /// The record that is to blame.
    record: Option<i32>,
    produced: Option<Produced>,
}

impl Outcome {
    fn error(code: ErrorCode, message: impl Into<Option<String>>) -> Self {
        Self { code, message: message.into(), record: None, produced: None }
    }
}

type Append<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

pub(super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: ProduceRequest<'_> = read(reader, asked)?;
    let acks = match request.acks {
        0 => Some(Acks::None),
        1 => Some(Acks::Leader),
        -1 => Some(Acks::All),
        _ => None,
    };
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let mut appends: Vec<Append<'_>> = Vec::new();
    for topic in &request.topic_data {
        for partition in &topic.partition_data {
            let bytes = partition.records.bytes().unwrap_or(&[]);
            let name = topic.name;
            appends.push(match acks {
                None => ready(Outcome::error(ErrorCode::INVALID_REQUIRED_ACKS, None)),
                Some(_) if request.transactional_id.is_some() => ready(Outcome::error(
                    ErrorCode::INVALID_TXN_STATE,
                    "transactions are not served yet".to_owned(),
                )),
                Some(acks) => append(broker, asked, name, partition.index, bytes, acks, timeout),
            });
        }
    }
    let mut outcomes = all(appends).await.into_iter();
    if acks == Some(Acks::None) {
        // Nobody reads an answer. An error is told in the one way that is left.
        let failed = outcomes.any(|o| o.code != ErrorCode::NONE);
        return Ok(if failed {
            Reply::Close("a produce with acks=0 failed")
        } else {
            Reply::Nothing
        });
    }
    let outcomes: Vec<Outcome> = outcomes.collect();
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
    Ok(reply(asked, &ProduceResponse { responses, ..ProduceResponse::default() }))
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

fn ready<'a>(outcome: Outcome) -> Append<'a> {
    Box::pin(std::future::ready(outcome))
}

/// Checks one partition's batch now, and gives back what is left: append and wait.
fn append<'a>(
    broker: &'a Rc<Broker>,
    asked: &Asked<'_>,
    topic: &str,
    index: PartitionIndex,
    bytes: &'a [u8],
    acks: Acks,
    timeout: Duration,
) -> Append<'a> {
    let id = broker.metadata.image().topic_named(topic).map(|t| t.id);
    let replica = id.and_then(|topic| broker.shard.replica(PartitionId { topic, index }));
    let Some(replica) = replica else {
        return ready(Outcome::error(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, None));
    };
    if cluster::name::is_internal(topic) && asked.client_id != Some(ADMIN_CLIENT) {
        let why = format!("{topic} is written by the broker only");
        return ready(Outcome::error(ErrorCode::INVALID_TOPIC_EXCEPTION, why));
    }
    let (batch, meta) = match check(broker, &replica, asked.version, bytes) {
        Ok(checked) => checked,
        Err(refused) => return ready(refused),
    };
    broker.counters.records_in.set(broker.counters.records_in.get() + meta.offsets as u64);
    broker.counters.bytes_in.set(broker.counters.bytes_in.get() + u64::from(meta.len));
    let (id, version) = (replica.id, asked.version);
    Box::pin(async move {
        match broker.shard.produce(id, &batch, &meta, acks, timeout).await {
            Ok(produced) => Outcome {
                code: ErrorCode::NONE,
                message: None,
                record: None,
                produced: Some(produced),
            },
            Err(e) => {
                if matches!(&e, PartitionError::Refused(store::Refusal::DiskFull { .. })) {
                    // A full disk must not become a storm of retries: the answer takes a second.
                    broker.rt.sleep(Duration::from_secs(1).min(timeout)).await;
                }
                let (code, message) = codes::of_partition(&e, version);
                Outcome::error(code, message)
            }
        }
    })
}

/// The batch as it will be stored, and what the log must know of it.
fn check<'a>(
    broker: &Broker,
    replica: &Replica,
    version: i16,
    bytes: &'a [u8],
) -> Result<(Cow<'a, [u8]>, BatchMeta), Outcome> {
    let config = Rc::clone(&replica.config.borrow());
    let now = broker.rt.wall();
    let stamped = config.timestamp_type == TimestampType::LogAppendTime;
    let limits = limits(
        &config,
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
                    header.ok_or_else(|| Outcome::error(ErrorCode::CORRUPT_MESSAGE, None))?;
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
                return Err(Outcome {
                    record,
                    ..Outcome::error(codes::of_invalid(&e), e.to_string())
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

fn check_version(header: &BatchHeader, version: i16) -> Result<(), Outcome> {
    if header.attributes.codec() == Ok(Codec::Zstd) && version < ZSTD_FROM {
        let why = format!("zstd needs Produce version {ZSTD_FROM}");
        return Err(Outcome::error(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE, why));
    }
    if header.attributes.is_transactional() {
        let why = "transactions are not served yet".to_owned();
        return Err(Outcome::error(ErrorCode::INVALID_TXN_STATE, why));
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

/// Polls each once, in order, before any is polled again; resolves when all have.
async fn all(mut futures: Vec<Append<'_>>) -> Vec<Outcome> {
    let mut done: Vec<Option<Outcome>> = futures.iter().map(|_| None).collect();
    poll_fn(move |cx| {
        let mut waiting = false;
        for (future, out) in futures.iter_mut().zip(&mut done) {
            if out.is_none() {
                match future.as_mut().poll(cx) {
                    Poll::Ready(outcome) => *out = Some(outcome),
                    Poll::Pending => waiting = true,
                }
            }
        }
        if waiting {
            return Poll::Pending;
        }
        Poll::Ready(done.iter_mut().filter_map(Option::take).collect())
    })
    .await
}
