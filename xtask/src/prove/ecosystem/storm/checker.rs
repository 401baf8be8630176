//! Knows every record that was given out, every commit, and says what must never happen.
//!
//! - **Lost**: something acknowledged that a group was not given, or not at its offset, or that differs between groups.
//! - **Below a commit**: a member began a partition below an offset whose commit was acknowledged before the member had the
//!   partition. Both times are read on one machine's clock, by the two members; only a commit in an earlier millisecond counts.
//! - **Without an assignment**: a member was given a record of a partition that it did not have. As a gap and a beginning are
//!   looked for under an assignment, such a record would otherwise be one that nothing is known of.
//! - **Gaps**: under one assignment a member was given offset n and next something else than n + 1.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::json;

use super::super::Findings;

/// What one producer had acknowledged in one partition.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) producer: String,
    pub(super) partition: u32,
    pub(super) records: u64,
    /// The offset of the last one.
    pub(super) last: u64,
}

/// A member has a partition since a moment, and reads on there.
struct Reading {
    since: u64,
    next: Option<u64>,
}

#[derive(Default)]
struct GroupBook {
    /// Partition: which offsets were given out.
    given: BTreeMap<u32, Vec<bool>>,
    /// Partition: (moment, offset) of every acknowledged commit.
    commits: HashMap<u32, Vec<(u64, u64)>>,
    /// Member and partition.
    reading: HashMap<(usize, u32), Reading>,
    /// Partition, moment of the assignment, first offset given out.
    begun: Vec<(u32, u64, u64)>,
    records: u64,
    again: u64,
    gaps: u64,
    unassigned: u64,
    assignments: u64,
    commit_count: u64,
}

impl GroupBook {
    fn has(&self, partition: u32, offset: u64) -> bool {
        let place = usize::try_from(offset).unwrap_or(usize::MAX);
        self.given.get(&partition).and_then(|all| all.get(place)).copied().unwrap_or(false)
    }

    /// Beginnings below what was committed before.
    fn below_commits(&self) -> Vec<(u32, u64, u64)> {
        let mut bad = Vec::new();
        for (partition, since, first) in &self.begun {
            let commits = self.commits.get(partition).into_iter().flatten();
            let before = commits.filter(|(at, _)| at < since).map(|(_, next)| *next).max();
            if let Some(committed) = before.filter(|committed| first < committed) {
                bad.push((*partition, *first, committed));
            }
        }
        bad
    }
}

/// The books of all groups.
pub(super) struct Checker {
    groups: Vec<GroupBook>,
    /// Partition and offset: producer and number.
    records: BTreeMap<(u32, u64), (String, u64)>,
    differing: u64,
}

impl Checker {
    pub(super) fn new(groups: usize) -> Checker {
        let books = (0..groups).map(|_| GroupBook::default()).collect();
        Checker { groups: books, records: BTreeMap::new(), differing: 0 }
    }

    /// A member has these partitions now; those that it had stay as they are.
    pub(super) fn assigned(
        &mut self,
        group: usize,
        member: usize,
        at: u64,
        partitions: &BTreeSet<u32>,
    ) {
        let book = &mut self.groups[group];
        book.assignments += 1;
        book.reading.retain(|(who, partition), _| *who != member || partitions.contains(partition));
        for partition in partitions {
            book.reading.entry((member, *partition)).or_insert(Reading { since: at, next: None });
        }
    }

    /// A member was given a record.
    pub(super) fn given_out(
        &mut self,
        group: usize,
        member: usize,
        partition: u32,
        offset: u64,
        record: (&str, u64),
    ) {
        let known = self
            .records
            .entry((partition, offset))
            .or_insert_with(|| (record.0.to_owned(), record.1));
        self.differing += u64::from((known.0.as_str(), known.1) != record);
        let book = &mut self.groups[group];
        book.records += 1;
        match book.reading.get_mut(&(member, partition)) {
            None => book.unassigned += 1,
            Some(reading) => {
                match reading.next {
                    None => book.begun.push((partition, reading.since, offset)),
                    Some(next) => book.gaps += u64::from(next != offset),
                }
                reading.next = Some(offset + 1);
            }
        }
        let all = book.given.entry(partition).or_default();
        let place = usize::try_from(offset).unwrap_or(usize::MAX);
        if place >= all.len() {
            all.resize(place.saturating_add(1), false);
        }
        book.again += u64::from(std::mem::replace(&mut all[place], true));
    }

    /// A commit was acknowledged to a member.
    pub(super) fn committed(&mut self, group: usize, at: u64, partition: u32, next: u64) {
        let book = &mut self.groups[group];
        book.commit_count += 1;
        book.commits.entry(partition).or_default().push((at, next));
    }

    /// Records given out so far, to all groups.
    pub(super) fn given(&self) -> u64 {
        self.groups.iter().map(|book| book.records).sum()
    }

    /// Whether every group has been given the last record of every producer and partition.
    pub(super) fn all_read(&self, written: &[Written]) -> bool {
        self.groups.iter().all(|book| written.iter().all(|one| book.has(one.partition, one.last)))
    }

    /// Everything together, against what the producers know to be acknowledged.
    pub(super) fn judge(&self, written: &[Written], names: &[&str], findings: &mut Findings) {
        let acknowledged: u64 = written.iter().map(|one| one.records).sum();
        // Producer and partition: the offset of each number, as the readers have seen it.
        let mut numbers: HashMap<(&str, u32), BTreeMap<u64, Vec<u64>>> = HashMap::new();
        for ((partition, offset), (producer, number)) in &self.records {
            let of = numbers.entry((producer.as_str(), *partition)).or_default();
            of.entry(*number).or_default().push(*offset);
        }
        let (mut lost, mut doubled, mut misplaced) = (0_u64, 0_u64, 0_u64);
        let mut lost_by: BTreeMap<&str, u64> = BTreeMap::new();
        for one in written {
            let empty = BTreeMap::new();
            let of = numbers.get(&(one.producer.as_str(), one.partition)).unwrap_or(&empty);
            let mut before = None;
            for number in 0..one.records {
                let Some(offsets) = of.get(&number) else {
                    lost += 1;
                    continue;
                };
                doubled += offsets.len() as u64 - 1;
                let at = offsets.iter().copied().min();
                misplaced += u64::from(before.is_some() && at <= before);
                before = at;
                for (book, name) in self.groups.iter().zip(names) {
                    if !offsets.iter().any(|offset| book.has(one.partition, *offset)) {
                        lost += 1;
                        *lost_by.entry(name).or_insert(0) += 1;
                    }
                }
            }
            let last = one.records.checked_sub(1).and_then(|last| of.get(&last));
            misplaced += u64::from(last.is_some_and(|offsets| !offsets.contains(&one.last)));
        }
        findings.count("acknowledged", acknowledged);
        findings.count("given_out", self.given());
        findings.count("lost", lost);
        findings.count("doubled_in_the_log", doubled);
        findings.count("out_of_order_in_the_log", misplaced);
        findings.count("differing_between_groups", self.differing);
        let sum = |of: fn(&GroupBook) -> u64| self.groups.iter().map(of).sum::<u64>();
        findings.count("given_out_again", sum(|book| book.again));
        findings.count("assignments", sum(|book| book.assignments));
        findings.count("commits", sum(|book| book.commit_count));
        findings.count("beginnings", sum(|book| book.begun.len() as u64));
        findings.count("gaps", sum(|book| book.gaps));
        findings.count("given_without_assignment", sum(|book| book.unassigned));
        findings.check(acknowledged > 0, || "nothing was acknowledged".to_owned());
        findings.check(lost == 0, || format!("{lost} acknowledged records lost: {lost_by:?}"));
        findings.check(doubled == 0, || format!("{doubled} records are twice in the log"));
        findings.check(misplaced == 0, || format!("{misplaced} records are out of order"));
        findings.check(self.differing == 0, || {
            format!("{} records differ between groups", self.differing)
        });
        let mut below = 0;
        for (book, name) in self.groups.iter().zip(names) {
            let bad = book.below_commits();
            below += bad.len();
            findings.check(bad.is_empty(), || {
                format!("{name}: (partition, first offset, committed before) {bad:?}")
            });
            findings.check(book.gaps == 0, || format!("{name}: {} gaps", book.gaps));
            findings.check(book.unassigned == 0, || {
                format!(
                    "{name}: {} records of partitions that its members did not have",
                    book.unassigned
                )
            });
            let counts = json!([book.records, book.again, book.commit_count, book.unassigned]);
            findings.count(&format!("given_again_commits_unassigned_{name}"), counts);
            findings.check(book.commit_count > 0, || format!("{name}: nothing was committed"));
        }
        findings.count("begun_below_a_commit", below);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(records: u64, last: u64) -> Vec<Written> {
        vec![Written { producer: "p0".to_owned(), partition: 0, records, last }]
    }

    /// One group whose first member reads and commits offsets 0 to 2.
    fn three() -> Checker {
        let mut checker = Checker::new(1);
        checker.assigned(0, 0, 10, &BTreeSet::from([0]));
        for n in 0..3 {
            checker.given_out(0, 0, 0, n, ("p0", n));
        }
        checker.committed(0, 20, 0, 3);
        checker
    }

    fn complaints(checker: &Checker, written: &[Written]) -> Vec<String> {
        let mut findings = Findings::default();
        checker.judge(written, &["it"], &mut findings);
        findings.complaints
    }

    #[test]
    fn all_is_well_when_everything_came_once() {
        let checker = three();
        assert!(checker.all_read(&written(3, 2)));
        assert_eq!(complaints(&checker, &written(3, 2)), Vec::<String>::new());
    }

    #[test]
    fn what_was_not_given_out_is_lost() {
        let checker = three();
        assert!(!checker.all_read(&written(4, 3)));
        assert!(complaints(&checker, &written(4, 3))[0].contains("1 acknowledged records lost"));
    }

    #[test]
    fn who_begins_below_a_commit_is_seen_and_who_joined_before_it_is_not() {
        let mut checker = three();
        checker.assigned(0, 1, 21, &BTreeSet::from([0]));
        checker.given_out(0, 1, 0, 2, ("p0", 2));
        assert!(complaints(&checker, &written(3, 2))[0].contains("[(0, 2, 3)]"));

        let mut checker = three();
        checker.assigned(0, 1, 20, &BTreeSet::from([0]));
        checker.given_out(0, 1, 0, 2, ("p0", 2));
        assert_eq!(complaints(&checker, &written(3, 2)), Vec::<String>::new());
    }

    #[test]
    fn a_kept_partition_must_go_on_where_it_was() {
        let mut checker = three();
        checker.assigned(0, 0, 30, &BTreeSet::from([0, 1]));
        checker.given_out(0, 0, 0, 4, ("p0", 4));
        let found = complaints(&checker, &written(3, 2));
        assert_eq!(found, ["it: 1 gaps"]);
    }

    #[test]
    fn a_record_of_a_partition_that_the_member_does_not_have_is_seen() {
        let mut checker = three();
        checker.assigned(0, 0, 30, &BTreeSet::from([1]));
        checker.given_out(0, 0, 0, 3, ("p0", 3));
        let found = complaints(&checker, &written(4, 3));
        assert_eq!(found, ["it: 1 records of partitions that its members did not have"]);
        // Nor may another member give it out.
        let mut checker = three();
        checker.given_out(0, 1, 0, 3, ("p0", 3));
        assert_eq!(complaints(&checker, &written(4, 3)).len(), 1);
    }

    #[test]
    fn a_record_twice_in_the_log_and_a_swapped_one_are_seen() {
        let mut checker = three();
        checker.given_out(0, 0, 0, 3, ("p0", 1));
        assert!(complaints(&checker, &written(3, 2))[0].contains("1 records are twice"));

        let mut checker = Checker::new(1);
        checker.assigned(0, 0, 10, &BTreeSet::from([0]));
        checker.given_out(0, 0, 0, 0, ("p0", 1));
        checker.given_out(0, 0, 0, 1, ("p0", 0));
        checker.committed(0, 20, 0, 2);
        assert!(complaints(&checker, &written(2, 0))[0].contains("out of order"));
    }
}
