//! Sending records: batched per partition, several requests in flight, retried in order.
//!
//! Blocking and without threads of its own: records are sent while [`Producer::send`], [`Producer::flush`] or
//! [`Producer::poll`] runs. A batch that failed for a reason that passes is sent again after everything of its partition that
//! is in flight has been answered, in the old order. With an idempotent producer the broker drops what it already has
//! (KIP-98), so there is neither loss nor duplicate nor reordering; without, a retry after a lost answer may write
//! twice, and may overtake a later batch. A batch that is given up is told in its [`Delivery`]; the partition's later records
//! go on without it.

mod lane;
mod node;

use crate::client::{Client, To};
use crate::error::ClientError;
use crate::partitioner::partition_of_key;
use crate::ready::readable;
use ids::{BrokerId, Offset, ProducerEpoch, ProducerId, Timestamp};
use lane::{Batch, Lane};
use node::Node;
use record::{Codec, Compressor, Header};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::ErrorCode;
use wire::api::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use wire::api::produce::ProduceResponse;

/// Who must have a record before it counts as sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Acks {
    /// Nobody: it has left, more is not known.
    None,
    /// The leader.
    Leader,
    /// All replicas that are in sync.
    #[default]
    All,
}

impl Acks {
    fn number(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// How a [`Producer`] sends.
#[derive(Clone, Debug)]
pub struct ProducerConfig {
    /// Who must have a record.
    pub acks: Acks,
    /// Ask for an id and number the batches, so that retries do not duplicate. Needs [`Acks::All`].
    pub idempotent: bool,
    /// How batches are compressed.
    pub codec: Codec,
    /// The codec's level, if it has any.
    pub level: Option<i32>,
    /// A batch is closed when it has this many bytes, uncompressed. One larger record makes a batch of its own.
    pub batch_bytes: usize,
    /// A batch is closed when it is this old.
    pub linger: Duration,
    /// The most bytes of one request.
    pub request_bytes_max: usize,
    /// Requests in flight at one broker, 1 to 5 with idempotence: the broker remembers five batches.
    pub in_flight_max: usize,
    /// The most bytes that wait or are in flight; [`Producer::send`] blocks above it.
    pub buffer_bytes_max: usize,
    /// How long a batch may take, retries included.
    pub delivery_timeout: Duration,
    /// Whether an unknown topic may be created by the broker.
    pub create_topics: bool,
    /// How long an unknown topic is waited for: one that was made a moment ago may not be known everywhere.
    pub topic_timeout: Duration,
    /// Which partition keyless records go to first, modulo their number: many short-lived producers should not all choose
    /// the same.
    pub first_partition: u32,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            acks: Acks::All,
            idempotent: false,
            codec: Codec::None,
            level: None,
            batch_bytes: 128 << 10,
            linger: Duration::from_millis(5),
            request_bytes_max: 1 << 20,
            in_flight_max: 5,
            buffer_bytes_max: 32 << 20,
            delivery_timeout: Duration::from_secs(120),
            create_topics: true,
            topic_timeout: Duration::from_secs(5),
            first_partition: 0,
        }
    }
}

/// Why a batch was not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The broker refused it.
    Refused(ErrorCode, Option<String>),
    /// It took longer than the delivery timeout; the last thing that went wrong. It may have been written.
    TimedOut(String),
    /// It could not be encoded.
    Build(record::BuildError),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(code, Some(m)) => write!(f, "{code}: {m}"),
            Self::Refused(code, None) => code.fmt(f),
            Self::TimedOut(why) => write!(f, "not acknowledged in time: {why}"),
            Self::Build(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for SendError {}

/// What became of one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// Which of the records that were sent to this partition is the batch's first, from 0 in the order of
    /// [`Producer::send`].
    pub first: u64,
    /// How many records the batch has.
    pub records: i32,
    /// Bytes of the batch.
    pub bytes: usize,
    /// The offset of its first record; -1 where the broker did not say (acks 0, or a duplicate that it had dropped).
    pub result: Result<Offset, SendError>,
}

type Key = (Arc<str>, i32);

/// How a topic's records are spread.
#[derive(Clone, Copy, Debug)]
struct Spread {
    /// Which partition keyless records go to until its batch is full.
    sticky: i32,
    /// How many partitions there were when last seen: records are taken while no broker can be asked.
    partitions: i32,
}

/// Sends records to one cluster.
#[derive(Debug)]
pub struct Producer {
    client: Client,
    config: ProducerConfig,
    compressor: Compressor,
    identity: Option<(ProducerId, ProducerEpoch)>,
    lanes: BTreeMap<Key, Lane>,
    nodes: BTreeMap<i32, Node>,
    topics: BTreeMap<Arc<str>, Spread>,
    deliveries: Vec<Delivery>,
    buffered: usize,
    oldest_open: Option<Instant>,
}

impl Producer {
    /// A producer; an idempotent one asks the cluster for its id.
    ///
    /// # Errors
    /// No id can be had, or idempotence was asked for without [`Acks::All`] (INVALID_REQUIRED_ACKS).
    pub fn new(mut client: Client, mut config: ProducerConfig) -> Result<Self, ClientError> {
        config.in_flight_max = config.in_flight_max.max(1);
        let mut identity = None;
        if config.idempotent {
            if config.acks != Acks::All {
                return Err(ClientError::refused(
                    "idempotent producer",
                    ErrorCode::INVALID_REQUIRED_ACKS,
                    Some("idempotence needs acks all"),
                ));
            }
            config.in_flight_max = config.in_flight_max.min(5);
            identity = Some(init_producer(&mut client)?);
        }
        Ok(Self {
            client,
            config,
            compressor: Compressor::new(),
            identity,
            lanes: BTreeMap::new(),
            nodes: BTreeMap::new(),
            topics: BTreeMap::new(),
            deliveries: Vec::new(),
            buffered: 0,
            oldest_open: None,
        })
    }

    /// The client, for calls of another kind.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Takes a record. Without a partition, the key decides, as with Kafka's Java producer; without a key too, one partition
    /// after another, batch by batch. May send, and blocks while the buffer is full. Returns the partition.
    ///
    /// # Errors
    /// The topic's partitions cannot be learnt. What becomes of the record is in [`Producer::deliveries`].
    pub fn send(
        &mut self,
        topic: &str,
        partition: Option<i32>,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<i32, ClientError> {
        let (topic, partition) = self.route(topic, partition, key)?;
        let identity = self.identity;
        let now = Instant::now();
        let lane_key = (topic, partition);
        let lane =
            self.lanes.entry(lane_key.clone()).or_insert_with(|| Lane::new(&self.config, identity));
        let size = record::BatchBuilder::record_bytes(key, value, headers);
        let full = !lane.builder.is_empty()
            && lane.builder.batch_bytes().saturating_add(size) > self.config.batch_bytes;
        if full {
            self.close(&lane_key);
        }
        let Some(lane) = self.lanes.get_mut(&lane_key) else { return Ok(partition) };
        if lane.builder.is_empty() {
            lane.opened_at = now;
            self.oldest_open.get_or_insert(now);
        }
        lane.builder.push(timestamp, key, value, headers);
        self.buffered = self.buffered.saturating_add(size);
        if lane.builder.batch_bytes() >= self.config.batch_bytes {
            self.close(&lane_key);
        }
        if self.oldest_open.is_some_and(|t| now.duration_since(t) >= self.config.linger) {
            self.close_older_than(self.config.linger);
        }
        self.dispatch()?;
        while self.buffered > self.config.buffer_bytes_max {
            self.close_older_than(Duration::ZERO);
            self.turn(None)?;
        }
        Ok(partition)
    }

    /// Whether nothing waits for an answer or to be sent.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.lanes.values().all(Lane::is_idle)
    }

    /// Sends what is due and takes the answers that have arrived, waiting for the first at most `timeout`.
    ///
    /// # Errors
    /// What no retry can help; batches that were not delivered are still tried by the next call.
    pub fn poll(&mut self, timeout: Duration) -> Result<(), ClientError> {
        self.close_older_than(self.config.linger);
        self.turn(Some(Instant::now() + timeout))
    }

    /// Sends everything and waits until all of it is answered or given up.
    ///
    /// # Errors
    /// What no retry can help; batches that were not delivered are still tried by the next call.
    pub fn flush(&mut self) -> Result<(), ClientError> {
        self.close_older_than(Duration::ZERO);
        while self.lanes.values().any(|l| !l.is_idle()) {
            self.turn(None)?;
        }
        Ok(())
    }

    /// What became of batches since the last call.
    pub fn deliveries(&mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.deliveries)
    }

    fn route(
        &mut self,
        topic: &str,
        partition: Option<i32>,
        key: Option<&[u8]>,
    ) -> Result<Key, ClientError> {
        // A name that is in use is shared, not allocated again for every record.
        let known = self.topics.get_key_value(topic).map(|(t, spread)| (t.clone(), *spread));
        let (name, spread) = match known {
            Some(known) => known,
            None => {
                let create = self.config.create_topics;
                let view = self.client.topic(topic, create, self.config.topic_timeout)?;
                let partitions = i32::try_from(view.partitions.len()).unwrap_or(i32::MAX).max(1);
                let first = self.config.first_partition % partitions.unsigned_abs();
                let spread = Spread { sticky: i32::try_from(first).unwrap_or(0), partitions };
                let name: Arc<str> = Arc::from(topic);
                self.topics.insert(name.clone(), spread);
                (name, spread)
            }
        };
        if let Some(partition) = partition {
            return Ok((name, partition));
        }
        let Some(key) = key else { return Ok((name, spread.sticky)) };
        let partitions = self.partitions_of(topic).unwrap_or(spread.partitions);
        Ok((name, partition_of_key(key, partitions)))
    }

    /// How many partitions the metadata at hand has; it has none of a topic that was forgotten after an error.
    fn partitions_of(&self, topic: &str) -> Option<i32> {
        let view = self.client.metadata().topics.get(topic)?;
        i32::try_from(view.partitions.len()).ok().filter(|n| *n > 0)
    }

    /// Closes a lane's open batch: it is now waiting to be sent.
    fn close(&mut self, key: &Key) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let raw = lane.builder.batch_bytes();
        if let Err((first, records, error)) = lane.close(&mut self.compressor) {
            let (topic, partition) = key.clone();
            let result = Err(SendError::Build(error));
            let bytes = raw;
            self.deliveries.push(Delivery { topic, partition, first, records, bytes, result });
        }
        let seen = self.partitions_of(&key.0);
        if let Some(spread) = self.topics.get_mut(&key.0) {
            spread.partitions = seen.unwrap_or(spread.partitions);
            if spread.sticky == key.1 {
                spread.sticky = (spread.sticky + 1).checked_rem(spread.partitions).unwrap_or(0);
            }
        }
        self.recount();
    }

    fn close_older_than(&mut self, age: Duration) {
        let now = Instant::now();
        let due: Vec<_> = self
            .lanes
            .iter()
            .filter(|(_, l)| !l.builder.is_empty() && now.duration_since(l.opened_at) >= age)
            .map(|(k, _)| k.clone())
            .collect();
        for key in &due {
            self.close(key);
        }
        self.oldest_open =
            self.lanes.values().filter(|l| !l.builder.is_empty()).map(|l| l.opened_at).min();
    }

    fn recount(&mut self) {
        self.buffered = self.lanes.values().map(Lane::bytes).sum();
    }

    /// One round: send what can be sent, then wait for an answer, a retry's moment, or `until`.
    fn turn(&mut self, until: Option<Instant>) -> Result<(), ClientError> {
        self.give_up_late();
        self.dispatch()?;
        let far = Instant::now() + Duration::from_secs(1);
        let ids: Vec<i32> =
            self.nodes.iter().filter(|(_, n)| n.in_flight() > 0).map(|(id, _)| *id).collect();
        let deadlines = self.nodes.values().filter_map(Node::deadline);
        let retries = self.lanes.values().filter_map(|l| l.not_before);
        let wake = deadlines.chain(retries).chain(until).min().map_or(far, |t| t.min(far));
        let sockets: Vec<_> =
            ids.iter().filter_map(|id| self.nodes.get(id)).map(Node::connection).collect();
        if sockets.is_empty() && until.is_none() && self.lanes.values().all(Lane::is_idle) {
            // What was given up a moment ago no longer waits.
            self.recount();
            return Ok(());
        }
        let ready = readable(&sockets, wake).map_err(|error| ClientError::Socket {
            address: "waiting for answers".to_owned(),
            error,
        })?;
        let ready: Vec<i32> = ready.iter().filter_map(|i| ids.get(*i)).copied().collect();
        for id in ready {
            self.receive(id);
        }
        let now = Instant::now();
        let late: Vec<i32> = self
            .nodes
            .iter()
            .filter(|(_, n)| n.deadline().is_some_and(|d| d <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            self.lose(id, "no answer in time");
        }
        self.recount();
        Ok(())
    }

    fn dispatch(&mut self) -> Result<(), ClientError> {
        let now = Instant::now();
        self.renew_identities(now)?;
        if !self.lanes.values().any(|l| l.can_send(now)) {
            return Ok(());
        }
        let lost: Vec<_> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.can_send(now))
            .filter(|(key, _)| self.client.metadata().leader(&key.0, key.1).is_none())
            .map(|(key, _)| key.clone())
            .collect();
        if !lost.is_empty() {
            self.find_leaders(lost)?;
        }
        let mut by_leader: BTreeMap<i32, Vec<Key>> = BTreeMap::new();
        for (key, lane) in &self.lanes {
            if lane.can_send(now)
                && let Some(leader) = self.client.metadata().leader(&key.0, key.1)
            {
                by_leader.entry(leader.0).or_default().push(key.clone());
            }
        }
        for (leader, keys) in by_leader {
            self.dispatch_to(leader, keys)?;
        }
        Ok(())
    }

    /// Lanes that gave a batch up go on under a producer id of their own.
    fn renew_identities(&mut self, now: Instant) -> Result<(), ClientError> {
        let keys: Vec<_> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.wants_identity(now))
            .map(|(key, _)| key.clone())
            .collect();
        for (i, key) in keys.iter().enumerate() {
            let identity = match self.client.without_retries(init_producer) {
                Ok(identity) => Some(identity),
                Err(e) if e.is_network() || e.is_retriable() => {
                    // The others would fare no better.
                    self.put_off(keys.get(i..).unwrap_or_default(), &e.to_string());
                    return Ok(());
                }
                Err(e) => return Err(e),
            };
            let Some(lane) = self.lanes.get_mut(key) else { continue };
            for batch in lane.start_again(identity, &self.config, &mut self.compressor) {
                let why = "the batch cannot be read back".to_owned();
                self.report(key, &batch, Err(SendError::TimedOut(why)));
            }
        }
        Ok(())
    }

    fn report(&mut self, key: &Key, batch: &Batch, result: Result<Offset, SendError>) {
        self.deliveries.push(Delivery {
            topic: key.0.clone(),
            partition: key.1,
            first: batch.first,
            records: batch.records,
            bytes: batch.bytes.len(),
            result,
        });
    }

    fn dispatch_to(&mut self, leader: i32, mut keys: Vec<Key>) -> Result<(), ClientError> {
        if let std::collections::btree_map::Entry::Vacant(e) = self.nodes.entry(leader) {
            match self.client.open_connection(BrokerId(leader)) {
                Ok(connection) => {
                    e.insert(Node::new(connection));
                }
                Err(e) if e.is_network() || e.is_retriable() => {
                    let why = e.to_string();
                    self.put_off(&keys, &why);
                    return Ok(());
                }
                Err(e) => return Err(e),
            }
        }
        loop {
            let Some(node) = self.nodes.get_mut(&leader) else { return Ok(()) };
            if node.in_flight() >= self.config.in_flight_max {
                return Ok(());
            }
            // One batch of each partition, so that the order within a request never matters.
            let now = Instant::now();
            let mut batches: Vec<(Key, Batch)> = Vec::new();
            let mut bytes = 0;
            keys.retain(|key| {
                let Some(lane) = self.lanes.get_mut(key) else { return false };
                let fits = |b: &Batch| {
                    bytes == 0 || bytes + b.bytes.len() <= self.config.request_bytes_max
                };
                match lane.next(now, fits) {
                    Some(batch) => {
                        bytes += batch.bytes.len();
                        batches.push((key.clone(), batch));
                        true
                    }
                    None => lane.can_send(now),
                }
            });
            if batches.is_empty() {
                return Ok(());
            }
            let timeout = self.client.config().request_timeout;
            match node.produce(self.config.acks, batches, timeout) {
                Ok(unanswered) => {
                    for (key, batch) in unanswered {
                        self.delivered(&key, batch, Ok(Offset::NONE));
                    }
                }
                Err((e, batches)) => {
                    for (key, batch) in batches {
                        if let Some(lane) = self.lanes.get_mut(&key) {
                            lane.failed(batch);
                        }
                    }
                    if !e.is_network() {
                        return Err(e);
                    }
                    self.lose(leader, &e.to_string());
                    return Ok(());
                }
            }
        }
    }

    fn find_leaders(&mut self, keys: Vec<Key>) -> Result<(), ClientError> {
        let mut names: Vec<_> = keys.iter().map(|(t, _)| t.clone()).collect();
        names.dedup();
        let mut why = "the partition has no leader".to_owned();
        for name in names {
            match self.client.without_retries(|c| c.refresh(&[&name], false).map(drop)) {
                Ok(()) => {}
                Err(e) if e.is_network() || e.is_retriable() => why = e.to_string(),
                Err(e) => return Err(e),
            }
        }
        let mut leaderless = Vec::new();
        for key in keys {
            let view = self.client.metadata().topics.get(&*key.0);
            let hopeless = view.and_then(|t| match t.error {
                ErrorCode::NONE if t.partition(key.1).is_none() => {
                    Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
                }
                ErrorCode::NONE => None,
                e => (!e.is_retriable()).then_some(e),
            });
            if let Some(code) = hopeless {
                self.fail_lane(&key, &SendError::Refused(code, None));
            } else if self.client.metadata().leader(&key.0, key.1).is_none() {
                leaderless.push(key);
            }
        }
        self.put_off(&leaderless, &why);
        Ok(())
    }

    fn put_off(&mut self, keys: &[Key], why: &str) {
        let again = Instant::now() + self.client.config().retry_backoff;
        for key in keys {
            if let Some(lane) = self.lanes.get_mut(key) {
                lane.not_before = Some(again);
                why.clone_into(&mut lane.trouble);
            }
            self.client.forget_topics(&[&key.0]);
        }
    }

    /// A connection is gone: what was in flight on it is unknown, and is sent again.
    fn lose(&mut self, id: i32, why: &str) {
        let Some(node) = self.nodes.remove(&id) else { return };
        let mut keys = Vec::new();
        for (key, batch) in node.into_batches() {
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.failed(batch);
            }
            keys.push(key);
        }
        // Lanes that had just been put back for this node wait as well.
        for (key, lane) in &self.lanes {
            if lane.is_retrying()
                && self.client.metadata().leader(&key.0, key.1) == Some(BrokerId(id))
            {
                keys.push(key.clone());
            }
        }
        self.client.forget(To::Broker(BrokerId(id)));
        self.put_off(&keys, why);
    }

    fn receive(&mut self, id: i32) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let replies = match node.receive() {
            Ok(replies) => replies,
            Err(e) => return self.lose(id, &e.to_string()),
        };
        for (reply, batches) in replies {
            let response: ProduceResponse<'_> = match self.client.decode(&reply) {
                Ok(response) => response,
                Err(e) => {
                    for (key, batch) in batches {
                        self.retry(&key, batch, &e.to_string());
                    }
                    return self.lose(id, &e.to_string());
                }
            };
            let mut answers: BTreeMap<Key, _> = BTreeMap::new();
            for topic in &response.responses {
                for p in &topic.partition_responses {
                    answers.insert((Arc::from(topic.name), p.index.0), p);
                }
            }
            for (key, batch) in batches {
                match answers.get(&key) {
                    Some(p) => {
                        let detail = p.record_errors.first().and_then(|e| {
                            Some(format!(
                                "record {}: {}",
                                e.batch_index, e.batch_index_error_message?
                            ))
                        });
                        let message = detail.or_else(|| p.error_message.map(str::to_owned));
                        self.judge(&key, batch, p.error_code, p.base_offset, message);
                    }
                    None => self.retry(&key, batch, "the answer left the partition out"),
                }
            }
        }
    }

    fn judge(
        &mut self,
        key: &Key,
        batch: Batch,
        code: ErrorCode,
        base_offset: Offset,
        message: Option<String>,
    ) {
        let (retrying, has_gap) =
            self.lanes.get(key).map_or((false, false), |l| (l.is_retrying(), l.has_gap()));
        match code {
            ErrorCode::NONE => self.delivered(key, batch, Ok(base_offset)),
            // It is there already; only its place is not known any more.
            ErrorCode::DUPLICATE_SEQUENCE_NUMBER => self.delivered(key, batch, Ok(Offset::NONE)),
            ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE
                if batch.records > 1 =>
            {
                let identity = self.lanes.get(key).and_then(Lane::identity);
                let split = batch.split(&self.config, identity, &mut self.compressor);
                let Some(lane) = self.lanes.get_mut(key) else { return };
                match split {
                    Ok((one, two)) => {
                        lane.failed(one);
                        lane.failed_too(two);
                    }
                    Err(batch) => {
                        self.delivered(key, batch, Err(SendError::Refused(code, message)))
                    }
                }
            }
            // It follows a batch that was given up.
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER if has_gap => {
                if let Some(lane) = self.lanes.get_mut(key) {
                    lane.after_gap(batch);
                }
            }
            // It follows a batch that is being retried.
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER if retrying => {
                self.retry(key, batch, "out of order")
            }
            code if code.is_retriable() => self.retry(key, batch, &code.to_string()),
            code => self.delivered(key, batch, Err(SendError::Refused(code, message))),
        }
    }

    fn retry(&mut self, key: &Key, batch: Batch, why: &str) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.failed(batch);
        }
        self.put_off(std::slice::from_ref(key), why);
    }

    fn delivered(&mut self, key: &Key, batch: Batch, result: Result<Offset, SendError>) {
        let failed = result.is_err();
        self.report(key, &batch, result);
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.on_answered();
            if failed {
                lane.gave_up();
            }
        }
    }

    /// Gives up what waits in a lane; what is in flight is still answered.
    fn fail_lane(&mut self, key: &Key, error: &SendError) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let batches = lane.drain();
        lane.gave_up();
        for batch in batches {
            self.report(key, &batch, Err(error.clone()));
        }
    }

    fn give_up_late(&mut self) {
        let Some(before) = Instant::now().checked_sub(self.config.delivery_timeout) else { return };
        let late: Vec<_> = self
            .lanes
            .iter()
            .filter(|(_, l)| l.oldest_waiting().is_some_and(|t| t <= before))
            .map(|(k, l)| (k.clone(), SendError::TimedOut(l.trouble.clone())))
            .collect();
        for (key, error) in late {
            self.fail_lane(&key, &error);
        }
    }
}

fn init_producer(client: &mut Client) -> Result<(ProducerId, ProducerEpoch), ClientError> {
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: i32::MAX,
        ..Default::default()
    };
    let deadline = client.deadline();
    client.retrying(deadline, |client| {
        let reply = client.call(To::Any, i16::MAX, &request)?;
        let response: InitProducerIdResponse = client.decode(&reply)?;
        if response.error_code == ErrorCode::NONE {
            Ok((response.producer_id, response.producer_epoch))
        } else {
            Err(ClientError::refused("producer id", response.error_code, None))
        }
    })
}
