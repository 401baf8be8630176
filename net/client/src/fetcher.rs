//! Reading partitions without a group: who calls says where to start, and keeps the offsets.
//!
//! One long-polling fetch is open per leader; the first answer that has something in it is handed out. Fetches are
//! without sessions and by topic name (Fetch 12 at most).

mod committed;
mod node;

use crate::client::{Client, To};
use crate::error::ClientError;
use crate::offsets::OffsetQuery;
use crate::ready::readable;
use committed::Aborted;
use ids::{BrokerId, LeaderEpoch, Offset, Timestamp};
use node::Node;
use record::{BatchView, Batches, Decompressor, TimestampType};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::ErrorCode;
use wire::api::fetch::{FetchResponse, PartitionData};

/// Which records count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Isolation {
    /// Those of open and aborted transactions too.
    #[default]
    ReadUncommitted,
    /// Only what is committed.
    ReadCommitted,
}

impl Isolation {
    pub(crate) fn number(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}

/// What to do when an offset is not there any more, or not yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnOutOfRange {
    /// Go on at the first offset.
    Earliest,
    /// Go on at the end.
    Latest,
    /// Say so.
    Fail,
}

/// How a [`Fetcher`] fetches.
#[derive(Clone, Debug)]
pub struct FetchConfig {
    /// How long the broker may wait for `min_bytes`.
    pub max_wait: Duration,
    /// Fewer bytes than this are waited for.
    pub min_bytes: i32,
    /// The most bytes of one answer; a single larger batch comes all the same.
    pub max_bytes: i32,
    /// The most bytes of one partition in an answer; a single larger batch comes all the same.
    pub partition_bytes_max: i32,
    /// The most that one batch may decompress to.
    pub decompressed_bytes_max: usize,
    /// Which records count.
    pub isolation: Isolation,
    /// What to do when an offset is out of range.
    pub on_out_of_range: OnOutOfRange,
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self {
            max_wait: Duration::from_millis(500),
            min_bytes: 1,
            max_bytes: 50 << 20,
            partition_bytes_max: 1 << 20,
            decompressed_bytes_max: record::DECOMPRESSED_BYTES_MAX,
            isolation: Isolation::default(),
            on_out_of_range: OnOutOfRange::Fail,
        }
    }
}

/// A record, with bytes of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedRecord {
    /// Its offset.
    pub offset: Offset,
    /// Its time; -1 is none.
    pub timestamp: Timestamp,
    /// Whose clock that was.
    pub timestamp_type: TimestampType,
    /// The epoch of the leader that appended it.
    pub leader_epoch: LeaderEpoch,
    /// Its key; null is not empty.
    pub key: Option<Vec<u8>>,
    /// Its value; null is not empty.
    pub value: Option<Vec<u8>>,
    /// Its headers, in order.
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// What one answer says of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset below which everything is replicated.
    pub high_watermark: Offset,
    /// The offset below which every transaction has ended; -1 unless asked for.
    pub last_stable_offset: Offset,
    /// The first offset; -1 from an old broker.
    pub log_start: Offset,
    /// Where the next fetch goes on. Past the last record where markers and aborted records were skipped.
    pub next_offset: Offset,
    /// The records; may be empty when only markers or aborted records were read.
    pub records: Vec<FetchedRecord>,
}

type Key = (Arc<str>, i32);

#[derive(Debug)]
struct Position {
    next: Offset,
    /// Not asked for before this moment, after an error.
    not_before: Option<Instant>,
    high_watermark: Offset,
    trouble: Option<Trouble>,
}

/// Why a partition has not been answered for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The first error since the last good answer.
    pub since: Instant,
    /// The last error.
    pub why: String,
}

/// Fetches the partitions that it was given.
#[derive(Debug)]
pub struct Fetcher {
    client: Client,
    config: FetchConfig,
    positions: BTreeMap<Key, Position>,
    nodes: BTreeMap<i32, Node>,
    decompressor: Decompressor,
}

impl Fetcher {
    /// A fetcher without partitions.
    #[must_use]
    pub fn new(client: Client, config: FetchConfig) -> Self {
        Self {
            client,
            config,
            positions: BTreeMap::new(),
            nodes: BTreeMap::new(),
            decompressor: Decompressor::new(),
        }
    }

    /// The client, for calls of another kind.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Fetches this partition from `offset` on; a partition that is being fetched goes there.
    pub fn assign(&mut self, topic: &str, partition: i32, offset: Offset) {
        let position = Position {
            next: offset,
            not_before: None,
            high_watermark: Offset::NONE,
            trouble: None,
        };
        self.positions.insert((Arc::from(topic), partition), position);
    }

    /// Fetches this partition no more.
    pub fn unassign(&mut self, topic: &str, partition: i32) {
        self.positions.remove(&(Arc::from(topic), partition));
    }

    /// The offset that is fetched next, and the last known high watermark (-1: none yet).
    #[must_use]
    pub fn position(&self, topic: &str, partition: i32) -> Option<(Offset, Offset)> {
        let p = self.positions.get(&(Arc::from(topic), partition))?;
        Some((p.next, p.high_watermark))
    }

    /// The longest trouble of a partition, if any has trouble. It passes with the next good answer; how long to wait for that
    /// is the caller's to decide.
    #[must_use]
    pub fn trouble(&self) -> Option<&Trouble> {
        self.positions.values().filter_map(|p| p.trouble.as_ref()).min_by_key(|t| t.since)
    }

    /// Waits until something is there or `timeout` has passed, which is the empty answer.
    ///
    /// # Errors
    /// What does not pass by itself: an unknown topic, no permission, an offset out of range where that is to fail, bytes that
    /// are not records. Lost connections and elections are waited out.
    pub fn poll(&mut self, timeout: Duration) -> Result<Vec<Fetched>, ClientError> {
        let deadline = Instant::now() + timeout;
        loop {
            self.ask()?;
            let waits: Vec<i32> = self.nodes.keys().copied().collect();
            let sockets: Vec<_> = self.nodes.values().map(Node::connection).collect();
            let wake = self.next_retry().map_or(deadline, |t| t.min(deadline));
            let ready = readable(&sockets, wake).map_err(|error| ClientError::Socket {
                address: "waiting for answers".to_owned(),
                error,
            })?;
            let mut fetched = Vec::new();
            for id in ready.iter().filter_map(|i| waits.get(*i)) {
                self.answer(*id, &mut fetched)?;
            }
            self.drop_late();
            if !fetched.is_empty() || Instant::now() >= deadline {
                return Ok(fetched);
            }
        }
    }

    /// Opens a fetch at every leader that has none open and leads something that is due.
    fn ask(&mut self) -> Result<(), ClientError> {
        let now = Instant::now();
        let lost: Vec<_> = self
            .positions
            .iter()
            .filter(|(_, p)| p.not_before.is_none_or(|t| t <= now))
            .filter(|(key, _)| self.client.metadata().leader(&key.0, key.1).is_none())
            .map(|(key, _)| key.clone())
            .collect();
        if !lost.is_empty() {
            self.find_leaders(&lost)?;
        }
        let mut due: BTreeMap<i32, Vec<(Key, Offset)>> = BTreeMap::new();
        for (key, position) in &mut self.positions {
            if position.not_before.is_some_and(|t| t > now) {
                continue;
            }
            position.not_before = None;
            if let Some(leader) = self.client.metadata().leader(&key.0, key.1)
                && !self.nodes.get(&leader.0).is_some_and(Node::is_open)
            {
                due.entry(leader.0).or_default().push((key.clone(), position.next));
            }
        }
        for (leader, partitions) in due {
            let keys: Vec<_> = partitions.iter().map(|(k, _)| k.clone()).collect();
            if let Err(e) = self.open(leader, partitions) {
                if !(e.is_retriable() || e.is_network()) {
                    return Err(e);
                }
                self.nodes.remove(&leader);
                self.put_off(&keys, &e.to_string());
            }
        }
        Ok(())
    }

    fn open(&mut self, leader: i32, partitions: Vec<(Key, Offset)>) -> Result<(), ClientError> {
        let node = match self.nodes.entry(leader) {
            std::collections::btree_map::Entry::Occupied(e) => e.into_mut(),
            std::collections::btree_map::Entry::Vacant(e) => {
                e.insert(Node::new(self.client.open_connection(BrokerId(leader))?))
            }
        };
        let patience = self.client.config().request_timeout;
        node.fetch(&self.config, partitions, patience)
    }

    fn find_leaders(&mut self, keys: &[Key]) -> Result<(), ClientError> {
        let topics: Vec<String> = {
            let mut names: Vec<_> = keys.iter().map(|(t, _)| t.to_string()).collect();
            names.dedup();
            names
        };
        for topic in topics {
            // A topic that is not there is an error: it was there when the partition was assigned.
            let patience = Duration::from_secs(5);
            match self.client.without_retries(|c| c.topic(&topic, false, patience).map(drop)) {
                Ok(()) => {}
                Err(e) if e.is_network() => {
                    let of_topic: Vec<_> =
                        keys.iter().filter(|(t, _)| **t == *topic).cloned().collect();
                    self.put_off(&of_topic, &e.to_string());
                }
                Err(e) => return Err(e),
            }
        }
        let mut leaderless: Vec<_> = keys
            .iter()
            .filter(|(t, p)| self.client.metadata().leader(t, *p).is_none())
            .cloned()
            .collect();
        for (topic, partition) in &leaderless {
            let view = self.client.metadata().topics.get(&**topic);
            if view.is_some_and(|t| t.partition(*partition).is_none()) {
                return Err(ClientError::refused(
                    format!("partition {topic}/{partition}"),
                    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                    None,
                ));
            }
        }
        leaderless.retain(|key| self.positions.get(key).is_some_and(|p| p.not_before.is_none()));
        self.put_off(&leaderless, "the partition has no leader");
        Ok(())
    }

    /// Asks again after a pause, with fresh metadata.
    fn put_off(&mut self, keys: &[Key], why: &str) {
        let now = Instant::now();
        let again = now + self.client.config().retry_backoff;
        for key in keys {
            if let Some(p) = self.positions.get_mut(key) {
                p.not_before = Some(again);
                let since = p.trouble.as_ref().map_or(now, |t| t.since);
                p.trouble = Some(Trouble { since, why: why.to_owned() });
            }
            self.client.forget_topics(&[&key.0]);
        }
    }

    fn next_retry(&self) -> Option<Instant> {
        self.positions.values().filter_map(|p| p.not_before).min()
    }

    /// A broker that does not answer a long poll long after its time is taken for gone.
    fn drop_late(&mut self) {
        let now = Instant::now();
        let late: Vec<_> =
            self.nodes.iter().filter(|(_, n)| n.is_late(now)).map(|(id, _)| *id).collect();
        for id in late {
            if let Some(node) = self.nodes.remove(&id) {
                self.put_off(&node.into_keys(), "no answer in time");
            }
        }
    }

    fn answer(&mut self, id: i32, out: &mut Vec<Fetched>) -> Result<(), ClientError> {
        let Some(node) = self.nodes.get_mut(&id) else { return Ok(()) };
        let reply = match node.receive() {
            Ok(Some(reply)) => reply,
            Ok(None) => return Ok(()),
            Err(e) => {
                // The connection is gone; what it was asked for is asked again elsewhere.
                if let Some(node) = self.nodes.remove(&id) {
                    self.put_off(&node.into_keys(), &e.to_string());
                }
                return Ok(());
            }
        };
        let asked = node.take_asked();
        let response: FetchResponse<'_> = self.client.decode(&reply)?;
        if response.error_code != ErrorCode::NONE {
            return Err(ClientError::refused("fetch", response.error_code, None));
        }
        for topic in &response.responses {
            for p in &topic.partitions {
                let key = (Arc::from(topic.topic), p.partition_index.0);
                let Some(from) = asked.get(&key).copied() else { continue };
                // It may have been sent elsewhere, or dropped, since it was asked for.
                if self.positions.get(&key).is_none_or(|position| position.next != from) {
                    continue;
                }
                self.take_partition(key, from, p, out)?;
            }
        }
        Ok(())
    }

    fn take_partition(
        &mut self,
        key: Key,
        from: Offset,
        data: &PartitionData<'_>,
        out: &mut Vec<Fetched>,
    ) -> Result<(), ClientError> {
        match data.error_code {
            ErrorCode::NONE => {}
            ErrorCode::OFFSET_OUT_OF_RANGE => return self.out_of_range(key, from),
            code if code.is_retriable() => {
                self.put_off(&[key], &code.to_string());
                return Ok(());
            }
            code => {
                let what = format!("fetch {}/{} at {from}", key.0, key.1);
                return Err(ClientError::refused(what, code, None));
            }
        }
        let mut fetched = Fetched {
            topic: key.0.clone(),
            partition: key.1,
            high_watermark: data.high_watermark,
            last_stable_offset: data.last_stable_offset,
            log_start: data.log_start_offset,
            next_offset: from,
            records: Vec::new(),
        };
        self.read_batches(from, data, &mut fetched)?;
        let advanced = fetched.next_offset > from;
        if let Some(position) = self.positions.get_mut(&key) {
            position.trouble = None;
            position.next = fetched.next_offset;
            position.high_watermark = data.high_watermark;
        }
        if advanced {
            out.push(fetched);
        }
        Ok(())
    }

    fn read_batches(
        &mut self,
        from: Offset,
        data: &PartitionData<'_>,
        fetched: &mut Fetched,
    ) -> Result<(), ClientError> {
        let bytes = data.records.bytes().unwrap_or(&[]);
        let mut aborted = Aborted::new(data.aborted_transactions.as_deref().unwrap_or(&[]));
        let (topic, partition) = (fetched.topic.clone(), fetched.partition);
        let bad = |why: String| ClientError::Records { topic: topic.to_string(), partition, why };
        for (whole, batch) in Batches::new(bytes).enumerate() {
            let batch = match batch {
                Ok(batch) => batch,
                // The answer's size limit cut it off: the next fetch starts with it.
                Err(record::BatchError::Partial { .. }) if whole > 0 => break,
                Err(e) => return Err(bad(format!("at {}: {e}", fetched.next_offset))),
            };
            batch
                .check_crc()
                .map_err(|e| bad(format!("batch {}: {e}", batch.header().base_offset)))?;
            let committed = self.config.isolation == Isolation::ReadCommitted;
            if batch.header().attributes.is_control() {
                aborted.on_control(&batch);
            } else if !(committed && aborted.covers(&batch)) {
                self.read_records(&batch, from, &mut fetched.records)
                    .map_err(|e| bad(format!("batch {}: {e}", batch.header().base_offset)))?;
            }
            fetched.next_offset = fetched.next_offset.max(batch.header().next_offset());
        }
        Ok(())
    }

    fn read_records(
        &mut self,
        batch: &BatchView<'_>,
        from: Offset,
        out: &mut Vec<FetchedRecord>,
    ) -> Result<(), String> {
        let header = *batch.header();
        let records = batch
            .records_with(&mut self.decompressor, self.config.decompressed_bytes_max)
            .map_err(|e| e.to_string())?;
        for record in records {
            let record = record.map_err(|e| e.to_string())?;
            let offset =
                Offset(header.base_offset.0.saturating_add(i64::from(record.offset_delta)));
            // The batch that holds the offset comes whole.
            if offset < from {
                continue;
            }
            out.push(FetchedRecord {
                offset,
                timestamp: header.timestamp_of(record.timestamp_delta),
                timestamp_type: header.attributes.timestamp_type(),
                leader_epoch: header.leader_epoch,
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                headers: record
                    .headers
                    .map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec)))
                    .collect(),
            });
        }
        Ok(())
    }

    fn out_of_range(&mut self, key: Key, from: Offset) -> Result<(), ClientError> {
        let query = match self.config.on_out_of_range {
            OnOutOfRange::Earliest => OffsetQuery::Earliest,
            OnOutOfRange::Latest => OffsetQuery::Latest,
            OnOutOfRange::Fail => {
                let what = format!("fetch {}/{} at {from}", key.0, key.1);
                return Err(ClientError::refused(what, ErrorCode::OFFSET_OUT_OF_RANGE, None));
            }
        };
        let found = self.client.list_offsets(&key.0, &[(key.1, query)], self.config.isolation)?;
        match found.into_values().next() {
            Some(Ok(found)) => {
                if let Some(position) = self.positions.get_mut(&key) {
                    position.next = found.offset;
                }
                Ok(())
            }
            Some(Err(refusal)) => Err(ClientError::Refused(refusal)),
            None => Err(ClientError::NoLeader { topic: key.0.to_string(), partition: key.1 }),
        }
    }

    /// Closes the connection to a broker, for tests of what happens then.
    #[doc(hidden)]
    pub fn disconnect(&mut self, broker: BrokerId) {
        if let Some(node) = self.nodes.remove(&broker.0) {
            self.put_off(&node.into_keys(), "closed here");
        }
        self.client.forget(To::Broker(broker));
    }
}
