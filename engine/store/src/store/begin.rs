//! A store begins: its tasks, and the first commit of this process.

use super::{Advance, Inner, Parts, Store};
use crate::format::record::Type;
use crate::journal::Entry;
use crate::reserve::is_out_of_files;
use crate::shortage::OUT_OF_FILES_PAUSE;
use crate::{checkpoint, compact};
use std::rc::Rc;
use std::time::Duration;

impl Store {
    pub(crate) fn start(parts: Parts) -> Self {
        let inner = Inner::new(parts);
        let store = Self { inner: Rc::clone(&inner) };
        let me = Rc::downgrade(&inner);
        let short = Rc::downgrade(&inner);
        inner.journal.start(
            Rc::new(move |advances: &[Advance], stage| {
                if let Some(inner) = me.upgrade() {
                    inner.on_advance(advances, stage);
                    // What is written has left the queue, also where nobody asks for a flush.
                    inner.admission.moved();
                    inner.want_checkpoint_for_room();
                }
            }),
            Rc::new(move || {
                if let Some(inner) = short.upgrade() {
                    inner.checkpoint_wanted.notify();
                }
            }),
        );
        let me = Rc::clone(&inner);
        inner.rt.spawn(async move {
            while !me.stopping.get() {
                me.checkpoint_wanted.notified().await;
                if me.stopping.get() {
                    break;
                }
                if let Err(e) = checkpoint::run(&me).await {
                    me.on_refused(&e);
                    if is_out_of_files(&e) {
                        me.rt.sleep(OUT_OF_FILES_PAUSE).await;
                    } else {
                        me.give_from_reserve().await;
                    }
                    me.checkpoint_wanted.notify();
                } else {
                    // Perhaps nobody appends any more who would see that it was not enough.
                    me.want_checkpoint_for_room();
                }
                me.admission.moved();
            }
        });
        let me = Rc::clone(&inner);
        inner.rt.spawn(async move {
            while !me.stopping.get() {
                me.watch_space().await;
                me.rt.sleep(Duration::from_secs(1)).await;
            }
        });
        compact::start(&inner);
        store
    }

    /// Begins to write the ring: the Start commit, flushed; its sequence.
    pub(crate) async fn begin(&self) -> u64 {
        let inner = &self.inner;
        let start = Entry::of_the_ring(Type::Start, inner.rt.wall());
        let sequence = inner.journal.append(&start, [&[], &[]], true, None);
        inner.journal.flushed(sequence).await;
        sequence
    }

    /// Takes the checkpoint without which the ring cannot be written. While the disk is too full for it, readers are served
    /// and all who would write are refused; it is taken, and the ring begun, when there is room.
    pub(crate) async fn begin_after_a_checkpoint(&self) -> Option<u64> {
        self.inner.held.set(true);
        self.inner.checkpoint_wanted.notify();
        self.inner.checkpoint_done.notified().await;
        if self.inner.counters.get().checkpoints == 0 {
            self.checkpoint_if_possible().await;
        }
        if self.inner.counters.get().checkpoints > 0 {
            self.inner.held.set(false);
            return Some(self.begin().await);
        }
        let store = self.clone();
        self.inner.rt.spawn(async move {
            store.checkpoint().await;
            store.inner.held.set(false);
            store.begin().await;
            store.inner.admission.moved();
        });
        None
    }

    /// Resolves when something may be written: at once, but for a start on a full disk with a full ring.
    pub async fn begun(&self) {
        while self.inner.held.get() {
            self.inner.admission.changed().await;
        }
    }

    /// Makes the reserve whole, or refuses writes from the start.
    pub(crate) async fn keep_reserve(&self) {
        self.inner.watch_space().await;
    }
}
