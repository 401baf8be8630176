//! How late each batch was closed, told by producers to consumers.
//!
//! A record's latency from end to end holds the lateness of the producer that closed its batch. Consumers know when a record was due,
//! from its stamp, but not when its batch was closed: producers put that here, by the time at which the batch's first record was due.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

/// Batches that are remembered, in all. Who reads more than that behind the producers finds nothing.
const BATCHES_MAX: usize = 1 << 20;

/// Of each partition at least.
const BATCHES_MIN: usize = 64;

/// The batches of one partition that were closed last.
#[derive(Debug, Default)]
struct Shelf {
    late: HashMap<u64, u64>,
    order: VecDeque<u64>,
}

/// The lateness of batches, by partition and first due time.
#[derive(Debug, Default)]
pub(super) struct Lateness {
    shelves: Vec<Mutex<Shelf>>,
    each: usize,
}

impl Lateness {
    /// For so many partitions; for none where nobody asks.
    pub(super) fn of(partitions: usize) -> Self {
        let each = (BATCHES_MAX / partitions.max(1)).max(BATCHES_MIN);
        Self { shelves: (0..partitions).map(|_| Mutex::default()).collect(), each }
    }

    /// The batch whose first record was due at `first` was closed so late.
    pub(super) fn put(&self, partition: u32, first: u64, late: u64) {
        let Some(shelf) = self.shelves.get(partition as usize) else { return };
        let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
        if shelf.late.insert(first, late).is_none() {
            shelf.order.push_back(first);
        }
        if shelf.order.len() > self.each
            && let Some(oldest) = shelf.order.pop_front()
        {
            shelf.late.remove(&oldest);
        }
    }

    /// How late the batch was closed; `None`: it is not known, or no more.
    pub(super) fn get(&self, partition: u32, first: u64) -> Option<u64> {
        let shelf = self.shelves.get(partition as usize)?;
        shelf.lock().unwrap_or_else(PoisonError::into_inner).late.get(&first).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_batches_of_each_partition_are_known() {
        let all = Lateness::of(BATCHES_MAX);
        for first in 0..BATCHES_MIN as u64 + 2 {
            all.put(1, first, first * 10);
        }
        assert_eq!([0, 1, 2, 65].map(|first| all.get(1, first)), [None, None, Some(20), Some(650)]);
        assert_eq!((all.get(0, 2), all.get(u32::MAX, 2)), (None, None));
        // The same again is no second batch.
        all.put(1, 65, 7);
        assert_eq!((all.get(1, 65), all.get(1, 2)), (Some(7), Some(20)));
        Lateness::of(0).put(0, 1, 1);
    }
}
