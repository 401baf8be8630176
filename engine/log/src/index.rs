//! Where in a segment an offset or a time is found.
//!
//! One sparse list serves both questions: about every `index.interval.bytes` an entry says "the batch that starts at this
//! position has this base offset, and before it the largest timestamp was this". The reader walks batch headers from there.

use crate::short;
use ids::{Offset, Timestamp};

/// One entry: 16 bytes in memory and on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// Base offset of the batch, relative to the segment's base offset.
    pub offset: u32,
    /// Where the batch starts in the segment, in bytes.
    pub position: u32,
    /// The largest timestamp of all batches of the segment *before* this one; -1 at the segment's start.
    pub max_timestamp_before: Timestamp,
}

impl IndexEntry {
    /// Bytes of the form that [`IndexEntry::to_bytes`] writes.
    pub const LEN: usize = 16;

    /// Offset, position, timestamp; little-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..4].copy_from_slice(&self.offset.to_le_bytes());
        out[4..8].copy_from_slice(&self.position.to_le_bytes());
        out[8..].copy_from_slice(&self.max_timestamp_before.0.to_le_bytes());
        out
    }

    /// Reads what [`IndexEntry::to_bytes`] wrote.
    #[must_use]
    pub fn from_bytes(b: &[u8; Self::LEN]) -> Self {
        Self {
            offset: u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            position: u32::from_le_bytes([b[4], b[5], b[6], b[7]]),
            max_timestamp_before: Timestamp(i64::from_le_bytes([
                b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15],
            ])),
        }
    }
}

/// The index of one segment, or of the part of it that is in memory. Offsets and positions rise strictly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    entries: Vec<IndexEntry>,
}

impl Index {
    /// Notes a batch, if the last entry is at least `interval` bytes behind it.
    pub fn note(&mut self, base: Offset, entry: IndexEntry, interval: u32) {
        let due = self
            .entries
            .last()
            .is_none_or(|last| entry.position.saturating_sub(last.position) >= interval);
        if due {
            if let Some(last) = self.entries.last() {
                assert!(
                    last.offset < entry.offset && last.position < entry.position,
                    "index of segment {base} goes back: {last:?} then {entry:?}"
                );
            }
            short::push(&mut self.entries, entry);
        }
    }

    /// The position from which to look for `relative` (an offset relative to the segment's base): the last entry at or
    /// below it, or the start of the segment.
    #[must_use]
    pub fn floor(&self, relative: u32) -> u32 {
        let after = self.entries.partition_point(|e| e.offset <= relative);
        after.checked_sub(1).and_then(|i| self.entries.get(i)).map_or(0, |e| e.position)
    }

    /// The position from which to look for the first record with a timestamp at or above `time`: the last entry before
    /// which every timestamp was smaller.
    #[must_use]
    pub fn floor_by_time(&self, time: Timestamp) -> u32 {
        let after = self.entries.partition_point(|e| e.max_timestamp_before < time);
        after.checked_sub(1).and_then(|i| self.entries.get(i)).map_or(0, |e| e.position)
    }

    /// The last entry whose position is at or below `position`: where to begin when cutting a read at `position`.
    #[must_use]
    pub fn floor_by_position(&self, position: u32) -> u32 {
        let after = self.entries.partition_point(|e| e.position <= position);
        after.checked_sub(1).and_then(|i| self.entries.get(i)).map_or(0, |e| e.position)
    }

    /// The entries, lowest first.
    #[must_use]
    pub fn entries(&self) -> &[IndexEntry] {
        &self.entries
    }

    /// An index from entries that were read back; `None` if they do not rise.
    #[must_use]
    pub fn from_entries(entries: Vec<IndexEntry>) -> Option<Self> {
        let rises =
            entries.windows(2).all(|w| w[0].offset < w[1].offset && w[0].position < w[1].position);
        rises.then_some(Self { entries })
    }

    #[cfg(test)]
    pub(crate) fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<IndexEntry>()
    }

    /// Gives the memory back.
    pub fn clear(&mut self) {
        self.entries = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn e(offset: u32, position: u32, ts: i64) -> IndexEntry {
        IndexEntry { offset, position, max_timestamp_before: Timestamp(ts) }
    }

    #[test]
    fn it_is_sparse_and_answers_with_the_floor() {
        let mut index = Index::default();
        for (o, p, t) in
            [(0, 0, -1), (10, 1000, 50), (20, 5000, 70), (30, 8000, 90), (40, 9500, 95)]
        {
            index.note(Offset(0), e(o, p, t), 4096);
        }
        assert_eq!(index.entries(), &[e(0, 0, -1), e(20, 5000, 70), e(40, 9500, 95)]);
        assert_eq!(index.floor(19), 0);
        assert_eq!(index.floor(20), 5000);
        assert_eq!(index.floor(99), 9500);
        assert_eq!(index.floor_by_time(Timestamp(70)), 0);
        assert_eq!(index.floor_by_time(Timestamp(71)), 5000);
        assert_eq!(index.floor_by_position(9499), 5000);
    }

    #[test]
    fn an_entry_survives_its_bytes() {
        let entry = e(7, 4096, 1_700_000_000_000);
        assert_eq!(IndexEntry::from_bytes(&entry.to_bytes()), entry);
    }
}
