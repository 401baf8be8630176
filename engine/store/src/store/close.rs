//! Everything is flushed, checkpointed, or closed.

use super::Store;
use crate::format::record::Type;
use crate::journal::Entry;

impl Store {
    /// Resolves when everything appended so far to any partition is flushed.
    pub async fn flush(&self) {
        let last = self.inner.journal.seal();
        self.inner.journal.flushed(last).await;
    }

    /// Takes a checkpoint now.
    pub async fn checkpoint(&self) {
        let before = self.inner.counters.get().checkpoints;
        while self.inner.counters.get().checkpoints == before {
            self.inner.checkpoint_wanted.notify();
            self.inner.checkpoint_done.notified().await;
        }
    }

    /// Takes a checkpoint on a full disk, with what the reserve can give. The ring keeps what it has if that is not enough.
    pub(crate) async fn checkpoint_if_possible(&self) {
        let before = self.inner.counters.get().checkpoints;
        while self.inner.counters.get().checkpoints == before
            && (self.inner.reserve.has_some() || self.inner.full.get().is_none())
        {
            self.inner.checkpoint_wanted.notify();
            self.inner.checkpoint_done.notified().await;
        }
    }

    /// Stops in good order: everything flushed, checkpointed, and the clean shutdown recorded.
    pub async fn close(&self) {
        let inner = &self.inner;
        self.flush().await;
        if inner.full.get().is_none() {
            self.checkpoint().await;
        } else {
            self.checkpoint_if_possible().await;
        }
        inner.stopping.set(true);
        inner.checkpoint_wanted.notify();
        if inner.journal.has_control_room() && !inner.held.get() {
            let entry = Entry::of_the_ring(Type::CleanShutdown, inner.rt.wall());
            inner.journal.append(&entry, [&[], &[]], true, None);
        }
        inner.journal.drain().await;
        // What is left is a start's to find; but nobody is at files any more when the next process comes.
        inner.removals.over().await;
    }
}
