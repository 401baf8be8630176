//! Segments that compaction has replaced: when a checkpoint makes that true, and when their files go.
//!
//! Compaction takes no checkpoint and syncs nothing. What it has put into the log becomes true with the next checkpoint,
//! whoever wanted that, and its files are synced there beside all others. If none comes, one is wanted for compaction's sake,
//! for all partitions together:
//!
//! | who else is there | bytes that wait | after |
//! |---|---|---|
//! | nobody writes | any | 1 s |
//! | clients write | 64 MiB | 2 s |
//! | clients write | fewer | 10 s |
//! | anybody | 256 MiB, or the disk is full | at once |
//!
//! So the room of what was replaced comes back while somebody looks, and beside a load it costs no more checkpoints than the
//! load itself does.

use crate::compact::pace::QUIET;
use crate::partition::Shared;
use crate::store::{Inner, Store, unlink_files, unlink_segments};
use ids::{Instant, PartitionId};
use log::SegmentName;
use runtime::sync::Gate;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// Replaced segments wait this long for somebody else's checkpoint.
const WAIT: Duration = Duration::from_secs(10);
/// Many of them only so long.
const WAIT_OF_MANY: Duration = Duration::from_secs(2);
const MANY_BYTES: u64 = 64 << 20;
/// While nobody writes, a checkpoint stands in nobody's way; but the passes of a round may share it.
const WAIT_IN_QUIET: Duration = Duration::from_secs(1);
/// Their files may take this much room meanwhile.
const WAITING_BYTES_MAX: u64 = 256 << 20;
/// How often one looks.
const EVERY: Duration = Duration::from_secs(1);

/// Segments that no manifest names any more, and their bytes.
struct Settled {
    partition: PartitionId,
    names: Vec<SegmentName>,
}

/// What has been replaced on this core.
pub(crate) struct Replaced {
    /// Since when some of it waits for a checkpoint.
    since: Cell<Option<Instant>>,
    /// Bytes that wait for a checkpoint.
    bytes: Cell<u64>,
    /// No manifest names these any more.
    settled: RefCell<Vec<Settled>>,
    /// Bytes of those, until the last of them has gone.
    settled_bytes: Cell<u64>,
    /// Whoever removes files: one at a time.
    turn: Gate,
}

impl Default for Replaced {
    fn default() -> Self {
        Self {
            since: Cell::default(),
            bytes: Cell::default(),
            settled: RefCell::default(),
            settled_bytes: Cell::default(),
            turn: Gate::new(1),
        }
    }
}

/// What else there is to think of.
#[derive(Clone, Copy, Debug, Default)]
struct Surroundings {
    /// The disk is full.
    full: bool,
    /// Nobody writes.
    quiet: bool,
}

impl Replaced {
    /// Segments of `bytes` have been replaced.
    pub(super) fn note(&self, now: Instant, bytes: u64) {
        self.bytes.set(self.bytes.get() + bytes);
        self.since.set(self.since.get().or(Some(now)));
    }

    fn wants_a_checkpoint(&self, now: Instant, around: Surroundings) -> bool {
        let Some(since) = self.since.get() else { return false };
        let bytes = self.bytes.get();
        let patience = match around {
            Surroundings { full: true, .. } => Duration::ZERO,
            _ if bytes >= WAITING_BYTES_MAX => Duration::ZERO,
            Surroundings { quiet: true, .. } => WAIT_IN_QUIET,
            _ if bytes >= MANY_BYTES => WAIT_OF_MANY,
            Surroundings { .. } => WAIT,
        };
        now.since(since) >= patience
    }
}

/// A checkpoint is durable, and no segment has been replaced since its N: the old files may go.
pub(crate) fn settled(inner: &Inner, taken: &[Shared]) {
    let replaced = &inner.replaced;
    let mut settled = replaced.settled.borrow_mut();
    for p in taken {
        let mut p = p.borrow_mut();
        if !p.replaced.is_empty() {
            settled.push(Settled { partition: p.id, names: std::mem::take(&mut p.replaced) });
        }
    }
    replaced.since.set(None);
    replaced.settled_bytes.set(replaced.settled_bytes.get() + replaced.bytes.take());
}

/// Starts the task that sees to what waits.
pub(crate) fn start(inner: &Rc<Inner>) {
    let me = Rc::clone(inner);
    inner.rt.spawn(async move {
        let mut journalled = me.journal.counters().bytes;
        while !me.stopping.get() {
            let before = std::mem::replace(&mut journalled, me.journal.counters().bytes);
            let written = (journalled - before) as f64;
            let around = Surroundings {
                full: me.full.get().is_some(),
                quiet: written < QUIET * EVERY.as_secs_f64(),
            };
            if !me.checkpointing.get() && me.replaced.wants_a_checkpoint(me.rt.now(), around) {
                me.checkpoint_wanted.notify();
            }
            unlink(&me).await;
            me.rt.sleep(EVERY).await;
        }
    });
}

async fn unlink(inner: &Rc<Inner>) {
    let _turn = inner.replaced.turn.acquire().await;
    loop {
        // What is added meanwhile goes with the same turn.
        let next = inner.replaced.settled.borrow_mut().pop();
        let Some(Settled { partition: id, names }) = next else { break };
        // The removal is synced only if the room is needed now: it would be one more flush of the device.
        match inner.full.get() {
            Some(_) => unlink_segments(inner, id, &names).await,
            None => unlink_files(inner, id, &names).await,
        }
        inner.count(|c| c.compact_unlinked += names.len() as u64);
    }
    inner.replaced.settled_bytes.set(0);
}

impl Store {
    /// Makes what compaction has done true at once, with a checkpoint if one is needed, and removes the old files. Compaction
    /// does not need it: this happens by itself, see `replaced.rs`.
    pub async fn settle_compaction(&self) {
        if self.inner.replaced.since.get().is_some() {
            // One that is under way has begun after the last swap, which waited for the one before.
            self.checkpoint_if_possible().await;
        }
        unlink(&self.inner).await;
    }

    /// Bytes of replaced segments whose files are still there: most of them wait for a checkpoint.
    #[must_use]
    pub fn replaced_bytes(&self) -> u64 {
        self.inner.replaced.bytes.get() + self.inner.replaced.settled_bytes.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Surroundings = Surroundings { full: false, quiet: true };
    const LOAD: Surroundings = Surroundings { full: false, quiet: false };
    const FULL: Surroundings = Surroundings { full: true, quiet: false };

    #[test]
    fn a_checkpoint_is_wanted_after_a_while_for_much_or_on_a_full_disk() {
        let now = Instant::default() + Duration::from_secs(100);
        let r = Replaced::default();
        for around in [QUIET, LOAD, FULL] {
            assert!(!r.wants_a_checkpoint(now + 2 * WAIT, around), "nothing waits");
        }
        r.note(now, 1_000);
        r.note(now + WAIT, 1_000);
        assert!(!r.wants_a_checkpoint(now + WAIT / 2, LOAD));
        assert!(r.wants_a_checkpoint(now + WAIT, LOAD), "the oldest counts");
        assert!(!r.wants_a_checkpoint(now, QUIET), "the rest of the round may come");
        assert!(r.wants_a_checkpoint(now + WAIT_IN_QUIET, QUIET));
        assert!(r.wants_a_checkpoint(now, FULL));
        r.note(now, MANY_BYTES);
        assert!(!r.wants_a_checkpoint(now + WAIT_IN_QUIET, LOAD), "no checkpoint upon another");
        assert!(r.wants_a_checkpoint(now + WAIT_OF_MANY, LOAD));
        r.note(now, WAITING_BYTES_MAX);
        assert!(r.wants_a_checkpoint(now, LOAD));
    }
}
