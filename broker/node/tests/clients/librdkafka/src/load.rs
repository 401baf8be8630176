//! The writing half of `cargo xtask prove kill`: idempotent producers that live through every kill, and others that do not.
//!
//! Each producer is a thread with a librdkafka instance of its own. It numbers its records per partition from 0; a record's key is the producer's
//! name, its value the number (8 bytes, big-endian) and some padding. A fifth of the producers uses each codec, and none. Nothing is given up: there is no message timeout.
//!
//! Commands on standard input, one a line, each answered by one JSON line:
//! - `settle`: every producer stops and waits until all it sent is acknowledged; the answer is the ledger.
//! - `go`: they write on.
//! - `renew`: half of the producers are dropped with whatever they have in flight, and new ones take their places;
//!   the answer is the ledger of the dropped ones.
//! - end of input: everything ends.
//!
//! The ledger: for each producer its name, and per partition how many records were acknowledged and the offset of the last one.
//! An acknowledgement out of order, with an error, or with an offset that is not above the one before is counted as a `fault`.

use std::collections::BTreeMap;
use std::io::stdin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext, PurgeConfig};
use serde_json::{Value, json};

use crate::report::{Fault, print};

/// What one producer knows to be acknowledged.
#[derive(Default)]
struct Ledger {
    /// Partition to (records acknowledged, offset of the last).
    acknowledged: BTreeMap<i32, (u64, i64)>,
    faults: Vec<String>,
}

#[derive(Clone, Default)]
struct Context {
    ledger: Arc<Mutex<Ledger>>,
    /// Set before a producer is dropped on purpose: what its queue then answers says nothing about the broker.
    dropped: Arc<AtomicBool>,
}

impl Context {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<(i32, u64)>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<(i32, u64)>) {
        let (partition, number) = *sent;
        let mut ledger = self.ledger();
        match result {
            Ok(message) => {
                let offset = message.offset();
                let entry = ledger.acknowledged.entry(partition).or_insert((0, -1));
                let (count, last) = *entry;
                *entry = (number + 1, offset);
                if number != count || offset <= last {
                    ledger.faults.push(format!(
                        "partition {partition}: record {number} acknowledged at {offset}, after {count} records, the last at {last}"
                    ));
                }
            }
            Err(_) if self.dropped.load(Ordering::SeqCst) => {}
            Err((error, _)) => {
                ledger.faults.push(format!("partition {partition}: record {number}: {error}"))
            }
        }
    }
}

/// What the threads look at between two records.
#[derive(Default)]
struct Wishes {
    paused: AtomicBool,
    over: AtomicBool,
}

struct Worker {
    name: String,
    context: Context,
    wishes: Arc<Wishes>,
    settled: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), KafkaError>>,
}

#[derive(Clone)]
struct Plan {
    bootstrap: String,
    topic: String,
    partitions: u32,
    /// Records a second and producer.
    rate: u64,
}

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
/// Bytes of padding to choose from. They look random, as compressed padding would be no load.
const NOISE: usize = 4096;

fn noise() -> Vec<u8> {
    let mut state = 1_u64;
    let bytes = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    bytes.take(NOISE / 8).flatten().collect()
}

fn config(plan: &Plan, name: &str, codec: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &plan.bootstrap)
        .set("client.id", name)
        .set("compression.codec", codec)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("max.in.flight.requests.per.connection", "5")
        .set("message.timeout.ms", "0")
        .set("linger.ms", "2")
        .set("queue.buffering.max.messages", "20000")
        .set("retry.backoff.ms", "50")
        .set("retry.backoff.max.ms", "200")
        .set("reconnect.backoff.ms", "10")
        .set("reconnect.backoff.max.ms", "100")
        .set("topic.metadata.refresh.fast.interval.ms", "100")
        .set("socket.timeout.ms", "10000");
    config
}

fn work(
    plan: &Plan,
    name: &str,
    codec: &str,
    context: Context,
    wishes: &Wishes,
    settled: &AtomicBool,
) -> Result<(), KafkaError> {
    let producer =
        BaseProducer::from_config_and_context(&config(plan, name, codec), context.clone())?;
    let mut numbers = vec![0_u64; plan.partitions as usize];
    let mut random = u64::from(corpus::fnv(name.as_bytes())) | 1;
    let padding = noise();
    let started = Instant::now();
    let mut sent = 0_u64;
    while !wishes.over.load(Ordering::SeqCst) {
        producer.poll(Duration::ZERO);
        if wishes.paused.load(Ordering::SeqCst) {
            let idle = producer.in_flight_count() == 0;
            settled.store(idle, Ordering::SeqCst);
            producer.poll(Duration::from_millis(20));
            continue;
        }
        settled.store(false, Ordering::SeqCst);
        let due = started.elapsed().as_millis() * u128::from(plan.rate) / 1000;
        if u128::from(sent) >= due {
            producer.poll(Duration::from_millis(2));
            continue;
        }
        // A pause makes the clock run ahead of the records; what was not sent then is not made up for.
        sent = sent.max(u64::try_from(due).unwrap_or(u64::MAX).saturating_sub(plan.rate / 10));
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let slot = usize::try_from(random % u64::from(plan.partitions)).unwrap_or_default();
        let length = usize::try_from((random >> 32) % 200).unwrap_or_default();
        let (Some(number), Ok(partition)) = (numbers.get_mut(slot), i32::try_from(slot)) else {
            continue;
        };
        let mut value = number.to_be_bytes().to_vec();
        let from = usize::try_from((random >> 48) % (NOISE as u64 - 200)).unwrap_or_default();
        value.extend(padding.iter().skip(from).take(length));
        let record = BaseRecord::with_opaque_to(&plan.topic, Box::new((partition, *number)))
            .partition(partition)
            .key(name)
            .payload(&value);
        match producer.send(record) {
            Ok(()) => {
                *number += 1;
                sent += 1;
            }
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                producer.poll(Duration::from_millis(10));
            }
            Err((error, _)) => return Err(error),
        }
    }
    context.dropped.store(true, Ordering::SeqCst);
    producer.purge(PurgeConfig::default().queue().inflight());
    producer.poll(Duration::from_millis(10));
    Ok(())
}

/// The producer that was born as this one.
fn start(plan: &Plan, born: usize) -> Worker {
    let (name, codec) = (format!("p{born}"), CODECS.get(born % CODECS.len()).copied());
    let codec = codec.unwrap_or("none");
    let (context, wishes, settled) =
        (Context::default(), Arc::new(Wishes::default()), Arc::new(AtomicBool::new(false)));
    let thread = {
        let (plan, name) = (plan.clone(), name.clone());
        let (context, wishes, settled) =
            (context.clone(), Arc::clone(&wishes), Arc::clone(&settled));
        spawn(move || work(&plan, &name, codec, context, &wishes, &settled))
    };
    Worker { name, context, wishes, settled, thread }
}

impl Worker {
    fn entry(&self) -> Value {
        let mut ledger = self.context.ledger();
        let acknowledged: BTreeMap<String, [i64; 2]> = ledger
            .acknowledged
            .iter()
            .map(|(partition, (count, last))| {
                (partition.to_string(), [i64::try_from(*count).unwrap_or(-1), *last])
            })
            .collect();
        let faults = std::mem::take(&mut ledger.faults);
        json!({"name": self.name, "acknowledged": acknowledged, "faults": faults})
    }

    fn stop(self) -> Result<Value, Fault> {
        self.wishes.over.store(true, Ordering::SeqCst);
        let entry = self.entry();
        self.thread.join().map_err(|_| "a producer thread panicked")??;
        Ok(entry)
    }
}

/// Runs until standard input ends.
pub(crate) fn run(
    bootstrap: &str,
    topic: &str,
    partitions: u32,
    producers: usize,
    rate: u64,
) -> Result<(), Fault> {
    let plan = Plan { bootstrap: bootstrap.to_owned(), topic: topic.to_owned(), partitions, rate };
    let (half, mut born) = (producers / 2, producers);
    let mut workers: Vec<Worker> = (0..producers).map(|n| start(&plan, n)).collect();
    for line in stdin().lines() {
        match line?.as_str() {
            "go" => {
                workers
                    .iter()
                    .for_each(|worker| worker.wishes.paused.store(false, Ordering::SeqCst));
                print(&json!({"going": workers.len()}))?;
            }
            "settle" => {
                workers
                    .iter()
                    .for_each(|worker| worker.wishes.paused.store(true, Ordering::SeqCst));
                let deadline = Instant::now() + Duration::from_secs(120);
                let restless = |workers: &[Worker]| {
                    let of = workers.iter().filter(|worker| !worker.settled.load(Ordering::SeqCst));
                    of.map(|worker| worker.name.clone()).collect::<Vec<_>>()
                };
                while !restless(&workers).is_empty() && Instant::now() < deadline {
                    sleep(Duration::from_millis(20));
                }
                let ledger: Vec<Value> = workers.iter().map(Worker::entry).collect();
                print(&json!({"ledger": ledger, "restless": restless(&workers)}))?;
            }
            "renew" => {
                let mut ledger = Vec::new();
                for worker in workers.split_off(producers - half) {
                    ledger.push(worker.stop()?);
                }
                for _ in 0..half {
                    workers.push(start(&plan, born));
                    born += 1;
                }
                print(&json!({"ledger": ledger}))?;
            }
            other => return Err(format!("no such command: {other}").into()),
        }
    }
    for worker in workers {
        worker.stop()?;
    }
    Ok(())
}
