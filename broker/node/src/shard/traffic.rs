//! How much goes in and out of a partition, and which partitions are the busiest.

use super::{Replica, Shard};
use ids::PartitionId;
use log::BatchMeta;
use std::cell::RefCell;
use std::rc::Rc;

/// Partitions that something went through since the busiest were told: each is put here once by each leader it had meanwhile.
pub(super) type Busy = Rc<RefCell<Vec<PartitionId>>>;

/// What went through a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) records_in: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

impl Traffic {
    fn bytes(self) -> u64 {
        self.bytes_in + self.bytes_out
    }

    fn since(self, before: Self) -> Self {
        Self {
            records_in: self.records_in - before.records_in,
            bytes_in: self.bytes_in - before.bytes_in,
            bytes_out: self.bytes_out - before.bytes_out,
        }
    }
}

impl Replica {
    /// What went through it since it is led.
    pub(crate) fn traffic(&self) -> Traffic {
        self.traffic.get()
    }

    /// A batch was appended.
    pub(crate) fn took(&self, meta: &BatchMeta) {
        let mut traffic = self.traffic.get();
        traffic.records_in += u64::try_from(meta.offsets).unwrap_or(0);
        traffic.bytes_in += u64::from(meta.len);
        self.passed(traffic);
    }

    /// Batches were read for a client.
    pub(crate) fn served(&self, bytes: usize) {
        let mut traffic = self.traffic.get();
        traffic.bytes_out += bytes as u64;
        self.passed(traffic);
    }

    fn passed(&self, traffic: Traffic) {
        let told = self.told.get();
        if self.traffic.replace(traffic) == told && traffic != told {
            self.busy.borrow_mut().push(self.id);
        }
    }
}

impl Shard {
    /// The partitions through which most bytes went since this was last asked, at most `most` of them, the busiest first.
    pub(crate) fn busiest(&self, most: usize) -> Vec<(Rc<Replica>, Traffic)> {
        let moved = std::mem::take(&mut *self.busy.borrow_mut());
        self.looked_at(moved.len());
        let mut busy: Vec<(Rc<Replica>, Traffic)> = Vec::new();
        for replica in moved.into_iter().filter_map(|id| self.replica(id)) {
            let now = replica.traffic.get();
            let new = now.since(replica.told.replace(now));
            if new.bytes() > 0 {
                busy.push((replica, new));
            }
        }
        busy.sort_by_key(|(_, traffic)| std::cmp::Reverse(traffic.bytes()));
        busy.truncate(most);
        busy
    }
}
