//! One batch goes to the log, the tail and the journal.

use super::{Advance, Refusal, Store};
use crate::format::record::Type;
use crate::journal::Entry;
use crate::txn_index;
use ids::{LeaderEpoch, PartitionId, Timestamp};
use log::{Appended, BatchMeta, Place};
use std::rc::Rc;

impl Store {
    /// Appends one validated batch. `bytes` is the batch as the client sent it; base offset and leader epoch are patched in
    /// the copies. Returns where it went and, for a new batch, that its bytes are on their way to the journal.
    ///
    /// # Errors
    /// [`Refusal`]; then nothing has changed.
    pub fn append(
        &self,
        id: PartitionId,
        bytes: &[u8],
        meta: &BatchMeta,
        epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<Appended, Refusal> {
        let inner = &self.inner;
        let shared = self.partition(id)?;
        let max = inner.journal.largest_payload();
        if bytes.len() > max {
            return Err(Refusal::TooLarge { max });
        }
        let mut guard = shared.borrow_mut();
        let p = &mut *guard;
        if let Some(why) = &p.incomplete {
            return Err(Refusal::Incomplete(why.clone()));
        }
        if let Some(refusal) = self.lacks_room(id, bytes.len()) {
            return Err(refusal);
        }
        assert_eq!(bytes.len(), meta.len as usize, "the batch is not the one that was validated");
        // Also before an append that turns out to be refused: the snapshot is then a copy of the present state.
        let was_dirty = p.dirty;
        p.keep_for(inner.checkpoint.get());
        let decided = p.log.append(meta, epoch, now, &p.config.log);
        let Ok(Appended::New { base_offset, place, .. }) = decided else {
            p.dirty = was_dirty;
            return decided.map_err(Refusal::Append);
        };
        if meta.control && txn_index::aborts(bytes) {
            p.log.abort(base_offset);
        }
        let mut head = [0; 16];
        head.copy_from_slice(&bytes[..16]);
        head[..8].copy_from_slice(&base_offset.0.to_be_bytes());
        head[12..].copy_from_slice(&epoch.0.to_be_bytes());
        let memory = inner.rt.memory();
        p.resume_tail(memory, place, bytes.len());
        p.tail.append(memory, place.segment, place.position, &head);
        p.tail.append(memory, place.segment, place.position + 16, &bytes[16..]);
        let end = p.log.end();
        let entry = Entry {
            kind: Type::Data,
            partition: id,
            generation: p.log.generation(),
            previous: p.last_record,
            offset: base_offset,
            epoch,
            place,
            at: now,
        };
        let advance = Advance {
            partition: Rc::clone(&shared),
            generation: entry.generation,
            end,
            place: Some(Place { segment: place.segment, position: place.position + meta.len }),
        };
        let appended = decided.map_err(Refusal::Append)?;
        let fsync = p.config.fsync;
        p.last_record = inner.journal.append(&entry, [&head, &bytes[16..]], fsync, Some(advance));
        inner.count(|c| {
            c.tail_copied += bytes.len() as u64;
            c.commit_copied += bytes.len() as u64;
        });
        Ok(appended)
    }
}
