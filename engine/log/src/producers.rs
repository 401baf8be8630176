//! Idempotent producers: sequences and duplicates (KIP-98).
//!
//! Per producer id the last five batches are remembered, because a client may have five requests in flight and send all of
//! them again. A batch that repeats one of the five exactly is a duplicate and gets the original's offset; anything else must
//! continue the sequence.

mod table;

use crate::BatchMeta;
use crate::batch::add_sequence;
use ids::{Offset, ProducerEpoch, ProducerId, Timestamp};
use std::collections::BTreeSet;
use table::Table;

/// How many batches a producer may have in flight, and so how many are remembered (KIP-98).
pub(crate) const WINDOW: usize = 5;

/// One remembered batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenBatch {
    /// Sequence of its first record.
    pub first_sequence: i32,
    /// Sequence of its last record.
    pub last_sequence: i32,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Its largest timestamp: the log append time of the original goes into the answer to a duplicate.
    pub max_timestamp: Timestamp,
}

impl WrittenBatch {
    /// The offset of its first record.
    #[must_use]
    pub fn base_offset(&self) -> Offset {
        let span = i64::from(self.last_sequence) - i64::from(self.first_sequence);
        let span = if span < 0 { span + i64::from(i32::MAX) + 1 } else { span };
        Offset(self.last_offset.0 - span)
    }
}

/// What is known of one producer on one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    /// The producer's incarnation.
    pub epoch: ProducerEpoch,
    /// The last batches, oldest first, at most [`WINDOW`].
    batches: Vec<WrittenBatch>,
    /// When its last batch was appended (broker's wall clock, so that old record timestamps do not expire it).
    pub last_append: Timestamp,
    /// The first offset of its open transaction.
    pub transaction_start: Option<Offset>,
    /// The coordinator epoch of its last transaction marker, or -1.
    pub coordinator_epoch: i32,
}

impl Producer {
    pub(crate) fn new(epoch: ProducerEpoch) -> Self {
        Self {
            epoch,
            batches: Vec::new(),
            last_append: Timestamp::NONE,
            transaction_start: None,
            coordinator_epoch: -1,
        }
    }

    /// The remembered batches, oldest first.
    pub fn batches(&self) -> impl DoubleEndedIterator<Item = &WrittenBatch> {
        self.batches.iter()
    }

    /// The sequence of the newest record, or -1.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        self.batches().next_back().map_or(-1, |b| b.last_sequence)
    }

    pub(crate) fn remember(&mut self, batch: WrittenBatch) {
        if self.batches.len() < WINDOW {
            self.batches.reserve_exact(1);
            self.batches.push(batch);
        } else {
            self.batches.rotate_left(1);
            self.batches[WINDOW - 1] = batch;
        }
    }

    #[cfg(test)]
    fn heap_bytes(&self) -> usize {
        self.batches.capacity() * size_of::<WrittenBatch>()
    }
}

/// Why a batch does not continue its producer's sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SequenceError {
    /// The batch comes from an older incarnation of the producer.
    StaleEpoch {
        /// The producer's present epoch.
        current: ProducerEpoch,
        /// The batch's epoch.
        got: ProducerEpoch,
    },
    /// There is a gap, or the batch is older than the window.
    OutOfOrder {
        /// The sequence that would have continued.
        expected: i32,
        /// The batch's first sequence.
        got: i32,
    },
}

/// All producers of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Producers {
    by_id: Table,
    /// The open transactions: first offset and producer, oldest first.
    open: BTreeSet<(Offset, ProducerId)>,
}

/// How many producers one partition remembers; beyond that the longest silent ones are forgotten.
pub(crate) const PRODUCERS_MAX: usize = 10_000;

impl Producers {
    /// Says whether `batch` continues its producer's sequence: `Ok(None)`; repeats a remembered batch: `Ok(Some(original))`;
    /// or neither.
    ///
    /// # Errors
    /// [`SequenceError`] if it belongs to an old incarnation or leaves a gap.
    pub fn check(&self, batch: &BatchMeta) -> Result<Option<WrittenBatch>, SequenceError> {
        let Some(known) = self.by_id.get(batch.producer_id) else {
            // No state at all: it expired or was truncated away, and any sequence may begin.
            return Ok(None);
        };
        if batch.producer_epoch == known.epoch {
            let last = batch.last_sequence();
            let same = |b: &&WrittenBatch| {
                b.first_sequence == batch.base_sequence && b.last_sequence == last
            };
            if let Some(original) = known.batches().find(same) {
                return Ok(Some(*original));
            }
        }
        if batch.producer_epoch < known.epoch {
            return Err(SequenceError::StaleEpoch {
                current: known.epoch,
                got: batch.producer_epoch,
            });
        }
        let newest = known.last_sequence();
        let expected = if batch.producer_epoch > known.epoch || newest < 0 {
            0
        } else {
            add_sequence(newest, 1)
        };
        // A known epoch without remembered batches (after a transaction marker) may begin anywhere, as in a new state.
        let free_start = batch.producer_epoch == known.epoch && newest < 0;
        if batch.base_sequence == expected || free_start {
            Ok(None)
        } else {
            Err(SequenceError::OutOfOrder { expected, got: batch.base_sequence })
        }
    }

    /// Remembers a batch that has been given its place.
    pub fn note(&mut self, batch: &BatchMeta, base_offset: Offset, now: Timestamp) {
        if self.by_id.get(batch.producer_id).is_none() && self.by_id.len() >= PRODUCERS_MAX {
            self.forget_the_silent();
        }
        let producer = self
            .by_id
            .get_or_insert_with(batch.producer_id, || Producer::new(batch.producer_epoch));
        if producer.epoch != batch.producer_epoch {
            let open = producer.transaction_start;
            *producer = Producer::new(batch.producer_epoch);
            producer.transaction_start = open;
        }
        producer.remember(batch.written_at(base_offset));
        producer.last_append = producer.last_append.max(now);
        if batch.transactional && producer.transaction_start.is_none() {
            producer.transaction_start = Some(base_offset);
            self.open.insert((base_offset, batch.producer_id));
        }
    }

    /// Notes a transaction marker: the producer's transaction is over, and its epoch may have risen. One of an older epoch
    /// changes nothing. The first offset of the transaction that it has ended, if there was one.
    pub fn note_marker(&mut self, marker: &BatchMeta, now: Timestamp) -> Option<Offset> {
        if self.by_id.get(marker.producer_id).is_none() && self.by_id.len() >= PRODUCERS_MAX {
            self.forget_the_silent();
        }
        let producer = self
            .by_id
            .get_or_insert_with(marker.producer_id, || Producer::new(marker.producer_epoch));
        if marker.producer_epoch < producer.epoch {
            return None;
        }
        let ended = producer.transaction_start.take();
        if marker.producer_epoch > producer.epoch {
            *producer = Producer::new(marker.producer_epoch);
        }
        producer.last_append = producer.last_append.max(now);
        if let Some(first) = ended {
            self.open.remove(&(first, marker.producer_id));
        }
        ended
    }

    /// Forgets producers whose last append is more than `expiration_ms` ago, unless a transaction is open.
    pub fn expire(&mut self, now: Timestamp, expiration_ms: i64) {
        self.by_id
            .retain(|p| p.transaction_start.is_some() || now - p.last_append <= expiration_ms);
    }

    /// What a truncation to `end` makes of the producers that wrote at or above it, as far as their windows tell: those of
    /// which a batch below `end` is remembered, and the ids of those of which only the log can say what they wrote there.
    ///
    /// Who sends again after a truncation sends batches of the last five, so what is left of the window is enough.
    #[must_use]
    pub fn cut_windows(&self, end: Offset) -> (Self, Vec<ProducerId>) {
        let (mut known, mut unknown) = (Self::default(), Vec::new());
        for (id, p) in self.sorted() {
            if p.batches().all(|b| b.last_offset < end) {
                continue;
            }
            let mut cut = Producer { batches: Vec::new(), ..p.clone() };
            for b in p.batches().filter(|b| b.last_offset < end) {
                cut.remember(*b);
            }
            let first = p.batches().next().map_or(0, |b| b.first_sequence);
            if cut.batches().next().is_some() {
                known.insert(id, cut);
            } else if first != 0 || p.epoch.0 != 0 {
                // The first batch of an id has sequence 0 in epoch 0; before that one there is nothing.
                unknown.push(id);
            }
        }
        (known, unknown)
    }

    /// Forgets the longest silent of them until at most `most` are left; those with an open transaction last.
    pub fn keep_newest(&mut self, most: usize) {
        let rank = |p: &Producer| (p.transaction_start.is_some(), p.last_append);
        let mut ages: Vec<((bool, Timestamp), ProducerId)> =
            self.sorted().into_iter().map(|(id, p)| (rank(p), id)).collect();
        ages.sort_unstable();
        for (_, id) in ages.into_iter().take(self.len().saturating_sub(most)) {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: ProducerId) {
        if let Some(first) = self.by_id.remove(id).and_then(|p| p.transaction_start) {
            self.open.remove(&(first, id));
        }
    }

    /// Those of them with an open transaction.
    #[must_use]
    pub fn with_open_transactions(&self) -> Self {
        let mut open = Self::default();
        for (_, id) in &self.open {
            if let Some(p) = self.by_id.get(*id) {
                open.insert(*id, p.clone());
            }
        }
        open
    }

    /// Completes what a truncation says of producers, which were `now` before: which transactions are open where the log ends
    /// afterwards. `open` was formed from the log below that end; who is not in it has none there but one that is open now.
    pub fn reopen(&mut self, now: &Self, open: &Self) {
        self.by_id.for_each_mut(|p| p.transaction_start = None);
        self.open.clear();
        for (id, found) in open.sorted() {
            let since = now.get(id).and_then(|p| p.transaction_start);
            let still = since.is_some() && since <= found.transaction_start;
            if still && self.get(id).is_none() {
                continue;
            }
            let mut p = self.get(id).unwrap_or(found).clone();
            p.transaction_start = found.transaction_start;
            self.insert(id, p);
        }
    }

    /// The state at `end`, of which `below` was formed from the batches that the log still holds below it. A producer that
    /// wrote nothing at or above `end` keeps what is known of it, also what retention has taken from the log; but a transaction
    /// whose end lies above is open again.
    #[must_use]
    pub fn cut_back(&self, end: Offset, below: &Self) -> Self {
        let mut cut = Self::default();
        for (id, p) in self.sorted() {
            let wrote_above = p.batches().any(|b| b.last_offset >= end);
            let open = p.transaction_start.filter(|s| *s < end);
            let told = below.get(id);
            let ended_above = open.is_none() && told.is_some_and(|b| b.transaction_start.is_some());
            let other_epoch = ended_above && told.is_some_and(|b| b.epoch != p.epoch);
            let kept = if wrote_above || other_epoch { told } else { Some(p) };
            if let Some(kept) = kept {
                let told = told.and_then(|b| b.transaction_start);
                let mut kept = kept.clone();
                kept.transaction_start = open.or(told).filter(|s| *s < end);
                cut.insert(id, kept);
            }
        }
        // Whose transaction had ended, and who has been forgotten since.
        for (id, p) in below.sorted() {
            if self.get(id).is_none() && p.transaction_start.is_some() {
                cut.insert(id, p.clone());
            }
        }
        cut
    }

    /// A sixteenth goes at once, so that a stream of new ids does not pay a scan for each.
    fn forget_the_silent(&mut self) {
        let mut ages: Vec<(Timestamp, ProducerId)> = self
            .sorted()
            .into_iter()
            .filter(|(_, p)| p.transaction_start.is_none())
            .map(|(id, p)| (p.last_append, id))
            .collect();
        ages.sort_unstable();
        for (_, id) in ages.into_iter().take(PRODUCERS_MAX / 16) {
            self.by_id.remove(id);
        }
    }

    /// What is known of one producer.
    #[must_use]
    pub fn get(&self, id: ProducerId) -> Option<&Producer> {
        self.by_id.get(id)
    }

    /// All producers in the order of their ids.
    #[must_use]
    pub fn sorted(&self) -> Vec<(ProducerId, &Producer)> {
        self.by_id.sorted()
    }

    /// How many producers are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.len() == 0
    }

    /// The first offset of the oldest open transaction.
    #[must_use]
    pub fn first_open_transaction(&self) -> Option<Offset> {
        self.open.first().map(|(first, _)| *first)
    }

    /// Takes what is known of one producer from elsewhere.
    pub fn insert(&mut self, id: ProducerId, producer: Producer) {
        let open = producer.transaction_start;
        self.remove(id);
        self.by_id.get_or_insert_with(id, || producer);
        self.open.extend(open.map(|first| (first, id)));
    }

    /// What they have allocated, without the open transactions.
    #[cfg(test)]
    pub(crate) fn heap_bytes(&self) -> usize {
        self.by_id.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(epoch: i16, first: i32, count: i32) -> BatchMeta {
        BatchMeta {
            len: 100,
            offsets: count,
            max_timestamp: Timestamp(1),
            producer_id: ProducerId(7),
            producer_epoch: ProducerEpoch(epoch),
            base_sequence: first,
            transactional: false,
            control: false,
        }
    }

    fn after(batches: &[BatchMeta]) -> Producers {
        let mut p = Producers::default();
        let mut at = Offset(0);
        for b in batches {
            assert_eq!(p.check(b), Ok(None));
            p.note(b, at, Timestamp(10));
            at = at + i64::from(b.offsets);
        }
        p
    }

    #[test]
    fn a_producer_of_a_partition_takes_about_two_hundred_bytes() {
        let p = after(&[batch(0, 0, 1)]);
        assert_eq!(p.heap_bytes(), size_of::<(ProducerId, Producer)>() + size_of::<WrittenBatch>());
        let p = after(&(0..9).map(|i| batch(0, i, 1)).collect::<Vec<_>>());
        assert!(p.heap_bytes() <= 200, "{}", p.heap_bytes());
    }

    #[test]
    fn a_repeated_batch_gets_the_original_offset() {
        let p = after(&[batch(0, 0, 3), batch(0, 3, 2), batch(0, 5, 5)]);
        let original = p.check(&batch(0, 3, 2)).unwrap().unwrap();
        assert_eq!((original.base_offset(), original.last_offset), (Offset(3), Offset(4)));
    }

    #[test]
    fn only_five_batches_are_remembered() {
        let p = after(&(0..6).map(|i| batch(0, i, 1)).collect::<Vec<_>>());
        let too_old = p.check(&batch(0, 0, 1));
        assert_eq!(too_old, Err(SequenceError::OutOfOrder { expected: 6, got: 0 }));
        assert!(p.check(&batch(0, 1, 1)).unwrap().is_some());
    }

    #[test]
    fn a_gap_a_partial_repeat_and_an_old_epoch_are_refused() {
        let p = after(&[batch(1, 0, 4)]);
        assert_eq!(
            p.check(&batch(1, 5, 1)),
            Err(SequenceError::OutOfOrder { expected: 4, got: 5 })
        );
        assert_eq!(
            p.check(&batch(1, 0, 3)),
            Err(SequenceError::OutOfOrder { expected: 4, got: 0 })
        );
        assert_eq!(
            p.check(&batch(0, 4, 1)),
            Err(SequenceError::StaleEpoch { current: ProducerEpoch(1), got: ProducerEpoch(0) })
        );
    }

    #[test]
    fn a_new_epoch_starts_at_zero_and_an_unknown_producer_anywhere() {
        let p = after(&[batch(1, 0, 4)]);
        assert_eq!(p.check(&batch(2, 0, 1)), Ok(None));
        assert_eq!(
            p.check(&batch(2, 4, 1)),
            Err(SequenceError::OutOfOrder { expected: 0, got: 4 })
        );
        assert_eq!(Producers::default().check(&batch(0, 99, 1)), Ok(None));
    }

    #[test]
    fn sequences_wrap() {
        let p = after(&[batch(0, i32::MAX - 1, 4)]);
        assert_eq!(p.get(ProducerId(7)).unwrap().last_sequence(), 1);
        assert_eq!(p.check(&batch(0, 2, 1)), Ok(None));
        let original = p.check(&batch(0, i32::MAX - 1, 4)).unwrap().unwrap();
        assert_eq!(original.base_offset(), Offset(0));
    }

    #[test]
    fn a_cut_takes_back_what_was_written_above_it() {
        let all = after(&[batch(0, 0, 3), batch(0, 3, 2), batch(0, 5, 5)]);
        let below = after(&[batch(0, 0, 3)]);
        let cut = all.cut_back(Offset(3), &below);
        assert_eq!(cut.get(ProducerId(7)).unwrap().last_sequence(), 2);
        assert_eq!(cut.check(&batch(0, 3, 2)), Ok(None));
        assert_eq!(all.cut_back(Offset(10), &Producers::default()), all);
        assert!(all.cut_back(Offset(0), &Producers::default()).is_empty());
    }

    #[test]
    fn a_cut_window_knows_what_it_remembers_and_says_of_whom_the_log_must_tell() {
        let all = after(&[batch(0, 0, 3), batch(0, 3, 2), batch(0, 5, 5)]);
        let (known, unknown) = all.cut_windows(Offset(5));
        assert_eq!((known.get(ProducerId(7)).unwrap().last_sequence(), unknown.len()), (4, 0));
        assert!(all.cut_windows(Offset(10)).0.is_empty(), "nobody wrote above");
        // The window reaches back to the producer's first batch.
        let (known, unknown) = all.cut_windows(Offset(0));
        assert!(known.is_empty() && unknown.is_empty());
        // It does not.
        let long = after(&(0..8).map(|i| batch(0, i, 1)).collect::<Vec<_>>());
        let (known, unknown) = long.cut_windows(Offset(3));
        assert_eq!((known.len(), unknown), (0, vec![ProducerId(7)]));
        let (known, unknown) = long.cut_windows(Offset(5));
        assert_eq!((known.get(ProducerId(7)).unwrap().batches().count(), unknown.len()), (2, 0));
    }

    #[test]
    fn the_newest_are_kept() {
        let mut p = Producers::default();
        for i in 0..10 {
            let b = BatchMeta { producer_id: ProducerId(i), ..batch(0, 0, 1) };
            p.note(&b, Offset(i), Timestamp(i));
        }
        p.keep_newest(3);
        let ids: Vec<i64> = p.sorted().iter().map(|(id, _)| id.0).collect();
        assert_eq!(ids, [7, 8, 9]);
    }

    #[test]
    fn a_marker_ends_the_transaction_and_may_raise_the_epoch() {
        let data = |epoch, first| BatchMeta { transactional: true, ..batch(epoch, first, 2) };
        let marker = |epoch| BatchMeta {
            control: true,
            transactional: true,
            base_sequence: -1,
            ..batch(epoch, 0, 1)
        };
        let mut p = after(&[data(1, 0), data(1, 2)]);
        assert_eq!(p.first_open_transaction(), Some(Offset(0)));
        p.note_marker(&marker(0), Timestamp(10));
        assert_eq!(p.first_open_transaction(), Some(Offset(0)), "an old one ends nothing");
        p.note_marker(&marker(1), Timestamp(20));
        assert_eq!(p.first_open_transaction(), None);
        assert_eq!(p.get(ProducerId(7)).unwrap().last_append, Timestamp(20));
        // The sequence goes on behind the marker.
        assert_eq!(p.check(&data(1, 4)), Ok(None));
        assert!(p.check(&data(1, 2)).unwrap().is_some());
        // A raised epoch (KIP-890) begins anew, and an unknown producer is known by its epoch alone.
        p.note_marker(&marker(2), Timestamp(30));
        assert_eq!(p.get(ProducerId(7)).unwrap().batches().count(), 0);
        assert!(p.check(&data(1, 4)).is_err());
        let mut none = Producers::default();
        none.note_marker(&marker(3), Timestamp(1));
        assert_eq!(none.get(ProducerId(7)).unwrap().epoch, ProducerEpoch(3));
    }

    #[test]
    fn a_cut_below_a_marker_opens_the_transaction_again() {
        let of = |id, b: BatchMeta| BatchMeta { producer_id: ProducerId(id), ..b };
        let data = |id, first| of(id, BatchMeta { transactional: true, ..batch(0, first, 1) });
        let marker = |id, epoch| {
            let marker = BatchMeta { transactional: true, control: true, ..batch(epoch, -1, 1) };
            of(id, marker)
        };
        // 1 ends at 6 and goes on at 8, 2 ends at 7 with another epoch, 3 stays open, 4 ended below the cut.
        let now = |upto: i64| {
            let mut p = Producers::default();
            let all = [
                (0, data(4, 0)),
                (2, marker(4, 0)),
                (3, data(1, 0)),
                (4, data(2, 0)),
                (5, data(3, 0)),
                (6, marker(1, 0)),
                (7, marker(2, 1)),
                (8, data(1, 1)),
            ];
            for (at, b) in all.into_iter().filter(|(at, _)| *at < upto) {
                if b.control {
                    p.note_marker(&b, Timestamp(1));
                } else {
                    p.note(&b, Offset(at), Timestamp(1));
                }
            }
            p
        };
        let all = now(100);
        assert_eq!(all.first_open_transaction(), Some(Offset(5)));
        let below = now(6);
        let mut told = all.cut_windows(Offset(6)).0;
        told.reopen(&all, &below.with_open_transactions());
        let ids = |p: &Producers| p.sorted().iter().map(|(id, _)| id.0).collect::<Vec<_>>();
        assert_eq!(ids(&told), [1, 2], "3 is as it was");
        let cut = all.cut_back(Offset(6), &told);
        assert_eq!(cut, below);
        assert_eq!(cut.first_open_transaction(), Some(Offset(3)));
        // Only the second transaction of 1 is cut off.
        let mut told = all.cut_windows(Offset(8)).0;
        told.reopen(&all, &now(8).with_open_transactions());
        assert_eq!(all.cut_back(Offset(8), &told), now(8));
    }

    #[test]
    fn the_silent_expire() {
        let mut p = after(&[batch(0, 0, 1)]);
        p.expire(Timestamp(100), 90);
        assert_eq!(p.len(), 1);
        p.expire(Timestamp(101), 90);
        assert!(p.is_empty());
    }

    #[test]
    fn the_number_of_producers_is_bounded() {
        let mut p = Producers::default();
        for i in 0..PRODUCERS_MAX + 10 {
            let id = ProducerId(i64::try_from(i).unwrap());
            let b = BatchMeta { producer_id: id, ..batch(0, 0, 1) };
            p.note(&b, Offset(0), Timestamp(i64::try_from(i).unwrap()));
        }
        assert!(p.len() <= PRODUCERS_MAX);
        assert!(p.get(ProducerId(0)).is_none());
        assert!(p.get(ProducerId(PRODUCERS_MAX as i64 + 9)).is_some());
    }
}
