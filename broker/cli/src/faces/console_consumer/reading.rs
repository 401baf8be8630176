//! Reads, prints, commits, and comes back after each rebalance.

use super::formatter::Formatter;
use super::options::{From, Options, What};
use crate::faces::end::{Done, End, words_of};
use crate::faces::groups::{self, Committed, Place};
use crate::faces::session;
use crate::member::{Beat, Member};
use crate::output::{say, write};
use client::{Fetched, Fetcher, OffsetQuery, OnOutOfRange};
use ids::{LeaderEpoch, Offset};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use wire::ErrorCode;

/// The longest poll: signals and heartbeats are looked at in between.
pub(super) const TURN: Duration = Duration::from_millis(200);
/// How often the topics are looked at again, and while there are none to read.
const LOOK: Duration = Duration::from_secs(60);
const LOOK_FOR_THE_FIRST: Duration = Duration::from_secs(1);
/// Output is handed on in pieces of about this size, and at every pause.
const WRITE_BYTES: usize = 64 << 10;

pub(super) enum Source {
    Partition { topic: String, partition: i32, from: From },
    Group(Box<Member>),
}

/// What is subscribed to: names and numbers of partitions.
type Topics = BTreeMap<String, usize>;

pub(super) struct Reading<'a> {
    fetcher: Fetcher,
    options: &'a Options,
    formatter: &'a Formatter,
    source: Source,
    stop: Arc<AtomicBool>,
    count: u64,
    /// The offset behind the last record that was printed, of each partition.
    printed: BTreeMap<Place, Offset>,
    /// Those that have changed since the last commit.
    uncommitted: BTreeMap<Place, Committed>,
    assigned: Vec<Place>,
    committed_at: Instant,
    topics: Topics,
    looked_at: Instant,
    out: Vec<u8>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        fetcher: Fetcher,
        options: &'a Options,
        source: Source,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self {
            fetcher,
            options,
            formatter: &options.formatter,
            source,
            stop,
            count: 0,
            printed: BTreeMap::new(),
            uncommitted: BTreeMap::new(),
            assigned: Vec::new(),
            committed_at: Instant::now(),
            topics: Topics::new(),
            looked_at: Instant::now(),
            out: Vec::new(),
        }
    }

    /// Records that were printed.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn all(&mut self) -> Done {
        let done = self.begin().and_then(|()| self.go_on());
        let closed = self.close();
        done.and(closed)
    }

    fn begin(&mut self) -> Done {
        if let Source::Partition { topic, partition, from } = &self.source {
            let (topic, partition, from) = (topic.clone(), *partition, *from);
            let at = match from {
                From::At(offset) => offset,
                From::First => self.look_up(&topic, partition, OffsetQuery::Earliest)?,
                From::Last => self.look_up(&topic, partition, OffsetQuery::Latest)?,
            };
            self.fetcher.assign(&topic, partition, at);
            self.assigned = vec![(topic, partition)];
            return Ok(());
        }
        self.topics = self.subscribed()?;
        self.join()
    }

    fn look_up(&mut self, topic: &str, partition: i32, query: OffsetQuery) -> Result<Offset, End> {
        // As with Kafka's consumer, a topic that is read is made if the broker allows it.
        let client = self.fetcher.client();
        client.topic(topic, true, Duration::from_secs(5))?;
        let found = client.list_offsets(topic, &[(partition, query)], self.options.isolation)?;
        match found.into_iter().next() {
            Some((_, Ok(found))) => Ok(found.offset),
            Some((_, Err(refusal))) => Err(End::Error(words_of(&refusal))),
            None => Err(End::Error(format!("{topic}-{partition} has no offsets"))),
        }
    }

    fn subscribed(&mut self) -> Result<Topics, End> {
        self.looked_at = Instant::now();
        let client = self.fetcher.client();
        Ok(match &self.options.what {
            What::Topic(name) | What::Partition { topic: name, .. } => {
                client.refresh(&[name], true)?;
                let known = client.metadata().topics.get(name);
                let known = known.filter(|t| t.error == ErrorCode::NONE);
                // A name that the group wants although there is no such topic yet.
                BTreeMap::from([(name.clone(), known.map_or(0, |t| t.partitions.len()))])
            }
            What::Matching(names) => session::topics(client)?
                .into_iter()
                .filter(|t| !t.is_internal && names.has(&t.name))
                .map(|t| (t.name, t.partitions.len()))
                .collect(),
        })
    }

    fn join(&mut self) -> Done {
        let Source::Group(member) = &mut self.source else { return Ok(()) };
        for (topic, partition) in self.assigned.drain(..) {
            self.fetcher.unassign(&topic, partition);
        }
        self.printed.clear();
        // What could not be committed may be another member's by now.
        self.uncommitted.clear();
        let names: Vec<String> = self.topics.keys().cloned().collect();
        let places = member.join(&names)?;
        let committed = groups::committed(member.client(), &self.options.group)?;
        for place in places {
            let at = match committed.get(&place) {
                Some(committed) => committed.offset,
                None => {
                    // A group remembers where it began, also where nothing has come yet.
                    let (offset, leader_epoch) = (self.reset(&place)?, LeaderEpoch::UNKNOWN);
                    self.uncommitted.insert(place.clone(), Committed { offset, leader_epoch });
                    offset
                }
            };
            self.fetcher.assign(&place.0, place.1, at);
            self.assigned.push(place);
        }
        Ok(())
    }

    fn reset(&mut self, (topic, partition): &Place) -> Result<Offset, End> {
        let query = match self.options.reset {
            OnOutOfRange::Earliest => OffsetQuery::Earliest,
            OnOutOfRange::Latest => OffsetQuery::Latest,
            OnOutOfRange::Fail => {
                return Err(End::Error(format!(
                    "Undefined offset with no reset policy for partitions: [{topic}-{partition}]"
                )));
            }
        };
        self.look_up(topic, *partition, query)
    }

    fn go_on(&mut self) -> Done {
        let mut last = Instant::now();
        while !self.stop.load(Ordering::Relaxed)
            && self.options.count.is_none_or(|n| self.count < n)
        {
            let wait = self.options.idle.map_or(TURN, |idle| idle.saturating_sub(last.elapsed()));
            let before = self.count;
            for fetched in self.fetcher.poll(wait.min(TURN))? {
                self.take(&fetched)?;
            }
            self.flush()?;
            if self.count > before {
                last = Instant::now();
            } else if self.options.idle.is_some_and(|idle| last.elapsed() >= idle) {
                say("no record has come within --timeout-ms");
                return Ok(());
            }
            self.keep_up()?;
        }
        Ok(())
    }

    fn take(&mut self, fetched: &Fetched) -> Done {
        let place = (fetched.topic.to_string(), fetched.partition);
        for record in &fetched.records {
            if self.options.count.is_some_and(|n| self.count >= n) {
                return Ok(());
            }
            self.count += 1;
            if let Err(why) = self.formatter.append(fetched.partition, record, &mut self.out) {
                if !self.options.skip_errors {
                    self.flush()?;
                    return Err(End::Error(format!("Error processing message: {why}")));
                }
                say(format_args!("Error processing message, skipping this message: {why}"));
            }
            let next = Offset(record.offset.0.saturating_add(1));
            self.printed.insert(place.clone(), next);
            let leader_epoch = record.leader_epoch;
            self.uncommitted.insert(place.clone(), Committed { offset: next, leader_epoch });
            if self.out.len() >= WRITE_BYTES {
                self.flush()?;
            }
        }
        // Behind markers and aborted records too.
        if self.printed.get(&place) != Some(&fetched.next_offset) {
            self.printed.insert(place.clone(), fetched.next_offset);
            let offset = fetched.next_offset;
            let leader_epoch = LeaderEpoch::UNKNOWN;
            self.uncommitted.insert(place, Committed { offset, leader_epoch });
        }
        Ok(())
    }

    fn flush(&mut self) -> Done {
        if self.out.is_empty() {
            return Ok(());
        }
        let written = write(&self.out);
        self.out.clear();
        written.map_err(End::from)
    }

    /// What a member owes its group, and what it owes its topics.
    fn keep_up(&mut self) -> Done {
        let Source::Group(member) = &mut self.source else { return Ok(()) };
        let mut rejoin = member.beat()? == Beat::Rejoin;
        if rejoin {
            self.commit()?;
        } else if self.options.commit_every.is_some_and(|e| self.committed_at.elapsed() >= e) {
            rejoin = self.commit()?;
        }
        let none = self.topics.values().all(|n| *n == 0);
        if self.looked_at.elapsed() >= if none { LOOK_FOR_THE_FIRST } else { LOOK } {
            let now = self.subscribed()?;
            if now != self.topics {
                self.topics = now;
                self.commit()?;
                rejoin = true;
            }
        }
        if rejoin { self.join() } else { Ok(()) }
    }

    /// Commits what has been printed, if this is wanted; whether the member has lost its place.
    fn commit(&mut self) -> Result<bool, End> {
        self.committed_at = Instant::now();
        let Source::Group(member) = &mut self.source else { return Ok(false) };
        if self.options.commit_every.is_none() || self.uncommitted.is_empty() {
            self.uncommitted.clear();
            return Ok(false);
        }
        match member.commit(&self.uncommitted) {
            Ok(()) => {
                self.uncommitted.clear();
                Ok(false)
            }
            Err(
                ErrorCode::REBALANCE_IN_PROGRESS
                | ErrorCode::ILLEGAL_GENERATION
                | ErrorCode::UNKNOWN_MEMBER_ID,
            ) => {
                say(
                    "the group has rebalanced before the offsets were committed: some records may come again",
                );
                self.uncommitted.clear();
                Ok(true)
            }
            // They are still there for the next try.
            Err(code) if code.is_retriable() => Ok(false),
            Err(code) => Err(groups::said(code)),
        }
    }

    fn close(&mut self) -> Done {
        let flushed = self.flush();
        let committed = self.commit().map(|_| ());
        if let Source::Group(member) = &mut self.source {
            member.leave();
        }
        flushed.and(committed)
    }
}
