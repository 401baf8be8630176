//! What the check says, and how it names what it has found.

use std::fmt;

use super::Stretch;
use crate::stamp::Origin;

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
    /// Acknowledged, and the log ends before them.
    Beyond {
        /// Number of the partition within the run.
        partition: u32,
        /// Where its log ended.
        end: i64,
        /// How many records.
        records: u64,
    },
    /// Behind the place that the reader had come to when the wait for it was over.
    Unread {
        /// Number of the partition within the run.
        partition: u32,
        /// That place.
        position: i64,
        /// Where the log ended; `None`: the broker did not tell.
        end: Option<i64>,
        /// How many records.
        records: u64,
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
                records.count()
            ),
            Self::Beyond { partition, end, records } => write!(
                f,
                "lost: partition {partition} ends at offset {end}, {records} acknowledged records too early"
            ),
            Self::Unread { partition, position, end, records } => {
                let end = end.map_or_else(|| "an end that nobody told".into(), |e| e.to_string());
                write!(
                    f,
                    "unread: partition {partition}, offsets {position} to {end} ({records} records; the wait for them was too short)"
                )
            }
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
pub(super) const FINDINGS_KEPT: usize = 50;

/// What the check came to.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Verdict {
    /// Records received with a right stamp, duplicates included.
    pub received: u64,
    /// Records acknowledged and never received, though their place was read or the log ends before it.
    pub lost: u64,
    /// Records that the reader had not come to when the wait for it was over: nothing is known of them.
    pub unread: u64,
    /// Records that an earlier repeat had left open, and that came now.
    pub late: u64,
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
    /// Nothing lost, doubled, out of order or altered, as far as was read.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.lost + self.duplicates + self.reordered + self.corrupt == 0
    }

    /// Adds another partition's or group's verdict.
    pub fn add(&mut self, other: Self) {
        self.received += other.received;
        self.lost += other.lost;
        self.unread += other.unread;
        self.late += other.late;
        self.duplicates += other.duplicates;
        self.reordered += other.reordered;
        self.corrupt += other.corrupt;
        self.unknown += other.unknown;
        let room = FINDINGS_KEPT.saturating_sub(self.findings.len());
        self.findings.extend(other.findings.into_iter().take(room));
    }

    pub(super) fn name(&mut self, finding: &Finding) {
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
        )?;
        for (count, what) in [(self.unread, "not read"), (self.late, "of an earlier repeat")] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}
