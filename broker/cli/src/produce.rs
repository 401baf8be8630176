//! `ringwood produce`: records from stdin or files into a topic.
//!
//! A thread reads and splits the input; this one sends, so that acknowledgements are taken while the input pauses. Between them
//! waits a bounded number of bytes, and the producer's buffer is bounded too: input of any size passes through.

mod input;
mod ledger;
mod report;

use crate::connect::{ClusterArgs, no_partition, topic};
use crate::failure::{Done, Failure, Stop};
use crate::format::{self, Field, Fields, Splitter, header};
use crate::output::say;
use crate::time;
use clap::{Args, ValueEnum};
use client::{Acks, Client, ClientError, Producer, ProducerConfig};
use input::{Message, Numbered, Source};
use ledger::Ledger;
use record::{Codec, Header};
use report::{Report, plural};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, SystemTime};

/// Write records to a topic.
#[derive(Debug, Args)]
#[command(after_help = format::HELP)]
pub struct ProduceArgs {
    /// The topic; one that does not exist is made if the broker allows
    topic: String,
    /// The key of every record
    #[arg(short, long, value_name = "KEY", conflicts_with = "key_delim")]
    key: Option<String>,
    /// Split each line into key and value at the first X; a line without X has no key
    #[arg(long, value_name = "X", value_parser = delimiter, conflicts_with = "format")]
    key_delim: Option<Delimiter>,
    /// A header of every record; may be repeated
    #[arg(short = 'H', long = "header", value_name = "KEY=VALUE")]
    headers: Vec<String>,
    /// Only to this partition [default: by key, or spread]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// What the input looks like, such as '%k %v\n' [default: '%v\n']
    #[arg(short, long, value_name = "FORMAT", value_parser = input_format)]
    format: Option<Splitter>,
    /// Compress with none, gzip, snappy, lz4 or zstd
    #[arg(short = 'z', long = "compression", value_name = "CODEC", default_value = "none")]
    codec: Codec,
    /// Who must have a record before it counts
    #[arg(long, value_enum, default_value_t = AcksArg::All)]
    acks: AcksArg,
    /// Send a whole file as one record; may be repeated
    #[arg(long = "file", value_name = "FILE", conflicts_with_all = ["format", "key_delim"])]
    files: Vec<PathBuf>,
    /// Send an empty value as null: a tombstone, where the topic is compacted
    #[arg(long, conflicts_with = "files")]
    empty_is_null: bool,
    /// Do not let the broker make the topic
    #[arg(long)]
    no_create: bool,
    /// Report failures only
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AcksArg {
    /// All replicas in sync; retries neither lose nor double
    All,
    /// The leader
    #[value(name = "1")]
    Leader,
    /// Nobody
    #[value(name = "0")]
    Nobody,
}

#[derive(Clone, Debug)]
struct Delimiter(Vec<u8>);

fn delimiter(text: &str) -> Result<Delimiter, String> {
    format::literal(text).map(Delimiter)
}

fn input_format(text: &str) -> Result<Splitter, String> {
    Splitter::new(format::parse(text)?)
}

/// How long a record may take, retries included, unless --timeout says otherwise: a broker may restart in between.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a topic that the broker makes is waited for.
const CREATE_PATIENCE: Duration = Duration::from_secs(5);
/// How long acknowledgements are waited for while the input has nothing.
const TURN: Duration = Duration::from_millis(5);
/// What waits in the producer at most: enough for five requests of 1 MiB to several brokers.
const BUFFER_BYTES: usize = 16 << 20;

pub(crate) fn run(args: ProduceArgs) -> Done {
    let splitter = args
        .format
        .clone()
        .or_else(|| args.key_delim.clone().map(|d| Splitter::keyed(d.0)))
        .unwrap_or_else(Splitter::lines)
        .empty_is_null(args.empty_is_null);
    if args.key.is_some() && splitter.has(Field::Key) {
        return Err(Failure::usage(
            "every record would have two keys",
            "-k gives one, and the format has %k",
            "leave one of them out",
        )
        .into());
    }
    let timeout = args.cluster.timeout.unwrap_or(DELIVERY_TIMEOUT);
    let mut client = args.cluster.connect()?;
    prepare(&mut client, &args)?;
    let config = ProducerConfig {
        acks: match args.acks {
            AcksArg::All => Acks::All,
            AcksArg::Leader => Acks::Leader,
            AcksArg::Nobody => Acks::None,
        },
        idempotent: args.acks == AcksArg::All,
        codec: args.codec,
        buffer_bytes_max: BUFFER_BYTES,
        delivery_timeout: timeout,
        create_topics: !args.no_create,
        first_partition: somewhere(),
        ..ProducerConfig::default()
    };
    let producer = Producer::new(client, config)
        .map_err(|e| Failure::client("produce", "cannot start an idempotent producer", &e))?;
    let source = if args.files.is_empty() {
        if std::io::stdin().is_terminal() && !args.quiet {
            say("one record a line; Ctrl-D ends");
        }
        Source::Stdin(splitter)
    } else {
        Source::Files(args.files.clone())
    };
    let mut sender = Sender {
        producer,
        defaults: Defaults {
            topic: args.topic.clone(),
            key: args.key.clone().map(String::into_bytes),
            headers: args.headers.iter().map(|h| header(h.as_bytes())).collect(),
            partition: args.partition,
        },
        ledger: Ledger::default(),
        report: Report::new(&args.topic, args.acks != AcksArg::Nobody),
    };
    let ended = sender.all(&input::read(source));
    sender.report.done(args.cluster.output(), args.quiet, ended)
}

/// A number that differs from run to run.
fn somewhere() -> u32 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_nanos()
}

/// The topic and the partition are looked for before anything is read.
fn prepare(client: &mut Client, args: &ProduceArgs) -> Done {
    let what = format!("cannot write to topic {}", args.topic);
    let view = if args.no_create {
        topic(client, &args.topic, &what)?
    } else {
        match client.topic(&args.topic, true, CREATE_PATIENCE) {
            Ok(view) => view.clone(),
            Err(e) if e.code().is_some_and(|c| c.is_retriable()) => {
                client.forget_topics(&[&args.topic]);
                let failure = topic(client, &args.topic, &what).err();
                return Err(failure.unwrap_or_else(|| Failure::client("produce", what, &e)).into());
            }
            Err(e) => return Err(Failure::client("produce", what, &e).into()),
        }
    };
    match args.partition {
        Some(p) if view.partition(p).is_none() => Err(no_partition(&view, p).into()),
        Some(_) | None => Ok(()),
    }
}

/// What a record has that its text does not say.
struct Defaults {
    topic: String,
    key: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    partition: Option<i32>,
}

/// Sends what the reader hands over, and keeps the books.
struct Sender {
    producer: Producer,
    defaults: Defaults,
    ledger: Ledger,
    report: Report,
}

impl Sender {
    /// Sends everything and waits for every answer.
    fn all(&mut self, input: &Receiver<Message>) -> Done {
        loop {
            let message = if self.producer.is_idle() {
                input.recv().map_err(|_| TryRecvError::Disconnected)
            } else {
                input.try_recv()
            };
            match message {
                Ok(Message::Records(records)) => {
                    for numbered in records {
                        self.one(numbered)?;
                        self.book()?;
                    }
                    self.turn(Duration::ZERO)?;
                }
                Ok(Message::Broken { what, error }) => {
                    self.finish()?;
                    return Err(Failure::file(what, &error).into());
                }
                Err(TryRecvError::Empty) => self.turn(TURN)?,
                Err(TryRecvError::Disconnected) => return self.finish(),
            }
        }
    }

    fn one(&mut self, numbered: Numbered) -> Done {
        let Numbered { number, fields } = numbered;
        match fields {
            Ok(fields) => self.send(number, &fields),
            Err(why) => {
                self.report.unsent(number, &why);
                Ok(())
            }
        }
    }

    fn send(&mut self, number: u64, fields: &Fields) -> Done {
        let defaults = &self.defaults;
        let key = fields.key.as_deref().or(defaults.key.as_deref());
        let headers: Vec<_> = defaults
            .headers
            .iter()
            .chain(&fields.headers)
            .map(|(key, value)| Header { key, value: value.as_deref() })
            .collect();
        let partition = fields.partition.or(defaults.partition);
        if partition.is_some_and(|p| p < 0) {
            self.report.unsent(number, "its partition is negative");
            return Ok(());
        }
        let timestamp = fields.timestamp.unwrap_or_else(time::now);
        let value = fields.value.as_deref();
        let sent = self.producer.send(&defaults.topic, partition, timestamp, key, value, &headers);
        match sent {
            Ok(partition) => {
                self.ledger.sent(partition, number);
                Ok(())
            }
            Err(e) => self.broken(&e),
        }
    }

    fn turn(&mut self, wait: Duration) -> Done {
        if let Err(e) = self.producer.poll(wait) {
            return self.broken(&e);
        }
        self.book()
    }

    fn finish(&mut self) -> Done {
        if let Err(e) = self.producer.flush() {
            return self.broken(&e);
        }
        self.book()
    }

    /// Enters what has become of batches. A batch that ran out of time ends the command: what follows would too.
    fn book(&mut self) -> Done {
        let deliveries = self.producer.deliveries();
        if deliveries.is_empty() {
            return Ok(());
        }
        let mut late = None;
        let mut failed: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
        for delivery in deliveries {
            let numbers = self.ledger.settle(delivery.partition, delivery.first, delivery.records);
            if let Some(why) = self.report.delivered(&delivery) {
                late = Some(why);
            }
            if let Err(e) = &delivery.result {
                failed.entry(e.to_string()).or_default().extend(numbers);
            }
        }
        for (why, numbers) in failed {
            self.report.tell(&numbers, &why);
        }
        late.map_or(Ok(()), |why| {
            let open = plural(self.report.failed() + self.ledger.open());
            Err(Failure {
                area: "produce",
                what: format!("{open} not acknowledged in time"),
                cause: why,
                remedy: "look at the brokers with `ringwood cluster brokers`; what was not acknowledged may have been written all the same".into(),
                code: crate::exit::UNREACHABLE,
            }
            .into())
        })
    }

    fn broken(&mut self, error: &ClientError) -> Done {
        // What has been acknowledged so far still counts.
        self.book()?;
        let what = format!("cannot write to topic {}", self.defaults.topic);
        Err(Stop::from(Failure::client("produce", what, error)))
    }
}
