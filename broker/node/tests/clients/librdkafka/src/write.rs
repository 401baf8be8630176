//! Writes the streams of the corpus.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use corpus::Record;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, config::FromClientConfigAndContext};

use crate::NAME;
use crate::admin::Admin;
use crate::read::Reader;
use crate::report::{Fault, Report, eventually, refused};

/// Hands every delivery report to whoever waits for it.
struct Answers(Sender<(usize, Result<i64, KafkaError>)>);

impl ClientContext for Answers {}

impl ProducerContext for Answers {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, slot: Box<usize>) {
        let answer = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.clone()),
        };
        // Nobody listens any more once a first error has ended the check.
        drop(self.0.send((*slot, answer)));
    }
}

/// Every stream, and the batch that is one byte too big.
pub(crate) fn all(bootstrap: &str, run: &str, base: i64, report: &mut Report) -> Result<(), Fault> {
    for stream in corpus::STREAMS {
        report.attempt(&format!("write {stream}"), || write(bootstrap, run, base, stream))?;
    }
    report.attempt("one byte over max.message.bytes", || {
        let topic = format!("{run}-{NAME}-big");
        let outcome = send(bootstrap, &topic, "none", -1, 1, &[corpus::big(NAME, base, 1)]);
        refused(RDKafkaErrorCode::MessageSizeTooLarge, outcome.map(drop))
    })?;
    report.attempt("one record a request, five in flight", || five_in_flight(bootstrap, run, base))
}

fn write(bootstrap: &str, run: &str, base: i64, stream: &str) -> Result<(), Fault> {
    let topic = format!("{run}-{NAME}-{stream}");
    let parts = corpus::partitions(stream);
    let limit = corpus::BIG_BATCH_BYTES.to_string();
    let mut configs = vec![("retention.ms", "-1")];
    if stream == "big" {
        configs.push(("max.message.bytes", &limit));
    }
    Admin::open(bootstrap)?.create(&topic, i32::try_from(parts)?, &configs)?;
    let reader = Reader::open(bootstrap)?;
    // What acks=0 loses nobody reports, so each partition must have its leader before the first record.
    for partition in 0..parts {
        eventually(&(0, 0), || reader.ends(&topic, i32::try_from(partition)?))?;
    }
    let records: Vec<Record> =
        (0..corpus::records(stream)).map(|i| corpus::expected(NAME, stream, i, base)).collect();
    let acks = match stream {
        "acks0" => 0,
        "acks1" => 1,
        _ => -1,
    };
    let codec = if corpus::CODECS.contains(&stream) { stream } else { "none" };
    let offsets = send(bootstrap, &topic, codec, acks, parts, &records)?;
    if acks != 0 {
        dense(&offsets, parts)?;
    }
    let each = i64::from(corpus::records(stream) / parts);
    for partition in 0..parts {
        eventually(&(0, each), || reader.ends(&topic, i32::try_from(partition)?))?;
    }
    Ok(())
}

fn dense(offsets: &[i64], parts: u32) -> Result<(), Fault> {
    let want = (0..offsets.len()).map(|i| (i / parts as usize) as i64);
    if offsets.iter().copied().eq(want) {
        return Ok(());
    }
    Err(format!("offsets: want dense ones, got {offsets:?}").into())
}

/// One connection that always has five requests under way: a thousand batches of one record must keep their order.
fn five_in_flight(bootstrap: &str, run: &str, base: i64) -> Result<(), Fault> {
    let topic = format!("{run}-{NAME}-inflight");
    Admin::open(bootstrap)?.create(&topic, 1, &[("retention.ms", "-1")])?;
    let records: Vec<Record> =
        (0..1000).map(|i| corpus::record(3, i % 20, base, corpus::Profile::Full)).collect();
    let mut config = producer(bootstrap, "none", -1);
    config.set("batch.num.messages", "1").set("linger.ms", "0");
    dense(&send_with(&config, &topic, 1, &records)?, 1)?;
    let reader = Reader::open(bootstrap)?;
    reader.compare(&topic, 1, 1000, |i| records.get(i as usize).cloned())
}

fn producer(bootstrap: &str, codec: &str, acks: i32) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("compression.type", codec)
        .set("acks", acks.to_string())
        .set("enable.idempotence", if acks == -1 { "true" } else { "false" })
        .set("max.in.flight.requests.per.connection", "5")
        .set("message.max.bytes", "10000000")
        .set("message.timeout.ms", "60000")
        .set("linger.ms", "2");
    config
}

/// Sends the records, record `i` to partition `i % parts`; gives their offsets, or the first error.
pub(crate) fn send(
    bootstrap: &str,
    topic: &str,
    codec: &str,
    acks: i32,
    parts: u32,
    records: &[Record],
) -> Result<Vec<i64>, Fault> {
    send_with(&producer(bootstrap, codec, acks), topic, parts, records)
}

fn send_with(
    config: &ClientConfig,
    topic: &str,
    parts: u32,
    records: &[Record],
) -> Result<Vec<i64>, Fault> {
    let (sender, answers): (_, Receiver<(usize, Result<i64, KafkaError>)>) = channel();
    let producer = ThreadedProducer::from_config_and_context(config, Answers(sender))?;
    for (slot, one) in records.iter().enumerate() {
        let partition = i32::try_from(slot % parts as usize)?;
        let mut headers = OwnedHeaders::new_with_capacity(one.headers.len());
        for (key, value) in &one.headers {
            headers = headers.insert(Header { key, value: value.as_ref() });
        }
        let mut record: BaseRecord<'_, [u8], [u8], Box<usize>> =
            BaseRecord::with_opaque_to(topic, Box::new(slot)).partition(partition).headers(headers);
        if let Some(key) = &one.key {
            record = record.key(key);
        }
        if let Some(value) = &one.value {
            record = record.payload(value);
        }
        if let Some(timestamp) = one.timestamp {
            record = record.timestamp(timestamp);
        }
        producer.send(record).map_err(|(error, _)| error)?;
    }
    producer.flush(Duration::from_secs(60))?;
    let mut offsets = vec![-1; records.len()];
    for _ in records {
        let (slot, answer) = answers.recv_timeout(Duration::from_secs(60))?;
        if let Some(offset) = offsets.get_mut(slot) {
            *offset = answer?;
        }
    }
    Ok(offsets)
}
