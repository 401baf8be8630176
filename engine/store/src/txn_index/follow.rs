//! Follows transactions through the log: what it says of them itself.

use crate::inspect::walk::{Walk, next_batch};
use crate::partition::Shared;
use crate::reads::ReadError;
use crate::store::Store;
use ids::Offset;
use log::{AbortedTxn, Producers, SegmentName};
use std::rc::Rc;

/// Goes through `names`, from the first one on, up to the offset `until`, and tells of every abort; the state of the producers
/// that wrote there. Batches that end at or below `start` open no transaction. None if a segment has left the log meanwhile.
///
/// A batch without records, which compaction leaves where a sequence number would be lost, opens none either: its marker may
/// have gone with the records.
pub(crate) async fn follow(
    store: &Store,
    p: &Shared,
    names: &[SegmentName],
    (start, until): (Offset, Offset),
    mut on_abort: impl FnMut(SegmentName, AbortedTxn),
) -> Result<Option<Producers>, ReadError> {
    let mut producers = Producers::default();
    for name in names {
        let Some(at) = p.borrow().log.segment(*name).map(|s| s.appended_at) else {
            return Ok(None);
        };
        let mut walk = Walk::new(store, Rc::clone(p), *name);
        loop {
            let batch = match next_batch(&mut walk, *name).await {
                Ok(Some(b)) if b.header.base_offset < until => b,
                Ok(_) => break,
                Err(_) if p.borrow().log.segment(*name).is_none() => return Ok(None),
                Err(e) => return Err(e),
            };
            let (meta, base) = (batch.meta(), batch.header.base_offset);
            if meta.is_idempotent() {
                if batch.header.count > 0 && batch.header.next_offset() > start {
                    producers.note(&meta, base, at);
                }
            } else if meta.control
                && meta.producer_id.0 >= 0
                && let Some(first) = producers.note_marker(&meta, at)
                && walk.aborts(&batch).await.map_err(ReadError::Io)?
            {
                let last_stable = producers.first_open_transaction().unwrap_or(base.next());
                let producer_id = meta.producer_id;
                on_abort(*name, AbortedTxn { producer_id, first, last: base, last_stable });
            }
        }
    }
    Ok(Some(producers))
}
