//! What happens when batches are in the log, or will never be.

use super::Coordinator;
use crate::now::Now;
use crate::outbox::{Action, AppendFailure, BatchId, InFlight, Key};
use crate::response::Ticket;
use crate::turn::Turn;
use ids::Offset;
use wire::ErrorCode;

impl Coordinator {
    /// A batch is in the log; `end` is the offset after it. Batches are appended in the order in which they are polled.
    pub fn on_appended(&mut self, batch: BatchId, end: Offset) {
        self.out.on_appended(batch, end);
    }

    /// Records below the high watermark are committed: what depends on them becomes true, and answers go out.
    pub fn on_committed(&mut self, high_watermark: Offset, now: Now) {
        while let Some(batch) = self.out.pop_committed(high_watermark) {
            self.settle(batch, None, now);
        }
        self.out.finish();
    }

    /// A batch is not in the log and never will be: what it said is taken back.
    pub fn on_append_failed(&mut self, batch: BatchId, why: AppendFailure, now: Now) {
        if let Some(batch) = self.out.pop_failed(batch) {
            self.settle(batch, Some(why), now);
        }
        self.out.finish();
    }

    /// This broker coordinates these groups no longer: everyone who waits is answered with `code`, usually
    /// NOT_COORDINATOR. Poll the answers, then drop the coordinator.
    pub fn abandon(&mut self, code: ErrorCode) {
        for group in self.groups.values_mut() {
            group.classic.abandon(code, &mut self.out);
        }
        self.groups.clear();
        self.memory.clear();
        self.timers.clear();
        self.transactions.clear();
        self.expiry_at = None;
        self.out.abandon(code);
    }

    /// The answers that wait for batches which are not settled, and not for other members, with the batch that each waits for: in
    /// the order of the batches. Looks at all of them.
    #[must_use]
    pub fn held_up(&self) -> Vec<(BatchId, Ticket)> {
        let mut all = Vec::new();
        for batch in self.out.batches() {
            let mut hold = |ticket: Ticket| all.push((batch.batch, ticket));
            batch.tickets().for_each(&mut hold);
            for action in &batch.actions {
                match action {
                    Action::Assignment { group, generation } => {
                        if let Some(group) = self.groups.get(group) {
                            group.classic.waits_for_assignment(*generation).for_each(&mut hold);
                        }
                    }
                    Action::StaticReplaced { replaced, .. } => hold(replaced.ticket),
                }
            }
        }
        all
    }

    fn settle(&mut self, batch: InFlight, failure: Option<AppendFailure>, now: Now) {
        // First what is read, then who waits to read it.
        let count: usize = batch.keys.iter().map(|(_, keys)| keys.len()).sum();
        let mut at = batch.end.unwrap_or_default() + -i64::try_from(count).unwrap_or(0);
        for (id, keys) in &batch.keys {
            for key in keys {
                if let Some(group) = self.groups.get_mut(id) {
                    match failure {
                        None => group.on_committed(batch.batch, key, at),
                        Some(_) => group.on_failed(batch.batch, key, now.instant),
                    }
                }
                if let Key::TxnOffset { producer, .. } = key {
                    self.note_transaction(*producer, id);
                }
                at = at.next();
            }
        }
        self.out.settle(&batch, failure);
        for action in batch.actions {
            let topics = &self.topics.borrow();
            let turn = &mut Turn { now, config: &self.config, topics, out: &mut self.out };
            match action {
                Action::Assignment { group, generation } => {
                    if let Some(group) = self.groups.get_mut(&group) {
                        group.classic.on_assignment(generation, failure, turn);
                    }
                }
                Action::StaticReplaced { group, replaced } => {
                    if let Some(group) = self.groups.get_mut(&group) {
                        group.classic.on_static_replaced(*replaced, failure.is_none(), turn);
                    }
                }
            }
        }
        for (id, _) in &batch.keys {
            self.look_after(id);
        }
    }
}
