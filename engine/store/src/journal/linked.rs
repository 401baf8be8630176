//! A commit whose flush the kernel begins as soon as its write has ended, without a turn of the core in between.
//!
//! That is for a commit that stands alone: all before it are written, none waits behind it, no flush is under way, and nobody is
//! told of its write alone. The end of the flush tells of both. The flush counts for the commit itself and for those of the same
//! file whose writes had ended when the two were submitted; what is written meanwhile waits for a flush of its own.
//!
//! A short write breaks the link. The rest is written, and the commit is then a written one like any other, to be flushed.

use super::{Journal, State};
use crate::planted::{self, Planted};
use runtime::{Linked, Slice};
use std::rc::Rc;

impl<A> State<A> {
    /// The commits that a flush behind the write of the newest would make durable, in sequence; `None` if it may not be linked.
    pub(super) fn covered_by_a_link(&self) -> Option<Vec<u64>> {
        let newest = self.submitted.back()?;
        let alone = self.full.is_empty() && self.pending.is_none() && !self.flush_running;
        let mut before = self.submitted.iter().filter(|c| c.sequence != newest.sequence);
        // A flush reaches one file only.
        let reached = before.all(|c| c.written && (c.flushed || c.file == newest.file));
        if !(newest.fsync && alone && reached) {
            return None;
        }
        Some(self.submitted.iter().filter(|c| !c.flushed).map(|c| c.sequence).collect())
    }
}

impl<A: 'static> Journal<A> {
    /// Writes commit `sequence` to a place in a file, and flushes `covered`.
    pub(super) fn write_and_flush(
        self: &Rc<Self>,
        state: &mut State<A>,
        sequence: u64,
        (file, at): (usize, u64),
        data: Slice,
        covered: Vec<u64>,
    ) {
        state.flush_running = true;
        state.flush_asked = false;
        if let Some(commit) = state.submitted.back_mut() {
            commit.linked = true;
        }
        let me = Rc::clone(self);
        self.rt.spawn(async move {
            let linked = match me.files[file].write_then_sync(at, data).await {
                Ok(linked) => linked,
                Err(e) => me
                    .rt
                    .fault(format!("write or flush of commit {sequence} to the ring failed: {e}")),
            };
            if linked == Linked::Synced || planted::is(Planted::BrokenLinkCredited) {
                me.on_linked_flush(sequence, &covered);
            } else {
                me.state.borrow_mut().flush_running = false;
                me.on_written(sequence);
            }
        });
    }

    fn on_linked_flush(self: &Rc<Self>, sequence: u64, covered: &[u64]) {
        {
            let mut state = self.state.borrow_mut();
            if let Some(c) = state.submitted.iter_mut().find(|c| c.sequence == sequence) {
                c.written = true;
            }
            state.counters.flushes += 1;
            state.counters.linked_flushes += 1;
        }
        self.tell_written();
        self.on_flushed(covered);
    }
}
