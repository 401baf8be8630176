//! Who may append when: in line, when memory and ring have room.

use super::{Inner, Store};
use crate::admission::{Client, Turn};
use crate::checkpoint;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::Duration;

/// So many microseconds are worth a timer.
const SLOWED_LEAST: u64 = 50;

impl Inner {
    fn room(&self, bytes: usize) -> bool {
        let memory = self.rt.memory();
        if memory.used() + bytes > memory.limit() / 8 * 7 {
            self.evict(bytes);
        }
        memory.used() + bytes <= memory.limit() && self.journal.has_room(bytes) && !self.held.get()
    }

    /// Whether a checkpoint brings room for `bytes`. With nothing in the ring it would bring neither room nor memory: then readers
    /// have it.
    fn needs_a_checkpoint(&self, bytes: usize) -> bool {
        let memory = self.rt.memory();
        let short = memory.used() + bytes > memory.limit();
        (short || !self.journal.has_room_in_the_ring(bytes)) && self.journal.fullness() > 0.0
    }
}

impl Store {
    /// Resolves when a batch of `bytes` of the node itself may be appended: see [`Store::admit_from`].
    pub async fn admit(&self, bytes: usize) {
        self.admit_from(Client::default(), bytes).await;
    }

    /// Resolves when a batch of `bytes` may be appended: bytes go round between clients, each of which keeps its order, when
    /// memory and ring have room; or when the disk is full and the append is going to be refused. Returns at once, without a
    /// turn of the executor, if nobody waits and there is room.
    pub async fn admit_from(&self, client: Client, bytes: usize) {
        let a = &self.inner.admission;
        if bytes > self.inner.journal.largest_payload() {
            // There will never be room; append says so.
            return;
        }
        let fullness = self.inner.journal.fullness();
        if a.is_free() && self.inner.room(bytes) && fullness <= checkpoint::SLOW_FROM {
            if fullness > checkpoint::AT_FULLNESS {
                a.note(client, bytes);
            }
            return;
        }
        // From 70 % of the ring on, producers are slowed in proportion, so that they never meet a wall: in proportion, too, to
        // what each has put into it lately.
        let over = fullness - checkpoint::SLOW_FROM;
        let slowed = (over.max(0.0) * 20_000.0 * a.share(client)) as u64;
        let turn = a.line_up(client, bytes, slowed >= SLOWED_LEAST);
        if over > 0.0 {
            self.inner.checkpoint_wanted.notify();
        }
        if slowed >= SLOWED_LEAST {
            self.inner.rt.sleep(Duration::from_micros(slowed)).await;
            turn.go_on();
        }
        loop {
            let first = turn.has_come();
            let refused = self.inner.full.get().is_some() && !self.inner.room(bytes);
            if refused || (first && self.inner.room(bytes)) {
                break;
            }
            // Who waits for the device alone has nothing from a checkpoint, which would only write more to it.
            if first && self.inner.needs_a_checkpoint(bytes) {
                self.inner.checkpoint_wanted.notify();
            }
            self.something_gives(&turn, first, bytes).await;
        }
        a.note(client, bytes);
        turn.served();
    }

    /// Resolves when it is worth looking again; to the first in line also when memory has come back: readers give it back without
    /// a word to us.
    async fn something_gives(&self, turn: &Turn, first: bool, bytes: usize) {
        let memory = self.inner.rt.memory();
        let short = first && memory.used() + bytes > memory.limit();
        let mut moved = pin!(turn.moved());
        let mut freed = pin!(memory.wait_for(bytes));
        poll_fn(|cx| {
            let moved = moved.as_mut().poll(cx);
            if moved.is_pending() && short { freed.as_mut().poll(cx) } else { moved }
        })
        .await;
    }

    /// Resolves when a deletion or a new log start may be journalled: also when batches have to wait.
    pub(super) async fn admit_control(&self) {
        self.admit_control_of(0).await;
    }

    /// The same for a record with a payload of `bytes`.
    pub(crate) async fn admit_control_of(&self, bytes: usize) {
        while self.inner.held.get() || !self.inner.journal.has_control_room_for(bytes) {
            self.inner.checkpoint_wanted.notify();
            self.inner.admission.changed().await;
        }
    }
}
