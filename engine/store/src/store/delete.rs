//! A partition goes, and everything of it.

use super::{Refusal, Store, remove_partition_files};
use crate::format::record::Type;
use crate::planted::{self, Planted};
use ids::PartitionId;

impl Store {
    /// Deletes a partition and resolves when that is flushed. Files go afterwards.
    ///
    /// # Errors
    /// [`Refusal::UnknownPartition`].
    pub async fn delete(&self, id: PartitionId) -> Result<(), Refusal> {
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
        if planted::is(Planted::UnlinkBeforeTheDelete) {
            remove_partition_files(inner, id).await;
        }
        inner.journal.flushed(sequence).await;
        // A checkpoint or a writer may still be at its files.
        while shared.borrow().writing {
            inner.writing_done.notified().await;
        }
        let had_directory = {
            let mut p = shared.borrow_mut();
            p.tail.clear();
            // Closed before its names go: with the last handle of a file without a name go its blocks, on this core.
            p.files.clear();
            p.has_directory
        };
        inner.readers.borrow_mut().forget_partition(id);
        if had_directory {
            remove_partition_files(inner, id).await;
        }
        Ok(())
    }
}
