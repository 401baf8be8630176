//! Ends the mark of a partition whose acknowledged records are missing: a person has decided to go on without them.

use super::Inspector;
use super::gap;
use super::verify::Check;
use super::walk::{Placed, Step, Walk};
use crate::checkpoint;
use crate::data_dir::OpenError;
use crate::journal::{Journal, Resume};
use crate::partition::{PartitionConfig, Shared};
use crate::recovery::{self, Purpose};
use crate::reserve::Reserve;
use crate::store::{Config, Inner, Parts, Store, unlink_segments};
use ids::{Offset, PartitionId, ProducerId};
use log::{Aborted, AbortedTxn, AppendError, BatchMeta, Producers, Segment, SegmentName};
use std::fmt;
use std::io;
use std::rc::Rc;

/// What has been given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Whose records.
    pub partition: PartitionId,
    /// What the partition holds now: its first offset, and the one after the last.
    pub kept: (Offset, Offset),
    /// The offset that the next record gets: no record ever had it, or a higher one. Batches without records stand between it
    /// and what is kept.
    pub next: Offset,
    /// The offsets that are known to be gone, first and after the last; more may have followed. `None` if nothing is known
    /// to be gone: then all that can be said is that records were lost behind what is kept.
    pub lost: Option<(Offset, Offset)>,
    /// Why it was marked.
    pub why: String,
}

/// Why a loss cannot be accepted. Nothing has changed.
#[derive(Debug)]
pub enum AcceptError {
    /// The directory has no such partition.
    Unknown(PartitionId),
    /// Nothing of it is missing.
    NotIncomplete(PartitionId),
    /// The core's files cannot be read.
    Open(OpenError),
    /// A segment cannot be read just now: what is in it may be whole, and would be cut off.
    Unread(String),
    /// The offsets of the lost records cannot be marked as taken.
    Gap(AppendError),
    /// The new state cannot be written.
    Write(io::Error),
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(id) => write!(f, "the directory has no partition {id}"),
            Self::NotIncomplete(id) => write!(f, "nothing of partition {id} is marked as missing"),
            Self::Open(e) => write!(f, "{e}"),
            Self::Unread(why) => write!(
                f,
                "{why}; what is in it may be whole: make it readable, or move the file away if it is lost"
            ),
            Self::Gap(e) => write!(f, "the lost offsets cannot be marked as taken: {e:?}"),
            Self::Write(e) => write!(f, "the new state cannot be written: {e}"),
        }
    }
}

impl std::error::Error for AcceptError {}

impl Inspector {
    /// Cuts an incomplete partition back to the part that verifies and ends its mark. When this answers, the new state is in
    /// the manifest: a broker that starts takes writes for the partition again. The offsets that are lost stay taken.
    ///
    /// # Errors
    /// [`AcceptError`].
    pub async fn accept_loss(&mut self, id: PartitionId) -> Result<Loss, AcceptError> {
        let (core, marked) = match self.find(id) {
            Some((c, p)) => (c.core, p.borrow().incomplete.is_some()),
            None => return Err(AcceptError::Unknown(id)),
        };
        if !marked {
            return Err(AcceptError::NotIncomplete(id));
        }
        let inner = self.writable(core).await.map_err(AcceptError::Open)?;
        let store = Store { inner: Rc::clone(&inner) };
        let p = store.partition(id).map_err(|_| AcceptError::Unknown(id))?;
        let loss = end_mark(&store, &p).await?;
        checkpoint::append(&inner).await.map_err(AcceptError::Write)?;
        unlink_segments(&inner, id, &loss.1).await;
        self.cores[core.index()] = self.look(core).await;
        Ok(loss.0)
    }

    /// The core's part with files that can be written.
    async fn writable(&self, core: ids::CoreId) -> Result<Rc<Inner>, OpenError> {
        let part = self.part(core)?;
        let default = |_| PartitionConfig::default();
        let found = recovery::recover(&self.rt, &part, Purpose::Mend, default).await?;
        let config = Config::default();
        let resume = Resume {
            ring: found.ring,
            previous: found.chain.last,
            highest_seen: found.chain.highest_seen,
            directory: found.directory,
        };
        let ring = part.ring.ring;
        let journal =
            Journal::new(self.rt.clone(), found.ring_files, ring, resume, config.flush_every);
        Ok(Inner::new(Parts {
            rt: self.rt.clone(),
            paths: self.paths.clone(),
            generation: self.layout.generation,
            core,
            config,
            journal,
            partitions: found.partitions,
            manifest: found.manifest,
            rest: found.rest,
            gone: found.gone,
            unaccounted: found.unaccounted,
            data: None,
            reserve: Reserve::none(),
        }))
    }
}

/// What a walk through the whole log has found to be good.
struct Prefix {
    /// The offset after the last good batch.
    end: Offset,
    /// The segment in which the walk ended, as far as it is good; none if all of it is, or nothing.
    cut: Option<Segment>,
    producers: Producers,
}

/// Cuts back and takes the mark away; what was lost, and which segments have no byte left.
async fn end_mark(store: &Store, p: &Shared) -> Result<(Loss, Vec<SegmentName>), AcceptError> {
    let prefix = good_prefix(store, p).await?;
    let kept_entries = match &prefix.cut {
        Some(cut) => entries_below(store, p, cut).await,
        None => 0,
    };
    let mut guard = p.borrow_mut();
    let p = &mut *guard;
    let end_before = p.log.end();
    let known_to = end_before.max(p.seen_end);
    let next = p.unused_from(end_before, true);
    let mut dropped = Vec::new();
    if prefix.end < p.log.start() {
        // Not even the first record that a reader may ask for is there.
        dropped = p.log.restart_at(next).segments;
    } else if prefix.end < end_before {
        let cut = prefix.cut.clone();
        let producers = p.log.producers().cut_back(prefix.end, &prefix.producers);
        dropped = p.log.truncate(prefix.end, cut, producers).segments;
    }
    p.follow_truncation(store.inner.rt.memory(), &dropped, None);
    if let Some(cut) = &prefix.cut
        && let Some(f) = p.files.get_mut(&cut.name)
    {
        f.index_written = kept_entries;
        f.index_base = kept_entries;
    }
    // Its pieces are written again, as far as they count: the old ones may reach behind the cut.
    p.rest.clear();
    p.dirty = true;
    let why = p.end_mark().unwrap_or_default();
    let kept = (p.log.start(), p.log.end());
    let rt = &store.inner.rt;
    gap::fill(p, rt.memory(), next, rt.wall()).map_err(AcceptError::Gap)?;
    let first_lost =
        if dropped.is_empty() && prefix.end == end_before { end_before } else { prefix.end };
    let lost = (known_to > first_lost).then_some((first_lost, known_to));
    Ok((Loss { partition: p.id, kept, next, lost, why }, dropped))
}

/// Nothing is changed. An error of the device is no proof of a loss.
async fn good_prefix(store: &Store, p: &Shared) -> Result<Prefix, AcceptError> {
    let names: Vec<SegmentName> = p.borrow().log.segments().iter().map(|s| s.name).collect();
    let mut producers = Producers::default();
    for name in names {
        let Some(whole) = p.borrow().log.segment(name).cloned() else { continue };
        let mut cut = Segment::new(name, whole.created_at);
        cut.appended_at = whole.appended_at;
        // It has gaps, and keeps them.
        cut.compacted = whole.compacted;
        cut.transactional = whole.transactional;
        cut.unstable_from = whole.unstable_from;
        let mut aborted: Vec<AbortedTxn> = Vec::new();
        let mut check = Check::new(p, name, Vec::new());
        let mut walk = Walk::new(store, Rc::clone(p), name);
        loop {
            let step = walk.next().await;
            if let Step::Lost { position, why, unread: true } = &step {
                let id = p.borrow().id;
                return Err(AcceptError::Unread(format!("{id}, {name} at byte {position}: {why}")));
            }
            let batch = match &step {
                Step::Batch(b) => Some(*b),
                Step::Lost { .. } | Step::End => None,
            };
            let over = matches!(step, Step::End);
            let wrong = check.step(&p.borrow().log, step);
            if !wrong.is_empty() {
                cut.aborted = Aborted::in_memory(aborted);
                let cut = (cut.len > 0).then_some(cut);
                let end = cut.as_ref().map_or(name.base, |c| c.end);
                return Ok(Prefix { end, cut, producers });
            }
            if let Some(b) = batch {
                extend(&mut cut, &b);
                let (meta, base) = (b.meta(), b.header.base_offset);
                if meta.is_idempotent() {
                    // As in `txn_index/follow.rs`: one without a record opens no transaction, but has its sequence.
                    let transactional = meta.transactional && b.header.count > 0;
                    let meta = BatchMeta { transactional, ..meta };
                    producers.note(&meta, base, whole.appended_at);
                } else if meta.control
                    && meta.producer_id != ProducerId::NONE
                    && let Some(first) = producers.note_marker(&meta, whole.appended_at)
                    && walk.aborts(&b).await.map_err(AcceptError::Unread)?
                {
                    let last_stable = producers.first_open_transaction().unwrap_or(base.next());
                    let producer_id = meta.producer_id;
                    aborted.push(AbortedTxn { producer_id, first, last: base, last_stable });
                }
            }
            if over {
                break;
            }
        }
    }
    let end = p.borrow().log.end();
    Ok(Prefix { end, cut: None, producers })
}

fn extend(cut: &mut Segment, b: &Placed) {
    if cut.len == 0 {
        cut.first_timestamp = b.header.max_timestamp;
    }
    cut.len = b.position + b.bytes;
    cut.end = b.header.next_offset();
    if b.header.max_timestamp > cut.max_timestamp {
        cut.max_timestamp = b.header.max_timestamp;
        cut.max_timestamp_batch = b.header.base_offset;
    }
}

/// How many entries of the index file name batches that are kept. An index that cannot be read is not needed.
async fn entries_below(store: &Store, p: &Shared, cut: &Segment) -> u32 {
    let entries = store.index_entries(p, cut.name).await.unwrap_or_default();
    let below = entries.partition_point(|e| e.position < cut.len);
    u32::try_from(below).unwrap_or(0)
}
