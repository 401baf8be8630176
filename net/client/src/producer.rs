//! Sending records: batched per partition, several requests in flight, retried in order.
//!
//! Blocking and without threads of its own: records are sent while [`Producer::send`], [`Producer::flush`] or
//! [`Producer::poll`] runs. A batch that failed for a reason that passes is sent again after everything of its partition that
//! is in flight has been answered, in the old order. With an idempotent producer the broker drops what it already has
//! (KIP-98), so there is neither loss nor duplicate nor reordering; without, a retry after a lost answer may write
//! twice, and may overtake a later batch. A batch that is given up is told in its [`Delivery`]; the partition's later records
//! go on without it.

mod answers;
mod config;
mod delivery;
mod dispatch;
mod lane;
mod node;

pub use config::{Acks, ProducerConfig};
pub use delivery::{Delivery, SendError};

use crate::client::{Client, To};
use crate::error::ClientError;
use crate::partitioner::partition_of_key;
use crate::ready::readable;
use ids::{ProducerEpoch, ProducerId, Timestamp};
use lane::Lane;
use node::Node;
use record::{Compressor, Header};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::ErrorCode;
use wire::api::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

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
