//! The metadata log: what the cluster agrees on, as records of the partition `__cluster_metadata`.
//!
//! A request is decided against the controller's image, which runs ahead of the disk. Its records are appended through the
//! ordinary path, and only when they are committed do they reach the image that everyone reads, and the answer leaves. So
//! nothing is shown to anyone before it is durable.

use crate::shard::{Acks, PartitionError, Shard};
use cluster::config::{BrokerSettings, StaticConfig};
use cluster::{
    BrokerRegistered, Change, ClusterImage, Controller, Decision, DecodeError, Delta, Record,
    Refusal, ResourceKind,
};
use ids::{BrokerId, Offset, PartitionId, PartitionIndex, ProducerId, TopicId};
use log::BatchMeta;
use record::{BatchBuilder, Batches};
use runtime::Runtime;
use runtime::sync::Notify;
use std::cell::{Cell, Ref, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use store::Store;

/// The metadata log's only partition.
pub(crate) const METADATA: PartitionId =
    PartitionId { topic: TopicId::METADATA, index: PartitionIndex(0) };

/// Its topic's name.
pub(crate) const METADATA_TOPIC: &str = "__cluster_metadata";

/// Why a decision did not come true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProposeError {
    /// The controller refuses.
    Refused(Refusal),
    /// The metadata log cannot take it.
    Log(PartitionError),
}

/// Why the metadata log cannot be read at start.
#[derive(Debug)]
pub(crate) enum ReplayError {
    Read(store::ReadError),
    Batch(String),
    Record(DecodeError),
    Apply(String),
    Incomplete(String),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(e) => write!(f, "{e}"),
            Self::Batch(e) | Self::Apply(e) => f.write_str(e),
            Self::Record(e) => write!(f, "{e:?}"),
            Self::Incomplete(e) => write!(f, "acknowledged metadata is missing: {e}"),
        }
    }
}

/// Records on their way: the offset after the batch, and what they say.
struct Pending {
    end: Offset,
    records: Vec<Record>,
}

/// What the cluster agrees on, on core 0.
pub(crate) struct Metadata {
    rt: Runtime,
    shard: Rc<Shard>,
    pub(crate) me: BrokerId,
    controller: RefCell<Controller>,
    image: RefCell<ClusterImage>,
    fixed: StaticConfig,
    pending: RefCell<VecDeque<Pending>>,
    producer_ids: Cell<(i64, i64)>,
    allocating: Cell<bool>,
    allocated: Notify,
}

/// Reads the metadata log from its start.
pub(crate) async fn replay(store: &Store, controller: &mut Controller) -> Result<u64, ReplayError> {
    if let Some(why) = store.incomplete(METADATA) {
        return Err(ReplayError::Incomplete(why));
    }
    let Ok((mut at, end)) = store.with_log(METADATA, |l| (l.start(), l.end())) else {
        return Ok(0);
    };
    let mut count = 0;
    while at < end {
        let read = store.read(METADATA, at, end, 1 << 20, true).await.map_err(ReplayError::Read)?;
        let mut bytes = Vec::with_capacity(read.bytes);
        for s in &read.slices {
            bytes.extend_from_slice(s);
        }
        let before = at;
        for batch in Batches::new(&bytes) {
            let batch = batch.map_err(|e| ReplayError::Batch(format!("{e:?}")))?;
            at = batch.header().last_offset().next();
            for r in batch.records().map_err(|e| ReplayError::Batch(format!("{e:?}")))? {
                let r = r.map_err(|e| ReplayError::Batch(format!("{e:?}")))?;
                let value = r.value.unwrap_or(&[]);
                let record = Record::decode(value).map_err(ReplayError::Record)?;
                controller.replay(&record).map_err(|e| ReplayError::Apply(format!("{e:?}")))?;
                count += 1;
            }
        }
        if at == before {
            return Err(ReplayError::Batch(format!("no progress at {at}")));
        }
    }
    Ok(count)
}

impl Metadata {
    pub(crate) fn new(
        rt: Runtime,
        shard: Rc<Shard>,
        me: BrokerId,
        controller: Controller,
        fixed: StaticConfig,
    ) -> Rc<Self> {
        let image = controller.image().clone();
        let metadata = Rc::new(Self {
            rt,
            shard,
            me,
            controller: RefCell::new(controller),
            image: RefCell::new(image),
            fixed,
            pending: RefCell::default(),
            producer_ids: Cell::new((0, 0)),
            allocating: Cell::new(false),
            allocated: Notify::new(),
        });
        let weak = Rc::downgrade(&metadata);
        metadata.shard.on_metadata_committed(move |high_watermark| {
            if let Some(m) = weak.upgrade() {
                m.on_committed(high_watermark);
            }
        });
        metadata
    }

    /// The state that everyone may see.
    pub(crate) fn image(&self) -> Ref<'_, ClusterImage> {
        self.image.borrow()
    }

    /// Which value counts for each configuration key.
    pub(crate) fn layers<'a>(&'a self, image: &'a ClusterImage) -> cluster::config::Layers<'a> {
        cluster::config::Layers { image, broker: self.me, fixed: &self.fixed }
    }

    /// The broker's settings as they are now.
    pub(crate) fn settings(&self) -> BrokerSettings {
        let image = self.image();
        BrokerSettings::read(&self.layers(&image))
    }

    /// Decides with the controller and resolves when what it decided is committed and visible.
    pub(crate) async fn propose<R>(
        &self,
        decide: impl FnOnce(&mut Controller) -> Decision<R>,
    ) -> Result<R, ProposeError> {
        let decision = decide(&mut self.controller.borrow_mut());
        self.commit(decision.records).await.map_err(ProposeError::Log)?;
        Ok(decision.response)
    }

    /// As [`Metadata::propose`], for operations that may be refused as a whole.
    pub(crate) async fn try_propose<R>(
        &self,
        decide: impl FnOnce(&mut Controller) -> Result<Decision<R>, Refusal>,
    ) -> Result<R, ProposeError> {
        let decision = decide(&mut self.controller.borrow_mut()).map_err(ProposeError::Refused)?;
        self.commit(decision.records).await.map_err(ProposeError::Log)?;
        Ok(decision.response)
    }

    async fn commit(&self, records: Vec<Record>) -> Result<(), PartitionError> {
        if records.is_empty() {
            // It may repeat what is decided but not committed yet: then it is answered when that is.
            return self.settle().await;
        }
        let now = self.rt.wall();
        let mut builder = BatchBuilder::new();
        for r in &records {
            let mut value = Vec::new();
            r.encode(&mut value);
            builder.push(now, None, Some(&value), &[]);
        }
        let bytes = builder.build().map_err(|_| PartitionError::NotLeader)?;
        let meta = BatchMeta {
            len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            offsets: i32::try_from(records.len()).unwrap_or(i32::MAX),
            max_timestamp: now,
            producer_id: ProducerId::NONE,
            producer_epoch: ids::ProducerEpoch::NONE,
            base_sequence: -1,
            transactional: false,
            control: false,
        };
        let end = self.shard.store.with_log(METADATA, log::Log::end).unwrap_or(Offset::ZERO);
        let end = end + i64::from(meta.offsets);
        self.pending.borrow_mut().push_back(Pending { end, records });
        let forever = Duration::from_secs(365 * 24 * 3600);
        let produced = self.shard.produce(METADATA, &bytes, &meta, Acks::All, forever).await;
        match produced {
            Ok(_) => Ok(()),
            Err(e) => {
                // The controller's image already holds the decision and later ones build on it: only a restart, which
                // replays the log, brings the two together again.
                self.rt.fault(format!("the metadata log does not take a decision: {e:?}"));
            }
        }
    }

    async fn settle(&self) -> Result<(), PartitionError> {
        let end = self.pending.borrow().back().map(|p| p.end);
        let Some(end) = end else { return Ok(()) };
        let Some(replica) = self.shard.replica(METADATA) else {
            return Err(PartitionError::NotLeader);
        };
        let bell = Rc::new(Notify::new());
        replica.watch(&bell);
        while replica.high_watermark() < end {
            bell.notified().await;
        }
        Ok(())
    }

    /// Takes what is committed into the image that everyone reads, and tells the shard.
    fn on_committed(&self, high_watermark: Offset) {
        loop {
            let next = {
                let mut pending = self.pending.borrow_mut();
                match pending.front() {
                    Some(p) if p.end <= high_watermark => pending.pop_front(),
                    _ => None,
                }
            };
            let Some(next) = next else { return };
            let mut deltas = Vec::new();
            {
                let mut image = self.image.borrow_mut();
                for r in &next.records {
                    match image.apply(r) {
                        Ok(delta) => deltas.push(delta),
                        Err(e) => {
                            self.rt.fault(format!("a committed record does not apply: {e:?}"))
                        }
                    }
                }
            }
            for delta in &deltas {
                self.carry_out(delta);
            }
        }
    }

    fn carry_out(&self, delta: &Delta) {
        for change in &delta.changes {
            match change {
                Change::PartitionCreated(id) | Change::PartitionChanged(id) => self.lead(*id),
                Change::TopicDeleted { id, partitions, .. } => {
                    let shard = Rc::clone(&self.shard);
                    let (topic, count) = (*id, i32::try_from(*partitions).unwrap_or(0));
                    self.rt.spawn(async move {
                        for i in 0..count {
                            shard.delete(PartitionId { topic, index: PartitionIndex(i) }).await;
                        }
                    });
                }
                Change::Config { resource, .. } => match resource.kind {
                    ResourceKind::Topic => self.reconfigure(Some(&resource.name)),
                    ResourceKind::Broker => self.reconfigure(None),
                    ResourceKind::BrokerLogger
                    | ResourceKind::ClientMetrics
                    | ResourceKind::Group => {}
                },
                Change::Formatted
                | Change::Broker(_)
                | Change::TopicCreated(_)
                | Change::ProducerIds => {}
            }
        }
    }

    /// Opens everything that this broker leads.
    pub(crate) fn lead_all(&self) {
        let ids: Vec<PartitionId> =
            self.image().topics().flat_map(|t| t.partition_ids().collect::<Vec<_>>()).collect();
        for id in ids {
            self.lead(id);
        }
    }

    fn lead(&self, id: PartitionId) {
        let image = self.image();
        let Some(topic) = image.topic(id.topic) else { return };
        let Some(state) = image.partition(id) else { return };
        if state.leader == self.me {
            let config = Rc::new(self.layers(&image).topic(&topic.name));
            let factor = state.replication_factor();
            self.shard.lead(id, &topic.name, state.leader_epoch, factor, config);
        }
    }

    fn reconfigure(&self, topic: Option<&str>) {
        let image = self.image();
        let layers = self.layers(&image);
        for t in image.topics().filter(|t| topic.is_none_or(|name| *t.name == *name)) {
            let config = Rc::new(layers.topic(&t.name));
            for id in t.partition_ids() {
                self.shard.configure(id, &config);
            }
        }
    }

    /// An id that was never handed out before, nor will be again: its block is reserved durably first.
    pub(crate) async fn producer_id(&self) -> Result<ProducerId, ProposeError> {
        loop {
            let (next, end) = self.producer_ids.get();
            if next < end {
                self.producer_ids.set((next + 1, end));
                return Ok(ProducerId(next));
            }
            if self.allocating.replace(true) {
                self.allocated.notified().await;
                continue;
            }
            let me = self.me;
            let block = self.try_propose(|c| c.allocate_producer_ids(me)).await;
            self.allocating.set(false);
            self.allocated.notify_all();
            let block = block?;
            self.producer_ids.set((block.first.0, block.first.0 + i64::from(block.count)));
        }
    }

    /// Registers this broker's start: from here on its leaderships are those of a new epoch.
    pub(crate) async fn register(
        &self,
        cluster_id: &str,
        registration: BrokerRegistered,
    ) -> Result<(), ProposeError> {
        if self.controller.borrow().image().cluster_id().is_none() {
            self.try_propose(|c| c.format(cluster_id)).await?;
        }
        self.try_propose(|c| c.start(registration)).await
    }

    /// A fresh topic id.
    pub(crate) fn fresh_topic_id(&self) -> TopicId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.rt.random().to_be_bytes());
        id[8..].copy_from_slice(&self.rt.random().to_be_bytes());
        TopicId(id)
    }
}
