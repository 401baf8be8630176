//! The cleaner of one core: compacts those of its partitions that are worth it, one at a time (KIP-58).
//!
//! Its settings may change while it works; they count from the next pass on, and another pause at once. What it did is in
//! `/metrics`.

mod turns;

use self::turns::{Due, Turns};
use crate::broker::Broker;
use crate::shard::Replica;
use cluster::config::TopicConfig;
use ids::PartitionId;
use log::Compaction;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;
use store::{CompactBudget, CompactFailure, EndedEarly};

/// So soon a pause notices that it is to be another one.
const SETTING_READ_EVERY: Duration = Duration::from_secs(1);

/// What the cleaner remembers. Lives on its core.
#[derive(Default)]
pub(crate) struct Cleaner {
    /// Partitions whose directory has been looked through since the start.
    tidied: RefCell<BTreeSet<PartitionId>>,
    turns: RefCell<Turns>,
    max_dirty: Cell<f64>,
    due: Cell<usize>,
    looks: Cell<u64>,
    last_run_ms: Cell<u64>,
}

impl Cleaner {
    /// The largest dirty share of a partition, when it was last looked at.
    pub(crate) fn max_dirty(&self) -> f64 {
        self.max_dirty.get()
    }

    /// Partitions that were worth a pass, when it was last looked: one that is being compacted counts until its pass ends.
    pub(crate) fn due(&self) -> usize {
        self.due.get()
    }

    /// How often all partitions have been looked at.
    pub(crate) fn looks(&self) -> u64 {
        self.looks.get()
    }

    /// How long the last pass took, in milliseconds.
    pub(crate) fn last_run_ms(&self) -> u64 {
        self.last_run_ms.get()
    }

    /// Partitions that are left alone because their last pass failed.
    pub(crate) fn failed(&self) -> usize {
        self.turns.borrow().failed()
    }
}

/// What a topic's configuration says about compaction.
fn compaction(config: &TopicConfig) -> Compaction {
    Compaction {
        min_lag_ms: config.min_compaction_lag_ms,
        max_lag_ms: config.max_compaction_lag_ms,
        min_dirty_ratio: config.min_cleanable_dirty_ratio,
        delete_retention_ms: config.delete_retention_ms,
    }
}

/// Starts the cleaner of this core.
pub(crate) fn start(broker: &Rc<Broker>) {
    let me = Rc::clone(broker);
    broker.rt.spawn(async move {
        loop {
            let enabled = me.metadata.settings().cleaner.enabled;
            if !enabled || !round(&me).await {
                back_off(&me).await;
                let is_here = |id| me.shard.replica(id).is_some();
                me.cleaner.turns.borrow_mut().end_round(is_here);
            }
        }
    });
}

/// Sleeps for `log.cleaner.backoff.ms`, whatever that becomes meanwhile.
async fn back_off(broker: &Broker) {
    let began = broker.rt.now();
    loop {
        let ms = u64::try_from(broker.metadata.settings().cleaner.backoff_ms).unwrap_or(0).max(1);
        match Duration::from_millis(ms).saturating_sub(broker.rt.now().since(began)) {
            Duration::ZERO => return,
            left => broker.rt.sleep(left.min(SETTING_READ_EVERY)).await,
        }
    }
}

/// Compacts one partition that is due; whether to look again at once.
async fn round(broker: &Rc<Broker>) -> bool {
    remove_strays(broker).await;
    let (mut max_dirty, mut due) = (0.0_f64, Vec::new());
    let (now, cleaner) = (broker.rt.now(), &broker.cleaner);
    let mut walk = broker.shard.walk();
    while let Some(replica) = walk.next().await {
        let config = Rc::clone(&replica.config.borrow());
        let store = &broker.shard.store;
        let has = |name| store.with_log(replica.id, |l| l.segment(name).is_some()).unwrap_or(false);
        if !config.cleanup.compact || cleaner.turns.borrow_mut().waits(replica.id, now, has) {
            continue;
        }
        let stable = broker.shard.last_stable(&replica);
        let found = store.compactable(replica.id, &compaction(&config), stable);
        let Some(found) = found else { continue };
        max_dirty = max_dirty.max(found.ratio());
        if found.due {
            due.push(Due { id: replica.id, overdue: found.overdue, ratio: found.ratio() });
        }
    }
    cleaner.max_dirty.set(max_dirty);
    cleaner.due.set(due.len());
    cleaner.looks.set(cleaner.looks.get() + 1);
    let next = cleaner.turns.borrow_mut().next(&due);
    let Some((id, others_wait)) = next else { return false };
    let Some(replica) = broker.shard.replica(id) else { return false };
    pass(broker, &replica).await || others_wait
}

/// One pass over one partition; whether it got further.
async fn pass(broker: &Rc<Broker>, replica: &Replica) -> bool {
    let settings = broker.metadata.settings().cleaner;
    let cores = usize::from(broker.metadata.cores).max(1);
    let budget = CompactBudget {
        map_bytes: settings.dedupe_buffer_bytes / cores,
        bytes_per_second: settings.io_max_bytes_per_second / cores as f64,
    };
    let how = compaction(&replica.config.borrow());
    let began = broker.rt.now();
    let stable = broker.shard.last_stable(replica);
    let before = broker.shard.store.with_log(replica.id, log::Log::clean_end);
    let result = broker.shard.store.compact(replica.id, &how, budget, stable).await;
    let took = broker.rt.now().since(began);
    broker.cleaner.last_run_ms.set(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    let id = replica.id;
    let turns = &broker.cleaner.turns;
    match result {
        Ok(report) => {
            let further = before.is_ok_and(|b| report.clean_end > b);
            if report.ended_early.is_none() {
                turns.borrow_mut().finish(id);
            }
            if !further && report.ended_early != Some(EndedEarly::Interrupted) {
                // A transaction is in the way: not again at once.
                turns.borrow_mut().fail(id);
            }
            further
        }
        Err(CompactFailure::Refused(_)) => false,
        Err(e) => {
            let news = match &e {
                CompactFailure::Damaged { segment, position, .. } => {
                    turns.borrow_mut().damage(id, *segment, *position, broker.rt.now())
                }
                CompactFailure::DiskFull | CompactFailure::Io(_) | CompactFailure::Refused(_) => {
                    turns.borrow_mut().fail(id);
                    true
                }
            };
            if news {
                let (topic, index) = (&replica.topic, id.index);
                runtime::tell!("partition {index} of {topic} is not compacted: {e}");
            }
            false
        }
    }
}

/// Files that a crash during a compaction has left go, once after each start.
async fn remove_strays(broker: &Rc<Broker>) {
    let mut walk = broker.shard.walk();
    while let Some(replica) = walk.next().await {
        let id = replica.id;
        let compact = replica.config.borrow().cleanup.compact;
        if !compact || !broker.cleaner.tidied.borrow_mut().insert(id) {
            continue;
        }
        if let Err(e) = broker.shard.store.remove_strays(id).await {
            runtime::tell!("cannot list the files of partition {id}: {e}");
        }
    }
}
