//! Which record of the input is which record of a partition, until what became of it is known.

use std::collections::{BTreeMap, VecDeque};

/// Records of the input in a row that went to one partition in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// The first one's place among the partition's.
    at: u64,
    /// Its number in the input.
    number: u64,
    length: u64,
}

#[derive(Debug, Default)]
struct Lane {
    runs: VecDeque<Run>,
    next: u64,
    /// Settled, but behind something that is not: first and end.
    ahead: BTreeMap<u64, u64>,
    /// Everything before this place is settled.
    settled: u64,
}

/// The records that are on their way.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    lanes: BTreeMap<i32, Lane>,
    open: u64,
}

impl Ledger {
    /// Record `number` of the input went to the partition.
    pub(super) fn sent(&mut self, partition: i32, number: u64) {
        let lane = self.lanes.entry(partition).or_default();
        match lane.runs.back_mut() {
            Some(run) if run.number + run.length == number => run.length += 1,
            Some(_) | None => lane.runs.push_back(Run { at: lane.next, number, length: 1 }),
        }
        lane.next += 1;
        self.open += 1;
    }

    /// Records that are on their way.
    pub(super) fn open(&self) -> u64 {
        self.open
    }

    /// `count` records of the partition from its `first` on are settled. Their numbers in the input, as ranges.
    pub(super) fn settle(&mut self, partition: i32, first: u64, count: i32) -> Vec<(u64, u64)> {
        let Some(lane) = self.lanes.get_mut(&partition) else { return Vec::new() };
        let count = u64::try_from(count).unwrap_or(0);
        let end = first.saturating_add(count);
        self.open = self.open.saturating_sub(count);
        let from = lane.runs.partition_point(|r| r.at + r.length <= first);
        let numbers = lane
            .runs
            .range(from..)
            .take_while(|r| r.at < end)
            .map(|r| {
                let a = first.max(r.at);
                let b = end.min(r.at + r.length);
                (r.number + (a - r.at), r.number + (b - r.at) - 1)
            })
            .collect();
        lane.ahead.insert(first, end);
        while let Some(next) = lane.ahead.remove(&lane.settled) {
            lane.settled = next;
        }
        while lane.runs.front().is_some_and(|r| r.at + r.length <= lane.settled) {
            lane.runs.pop_front();
        }
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_again_in_any_order() {
        let mut ledger = Ledger::default();
        for number in 1..=10 {
            ledger.sent(i32::from(number > 4 && number % 2 == 0), number);
        }
        // Partition 0 has 1 2 3 4 5 7 9, partition 1 has 6 8 10.
        assert_eq!(ledger.settle(0, 4, 2), [(5, 5), (7, 7)]);
        assert_eq!(ledger.settle(0, 0, 4), [(1, 4)]);
        assert_eq!(ledger.settle(1, 0, 3), [(6, 6), (8, 8), (10, 10)]);
        assert_eq!(ledger.open(), 1);
        assert_eq!(ledger.settle(0, 6, 1), [(9, 9)]);
        assert!(ledger.lanes.values().all(|l| l.runs.is_empty() && l.ahead.is_empty()));
    }
}
