//! Whose turn it is: a fair choice among the partitions that are worth a pass, and patience with those that failed.
//!
//! In each cycle every partition that is due has one pass: an overdue one first, then the dirtiest. So one that stays the
//! dirtiest, because its passes are interrupted or its keys take many of them, holds up no other.
//!
//! After a failure a partition is left alone for some rounds. One that is damaged is told of once, and left alone as long as the
//! damaged segment is in its log, but for a look an hour later, then two, and so on up to a day: a pass reads and writes all
//! that is in front of the damage, for nothing. A start of the broker looks again.

use ids::{Instant, PartitionId};
use log::SegmentName;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// After a failure a partition is left alone for this many rounds.
const ROUNDS_AFTER_FAILURE: u32 = 20;
/// After damage for this long, at first and at most.
const WAIT_AFTER_DAMAGE: Duration = Duration::from_secs(3_600);
const WAIT_AFTER_DAMAGE_MAX: Duration = Duration::from_secs(86_400);

/// A partition that is worth a pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub(super) id: PartitionId,
    pub(super) overdue: bool,
    pub(super) ratio: f64,
}

#[derive(Debug)]
struct Damage {
    segment: SegmentName,
    position: u32,
    wait: Duration,
    until: Instant,
}

/// What the cleaner of a core remembers of its passes.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Who had a pass in this cycle.
    served: BTreeSet<PartitionId>,
    /// Partitions that failed, and for how many rounds they still wait.
    failed: BTreeMap<PartitionId, u32>,
    damaged: BTreeMap<PartitionId, Damage>,
}

impl Turns {
    /// Whether a partition is left alone now. `has` says whether a segment is in its log.
    pub(super) fn waits(
        &mut self,
        id: PartitionId,
        now: Instant,
        has: impl FnOnce(SegmentName) -> bool,
    ) -> bool {
        if let Some(damage) = self.damaged.get(&id) {
            if !has(damage.segment) {
                self.damaged.remove(&id);
            } else if now < damage.until {
                return true;
            }
        }
        self.failed.contains_key(&id)
    }

    /// Who has the next pass, and whether others wait for theirs in this cycle.
    pub(super) fn next(&mut self, due: &[Due]) -> Option<(PartitionId, bool)> {
        if due.iter().all(|d| self.served.contains(&d.id)) {
            self.served.clear();
        }
        let rank = |d: &Due| (d.overdue, d.ratio);
        let mut best: Option<&Due> = None;
        let mut waiting = 0;
        for d in due.iter().filter(|d| !self.served.contains(&d.id)) {
            waiting += 1;
            if best.is_none_or(|b| rank(d) > rank(b)) {
                best = Some(d);
            }
        }
        let id = best?.id;
        self.served.insert(id);
        Some((id, waiting > 1))
    }

    /// A pass came to nothing, and would again.
    pub(super) fn fail(&mut self, id: PartitionId) {
        self.failed.insert(id, ROUNDS_AFTER_FAILURE);
    }

    /// A pass has found damage; whether that is news.
    pub(super) fn damage(
        &mut self,
        id: PartitionId,
        segment: SegmentName,
        position: u32,
        now: Instant,
    ) -> bool {
        let known = self.damaged.remove(&id);
        let known = known.filter(|d| (d.segment, d.position) == (segment, position));
        let wait = known.as_ref().map_or(WAIT_AFTER_DAMAGE, |d| 2 * d.wait);
        let wait = wait.min(WAIT_AFTER_DAMAGE_MAX);
        self.damaged.insert(id, Damage { segment, position, wait, until: now + wait });
        known.is_none()
    }

    /// A pass came to its end: nothing is damaged.
    pub(super) fn finish(&mut self, id: PartitionId) {
        self.damaged.remove(&id);
    }

    /// One round less to wait for those that failed. `is_here` says which partitions there still are.
    pub(super) fn end_round(&mut self, is_here: impl Fn(PartitionId) -> bool) {
        self.failed.retain(|_, rounds| {
            *rounds = rounds.saturating_sub(1);
            *rounds > 0
        });
        self.damaged.retain(|id, _| is_here(*id));
    }

    /// How many partitions are left alone because their last pass failed.
    pub(super) fn failed(&self) -> usize {
        let not_failed = |id: &&PartitionId| !self.failed.contains_key(*id);
        self.failed.len() + self.damaged.keys().filter(not_failed).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::{Offset, PartitionIndex, TopicId};

    fn partition(n: i32) -> PartitionId {
        PartitionId { topic: TopicId([1; 16]), index: PartitionIndex(n) }
    }

    fn due(n: i32, overdue: bool, ratio: f64) -> Due {
        Due { id: partition(n), overdue, ratio }
    }

    fn segment(creation: u32) -> SegmentName {
        SegmentName { base: Offset(100), creation }
    }

    const HOUR: Duration = Duration::from_secs(3_600);

    /// Its passes come to nothing: a client moves its start again and again. Those beside it have their passes all the same.
    #[test]
    fn the_dirtiest_partition_holds_up_no_other() {
        let mut t = Turns::default();
        let all = [due(1, false, 0.6), due(2, true, 0.99), due(3, false, 0.8), due(4, true, 0.7)];
        let mut order = Vec::new();
        let mut others = Vec::new();
        for _ in 0..8 {
            let (id, wait) = t.next(&all).unwrap();
            order.push(id.index.0);
            others.push(wait);
        }
        assert_eq!(order, [2, 4, 3, 1, 2, 4, 3, 1]);
        assert_eq!(others, [true, true, true, false, true, true, true, false]);
    }

    #[test]
    fn one_that_becomes_due_meanwhile_has_its_turn_in_the_same_cycle() {
        let mut t = Turns::default();
        assert_eq!(t.next(&[due(1, false, 0.9)]), Some((partition(1), false)));
        let two = [due(1, false, 0.9), due(2, false, 0.6)];
        assert_eq!(t.next(&two), Some((partition(2), false)));
        assert_eq!(t.next(&two), Some((partition(1), true)));
        // Alone it has every turn.
        assert_eq!(t.next(&two[..1]), Some((partition(1), false)));
        assert_eq!(t.next(&two[..1]), Some((partition(1), false)));
        assert_eq!(t.next(&[]), None);
    }

    #[test]
    fn damage_is_told_once_and_not_read_again_while_nothing_has_changed() {
        let mut t = Turns::default();
        let (id, mut now) = (partition(1), Instant::default() + HOUR);
        assert!(t.damage(id, segment(7), 4_000, now));
        let mut looks = Vec::new();
        let began = now;
        while now.since(began) < 80 * HOUR {
            now = now + HOUR / 4;
            if !t.waits(id, now, |_| true) {
                looks.push(now.since(began).as_secs() / 3_600);
                assert!(!t.damage(id, segment(7), 4_000, now), "told again");
            }
            t.end_round(|_| true);
            assert_eq!(t.failed(), 1);
        }
        assert_eq!(looks, [1, 3, 7, 15, 31, 55, 79]);
        // Another place is news, and begins anew.
        assert!(t.damage(id, segment(7), 5_000, now));
        assert!(t.waits(id, now + HOUR / 2, |_| true) && !t.waits(id, now + HOUR, |_| true));
    }

    #[test]
    fn a_partition_whose_damaged_segment_has_left_is_looked_at_at_once() {
        let mut t = Turns::default();
        let (id, now) = (partition(1), Instant::default() + HOUR);
        t.damage(id, segment(7), 4_000, now);
        assert!(t.waits(id, now, |name| name == segment(7)));
        assert!(!t.waits(id, now, |_| false));
        assert_eq!(t.failed(), 0);
        // So is one that turned out to be whole, and what is gone is forgotten.
        t.damage(id, segment(7), 4_000, now);
        t.finish(id);
        t.damage(partition(2), segment(7), 4_000, now);
        assert!(!t.waits(id, now, |_| true) && t.waits(partition(2), now, |_| true));
        t.end_round(|id| id != partition(2));
        assert_eq!(t.failed(), 0);
    }

    #[test]
    fn after_another_failure_it_waits_for_twenty_rounds() {
        let (mut t, id, now) = (Turns::default(), partition(1), Instant::default());
        t.fail(id);
        for _ in 0..20 {
            assert!(t.waits(id, now, |_| true) && t.failed() == 1);
            t.end_round(|_| true);
        }
        assert!(!t.waits(id, now, |_| true) && t.failed() == 0);
    }
}
