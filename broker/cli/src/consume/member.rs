//! `ringwood consume --group`: reads as a member of a group, prints, then commits.
//!
//! What has been written to stdout is committed, every five seconds and at the end; so what a broken pipe or a crash swallows
//! comes again. Without --follow each partition is read to where it ended when the member got it.

use super::{ConsumeArgs, PATIENCE, Printer, Start, TURN, reader_is_gone};
use crate::connect::topic;
use crate::failure::{Done, Failure, Stop};
use crate::groups::{self, Committed, Place};
use crate::member::{Beat, Member, REBALANCE};
use crate::output::say;
use client::{
    Client, ClientError, FetchConfig, Fetched, Fetcher, Isolation, OffsetQuery, OnOutOfRange,
};
use ids::{LeaderEpoch, Offset};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};
use wire::ErrorCode;

/// How often offsets are committed while records come.
const COMMIT_EVERY: Duration = Duration::from_secs(5);
/// How often the topics are looked at: they may have more partitions.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How long the last commit is tried.
const LAST_COMMIT: Duration = Duration::from_secs(30);

pub(super) fn run(args: &ConsumeArgs, group: &str, isolation: Isolation) -> Done {
    let begin = match args.offset {
        Start::First => OffsetQuery::Earliest,
        Start::Last => OffsetQuery::Latest,
        Start::At(_) | Start::Before(_) | Start::Time(_) => {
            return Err(Failure::usage(
                "-o says where a group without offsets begins: start or end",
                format!("group {group} goes on where it has committed"),
                format!(
                    "move it first: `ringwood group reset {group} --topic TOPIC --to-offset N`"
                ),
            )
            .into());
        }
    };
    if !args.partitions.is_empty() {
        return Err(Failure::usage(
            "-p and --group exclude each other",
            "a group divides the partitions among its members",
            "leave one of them out",
        )
        .into());
    }
    let stop = stop_flag()?;
    let mut client = args.cluster.connect()?;
    let mut topics = BTreeMap::new();
    for name in &args.topics {
        let view = topic(&mut client, name, &format!("cannot read topic {name}"))?;
        topics.insert(name.clone(), view.partitions.len());
    }
    let config = FetchConfig {
        isolation,
        // What was deleted meanwhile cannot be read any more.
        on_out_of_range: OnOutOfRange::Earliest,
        max_wait: TURN,
        ..FetchConfig::default()
    };
    // Joining waits for others: that needs a connection and a patience of its own.
    let member = args.cluster.connect_for(REBALANCE + Duration::from_secs(5))?;
    let mut reader = Reader {
        fetcher: Fetcher::new(client, config),
        member: Member::new(member, group),
        group: group.to_owned(),
        topics,
        begin,
        isolation,
        follow: args.follow,
        left: args.count,
        patience: args.cluster.timeout.unwrap_or(PATIENCE),
        printer: Printer {
            format: args.format.clone().map(|f| f.0),
            json: args.cluster.json,
            out: Vec::new(),
        },
        stop,
        ends: BTreeMap::new(),
        assigned: Vec::new(),
        printed: BTreeMap::new(),
        committed_at: Instant::now(),
        looked_at: Instant::now(),
    };
    let done = reader.all();
    let closed = reader.close(&done);
    done.and(closed)
}

/// Set by the first signal; the second one ends the process at once.
fn stop_flag() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let code = 128 + signal;
        signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .map_err(|e| Failure::file("signals cannot be watched", &e))?;
    }
    Ok(stop)
}

struct Reader {
    fetcher: Fetcher,
    member: Member,
    group: String,
    /// Names, and how many partitions each had when it was last looked at.
    topics: BTreeMap<String, usize>,
    /// Where partitions begin for which nothing is committed.
    begin: OffsetQuery,
    isolation: Isolation,
    follow: bool,
    left: Option<u64>,
    patience: Duration,
    printer: Printer,
    stop: Arc<AtomicBool>,
    /// The partitions that are still being read, and where they end.
    ends: BTreeMap<Place, Option<Offset>>,
    assigned: Vec<Place>,
    /// What is on stdout, or about to be, and is not committed.
    printed: BTreeMap<Place, Committed>,
    committed_at: Instant,
    looked_at: Instant,
}

impl Reader {
    fn failure(&self, error: &ClientError) -> Stop {
        let what = format!("cannot read on as a member of group {}", self.group);
        Failure::client("consume", what, error).into()
    }

    fn all(&mut self) -> Done {
        self.join()?;
        while !self.stop.load(Ordering::Relaxed)
            && self.left != Some(0)
            && (self.follow || !self.ends.is_empty())
        {
            let fetched = self.fetcher.poll(TURN).map_err(|e| self.failure(&e))?;
            let written = fetched.iter().try_for_each(|part| self.take(part));
            if let Err(stop) = written.and_then(|()| self.printer.flush()) {
                // Some of it is on stdout and some is not: all of it comes again.
                self.printed.clear();
                return Err(stop);
            }
            if reader_is_gone() {
                return Err(Stop::ReaderGone);
            }
            super::check_trouble(&self.fetcher, self.patience)?;
            self.keep_up()?;
        }
        self.printer.flush()
    }

    /// Joins, or joins again, and begins to read what the member got.
    fn join(&mut self) -> Done {
        for (topic, partition) in self.assigned.drain(..) {
            self.fetcher.unassign(&topic, partition);
        }
        self.ends.clear();
        // What could not be committed may be another member's by now.
        self.printed.clear();
        let names: Vec<String> = self.topics.keys().cloned().collect();
        let places = self.member.join(&names).map_err(|e| self.failure(&e))?;
        let committed =
            groups::committed(self.member.client(), &self.group).map_err(|e| self.failure(&e))?;
        let first = self.look_up(&places, OffsetQuery::Earliest)?;
        let last = self.look_up(&places, OffsetQuery::Latest)?;
        for place in places {
            let (Some(first), Some(last)) = (first.get(&place), last.get(&place)) else {
                continue;
            };
            let at = match committed.get(&place) {
                Some(at) if at.offset < *first => {
                    say(format_args!(
                        "partition {} of {}: offsets {} to {} have been deleted, going on at {}",
                        place.1,
                        place.0,
                        at.offset.0,
                        first.0 - 1,
                        first.0
                    ));
                    *first
                }
                Some(at) => at.offset,
                None => {
                    let at = if self.begin == OffsetQuery::Latest { *last } else { *first };
                    // A group remembers where it began, also where nothing has come yet.
                    let leader_epoch = LeaderEpoch::UNKNOWN;
                    self.printed.insert(place.clone(), Committed { offset: at, leader_epoch });
                    at
                }
            };
            if self.follow || at < *last {
                self.fetcher.assign(&place.0, place.1, at);
                self.ends.insert(place.clone(), (!self.follow).then_some(*last));
                self.assigned.push(place);
            }
        }
        Ok(())
    }

    fn look_up(
        &mut self,
        places: &[Place],
        query: OffsetQuery,
    ) -> Result<BTreeMap<Place, Offset>, Stop> {
        let mut topics: BTreeMap<&str, Vec<(i32, OffsetQuery)>> = BTreeMap::new();
        for (topic, partition) in places {
            topics.entry(topic).or_default().push((*partition, query));
        }
        let mut all = BTreeMap::new();
        for (topic, queries) in topics {
            let found = self.fetcher.client().list_offsets(topic, &queries, self.isolation);
            for (partition, found) in found.map_err(|e| self.failure(&e))? {
                let found = found.map_err(|r| self.failure(&ClientError::Refused(r)))?;
                all.insert((topic.to_owned(), partition), found.offset);
            }
        }
        Ok(all)
    }

    fn take(&mut self, fetched: &Fetched) -> Done {
        let place = (fetched.topic.to_string(), fetched.partition);
        let Some(end) = self.ends.get(&place).copied() else { return Ok(()) };
        let mut cut = false;
        for record in &fetched.records {
            if self.left == Some(0) || end.is_some_and(|end| record.offset >= end) {
                cut = true;
                break;
            }
            self.printer.print(&fetched.topic, fetched.partition, record)?;
            let (offset, leader_epoch) = (record.offset.next(), record.leader_epoch);
            self.printed.insert(place.clone(), Committed { offset, leader_epoch });
            if let Some(left) = &mut self.left {
                *left -= 1;
            }
        }
        if !cut {
            // Behind markers and aborted records too.
            let behind = self.printed.get(&place).map(|c| c.offset);
            if behind != Some(fetched.next_offset) {
                let (offset, leader_epoch) = (fetched.next_offset, LeaderEpoch::UNKNOWN);
                self.printed.insert(place.clone(), Committed { offset, leader_epoch });
            }
        }
        if end.is_some_and(|end| fetched.next_offset >= end) {
            self.fetcher.unassign(&place.0, place.1);
            self.ends.remove(&place);
        }
        Ok(())
    }

    /// What a member owes its group.
    fn keep_up(&mut self) -> Done {
        let mut rejoin = self.member.beat().map_err(|e| self.failure(&e))? == Beat::Rejoin;
        if rejoin || self.committed_at.elapsed() >= COMMIT_EVERY {
            rejoin |= self.commit()? == Commit::Lost;
        }
        if self.looked_at.elapsed() >= LOOK_EVERY && self.topics_have_grown()? {
            rejoin = true;
            self.commit()?;
        }
        if rejoin { self.join() } else { Ok(()) }
    }

    fn topics_have_grown(&mut self) -> Result<bool, Stop> {
        self.looked_at = Instant::now();
        let names: Vec<&str> = self.topics.keys().map(String::as_str).collect();
        let client: &mut Client = self.fetcher.client();
        // Who cannot be asked now is asked the next time.
        let Ok(view) = client.refresh(&names, false) else { return Ok(false) };
        let mut grown = false;
        for (name, count) in &mut self.topics {
            let known = view.topics.get(name).filter(|t| t.error == ErrorCode::NONE);
            if let Some(now) = known.map(|t| t.partitions.len()).filter(|n| n > count) {
                *count = now;
                grown = true;
            }
        }
        Ok(grown)
    }

    /// Commits what is on stdout.
    fn commit(&mut self) -> Result<Commit, Stop> {
        self.committed_at = Instant::now();
        match self.member.commit(&self.printed) {
            Ok(()) => {
                self.printed.clear();
                Ok(Commit::Done)
            }
            Err(
                ErrorCode::REBALANCE_IN_PROGRESS
                | ErrorCode::ILLEGAL_GENERATION
                | ErrorCode::UNKNOWN_MEMBER_ID,
            ) => {
                say(
                    "the group has rebalanced before the offsets were committed: some records may come again",
                );
                self.printed.clear();
                Ok(Commit::Lost)
            }
            // They are still there for the next try.
            Err(code) if code.is_retriable() => Ok(Commit::Later(code)),
            Err(code) => Err(self.failure(&groups::refused(&self.group, code))),
        }
    }

    /// Commits for the last time, and leaves.
    fn close(&mut self, done: &Done) -> Done {
        let committed = match done {
            // What is in a pipe that nobody reads has not been read.
            Err(Stop::ReaderGone) => Ok(()),
            Ok(()) | Err(Stop::Said(_) | Stop::Failed(_)) => self.last_commit(),
        };
        self.member.leave();
        committed
    }

    fn last_commit(&mut self) -> Done {
        let begun = Instant::now();
        loop {
            match self.commit()? {
                Commit::Done | Commit::Lost => return Ok(()),
                Commit::Later(code) if begun.elapsed() >= LAST_COMMIT => {
                    return Err(self.failure(&groups::refused(&self.group, code)));
                }
                Commit::Later(_) => sleep(Duration::from_millis(200)),
            }
        }
    }
}

/// What came of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Commit {
    Done,
    /// The member has lost its place.
    Lost,
    Later(ErrorCode),
}
