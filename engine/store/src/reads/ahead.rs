//! Reading on where a reader stopped, and ahead of him.

use super::pool::Room;
use super::streams::{Ahead, KEPT, Stream, in_file, next_place, readable};
use super::{Head, Limits, Read, Run, cut, to_u32};
use crate::format::BLOCK;
use crate::partition::{Shared, floor_block};
use crate::store::Store;
use ids::Offset;
use log::Place;
use runtime::{Memory, Slice};
use std::rc::Rc;

/// Ranges begin with what is asked for and double up to this, if it is less: small fetches are then served from one read.
const GROWN: usize = 256 * 1024;
/// Less than this is not worth a read of its own.
const WORTH: usize = 64 * 1024;
/// Read-ahead may hold one part in so many of the memory of cold reads.
const SHARE: usize = 2;

/// Bytes from a block of a segment's file on.
struct Range {
    at: u32,
    bytes: Slice,
}

impl Range {
    fn head(&self, place: Place) -> Option<Head> {
        let skip = place.position.checked_sub(self.at)? as usize;
        self.bytes.get(skip..).and_then(Head::parse)
    }
}

impl Store {
    /// Serves a reader who comes back where he stopped; none if what he comes for is better looked for afresh: then nothing has
    /// happened.
    pub(super) async fn read_on(
        &self,
        p: &Shared,
        from: Offset,
        limits: &Limits,
        stream: Stream,
    ) -> Option<Read> {
        let id = p.borrow().id;
        let quick = stream.is_quick(self.inner.rt.now());
        let place = stream.place;
        let mut ahead = stream.ahead.clone();
        let mut range = None;
        if let Some(a) = &ahead
            && a.segment == place.segment
        {
            range = a.bytes().await.map(|bytes| Range { at: a.from, bytes });
        }
        // While it was on its way the log may have changed.
        if !in_file(&p.borrow(), place, from) {
            return None;
        }
        // How large the next batch is, or most likely is.
        let batch = range.as_ref().and_then(|r| r.head(place)).map_or(stream.batch, |h| h.len);
        let batch = batch as usize;
        if !limits.at_least_one && batch > limits.bytes {
            self.inner.streams.borrow_mut().put(id, from, stream);
            return Some(Read::default());
        }
        let mut run = range.as_ref().and_then(|r| run_in(p, place, from, r, limits));
        if run.is_none() {
            ahead = None;
            let wanted = match self.inner.cold.room(limits.bytes.max(batch)) {
                Room::Bytes(n) => n.max(batch),
                Room::OneBatch if limits.at_least_one => batch,
                Room::OneBatch => {
                    self.inner.streams.borrow_mut().put(id, from, stream);
                    return Some(Read::default());
                }
            };
            let at = floor_block(place.position);
            let skip = (place.position - at) as usize;
            let bytes = self.read_blocks(p, place.segment, at, skip + wanted).await.ok()?;
            let read = Range { at, bytes };
            run = run_in(p, place, from, &read, limits);
            range = Some(read);
        }
        let (run, range) = (run?, range?);
        if let Some(a) = &ahead {
            a.serve(run.end);
        }
        let skip = (place.position - range.at) as usize;
        let served = range.bytes.slice(skip..run.end);
        let behind = range.bytes.len() - run.end;
        let kept = ahead.filter(|_| behind * 2 >= served.len() && follows(&range.bytes, run.end));
        let end = Place { segment: place.segment, position: range.at + to_u32(run.end) };
        let (ranges, ahead) = match kept {
            None if quick => {
                let grown = limits.bytes.checked_shl(stream.ranges).unwrap_or(GROWN);
                let wanted = grown.min(GROWN).max(limits.bytes);
                (stream.ranges + 1, self.read_ahead(p, end, wanted, run.batch))
            }
            kept => (stream.ranges, kept),
        };
        self.note(p, end, run, ranges, ahead);
        Some(Read { bytes: served.len(), slices: vec![served], from_tail: false })
    }

    /// Notes where a reader will come back who got everything up to `end`.
    pub(super) fn note(
        &self,
        p: &Shared,
        end: Place,
        run: Run,
        ranges: u32,
        ahead: Option<Rc<Ahead>>,
    ) {
        let place = next_place(&p.borrow(), end);
        let Some(place) = place.filter(|place| in_file(&p.borrow(), *place, run.next)) else {
            return;
        };
        let left = self.inner.rt.now();
        let stream = Stream { place, batch: run.batch, left, ranges, ahead };
        let id = p.borrow().id;
        self.inner.streams.borrow_mut().put(id, run.next, stream);
    }

    /// Begins to read what follows `end`, if there is room: at least one batch, if it is as long as the last.
    fn read_ahead(&self, p: &Shared, end: Place, wanted: usize, batch: u32) -> Option<Rc<Ahead>> {
        let inner = &self.inner;
        let place = next_place(&p.borrow(), end)?;
        let readable = readable(&p.borrow(), place);
        let tally = Rc::clone(&inner.streams.borrow().tally);
        let most = inner.config.thresholds.read_ahead as usize;
        let from = floor_block(place.position);
        let one = (place.position - from) as usize + batch as usize;
        let wanted = wanted.max(one).next_multiple_of(BLOCK).min(most);
        let memory = inner.cold.buffers();
        let budget = memory.limit() / SHARE;
        let left = budget.saturating_sub(tally.reserved.get());
        let left = left.min(memory.limit().saturating_sub(memory.used()));
        let bytes = planned(wanted.min(readable), left);
        if bytes == 0 {
            return None;
        }
        let ahead = Rc::new(Ahead::new(&tally, place.segment, from, Memory::rounded(bytes)));
        let (store, p, to) = (self.clone(), Rc::clone(p), Rc::downgrade(&ahead));
        inner.rt.spawn(async move {
            let read = store.read_blocks(&p, place.segment, from, bytes).await;
            // He may be gone.
            if let Some(ahead) = to.upgrade() {
                ahead.arrive(read.ok());
            }
        });
        self.sweep();
        Some(ahead)
    }

    /// Sees to it that what nobody comes for is given back.
    fn sweep(&self) {
        if std::mem::replace(&mut self.inner.streams.borrow_mut().swept, true) {
            return;
        }
        let (rt, inner) = (self.inner.rt.clone(), Rc::downgrade(&self.inner));
        self.inner.rt.spawn(async move {
            loop {
                rt.sleep(KEPT).await;
                let Some(inner) = inner.upgrade() else { return };
                let mut streams = inner.streams.borrow_mut();
                if inner.stopping.get() {
                    streams.clear();
                }
                if !streams.sweep(rt.now()) {
                    streams.swept = false;
                    return;
                }
            }
        });
    }
}

/// The part of `wanted` that fits into `left`, in blocks; memory comes in sizes a quarter apart.
fn planned(wanted: usize, left: usize) -> usize {
    if Memory::rounded(wanted) <= left {
        return wanted;
    }
    let mut bytes = wanted.next_power_of_two();
    while bytes >= WORTH && bytes > left {
        bytes /= 2;
    }
    if bytes < WORTH { 0 } else { bytes.min(wanted) }
}

/// What `range` has for a reader at `place` who comes for the offset `from`. None if it does not hold one whole batch for
/// him, or is not what it should be: then the long way finds out.
fn run_in(p: &Shared, place: Place, from: Offset, range: &Range, limits: &Limits) -> Option<Run> {
    let p = p.borrow();
    let skip = place.position.checked_sub(range.at)? as usize;
    let run = cut(&p, place.segment, range.at, &range.bytes, skip, limits).ok()??;
    let compacted = p.log.segment(place.segment)?.compacted;
    let first = (run.first == from) || (compacted && run.first > from);
    first.then_some(run)
}

/// Whether a whole batch begins at `at`, as far as its header tells.
fn follows(bytes: &[u8], at: usize) -> bool {
    let head = bytes.get(at..).and_then(Head::parse);
    head.is_some_and(|h| bytes.len() - at >= h.len as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_what_fits() {
        let mib = 1 << 20;
        assert_eq!(planned(mib, 8 * mib), mib);
        assert_eq!(planned(3 * mib, 2 * mib + 5), 2 * mib);
        assert_eq!(planned(mib, mib / 2), mib / 2);
        assert_eq!(planned(mib, WORTH - 1), 0);
        assert_eq!(planned(4096, WORTH), 4096);
        assert_eq!(planned(4096, 4095), 0);
        assert_eq!(planned(0, mib), 0);
    }
}
