//! Indexes that were read back from their files.
//!
//! An index has 16 bytes for each 4 KiB of its segment. Whoever looks about in old data, in every segment of a large disk, would
//! have all of them in memory after a while: the oldest go when there are too many.

use crate::partition::{Partition, Shared};
use log::{Index, IndexEntry, SegmentName};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

/// A part of the core's memory budget that they may take beside it.
const SHARE: usize = 32;

/// What an index takes beside its entries.
const OWN_BYTES: usize = 128;

struct Kept {
    partition: Weak<RefCell<Partition>>,
    segment: SegmentName,
    bytes: usize,
}

/// The indexes in memory, oldest first.
pub(crate) struct ColdIndexes {
    bytes_max: usize,
    bytes: Cell<usize>,
    line: RefCell<VecDeque<Kept>>,
}

impl ColdIndexes {
    /// As many as fit beside `budget` bytes of memory.
    pub(crate) fn beside(budget: usize) -> Self {
        let bytes_max = (budget / SHARE).max(1 << 16);
        Self { bytes_max, bytes: Cell::new(0), line: RefCell::default() }
    }

    /// Keeps the index of a segment; others may go for it.
    pub(crate) fn keep(&self, partition: &Shared, segment: SegmentName, index: Rc<Index>) {
        let bytes = index.entries().len() * IndexEntry::LEN + OWN_BYTES;
        {
            let mut p = partition.borrow_mut();
            let Some(f) = p.files.get_mut(&segment) else { return };
            f.cold_index = Some(index);
        }
        let mut line = self.line.borrow_mut();
        line.push_back(Kept { partition: Rc::downgrade(partition), segment, bytes });
        self.bytes.set(self.bytes.get() + bytes);
        // The one that has just come stays: somebody is about to use it again.
        while self.bytes.get() > self.bytes_max && line.len() > 1 {
            let Some(oldest) = line.pop_front() else { break };
            self.bytes.set(self.bytes.get() - oldest.bytes);
            if let Some(p) = oldest.partition.upgrade()
                && let Some(f) = p.borrow_mut().files.get_mut(&oldest.segment)
            {
                f.cold_index = None;
            }
        }
    }

    /// Bytes that are kept at the moment.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.get()
    }
}
