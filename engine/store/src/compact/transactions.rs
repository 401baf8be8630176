//! How transactions ended, and which of them still have records (KIP-98, KIP-534).
//!
//! Nothing at or above the first unstable offset is compacted, so the transactions that a pass meets have ended. Whether they
//! were committed is said by markers behind their records, so the dirty part is looked through for those before its keys are
//! mapped: records of an aborted transaction name no newest offset, and go. Where a transaction begins whose marker lies
//! beyond the part that can be compacted, in the active segment, the pass ends; so every transaction with records below the
//! clean end is one whose end was known when they were compacted, and what is left of them there was committed.
//!
//! A marker is of use while the transaction has a batch, be it an empty one that holds a sequence number: whoever follows the
//! log takes it for open until the marker. When a pass has left none of them, the marker stays until its horizon.

use ids::{Offset, ProducerEpoch, ProducerId};
use record::EndTxn;
use std::collections::BTreeMap;

/// How the transactions of a part of the log ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcomes {
    /// For each producer its markers, rising; of those in a row that say the same only the last.
    ends: BTreeMap<ProducerId, Vec<(Offset, EndTxn)>>,
    /// Where transactions without a marker so far begin, and of which incarnation of the producer they are.
    open: BTreeMap<ProducerId, (Offset, ProducerEpoch)>,
    entries: usize,
    entries_max: usize,
}

/// There is no room for more transactions: the pass ends before this batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Outcomes {
    /// With room for so many producers and changes between commit and abort.
    pub(super) fn new(entries_max: usize) -> Self {
        Self { ends: BTreeMap::new(), open: BTreeMap::new(), entries: 0, entries_max }
    }

    fn room(&mut self) -> Result<(), Full> {
        if self.entries >= self.entries_max {
            return Err(Full);
        }
        self.entries += 1;
        Ok(())
    }

    /// A batch of a transaction.
    pub(super) fn data(
        &mut self,
        producer: ProducerId,
        epoch: ProducerEpoch,
        base: Offset,
    ) -> Result<(), Full> {
        if let Some((_, of)) = self.open.get_mut(&producer) {
            *of = epoch.max(*of);
        } else {
            self.room()?;
            self.open.insert(producer, (base, epoch));
        }
        Ok(())
    }

    /// The end of a producer's transaction; of none, if it comes from an older epoch than the transaction: as the log sees it.
    pub(super) fn marker(
        &mut self,
        producer: ProducerId,
        epoch: ProducerEpoch,
        at: Offset,
        end: EndTxn,
    ) -> Result<(), Full> {
        if self.open.get(&producer).is_some_and(|(_, of)| epoch < *of) {
            return Ok(());
        }
        self.entries -= usize::from(self.open.remove(&producer).is_some());
        match self.ends.get_mut(&producer).and_then(|all| all.last_mut()) {
            Some(last) if last.1 == end => last.0 = at,
            Some(_) | None => {
                self.room()?;
                self.ends.entry(producer).or_default().push((at, end));
            }
        }
        Ok(())
    }

    /// Where the first transaction begins that has no marker.
    pub(super) fn first_open(&self) -> Option<Offset> {
        self.open.values().map(|(first, _)| *first).min()
    }

    /// How the transaction ended that a batch at `base` is part of; `None` if its end is not known.
    pub(super) fn of(&self, producer: ProducerId, base: Offset) -> Option<EndTxn> {
        let all = self.ends.get(&producer)?;
        all.get(all.partition_point(|(at, _)| *at < base)).map(|(_, end)| *end)
    }
}

/// Which transactions have a batch left, as a pass walks through the log from its start.
#[derive(Debug, Default)]
pub(super) struct Left(BTreeMap<ProducerId, ProducerEpoch>);

impl Left {
    /// A batch of a producer's transaction stays.
    pub(super) fn note(&mut self, producer: ProducerId, epoch: ProducerEpoch) {
        let of = self.0.entry(producer).or_insert(epoch);
        *of = epoch.max(*of);
    }

    /// A marker of this producer: whether nothing is left of what it ended. One of an older epoch has ended nothing.
    pub(super) fn is_over(&mut self, producer: ProducerId, epoch: ProducerEpoch) -> bool {
        match self.0.get(&producer) {
            Some(of) if epoch < *of => true,
            Some(_) => self.0.remove(&producer).is_none(),
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ProducerId = ProducerId(1);
    const B: ProducerId = ProducerId(2);
    const E0: ProducerEpoch = ProducerEpoch(0);
    const E1: ProducerEpoch = ProducerEpoch(1);

    #[test]
    fn a_batch_belongs_to_the_next_marker_of_its_producer() {
        let mut o = Outcomes::new(100);
        let mut at = 0;
        let ends = [
            (A, EndTxn::Commit),
            (B, EndTxn::Abort),
            (A, EndTxn::Commit),
            (A, EndTxn::Abort),
            (B, EndTxn::Abort),
            (A, EndTxn::Commit),
        ];
        let mut wanted = Vec::new();
        for (producer, end) in ends {
            o.data(producer, E0, Offset(at)).unwrap();
            assert_eq!(o.first_open(), Some(Offset(at)));
            o.marker(producer, E0, Offset(at + 5), end).unwrap();
            wanted.push((producer, at, end));
            at += 10;
        }
        for (producer, base, end) in wanted {
            assert_eq!(o.of(producer, Offset(base)), Some(end), "{base}");
        }
        assert_eq!(o.first_open(), None);
        assert_eq!(o.of(A, Offset(at)), None);
        assert_eq!(o.of(ProducerId(3), Offset(0)), None);
        // Two producers, and the changes of one.
        assert_eq!(o.entries, 4);
    }

    #[test]
    fn the_first_open_transaction_is_the_oldest() {
        let mut o = Outcomes::new(100);
        o.data(B, E0, Offset(7)).unwrap();
        o.data(A, E0, Offset(9)).unwrap();
        o.data(B, E0, Offset(11)).unwrap();
        assert_eq!(o.first_open(), Some(Offset(7)));
        o.marker(B, E0, Offset(12), EndTxn::Commit).unwrap();
        assert_eq!(o.first_open(), Some(Offset(9)));
    }

    #[test]
    fn memory_is_bounded() {
        let mut o = Outcomes::new(10);
        for n in 0..10 {
            o.data(ProducerId(n), E0, Offset(n)).unwrap();
        }
        assert_eq!(o.data(ProducerId(10), E0, Offset(10)), Err(Full));
        assert_eq!(o.data(ProducerId(3), E0, Offset(10)), Ok(()), "known already");
        let mut o = Outcomes::new(10);
        for n in 0..1_000 {
            o.data(A, E0, Offset(2 * n)).unwrap();
            o.marker(A, E0, Offset(2 * n + 1), EndTxn::Commit).unwrap();
        }
    }

    #[test]
    fn a_marker_is_over_when_nothing_was_left_since_the_one_before() {
        let mut left = Left::default();
        left.note(A, E0);
        assert!(left.is_over(B, E0) && !left.is_over(A, E0));
        assert!(left.is_over(A, E0), "nothing since");
    }

    /// A coordinator that has moved may be late. What the log takes for aborted must not count as committed here.
    #[test]
    fn a_marker_of_an_older_epoch_ends_nothing() {
        let (mut o, mut left) = (Outcomes::new(100), Left::default());
        o.data(A, E1, Offset(10)).unwrap();
        o.marker(A, E0, Offset(15), EndTxn::Commit).unwrap();
        assert_eq!((o.first_open(), o.of(A, Offset(10))), (Some(Offset(10)), None));
        o.marker(A, E1, Offset(20), EndTxn::Abort).unwrap();
        assert_eq!((o.first_open(), o.of(A, Offset(10))), (None, Some(EndTxn::Abort)));
        left.note(A, E1);
        assert!(left.is_over(A, E0) && !left.is_over(A, E1));
        // One of a newer epoch fences, and ends it.
        o.data(B, E0, Offset(30)).unwrap();
        o.marker(B, E1, Offset(35), EndTxn::Abort).unwrap();
        assert_eq!((o.first_open(), o.of(B, Offset(30))), (None, Some(EndTxn::Abort)));
        left.note(B, E0);
        assert!(!left.is_over(B, E1));
    }
}
