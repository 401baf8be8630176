//! What follows when the disk has written or flushed a commit: in sequence, whatever the order of completions.

use super::times::slot;
use super::{Journal, MARK_AFTER, Stage};
use crate::planted::{self, Planted};
use std::rc::Rc;

impl<A: 'static> Journal<A> {
    pub(super) fn on_written(self: &Rc<Self>, sequence: u64) {
        {
            let mut state = self.state.borrow_mut();
            if let Some(c) = state.submitted.iter_mut().find(|c| c.sequence == sequence) {
                c.written = true;
            }
            let times = slot(&mut state.times, sequence);
            if times.sequence == sequence {
                // The kernel reported it when this turn began.
                times.written = self.rt.now();
            }
        }
        self.tell_written();
        self.flush_if_due();
        self.wake.notify();
    }

    /// Tells the written stage of every commit that has no unwritten one before it.
    pub(super) fn tell_written(&self) {
        let on_advance = self.on_advance.borrow().clone();
        loop {
            let mut state = self.state.borrow_mut();
            let next = state.submitted.iter().position(|c| !c.told);
            let Some(at) = next.filter(|at| state.submitted[*at].written) else { return };
            let commit = &mut state.submitted[at];
            commit.told = true;
            let (sequence, advances) = (commit.sequence, std::mem::take(&mut commit.advances));
            state.written_through = sequence;
            drop(state);
            if let Some(f) = &on_advance {
                f(&advances, Stage::Written);
                if planted::is(Planted::AckBeforeFlush) {
                    f(&advances, Stage::Durable);
                }
            }
            let mut state = self.state.borrow_mut();
            if let Some(c) = state.submitted.iter_mut().find(|c| c.sequence == sequence) {
                c.advances = advances;
            }
        }
    }

    pub(super) fn flush_if_due(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        if state.flush_running {
            return;
        }
        // A commit can become durable only when all before it are written too; before that a flush is of no use.
        let run = state.submitted.iter().take_while(|c| c.written);
        let asked = state.flush_asked || !state.waiters.is_empty();
        let due = run.clone().any(|c| !c.flushed && (c.fsync || asked));
        if !due {
            let unflushed = run.clone().any(|c| !c.flushed && !c.advances.is_empty());
            if unflushed && !state.flush_timer {
                state.flush_timer = true;
                let me = Rc::clone(self);
                self.rt.spawn(async move {
                    me.rt.sleep(me.flush_every.get()).await;
                    {
                        let mut state = me.state.borrow_mut();
                        state.flush_timer = false;
                        state.flush_asked = true;
                    }
                    me.flush_if_due();
                });
            }
            return;
        }
        state.flush_running = true;
        state.flush_asked = false;
        let covered: Vec<u64> = state
            .submitted
            .iter()
            .filter(|c| c.written && !c.flushed)
            .map(|c| c.sequence)
            .collect();
        let mut files: Vec<usize> =
            state.submitted.iter().filter(|c| c.written && !c.flushed).map(|c| c.file).collect();
        files.sort_unstable();
        files.dedup();
        state.counters.flushes += files.len() as u64;
        drop(state);
        let me = Rc::clone(self);
        self.rt.spawn(async move {
            for file in files {
                if let Err(e) = me.files[file].sync_data().await {
                    me.rt.fault(format!("flush of ring file {file} failed: {e}"));
                }
            }
            me.on_flushed(&covered);
        });
    }

    pub(super) fn on_flushed(self: &Rc<Self>, covered: &[u64]) {
        let on_advance = self.on_advance.borrow().clone();
        // The kernel reported it when this turn began.
        let flushed = self.rt.now();
        {
            let mut state = self.state.borrow_mut();
            state.flush_running = false;
            for c in &mut state.submitted {
                c.flushed |= c.written && planted::is(Planted::FlushCreditedTooWidely);
                c.flushed |= covered.binary_search(&c.sequence).is_ok();
            }
        }
        loop {
            let mut state = self.state.borrow_mut();
            let early = planted::is(Planted::AckOutOfSequence);
            let at = if early { state.submitted.iter().position(|c| c.flushed) } else { Some(0) };
            let Some(at) = at else { break };
            if !state.submitted.get(at).is_some_and(|c| c.flushed && (c.told || early)) {
                break;
            }
            let Some(commit) = state.submitted.remove(at) else { break };
            state.flushed_through = commit.sequence;
            let times = slot(&mut state.times, commit.sequence);
            if times.sequence == commit.sequence {
                times.flushed = flushed;
            }
            if !commit.advances.is_empty() || commit.fsync {
                state.flushed_records = commit.sequence;
                state.flushed_at = flushed;
            }
            let later = state.waiters.split_off(&(commit.sequence + 1));
            let now = std::mem::replace(&mut state.waiters, later);
            drop(state);
            if let Some(f) = &on_advance {
                f(&commit.advances, Stage::Durable);
            }
            for waiter in now.into_values().flatten() {
                waiter.send(());
            }
        }
        self.flush_if_due();
        self.mark_if_quiet();
        self.idle.notify();
        self.wake.notify();
    }

    /// So that a damaged last commit can be told from the end of the log, the flush of it is recorded by another commit: by the next
    /// one, or if none comes for a while by an empty one.
    fn mark_if_quiet(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        if state.mark_timer || state.recorded_flush >= state.flushed_records || state.stopping {
            return;
        }
        state.mark_timer = true;
        drop(state);
        let me = Rc::clone(self);
        self.rt.spawn(async move {
            me.until_none_has_come().await;
            let mut state = me.state.borrow_mut();
            state.mark_timer = false;
            let quiet = state.pending.is_none()
                && state.full.is_empty()
                && state.submitted.is_empty()
                && state.recorded_flush < state.flushed_records
                && !state.stopping;
            let room = state.ring.size() - state.ring.used() > state.ring.size() / 5;
            if quiet && room {
                let mark = me.begin(&mut state, 0);
                state.pending = Some(mark);
            }
            drop(state);
            me.wake.notify();
        });
    }

    /// Resolves when the last flush of records is [`MARK_AFTER`] ago.
    async fn until_none_has_come(&self) {
        loop {
            let (now, due) = (self.rt.now(), self.state.borrow().flushed_at + MARK_AFTER);
            if now >= due {
                return;
            }
            self.rt.sleep(due.since(now)).await;
        }
    }
}
