//! A value in the log, as it is and as it will be.

use crate::outbox::BatchId;

/// One key of the log: what is committed, and what is on its way.
///
/// Readers see what is committed. Batches commit in the order of their ids, so what commits replaces everything before it;
/// a batch that fails takes only its own value along. That is all there is to undoing an append.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Slot<V> {
    committed: Option<V>,
    /// In the order of the batches; `None` deletes.
    pending: Vec<(BatchId, Option<V>)>,
}

impl<V> Default for Slot<V> {
    fn default() -> Self {
        Self { committed: None, pending: Vec::new() }
    }
}

impl<V> Slot<V> {
    /// What readers see.
    pub(crate) fn committed(&self) -> Option<&V> {
        self.committed.as_ref()
    }

    /// What will be committed if everything on its way is.
    pub(crate) fn latest(&self) -> Option<&V> {
        match self.pending.last() {
            Some((_, value)) => value.as_ref(),
            None => self.committed.as_ref(),
        }
    }

    /// Whether something is on its way.
    pub(crate) fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether the log holds nothing of it, and nothing is on its way.
    pub(crate) fn is_void(&self) -> bool {
        self.committed.is_none() && self.pending.is_empty()
    }

    /// A value, or its deletion, is on its way with `batch`.
    pub(crate) fn push(&mut self, batch: BatchId, value: Option<V>) {
        match self.pending.last_mut() {
            Some((last, old)) if *last == batch => *old = value,
            _ => self.pending.push((batch, value)),
        }
    }

    /// The log was replayed up to this value.
    pub(crate) fn replay(&mut self, value: Option<V>) {
        self.committed = value;
    }

    pub(crate) fn on_committed(&mut self, batch: BatchId) {
        if let Some(value) = self.take_pending(batch) {
            self.committed = value;
        }
    }

    /// The value that is on its way with `batch`, or its deletion; it and everything before it is no longer on its way.
    pub(crate) fn take_pending(&mut self, batch: BatchId) -> Option<Option<V>> {
        let count = self.pending.iter().take_while(|(id, _)| *id <= batch).count();
        let last = self.pending.drain(..count).next_back();
        last.filter(|(id, _)| *id == batch).map(|(_, value)| value)
    }

    /// The committed value is taken out.
    pub(crate) fn take_committed(&mut self) -> Option<V> {
        self.committed.take()
    }

    pub(crate) fn on_failed(&mut self, batch: BatchId) {
        self.pending.retain(|(id, _)| *id != batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commits_is_read_and_what_fails_leaves_no_trace() {
        let mut slot = Slot::default();
        slot.push(BatchId(1), Some('a'));
        slot.push(BatchId(2), Some('b'));
        slot.push(BatchId(3), None);
        assert_eq!((slot.committed(), slot.latest()), (None, None));
        slot.on_failed(BatchId(1));
        slot.on_committed(BatchId(2));
        assert_eq!((slot.committed(), slot.latest()), (Some(&'b'), None));
        slot.on_failed(BatchId(3));
        assert_eq!((slot.latest(), slot.is_pending()), (Some(&'b'), false));
        slot.push(BatchId(4), None);
        slot.on_committed(BatchId(4));
        assert!(slot.is_void());
    }

    #[test]
    fn a_batch_that_writes_twice_counts_its_last_value() {
        let mut slot = Slot::default();
        slot.push(BatchId(1), Some('a'));
        slot.push(BatchId(1), Some('b'));
        slot.on_committed(BatchId(1));
        assert_eq!(slot.committed(), Some(&'b'));
    }
}
