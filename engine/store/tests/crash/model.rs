//! What was asked and what was answered, and what must therefore be there after a crash.
//!
//! The model knows nothing of rings and segments. It knows batches that were sent, in order, and which of them were
//! acknowledged; starts of logs and deletions that were asked for, and answered; and what an earlier recovery has served.
//! - What was acknowledged is there. On a topic that asks for no flush a power cut may take what was acknowledged within the
//!   last `flush.ms`, and nothing older; a kill takes nothing.
//! - What is there was sent: byte for byte, in the order in which it was sent, each batch once, without holes.
//! - What one recovery has shown is there after the next.

use crate::batch::{Batch, Sequence, cut};
use crate::compaction::{Compacted, Seen};
use ids::{Offset, PartitionId, PartitionIndex, TopicId};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

/// A batch that has been sent and has got its place, which the client learns with the ack.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) base: i64,
    pub(crate) end: i64,
    pub(crate) epoch: i32,
    pub(crate) batch: Rc<Batch>,
    /// When it was acknowledged.
    pub(crate) acked: Option<u64>,
}

/// How far a deletion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Here,
    DeletionAsked,
    Deleted,
}

/// An idempotent producer of one partition.
#[derive(Clone, Debug)]
pub(crate) struct Producer {
    pub(crate) id: i64,
    /// Its batches are parts of transactions.
    pub(crate) transactional: bool,
    pub(crate) next: i32,
    /// Its last batches with their base offsets, oldest first.
    pub(crate) sent: VecDeque<(i64, Rc<Batch>)>,
    /// Batches without an ack that a crash has taken: they are sent again, in order.
    pub(crate) again: VecDeque<Rc<Batch>>,
}

/// A transaction: whose, where it begins, its marker and whether that aborts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Txn {
    pub(crate) producer: i64,
    pub(crate) first: i64,
    pub(crate) end: Option<(i64, bool)>,
    /// A truncation has taken all of it that the log still held. It is open only if the store knows of older batches of its
    /// producer, which retention has taken; and nothing of it can be read.
    pub(crate) unsure: bool,
}

/// How many of its last batches the broker remembers (KIP-98).
const WINDOW: usize = 5;
/// How many of its last batches the model remembers: the five that the broker does, and five under way.
const REMEMBERED: usize = 10;

/// One partition.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) fsync: bool,
    pub(crate) life: Life,
    pub(crate) log: VecDeque<Entry>,
    pub(crate) end: i64,
    /// Everything below has been shown to readers after a recovery.
    pub(crate) served: i64,
    /// The start of the log that was acknowledged or shown, and those asked for since.
    pub(crate) start: i64,
    pub(crate) starts_asked: Vec<i64>,
    /// Batches below this have been forgotten here.
    pub(crate) forgotten: i64,
    pub(crate) producers: Vec<Producer>,
    /// Damaged on purpose: acknowledged batches may be missing, and it takes no more.
    pub(crate) incomplete: bool,
    /// How many batches have no ack yet.
    pub(crate) unacked: usize,
    /// A truncation that was asked for and not answered: where the log ends then, and where it began.
    pub(crate) truncating: Option<(i64, i64)>,
    /// How many were answered, and the lowest end that one of them has left.
    pub(crate) truncations: u64,
    pub(crate) cut_from: Option<i64>,
    /// Where segments began that truncations have dropped.
    pub(crate) dropped_bases: Vec<i64>,
    /// New starts of the log that were asked for and not answered.
    pub(crate) starting: usize,
    /// The transactions of its log, in the order in which they began.
    pub(crate) txns: Vec<Txn>,
    /// A damage has taken something that says which there are.
    pub(crate) txns_unknown: bool,
}

/// What a reader found of one partition.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) incomplete: Option<String>,
    /// The read that failed, if one did.
    pub(crate) broken: Option<String>,
    /// The last stable offset.
    pub(crate) stable: i64,
    /// The aborted transactions: producer, first and last offset; or why they cannot be told.
    pub(crate) aborted: Result<Vec<(i64, i64, i64)>, String>,
}

impl Default for Found {
    fn default() -> Self {
        Self {
            start: 0,
            end: 0,
            bytes: Vec::new(),
            incomplete: None,
            broken: None,
            stable: 0,
            aborted: Ok(Vec::new()),
        }
    }
}

/// What a deliberate damage excuses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Excuse {
    /// Partitions that may be incomplete; nobody else may.
    pub(crate) incomplete: Incomplete,
    /// Partitions of which reads may fail.
    pub(crate) unreadable: Vec<PartitionId>,
    /// Partitions whose records from this offset on were in the journal's unmarked end.
    pub(crate) lost_from: BTreeMap<PartitionId, i64>,
}

#[derive(Clone, Debug, Default)]
pub(crate) enum Incomplete {
    #[default]
    Nobody,
    These(Vec<PartitionId>),
    /// Every partition of this core.
    Core(u16),
}

impl Excuse {
    fn may_be_incomplete(&self, id: PartitionId, cores: u16) -> bool {
        match &self.incomplete {
            Incomplete::Nobody => false,
            Incomplete::These(ids) => ids.contains(&id),
            Incomplete::Core(core) => id.owner(cores).0 == *core,
        }
    }
}

/// Everything that was asked and answered.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) parts: BTreeMap<PartitionId, Part>,
    pub(crate) cores: u16,
    /// A written topic's ack is on the disk after this many nanoseconds.
    flush_bound: u64,
    next_topic: u64,
    next_producer: i64,
    pub(crate) next_batch: u64,
    pub(crate) epoch: i32,
    /// There was a power cut since the last look, and when the first crash since then was.
    pub(crate) power: bool,
    pub(crate) crashed_at: Option<u64>,
    pub(crate) excuse: Excuse,
    /// What is compacted.
    pub(crate) compacted: Compacted,
}

impl Model {
    pub(crate) fn new(cores: u16, flush_bound: u64) -> Self {
        Self {
            parts: BTreeMap::new(),
            cores,
            flush_bound,
            next_topic: 1,
            next_producer: 1,
            next_batch: 1,
            epoch: 0,
            power: false,
            crashed_at: None,
            excuse: Excuse::default(),
            compacted: Compacted::default(),
        }
    }

    /// A new topic; its partitions are returned.
    pub(crate) fn create_topic(&mut self, partitions: i32, fsync: bool) -> Vec<PartitionId> {
        let mut id = [7; 16];
        id[8..]
            .copy_from_slice(&(self.next_topic.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_be_bytes());
        id[..8].copy_from_slice(&self.next_topic.to_be_bytes());
        self.next_topic += 1;
        let mut ids = Vec::new();
        for n in 0..partitions {
            let id = PartitionId { topic: TopicId(id), index: PartitionIndex(n) };
            let part = Part {
                fsync,
                life: Life::Here,
                log: VecDeque::new(),
                end: 0,
                served: 0,
                start: 0,
                starts_asked: Vec::new(),
                forgotten: 0,
                producers: Vec::new(),
                incomplete: false,
                unacked: 0,
                truncating: None,
                truncations: 0,
                cut_from: None,
                dropped_bases: Vec::new(),
                starting: 0,
                txns: Vec::new(),
                txns_unknown: false,
            };
            self.parts.insert(id, part);
            ids.push(id);
        }
        ids
    }

    pub(crate) fn add_producer(&mut self, id: PartitionId) {
        // Which batches are left of one would follow from what passes have removed.
        if self.compacted.covers(&id) {
            return;
        }
        let producer = self.fresh_producer();
        if let Some(p) = self.parts.get_mut(&id) {
            p.producers.push(producer);
        }
    }

    fn fresh_producer(&mut self) -> Producer {
        self.next_producer += 1;
        let id = self.next_producer;
        let (sent, again) = (VecDeque::new(), VecDeque::new());
        Producer { id, transactional: id % 2 == 0, next: 0, sent, again }
    }

    pub(crate) fn batch_number(&mut self) -> u64 {
        self.next_batch += 1;
        self.next_batch
    }

    /// A batch was taken and will be at `base`.
    pub(crate) fn sent(
        &mut self,
        id: PartitionId,
        producer: Option<usize>,
        batch: Rc<Batch>,
        base: i64,
    ) -> Result<(), String> {
        let epoch = self.epoch;
        let p = self.parts.get_mut(&id).ok_or("a batch for a partition that nobody made")?;
        if base != p.end {
            return Err(format!("{id}: a batch got offset {base}, the log ends at {}", p.end));
        }
        let end = base + i64::from(batch.count());
        p.end = end;
        p.unacked += 1;
        if let Some(producer) = producer.and_then(|n| p.producers.get_mut(n)) {
            producer.sent.push_back((base, Rc::clone(&batch)));
            if producer.sent.len() > REMEMBERED {
                producer.sent.pop_front();
            }
        }
        p.note_transaction(base, &batch);
        p.log.push_back(Entry { base, end, epoch, batch, acked: None });
        Ok(())
    }

    /// The broker says how far a partition is: what it would acknowledge by that is acknowledged.
    pub(crate) fn on_progress(
        &mut self,
        id: PartitionId,
        written: Offset,
        durable: Offset,
        now: u64,
    ) -> Result<(), String> {
        let Some(p) = self.parts.get_mut(&id) else {
            return Err(format!("{id}: progress of a partition that nobody made"));
        };
        let acked = if p.fsync { durable.0 } else { written.0 };
        if acked > p.end {
            return Err(format!("{id}: {acked} is acknowledged, the log ends at {}", p.end));
        }
        let unacked = p.log.iter_mut().rev().take_while(|e| e.acked.is_none());
        for e in unacked.filter(|e| e.end <= acked) {
            e.acked = Some(now);
            p.unacked -= 1;
        }
        Ok(())
    }

    /// A truncation to `to` is asked for, of a log that begins at `start`; where it must end. None if others are at it.
    pub(crate) fn ask_truncation(&mut self, id: PartitionId, to: i64, start: i64) -> Option<i64> {
        let p = self.parts.get_mut(&id)?;
        let busy = p.truncating.is_some() || p.starting > 0;
        if busy || p.life != Life::Here || p.incomplete {
            return None;
        }
        let holds = p.log.iter().find(|e| e.base <= to && to < e.end)?;
        let end = holds.base.max(start);
        p.truncating = Some((end, start));
        Some(end)
    }

    /// The truncation that was asked for is answered.
    pub(crate) fn truncated(&mut self, id: PartitionId, end: i64) -> Result<(), String> {
        let Some(p) = self.parts.get_mut(&id) else { return Ok(()) };
        let asked = p.truncating.take();
        match asked {
            Some((to, start)) if self.compacted.may_end(id, &p.log, (start, end, to)) => {
                self.cut_back(id, end, start);
                self.compacted.cut_back(id, end);
            }
            other => return Err(format!("{id}: truncated to {end}, which was asked as {other:?}")),
        }
        Ok(())
    }

    /// The log ends at `to` now. A producer goes on behind its last batch that is left; if the log above `start` has none,
    /// nobody can say what is known of it, and another takes its place.
    fn cut_back(&mut self, id: PartitionId, to: i64, start: i64) {
        let Some(mut p) = self.parts.remove(&id) else { return };
        // The batch that a log begins inside of goes as a whole when the log is cut back to its start.
        let stays = |(base, batch): &(i64, Rc<Batch>)| base + i64::from(batch.count()) <= to;
        for producer in &mut p.producers {
            if producer.sent.iter().all(stays) {
                continue;
            }
            let window = producer.sent.iter().rev().take(WINDOW).filter(|sent| stays(sent));
            let mut left: VecDeque<(i64, Rc<Batch>)> = window.cloned().collect();
            left.make_contiguous().reverse();
            if left.is_empty() {
                let own = |e: &&Entry| {
                    e.end <= to
                        && e.base >= start
                        && e.batch.sequence.is_some_and(|s| s.producer == producer.id)
                };
                left.extend(p.log.iter().rev().find(own).map(|e| (e.base, Rc::clone(&e.batch))));
            }
            let last = left.back().and_then(|(_, b)| Some(b.sequence?.first + b.count()));
            let Some(next) = last else {
                *producer = self.fresh_producer();
                continue;
            };
            producer.sent = left;
            producer.again.clear();
            producer.next = next;
        }
        let cut = p.txns.iter().filter(|t| t.first < to);
        let cut = cut.map(|t| {
            let own = |e: &&Entry| {
                e.base >= t.first
                    && e.batch.meta.transactional
                    && e.batch.sequence.is_some_and(|s| s.producer == t.producer)
            };
            let left = p.log.iter().filter(own).find(|e| e.end <= to && e.end > start);
            match t.end {
                Some((marker, _)) if marker >= to => {
                    // It is open again; all that is known of it is what the log still holds. Where that is nothing, the store
                    // may know of what retention has taken: then readers wait where the log begins, as in Kafka.
                    match left {
                        Some(e) => Txn { first: e.base, end: None, ..*t },
                        None => Txn { end: None, unsure: true, ..*t },
                    }
                }
                None if left.is_none() && p.log.iter().filter(own).any(|e| e.end > to) => {
                    Txn { unsure: true, ..*t }
                }
                Some(_) | None => *t,
            }
        });
        p.txns = cut.collect();
        p.txns.sort_by_key(|t| t.first);
        p.log.retain(|e| e.end <= to);
        p.end = to;
        p.served = p.served.min(to);
        p.truncations += 1;
        p.cut_from = Some(p.cut_from.map_or(to, |from| from.min(to)));
        p.unacked = p.log.iter().filter(|e| e.acked.is_none()).count();
        self.parts.insert(id, p);
    }

    /// The end below which everything must be there.
    fn must(&self, id: PartitionId, p: &Part) -> i64 {
        let at = self.crashed_at.unwrap_or(u64::MAX);
        let counts = |e: &&Entry| {
            e.acked.is_some_and(|acked| {
                p.fsync || !self.power || acked.saturating_add(self.flush_bound) < at
            })
        };
        let acked = p.log.iter().rev().find(counts).map_or(0, |e| e.end);
        let must = acked.max(p.served);
        self.excuse.lost_from.get(&id).map_or(must, |from| must.min(*from))
    }

    /// Compares what was read with what must be there, and what may; from then on, what was read must be there.
    ///
    /// Returns how many acknowledged batches of written topics a power cut has taken, as it may.
    pub(crate) fn verify(&mut self, found: &BTreeMap<PartitionId, Found>) -> Result<u64, String> {
        for id in found.keys() {
            if !self.parts.contains_key(id) {
                return Err(format!("{id} is there and was never made"));
            }
        }
        let ids: Vec<PartitionId> = self.parts.keys().copied().collect();
        let mut taken = 0;
        for id in ids {
            // Asked for, and not answered: it has happened, or it has not.
            let asked = self.parts.get_mut(&id).and_then(|p| p.truncating.take());
            let end = found.get(&id).filter(|f| f.incomplete.is_none()).map(|f| f.end);
            if let (Some((to, start)), Some(end)) = (asked, end)
                && self.compacted.may_end(id, &self.parts[&id].log, (start, end, to))
            {
                self.cut_back(id, end, start);
            }
            let part = &self.parts[&id];
            let must = self.must(id, part);
            match found.get(&id) {
                None => self.verify_absent(id, must)?,
                Some(f) => taken += self.verify_present(id, must, f)?,
            }
            self.compacted.cut_back(id, self.parts[&id].end);
        }
        self.power = false;
        self.crashed_at = None;
        self.excuse = Excuse::default();
        Ok(taken)
    }

    fn verify_absent(&mut self, id: PartitionId, must: i64) -> Result<(), String> {
        let excused = self.excuse.lost_from.contains_key(&id);
        self.lose(id, 0);
        let Some(p) = self.parts.get_mut(&id) else { return Ok(()) };
        match p.life {
            Life::Deleted => return Ok(()),
            Life::DeletionAsked => {
                p.life = Life::Deleted;
                return Ok(());
            }
            Life::Here => {}
        }
        if must > 0 || (p.start > 0 && !excused) {
            return Err(format!("{id} is gone: its log must reach {must}, start {}", p.start));
        }
        if p.incomplete {
            return Err(format!("{id} was incomplete and is gone"));
        }
        p.end = 0;
        p.served = 0;
        p.start = 0;
        p.starts_asked.clear();
        p.log.clear();
        Ok(())
    }

    fn verify_present(&mut self, id: PartitionId, must: i64, f: &Found) -> Result<u64, String> {
        let may = self.excuse.may_be_incomplete(id, self.cores);
        let unreadable = self.excuse.unreadable.contains(&id);
        let excused = self.excuse.lost_from.contains_key(&id);
        let Some(p) = self.parts.get_mut(&id) else { return Ok(0) };
        if p.life == Life::Deleted {
            // The damage took the Delete record: the metadata knows better, and nobody is served.
            if excused || (may && f.incomplete.is_some()) {
                return Ok(0);
            }
            let (from, to) = (f.start, f.end);
            return Err(format!("{id} was deleted and is there again, from {from} to {to}"));
        }
        if p.incomplete && f.incomplete.is_none() {
            return Err(format!("{id} was incomplete and is served as if it were whole"));
        }
        if let Some(why) = &f.incomplete {
            if !may && !p.incomplete {
                return Err(format!("{id} is incomplete: {why}"));
            }
            p.incomplete = true;
        }
        if let Some(why) = &f.broken
            && !unreadable
            && !p.incomplete
        {
            return Err(format!("{id} cannot be read: {why}"));
        }
        let lax = p.incomplete || excused;
        if f.end < must && !p.incomplete {
            return Err(format!("{id} ends at {}, acknowledged or shown up to {must}", f.end));
        }
        // The damage may have taken the record of a truncation.
        let uncut = |at: i64| p.incomplete && p.cut_from.is_some_and(|from| at >= from);
        if f.end > p.end && !uncut(f.end) {
            return Err(format!("{id} ends at {}, nothing was sent beyond {}", f.end, p.end));
        }
        let known = f.start == p.start || p.starts_asked.contains(&f.start);
        let excusable = lax && f.start < p.start;
        if !known && !excusable {
            let asked = &p.starts_asked;
            return Err(format!("{id} starts at {}, not at {} or {asked:?}", f.start, p.start));
        }
        let lowest = p.forgotten;
        // What is there, batch for batch.
        let batches = cut(&f.bytes).map_err(|e| format!("{id}: {e}"))?;
        let mut at = f.start;
        let compacted = self.compacted.covers(&id);
        if compacted {
            let seen = if lax { Seen::Damaged } else { Seen::AtOnce };
            let unknown = |base, end: i64| (lax && base < lowest) || uncut(end - 1);
            at = self.compacted.check(id, &p.log, at, &batches, seen, unknown)?;
        }
        for (base, end, bytes) in batches.iter().filter(|_| !compacted) {
            let first = at == f.start && *base <= at && *end > at;
            if *base != at && !first {
                return Err(format!("{id}: a batch at {base} where {at} was to come"));
            }
            let i = p.log.partition_point(|e| e.base < *base);
            match p.log.get(i) {
                // The damage took a new start of the log; what lies below it the model has forgotten.
                _ if lax && *base < lowest => {}
                _ if uncut(*end - 1) => {}
                Some(e) if e.base == *base && e.batch.is(bytes, *base, e.epoch) => {}
                Some(e) => {
                    return Err(format!(
                        "{id}: not the batch that was sent to {base} ({})",
                        e.base
                    ));
                }
                None => return Err(format!("{id}: a batch at {base} that nobody sent")),
            }
            at = *end;
        }
        if at != f.end && f.broken.is_none() {
            return Err(format!("{id}: batches end at {at}, the log at {}", f.end));
        }
        let taken = p.log.iter().filter(|e| e.base >= f.end && e.acked.is_some()).count() as u64;
        if p.life != Life::Here {
            p.life = Life::Here;
        }
        p.start = f.start;
        p.starts_asked.clear();
        p.served = f.end;
        p.txns_unknown |= lax;
        self.lose(id, f.end);
        if let Some(p) = self.parts.get(&id).filter(|p| !p.txns_unknown) {
            p.verify_transactions(f, unreadable).map_err(|e| format!("{id}: {e}"))?;
        }
        Ok(if lax { 0 } else { taken })
    }

    /// A crash has taken everything from `end` on. Producers send again what was not acknowledged; one that has lost an
    /// acknowledged batch cannot go on, and another takes its place.
    fn lose(&mut self, id: PartitionId, end: i64) {
        let Some(mut p) = self.parts.remove(&id) else { return };
        let acked_lost: Vec<i64> =
            p.log.iter().filter(|e| e.base >= end && e.acked.is_some()).map(|e| e.base).collect();
        for producer in &mut p.producers {
            let lost: Vec<(i64, Rc<Batch>)> =
                producer.sent.iter().filter(|(base, _)| *base >= end).cloned().collect();
            producer.sent.retain(|(base, _)| *base < end);
            if lost.iter().any(|(base, _)| acked_lost.contains(base)) {
                *producer = self.fresh_producer();
                continue;
            }
            // What still waits to be sent again comes after what was sent again and lost again.
            for (_, batch) in lost.into_iter().rev() {
                producer.again.push_front(batch);
            }
        }
        p.forgotten = p.forgotten.max(p.start);
        p.log.retain(|e| e.base < end && e.end > p.start);
        for e in &mut p.log {
            // It was shown; whether its ack arrived makes no difference any more.
            e.acked.get_or_insert(0);
        }
        p.txns.retain(|t| t.first < end);
        for t in &mut p.txns {
            t.end = t.end.filter(|(marker, _)| *marker < end);
        }
        p.end = end;
        p.unacked = 0;
        p.starting = 0;
        self.parts.insert(id, p);
    }

    /// Compares what a reader got in the middle of the service.
    pub(crate) fn check_read(
        &self,
        id: PartitionId,
        from: i64,
        bytes: &[u8],
    ) -> Result<(), String> {
        let Some(p) = self.parts.get(&id) else { return Ok(()) };
        let batches = cut(bytes).map_err(|e| format!("{id}: {e}"))?;
        if self.compacted.covers(&id) {
            let checked =
                self.compacted.check(id, &p.log, from, &batches, Seen::Beside, |_, _| false);
            return checked.map(drop);
        }
        let mut at = from;
        for (base, end, bytes) in batches {
            if !(base == at || (at == from && base < at && end > at)) {
                return Err(format!("{id}: a read from {from} got a batch at {base}, not {at}"));
            }
            let i = p.log.partition_point(|e| e.base < base);
            let known =
                p.log.get(i).is_some_and(|e| e.base == base && e.batch.is(bytes, base, e.epoch));
            if !known {
                return Err(format!("{id}: a read from {from} got something else at {base}"));
            }
            at = end;
        }
        Ok(())
    }

    /// A crash happens now.
    pub(crate) fn crash(&mut self, power: bool, now: u64) {
        self.power |= power;
        self.crashed_at.get_or_insert(now);
    }
}

impl Part {
    fn note_transaction(&mut self, base: i64, batch: &Batch) {
        if !batch.meta.transactional {
            return;
        }
        let producer = batch.meta.producer_id.0;
        let mut open = self.txns.iter_mut().filter(|t| t.producer == producer && t.end.is_none());
        match batch.aborts {
            Some(aborts) => open.for_each(|t| t.end = Some((base, aborts))),
            None if open.all(|t| t.unsure) => {
                self.txns.push(Txn { producer, first: base, end: None, unsure: false });
            }
            None => {}
        }
    }

    /// The transactions that have no end.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Txn> {
        self.txns.iter().filter(|t| t.end.is_none())
    }

    /// How many aborted transactions a reader of all of the log is told of.
    pub(crate) fn aborted(&self) -> impl Iterator<Item = (i64, i64, i64)> {
        let of = |t: &Txn| t.end.filter(|e| e.1).map(|e| (t.producer, t.first, e.0));
        self.txns.iter().filter_map(of).filter(|t| t.2 >= self.start)
    }

    fn verify_transactions(&self, f: &Found, unreadable: bool) -> Result<(), String> {
        let sure = self.open().filter(|t| !t.unsure).map(|t| t.first.max(f.start)).min();
        let stable = sure.unwrap_or(f.end).min(f.end);
        let unsure = self.open().any(|t| t.unsure) && f.stable == f.start;
        if f.stable != stable && !unsure {
            let open: Vec<&Txn> = self.open().collect();
            return Err(format!(
                "the last stable offset is {}, not {stable}: {open:?} from {} to {}, {} truncations",
                f.stable, f.start, f.end, self.truncations
            ));
        }
        let found = match &f.aborted {
            Ok(found) => found,
            Err(_) if unreadable => return Ok(()),
            Err(e) => return Err(format!("what was aborted cannot be told: {e}")),
        };
        let expected: Vec<(i64, i64, i64)> = self.aborted().collect();
        // Of one that begins below the log's start an index that was made good tells what is left, if anything is.
        let known = |t: &(i64, i64, i64)| {
            expected
                .iter()
                .any(|e| (e.0, e.2) == (t.0, t.2) && (e.1 == t.1 || (e.1 < f.start && e.1 < t.1)))
        };
        if let Some(t) = found.iter().find(|t| !known(t)) {
            return Err(format!("the transaction {t:?} was not aborted, but {expected:?}"));
        }
        let told = |e: &(i64, i64, i64)| found.iter().any(|t| (t.0, t.2) == (e.0, e.2));
        if let Some(e) = expected.iter().find(|e| e.1 >= f.start && !told(e)) {
            return Err(format!(
                "the transaction {e:?} was aborted, and what is told is {found:?}"
            ));
        }
        match found.windows(2).all(|w| w[0].2 < w[1].2) {
            true => Ok(()),
            false => Err(format!("not in the order of the markers: {found:?}")),
        }
    }
}

impl Producer {
    /// The sequence that it would use next.
    pub(crate) fn sequence(&self) -> Sequence {
        Sequence { producer: self.id, epoch: 0, first: self.next }
    }
}
