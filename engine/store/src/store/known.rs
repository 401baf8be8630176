//! The partitions that the store knows.

use super::{Inner, Refusal, Store};
use crate::partition::{Partition, PartitionConfig, Shared};
use crate::replay::UNSEEN_MAX;
use ids::{Offset, PartitionId, Timestamp};
use std::cell::RefCell;
use std::ops::Bound;
use std::rc::Rc;

/// Partitions after which the rest of the core comes first: some tens of microseconds of work.
const STEP: usize = 64;

impl Inner {
    fn unaccounted_for(&self) -> Option<String> {
        let after = self.unaccounted.get()?;
        Some(format!("commits after {after} are damaged, and with them perhaps all that was here"))
    }
}

impl Store {
    /// Makes an empty partition. It has no file until it has data.
    ///
    /// If commits are missing of which nobody knows what they held, one that is not known is incomplete, until
    /// [`Store::all_named`] says that those to come are new.
    pub fn create(&self, id: PartitionId, config: PartitionConfig) {
        let inner = &self.inner;
        let mut all = inner.partitions.borrow_mut();
        all.entry(id).or_insert_with(|| {
            let mut p = Partition::new(id, config);
            p.incomplete = inner.unaccounted_for();
            p.dirty = p.incomplete.is_some();
            if p.dirty {
                p.unused_from = Offset::ZERO + UNSEEN_MAX;
            }
            p.checkpoint = inner.checkpoint.get();
            let p = Rc::new(RefCell::new(p));
            inner.removals.hold(id, &p);
            p
        });
    }

    /// Every partition that was here before the start has been named to [`Store::create`]; what comes now is new.
    pub fn all_named(&self) {
        self.inner.unaccounted.set(None);
    }

    /// Changes what is read of a partition's configuration, from now on.
    pub fn configure(&self, id: PartitionId, config: PartitionConfig) {
        if let Ok(p) = self.partition(id) {
            p.borrow_mut().config = config;
        }
    }

    pub(crate) fn partition(&self, id: PartitionId) -> Result<Shared, Refusal> {
        self.inner.partitions.borrow().get(&id).cloned().ok_or(Refusal::UnknownPartition)
    }

    /// Looks at a partition's log.
    ///
    /// # Errors
    /// [`Refusal::UnknownPartition`].
    pub fn with_log<T>(
        &self,
        id: PartitionId,
        f: impl FnOnce(&log::Log) -> T,
    ) -> Result<T, Refusal> {
        Ok(f(&self.partition(id)?.borrow().log))
    }

    /// Forgets producers of all partitions that have been silent for `expiration_ms`, some partitions at a time.
    pub async fn expire_producers(&self, now: Timestamp, expiration_ms: i64) {
        let mut from = Bound::Unbounded;
        while let Some(last) = self.expire_some(from, now, expiration_ms) {
            from = Bound::Excluded(last);
            self.inner.rt.yield_now().await;
        }
    }

    /// The same in the next partitions; the last of them, if others may follow.
    fn expire_some(
        &self,
        from: Bound<PartitionId>,
        now: Timestamp,
        expiration_ms: i64,
    ) -> Option<PartitionId> {
        let partitions = self.inner.partitions.borrow();
        let (mut came, mut last) = (0, None);
        for (id, p) in partitions.range((from, Bound::Unbounded)).take(STEP) {
            p.borrow_mut().log.expire_producers(now, expiration_ms);
            (came, last) = (came + 1, Some(*id));
        }
        last.filter(|_| came == STEP)
    }

    /// Why a partition is incomplete, if it is. One that is not known may be, too: see [`Store::create`].
    #[must_use]
    pub fn incomplete(&self, id: PartitionId) -> Option<String> {
        match self.partition(id) {
            Ok(p) => p.borrow().incomplete.clone(),
            Err(_) => self.inner.unaccounted_for(),
        }
    }

    /// The partitions that this core holds data of, in order.
    #[must_use]
    pub fn partitions(&self) -> Vec<PartitionId> {
        self.inner.partitions.borrow().keys().copied().collect()
    }
}
