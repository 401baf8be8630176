//! The metadata log, on core 0: what the cluster agrees on, as records of the partition `__cluster_metadata`.
//!
//! A request is decided against the controller's image, which runs ahead of the disk. Its records are appended through the
//! ordinary path; only when they are committed do they reach the images that everyone reads, this core's first and then those
//! of the others, and only when every core has them does the answer leave. So nothing is shown to anyone before it is durable,
//! and whoever was answered finds on any core what he was told.

use crate::metadata::{METADATA, Metadata};
use crate::planted::{self, Planted};
use crate::post::Post;
use crate::shard::{Acks, Deadline, PartitionError, Shard, Terms};
use cluster::controller::DECISION_BYTES_MAX;
use cluster::{BrokerRegistered, Controller, Decision, DecodeError, ErrorCode, Record, Refusal};
use ids::{CoreId, Offset, ProducerId, Timestamp, TopicId};
use log::BatchMeta;
use record::{BatchBuilder, Batches};
use runtime::sync::Notify;
use runtime::{Class, Runtime};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use store::Store;

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

/// What most decisions take of the journal, and more; a deletion must find room in the smallest ring. Where room may be short,
/// a decision that takes more is made on a copy of the controller first.
const DECISION_BYTES: usize = 4096;
/// How often it is looked whether a full disk has room again.
const ROOM_AGAIN: Duration = Duration::from_millis(200);

/// Records on their way: the offset after the batch, and what they say.
struct Pending {
    end: Offset,
    records: Vec<Record>,
}

/// The records of a decision as the batch that is appended; none if there are none.
fn phrase(records: &[Record], now: Timestamp) -> Option<Vec<u8>> {
    let mut builder = BatchBuilder::new();
    for r in records {
        let mut value = Vec::new();
        r.encode(&mut value);
        builder.push(now, None, Some(&value), &[]);
    }
    builder.build().ok()
}

/// What a replay has found.
#[derive(Default)]
pub(crate) struct Replayed {
    pub(crate) records: u64,
    /// Topics that were deleted: what is left of their partitions may go.
    pub(crate) deleted: BTreeSet<TopicId>,
}

/// Reads the metadata log from its start.
pub(crate) async fn replay(
    store: &Store,
    controller: &mut Controller,
) -> Result<Replayed, ReplayError> {
    if let Some(why) = store.incomplete(METADATA) {
        return Err(ReplayError::Incomplete(why));
    }
    let Ok((mut at, end)) = store.with_log(METADATA, |l| (l.start(), l.end())) else {
        return Ok(Replayed::default());
    };
    let mut found = Replayed::default();
    while at < end {
        let read = store.read(METADATA, at, end, 1 << 20, true).await.map_err(ReplayError::Read)?;
        let mut bytes = Vec::with_capacity(read.bytes);
        for s in &read.slices {
            bytes.extend_from_slice(s);
        }
        let before = at;
        for batch in Batches::new(&bytes) {
            let batch = batch.map_err(|e| ReplayError::Batch(format!("{e:?}")))?;
            let header = batch.header();
            if header.count == 0 {
                // Nobody compacts this log: here records were lost, and somebody has decided to go on without them.
                let lost = header.last_offset().next() - header.base_offset;
                controller.pass_over(u32::try_from(lost).unwrap_or(u32::MAX));
            }
            at = header.last_offset().next();
            for r in batch.records().map_err(|e| ReplayError::Batch(format!("{e:?}")))? {
                let r = r.map_err(|e| ReplayError::Batch(format!("{e:?}")))?;
                let value = r.value.unwrap_or(&[]);
                let record = Record::decode(value).map_err(ReplayError::Record)?;
                controller.replay(&record).map_err(|e| ReplayError::Apply(format!("{e:?}")))?;
                if let Record::TopicDeleted { id } = record {
                    found.deleted.insert(id);
                }
                found.records += 1;
            }
        }
        if at == before {
            return Err(ReplayError::Batch(format!("no progress at {at}")));
        }
    }
    Ok(found)
}

/// The controller and its log.
pub(crate) struct MetadataLog {
    rt: Runtime,
    shard: Rc<Shard>,
    metadata: Rc<Metadata>,
    post: Post,
    controller: RefCell<Controller>,
    pending: RefCell<VecDeque<Pending>>,
    producer_ids: Cell<(i64, i64)>,
    allocating: Cell<bool>,
    allocated: Notify,
    /// The cores that serve, core 0 first: until the others have joined there are none to tell.
    joined: Cell<u16>,
    registered: Cell<bool>,
}

impl MetadataLog {
    pub(crate) fn new(
        rt: Runtime,
        shard: Rc<Shard>,
        metadata: Rc<Metadata>,
        post: Post,
        controller: Controller,
    ) -> Rc<Self> {
        let log = Rc::new(Self {
            rt,
            shard,
            metadata,
            post,
            controller: RefCell::new(controller),
            pending: RefCell::default(),
            producer_ids: Cell::new((0, 0)),
            allocating: Cell::new(false),
            allocated: Notify::new(),
            joined: Cell::new(1),
            registered: Cell::new(false),
        });
        let weak = Rc::downgrade(&log);
        log.shard.on_metadata_committed(move |high_watermark| {
            if let Some(m) = weak.upgrade() {
                m.on_committed(high_watermark);
            }
        });
        log
    }

    /// The other cores have opened with the present image; from now on they are told what changes.
    pub(crate) fn join_all(&self) {
        self.joined.set(self.metadata.cores);
    }

    /// A decision that the log then refuses cannot be taken back: on a full disk it is refused before it is made.
    pub(crate) fn has_room(&self) -> Result<(), ProposeError> {
        match self.shard.store.lacks_room(METADATA, DECISION_BYTES) {
            Some(refusal) => Err(ProposeError::Log(PartitionError::Refused(refusal))),
            None => Ok(()),
        }
    }

    /// Decides with the controller and resolves when what it decided is committed and visible.
    pub(crate) async fn propose<R>(
        &self,
        decide: impl FnOnce(&mut Controller) -> Decision<R>,
    ) -> Result<R, ProposeError> {
        self.try_propose(|controller| Ok(decide(controller))).await
    }

    /// As [`Metadata::propose`], for operations that may be refused as a whole.
    pub(crate) async fn try_propose<R>(
        &self,
        decide: impl FnOnce(&mut Controller) -> Result<Decision<R>, Refusal>,
    ) -> Result<R, ProposeError> {
        self.has_room()?;
        let decision = if self.may_lack_room() {
            // On a copy, which counts only where the log takes what it decided.
            let mut next = self.controller.borrow().clone();
            let decision = decide(&mut next).map_err(ProposeError::Refused)?;
            self.has_room_for(&decision.records)?;
            self.controller.replace(next);
            decision
        } else {
            decide(&mut self.controller.borrow_mut()).map_err(ProposeError::Refused)?
        };
        self.commit(decision.records).await.map_err(ProposeError::Log)?;
        Ok(decision.response)
    }

    /// Whether a decision of the largest size could be refused: the disk is full, or the ring is small.
    fn may_lack_room(&self) -> bool {
        let store = &self.shard.store;
        store.disk_full().is_some() || store.largest_batch() < DECISION_BYTES_MAX + DECISION_BYTES
    }

    fn has_room_for(&self, records: &[Record]) -> Result<(), ProposeError> {
        let Some(batch) = phrase(records, self.rt.wall()) else { return Ok(()) };
        let bytes = batch.len() + DECISION_BYTES;
        if bytes > self.shard.store.largest_batch() {
            let why =
                "The request changes more at once than the journal takes; split it into several.";
            return Err(ProposeError::Refused(Refusal::new(ErrorCode::PolicyViolation, why)));
        }
        match self.shard.store.lacks_room(METADATA, bytes) {
            Some(refusal) => Err(ProposeError::Log(PartitionError::Refused(refusal))),
            None => Ok(()),
        }
    }

    async fn commit(&self, records: Vec<Record>) -> Result<(), PartitionError> {
        if records.is_empty() {
            // It may repeat what is decided but not committed yet: then it is answered when that is.
            return self.settle().await;
        }
        let now = self.rt.wall();
        let bytes = phrase(&records, now).ok_or(PartitionError::NotLeader)?;
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
        // Behind those that still wait for room: they are appended in this order.
        let waiting = self.pending.borrow().back().map(|p| p.end);
        let log_end = || self.shard.store.with_log(METADATA, log::Log::end).unwrap_or(Offset::ZERO);
        let end = waiting.unwrap_or_else(log_end) + i64::from(meta.offsets);
        let mut records = records;
        if planted::is(Planted::MetadataShownEarly) {
            self.metadata.apply(&std::mem::take(&mut records));
        }
        self.pending.borrow_mut().push_back(Pending { end, records });
        let forever = Deadline::after(Duration::from_secs(365 * 24 * 3600));
        let produced = self
            .shard
            .produce(METADATA, &bytes, &meta, Terms::ours(Acks::All, &forever), |_| {})
            .await;
        match produced {
            Ok(_) => {
                self.every_core().await;
                Ok(())
            }
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
        self.every_core().await;
        Ok(())
    }

    fn others(&self) -> impl Iterator<Item = CoreId> + use<> {
        (1..self.joined.get()).map(CoreId)
    }

    /// Resolves when every core has done what it was told so far: letters of one class overtake nobody.
    async fn every_core(&self) {
        let asked: Vec<_> = self
            .others()
            .map(|core| self.post.ask(core, Class::Control, false, |_| std::future::ready(())))
            .collect();
        for answer in asked {
            // A core that has ended shows nothing to anyone.
            let _ = answer.await;
        }
    }

    /// Takes what is committed into the images that everyone reads: this core's now, and those of the others by letter.
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
            self.metadata.apply(&next.records);
            let records: Arc<[Record]> = next.records.into();
            for core in self.others() {
                let records = Arc::clone(&records);
                self.post.tell(core, Class::Control, move |b| b.metadata.apply(&records));
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
            let me = self.metadata.me;
            let block = if planted::is(Planted::ProducerIdReused) {
                let decided = self.controller.borrow_mut().allocate_producer_ids(me);
                decided.map(|d| d.response).map_err(ProposeError::Refused)
            } else {
                self.try_propose(|c| c.allocate_producer_ids(me)).await
            };
            self.allocating.set(false);
            self.allocated.notify_all();
            let block = block?;
            self.producer_ids.set((block.first.0, block.first.0 + i64::from(block.count)));
        }
    }

    /// Whether this start is registered. Until then the node serves reads only: the disk is full, and so is the journal.
    pub(crate) fn is_registered(&self) -> bool {
        self.registered.get()
    }

    /// As [`MetadataLog::register`], as soon as the metadata log has room again.
    pub(crate) async fn register_later(
        &self,
        cluster_id: &str,
        registration: BrokerRegistered,
    ) -> Result<(), ProposeError> {
        loop {
            self.shard.store.begun().await;
            match self.register(cluster_id, registration.clone()).await {
                Err(ProposeError::Log(PartitionError::Refused(store::Refusal::DiskFull {
                    ..
                }))) => self.rt.sleep(ROOM_AGAIN).await,
                other => return other,
            }
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
        self.try_propose(|c| c.start(registration)).await?;
        self.registered.set(true);
        Ok(())
    }
}
