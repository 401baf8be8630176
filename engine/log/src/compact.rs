//! Decides what compaction may touch, and whether it is worth it (KIP-58, KIP-354).
//!
//! ```text
//!   log start        clean end             cleanable end          high watermark
//!   |  compacted     |  dirty              |  too young, active   |
//! ```
//! A compaction maps the keys of the dirty part and writes all segments below its end anew. It never touches the active
//! segment, nothing at or above the last stable offset, and no segment with a record younger than `min.compaction.lag.ms`.
//! It is due when the dirty share of the bytes is larger than `min.cleanable.dirty.ratio`, or when a dirty record is older
//! than `max.compaction.lag.ms`.

mod key_map;

pub use key_map::{KeyMap, Mapped};

use crate::{Config, Log, Segment, SegmentName};
use ids::{Offset, Timestamp};

/// What a topic says about compaction.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Compaction {
    /// `min.compaction.lag.ms`: no record younger than this is compacted.
    pub min_lag_ms: i64,
    /// `max.compaction.lag.ms`: a record older than this must not wait any longer.
    pub max_lag_ms: i64,
    /// `min.cleanable.dirty.ratio`: below this dirty share of the bytes compaction is not worth it.
    pub min_dirty_ratio: f64,
    /// `delete.retention.ms`: how long a tombstone stays after the first compaction that saw it.
    pub delete_retention_ms: i64,
}

impl Default for Compaction {
    fn default() -> Self {
        Self {
            min_lag_ms: 0,
            max_lag_ms: i64::MAX,
            min_dirty_ratio: 0.5,
            delete_retention_ms: 86_400_000,
        }
    }
}

/// A log that has something to compact.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Candidate {
    /// Where the dirty part begins.
    pub from: Offset,
    /// Where it ends: the end of a sealed segment.
    pub end: Offset,
    /// Bytes of its segments.
    pub dirty_bytes: u64,
    /// Bytes of all segments below it.
    pub clean_bytes: u64,
    /// A dirty record is older than `max.compaction.lag.ms`.
    pub overdue: bool,
    /// It is worth it, or overdue.
    pub due: bool,
}

impl Candidate {
    /// The dirty share of the bytes that a compaction would read, 0 to 1.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        let all = self.dirty_bytes + self.clean_bytes;
        if all == 0 { 0.0 } else { self.dirty_bytes as f64 / all as f64 }
    }
}

impl Compaction {
    /// What of `log` can be compacted at `now`; nothing at or above `stable` (the last stable offset). `None` if nothing.
    #[must_use]
    pub fn look(&self, log: &Log, stable: Offset, now: Timestamp) -> Option<Candidate> {
        let from = log.clean_end();
        let stable = log.producers().first_open_transaction().map_or(stable, |o| o.min(stable));
        let (_active, sealed) = log.segments().split_last()?;
        let mut found = Candidate {
            from,
            end: from,
            dirty_bytes: 0,
            clean_bytes: 0,
            overdue: false,
            due: false,
        };
        for s in sealed {
            if s.end <= from {
                found.clean_bytes += u64::from(s.len);
                continue;
            }
            let young = self.min_lag_ms > 0 && now - s.retention_timestamp() < self.min_lag_ms;
            if s.end > stable || young {
                break;
            }
            found.end = s.end;
            found.dirty_bytes += u64::from(s.len);
            found.overdue |= now - oldest(s) > self.max_lag_ms;
        }
        found.due = found.overdue || found.ratio() > self.min_dirty_ratio;
        (found.end > from).then_some(found)
    }
}

/// About the time of a segment's first record.
fn oldest(s: &Segment) -> Timestamp {
    if s.first_timestamp.0 >= 0 { s.first_timestamp } else { s.created_at }
}

/// The segments that begin below `end` and may be written anew, oldest first. `end` is at most the cleanable end.
#[must_use]
pub fn sealed_below(log: &Log, end: Offset) -> Vec<SegmentName> {
    let sealed = log.segments().split_last().map_or(&[][..], |(_, sealed)| sealed);
    sealed.iter().take_while(|s| s.name.base < end).map(|s| s.name).collect()
}

/// Whether a new segment that begins at `base` and has `written` bytes takes `next` in as well.
///
/// What counts is what stays of the old segments, not what they were: full segments may shrink to nearly nothing, and a log of
/// thousands of nearly empty ones costs files, memory, and fetches that bring no record. A new segment that is half full takes
/// no more, so it is at most one and a half times as large as a segment may be.
#[must_use]
pub fn takes_in(base: Offset, written: u32, next: &Segment, config: &Config) -> bool {
    let largest = i64::from(written) + i64::from(next.len);
    written < config.segment_bytes / 2
        && largest <= i64::from(i32::MAX)
        && next.end - base <= i64::from(i32::MAX)
}

#[cfg(test)]
mod tests;
