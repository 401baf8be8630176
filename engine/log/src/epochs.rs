//! Which leader epoch began at which offset (KIP-101, KIP-279).

use ids::{LeaderEpoch, Offset};

/// The answer to "where does this epoch end": the largest epoch not above the asked one, and the offset after its last
/// record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest known epoch that is not above the asked one; -1 if there is none.
    pub epoch: LeaderEpoch,
    /// The start of the next epoch, or the end of the log; -1 if the epoch is unknown.
    pub end: Offset,
}

/// Epochs and their first offsets, both rising strictly. An epoch without records has no entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epochs {
    entries: Vec<(LeaderEpoch, Offset)>,
}

impl Epochs {
    /// Notes that a batch of `epoch` starts at `at`. Epochs never go back: the leader's epoch is checked before.
    pub fn note(&mut self, epoch: LeaderEpoch, at: Offset) {
        if let Some((last, start)) = self.entries.last_mut() {
            assert!(*last <= epoch, "leader epoch goes back from {last} to {epoch}");
            if *last == epoch {
                return;
            }
            if *start == at {
                // The earlier epoch left no record.
                *last = epoch;
                return;
            }
        }
        self.entries.push((epoch, at));
    }

    /// The epoch of the newest record, or -1.
    #[must_use]
    pub fn latest(&self) -> LeaderEpoch {
        self.entries.last().map_or(LeaderEpoch::UNKNOWN, |e| e.0)
    }

    /// The epoch in which the record at `offset` was written.
    #[must_use]
    pub fn at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.entries.partition_point(|e| e.1 <= offset);
        after.checked_sub(1).and_then(|i| self.entries.get(i)).map(|e| e.0)
    }

    /// Where `asked` ends, in a log that ends at `log_end`.
    #[must_use]
    pub fn end_of(&self, asked: LeaderEpoch, log_end: Offset) -> EpochEnd {
        let after = self.entries.partition_point(|e| e.0 <= asked);
        let Some(&(epoch, _)) = after.checked_sub(1).and_then(|i| self.entries.get(i)) else {
            return EpochEnd { epoch: LeaderEpoch::UNKNOWN, end: Offset::NONE };
        };
        EpochEnd { epoch, end: self.entries.get(after).map_or(log_end, |e| e.1) }
    }

    /// Forgets what lies at or above `end`.
    pub fn truncate(&mut self, end: Offset) {
        self.entries.retain(|e| e.1 < end);
    }

    /// Forgets epochs that ended at or below `start`; the one that holds `start` begins there now.
    pub fn advance_start(&mut self, start: Offset) {
        let keep_from = self.entries.partition_point(|e| e.1 <= start).saturating_sub(1);
        self.entries.drain(..keep_from);
        if let Some(first) = self.entries.first_mut() {
            first.1 = first.1.max(start);
        }
    }

    /// The entries, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[(LeaderEpoch, Offset)] {
        &self.entries
    }

    pub(crate) fn from_entries(entries: Vec<(LeaderEpoch, Offset)>) -> Option<Self> {
        let rises = entries.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 < w[1].1);
        rises.then_some(Self { entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Epochs {
        let mut e = Epochs::default();
        e.note(LeaderEpoch(1), Offset(0));
        e.note(LeaderEpoch(1), Offset(5));
        e.note(LeaderEpoch(3), Offset(10));
        e.note(LeaderEpoch(4), Offset(20));
        e
    }

    #[test]
    fn an_epoch_ends_where_the_next_one_starts() {
        let e = three();
        let end = |asked| e.end_of(LeaderEpoch(asked), Offset(25));
        assert_eq!(end(1), EpochEnd { epoch: LeaderEpoch(1), end: Offset(10) });
        assert_eq!(end(2), EpochEnd { epoch: LeaderEpoch(1), end: Offset(10) });
        assert_eq!(end(9), EpochEnd { epoch: LeaderEpoch(4), end: Offset(25) });
        assert_eq!(end(0), EpochEnd { epoch: LeaderEpoch::UNKNOWN, end: Offset::NONE });
    }

    #[test]
    fn truncation_and_log_start_cut_both_ends() {
        let mut e = three();
        e.truncate(Offset(20));
        assert_eq!(e.latest(), LeaderEpoch(3));
        e.advance_start(Offset(12));
        assert_eq!(e.entries(), &[(LeaderEpoch(3), Offset(12))]);
        assert_eq!(e.at(Offset(15)), Some(LeaderEpoch(3)));
        assert_eq!(e.at(Offset(11)), None);
    }

    #[test]
    fn an_epoch_without_records_leaves_no_entry() {
        let mut e = Epochs::default();
        e.note(LeaderEpoch(1), Offset(0));
        e.note(LeaderEpoch(2), Offset(0));
        assert_eq!(e.entries(), &[(LeaderEpoch(2), Offset(0))]);
    }
}
