//! Segments that compaction has replaced: when a checkpoint makes that true, and when their files go.
//!
//! Compaction takes no checkpoint and syncs nothing. What it has put into the log becomes true with the next checkpoint,
//! whoever wanted that, and its files are synced there beside all others. Only when none comes for 30 seconds, when 256 MiB
//! wait, or when the disk is full and the room is needed, it is wanted for compaction's sake: one for all partitions.

use crate::partition::Shared;
use crate::store::{Inner, Store, unlink_files, unlink_segments};
use ids::{Instant, PartitionId};
use log::SegmentName;
use runtime::sync::Gate;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// Replaced segments wait this long for somebody else's checkpoint.
const WAIT: Duration = Duration::from_secs(30);
/// Their files may take this much room meanwhile.
const WAITING_BYTES_MAX: u64 = 256 << 20;
/// How often one looks.
const EVERY: Duration = Duration::from_secs(1);

/// What has been replaced on this core.
pub(crate) struct Replaced {
    /// Since when some of it waits for a checkpoint.
    since: Cell<Option<Instant>>,
    /// Bytes that wait for a checkpoint.
    bytes: Cell<u64>,
    /// No manifest names these any more.
    settled: RefCell<Vec<(PartitionId, Vec<SegmentName>)>>,
    /// Whoever removes files: one at a time.
    turn: Gate,
}

impl Default for Replaced {
    fn default() -> Self {
        Self {
            since: Cell::default(),
            bytes: Cell::default(),
            settled: RefCell::default(),
            turn: Gate::new(1),
        }
    }
}

impl Replaced {
    /// Segments of `bytes` have been replaced.
    pub(super) fn note(&self, now: Instant, bytes: u64) {
        self.bytes.set(self.bytes.get() + bytes);
        self.since.set(self.since.get().or(Some(now)));
    }

    fn wants_a_checkpoint(&self, now: Instant, full: bool) -> bool {
        self.since.get().is_some_and(|since| {
            full || now.since(since) >= WAIT || self.bytes.get() >= WAITING_BYTES_MAX
        })
    }
}

/// A checkpoint is durable, and no segment has been replaced since its N: the old files may go.
pub(crate) fn settled(inner: &Inner, taken: &[Shared]) {
    let mut settled = inner.replaced.settled.borrow_mut();
    for p in taken {
        let mut p = p.borrow_mut();
        if !p.replaced.is_empty() {
            settled.push((p.id, std::mem::take(&mut p.replaced)));
        }
    }
    inner.replaced.since.set(None);
    inner.replaced.bytes.set(0);
}

/// Starts the task that sees to what waits.
pub(crate) fn start(inner: &Rc<Inner>) {
    let me = Rc::clone(inner);
    inner.rt.spawn(async move {
        while !me.stopping.get() {
            let full = me.full.get().is_some();
            if !me.checkpointing.get() && me.replaced.wants_a_checkpoint(me.rt.now(), full) {
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
        let next = inner.replaced.settled.borrow_mut().pop();
        let Some((id, names)) = next else { return };
        // The removal is synced only if the room is needed now: it would be one more flush of the device.
        match inner.full.get() {
            Some(_) => unlink_segments(inner, id, &names).await,
            None => unlink_files(inner, id, &names).await,
        }
        inner.count(|c| c.compact_unlinked += names.len() as u64);
    }
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

    /// Bytes of replaced segments whose files wait for a checkpoint.
    #[must_use]
    pub fn replaced_bytes(&self) -> u64 {
        self.inner.replaced.bytes.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_wanted_after_a_while_for_much_or_on_a_full_disk() {
        let now = Instant::default() + Duration::from_secs(100);
        let r = Replaced::default();
        assert!(!r.wants_a_checkpoint(now + 2 * WAIT, true), "nothing waits");
        r.note(now, 1_000);
        r.note(now + WAIT, 1_000);
        assert!(!r.wants_a_checkpoint(now + WAIT / 2, false));
        assert!(r.wants_a_checkpoint(now + WAIT, false), "the oldest counts");
        assert!(r.wants_a_checkpoint(now, true));
        r.note(now, WAITING_BYTES_MAX);
        assert!(r.wants_a_checkpoint(now, false));
    }
}
