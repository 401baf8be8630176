//! Who may append when: in line, when memory and ring have room.

use super::{Inner, Store};
use crate::admission::{Client, Turn};
use crate::checkpoint;
use ids::PartitionId;
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

    /// Begins a checkpoint if so much of the ring is used. While one is under way it is not asked for another: that one would
    /// follow at once, and write a manifest for the few records of a moment.
    pub(super) fn want_checkpoint_for_room(&self) {
        if !self.checkpointing.get() && self.journal.fullness() > checkpoint::AT_FULLNESS {
            self.checkpoint_wanted.notify();
        }
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
    /// Resolves when a batch of `bytes` of the node itself may be appended to a partition that a full disk refuses: see
    /// [`Store::admit_from`].
    pub async fn admit(&self, bytes: usize) {
        self.line_up(Client::default(), None, bytes).await;
    }

    /// Resolves when a batch of `bytes` for `id` may be appended: bytes go round between clients, each of which keeps its order,
    /// when memory and ring have room; or when the disk is full and the append is going to be refused. On a full disk those that
    /// are exempt ([`Store::exempt`]) need room in the ring alone, but their turn all the same: a batch that passed an earlier one
    /// would be in the log before it. Returns at once, without a turn of the executor, if nobody waits and there is room.
    pub async fn admit_from(&self, client: Client, id: PartitionId, bytes: usize) {
        self.line_up(client, Some(id), bytes).await;
    }

    /// Whether somebody waits for room.
    #[must_use]
    pub fn has_a_line(&self) -> bool {
        !self.inner.admission.is_free()
    }

    async fn line_up(&self, client: Client, id: Option<PartitionId>, bytes: usize) {
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
            self.inner.want_checkpoint_for_room();
        }
        if slowed >= SLOWED_LEAST {
            self.inner.rt.sleep(Duration::from_micros(slowed)).await;
            turn.go_on();
        }
        loop {
            let first = turn.has_come();
            let full = self.inner.full.get().is_some();
            let refused = full && id.is_none_or(|id| self.lacks_room(id, bytes).is_some());
            if refused || (first && (full || self.inner.room(bytes))) {
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

#[cfg(test)]
mod tests {
    use crate::{Client, Config, DataDir, PartitionConfig};
    use ids::{CoreId, PartitionId, PartitionIndex, TopicId};
    use runtime::sim::{SimConfig, World};
    use std::future::Future;
    use std::path::Path;
    use std::pin::Pin;
    use std::task::{Context, Waker};

    const MEMORY: usize = 16 << 20;

    fn is_ready(turn: &mut Pin<Box<impl Future<Output = ()>>>) -> bool {
        turn.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// Somebody waits for memory when the disk becomes full: nobody who is not going to be refused may come before him.
    #[test]
    fn on_a_full_disk_those_that_are_exempt_keep_their_order() {
        let world = World::new(1, SimConfig { memory_limit: MEMORY, ..SimConfig::default() });
        let node = world.add_node();
        let rt = world.core(node, CoreId(0));
        let it = rt.clone();
        world
            .run(&rt, async move {
                let data = DataDir::open(&it, Path::new("/data"), 1, 1 << 20).await.expect("data");
                let config = Config { ring_bytes: 1 << 20, free_bytes_min: 0, ..Config::default() };
                let first = |_| PartitionConfig::default();
                let opened =
                    crate::open(&it, &data, CoreId(0), config, first).await.expect("opens").0;
                let partition =
                    |n| PartitionId { topic: TopicId([9; 16]), index: PartitionIndex(n) };
                let (offsets, other) = (partition(0), partition(1));
                opened.exempt(offsets);
                let readers = it.memory().alloc_beyond(MEMORY);
                let turn = |id| Box::pin(opened.admit_from(Client(1), id, 1_000));
                let mut earlier = turn(offsets);
                assert!(!is_ready(&mut earlier), "there is no memory");
                opened.inner.full.set(Some(0));
                opened.inner.admission.refuse_all();
                let mut later = turn(offsets);
                assert!(!is_ready(&mut later), "it passed an earlier one");
                assert!(is_ready(&mut turn(other)), "who is refused does not wait");
                // What the node cannot do without goes on without memory, in turn.
                assert!(is_ready(&mut earlier));
                assert!(is_ready(&mut later));
                drop(readers);
            })
            .expect_done();
    }
}
