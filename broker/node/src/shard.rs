//! One core's partitions: the log through the store, the leader's decisions, and who waits for what.
//!
//! Everything that waits for a partition waits for an offset: acks=1 until it is acknowledged by this broker's disk, acks=all
//! and the controller until it is committed. A long-poll fetch is the mirror image: it waits for the high watermark to move.

mod deadline;
mod flushing;
mod traffic;
mod trail;
mod waiters;
mod walk;
mod watch;

pub(crate) use crate::shard::traffic::Traffic;
pub(crate) use crate::shard::trail::Trail;
pub(crate) use crate::shard::walk::STEP;
pub(crate) use crate::shard::watch::Watch;

use crate::planted::{self, Planted};
pub(crate) use crate::shard::deadline::Deadline;
use crate::shard::flushing::{Demand, Unflushed};
use crate::shard::traffic::Busy;
use crate::shard::waiters::Waiters;
use crate::shard::walk::Walked;
use cluster::config::{Durability, TimestampType, TopicConfig};
use ids::{BrokerId, Instant, LeaderEpoch, Offset, PartitionId, Timestamp};
use log::{Appended, BatchMeta, Retention};
use replica::{AckedAt, Ends, Event, Leader, LeaderStart};
use runtime::Runtime;
use runtime::sync::Notify;
use stages::Stage;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use store::{Client, CommitTimes, PartitionConfig, Progress, ReadError, Refusal, Store};

/// When a produce is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acks {
    /// Not at all.
    None,
    /// When this broker's disk has it as its topic's durability demands.
    Leader,
    /// When every in-sync replica's disk has it.
    All,
}

/// Why a partition cannot do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PartitionError {
    /// This core does not lead the partition.
    NotLeader,
    /// The client knows an older epoch.
    FencedEpoch,
    /// The client knows a newer epoch.
    UnknownEpoch,
    /// acks=all with too few replicas in sync.
    NotEnoughReplicas { after_append: bool },
    /// The acknowledgement did not come in time; the data stays.
    TimedOut,
    /// The store's reason.
    Refused(Refusal),
    /// The log's reason for a read.
    Read(ReadError),
    /// The offset is outside the log, or above the high watermark (DeleteRecords).
    OffsetOutOfRange,
    /// The topic is not cleaned by deletion.
    PolicyViolation,
}

/// What came of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Produced {
    pub(crate) base_offset: Offset,
    /// -1 unless the topic stamps with the broker's clock.
    pub(crate) append_time: Timestamp,
    pub(crate) log_start: Offset,
}

/// A partition that this core leads.
pub(crate) struct Replica {
    pub(crate) id: PartitionId,
    pub(crate) topic: Rc<str>,
    leader: RefCell<Leader>,
    pub(crate) config: RefCell<Rc<TopicConfig>>,
    waiters: RefCell<Waiters>,
    /// Since it is led, and how much of it has been told.
    traffic: Cell<Traffic>,
    told: Cell<Traffic>,
    busy: Busy,
    unflushed: Unflushed,
}

/// Who appends, how it is to be acknowledged, and until when that is waited for.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) client: Client,
    pub(crate) acks: Acks,
    pub(crate) deadline: &'a Deadline,
}

impl<'a> Terms<'a> {
    /// Of the node itself.
    pub(crate) fn ours(acks: Acks, deadline: &'a Deadline) -> Self {
        Self { client: Client::default(), acks, deadline }
    }
}

/// One core's partitions. Lives on its core from the end of recovery to the end of the process.
pub(crate) struct Shard {
    pub(crate) rt: Runtime,
    pub(crate) store: Store,
    me: BrokerId,
    partitions: RefCell<BTreeMap<PartitionId, Rc<Replica>>>,
    on_committed: RefCell<Option<OnCommitted>>,
    /// What its `written` topics have asked of the store.
    flush_every: Cell<Demand>,
    /// The same since the last walk over all of them has begun.
    flush_news: Cell<Demand>,
    /// Partitions with traffic that has not been told.
    busy: Busy,
    walked: Cell<Walked>,
}

type OnCommitted = Rc<dyn Fn(Offset)>;

/// What the store needs of a topic's configuration.
pub(crate) fn store_config(id: PartitionId, config: &TopicConfig) -> PartitionConfig {
    // The active segment is never compacted: it must not outlive the longest wait for compaction (KIP-354).
    let segment_ms = match config.cleanup.compact {
        true => config.segment_ms.min(config.max_compaction_lag_ms),
        false => config.segment_ms,
    };
    let segment_ms = segment_ms - jitter_ms(id, config.segment_jitter_ms.min(segment_ms));
    PartitionConfig {
        log: log::Config {
            segment_bytes: config.segment_bytes,
            segment_ms,
            segment_index_bytes: config.segment_index_bytes,
            index_interval_bytes: config.index_interval_bytes,
        },
        fsync: config.durability == Durability::Fsync,
    }
}

/// What `segment.jitter.ms` takes off a partition's `segment.ms`: its own share of it, so that the partitions of a topic do not
/// all roll at once. The same after every start.
fn jitter_ms(id: PartitionId, jitter_ms: i64) -> i64 {
    // FNV-1a: neighbours in name are far apart.
    let hash = id
        .to_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
    match u64::try_from(jitter_ms) {
        Ok(most @ 1..) => i64::try_from(hash % most).unwrap_or(0),
        Ok(0) | Err(_) => 0,
    }
}

fn acked_at(config: &TopicConfig) -> AckedAt {
    match config.durability {
        Durability::Fsync => AckedAt::Durable,
        Durability::Written => AckedAt::Written,
    }
}

impl Shard {
    pub(crate) fn new(rt: Runtime, store: Store, me: BrokerId) -> Rc<Self> {
        let shard = Rc::new(Self {
            rt,
            store,
            me,
            partitions: RefCell::new(BTreeMap::new()),
            on_committed: RefCell::new(None),
            flush_every: Cell::default(),
            flush_news: Cell::default(),
            busy: Busy::default(),
            walked: Cell::default(),
        });
        let weak = Rc::downgrade(&shard);
        shard.store.observe(move |progress| {
            if let Some(shard) = weak.upgrade() {
                shard.on_progress(&progress);
            }
        });
        shard
    }

    /// `f` is told how far the metadata log is committed, before anyone who waits for it goes on.
    pub(crate) fn on_metadata_committed(&self, f: impl Fn(Offset) + 'static) {
        *self.on_committed.borrow_mut() = Some(Rc::new(f));
    }

    /// Begins to lead a partition; opens it if it is new.
    pub(crate) fn lead(
        &self,
        id: PartitionId,
        topic: &str,
        epoch: LeaderEpoch,
        replication_factor: usize,
        config: Rc<TopicConfig>,
    ) {
        if let Some(replica) = self.partitions.borrow().get(&id)
            && replica.leader.borrow().epoch() == epoch
        {
            return;
        }
        self.store.create(id, store_config(id, &config));
        self.store.configure(id, store_config(id, &config));
        self.flush_within(&config);
        let Ok(progress) = self.store.progress(id) else { return };
        let Ok((start, end)) = self.store.with_log(id, |l| (l.start(), l.end())) else { return };
        let ends = Ends { appended: end, written: progress.written, durable: progress.durable };
        let leader = Leader::new(LeaderStart {
            me: self.me,
            epoch,
            ends,
            high_watermark: start,
            acked_at: acked_at(&config),
            in_sync: vec![self.me],
            replication_factor,
            min_in_sync: config.min_insync_replicas,
        });
        let replica = Rc::new(Replica {
            id,
            topic: topic.into(),
            leader: RefCell::new(leader),
            config: RefCell::new(config),
            waiters: RefCell::new(Waiters::default()),
            traffic: Cell::default(),
            told: Cell::default(),
            busy: Rc::clone(&self.busy),
            unflushed: Unflushed::default(),
        });
        while replica.leader.borrow_mut().poll_event().is_some() {}
        let before = self.partitions.borrow_mut().insert(id, replica);
        if let Some(before) = before {
            before.end();
        }
    }

    /// The topic's configuration changed.
    pub(crate) fn configure(&self, id: PartitionId, config: &Rc<TopicConfig>) {
        if let Some(replica) = self.replica(id) {
            *replica.config.borrow_mut() = Rc::clone(config);
            self.store.configure(id, store_config(id, config));
            self.flush_within(config);
            replica.leader.borrow_mut().on_config(acked_at(config), config.min_insync_replicas);
            self.tell(&replica);
        }
    }

    /// Partitions are gone: whoever waits is told, some partitions at a time, and their data is deleted.
    pub(crate) async fn delete(&self, ids: &[PartitionId]) {
        for some in ids.chunks(STEP) {
            for id in some {
                let replica = self.partitions.borrow_mut().remove(id);
                if let Some(replica) = replica {
                    replica.end();
                }
            }
            self.rt.yield_now().await;
        }
        self.store.delete_all(ids).await;
    }

    pub(crate) fn replica(&self, id: PartitionId) -> Option<Rc<Replica>> {
        self.partitions.borrow().get(&id).cloned()
    }

    /// The offset below which a reader of committed data may read; moves only with the high watermark and the log's start.
    pub(crate) fn last_stable(&self, replica: &Replica) -> Offset {
        let high_watermark = replica.high_watermark();
        self.store.last_stable(replica.id, high_watermark).unwrap_or(high_watermark)
    }

    fn on_progress(&self, progress: &Progress) {
        let Some(replica) = self.replica(progress.partition) else { return };
        {
            let mut leader = replica.leader.borrow_mut();
            leader.on_written(progress.written);
            leader.on_durable(progress.durable);
        }
        self.tell(&replica);
    }

    /// Lets those go on for whom something has come.
    fn tell(&self, replica: &Rc<Replica>) {
        let acked = replica.leader.borrow().acked_end();
        replica.waiters.borrow_mut().on_acked(acked);
        loop {
            let event = replica.leader.borrow_mut().poll_event();
            let Some(Event::HighWatermark(high_watermark)) = event else { break };
            if replica.id.topic == ids::TopicId::METADATA
                && let Some(f) = self.on_committed.borrow().clone()
            {
                f(high_watermark);
            }
            // Ends of transactions below it count from now on.
            self.last_stable(replica);
            replica.waiters.borrow_mut().on_committed(high_watermark);
        }
    }

    /// Appends one validated batch and resolves when it is acknowledged as asked. Everything up to the append happens in the
    /// first poll, unless the store has no room: so what one client starts in order is appended in order. `tell` hears where its time
    /// went if it is acknowledged.
    pub(crate) async fn produce(
        &self,
        id: PartitionId,
        bytes: &[u8],
        meta: &BatchMeta,
        terms: Terms<'_>,
        tell: impl FnOnce(&Trail),
    ) -> Result<Produced, PartitionError> {
        let Terms { client, acks, deadline } = terms;
        let turn = self.rt.now();
        self.store.admit_from(client, id, bytes.len()).await;
        // Zero unless it had to wait.
        let admitted =
            if self.rt.now() > turn { stages::read(|| self.rt.clock()) } else { Instant(0) };
        let replica = self.replica(id).ok_or(PartitionError::NotLeader)?;
        let epoch = {
            let leader = replica.leader.borrow();
            if acks == Acks::All && leader.check_in_sync().is_err() {
                return Err(PartitionError::NotEnoughReplicas { after_append: false });
            }
            leader.epoch()
        };
        let now = self.rt.wall();
        let appended =
            self.store.append(id, bytes, meta, epoch, now).map_err(PartitionError::Refused)?;
        let stamped = replica.config.borrow().timestamp_type == TimestampType::LogAppendTime;
        let duplicate = matches!(appended, Appended::Duplicate(_));
        let mut commit = None;
        let (base_offset, end, time) = match appended {
            Appended::New { base_offset, .. } => {
                if stages::ON {
                    commit = self.store.filling();
                }
                replica.took(meta);
                if replica.unflushed.add(meta, &replica.config.borrow()) {
                    self.flush_soon();
                }
                let end = base_offset + i64::from(meta.offsets);
                replica.leader.borrow_mut().on_appended(end);
                (base_offset, end, meta.max_timestamp)
            }
            // Answered like its original, and no sooner.
            Appended::Duplicate(original) => {
                (original.base_offset(), original.last_offset.next(), original.max_timestamp)
            }
        };
        let appended = stages::read(|| self.rt.clock());
        match acks {
            Acks::None => {}
            _ if (id.topic != ids::TopicId::METADATA && planted::is(Planted::AckedAtAppend))
                || (duplicate && planted::is(Planted::DuplicateAckedEarly)) => {}
            Acks::Leader | Acks::All => self.wait_for(&replica, end, acks, deadline).await?,
        }
        if stages::ON {
            let mut trail =
                Trail { id, admitted, appended, commit: CommitTimes::default(), resumed: appended };
            if acks != Acks::None {
                trail.resumed = self.rt.clock();
                if let Some(times) = commit.and_then(|commit| self.store.commit_times(commit)) {
                    trail.commit = times;
                    if replica.config.borrow().durability != Durability::Fsync {
                        trail.commit.flushed = Instant(0);
                    }
                }
            }
            tell(&trail);
        }
        if acks == Acks::All && replica.leader.borrow().check_in_sync().is_err() {
            return Err(PartitionError::NotEnoughReplicas { after_append: true });
        }
        let log_start = self.store.with_log(id, log::Log::start).unwrap_or(Offset::ZERO);
        let append_time = if stamped { time } else { Timestamp::NONE };
        Ok(Produced { base_offset, append_time, log_start })
    }

    /// The stage of the oldest append to each of these partitions that is not acknowledged. Where none has come as far:
    /// [`Stage::Admit`] if anybody waits for room, and [`Stage::Queue`] otherwise.
    pub(crate) fn wait_in(
        &self,
        ids: impl IntoIterator<Item = PartitionId>,
    ) -> BTreeMap<PartitionId, Stage> {
        let before = if self.store.has_a_line() { Stage::Admit } else { Stage::Queue };
        let (mut all, mut ends) = (BTreeMap::new(), BTreeMap::new());
        for id in ids {
            let first = self.replica(id).and_then(|replica| replica.waiters.borrow().first());
            all.insert(id, if first.is_some() { Stage::Wake } else { before });
            ends.extend(first.map(|end| (id, end)));
        }
        all.extend(self.store.wait_in(&ends));
        all
    }

    async fn wait_for(
        &self,
        replica: &Rc<Replica>,
        end: Offset,
        acks: Acks,
        deadline: &Deadline,
    ) -> Result<(), PartitionError> {
        let waiter = {
            let leader = replica.leader.borrow();
            let mut waiters = replica.waiters.borrow_mut();
            match acks {
                Acks::All if leader.high_watermark() < end => waiters.until_committed(end),
                Acks::Leader if leader.acked_end() < end => waiters.until_acked(end),
                Acks::None | Acks::All | Acks::Leader => return Ok(()),
            }
        };
        match deadline.bounds(&self.rt, waiter).await {
            Some(Some(())) => Ok(()),
            Some(None) => Err(PartitionError::NotLeader),
            None => Err(PartitionError::TimedOut),
        }
    }

    /// Waits until the high watermark of a partition has reached `end`, also where this broker leads it anew meanwhile; false if
    /// the partition goes away.
    pub(crate) async fn until_committed(&self, id: PartitionId, end: Offset) -> bool {
        loop {
            let Some(replica) = self.replica(id) else { return false };
            if replica.high_watermark() >= end {
                return true;
            }
            let waiter = replica.waiters.borrow_mut().until_committed(end);
            if waiter.await.is_some() {
                return true;
            }
            self.rt.yield_now().await;
        }
    }

    /// Checks the epoch that a client knows (KIP-320); -1 asks for no check.
    pub(crate) fn check_epoch(
        &self,
        id: PartitionId,
        known: LeaderEpoch,
    ) -> Result<Rc<Replica>, PartitionError> {
        let replica = self.replica(id).ok_or(PartitionError::NotLeader)?;
        let epoch = replica.leader.borrow().epoch();
        match known {
            LeaderEpoch::UNKNOWN => Ok(replica),
            k if k < epoch => Err(PartitionError::FencedEpoch),
            k if k > epoch => Err(PartitionError::UnknownEpoch),
            _ => Ok(replica),
        }
    }

    /// Moves the start of the log up to `to` (DeleteRecords); -1 is the high watermark. Resolves when that is durable.
    pub(crate) async fn delete_records(
        &self,
        id: PartitionId,
        to: Offset,
    ) -> Result<Offset, PartitionError> {
        let replica = self.replica(id).ok_or(PartitionError::NotLeader)?;
        let high_watermark = replica.high_watermark();
        if !replica.config.borrow().cleanup.delete {
            return Err(PartitionError::PolicyViolation);
        }
        let to = if to == Offset::NONE { high_watermark } else { to };
        if to < Offset::ZERO || to > high_watermark {
            return Err(PartitionError::OffsetOutOfRange);
        }
        let start = self.store.advance_start(id, to).await.map_err(PartitionError::Refused)?;
        replica.on_start();
        Ok(start)
    }

    /// Applies every partition's retention once.
    pub(crate) async fn retain(&self, now: Timestamp) {
        self.relax_flushing().await;
        let mut walk = self.walk();
        while let Some(replica) = walk.next().await {
            let config = Rc::clone(&replica.config.borrow());
            if !config.cleanup.delete || replica.id.topic == ids::TopicId::METADATA {
                continue;
            }
            let retention = Retention {
                ms: (config.retention_ms >= 0).then_some(config.retention_ms),
                bytes: u64::try_from(config.retention_bytes).ok(),
            };
            let high_watermark = replica.high_watermark();
            let start =
                self.store.with_log(replica.id, |l| retention.new_start(l, high_watermark, now));
            if let Ok(Some(start)) = start {
                match self.store.advance_start(replica.id, start).await {
                    Ok(_) => replica.on_start(),
                    Err(e) => runtime::tell!("retention of {}: {e}", replica.id),
                }
            }
        }
    }
}

impl Replica {
    /// The offset below which records are committed.
    pub(crate) fn high_watermark(&self) -> Offset {
        self.leader.borrow().high_watermark()
    }

    /// Whether as many replicas are in sync as an acknowledged append needs.
    pub(crate) fn is_in_sync(&self) -> bool {
        self.leader.borrow().check_in_sync().is_ok()
    }

    /// The present leader epoch.
    pub(crate) fn epoch(&self) -> LeaderEpoch {
        self.leader.borrow().epoch()
    }

    /// Rings `bell` whenever the high watermark moves, or the partition goes away.
    pub(crate) fn watch(&self, bell: &Rc<Notify>) {
        self.waiters.borrow_mut().watch(bell);
    }

    /// The start of the log has moved: readers are told of it, records or not.
    fn on_start(&self) {
        self.waiters.borrow_mut().on_change();
    }

    fn end(&self) {
        self.waiters.borrow_mut().end();
    }
}

/// `None` if `future` has not resolved after `timeout`.
pub(crate) async fn within<F: Future>(
    rt: &Runtime,
    timeout: Duration,
    future: F,
) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut timer = std::pin::pin!(rt.sleep(timeout));
    std::future::poll_fn(|cx| {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(cx) {
            return std::task::Poll::Ready(Some(value));
        }
        timer.as_mut().poll(cx).map(|()| None)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::{CoreId, PartitionIndex, TopicId};
    use runtime::sim::{SimConfig, World};
    use std::future::poll_fn;
    use std::path::Path;
    use std::pin::pin;
    use store::{Config, DataDir};

    /// Whatever else the core has to do comes in between. Counted are the partitions that each turn takes.
    #[test]
    fn a_large_deletion_gives_the_core_away_between_partitions() {
        const PARTITIONS: i32 = 1_000;
        let world = World::new(1, SimConfig::default());
        let node = world.add_node();
        let rt = world.core(node, CoreId(0));
        let it = rt.clone();
        let left = world
            .run(&rt, async move {
                let ring = 1 << 20;
                let dir = DataDir::open(&it, Path::new("/data"), 1, ring).await.unwrap();
                let config = Config { ring_bytes: ring, free_bytes_min: 0, ..Config::default() };
                let usual = |_| PartitionConfig::default();
                let (store, _) = store::open(&it, &dir, CoreId(0), config, usual).await.unwrap();
                let shard = Shard::new(it, store, BrokerId(1));
                let config = Rc::new(TopicConfig::defaults());
                let id = |n| PartitionId { topic: TopicId([7; 16]), index: PartitionIndex(n) };
                let ids: Vec<PartitionId> = (0..PARTITIONS).map(id).collect();
                for id in &ids {
                    shard.lead(*id, "orders", LeaderEpoch(0), 1, Rc::clone(&config));
                }
                let mut left = vec![shard.count()];
                let mut deletion = pin!(shard.delete(&ids));
                poll_fn(|cx| {
                    let polled = deletion.as_mut().poll(cx);
                    left.push(shard.count());
                    polled
                })
                .await;
                left
            })
            .expect_done();
        assert_eq!((left.first(), left.last()), (Some(&1_000), Some(&0)));
        let most = left.windows(2).map(|turn| turn[0] - turn[1]).max();
        assert!(most <= Some(STEP), "{left:?}");
    }

    #[test]
    fn partitions_roll_at_different_times_if_asked_to_and_always_the_same() {
        let id = |index| PartitionId { topic: TopicId([7; 16]), index: PartitionIndex(index) };
        let config = |segment_jitter_ms: i64, compact: bool| TopicConfig {
            segment_ms: 1_000_000,
            segment_jitter_ms,
            max_compaction_lag_ms: 5_000,
            cleanup: cluster::config::Cleanup { delete: !compact, compact },
            ..TopicConfig::defaults()
        };
        let spans = |jitter, compact| -> Vec<i64> {
            (0..100).map(|i| store_config(id(i), &config(jitter, compact)).log.segment_ms).collect()
        };
        assert!(spans(0, false).iter().all(|ms| *ms == 1_000_000));
        let jittered = spans(500_000, false);
        assert_eq!(jittered, spans(500_000, false));
        assert!(jittered.iter().all(|ms| (500_001..=1_000_000).contains(ms)), "{jittered:?}");
        let mut different = jittered.clone();
        different.sort_unstable();
        different.dedup();
        assert!(different.len() > 90, "{different:?}");
        // More jitter than there is time leaves some.
        assert!(spans(i64::MAX, false).iter().all(|ms| *ms >= 1));
        assert!(spans(500_000, true).iter().all(|ms| (1..=5_000).contains(ms)));
    }
}
