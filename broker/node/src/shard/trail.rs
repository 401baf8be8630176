//! When a batch passed which point on its way to its acknowledgement.

use ids::{Instant, PartitionId};
use stages::{Laps, Stage};
use store::CommitTimes;

/// One batch's trail, told when it is acknowledged. Moments that did not come are zero. It may cross cores: all read the same
/// clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trail {
    pub(crate) id: PartitionId,
    /// Only if the store had no room.
    pub(crate) admitted: Instant,
    pub(crate) appended: Instant,
    /// Of the commit that it went into, if it was waited for; flushed only if that was.
    pub(crate) commit: CommitTimes,
    /// When it went on.
    pub(crate) resumed: Instant,
}

const NEVER: Instant = Instant(0);

impl Trail {
    /// Divides a request's time since its last lap as this batch's was spent. If another batch of the request has come before,
    /// it gets what is left. `crossed`: when the core of the partition began, if that is not the request's.
    #[inline]
    pub(crate) fn give(&self, laps: &mut Laps, crossed: Option<Instant>) {
        laps.waits_for(self.id);
        if let Some(began) = crossed {
            laps.lap_at(Stage::Queue, began);
        }
        if self.admitted != NEVER {
            laps.lap_at(Stage::Admit, self.admitted);
        }
        laps.lap_at(Stage::Append, self.appended);
        for (stage, at) in [
            (Stage::Commit, self.commit.submitted),
            (Stage::Write, self.commit.written),
            (Stage::Flush, self.commit.flushed),
        ] {
            if at != NEVER {
                laps.lap_at(stage, at.min(self.resumed));
            }
        }
        if self.resumed > self.appended {
            laps.lap_at(Stage::Wake, self.resumed);
        }
    }
}

#[cfg(all(test, not(feature = "stages-compiled-out")))]
mod tests {
    use super::*;
    use ids::{PartitionIndex, TopicId};

    fn trail() -> Trail {
        Trail {
            id: PartitionId { topic: TopicId([1; 16]), index: PartitionIndex(4) },
            admitted: NEVER,
            appended: Instant(128_000),
            commit: CommitTimes::default(),
            resumed: Instant(128_000),
        }
    }

    fn given(trail: &Trail, crossed: Option<Instant>) -> Vec<(Stage, u32)> {
        let mut laps = Laps::begin(Instant(0));
        trail.give(&mut laps, crossed);
        assert_eq!(laps.partition(), Some(trail.id));
        laps.stages().map(|s| (s, laps.ticks(s))).collect()
    }

    #[test]
    fn an_unacknowledged_batch_has_been_appended() {
        assert_eq!(given(&trail(), None), [(Stage::Append, 2000)]);
        let crossed = given(&trail(), Some(Instant(64_000)));
        assert_eq!(crossed, [(Stage::Queue, 1000), (Stage::Append, 1000)]);
    }

    #[test]
    fn what_came_before_its_commit_is_told_apart() {
        let trail = Trail { admitted: Instant(96_000), resumed: Instant(640_000), ..trail() };
        let times = [(Stage::Admit, 1500), (Stage::Append, 500), (Stage::Wake, 8000)];
        assert_eq!(given(&trail, None), times);
    }

    #[test]
    fn a_batch_that_came_later_gets_what_is_left() {
        let commit = |submitted: u64, written: u64, flushed: u64| {
            let mut times = CommitTimes::default();
            times.submitted = Instant(submitted * 64);
            times.written = Instant(written * 64);
            times.flushed = Instant(flushed * 64);
            times
        };
        let first =
            Trail { commit: commit(2000, 3000, 5000), resumed: Instant(5100 * 64), ..trail() };
        let second =
            Trail { commit: commit(5000, 6000, 8000), resumed: Instant(8100 * 64), ..trail() };
        let mut laps = Laps::begin(Instant(0));
        first.give(&mut laps, None);
        second.give(&mut laps, None);
        // Those that have passed count for a tick each.
        let times: Vec<(Stage, u32)> = laps.stages().map(|s| (s, laps.ticks(s))).collect();
        assert_eq!(
            times,
            [
                (Stage::Append, 2001),
                (Stage::Commit, 2),
                (Stage::Write, 999 + 898),
                (Stage::Flush, 4000),
                (Stage::Wake, 200)
            ]
        );
        assert_eq!(laps.total(), 8100);
    }
}
