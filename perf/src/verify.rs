//! `--verify`: was every acknowledged record received, once, in order, as it was sent?
//!
//! A `Checker` follows one partition as one consumer group reads it. Each producer numbers its records per partition, so a number
//! that is skipped is missing until it comes (then it was out of order) or the run ends (then it is lost, if it had been
//! acknowledged). A number below the next that was not missing is a duplicate. The `Ledger` says what the producers know: how far
//! each went and which records have no known outcome (an error or a time-out leaves it open whether the broker has them).

use std::{collections::BTreeMap, fmt};

use crate::stamp::{Origin, Read};

/// A stretch of sequence numbers, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

/// One thing that is wrong, named so that a person can find it in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Acknowledged, never received.
    Lost {
        /// Number of the producer.
        producer: u32,
        /// Number of the partition within the run.
        partition: u32,
        /// Which of its records.
        records: Stretch,
    },
    /// Received again.
    Duplicate {
        /// Who wrote it.
        origin: Origin,
        /// Where the second copy stands.
        offset: i64,
    },
    /// Received after a later one.
    Reordered {
        /// Who wrote it.
        origin: Origin,
        /// Where it stands.
        offset: i64,
    },
    /// Its CRC is wrong, or it is not of this run though the partition was ours alone.
    Corrupt {
        /// Number of the partition within the run.
        partition: u32,
        /// Where it stands.
        offset: i64,
    },
    /// Received from another partition than it was sent to.
    Misplaced {
        /// Who wrote it, and to which partition.
        origin: Origin,
        /// The partition that it came from.
        partition: u32,
        /// Where it stands there.
        offset: i64,
    },
    /// Received with a number that its producer never reached.
    Unsent {
        /// Number of the producer.
        producer: u32,
        /// Number of the partition within the run.
        partition: u32,
        /// Which records.
        records: Stretch,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { producer, partition, records } => write!(
                f,
                "lost: producer {producer}, partition {partition}, records {} to {} ({} acknowledged, never received)",
                records.first,
                records.last,
                records.last - records.first + 1
            ),
            Self::Duplicate { origin, offset } => {
                write!(f, "duplicate: {origin} came again at offset {offset}")
            }
            Self::Reordered { origin, offset } => {
                write!(f, "out of order: {origin} came late, at offset {offset}")
            }
            Self::Corrupt { partition, offset } => {
                write!(f, "corrupt: partition {partition}, offset {offset} is not what was sent")
            }
            Self::Misplaced { origin, partition, offset } => {
                write!(f, "misplaced: {origin} came from partition {partition}, offset {offset}")
            }
            Self::Unsent { producer, partition, records } => write!(
                f,
                "never sent: producer {producer}, partition {partition}, records {} to {}",
                records.first, records.last
            ),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "producer {}, partition {}, record {}",
            self.producer, self.partition, self.sequence
        )
    }
}

/// How many findings are kept by name; beyond it they are counted.
const FINDINGS_KEPT: usize = 50;

/// What the check came to.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Verdict {
    /// Records received with a right stamp, duplicates included.
    pub received: u64,
    /// Records acknowledged and never received.
    pub lost: u64,
    /// Records received more than once, each further copy counted.
    pub duplicates: u64,
    /// Records received after a later one.
    pub reordered: u64,
    /// Records that are not as they were sent, or in another partition, or that nobody sent.
    pub corrupt: u64,
    /// Records that failed or timed out at the producer: they may be there or not.
    pub unknown: u64,
    /// The first findings, in words.
    pub findings: Vec<String>,
}

impl Verdict {
    /// Nothing lost, doubled, out of order or altered.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.lost + self.duplicates + self.reordered + self.corrupt == 0
    }

    /// Adds another partition's or group's verdict.
    pub fn add(&mut self, other: Self) {
        self.received += other.received;
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.reordered += other.reordered;
        self.corrupt += other.corrupt;
        self.unknown += other.unknown;
        let room = FINDINGS_KEPT.saturating_sub(self.findings.len());
        self.findings.extend(other.findings.into_iter().take(room));
    }

    fn name(&mut self, finding: &Finding) {
        if self.findings.len() < FINDINGS_KEPT {
            self.findings.push(finding.to_string());
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} received, {} lost, {} duplicate, {} out of order, {} corrupt, {} of unknown outcome",
            self.received, self.lost, self.duplicates, self.reordered, self.corrupt, self.unknown
        )
    }
}

/// What the producers know of one (producer, partition).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// The sequence number after the last that was sent.
    pub next: u64,
    /// Stretches without a known outcome.
    pub unknown: Vec<Stretch>,
}

/// What the producers know, by (producer, partition).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    sent: BTreeMap<(u32, u32), Sent>,
}

impl Ledger {
    /// The entry of this producer and partition.
    pub fn of(&mut self, producer: u32, partition: u32) -> &mut Sent {
        self.sent.entry((producer, partition)).or_default()
    }

    /// Takes over the entries of another worker, whose producers are others.
    pub fn add(&mut self, other: Self) {
        self.sent.extend(other.sent);
    }

    /// How many records were sent to this partition, whatever became of them.
    #[must_use]
    pub fn sent_to(&self, partition: u32) -> u64 {
        self.sent.iter().filter(|((_, p), _)| *p == partition).map(|(_, sent)| sent.next).sum()
    }
}

/// Follows one partition as one group reads it.
#[derive(Clone, Debug)]
pub struct Checker {
    partition: u32,
    producers: BTreeMap<u32, Progress>,
    verdict: Verdict,
}

#[derive(Clone, Debug, Default)]
struct Progress {
    next: u64,
    /// First to last of every stretch that was skipped and has not come.
    missing: BTreeMap<u64, u64>,
}

impl Checker {
    /// The checker of this partition.
    #[must_use]
    pub fn new(partition: u32) -> Self {
        Self { partition, producers: BTreeMap::new(), verdict: Verdict::default() }
    }

    /// A record came, at this offset, and its value read so.
    pub fn on_record(&mut self, offset: i64, read: Read) {
        let origin = match read {
            Read::Verified { origin, .. } => origin,
            Read::Corrupt | Read::Foreign | Read::Timed { .. } => {
                self.verdict.corrupt += 1;
                return self.verdict.name(&Finding::Corrupt { partition: self.partition, offset });
            }
        };
        if origin.partition != self.partition {
            self.verdict.corrupt += 1;
            let partition = self.partition;
            return self.verdict.name(&Finding::Misplaced { origin, partition, offset });
        }
        self.verdict.received += 1;
        let progress = self.producers.entry(origin.producer).or_default();
        let sequence = origin.sequence;
        if sequence >= progress.next {
            if sequence > progress.next {
                progress.missing.insert(progress.next, sequence - 1);
            }
            progress.next = sequence.saturating_add(1);
        } else if progress.found(sequence) {
            self.verdict.reordered += 1;
            self.verdict.name(&Finding::Reordered { origin, offset });
        } else {
            self.verdict.duplicates += 1;
            self.verdict.name(&Finding::Duplicate { origin, offset });
        }
    }

    /// How many different records have come.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.verdict.received - self.verdict.duplicates
    }

    /// The run is over: what the ledger has and never came is lost.
    #[must_use]
    pub fn finish(mut self, ledger: &Ledger) -> Verdict {
        for ((producer, partition), sent) in &ledger.sent {
            if *partition != self.partition {
                continue;
            }
            let mut progress = self.producers.remove(producer).unwrap_or_default();
            if progress.next > sent.next {
                let records = Stretch { first: sent.next, last: progress.next - 1 };
                self.verdict.corrupt += records.last - records.first + 1;
                self.verdict.name(&Finding::Unsent {
                    producer: *producer,
                    partition: *partition,
                    records,
                });
            } else if progress.next < sent.next {
                progress.missing.insert(progress.next, sent.next - 1);
            }
            for stretch in &sent.unknown {
                self.verdict.unknown += stretch.last - stretch.first + 1;
                progress.forgive(*stretch);
            }
            for (first, last) in progress.missing {
                self.verdict.lost += last - first + 1;
                let records = Stretch { first, last };
                let (producer, partition) = (*producer, *partition);
                self.verdict.name(&Finding::Lost { producer, partition, records });
            }
        }
        for (producer, progress) in std::mem::take(&mut self.producers) {
            let records = Stretch { first: 0, last: progress.next.saturating_sub(1) };
            self.verdict.corrupt += progress.next;
            let partition = self.partition;
            self.verdict.name(&Finding::Unsent { producer, partition, records });
        }
        self.verdict
    }
}

impl Progress {
    /// Whether this number was missing; it no longer is.
    fn found(&mut self, sequence: u64) -> bool {
        let Some((&first, &last)) = self.missing.range(..=sequence).next_back() else {
            return false;
        };
        if sequence > last {
            return false;
        }
        self.forgive(Stretch { first: sequence, last: sequence });
        debug_assert!(first <= sequence);
        true
    }

    /// Takes the stretch out of what is missing.
    fn forgive(&mut self, stretch: Stretch) {
        let touched: Vec<(u64, u64)> = self
            .missing
            .range(..=stretch.last)
            .rev()
            .take_while(|(_, last)| **last >= stretch.first)
            .map(|(first, last)| (*first, *last))
            .collect();
        for (first, last) in touched {
            self.missing.remove(&first);
            if first < stretch.first {
                self.missing.insert(first, stretch.first - 1);
            }
            if last > stretch.last {
                self.missing.insert(stretch.last + 1, last);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(sequence: u64) -> Read {
        Read::Verified { intended: 0, origin: Origin { producer: 1, partition: 2, sequence } }
    }

    fn ledger(next: u64) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.of(1, 2).next = next;
        ledger
    }

    fn check(sequences: &[u64], ledger: &Ledger) -> Verdict {
        let mut checker = Checker::new(2);
        for (offset, sequence) in sequences.iter().enumerate() {
            checker.on_record(offset as i64, record(*sequence));
        }
        checker.finish(ledger)
    }

    #[test]
    fn all_in_order_is_clean() {
        let verdict = check(&[0, 1, 2, 3], &ledger(4));
        assert!(verdict.is_clean(), "{verdict}");
        assert_eq!(verdict.received, 4);
    }

    #[test]
    fn a_gap_and_a_missing_tail_are_lost() {
        let verdict = check(&[0, 1, 4, 5], &ledger(9));
        assert_eq!(verdict.lost, 5);
        assert_eq!(verdict.findings.len(), 2);
        assert!(verdict.findings[0].contains("records 2 to 3"), "{:?}", verdict.findings);
        assert!(verdict.findings[1].contains("records 6 to 8"), "{:?}", verdict.findings);
    }

    #[test]
    fn a_partition_from_which_nothing_came_is_lost() {
        assert_eq!(check(&[], &ledger(3)).lost, 3);
    }

    #[test]
    fn late_is_not_double() {
        let verdict = check(&[0, 2, 3, 1, 2, 4], &ledger(5));
        assert_eq!((verdict.lost, verdict.reordered, verdict.duplicates), (0, 1, 1));
        assert!(verdict.findings[1].contains("record 2 came again at offset 4"));
    }

    #[test]
    fn an_unknown_outcome_may_be_there_or_not() {
        let mut ledger = ledger(10);
        ledger.of(1, 2).unknown.push(Stretch { first: 3, last: 6 });
        let verdict = check(&[0, 1, 2, 5, 7, 8, 9], &ledger);
        assert!(verdict.is_clean(), "{verdict}");
        assert_eq!(verdict.unknown, 4);
        let verdict = check(&[0, 1, 7, 8, 9], &ledger);
        assert_eq!(verdict.lost, 1);
    }

    #[test]
    fn altered_foreign_and_misplaced_records_are_named() {
        let mut checker = Checker::new(2);
        checker.on_record(7, Read::Corrupt);
        checker.on_record(8, Read::Foreign);
        let origin = Origin { producer: 1, partition: 3, sequence: 0 };
        checker.on_record(9, Read::Verified { intended: 0, origin });
        let verdict = checker.finish(&Ledger::default());
        assert_eq!(verdict.corrupt, 3);
        assert!(verdict.findings[0].contains("offset 7"));
        assert!(verdict.findings[2].starts_with("misplaced"));
    }

    #[test]
    fn what_nobody_sent_is_named() {
        assert_eq!(check(&[0, 1, 2], &ledger(2)).corrupt, 1);
        assert_eq!(check(&[0], &Ledger::default()).corrupt, 1);
    }

    #[test]
    fn findings_are_bounded() {
        let every_other: Vec<u64> = (0..1000).map(|i| i * 2).collect();
        let verdict = check(&every_other, &ledger(1999));
        assert_eq!(verdict.lost, 999);
        assert_eq!(verdict.findings.len(), FINDINGS_KEPT);
    }
}
