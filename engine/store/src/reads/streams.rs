//! Who reads on where he stopped, and what is read ahead for him.
//!
//! A cold read leaves a note: at which offset this reader comes back, and where that is in the segment. Who comes with that
//! offset is known to read in order. He need not be searched for, and from then on the next range is read while he works on
//! the present one. Who does not come back has cost a note of about 100 bytes: random readers cause no read that they did not
//! ask for. Nobody's name is in a note, so it does not matter through which session or connection he comes.
//!
//! What was read ahead is given back when nobody has come for it for a second: then the reader is gone, has jumped, or is so
//! slow that he does not need it. One who takes longer than half of that from one read to the next is read ahead for no more
//! until he is faster. All of it together is bounded by the budget; without room there is no read-ahead, and who has it keeps
//! it, so that a thousand readers do not throw out each other's ranges before they were used.

use crate::counters::Counters;
use crate::partition::{Partition, floor_block};
use ids::{Instant, Offset, PartitionId};
use log::{Place, SegmentName};
use runtime::Slice;
use runtime::sync::Notify;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// What nobody has come for after this long is given back.
pub(super) const KEPT: Duration = Duration::from_secs(1);
/// Who is slower than this between two reads is not read ahead for.
const QUICK: Duration = Duration::from_millis(500);
/// Notes that are kept; the oldest goes first.
const NOTES_MAX: usize = 4096;

type Key = (PartitionId, Offset);

/// What read-ahead has done, and what it holds.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) reads: Cell<u64>,
    pub(super) bytes: Cell<u64>,
    pub(super) hits: Cell<u64>,
    pub(super) wasted: Cell<u64>,
    /// Of the budget.
    pub(super) reserved: Cell<usize>,
}

/// One reader, between two reads.
#[derive(Debug)]
pub(super) struct Stream {
    /// Where the offset is that he comes for.
    pub(super) place: Place,
    /// Length of the batch that he got last.
    pub(super) batch: u32,
    /// When he got it.
    pub(super) left: Instant,
    /// How many ranges have been read ahead in this order.
    pub(super) ranges: u32,
    pub(super) ahead: Option<Rc<Ahead>>,
}

impl Stream {
    /// Comes back soon enough for read-ahead to be worth its memory.
    pub(super) fn is_quick(&self, now: Instant) -> bool {
        now.since(self.left) < QUICK
    }
}

/// A range that is being read, or has been, before anybody asked for it.
#[derive(Debug)]
pub(super) struct Ahead {
    pub(super) segment: SegmentName,
    /// The first byte: a whole block.
    pub(super) from: u32,
    state: RefCell<State>,
    done: Notify,
    /// Of the budget, until it is dropped.
    reserved: usize,
    used: Cell<usize>,
    tally: Rc<Tally>,
}

#[derive(Debug)]
enum State {
    Reading,
    Here(Slice),
    Failed,
}

impl Ahead {
    pub(super) fn new(tally: &Rc<Tally>, segment: SegmentName, from: u32, reserved: usize) -> Self {
        tally.reads.set(tally.reads.get() + 1);
        tally.reserved.set(tally.reserved.get() + reserved);
        Self {
            segment,
            from,
            state: RefCell::new(State::Reading),
            done: Notify::new(),
            reserved,
            used: Cell::new(0),
            tally: Rc::clone(tally),
        }
    }

    /// The device has answered. An error is not told to anybody: who needs the range reads it himself, and is told then.
    pub(super) fn arrive(&self, bytes: Option<Slice>) {
        let state = match bytes {
            Some(bytes) => {
                self.tally.bytes.set(self.tally.bytes.get() + bytes.len() as u64);
                State::Here(bytes)
            }
            None => State::Failed,
        };
        *self.state.borrow_mut() = state;
        self.done.notify_all();
    }

    /// The bytes, when they are here; none if they could not be read.
    pub(super) async fn bytes(&self) -> Option<Slice> {
        loop {
            match &*self.state.borrow() {
                State::Here(bytes) => return Some(bytes.clone()),
                State::Failed => return None,
                State::Reading => {}
            }
            self.done.notified().await;
        }
    }

    /// A reader got everything up to `end`, a position in the range.
    pub(super) fn serve(&self, end: usize) {
        self.tally.hits.set(self.tally.hits.get() + 1);
        self.used.set(self.used.get().max(end));
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.tally.reserved.set(self.tally.reserved.get() - self.reserved);
        if let State::Here(bytes) = self.state.get_mut() {
            let unused = bytes.len().saturating_sub(self.used.get());
            self.tally.wasted.set(self.tally.wasted.get() + unused as u64);
        }
    }
}

/// The readers of one core.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    notes: BTreeMap<Key, (u64, Stream)>,
    by_age: BTreeMap<u64, Key>,
    clock: u64,
    pub(super) tally: Rc<Tally>,
    /// A task gives back what nobody comes for.
    pub(super) swept: bool,
}

impl Streams {
    /// The note of whoever comes back for `offset`, with what is read ahead for him. The note itself stays: others may be at
    /// the same place, and are then spared the search too.
    pub(super) fn take(&mut self, id: PartitionId, offset: Offset) -> Option<Stream> {
        let (_, note) = self.notes.get_mut(&(id, offset))?;
        Some(Stream { ahead: note.ahead.take(), ..*note })
    }

    fn remove(&mut self, key: Key) -> Option<Stream> {
        let (age, stream) = self.notes.remove(&key)?;
        self.by_age.remove(&age);
        Some(stream)
    }

    /// Leaves a note.
    pub(super) fn put(&mut self, id: PartitionId, offset: Offset, stream: Stream) {
        let key = (id, offset);
        // Two at the same place: what is read ahead for the one serves whichever comes first.
        let stream = match self.remove(key) {
            Some(other) if stream.ahead.is_none() => Stream { ahead: other.ahead, ..stream },
            Some(_) | None => stream,
        };
        if self.notes.len() >= NOTES_MAX
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.notes.remove(&oldest);
        }
        self.clock += 1;
        self.by_age.insert(self.clock, key);
        self.notes.insert(key, (self.clock, stream));
    }

    /// Gives back what nobody has come for; whether anything is left that may have to be.
    pub(super) fn sweep(&mut self, now: Instant) -> bool {
        let mut left = false;
        for (_, stream) in self.notes.values_mut() {
            if stream.ahead.is_some() && now.since(stream.left) >= KEPT {
                stream.ahead = None;
            }
            left |= stream.ahead.is_some();
        }
        left
    }

    /// Adds what read-ahead has done.
    pub(crate) fn count(&self, counters: &mut Counters) {
        counters.read_aheads += self.tally.reads.get();
        counters.read_ahead_bytes += self.tally.bytes.get();
        counters.read_ahead_hits += self.tally.hits.get();
        counters.read_ahead_wasted_bytes += self.tally.wasted.get();
    }

    /// The partition is gone. Another of the same name has other bytes.
    pub(crate) fn forget(&mut self, id: PartitionId) {
        let from = (id, Offset(i64::MIN));
        let of_it = self.notes.range(from..).take_while(|((of, _), _)| *of == id);
        let keys: Vec<Key> = of_it.map(|(key, _)| *key).collect();
        for key in keys {
            drop(self.remove(key));
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.notes.clear();
        self.by_age.clear();
    }
}

/// Whether the batch of `offset` is at `place`, and to be read from there: the log may have changed, or have it in memory.
pub(super) fn in_file(p: &Partition, place: Place, offset: Offset) -> bool {
    let Some(s) = p.log.segment(place.segment).filter(|_| !p.deleted) else { return false };
    p.log.segment_of(offset).is_some_and(|of| of.name == s.name)
        && place.position < s.len
        && p.tail.begins(s.name).is_none_or(|begins| begins > place.position)
}

/// The place of the next batch, behind one that ends at `place`: there, or at the start of the next segment.
pub(super) fn next_place(p: &Partition, place: Place) -> Option<Place> {
    let s = p.log.segment(place.segment)?;
    if place.position < s.len {
        return Some(place);
    }
    let next = p.log.segments().iter().find(|n| n.name > s.name)?;
    Some(Place { segment: next.name, position: 0 })
}

/// How many bytes from the block of `place` on can be read from the file, and only from there; whole blocks.
pub(super) fn readable(p: &Partition, place: Place) -> usize {
    let Some(s) = p.log.segment(place.segment) else { return 0 };
    let written = p.files.get(&s.name).map_or(0, |f| f.written);
    let in_memory = p.tail.begins(s.name).unwrap_or(u32::MAX);
    let end = written.min(s.len).min(in_memory);
    let block = crate::format::BLOCK as u32;
    // The last block of a sealed segment is padded.
    let end = if end == s.len { end.next_multiple_of(block) } else { floor_block(end) };
    let end = end.min(written.next_multiple_of(block));
    end.saturating_sub(floor_block(place.position)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::{PartitionIndex, TopicId};

    const ID: PartitionId = PartitionId { topic: TopicId([1; 16]), index: PartitionIndex(0) };
    const NAME: SegmentName = SegmentName { base: Offset(0), creation: 0 };

    fn stream(tally: Option<&Rc<Tally>>, left: Instant) -> Stream {
        let ahead = tally.map(|t| Rc::new(Ahead::new(t, NAME, 0, 4096)));
        Stream { place: Place { segment: NAME, position: 0 }, batch: 0, left, ranges: 0, ahead }
    }

    #[test]
    fn only_who_comes_for_the_next_offset_is_known() {
        let mut all = Streams::default();
        all.put(ID, Offset(7), stream(None, Instant(0)));
        assert!(all.take(ID, Offset(6)).is_none());
        assert!(all.take(ID, Offset(7)).is_some());
        let other = PartitionId { index: PartitionIndex(1), ..ID };
        all.put(other, Offset(7), stream(None, Instant(0)));
        all.forget(ID);
        assert!(all.take(ID, Offset(7)).is_none());
        assert!(all.take(other, Offset(7)).is_some());
        assert_eq!((all.notes.len(), all.by_age.len()), (1, 1));
    }

    #[test]
    fn notes_are_bounded_and_the_oldest_goes() {
        let mut all = Streams::default();
        for n in 0..=NOTES_MAX as i64 {
            all.put(ID, Offset(n), stream(None, Instant(0)));
        }
        assert_eq!((all.notes.len(), all.by_age.len()), (NOTES_MAX, NOTES_MAX));
        assert!(all.take(ID, Offset(0)).is_none());
        assert!(all.take(ID, Offset(1)).is_some());
    }

    #[test]
    fn what_nobody_comes_for_is_given_back_and_the_note_stays() {
        let mut all = Streams::default();
        let tally = Rc::clone(&all.tally);
        all.put(ID, Offset(7), stream(Some(&tally), Instant(0)));
        assert!(all.sweep(Instant(0) + KEPT / 2));
        assert_eq!(tally.reserved.get(), 4096);
        assert!(!all.sweep(Instant(0) + KEPT));
        assert_eq!(tally.reserved.get(), 0);
        assert!(all.take(ID, Offset(7)).is_some_and(|s| !s.is_quick(Instant(0) + KEPT)));
    }

    #[test]
    fn a_second_reader_at_the_same_place_does_not_throw_away_what_is_there() {
        let mut all = Streams::default();
        let tally = Rc::clone(&all.tally);
        all.put(ID, Offset(7), stream(Some(&tally), Instant(0)));
        all.put(ID, Offset(7), stream(None, Instant(1)));
        assert!(all.take(ID, Offset(7)).is_some_and(|s| s.ahead.is_some() && s.left == Instant(1)));
        assert!(
            all.take(ID, Offset(7)).is_some_and(|s| s.ahead.is_none()),
            "the other knows the place"
        );
    }
}
