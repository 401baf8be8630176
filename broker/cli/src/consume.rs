//! `ringwood consume`: the records of topics on stdout.
//!
//! Without --follow it ends where the partitions ended when it began.

mod member;
mod start;

use crate::connect::{ClusterArgs, partitions, topic};
use crate::exit;
use crate::failure::{Done, Failure, Stop};
use crate::format::{self, Piece};
use crate::output::{say, stdout_broke};
use clap::Args;
use client::{
    Client, ClientError, FetchConfig, Fetched, Fetcher, Isolation, OffsetQuery, OnOutOfRange,
};
use ids::Offset;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use start::{Start, Stretch};
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;
use wire::ErrorCode;

/// Read records from topics.
#[derive(Debug, Args)]
#[command(after_help = format::HELP)]
pub struct ConsumeArgs {
    /// The topics
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Where to start: start, end, an offset, -N (N before the end), @TIME (@2026-11-27T10:00:00Z, @-1h)
    #[arg(
        short,
        long,
        value_name = "WHERE",
        default_value = "start",
        allow_hyphen_values = true,
        value_parser = start::parse
    )]
    offset: Start,
    /// Only this partition; may be repeated
    #[arg(short, long = "partition", value_name = "N", value_delimiter = ',')]
    partitions: Vec<i32>,
    /// End after so many records
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
    /// How records are printed, such as '%p %o %k %v\n' [default: '%v\n']
    #[arg(short, long, value_name = "FORMAT", value_parser = output_format, conflicts_with = "json")]
    format: Option<Format>,
    /// Wait for more at the end
    #[arg(long)]
    follow: bool,
    /// Leave out the records of aborted and open transactions
    #[arg(long)]
    read_committed: bool,
    /// Read as a member of this group: go on where it has committed, and commit what has been printed
    #[arg(short, long, value_name = "GROUP")]
    group: Option<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// A format, read once.
#[derive(Clone, Debug)]
struct Format(Vec<Piece>);

fn output_format(text: &str) -> Result<Format, String> {
    format::parse(text).map(Format)
}

/// How long a partition may be in trouble, unless --timeout says otherwise: a broker may restart in between.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often the end of the reader and the length of trouble are looked at.
const TURN: Duration = Duration::from_millis(500);
/// Output is handed on in pieces of about this size, and at every pause.
const WRITE_BYTES: usize = 64 << 10;

pub(crate) fn run(args: ConsumeArgs) -> Done {
    let isolation =
        if args.read_committed { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
    if let Some(group) = &args.group {
        return member::run(&args, group, isolation);
    }
    let patience = args.cluster.timeout.unwrap_or(PATIENCE);
    let mut client = args.cluster.connect()?;
    let stretches = stretches(&mut client, &args, isolation)?;
    let config = FetchConfig {
        isolation,
        on_out_of_range: OnOutOfRange::Fail,
        max_wait: TURN,
        ..FetchConfig::default()
    };
    let mut reader = Reader {
        fetcher: Fetcher::new(client, config),
        ends: BTreeMap::new(),
        left: args.count,
        patience,
        printer: Printer {
            format: args.format.map(|f| f.0),
            json: args.cluster.json,
            out: Vec::new(),
        },
        isolation,
    };
    for stretch in stretches {
        reader.begin(stretch, args.follow);
    }
    reader.all()
}

/// What is to be read of which partition.
fn stretches(
    client: &mut Client,
    args: &ConsumeArgs,
    isolation: Isolation,
) -> Result<Vec<Stretch>, Stop> {
    let mut names = args.topics.clone();
    names.sort_unstable();
    names.dedup();
    let mut stretches = Vec::new();
    for name in &names {
        let view = topic(client, name, &format!("cannot read topic {name}"))?;
        let partitions = partitions(&view, &args.partitions)?;
        let named = !args.partitions.is_empty() || partitions.len() == 1;
        stretches.extend(start::find(client, name, &partitions, named, args.offset, isolation)?);
    }
    Ok(stretches)
}

type Key = (String, i32);

/// Reads the stretches to their ends.
struct Reader {
    fetcher: Fetcher,
    /// The partitions that are still being read, and where they end.
    ends: BTreeMap<Key, Option<Offset>>,
    left: Option<u64>,
    patience: Duration,
    printer: Printer,
    isolation: Isolation,
}

impl Reader {
    fn begin(&mut self, stretch: Stretch, follow: bool) {
        let Stretch { topic, partition, from, to } = stretch;
        if !follow && from >= to {
            return;
        }
        self.fetcher.assign(&topic, partition, from);
        self.ends.insert((topic, partition), (!follow).then_some(to));
    }

    fn all(&mut self) -> Done {
        while !self.ends.is_empty() && self.left != Some(0) {
            match self.fetcher.poll(TURN) {
                Ok(fetched) => {
                    for part in fetched {
                        self.take(&part)?;
                    }
                }
                Err(e) if e.code() == Some(ErrorCode::OFFSET_OUT_OF_RANGE) => {
                    self.catch_up(&e)?;
                }
                Err(e) => {
                    self.printer.flush()?;
                    return Err(Failure::client("consume", "cannot read on", &e).into());
                }
            }
            self.printer.flush()?;
            if reader_is_gone() {
                return Err(Stop::ReaderGone);
            }
            check_trouble(&self.fetcher, self.patience)?;
        }
        self.printer.flush()
    }

    fn take(&mut self, fetched: &Fetched) -> Done {
        let key = (fetched.topic.to_string(), fetched.partition);
        let Some(end) = self.ends.get(&key).copied() else { return Ok(()) };
        for record in &fetched.records {
            if self.left == Some(0) || end.is_some_and(|end| record.offset >= end) {
                break;
            }
            self.printer.print(&fetched.topic, fetched.partition, record)?;
            if let Some(left) = &mut self.left {
                *left -= 1;
            }
        }
        if end.is_some_and(|end| fetched.next_offset >= end) {
            self.fetcher.unassign(&key.0, key.1);
            self.ends.remove(&key);
        }
        Ok(())
    }

    /// Records that were to be read have been deleted in the meantime: goes on behind them, and says so.
    fn catch_up(&mut self, error: &ClientError) -> Done {
        let keys: Vec<_> = self.ends.keys().cloned().collect();
        let mut moved = false;
        for (topic, partition) in keys {
            let Some((at, _)) = self.fetcher.position(&topic, partition) else { continue };
            let queries = [(partition, OffsetQuery::Earliest)];
            let found = self
                .fetcher
                .client()
                .list_offsets(&topic, &queries, self.isolation)
                .map_err(|e| Failure::client("consume", "cannot read on", &e))?;
            let Some(Ok(first)) = found.get(&partition) else { continue };
            if first.offset > at {
                moved = true;
                say(format_args!(
                    "partition {partition} of {topic}: offsets {at} to {} have been deleted, going on at {}",
                    first.offset.0 - 1,
                    first.offset.0
                ));
                self.fetcher.assign(&topic, partition, first.offset);
                let end = self.ends.get(&(topic.clone(), partition)).copied().flatten();
                if end.is_some_and(|end| first.offset >= end) {
                    self.fetcher.unassign(&topic, partition);
                    self.ends.remove(&(topic, partition));
                }
            }
        }
        if moved { Ok(()) } else { Err(Failure::client("consume", "cannot read on", error).into()) }
    }
}

/// An error once no broker has answered for as long as one is patient.
fn check_trouble(fetcher: &Fetcher, patience: Duration) -> Done {
    let Some(trouble) = fetcher.trouble() else { return Ok(()) };
    if trouble.since.elapsed() < patience {
        return Ok(());
    }
    Err(Failure {
        area: "consume",
        what: format!("no broker has answered for {} s", patience.as_secs()),
        cause: trouble.why.clone(),
        remedy:
            "look at the brokers with `ringwood cluster brokers`, or wait longer with --timeout"
                .into(),
        code: exit::UNREACHABLE,
    }
    .into())
}

/// Whether who reads our stdout has gone, which writing alone would find out with the next record only.
fn reader_is_gone() -> bool {
    let stdout = std::io::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let ready = poll(&mut fds, Some(&now)).unwrap_or(0);
    ready > 0 && fds.iter().any(|fd| fd.revents().intersects(PollFlags::ERR | PollFlags::NVAL))
}

struct Printer {
    /// Values, one a line, where nothing else was asked for.
    format: Option<Vec<Piece>>,
    json: bool,
    out: Vec<u8>,
}

impl Printer {
    fn print(&mut self, topic: &str, partition: i32, record: &client::FetchedRecord) -> Done {
        if self.json {
            format::json_line(topic, partition, record, &mut self.out)?;
        } else if let Some(pieces) = &self.format {
            format::print(pieces, topic, partition, record, &mut self.out);
        } else {
            self.out.extend_from_slice(record.value.as_deref().unwrap_or(&[]));
            self.out.push(b'\n');
        }
        if self.out.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Done {
        if self.out.is_empty() {
            return Ok(());
        }
        let mut stdout = std::io::stdout().lock();
        let written = stdout.write_all(&self.out).and_then(|()| stdout.flush());
        self.out.clear();
        written.map_err(|e| stdout_broke(&e))
    }
}
