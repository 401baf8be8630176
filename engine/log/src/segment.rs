//! The files of the log, as numbers.

use crate::{Aborted, Index};
use ids::{Offset, Timestamp};
use std::fmt;

/// The name of one segment's files: base offset and creation number. Neither a topic id nor a creation number is ever
/// reused, so no path is ever used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SegmentName {
    /// The offset of the segment's first record.
    pub base: Offset,
    /// Counts the segments that this partition ever had.
    pub creation: u32,
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}-{}", self.base.0, self.creation)
    }
}

/// One segment: which bytes of its file count, and what is known of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Base offset and creation number.
    pub name: SegmentName,
    /// How many bytes of the file are part of the log. The file itself may be longer: file size never means anything.
    pub len: u32,
    /// The offset after its last record.
    pub end: Offset,
    /// The largest timestamp of its records, or -1.
    pub max_timestamp: Timestamp,
    /// The base offset of the batch that holds the largest timestamp.
    pub max_timestamp_batch: Offset,
    /// The largest timestamp of its first batch, from which `segment.ms` counts; -1 if that had none.
    pub first_timestamp: Timestamp,
    /// When its first batch was appended (wall clock): stands in where records carry no timestamps.
    pub created_at: Timestamp,
    /// When its last batch was appended (wall clock).
    pub appended_at: Timestamp,
    /// Compaction has written it: its offsets have gaps.
    pub compacted: bool,
    /// It holds batches of transactions, or begins while one is open.
    pub transactional: bool,
    /// Where the oldest transaction begins that was open at its first offset; that offset if none was.
    pub unstable_from: Offset,
    /// The aborted transactions whose markers it holds.
    pub aborted: Aborted,
    /// The part of the index that is in memory.
    pub index: Index,
}

impl Segment {
    /// A segment without a batch, created at `now`.
    #[must_use]
    pub fn new(name: SegmentName, now: Timestamp) -> Self {
        Self {
            name,
            len: 0,
            end: name.base,
            max_timestamp: Timestamp::NONE,
            max_timestamp_batch: name.base,
            first_timestamp: Timestamp::NONE,
            created_at: now,
            appended_at: now,
            compacted: false,
            transactional: false,
            unstable_from: name.base,
            aborted: Aborted::default(),
            index: Index::default(),
        }
    }

    /// The same without its index, which has a file of its own.
    #[must_use]
    pub fn without_index(&self) -> Self {
        Self {
            index: Index::default(),
            aborted: self.aborted.clone(),
            name: self.name,
            len: self.len,
            end: self.end,
            max_timestamp: self.max_timestamp,
            max_timestamp_batch: self.max_timestamp_batch,
            first_timestamp: self.first_timestamp,
            created_at: self.created_at,
            appended_at: self.appended_at,
            compacted: self.compacted,
            transactional: self.transactional,
            unstable_from: self.unstable_from,
        }
    }

    /// The timestamp that retention compares: the largest of its records, or the time of its last append if they have none.
    #[must_use]
    pub fn retention_timestamp(&self) -> Timestamp {
        if self.max_timestamp.0 >= 0 { self.max_timestamp } else { self.appended_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_like_offsets() {
        let name = SegmentName { base: Offset(42), creation: 3 };
        assert_eq!(name.to_string(), "00000000000000000042-3");
    }
}
