//! Walks over all partitions of a core. There may be very many of them, so the core is given away in between.

use super::{Replica, Shard};
use ids::PartitionId;
use std::ops::Bound;
use std::rc::Rc;

/// Partitions after which the rest of the core comes first: some 30 microseconds of work.
pub(crate) const STEP: usize = 128;

/// What looking at partitions has cost so far, beyond those that a request names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Walked {
    /// Partitions that were looked at.
    pub(crate) partitions: u64,
    /// The most of them while nothing else on the core could go on.
    pub(crate) at_once: u64,
    /// The poll in which the last one came, as the executor counts them, and how many came in it.
    poll: u64,
    came: u64,
}

/// See [`Shard::walk`].
pub(crate) struct Walk<'a> {
    shard: &'a Shard,
    last: Option<PartitionId>,
    some: std::vec::IntoIter<Rc<Replica>>,
}

impl Walk<'_> {
    /// The next partition; none after the last.
    pub(crate) async fn next(&mut self) -> Option<Rc<Replica>> {
        if let Some(replica) = self.some.next() {
            return Some(replica);
        }
        if self.last.is_some() {
            self.shard.rt.yield_now().await;
        }
        let some = self.shard.some_after(self.last);
        self.last = some.last().map(|replica| replica.id);
        self.some = some.into_iter();
        self.some.next()
    }
}

impl Shard {
    /// How many partitions are led.
    pub(crate) fn count(&self) -> usize {
        self.partitions.borrow().len()
    }

    /// Goes through the partitions in order of their ids, and gives the core away after every [`STEP`] of them. What is led or
    /// deleted meanwhile may come or not.
    pub(crate) fn walk(&self) -> Walk<'_> {
        Walk { shard: self, last: None, some: Vec::new().into_iter() }
    }

    fn some_after(&self, last: Option<PartitionId>) -> Vec<Rc<Replica>> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let partitions = self.partitions.borrow();
        let behind = partitions.range((from, Bound::Unbounded)).take(STEP);
        let some: Vec<Rc<Replica>> = behind.map(|(_, replica)| Rc::clone(replica)).collect();
        self.looked_at(some.len());
        some
    }

    /// Counts partitions that are looked at in this poll.
    pub(super) fn looked_at(&self, partitions: usize) {
        let (mut walked, poll) = (self.walked.get(), self.rt.polls());
        if walked.poll != poll {
            (walked.poll, walked.came) = (poll, 0);
        }
        walked.came += partitions as u64;
        walked.partitions += partitions as u64;
        walked.at_once = walked.at_once.max(walked.came);
        self.walked.set(walked);
    }

    /// What walks have cost so far.
    #[cfg(test)]
    pub(crate) fn walked(&self) -> Walked {
        self.walked.get()
    }

    /// All partitions at once.
    #[cfg(test)]
    pub(crate) fn replicas(&self) -> Vec<Rc<Replica>> {
        self.partitions.borrow().values().cloned().collect()
    }
}
