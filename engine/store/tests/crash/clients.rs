//! The load: clients of one core, who append, repeat, read, move starts of logs, delete and make topics.

use crate::batch::{Batch, Sequence};
use crate::compaction;
use crate::model::{Life, Model};
use crate::random::Random;
use crate::settings::Settings;
use crate::tally::Tally;
use ids::{CoreId, LeaderEpoch, Offset, PartitionId};
use log::{AppendError, Appended, Retention};
use ringwood_store::{ReadError, Refusal, Store, TruncateError};
use runtime::Runtime;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// What the first violation was; nothing goes on after it.
#[derive(Debug, Default)]
pub(crate) struct Verdict(RefCell<Option<String>>);

impl Verdict {
    pub(crate) fn guilty(&self, what: String) {
        self.0.borrow_mut().get_or_insert(what);
    }

    pub(crate) fn check(&self, result: Result<(), String>) {
        if let Err(what) = result {
            self.guilty(what);
        }
    }

    pub(crate) fn is_guilty(&self) -> bool {
        self.0.borrow().is_some()
    }

    pub(crate) fn take(&self) -> Option<String> {
        self.0.borrow_mut().take()
    }
}

/// One core's clients.
pub(crate) struct Clients {
    pub(crate) rt: Runtime,
    pub(crate) store: Store,
    /// The stores of all cores: a new topic has partitions on each.
    pub(crate) stores: Rc<Vec<Store>>,
    pub(crate) core: CoreId,
    pub(crate) model: Rc<RefCell<Model>>,
    pub(crate) settings: Rc<Settings>,
    pub(crate) tally: Rc<Tally>,
    pub(crate) verdict: Rc<Verdict>,
    pub(crate) left: Rc<Cell<u64>>,
    pub(crate) busy: Rc<Cell<u64>>,
    pub(crate) random: RefCell<Random>,
}

/// Requests of one producer without an answer (KIP-98).
const IN_FLIGHT: usize = 5;

impl Clients {
    fn below(&self, n: u64) -> u64 {
        self.random.borrow_mut().below(n)
    }

    fn one_in(&self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// Sends requests until there are none left to send.
    pub(crate) async fn work(self: Rc<Self>) {
        while self.left.get() > 0 && !self.verdict.is_guilty() {
            self.left.set(self.left.get() - 1);
            let Some(id) = self.some_partition() else {
                self.rt.sleep(Duration::from_micros(500)).await;
                continue;
            };
            if self.model.borrow().compacted.covers(&id) && self.one_in(6) {
                self.disturb_a_pass(id).await;
                continue;
            }
            if self.settings.drops && self.one_in(8) {
                self.drop_during_a_checkpoint(id).await;
                continue;
            }
            if self.settings.cuts && self.one_in(8) {
                self.cut_during_a_checkpoint(id).await;
                continue;
            }
            match self.below(400) {
                0..250 => self.append(id).await,
                250..300 => self.end_transaction(id).await,
                300..330 => self.repeat(id).await,
                330..340 => self.leave_a_gap(id),
                340..362 => self.read(id).await,
                362..378 => self.delete_records(id).await,
                378..386 => self.retain(id).await,
                386..390 => self.delete_topic(id).await,
                390..392 => self.checkpoint(),
                392..396 => self.truncate(id).await,
                _ => self.store.flush().await,
            }
            if self.one_in(3) {
                let pause = self.below(2 * self.settings.pause);
                self.rt.sleep(Duration::from_micros(pause)).await;
            }
        }
        self.busy.set(self.busy.get() - 1);
    }

    /// Begins a pass, and perhaps something else while it goes on.
    async fn disturb_a_pass(self: &Rc<Self>, id: PartitionId) {
        self.rt.spawn(Rc::clone(self).pass(id));
        let after = self.below(4_000);
        self.rt.sleep(Duration::from_micros(after)).await;
        match self.below(30) {
            0 => self.delete_topic(id).await,
            1..4 => self.delete_records(id).await,
            4..7 => self.truncate(id).await,
            7..9 => self.checkpoint(),
            9..12 => self.store.settle_compaction().await,
            _ => {}
        }
    }

    fn some_partition(&self) -> Option<PartitionId> {
        let model = self.model.borrow();
        let mine: Vec<PartitionId> = model
            .parts
            .iter()
            .filter(|(id, p)| {
                p.life == Life::Here && !p.incomplete && id.owner(model.cores) == self.core
            })
            .map(|(id, _)| *id)
            .collect();
        let n = mine.len() as u64;
        // Some are used more than others.
        let i = self.below(n).min(self.below(n));
        mine.get(usize::try_from(i).unwrap()).copied()
    }

    fn size(&self) -> (i32, usize) {
        let s = &self.settings;
        let max = if self.one_in(s.large_one_in) { s.body_max } else { s.body_usual };
        let count = 1 + i32::try_from(self.below(9)).unwrap();
        (count, usize::try_from(self.below(max) + 1).unwrap())
    }

    async fn append(&self, id: PartitionId) {
        let (count, body) = self.size();
        let keyed = self.model.borrow().compacted.covers(&id);
        let body = if keyed { body.max(compaction::LEAST) } else { body };
        // What a crash has left unanswered may be sent again in its place, and be larger.
        let again = self.model.borrow().parts.get(&id).map_or(0, |p| {
            let batches = p.producers.iter().flat_map(|producer| &producer.again);
            batches.map(|batch| batch.bytes.len()).max().unwrap_or(0)
        });
        self.store.admit(again.max(body + crate::batch::HEADER + 8)).await;
        let (batch, producer) = {
            let mut model = self.model.borrow_mut();
            let number = model.batch_number();
            let Some(p) = model.parts.get_mut(&id) else { return };
            if p.unacked > 40 || p.truncating.is_some() {
                return;
            }
            let n = self.below(p.producers.len() as u64 + 1);
            match p.producers.get_mut(usize::try_from(n).unwrap()) {
                None if keyed => (Rc::new(compaction::batch(number, count, body)), None),
                None => (Rc::new(Batch::build(number, count, body, None)), None),
                Some(producer) => {
                    let unacked =
                        |base: i64| p.log.iter().rev().any(|e| e.base == base && e.acked.is_none());
                    let under_way = producer.sent.iter().filter(|(base, _)| unacked(*base)).count();
                    if under_way >= IN_FLIGHT {
                        return;
                    }
                    let batch = match producer.again.pop_front() {
                        Some(batch) => {
                            self.tally.one("retry across a crash appended once");
                            batch
                        }
                        None => {
                            let sequence = producer.sequence();
                            producer.next += count;
                            let batch = Batch::build(number, count, body, Some(sequence));
                            Rc::new(match producer.transactional {
                                true => batch.in_transaction(),
                                false => batch,
                            })
                        }
                    };
                    (batch, Some(usize::try_from(n).unwrap()))
                }
            }
        };
        self.send(id, batch, producer);
    }

    /// A coordinator's marker for one of the open transactions, whoever its producer was.
    async fn end_transaction(&self, id: PartitionId) {
        self.store.admit(200).await;
        let (batch, aborts) = {
            let mut model = self.model.borrow_mut();
            let number = model.batch_number();
            let Some(p) = model.parts.get(&id) else { return };
            if p.unacked > 40 || p.truncating.is_some() {
                return;
            }
            let open: Vec<i64> = p.open().map(|t| t.producer).collect();
            let nth = usize::try_from(self.below(open.len() as u64)).unwrap();
            let Some(producer) = open.get(nth) else { return };
            let aborts = !self.one_in(3);
            (Batch::marker(number, *producer, aborts), aborts)
        };
        self.tally.one(if aborts { "transaction aborted" } else { "transaction committed" });
        self.send(id, Rc::new(batch), None);
    }

    fn send(&self, id: PartitionId, batch: Rc<Batch>, producer: Option<usize>) {
        let epoch = LeaderEpoch(self.model.borrow().epoch);
        let now = self.rt.wall();
        let answer = self.store.append(id, &batch.bytes, &batch.meta, epoch, now);
        let mut model = self.model.borrow_mut();
        match answer {
            Ok(Appended::New { base_offset, sealed, place }) => {
                self.tally.add("segment sealed", u64::from(sealed.is_some()));
                let again = place.position == 0
                    && model
                        .parts
                        .get(&id)
                        .is_some_and(|p| p.dropped_bases.contains(&base_offset.0));
                self.tally.add("roll again at the same base", u64::from(again));
                self.verdict.check(model.sent(id, producer, batch, base_offset.0));
                return;
            }
            Ok(Appended::Duplicate(original)) => self.verdict.guilty(format!(
                "{id}: a new batch {:?} was taken for the one at {}",
                batch.sequence,
                original.base_offset()
            )),
            Err(Refusal::DiskFull { .. }) => self.tally.one("refused: disk full"),
            Err(Refusal::UnknownPartition)
                if model.parts.get(&id).is_none_or(|p| p.life != Life::Here) => {}
            Err(e) => self.verdict.guilty(format!("{id}: an append was refused: {e}")),
        }
        // It was not taken: it will be sent again.
        if let Some(n) = producer
            && let Some(p) = model.parts.get_mut(&id)
            && let Some(producer) = p.producers.get_mut(n)
        {
            producer.again.push_front(batch);
        }
    }

    /// A batch that the broker has is sent again: it must be known, with its offset.
    pub(crate) async fn repeat(&self, id: PartitionId) {
        let (base, batch, crossed) = {
            let model = self.model.borrow();
            let Some(p) = model.parts.get(&id) else { return };
            let n = usize::try_from(self.below(p.producers.len() as u64)).unwrap();
            let Some(producer) = p.producers.get(n) else { return };
            let known = producer.sent.len().min(IN_FLIGHT) as u64;
            if known == 0 {
                return;
            }
            let back = 1 + usize::try_from(self.below(known)).unwrap();
            let (base, batch) = &producer.sent[producer.sent.len() - back];
            (*base, Rc::clone(batch), *base < p.served)
        };
        self.store.admit(batch.bytes.len()).await;
        if !self.is_here(id) {
            return;
        }
        // Others may have pushed it out of the window while this one waited.
        let still = self.model.borrow().parts.get(&id).is_some_and(|p| {
            p.truncating.is_none()
                && p.producers.iter().any(|producer| {
                    producer.sent.iter().rev().take(IN_FLIGHT).any(|(_, b)| Rc::ptr_eq(b, &batch))
                })
        });
        if !still {
            return;
        }
        let epoch = LeaderEpoch(self.model.borrow().epoch);
        match self.store.append(id, &batch.bytes, &batch.meta, epoch, self.rt.wall()) {
            Ok(Appended::Duplicate(original)) if original.base_offset().0 == base => {
                self.tally.one(if crossed {
                    "duplicate retry across a crash"
                } else {
                    "duplicate retry"
                });
            }
            Err(Refusal::DiskFull { .. }) => {}
            answer => self.verdict.guilty(format!(
                "{id}: a repeated batch {:?} was at {base}, and got {answer:?}",
                batch.sequence
            )),
        }
    }

    /// A batch that leaves out a sequence number is refused.
    fn leave_a_gap(&self, id: PartitionId) {
        let mut model = self.model.borrow_mut();
        let (number, epoch) = (model.batch_number(), LeaderEpoch(model.epoch));
        let Some(p) = model.parts.get(&id).filter(|p| p.truncating.is_none()) else { return };
        let n = usize::try_from(self.below(p.producers.len() as u64)).unwrap();
        let Some(producer) = p.producers.get(n).filter(|p| !p.sent.is_empty()) else { return };
        let sequence = Sequence { first: producer.next + 1, ..producer.sequence() };
        let batch = Batch::build(number, 1, 20, Some(sequence));
        match self.store.append(id, &batch.bytes, &batch.meta, epoch, self.rt.wall()) {
            Err(Refusal::Append(AppendError::Sequence(_))) => self.tally.one("gap refused"),
            Err(Refusal::DiskFull { .. }) => {}
            answer => self.verdict.guilty(format!("{id}: a gap {sequence:?} got {answer:?}")),
        }
    }

    fn is_here(&self, id: PartitionId) -> bool {
        self.model.borrow().parts.get(&id).is_some_and(|p| p.life == Life::Here)
    }

    async fn read(&self, id: PartitionId) {
        let Ok((start, end)) = self.store.with_log(id, |l| (l.start().0, l.end().0)) else {
            return;
        };
        let Ok(progress) = self.store.progress(id) else { return };
        let from =
            start + i64::try_from(self.below(u64::try_from(end - start).unwrap() + 1)).unwrap();
        let bytes = usize::try_from(self.below(20_000)).unwrap();
        let before = self.truncations(id);
        match self.store.read(id, Offset(from), progress.durable, bytes, true).await {
            // What it got may be what was cut meanwhile.
            Ok(_) if before.is_none() || self.truncations(id) != before => {}
            Ok(read) => {
                let bytes: Vec<u8> = read.slices.iter().flat_map(|s| s.iter().copied()).collect();
                self.tally.add("batches from the tail", u64::from(read.from_tail));
                self.tally.add("cold reads", u64::from(!read.from_tail && read.bytes > 0));
                self.verdict.check(self.model.borrow().check_read(id, from, &bytes));
            }
            Err(_) if before.is_none() || self.truncations(id) != before => {}
            Err(e) => self.on_read_error(id, from, &e),
        }
    }

    /// How many truncations were answered; none while one is under way.
    fn truncations(&self, id: PartitionId) -> Option<u64> {
        let model = self.model.borrow();
        model.parts.get(&id).filter(|p| p.truncating.is_none()).map(|p| p.truncations)
    }

    /// Cuts a log back: to where a segment begins, into a batch, or to where one of the last batches begins.
    async fn truncate(&self, id: PartitionId) {
        let seen = self.store.with_log(id, |l| {
            let bases: Vec<i64> = l.segments().iter().map(|s| s.name.base.0).collect();
            (l.start().0, l.end().0, bases)
        });
        let Ok((start, end, bases)) = seen else { return };
        if start >= end {
            return;
        }
        let rolls: Vec<i64> = bases.into_iter().skip(1).collect();
        let span = u64::try_from(end - start).unwrap();
        let to = match self.below(4) {
            0 if !rolls.is_empty() => {
                rolls[usize::try_from(self.below(rolls.len() as u64)).unwrap()]
            }
            1 => start + i64::try_from(self.below(span)).unwrap(),
            _ => {
                let model = self.model.borrow();
                let Some(p) = model.parts.get(&id) else { return };
                let back = 1 + usize::try_from(self.below(12)).unwrap();
                let at = p.log.len().saturating_sub(back);
                p.log.get(at).map_or(start, |e| e.base)
            }
        };
        let to = to.max(start);
        let Some(expected) = self.model.borrow_mut().ask_truncation(id, to, start) else { return };
        match self.store.truncate(id, Offset(to)).await {
            Ok(new) => {
                let mut model = self.model.borrow_mut();
                self.verdict.check(model.truncated(id, new.0));
                self.tally.one("truncation");
                self.tally.add("truncation into a batch", u64::from(expected < to));
                let below = rolls.iter().any(|base| *base > new.0);
                self.tally.add("truncation below a roll", u64::from(below));
                if let Some(p) = model.parts.get_mut(&id) {
                    p.dropped_bases.extend(rolls.into_iter().filter(|base| *base >= new.0));
                }
                return;
            }
            Err(TruncateError::Refused(Refusal::UnknownPartition)) if !self.is_here(id) => {}
            // What a pass has put there needs a checkpoint first.
            Err(TruncateError::Refused(Refusal::DiskFull { .. }))
                if self.model.borrow().compacted.covers(&id) => {}
            Err(e) => self.verdict.guilty(format!("{id}: a truncation to {to} failed: {e}")),
        }
        if let Some(p) = self.model.borrow_mut().parts.get_mut(&id) {
            p.truncating = None;
        }
    }

    /// Cuts a log back while a checkpoint is under way: what that has come to already, and what not yet.
    async fn cut_during_a_checkpoint(&self, id: PartitionId) {
        self.checkpoint();
        let after = self.below(12_000);
        self.rt.sleep(Duration::from_micros(after)).await;
        self.truncate(id).await;
        self.tally.one("truncation during a checkpoint");
    }

    fn on_read_error(&self, id: PartitionId, from: i64, e: &ReadError) {
        let start = self.store.with_log(id, |l| l.start().0);
        // It went while it was being read.
        let gone = !self.is_here(id) || start.is_ok_and(|start| start > from);
        if !gone {
            self.verdict.guilty(format!("{id}: a read from {from} failed: {e}"));
        }
    }

    async fn move_start(&self, id: PartitionId, to: i64) -> bool {
        if let Some(p) = self.model.borrow_mut().parts.get_mut(&id) {
            // A truncation may take what lies below the new start.
            if p.truncating.is_some() {
                return false;
            }
            p.starts_asked.push(to);
            p.starting += 1;
        }
        let answer = self.store.advance_start(id, Offset(to)).await;
        if let Some(p) = self.model.borrow_mut().parts.get_mut(&id) {
            p.starting = p.starting.saturating_sub(1);
        }
        match answer {
            Ok(start) => {
                if let Some(p) = self.model.borrow_mut().parts.get_mut(&id) {
                    p.start = p.start.max(start.0);
                    return true;
                }
            }
            Err(Refusal::UnknownPartition) if !self.is_here(id) => {}
            Err(e) => self.verdict.guilty(format!("{id}: DeleteRecords was refused: {e}")),
        }
        false
    }

    async fn delete_records(&self, id: PartitionId) {
        let Ok((start, end)) = self.store.with_log(id, |l| (l.start().0, l.end().0)) else {
            return;
        };
        // Up to the high watermark, as Kafka does.
        let Ok(progress) = self.store.progress(id) else { return };
        let end = end.min(progress.durable.0);
        if start >= end {
            return;
        }
        let room = u64::try_from(end - start).unwrap();
        let to =
            if self.one_in(6) { end } else { start + 1 + i64::try_from(self.below(room)).unwrap() };
        if self.move_start(id, to).await {
            self.tally.one("log start moved");
        }
    }

    /// Moves the start of a log to its end while a checkpoint is under way: what that has come to already, and what not yet.
    async fn drop_during_a_checkpoint(&self, id: PartitionId) {
        self.checkpoint();
        let after = self.below(12_000);
        self.rt.sleep(Duration::from_micros(after)).await;
        let Ok((start, durable)) = self
            .store
            .progress(id)
            .and_then(|p| Ok((self.store.with_log(id, |l| l.start().0)?, p.durable.0)))
        else {
            return;
        };
        if durable > start && self.move_start(id, durable).await {
            self.tally.one("log start moved during a checkpoint");
        }
    }

    async fn retain(&self, id: PartitionId) {
        let keep = self.below(u64::from(self.settings.log.segment_bytes));
        let retention = Retention { ms: None, bytes: Some(keep) };
        let Ok(progress) = self.store.progress(id) else { return };
        let now = self.rt.wall();
        let to = self.store.with_log(id, |l| retention.new_start(l, progress.durable, now));
        if let Ok(Some(to)) = to
            && self.move_start(id, to.0).await
        {
            self.tally.one("retention");
        }
    }

    /// Deletes a topic and makes another with as many partitions.
    async fn delete_topic(&self, id: PartitionId) {
        let (doomed, fsync) = {
            let mut model = self.model.borrow_mut();
            let mut doomed = Vec::new();
            let mut fsync = true;
            for (other, p) in model.parts.iter_mut() {
                if other.topic == id.topic && p.life == Life::Here && !p.incomplete {
                    p.life = Life::DeletionAsked;
                    fsync = p.fsync;
                    doomed.push(*other);
                }
            }
            (doomed, fsync)
        };
        let cores = self.model.borrow().cores;
        for other in &doomed {
            let owner = other.owner(cores);
            match self.stores[owner.index()].delete(*other).await {
                Ok(()) => {
                    if let Some(p) = self.model.borrow_mut().parts.get_mut(other) {
                        p.life = Life::Deleted;
                    }
                }
                Err(e) => self.verdict.guilty(format!("{other}: a deletion was refused: {e}")),
            }
        }
        let mut model = self.model.borrow_mut();
        let made = model.create_topic(i32::try_from(doomed.len()).unwrap(), fsync);
        for new in made {
            model.add_producer(new);
            let owner = new.owner(cores);
            self.stores[owner.index()].create(new, self.settings.partition(fsync));
        }
        self.tally.one("deleted and recreated");
    }

    fn checkpoint(&self) {
        let store = self.store.clone();
        self.rt.spawn(async move { store.checkpoint().await });
    }
}
