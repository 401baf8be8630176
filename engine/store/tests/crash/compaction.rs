//! Partitions that are compacted, in some worlds: passes run beside everything else, and the model knows what they may remove.
//!
//! What it knows is when a pass was begun and how far the log was durable then. From that follows, for each record, whether a
//! pass may have removed it: a newer one of its key lay below that end; or it is a tombstone that an earlier pass has seen, at
//! least `delete.retention.ms` ago. So after every crash, whatever came between:
//! - A record that no pass may have removed is there, if it must be there at all; so the newest of each key is.
//! - What is there is what was sent to that offset, byte for byte; a batch above all passes as a whole.
//! - Where a record is gone, no older one of its key is there: nothing comes back.
//!
//! When a pass has ended by itself, of each key below the clean end one record is left.

use crate::batch::{Batch, HEADER, Piece, cut};
use crate::clients::Clients;
use crate::model::{Entry, Life};
use crate::random::Random;
use crate::reading::read_all;
use crate::tally::Tally;
use ids::{CoreId, PartitionId, ProducerEpoch, ProducerId, Timestamp};
use log::{BatchMeta, Compaction};
use record::{BatchBuilder, BatchView, Codec};
use ringwood_store::{CompactBudget, CompactFailure, CompactReport, Refusal, Store};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::rc::Rc;

/// The body of a batch with records has at least so many bytes.
pub(crate) const LEAST: usize = 400;
/// Bytes of a record beside what fills its value, at most.
const RECORD: usize = 24;

/// Key, value, timestamp.
type Record = (Vec<u8>, Option<Vec<u8>>, i64);

/// A batch of records with few keys, one in five of them a tombstone; `body` is more than [`LEAST`].
pub(crate) fn batch(number: u64, count: i32, body: usize) -> Batch {
    let records = usize::try_from(count).unwrap();
    let fill = (body - RECORD * records) / records;
    let time = Timestamp(1_700_000_000_000 + i64::try_from(number).unwrap());
    let mut b = BatchBuilder::new().codec(Codec::None);
    for r in 0..u64::try_from(count).unwrap() {
        let x = Random::new(number << 8 | r).next();
        let key = if x.is_multiple_of(7) { 100 + x / 7 % 50 } else { x % 6 };
        let mut value = (number << 8 | r).to_be_bytes().to_vec();
        value.resize(8 + fill, x.to_le_bytes()[3]);
        let value = (!(x / 1_000).is_multiple_of(5)).then_some(value);
        b.push(time, Some(format!("{key}").as_bytes()), value.as_deref(), &[]);
    }
    let bytes = b.build().unwrap();
    assert!(bytes.len() <= HEADER + body + 8, "{} bytes for {body}", bytes.len());
    let meta = BatchMeta {
        len: u32::try_from(bytes.len()).unwrap(),
        offsets: count,
        max_timestamp: time,
        producer_id: ProducerId::NONE,
        producer_epoch: ProducerEpoch::NONE,
        base_sequence: -1,
        transactional: false,
        control: false,
    };
    Batch { bytes, meta, ..Batch::build(number, 1, 8, None) }
}

/// The records of a batch, by their place in it.
fn records(bytes: &[u8]) -> Result<BTreeMap<i64, Record>, String> {
    let b = BatchView::first(bytes).map_err(|e| e.to_string())?;
    b.check_crc().map_err(|e| e.to_string())?;
    let time = b.header().base_timestamp.0;
    let mut all = BTreeMap::new();
    for r in b.records().map_err(|e| e.to_string())? {
        let r = r.map_err(|e| e.to_string())?;
        let own = (
            r.key.unwrap_or_default().to_vec(),
            r.value.map(<[u8]>::to_vec),
            time + r.timestamp_delta,
        );
        if all.insert(i64::from(r.offset_delta), own).is_some() {
            return Err(format!("two records at {} of a batch", r.offset_delta));
        }
    }
    Ok(all)
}

/// What passes over one partition may have done.
#[derive(Clone, Debug, Default)]
struct Allowed {
    /// Records that may be gone.
    may_go: BTreeSet<i64>,
    /// When a pass first saw a tombstone that was the newest record of its key.
    seen: BTreeMap<i64, i64>,
    /// No pass has touched anything from here on.
    reached: i64,
}

/// A pass has put new segments into the log.
#[derive(Clone)]
struct Swapped {
    store: Store,
    /// How many checkpoints there had been then.
    checkpoints: u64,
}

impl fmt::Debug for Swapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after checkpoint {}", self.checkpoints)
    }
}

/// How much of the truth a reader has seen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Damage on purpose may have taken anything.
    Damaged,
    /// Passes may have gone on while it read.
    Beside,
    /// All of it at one time.
    AtOnce,
}

/// All partitions that are compacted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Compacted {
    on: bool,
    retention_ms: i64,
    parts: BTreeMap<PartitionId, Allowed>,
    /// The core's pass, or what is looked at behind it.
    running: BTreeMap<CoreId, (PartitionId, bool)>,
    swapped: Vec<Swapped>,
}

impl Compacted {
    pub(crate) fn draw(seed: u64, on: bool) -> Self {
        let retention_ms = Random::new(seed ^ 0xc1ea_4e12).pick(&[0, 5, 50, 86_400_000]);
        Self { on, retention_ms, ..Self::default() }
    }

    /// Whether this partition's topic is compacted: every other one is, in some worlds.
    pub(crate) fn covers(&self, id: &PartitionId) -> bool {
        self.on && id.topic.0[7] % 2 == 1
    }

    /// A pass begins over everything below `stable`.
    fn begin(&mut self, id: PartitionId, log: &VecDeque<Entry>, stable: i64, now: i64) {
        let retention = self.retention_ms;
        let part = self.parts.entry(id).or_default();
        let mut newest = BTreeMap::new();
        for e in log.iter().filter(|e| e.end <= stable) {
            for (delta, (key, value, _)) in records(&e.batch.bytes).unwrap() {
                let before = newest.insert(key, (e.base + delta, value.is_none()));
                part.may_go.extend(before.map(|(offset, _)| offset));
            }
        }
        for (offset, _) in newest.into_values().filter(|(_, tombstone)| *tombstone) {
            if *part.seen.entry(offset).or_insert(now) + retention <= now && part.reached > offset {
                part.may_go.insert(offset);
            }
        }
        part.reached = part.reached.max(stable);
    }

    /// The log ends at `end` now: what comes from there on is new.
    pub(crate) fn cut_back(&mut self, id: PartitionId, end: i64) {
        if let Some(part) = self.parts.get_mut(&id) {
            part.may_go.split_off(&end);
            part.seen.split_off(&end);
            part.reached = part.reached.min(end);
        }
    }

    /// Whether a log that begins at `start` and is cut back to `to` may end at `end` below it: passes may have removed all
    /// between, also of a batch that the log begins inside of.
    pub(crate) fn may_end(
        &self,
        id: PartitionId,
        log: &VecDeque<Entry>,
        (start, end, to): (i64, i64, i64),
    ) -> bool {
        let between = |e: &&Entry| e.end > end && e.end <= to;
        let gone = |e: &Entry| {
            let part = self.parts.get(&id);
            let may = |offset| part.is_some_and(|p| p.may_go.contains(&offset));
            let mut left = records(&e.batch.bytes).unwrap().into_keys().map(|d| e.base + d);
            (e.base >= end || end == start) && left.all(|offset| offset < end || may(offset))
        };
        end == to || (self.covers(&id) && end < to && log.iter().filter(between).all(gone))
    }

    /// Compares batches that were read from `from` on; where they end. Those that `pass_over` names are not looked at.
    pub(crate) fn check(
        &self,
        id: PartitionId,
        log: &VecDeque<Entry>,
        from: i64,
        batches: &[Piece<'_>],
        seen: Seen,
        pass_over: impl Fn(i64, i64) -> bool,
    ) -> Result<i64, String> {
        let none = Allowed::default();
        let part = self.parts.get(&id).unwrap_or(&none);
        let mut there = BTreeSet::new();
        let mut at = from;
        for (base, end, bytes) in batches {
            if *base < at && (at != from || *end <= at) {
                return Err(format!("{id}: a batch at {base} behind one that ends at {at}"));
            }
            at = *end;
            if pass_over(*base, *end) {
                continue;
            }
            let i = log.partition_point(|e| e.base < *base);
            let Some(e) = log.get(i).filter(|e| e.base == *base && e.end == *end) else {
                return Err(format!("{id}: a batch {base}..{end} that nobody sent"));
            };
            let what = |e: String| format!("{id}: the batch at {base}: {e}");
            if bytes[12..16] != e.epoch.to_be_bytes() || bytes[43..57] != e.batch.bytes[43..57] {
                return Err(what("another epoch or producer".into()));
            }
            if *end > part.reached && !e.batch.is(bytes, *base, e.epoch) {
                return Err(what("not as it was sent, and no pass came so far".into()));
            }
            let sent = records(&e.batch.bytes).map_err(what)?;
            for (delta, record) in records(bytes).map_err(what)? {
                if sent.get(&delta) != Some(&record) {
                    return Err(what(format!("not the record that was sent as number {delta}")));
                }
                there.insert(base + delta);
            }
        }
        if seen == Seen::Damaged {
            return Ok(at);
        }
        let mut older = BTreeMap::new();
        for e in log.iter().filter(|e| e.end > from && e.base < at) {
            for (delta, (key, ..)) in records(&e.batch.bytes).unwrap() {
                let offset = e.base + delta;
                if offset < from || offset >= at {
                    continue;
                }
                if there.contains(&offset) {
                    older.insert(key, offset);
                } else if !part.may_go.contains(&offset) {
                    return Err(format!("{id}: the record at {offset} is gone, which had to stay"));
                } else if let Some(before) = older.get(&key).filter(|_| seen == Seen::AtOnce) {
                    return Err(format!(
                        "{id}: the record at {offset} is gone, and an older one is at {before}"
                    ));
                }
            }
        }
        Ok(at)
    }

    /// A crash happens now; nothing of this life runs any more.
    pub(crate) fn at_crash(&mut self, tally: &Tally) {
        let passes = self.running.values().filter(|(_, passing)| *passing).count();
        tally.add("compaction: cut during a pass", u64::from(passes > 0));
        let waits = |s: &Swapped| s.store.counters().0.checkpoints == s.checkpoints;
        let waiting = self.swapped.iter().any(waits);
        tally.add("compaction: cut between swap and checkpoint", u64::from(waiting));
        self.running.clear();
        self.swapped.clear();
    }
}

impl Clients {
    /// One pass over a partition, if the core has none under way.
    pub(crate) async fn pass(self: Rc<Self>, id: PartitionId) {
        let (strays, map_bytes) = {
            let mut random = self.random.borrow_mut();
            (random.one_in(4), random.pick(&[24 * 20, 1 << 16, 1 << 16]))
        };
        {
            let mut model = self.model.borrow_mut();
            let here = model.parts.get(&id).is_some_and(|p| p.life == Life::Here);
            if !here || model.compacted.running.contains_key(&self.core) {
                return;
            }
            model.compacted.running.insert(self.core, (id, true));
        }
        if strays && let Err(e) = self.store.remove_strays(id).await {
            self.verdict.guilty(format!("{id}: strays cannot be removed: {e}"));
        }
        self.pass_now(id, CompactBudget { map_bytes, bytes_per_second: f64::MAX }).await;
        self.model.borrow_mut().compacted.running.remove(&self.core);
    }

    async fn pass_now(&self, id: PartitionId, budget: CompactBudget) {
        let Ok(stable) = self.store.progress(id).map(|p| p.durable) else { return };
        let (how, before) = {
            let mut guard = self.model.borrow_mut();
            let model = &mut *guard;
            let Some(p) = model.parts.get(&id).filter(|p| p.life == Life::Here) else { return };
            model.compacted.begin(id, &p.log, stable.0, self.rt.wall().0);
            let delete_retention_ms = model.compacted.retention_ms;
            (Compaction { delete_retention_ms, ..Compaction::default() }, (p.truncations, p.start))
        };
        let passed = self.store.compact(id, &how, budget, stable).await;
        let (gone, cut, moved) = {
            let mut model = self.model.borrow_mut();
            model.compacted.running.insert(self.core, (id, false));
            let Some(p) = model.parts.get(&id) else { return };
            let cut = p.truncations != before.0 || p.truncating.is_some();
            (p.life != Life::Here, cut, p.start != before.1)
        };
        self.tally.add("compaction: deletion during a pass", u64::from(gone));
        self.tally.add("compaction: truncation during a pass", u64::from(cut));
        self.tally.add("compaction: log start moved during a pass", u64::from(moved));
        match passed {
            Ok(report) => {
                self.tally.add("compaction: records removed", report.records_dropped);
                if report.segments > 0 {
                    let (store, checkpoints) =
                        (self.store.clone(), self.store.counters().0.checkpoints);
                    self.model.borrow_mut().compacted.swapped.push(Swapped { store, checkpoints });
                }
                if report.keys > 0 && report.ended_early.is_none() {
                    self.tally.one("compaction: passes finished");
                    self.look_behind(id, &report).await;
                } else if report.ended_early.is_some() {
                    self.tally.one("compaction: passes ended early");
                }
            }
            Err(CompactFailure::Refused(Refusal::UnknownPartition)) if gone => {}
            Err(CompactFailure::DiskFull) => self.tally.one("compaction: refused, disk full"),
            Err(e) => self.verdict.guilty(format!("{id}: a pass failed: {e}")),
        }
    }

    /// A pass has come to its end: of each key below one record is left, and that is how it stays.
    async fn look_behind(&self, id: PartitionId, report: &CompactReport) {
        let now = || {
            let model = self.model.borrow();
            let p = model.parts.get(&id).filter(|p| p.life == Life::Here && p.truncating.is_none());
            let truncations = p.map(|p| p.truncations)?;
            Some((truncations, self.store.with_log(id, |l| l.start()).ok()?))
        };
        let before = now();
        let f = read_all(&self.store, id, 20_000).await;
        if before.is_none() || now() != before {
            return;
        }
        let clean = report.clean_end.0;
        let all = match (&f.broken, cut(&f.bytes)) {
            (None, Ok(all)) => all,
            (broken, all) => {
                return self
                    .verdict
                    .guilty(format!("{id} behind a pass: {broken:?} {:?}", all.err()));
            }
        };
        let model = self.model.borrow();
        let Some(p) = model.parts.get(&id) else { return };
        let checked = model.compacted.check(id, &p.log, f.start, &all, Seen::AtOnce, |_, _| false);
        self.verdict.check(checked.map(drop).map_err(|e| format!("behind a pass: {e}")));
        let mut keys = BTreeSet::new();
        for (base, end, bytes) in all.iter().filter(|b| b.1 <= clean) {
            let twice = records(bytes).map(|all| {
                let above = all.into_iter().filter(|(delta, _)| base + delta >= f.start);
                above.map(|(_, (key, ..))| key).find(|key| !keys.insert(key.clone()))
            });
            if let Ok(Some(key)) = twice {
                let key = String::from_utf8_lossy(&key);
                self.verdict.guilty(format!(
                    "{id}: the key {key} is twice below {clean}, again in {base}..{end}"
                ));
            }
        }
        self.tally.one("compaction: logs looked at behind a pass");
    }
}
