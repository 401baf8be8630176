//! The start of a log moves up: retention and DeleteRecords.

use super::removal::remove_segments;
use super::{Refusal, Store, unlink_segments};
use crate::format::record::Type;
use crate::planted::{self, Planted};
use ids::{Offset, PartitionId};

impl Store {
    /// Moves the start of the log up to `to` and resolves when that is flushed. Files go afterwards.
    ///
    /// # Errors
    /// [`Refusal`] if the partition is not here or incomplete.
    pub async fn advance_start(&self, id: PartitionId, to: Offset) -> Result<Offset, Refusal> {
        let inner = &self.inner;
        self.admit_control().await;
        let shared = self.partition(id)?;
        let (sequence, dropped, start) = {
            let mut guard = shared.borrow_mut();
            let p = &mut *guard;
            if let Some(why) = &p.incomplete {
                return Err(Refusal::Incomplete(why.clone()));
            }
            let to = to.min(p.log.end());
            if to <= p.log.start() {
                (p.last_record, Vec::new(), p.log.start())
            } else {
                p.keep_for(inner.checkpoint.get());
                let dropped = p.log.advance_start(to).segments;
                let entry = p.entry(Type::LogStart, to, inner.rt.wall());
                p.last_record = inner.journal.append(&entry, [&[], &[]], true, None);
                p.forget(&dropped);
                (p.last_record, dropped, to)
            }
        };
        if planted::is(Planted::UnlinkBeforeTheLogStart) {
            unlink_segments(inner, id, &dropped).await;
        }
        remove_segments(inner, &shared, sequence, dropped);
        inner.journal.flushed(sequence).await;
        Ok(start)
    }
}
