//! A partition goes, and everything of it.

use super::removal::{let_go, remove_partition};
use super::{Refusal, Store, remove_partition_files};
use crate::format::record::Type;
use crate::partition::Shared;
use crate::planted::{self, Planted};
use ids::PartitionId;

/// Partitions after which the rest of the core comes first.
const SLICE: usize = 64;

impl Store {
    /// Deletes a partition and resolves when that is flushed. Files go afterwards.
    ///
    /// # Errors
    /// [`Refusal::UnknownPartition`].
    pub async fn delete(&self, id: PartitionId) -> Result<(), Refusal> {
        let (partition, sequence) = self.take_out(id).await?;
        self.inner.journal.flushed(sequence).await;
        self.let_go(&partition);
        Ok(())
    }

    /// Deletes partitions and resolves when all of that is flushed, at once as far as the journal can. Those that are not here
    /// are passed over. Files go afterwards.
    pub async fn delete_all(&self, ids: &[PartitionId]) {
        let (mut out, mut last) = (Vec::new(), 0);
        for some in ids.chunks(SLICE) {
            for id in some {
                if let Ok((partition, sequence)) = self.take_out(*id).await {
                    out.push(partition);
                    last = last.max(sequence);
                }
            }
            self.inner.rt.yield_now().await;
        }
        self.inner.journal.flushed(last).await;
        for some in out.chunks(SLICE) {
            for partition in some {
                self.let_go(partition);
            }
            self.inner.rt.yield_now().await;
        }
    }

    /// Journals a partition's deletion, and has its files removed when that is flushed; the commit that holds it.
    async fn take_out(&self, id: PartitionId) -> Result<(Shared, u64), Refusal> {
        let inner = &self.inner;
        self.admit_control().await;
        let shared = self.partition(id)?;
        let sequence = {
            let mut p = shared.borrow_mut();
            p.deleted = true;
            p.snapshot = None;
            let entry = p.entry(Type::Delete, p.log.end(), inner.rt.wall());
            inner.partitions.borrow_mut().remove(&id);
            inner.streams.borrow_mut().forget(id);
            inner.gone.borrow_mut().push(id);
            p.last_record = inner.journal.append(&entry, [&[], &[]], true, None);
            p.last_record
        };
        remove_partition(inner, &shared, sequence);
        if planted::is(Planted::UnlinkBeforeTheDelete) {
            remove_partition_files(inner, id).await;
        }
        Ok((shared, sequence))
    }

    /// Its memory comes back now, however long the line of removals is; whoever is at its files needs it still.
    fn let_go(&self, partition: &Shared) {
        if !partition.borrow().writing {
            let_go(&self.inner, partition);
        }
    }
}
