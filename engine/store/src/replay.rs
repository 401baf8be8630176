//! Applies the ring's records to the manifest's states, in memory.

use crate::format::manifest::RestPiece;
use crate::format::record::{Header, Type};
use crate::partition::{Partition, PartitionConfig, Shared, floor_block};
use crate::planted::{self, Planted};
use crate::scan::Hole;
use crate::truncate;
use crate::txn_index;
use ids::{PartitionId, ProducerEpoch, ProducerId, Timestamp};
use log::{BatchMeta, Place};
use runtime::Runtime;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Offsets that the records of damaged commits may have had, if no later record tells: more than any ring can hold of them, as
/// long as a batch is not compressed to less than a byte for each record.
pub(crate) const UNSEEN_MAX: i64 = 1 << 30;

/// The state as the ring leaves it.
pub(crate) struct Outcome {
    pub(crate) partitions: BTreeMap<PartitionId, Shared>,
    pub(crate) gone: Vec<PartitionId>,
    /// Commits after this one are missing, and nobody knows which partitions they held: also one that is not known at all.
    pub(crate) unaccounted: Option<u64>,
}

/// The state being formed.
pub(crate) struct Replay {
    rt: Runtime,
    partitions: BTreeMap<PartitionId, Partition>,
    gone: Vec<PartitionId>,
    /// Bytes of batches that the ring holds of each partition.
    expected: BTreeMap<PartitionId, usize>,
    /// A hole whose victims are not known: every partition is suspect until a later record proves that it lost nothing.
    suspects: BTreeMap<PartitionId, u64>,
    /// The commit after which a partition that is not known yet is suspect too.
    unknown_since: Option<u64>,
}

impl Replay {
    /// `expected` is how many bytes each partition is going to get; `unaccounted` is what the manifest's footer says.
    pub(crate) fn new(
        rt: Runtime,
        expected: BTreeMap<PartitionId, usize>,
        unaccounted: u64,
    ) -> Self {
        Self {
            rt,
            partitions: BTreeMap::new(),
            gone: Vec::new(),
            expected,
            suspects: BTreeMap::new(),
            unknown_since: unaccounted.checked_sub(1),
        }
    }

    /// Prepares a partition's tail for `rest` bytes of the rest log and for what the ring holds.
    pub(crate) fn expect(&self, p: &mut Partition, rest: usize) {
        p.tail.expect(rest + self.expected.get(&p.id).copied().unwrap_or(0));
    }

    /// Takes a piece of the rest log into the partition's tail.
    pub(crate) fn load(&self, p: &mut Partition, piece: &RestPiece, bytes: &[u8]) {
        let known = p.log.segment(piece.segment).is_some();
        // The blocks of its beginning may have gone to the segment since: memory begins with a whole block behind them.
        let durable = p.files.get(&piece.segment).map_or(0, |f| f.durable);
        let (position, bytes) = match p.tail.chunks().last() {
            Some((segment, _, _)) if segment == piece.segment => (piece.position, bytes),
            _ => {
                let done = durable.saturating_sub(piece.position);
                (piece.position + done, bytes.get(done as usize..).unwrap_or(&[]))
            }
        };
        let adjoins = match p.tail.chunks().last() {
            Some((segment, _, end)) if segment == piece.segment => end == position,
            _ => floor_block(position) == position,
        };
        if known && adjoins {
            p.tail.append(self.rt.memory(), piece.segment, position, bytes);
        } else {
            p.incomplete = Some(format!("a piece of the rest log at {} does not adjoin", piece.at));
        }
    }

    /// Takes a partition with the manifest's state.
    pub(crate) fn adopt(&mut self, p: Partition) {
        self.partitions.insert(p.id, p);
    }

    /// Flushed commits are missing here.
    pub(crate) fn hole(&mut self, hole: &Hole) {
        match &hole.partitions {
            Some(victims) => {
                for id in victims {
                    let why = format!("the commit after {} is damaged", hole.after);
                    self.mark(*id, why);
                }
            }
            None => {
                for id in self.partitions.keys() {
                    self.suspects.entry(*id).or_insert(hole.after);
                }
                self.unknown_since.get_or_insert(hole.after);
            }
        }
    }

    fn mark(&mut self, id: PartitionId, why: String) {
        let p = self
            .partitions
            .entry(id)
            .or_insert_with(|| Partition::new(id, PartitionConfig::default()));
        p.incomplete.get_or_insert(why);
        p.lost_end = true;
        p.dirty = true;
    }

    /// Applies one record of commit `sequence`.
    pub(crate) fn record(
        &mut self,
        sequence: u64,
        h: &Header,
        payload: &[u8],
        config_of: &impl Fn(PartitionId) -> PartitionConfig,
    ) {
        let id = h.partition;
        if h.kind == Type::Delete {
            self.partitions.remove(&id);
            self.suspects.remove(&id);
            self.gone.push(id);
            return;
        }
        if let Some(after) = self.suspects.remove(&id)
            && h.previous > after
        {
            self.mark(id, format!("commits after {after} are damaged"));
        }
        if let Some(after) = self.unknown_since
            && !self.partitions.contains_key(&id)
            && h.previous > after
        {
            self.mark(id, format!("commits after {after} are damaged"));
        }
        let expected = self.expected.get(&id).copied().unwrap_or(0);
        let p = self.partitions.entry(id).or_insert_with(|| {
            let mut p = Partition::new(id, config_of(id));
            p.tail.expect(expected);
            p
        });
        if p.incomplete.is_some() {
            // What follows does not continue the prefix that verifies. It is told what that was.
            see(p, h, payload);
            return;
        }
        p.dirty = true;
        p.last_record = sequence;
        let refused = match h.kind {
            Type::Data => replay_data(&self.rt, p, h, payload),
            Type::LogStart => {
                if h.offset > p.log.end() {
                    Some(format!("log start {} is beyond the end {}", h.offset, p.log.end()))
                } else {
                    let dropped = p.log.advance_start(h.offset).segments;
                    p.forget(&dropped);
                    None
                }
            }
            Type::Truncate => truncate::replay(&self.rt, p, h, payload),
            Type::Delete | Type::Start | Type::CleanShutdown | Type::Directory => {
                Some(format!("a record of type {:?} has no place here", h.kind))
            }
        };
        if let Some(why) = refused {
            p.incomplete = Some(format!("commit {sequence}: {why}"));
            see(p, h, payload);
        }
    }

    /// The state that was formed.
    pub(crate) fn finish(mut self) -> Outcome {
        for (id, after) in std::mem::take(&mut self.suspects) {
            self.mark(id, format!("commits after {after} are damaged"));
        }
        let mut shared = BTreeMap::new();
        for (id, mut p) in self.partitions {
            if p.incomplete.is_none()
                && let Some(why) = missing_bytes(&p)
            {
                p.incomplete = Some(why);
                p.dirty = true;
            }
            if p.seen_end > p.log.end()
                && let Some(why) = &mut p.incomplete
            {
                *why = format!("{why}; offsets {} to {} followed", p.log.end(), p.seen_end);
            }
            if p.lost_end {
                p.unused_from = p.unused_from.max(p.seen_end).max(p.log.end()) + UNSEEN_MAX;
            }
            p.tail.rest();
            p.settle();
            shared.insert(id, Rc::new(RefCell::new(p)));
        }
        Outcome { partitions: shared, gone: self.gone, unaccounted: self.unknown_since }
    }
}

/// A batch that cannot be taken any more says at least how far the offsets went.
fn see(p: &mut Partition, h: &Header, payload: &[u8]) {
    if h.kind == Type::Data {
        let end = h.offset + meta_of(payload).map_or(0, |m| i64::from(m.offsets));
        p.seen_end = p.seen_end.max(end);
        p.lost_end = false;
    }
}

/// Every byte of the log must be in a file, the rest log or in memory.
fn missing_bytes(p: &Partition) -> Option<String> {
    p.log.segments().iter().find_map(|s| {
        let held = p.rest_end(s.name, p.files.get(&s.name).map_or(0, |f| f.durable));
        let in_memory = || p.tail.slices(s.name, held, s.len).is_some();
        (held < s.len && !in_memory())
            .then(|| format!("bytes {held} to {} of segment {} are missing", s.len, s.name))
    })
}

fn replay_data(rt: &Runtime, p: &mut Partition, h: &Header, payload: &[u8]) -> Option<String> {
    let Some(meta) = meta_of(payload) else { return Some("a batch without a header".into()) };
    let interval = p.config.log.index_interval_bytes;
    if let Err(e) = p.log.replay(&meta, h.epoch, h.offset, h.place, h.at, interval) {
        return Some(format!("{e:?}"));
    }
    if meta.control && txn_index::aborts(payload) && !planted::is(Planted::AbortsForgottenAtReplay)
    {
        p.log.abort(h.offset);
    }
    // A segment that was dropped while a checkpoint was under way has an entry without bytes; its LogStart comes later in
    // the ring. What adjoins nothing is left out: if no LogStart comes, the bytes are found missing at the end.
    let Place { segment, position } = h.place;
    let adjoins = match p.tail.chunks().last() {
        Some((last, _, end)) if last == segment => end == position,
        _ => p.rest_end(segment, p.files.get(&segment).map_or(0, |f| f.durable)) == position,
    };
    if adjoins {
        p.resume_tail(rt.memory(), h.place, payload.len());
        p.tail.append(rt.memory(), segment, position, payload);
    }
    None
}

/// The header of a batch that was validated before it was journalled. `None` if the bytes are none.
pub(crate) fn meta_of(b: &[u8]) -> Option<BatchMeta> {
    let b61: &[u8; 61] = b.get(..61)?.try_into().ok()?;
    let i16_at = |at: usize| i16::from_be_bytes([b61[at], b61[at + 1]]);
    let i32_at = |at: usize| i32::from_be_bytes([b61[at], b61[at + 1], b61[at + 2], b61[at + 3]]);
    let i64_at = |at: usize| i64::from_be_bytes(b61[at..at + 8].try_into().unwrap_or([0; 8]));
    let attributes = i16_at(21);
    let len = u32::try_from(b.len()).ok()?;
    let whole = i64::from(i32_at(8)) + 12 == i64::from(len);
    let offsets = i32_at(23).checked_add(1)?;
    (whole && offsets > 0).then_some(BatchMeta {
        len,
        offsets,
        max_timestamp: Timestamp(i64_at(35)),
        producer_id: ProducerId(i64_at(43)),
        producer_epoch: ProducerEpoch(i16_at(51)),
        base_sequence: i32_at(53),
        transactional: attributes & 0x10 != 0,
        control: attributes & 0x20 != 0,
    })
}
