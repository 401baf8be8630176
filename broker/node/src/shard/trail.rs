//! When a batch passed which point on its way to its acknowledgement.

use ids::{Instant, PartitionId};
use stages::{Laps, Stage};
use store::CommitTimes;

/// One batch's trail. Moments that did not come are zero. It crosses cores: all read the same clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trail {
    id: PartitionId,
    began: Instant,
    /// Only if the store had no room.
    pub(crate) admitted: Instant,
    pub(crate) appended: Instant,
    /// The commit that it went into.
    pub(crate) commit: Option<u64>,
    submitted: Instant,
    written: Instant,
    flushed: Instant,
    /// When it went on.
    pub(crate) resumed: Instant,
}

const NEVER: Instant = Instant(0);

impl Trail {
    pub(crate) fn begin(id: PartitionId, began: Instant) -> Self {
        Self {
            id,
            began,
            admitted: NEVER,
            appended: NEVER,
            commit: None,
            submitted: NEVER,
            written: NEVER,
            flushed: NEVER,
            resumed: NEVER,
        }
    }

    /// It was acknowledged; `fsync` if that meant flushed.
    pub(crate) fn resume(&mut self, times: Option<CommitTimes>, fsync: bool, now: Instant) {
        if let Some(times) = times {
            self.submitted = times.submitted;
            self.written = times.written;
            self.flushed = if fsync { times.flushed } else { NEVER };
        }
        self.resumed = now;
    }

    /// Divides a request's time since its last lap as this batch's was spent.
    pub(crate) fn give(&self, laps: &mut Laps, crossed: bool) {
        laps.partition = Some(self.id);
        if crossed {
            laps.lap_at(Stage::Queue, self.began);
        }
        for (stage, at) in [
            (Stage::Admit, self.admitted),
            (Stage::Append, self.appended),
            (Stage::Commit, self.submitted),
            (Stage::Write, self.written),
            (Stage::Flush, self.flushed),
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

#[cfg(test)]
mod tests {
    use super::*;
    use ids::{PartitionIndex, TopicId};

    fn trail() -> Trail {
        let id = PartitionId { topic: TopicId([1; 16]), index: PartitionIndex(4) };
        let mut trail = Trail::begin(id, Instant(64_000));
        (trail.appended, trail.resumed) = (Instant(128_000), Instant(128_000));
        trail
    }

    fn given(trail: &Trail, crossed: bool) -> Vec<(Stage, u32)> {
        let mut laps = Laps::begin(Instant(0));
        trail.give(&mut laps, crossed);
        assert_eq!(laps.partition, Some(trail.id));
        laps.stages().map(|s| (s, laps.ticks(s))).collect()
    }

    #[test]
    fn an_unacknowledged_batch_has_been_appended() {
        assert_eq!(given(&trail(), false), [(Stage::Append, 2000)]);
        assert_eq!(given(&trail(), true), [(Stage::Queue, 1000), (Stage::Append, 1000)]);
    }

    #[test]
    fn what_came_before_its_commit_is_told_apart() {
        let mut trail = trail();
        trail.admitted = Instant(96_000);
        trail.resume(None, true, Instant(640_000));
        let times = [(Stage::Admit, 1500), (Stage::Append, 500), (Stage::Wake, 8000)];
        assert_eq!(given(&trail, false), times);
    }
}
