//! Which transactions were aborted among some offsets.

use super::file::{Reader, Unusable, each};
use super::follow::follow;
use crate::partition::Shared;
use crate::planted::{self, Planted};
use crate::reads::ReadError;
use crate::store::Store;
use ids::{Offset, PartitionId};
use log::{AbortedTxn, Segment, SegmentName};

/// How often a search begins again because a segment has left the log under it.
const TRIES: u32 = 5;

/// How a search goes on behind a segment.
enum Step {
    /// Nothing further on can overlap.
    Over,
    /// There may be more.
    On,
    /// The segment has left the log.
    Gone,
}

impl Store {
    /// The last stable offset of a partition whose high watermark is `high_watermark` (see [`log::Log::last_stable`]). Ends of
    /// transactions below that are forgotten: a high watermark never goes back.
    ///
    /// # Errors
    /// [`ReadError::UnknownPartition`].
    pub fn last_stable(
        &self,
        id: PartitionId,
        high_watermark: Offset,
    ) -> Result<Offset, ReadError> {
        let p = self.partition(id).map_err(|_| ReadError::UnknownPartition)?;
        let mut p = p.borrow_mut();
        p.log.on_committed(high_watermark);
        Ok(p.log.last_stable(high_watermark))
    }

    /// The aborted transactions that overlap with the offsets from `from` up to, not including, `to`, in the order of their
    /// markers. Asked for what was read: each of them has a marker there or was open behind it, so there are not more than
    /// batches in what was read, and producers.
    ///
    /// # Errors
    /// [`ReadError`]; a damaged index is no error as long as the log says what it held.
    pub async fn aborted_transactions(
        &self,
        id: PartitionId,
        from: Offset,
        to: Offset,
    ) -> Result<Vec<AbortedTxn>, ReadError> {
        let p = self.partition(id).map_err(|_| ReadError::UnknownPartition)?;
        let mut tries = 0;
        'again: loop {
            let mut found = Vec::new();
            let mut next = first(&p, from, to);
            while let Some(name) = next {
                match self.search(&p, name, (from, to), &mut found).await? {
                    Step::Over => return Ok(found),
                    Step::On => {}
                    Step::Gone if tries < TRIES => {
                        tries += 1;
                        continue 'again;
                    }
                    Step::Gone => return Err(ReadError::Io("the log changes too often".into())),
                }
                next = behind(&p, name, to);
            }
            return Ok(found);
        }
    }

    async fn search(
        &self,
        p: &Shared,
        name: SegmentName,
        (from, to): (Offset, Offset),
        found: &mut Vec<AbortedTxn>,
    ) -> Result<Step, ReadError> {
        let mut rebuilt = false;
        loop {
            // Those in memory are taken before the file is read: a checkpoint may bring them there meanwhile.
            let (id, in_file, file_last, (mut tail, ends)) = {
                let p = p.borrow();
                let Some(s) = p.log.segment(name) else { return Ok(Step::Gone) };
                let tail = s.aborted.tail();
                let tail = tail.get(tail.partition_point(|t| t.last < from)..).unwrap_or(&[]);
                let last = tail.iter().position(|t| t.last_stable >= to);
                let near = tail.get(..last.map_or(tail.len(), |at| at + 1)).unwrap_or(&[]);
                let tail: Vec<_> = near.iter().filter(|t| t.first < to).copied().collect();
                (p.id, s.aborted.in_file(), s.aborted.file_last(), (tail, last.is_some()))
            };
            let mut here = Vec::new();
            let mut over = false;
            if in_file > 0 && file_last >= from {
                let take = |t: AbortedTxn| {
                    over = t.last_stable >= to;
                    // There may be very many that end behind `to`, and began there.
                    if t.first < to {
                        here.push(t);
                    }
                    !over
                };
                let read = match Reader::open(self, id, name, (in_file, file_last)).await {
                    Ok(reader) => reader.each(from, take).await,
                    Err(e) => Err(e),
                };
                if p.borrow().log.segment(name).is_none() {
                    return Ok(Step::Gone);
                }
                match read {
                    Ok(()) => {}
                    Err(Unusable::Damaged(_))
                        if planted::is(Planted::TransactionIndexNotRebuilt) => {}
                    Err(Unusable::Damaged(n)) if !rebuilt => {
                        if !self.rebuild(p, name, n).await? {
                            return Ok(Step::Gone);
                        }
                        rebuilt = true;
                        continue;
                    }
                    Err(e) => return Err(e.into()),
                }
            }
            if !over {
                over = ends;
                here.append(&mut tail);
            }
            found.append(&mut here);
            return Ok(if over { Step::Over } else { Step::On });
        }
    }

    /// What the file of a segment's index held is found again in the log, and written anew by the next checkpoint. False if the
    /// log has changed meanwhile, so that whoever wanted it has to look again.
    pub(super) async fn rebuild(
        &self,
        p: &Shared,
        name: SegmentName,
        entry: u32,
    ) -> Result<bool, ReadError> {
        let held = |p: &Shared| {
            let p = p.borrow();
            p.log.segment(name).map(|s| (s.aborted.in_file(), s.aborted.file_last()))
        };
        let before = held(p);
        // All of a segment may have to be read for it: once, however many readers want it.
        let turn = self.inner.txn_rebuilds.acquire().await;
        let Some((in_file, file_last)) = before.filter(|_| held(p) == before) else {
            return Ok(false);
        };
        let (names, start) = {
            let p = p.borrow();
            let Some(s) = p.log.segment(name) else { return Ok(false) };
            let matter = |of: &&Segment| of.end > s.unstable_from && of.name <= name;
            let names: Vec<_> = p.log.segments().iter().filter(matter).map(|s| s.name).collect();
            runtime::tell!(
                "entry {entry} of the transaction index of segment {name} of {} is damaged: it is made good from the log",
                p.id
            );
            (names, p.log.start())
        };
        let mut found = Vec::new();
        let on_abort = |of: SegmentName, txn: AbortedTxn| {
            if of == name {
                found.push(txn);
            }
        };
        let followed = follow(self, p, &names, (start, file_last.next()), on_abort).await?;
        drop(turn);
        // A truncation meanwhile may have taken what was found.
        if followed.is_none() || held(p) != Some((in_file, file_last)) {
            return Ok(false);
        }
        let mut p = p.borrow_mut();
        p.keep_for(self.inner.checkpoint.get());
        if let Some(s) = p.log.segment_mut(name) {
            s.aborted.taken_from_file(found);
        }
        self.inner.count(|c| c.txn_indexes_rebuilt += 1);
        Ok(true)
    }
}

/// What a compacted segment made of `group` keeps: the transactions whose markers are among `markers`, which rise. Where a
/// marker has gone none of its transaction's records is left, and to name it would hide its producer's later ones.
pub(crate) async fn kept(
    store: &Store,
    p: &Shared,
    group: &[Segment],
    markers: &[Offset],
) -> Result<Vec<AbortedTxn>, ReadError> {
    let mut all = Vec::new();
    for s in group.iter().filter(|s| !s.aborted.is_empty()) {
        all.extend(kept_of(store, p, s.name, markers).await?);
    }
    Ok(all)
}

async fn kept_of(
    store: &Store,
    p: &Shared,
    name: SegmentName,
    markers: &[Offset],
) -> Result<Vec<AbortedTxn>, ReadError> {
    let stays = |t: &AbortedTxn| markers.binary_search(&t.last).is_ok();
    let mut tries = 0;
    loop {
        // Before the file is read: a checkpoint may bring them there meanwhile.
        let tail = p.borrow().log.segment(name).map_or(Vec::new(), |s| s.aborted.tail().to_vec());
        let mut all = Vec::new();
        let take = |t: AbortedTxn| {
            if stays(&t) {
                all.push(t);
            }
            true
        };
        match each(store, p, name, take).await {
            Ok(()) => {
                all.extend(tail.into_iter().filter(stays));
                return Ok(all);
            }
            Err(Unusable::Damaged(n)) if tries < TRIES => {
                tries += 1;
                store.rebuild(p, name, n).await?;
            }
            Err(e) => return Err(e.into()),
        }
    }
}

/// The first segment that may hold a marker of what overlaps.
fn first(p: &Shared, from: Offset, to: Offset) -> Option<SegmentName> {
    let p = p.borrow();
    let segments = p.log.segments();
    if from >= to || from >= p.log.end() {
        return None;
    }
    let at = segments.partition_point(|s| s.name.base <= from).saturating_sub(1);
    in_order(segments.get(at..).unwrap_or(&[]), to)
}

fn behind(p: &Shared, name: SegmentName, to: Offset) -> Option<SegmentName> {
    let p = p.borrow();
    let segments = p.log.segments();
    in_order(segments.get(segments.partition_point(|s| s.name <= name)..).unwrap_or(&[]), to)
}

/// The first of `segments` with an aborted transaction; none that begins where everything that is open began at or above `to`.
fn in_order(segments: &[Segment], to: Offset) -> Option<SegmentName> {
    let near = segments.iter().take_while(|s| s.unstable_from < to);
    near.filter(|s| !s.aborted.is_empty()).map(|s| s.name).next()
}
