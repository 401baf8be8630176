//! `kafka-console-producer`: the lines of stdin into a topic.

mod input;
mod lines;

use super::end::{Done, End};
use super::grammar::Words;
use super::properties::{Properties, load};
use super::session;
use crate::output::say;
use client::{Acks, Producer, ProducerConfig};
use lines::{LineReader, Parsed};
use record::Header;
use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, SystemTime};

/// Properties of a producer that mean something here.
const KNOWN: &[&str] = &[
    "acks",
    "batch.size",
    "buffer.memory",
    "compression.type",
    "delivery.timeout.ms",
    "enable.idempotence",
    "linger.ms",
    "max.block.ms",
    "max.in.flight.requests.per.connection",
    "max.request.size",
];
/// How long acknowledgements are waited for while the input has nothing.
const TURN: Duration = Duration::from_millis(5);

pub(super) fn run(line: &Words) -> Done {
    let topic = line.required("topic")?;
    line.required("bootstrap-server")?;
    let properties = properties(line)?;
    let reader = LineReader::new(&reader_properties(line)?)?;
    let config = config(line, &properties)?;
    let client = session::connect(line, &with_flags(line, &properties)?, "console-producer")?;
    let prompt = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let mut sender = Sender {
        producer: Producer::new(client, config)?,
        topic: topic.to_owned(),
        reader,
        number: 0,
        sync: line.has("sync"),
        failed: false,
    };
    let done = sender.all(&input::read(prompt));
    // What was sent before a line that cannot be read is sent all the same.
    let flushed = sender.finish();
    done?;
    flushed?;
    if sender.failed { Err(End::Said) } else { Ok(()) }
}

fn together(line: &Words, old: &str, new: &str) -> Result<(), End> {
    if line.has(old) && line.has(new) {
        let (a, b) = (new, old);
        return Err(End::Usage(format!("Options --{a} and --{b} cannot be specified together.")));
    }
    if line.has(old) {
        super::end::print(&format!(
            "Warning: --{old} is deprecated and will be removed in a future version. Use --{new} instead."
        ))?;
    }
    Ok(())
}

fn properties(line: &Words) -> Result<Properties, End> {
    together(line, "producer.config", "command-config")?;
    together(line, "producer-property", "command-property")?;
    if line.has("max-partition-memory-bytes") {
        super::end::print(
            "Warning: --max-partition-memory-bytes is deprecated and will be removed in Apache Kafka 5.0. Use --batch-size instead.",
        )?;
    }
    let path = line.value("producer.config")?.or(line.value("command-config")?);
    let mut properties = path.map_or_else(|| Ok(Properties::default()), load)?;
    properties.add_pairs(line, "producer-property");
    properties.add_pairs(line, "command-property");
    properties.check(KNOWN)?;
    Ok(properties)
}

fn reader_properties(line: &Words) -> Result<Properties, End> {
    together(line, "property", "reader-property")?;
    match line.value("line-reader")? {
        None | Some("org.apache.kafka.tools.LineMessageReader") => {}
        Some(class) => {
            return Err(End::Error(format!("not supported by ringwood: --line-reader {class}")));
        }
    }
    let path = line.value("reader-config")?;
    let mut properties = path.map_or_else(|| Ok(Properties::default()), load)?;
    properties.add_pairs(line, "property");
    properties.add_pairs(line, "reader-property");
    Ok(properties)
}

/// The flags that stand for properties of the connection.
fn with_flags(line: &Words, properties: &Properties) -> Result<Properties, End> {
    let mut properties = properties.clone();
    for (flag, key) in
        [("request-timeout-ms", "request.timeout.ms"), ("retry-backoff-ms", "retry.backoff.ms")]
    {
        if let Some(ms) = line.number::<u64>(flag)? {
            properties.set(key, &ms.to_string());
        }
    }
    Ok(properties)
}

fn config(line: &Words, properties: &Properties) -> Result<ProducerConfig, End> {
    let standard = ProducerConfig::default();
    let acks = line.value("request-required-acks")?.or(properties.get("acks")).unwrap_or("-1");
    let acks = match acks.trim() {
        "-1" | "all" => Acks::All,
        "1" => Acks::Leader,
        "0" => Acks::None,
        other => {
            return Err(End::Error(format!(
                "Invalid value {other} for configuration acks: String must be one of: all, -1, 0, 1"
            )));
        }
    };
    let named = if line.has("compression-codec") {
        line.value("compression-codec")?.or(Some("gzip"))
    } else {
        properties.get("compression.type")
    };
    let codec = named.unwrap_or("none");
    let codec =
        codec.parse().map_err(|_| End::Error(format!("Unknown compression name: {codec}")))?;
    let batch = match line.number("batch-size")?.or(line.number("max-partition-memory-bytes")?) {
        Some(bytes) => bytes,
        None => properties.number("batch.size")?.unwrap_or(16 << 10),
    };
    let millis = |flag: &str, key: &str| -> Result<Option<Duration>, End> {
        Ok(match line.number(flag)? {
            Some(ms) => Some(Duration::from_millis(ms)),
            None => properties.millis(key)?,
        })
    };
    let idempotent = acks == Acks::All && properties.is_true("enable.idempotence").unwrap_or(true);
    Ok(ProducerConfig {
        acks,
        idempotent,
        codec,
        batch_bytes: batch,
        linger: millis("timeout", "linger.ms")?.unwrap_or(Duration::from_secs(1)),
        topic_timeout: millis("max-block-ms", "max.block.ms")?.unwrap_or(Duration::from_secs(60)),
        buffer_bytes_max: match line.number("max-memory-bytes")? {
            Some(bytes) => bytes,
            None => properties.number("buffer.memory")?.unwrap_or(standard.buffer_bytes_max),
        },
        request_bytes_max: properties
            .number("max.request.size")?
            .unwrap_or(standard.request_bytes_max),
        in_flight_max: properties
            .number("max.in.flight.requests.per.connection")?
            .unwrap_or(standard.in_flight_max),
        delivery_timeout: properties
            .millis("delivery.timeout.ms")?
            .unwrap_or(standard.delivery_timeout),
        create_topics: true,
        first_partition: u32::from(now_nanos()),
        ..standard
    })
}

/// Something that differs from one start to the next.
fn now_nanos() -> u16 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u16::try_from(since.subsec_micros() % 65_536).unwrap_or(0)
}

struct Sender {
    producer: Producer,
    topic: String,
    reader: LineReader,
    /// Lines so far.
    number: u64,
    sync: bool,
    /// Whether a record was not delivered. The original ends well all the same; here that is a failure.
    failed: bool,
}

impl Sender {
    fn all(&mut self, input: &Receiver<input::Batch>) -> Done {
        loop {
            let batch = if self.producer.is_idle() {
                input.recv().map_err(|_| TryRecvError::Disconnected)
            } else {
                input.try_recv()
            };
            match batch {
                Ok(Ok(lines)) => {
                    for line in lines {
                        self.number += 1;
                        let parsed = self.reader.parse(&line, self.number).map_err(End::Error)?;
                        self.send(&parsed)?;
                    }
                    self.turn(Duration::ZERO)?;
                }
                Ok(Err(error)) => return Err(End::Error(format!("stdin: {error}"))),
                Err(TryRecvError::Empty) => self.turn(TURN)?,
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
    }

    fn send(&mut self, parsed: &Parsed<'_>) -> Done {
        let headers: Vec<_> =
            parsed.headers.iter().map(|(key, value)| Header { key, value: *value }).collect();
        let now = crate::time::now();
        self.producer.send(&self.topic, None, now, parsed.key, parsed.value, &headers)?;
        if self.sync { self.finish() } else { self.book() }
    }

    fn turn(&mut self, wait: Duration) -> Done {
        self.producer.poll(wait)?;
        self.book()
    }

    fn finish(&mut self) -> Done {
        self.producer.flush()?;
        self.book()
    }

    fn book(&mut self) -> Done {
        for delivery in self.producer.deliveries() {
            if let Err(e) = delivery.result {
                self.failed = true;
                say(format_args!(
                    "Error when sending {} records to topic {} partition {}: {e}",
                    delivery.records, delivery.topic, delivery.partition
                ));
            }
        }
        Ok(())
    }
}
