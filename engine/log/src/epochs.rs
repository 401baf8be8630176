//! Which leader epoch began at which offset (KIP-101, KIP-279).

use crate::short;
use ids::{LeaderEpoch, Offset};

/// The answer to "where does this epoch end": the largest epoch not above the asked one, and the offset after its last
/// record.
///
/// To a client -1 means that its place in the log is lost: it starts over by its reset policy, at the end if that is
/// `latest`. So an epoch whose records are merely gone is never unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest known epoch that is not above the asked one, or the asked one if all known ones are above it; -1 if
    /// that cannot be told.
    pub epoch: LeaderEpoch,
    /// The start of the next epoch, or the end of the log; -1 if the epoch is unknown.
    pub end: Offset,
}

impl EpochEnd {
    /// There is nothing to say about the epoch.
    pub const UNKNOWN: Self = Self { epoch: LeaderEpoch::UNKNOWN, end: Offset::NONE };
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
        short::push(&mut self.entries, (epoch, at));
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

    /// Where `asked` ends by the records of a log that ends at `log_end`. One that is older than all that is left ended where
    /// the first of them begins.
    #[must_use]
    pub fn end_of(&self, asked: LeaderEpoch, log_end: Offset) -> EpochEnd {
        if asked < LeaderEpoch(0) {
            return EpochEnd::UNKNOWN;
        }
        let after = self.entries.partition_point(|e| e.0 <= asked);
        let floor = after.checked_sub(1).and_then(|i| self.entries.get(i));
        match (floor, self.entries.get(after)) {
            (Some(floor), next) => {
                EpochEnd { epoch: floor.0, end: next.map_or(log_end, |next| next.1) }
            }
            (None, Some(first)) => EpochEnd { epoch: asked, end: first.1 },
            (None, None) => EpochEnd::UNKNOWN,
        }
    }

    /// The same as a leader of the epoch `present` tells it, which knows of its own epoch without a record of it: that one
    /// ends where the log does, and a log without any record began with it. Epochs above it are unknown.
    #[must_use]
    pub fn told_by_leader(
        &self,
        asked: LeaderEpoch,
        present: LeaderEpoch,
        log_end: Offset,
    ) -> EpochEnd {
        if asked < LeaderEpoch(0) || asked > present {
            return EpochEnd::UNKNOWN;
        }
        if asked == present || self.entries.is_empty() {
            return EpochEnd { epoch: asked, end: log_end };
        }
        self.end_of(asked, log_end)
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

    #[cfg(test)]
    pub(crate) fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<(LeaderEpoch, Offset)>()
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
        assert_eq!(end(-1), EpochEnd::UNKNOWN);
        assert_eq!(Epochs::default().end_of(LeaderEpoch(1), Offset(0)), EpochEnd::UNKNOWN);
    }

    #[test]
    fn an_epoch_older_than_all_that_is_left_ended_where_the_first_of_them_begins() {
        let end = |e: &Epochs, asked| e.end_of(LeaderEpoch(asked), Offset(110));
        assert_eq!(end(&three(), 0), EpochEnd { epoch: LeaderEpoch(0), end: Offset(0) });

        // Its records went, and the next start wrote on at the same offset.
        let mut e = Epochs::default();
        e.note(LeaderEpoch(1), Offset(0));
        e.advance_start(Offset(100));
        e.note(LeaderEpoch(2), Offset(100));
        assert_eq!(e.entries(), &[(LeaderEpoch(2), Offset(100))]);
        assert_eq!(end(&e, 1), EpochEnd { epoch: LeaderEpoch(1), end: Offset(100) });
        assert_eq!(end(&e, 2), EpochEnd { epoch: LeaderEpoch(2), end: Offset(110) });
    }

    #[test]
    fn a_leader_knows_its_own_epoch_before_it_has_a_record() {
        let tell = |e: &Epochs, asked, present, end| {
            let told = e.told_by_leader(LeaderEpoch(asked), LeaderEpoch(present), Offset(end));
            (told.epoch.0, told.end.0)
        };
        let unknown = (-1, -1);
        // Without any record: earlier leaders left none, so all of them ended at the end of the log.
        let none = Epochs::default();
        assert_eq!([0, 1, 2].map(|asked| tell(&none, asked, 2, 0)), [(0, 0), (1, 0), (2, 0)]);
        assert_eq!([-2, -1, 3].map(|asked| tell(&none, asked, 2, 0)), [unknown; 3]);
        // Six leads, and wrote nothing yet; five never wrote.
        let told = [0, 1, 2, 3, 4, 5, 6, 7].map(|asked| tell(&three(), asked, 6, 25));
        let expected = [(0, 0), (1, 10), (1, 10), (3, 20), (4, 25), (4, 25), (6, 25), unknown];
        assert_eq!(told, expected);
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
