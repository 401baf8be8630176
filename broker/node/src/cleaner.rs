//! The cleaner of one core: compacts the dirtiest of its partitions, one at a time (KIP-58).
//!
//! Its settings may change while it works; they count from the next pass on, and another pause at once. What it did is in
//! `/metrics`.

use crate::broker::Broker;
use crate::shard::Replica;
use cluster::config::TopicConfig;
use ids::PartitionId;
use log::{Candidate, Compaction};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;
use store::{CompactBudget, CompactFailure, EndedEarly};

/// After a failure a partition is left alone for this many rounds.
const ROUNDS_AFTER_FAILURE: u32 = 20;
/// So soon a pause notices that it is to be another one.
const SETTING_READ_EVERY: Duration = Duration::from_secs(1);

/// What the cleaner remembers. Lives on its core.
#[derive(Default)]
pub(crate) struct Cleaner {
    /// Partitions whose directory has been looked through since the start.
    tidied: RefCell<BTreeSet<PartitionId>>,
    /// Partitions that failed, and for how many rounds they still wait.
    failed: RefCell<BTreeMap<PartitionId, u32>>,
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
        self.failed.borrow().len()
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
                wait_less(&me);
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

/// One round less to wait for those that failed.
fn wait_less(broker: &Broker) {
    broker.cleaner.failed.borrow_mut().retain(|_, rounds| {
        *rounds = rounds.saturating_sub(1);
        *rounds > 0
    });
}

/// Compacts the dirtiest partition that is due; false if none is.
async fn round(broker: &Rc<Broker>) -> bool {
    remove_strays(broker).await;
    let mut best: Option<(Rc<Replica>, Candidate)> = None;
    let (mut max_dirty, mut due) = (0.0_f64, 0);
    for replica in broker.shard.replicas() {
        let config = Rc::clone(&replica.config.borrow());
        if !config.cleanup.compact || broker.cleaner.failed.borrow().contains_key(&replica.id) {
            continue;
        }
        let stable = broker.shard.last_stable(&replica);
        let found = broker.shard.store.compactable(replica.id, &compaction(&config), stable);
        let Some(found) = found else { continue };
        max_dirty = max_dirty.max(found.ratio());
        due += usize::from(found.due);
        // An overdue one goes first.
        let rank = |c: &Candidate| (c.overdue, c.ratio());
        if found.due && best.as_ref().is_none_or(|(_, b)| rank(&found) > rank(b)) {
            best = Some((replica, found));
        }
    }
    let cleaner = &broker.cleaner;
    cleaner.max_dirty.set(max_dirty);
    cleaner.due.set(due);
    cleaner.looks.set(cleaner.looks.get() + 1);
    match best {
        Some((replica, _)) => pass(broker, &replica).await,
        None => false,
    }
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
    let leave = || broker.cleaner.failed.borrow_mut().insert(replica.id, ROUNDS_AFTER_FAILURE);
    match result {
        Ok(report) => {
            let further = before.is_ok_and(|b| report.clean_end > b);
            if !further && report.ended_early != Some(EndedEarly::Interrupted) {
                // A transaction is in the way: not again at once.
                leave();
            }
            further
        }
        Err(CompactFailure::Refused(_)) => false,
        Err(e) => {
            let (topic, index) = (&replica.topic, replica.id.index);
            eprintln!("partition {index} of {topic} is not compacted: {e}");
            leave();
            false
        }
    }
}

/// Files that a crash during a compaction has left go, once after each start.
async fn remove_strays(broker: &Rc<Broker>) {
    for replica in broker.shard.replicas() {
        let id = replica.id;
        let compact = replica.config.borrow().cleanup.compact;
        if !compact || !broker.cleaner.tidied.borrow_mut().insert(id) {
            continue;
        }
        if let Err(e) = broker.shard.store.remove_strays(id).await {
            eprintln!("cannot list the files of partition {id}: {e}");
        }
    }
}
