//! The coordinators of this core: one for each partition of `__consumer_offsets` that it owns.
//!
//! A coordinator decides; this file carries out. Its batches are appended to its partition through the ordinary path, and when
//! they are committed it says which answers may go. While the log is read after a start, requests are told to come again.

mod config;
#[cfg(test)]
mod tests;

pub(crate) use config::{config_of, own_times};

use crate::planted::{self, Planted};
use crate::shard::{Acks, Deadline, PartitionError, Shard, Terms};
use coordinator::{
    Append, AppendFailure, BatchId, Config, Coordinator, MemberMemory, Now, Outcome, Replayed,
    Response, SharedTopics, Ticket,
};
use ids::{Instant, Offset, PartitionId, PartitionIndex, ProducerEpoch, ProducerId};
use log::{AppendError, BatchMeta};
use record::{BatchBuilder, BatchView, Batches, ControlRecord, Decompressor, EndTxn};
use runtime::Runtime;
use runtime::sync::{Notify, Oneshot, OneshotSender, oneshot};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use store::Refusal;
use wire::ErrorCode;
use wire::api::ApiKey;

/// What is appended without an acknowledgement waits for none.
const APPEND_TIMEOUT: Duration = Duration::ZERO;
/// Which part of a core's memory members of groups may take, and as much again what they are assigned.
const MEMBERS_SHARE: usize = 8;
/// A core with little memory has room for some thousand members all the same.
const MEMBERS_BYTES_MIN: usize = 8 << 20;
/// Bytes read at once when a log is replayed.
const READ_BYTES: usize = 1 << 20;

/// The partition of `__consumer_offsets` that a group belongs to, among `partitions`: that of Java's hash of its name.
pub(crate) fn partition_of(group: &str, partitions: usize) -> PartitionIndex {
    let hash =
        group.encode_utf16().fold(0i32, |h, unit| h.wrapping_mul(31).wrapping_add(i32::from(unit)));
    // Kafka's abs: the smallest number has none, and counts as zero.
    let hash = hash.checked_abs().unwrap_or(0);
    let count = i32::try_from(partitions.max(1)).unwrap_or(i32::MAX);
    PartitionIndex(hash % count)
}

/// One core's coordinators. Lives as long as the core's broker.
pub(crate) struct Groups {
    rt: Runtime,
    shard: Rc<Shard>,
    parts: RefCell<BTreeMap<PartitionId, Rc<Part>>>,
    /// What consumer groups may read.
    topics: SharedTopics,
    /// What members of all groups of this core may take.
    memory: Rc<MemberMemory>,
}

/// The coordinator of one partition.
struct Part {
    id: PartitionId,
    coordinator: RefCell<Coordinator>,
    loaded: Cell<bool>,
    ended: Cell<bool>,
    waiting: RefCell<BTreeMap<Ticket, Waiter>>,
    /// Since when the batches are on their way that are not committed.
    appending: RefCell<BTreeMap<BatchId, Instant>>,
    /// The next deadline may have changed.
    changed: Notify,
}

/// A request that waits for other members of its group, and then perhaps for the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    /// JoinGroup or SyncGroup.
    pub(crate) api: ApiKey,
    pub(crate) peer: SocketAddr,
}

/// Who waits for an answer.
struct Waiter {
    /// And since when, if it is one of those.
    member: Option<(Member, Instant)>,
    send: OneshotSender<Response>,
}

/// A member that waits for the log, and no longer for others.
pub(crate) struct HeldUp {
    pub(crate) member: Member,
    /// Since when it waits at all, and for the log.
    pub(crate) came: Instant,
    pub(crate) since: Instant,
    /// Of `__consumer_offsets`.
    pub(crate) partition: PartitionId,
}

/// Why a request did not reach a coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoCoordinator {
    /// The partition is not here.
    NotHere,
    /// Its log is being read.
    Loading,
}

impl NoCoordinator {
    pub(crate) fn code(self) -> ErrorCode {
        match self {
            Self::NotHere => ErrorCode::NOT_COORDINATOR,
            Self::Loading => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        }
    }
}

/// An answer of a coordinator that is there, or comes. It keeps nothing of the question.
pub(crate) enum Promised<R> {
    Ready(Result<R, NoCoordinator>),
    Parked(Oneshot<Response>),
}

impl<R: TryFrom<Response>> Promised<R> {
    /// Waits for it.
    pub(crate) async fn answer(self) -> Result<R, NoCoordinator> {
        match self {
            Self::Ready(answer) => answer,
            Self::Parked(receive) => {
                let response = receive.await.ok_or(NoCoordinator::NotHere)?;
                R::try_from(response).map_err(|_| NoCoordinator::NotHere)
            }
        }
    }
}

impl Groups {
    /// `memory` is what the core has for everything, in bytes.
    pub(crate) fn new(rt: Runtime, shard: Rc<Shard>, memory: usize) -> Rc<Self> {
        let memory = MemberMemory::new((memory / MEMBERS_SHARE).max(MEMBERS_BYTES_MIN));
        let (parts, topics) = (RefCell::default(), SharedTopics::default());
        Rc::new(Self { rt, shard, parts, topics, memory })
    }

    /// The shard leads this partition of `__consumer_offsets`: reads its log, then serves.
    pub(crate) fn lead(self: &Rc<Self>, id: PartitionId, config: Config) {
        if self.parts.borrow().contains_key(&id) {
            return;
        }
        let part = Rc::new(Part {
            id,
            coordinator: RefCell::new(
                Coordinator::with_topics(config, Rc::clone(&self.topics))
                    .within(Rc::clone(&self.memory)),
            ),
            loaded: Cell::new(false),
            ended: Cell::new(false),
            waiting: RefCell::default(),
            appending: RefCell::default(),
            changed: Notify::new(),
        });
        self.parts.borrow_mut().insert(id, Rc::clone(&part));
        let me = Rc::clone(self);
        self.rt.spawn(async move {
            if let Err(why) = me.load(&part).await {
                // Requests go on being told that the log is being read: nothing that is in it may be forgotten.
                runtime::tell!(
                    "the groups of __consumer_offsets {} cannot be read: {why}",
                    id.index
                );
                return;
            }
            part.loaded.set(true);
            part.coordinator.borrow_mut().start(me.now());
            // A topic may have been deleted just before a crash, and its offsets not yet.
            part.coordinator.borrow_mut().forget_topics_that_are_gone(me.now());
            me.pump(&part);
            me.keep_time(&part).await;
        });
    }

    /// A topic is there, or has more partitions; none: it is gone. Consumer groups follow at their next heartbeats.
    pub(crate) fn on_topic(&self, name: &str, found: Option<(ids::TopicId, i32)>) {
        {
            let mut topics = self.topics.borrow_mut();
            let same = topics.named(name) == found;
            match found {
                Some(_) | None if same => return,
                Some((id, partitions)) => topics.set(name, id, partitions),
                None => topics.remove(name),
            }
        }
        for part in self.parts.borrow().values() {
            part.coordinator.borrow_mut().on_topics_changed();
        }
    }

    /// The topic is gone: everybody who waits is told.
    pub(crate) fn forget(&self, topic: ids::TopicId) {
        let gone: Vec<Rc<Part>> = {
            let mut parts = self.parts.borrow_mut();
            let ids: Vec<PartitionId> =
                parts.keys().copied().filter(|p| p.topic == topic).collect();
            ids.iter().filter_map(|id| parts.remove(id)).collect()
        };
        for part in gone {
            part.ended.set(true);
            part.coordinator.borrow_mut().abandon(ErrorCode::NOT_COORDINATOR);
            answer(&part);
            part.changed.notify();
        }
    }

    /// These topics are deleted: so are the offsets in them.
    pub(crate) fn on_topics_deleted(self: &Rc<Self>, names: &[&str]) {
        let parts: Vec<Rc<Part>> = self.parts.borrow().values().cloned().collect();
        // Those that still read their logs remember it.
        for part in parts {
            part.coordinator.borrow_mut().on_topics_deleted(names, self.now());
            self.pump(&part);
        }
    }

    /// The broker's settings have changed.
    pub(crate) fn configure(&self, config: &Config) {
        for part in self.parts.borrow().values() {
            part.coordinator.borrow_mut().configure(config.clone());
        }
    }

    /// The partitions of `__consumer_offsets` whose coordinators are here.
    pub(crate) fn partitions(&self) -> Vec<PartitionId> {
        self.parts.borrow().keys().copied().collect()
    }

    /// Groups in memory.
    pub(crate) fn count(&self) -> usize {
        self.parts.borrow().values().map(|p| p.coordinator.borrow().group_count()).sum()
    }

    pub(crate) fn now(&self) -> Now {
        Now { instant: self.rt.now(), wall: self.rt.wall() }
    }

    fn part(&self, id: PartitionId) -> Result<Rc<Part>, NoCoordinator> {
        let part = self.parts.borrow().get(&id).cloned().ok_or(NoCoordinator::NotHere)?;
        if part.loaded.get() { Ok(part) } else { Err(NoCoordinator::Loading) }
    }

    /// Looks at a coordinator.
    pub(crate) fn look<R>(
        &self,
        id: PartitionId,
        look: impl FnOnce(&Coordinator) -> R,
    ) -> Result<R, NoCoordinator> {
        Ok(look(&self.part(id)?.coordinator.borrow()))
    }

    /// Asks a coordinator for something that is answered at once.
    pub(crate) fn ask<R>(
        self: &Rc<Self>,
        id: PartitionId,
        ask: impl FnOnce(&mut Coordinator, Now) -> R,
    ) -> Result<R, NoCoordinator> {
        let part = self.part(id)?;
        let now = self.now();
        let answer = ask(&mut part.coordinator.borrow_mut(), now);
        self.pump(&part);
        Ok(answer)
    }

    /// Asks a coordinator for something that may have to wait, and waits.
    pub(crate) async fn ask_and_wait<R: TryFrom<Response>>(
        self: &Rc<Self>,
        id: PartitionId,
        ask: impl FnOnce(&mut Coordinator, Now) -> Outcome<R>,
    ) -> Result<R, NoCoordinator> {
        self.promise(id, None, ask).answer().await
    }

    /// Asks a coordinator for something that may have to wait, for a member if it may wait for others. It is asked at once, and what
    /// the question refers to may go then.
    pub(crate) fn promise<R>(
        self: &Rc<Self>,
        id: PartitionId,
        member: Option<Member>,
        ask: impl FnOnce(&mut Coordinator, Now) -> Outcome<R>,
    ) -> Promised<R> {
        let part = match self.part(id) {
            Ok(part) => part,
            Err(why) => return Promised::Ready(Err(why)),
        };
        let now = self.now();
        let outcome = ask(&mut part.coordinator.borrow_mut(), now);
        let promised = match outcome {
            Outcome::Ready(answer) => Promised::Ready(Ok(answer)),
            Outcome::Parked(ticket) => {
                let (send, receive) = oneshot();
                let member = member.map(|member| (member, now.instant));
                part.waiting.borrow_mut().insert(ticket, Waiter { member, send });
                Promised::Parked(receive)
            }
        };
        self.pump(&part);
        promised
    }

    /// The members that wait for the log since `before` or longer. Looks at all batches on their way where one of them is so old.
    pub(crate) fn held_up(&self, before: Instant) -> Vec<HeldUp> {
        let mut all = Vec::new();
        for part in self.parts.borrow().values() {
            let (appending, waiting) = (part.appending.borrow(), part.waiting.borrow());
            // They are begun in their order.
            if appending.values().next().is_none_or(|begun| *begun > before) {
                continue;
            }
            // What waits for several waits for the oldest.
            let mut held: BTreeMap<Ticket, Instant> = BTreeMap::new();
            for (batch, ticket) in part.coordinator.borrow().held_up() {
                if let Some(begun) = appending.get(&batch) {
                    held.entry(ticket).or_insert(*begun);
                }
            }
            for (ticket, begun) in held {
                let member = waiting.get(&ticket).and_then(|waiter| waiter.member);
                let Some((member, came)) = member else { continue };
                let since = begun.max(came);
                if since <= before {
                    all.push(HeldUp { member, came, since, partition: part.id });
                }
            }
        }
        all
    }

    /// Carries out what the coordinator wants: batches to append, answers to give.
    fn pump(self: &Rc<Self>, part: &Rc<Part>) {
        loop {
            let next = part.coordinator.borrow_mut().poll_append();
            let Some(append) = next else { break };
            part.appending.borrow_mut().insert(append.batch, self.rt.now());
            let (me, part) = (Rc::clone(self), Rc::clone(part));
            self.rt.spawn(async move { me.append(&part, append).await });
        }
        answer(part);
        part.changed.notify();
    }

    /// Appends a batch and says when it is committed. Once it is in the log nothing takes it back but the loss of the partition:
    /// the next start reads it there, whatever was answered.
    async fn append(self: &Rc<Self>, part: &Rc<Part>, append: Append) {
        match self.write(part.id, &append).await {
            Ok(end) => {
                part.coordinator.borrow_mut().on_appended(append.batch, end);
                let early = planted::is(Planted::OffsetsConfirmedEarly);
                if !early && !self.shard.until_committed(part.id, end).await {
                    // Whoever waits is told when the partition is forgotten.
                    return;
                }
                let replica = self.shard.replica(part.id);
                let high_watermark = replica.map_or(end, |r| r.high_watermark().max(end));
                part.coordinator.borrow_mut().on_committed(high_watermark, self.now());
            }
            Err(why) => {
                part.coordinator.borrow_mut().on_append_failed(append.batch, why, self.now());
            }
        }
        part.appending.borrow_mut().remove(&append.batch);
        self.pump(part);
    }

    /// Appends a batch; the offset after it.
    async fn write(&self, id: PartitionId, append: &Append) -> Result<Offset, AppendFailure> {
        let now = self.rt.wall();
        let mut builder = BatchBuilder::new();
        for r in &append.records {
            builder.push(now, Some(&r.key), r.value.as_deref(), &[]);
        }
        let bytes = builder.build().map_err(|_| AppendFailure::TooLarge)?;
        let meta = BatchMeta {
            len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            offsets: i32::try_from(append.records.len()).unwrap_or(i32::MAX),
            max_timestamp: now,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: -1,
            transactional: false,
            control: false,
        };
        let replica = self.shard.replica(id).ok_or(AppendFailure::NotLeader)?;
        if !replica.is_in_sync() {
            return Err(AppendFailure::Unavailable);
        }
        let deadline = Deadline::after(APPEND_TIMEOUT);
        let terms = Terms::ours(Acks::None, &deadline);
        match self.shard.produce(id, &bytes, &meta, terms, |_| {}).await {
            Ok(produced) => Ok(produced.base_offset + i64::from(meta.offsets)),
            Err(PartitionError::Refused(
                Refusal::TooLarge { .. } | Refusal::Append(AppendError::LargerThanSegment { .. }),
            )) => Err(AppendFailure::TooLarge),
            Err(PartitionError::Refused(Refusal::DiskFull { .. } | Refusal::Incomplete(_)))
            | Err(PartitionError::NotEnoughReplicas { .. }) => Err(AppendFailure::Unavailable),
            Err(_) => Err(AppendFailure::NotLeader),
        }
    }

    /// Wakes the coordinator when something is due.
    async fn keep_time(self: &Rc<Self>, part: &Rc<Part>) {
        while !part.ended.get() {
            let deadline = part.coordinator.borrow().next_deadline();
            match deadline {
                None => part.changed.notified().await,
                Some(at) if at > self.rt.now() => {
                    let left = at.since(self.rt.now());
                    // Either way the deadline is looked at again.
                    let _ = crate::shard::within(&self.rt, left, part.changed.notified()).await;
                }
                Some(_) => {
                    part.coordinator.borrow_mut().on_tick(self.now());
                    self.pump(part);
                    self.rt.yield_now().await;
                }
            }
        }
    }

    async fn load(&self, part: &Part) -> Result<(), String> {
        let (mut at, end) = self
            .shard
            .store
            .with_log(part.id, |l| (l.start(), l.end()))
            .map_err(|e| e.to_string())?;
        let mut decompressor = Decompressor::new();
        while at < end {
            let read = self.shard.store.read(part.id, at, end, READ_BYTES, true).await;
            let read = read.map_err(|e| e.to_string())?;
            let mut bytes = Vec::with_capacity(read.bytes);
            for s in &read.slices {
                bytes.extend_from_slice(s);
            }
            let before = at;
            for batch in Batches::new(&bytes) {
                let batch = batch.map_err(|e| format!("{e:?}"))?;
                at = batch.header().last_offset().next();
                replay(&mut part.coordinator.borrow_mut(), &batch, &mut decompressor)?;
            }
            if at == before {
                return Err(format!("no progress at {at}"));
            }
            self.rt.yield_now().await;
        }
        Ok(())
    }
}

/// Hands one batch's records to the coordinator, and the ends of transactions. What it cannot read is named and left out: it is of
/// a newer release.
fn replay(
    coordinator: &mut Coordinator,
    batch: &BatchView<'_>,
    decompressor: &mut Decompressor,
) -> Result<(), String> {
    let records = batch
        .records_with(decompressor, record::DECOMPRESSED_BYTES_MAX)
        .map_err(|e| format!("{e:?}"))?;
    for r in records {
        let r = r.map_err(|e| format!("{e:?}"))?;
        let Some(key) = r.key else { continue };
        let header = batch.header();
        let at = header.base_offset + i64::from(r.offset_delta);
        if header.attributes.is_control() {
            match ControlRecord::read(&r) {
                Some(ControlRecord::EndTxn { end, .. }) => {
                    let committed = end == EndTxn::Commit;
                    coordinator.on_transaction_end(header.producer_id, at, committed);
                }
                Some(ControlRecord::Other(_)) => {}
                None => {
                    runtime::tell!("a control record of __consumer_offsets cannot be read: {at}")
                }
            }
            continue;
        }
        let replayed = Replayed {
            at,
            producer: header.attributes.is_transactional().then_some(header.producer_id),
            key,
            value: r.value,
        };
        if let Err(e) = coordinator.replay(replayed) {
            runtime::tell!("a record of __consumer_offsets is not taken over: {e}");
        }
    }
    Ok(())
}

/// Gives out the answers that may go.
fn answer(part: &Part) {
    loop {
        let next = part.coordinator.borrow_mut().poll_answer();
        let Some(answer) = next else { return };
        let waiter = part.waiting.borrow_mut().remove(&answer.ticket);
        if let Some(w) = waiter {
            w.send.send(answer.response);
        }
    }
}
