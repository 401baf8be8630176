//! How far consumer groups are behind, and where partitions begin and end: gathered when somebody scrapes, and not before.
//!
//! The control thread says through the [`Board`] that it wants to know; core 0 then asks every core, which looks at what it has
//! in memory in steps that are short beside a request, and puts what came of it on the board. Scrapes that come within a
//! second share it. Nothing is read from a disk.

mod board;
mod gather;
mod moment;

pub(crate) use board::Board;
pub(crate) use gather::watch;

use crate::shard::Traffic;
use ids::{Offset, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// What all cores said.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    /// When, by the wall clock.
    pub(crate) at: Timestamp,
    /// How long it took.
    pub(crate) took: Duration,
    /// Every partition that is led here, by core, topic id and index.
    pub(crate) partitions: Vec<PartitionFacts>,
    /// Every partition that the cluster has: more than are led while some have no leader.
    pub(crate) partitions_known: usize,
    /// Topics of the cluster.
    pub(crate) topics_known: usize,
    pub(crate) groups: Vec<GroupFacts>,
    /// Groups whose offsets are not among them, because there would be too many.
    pub(crate) groups_left_out: u64,
    /// Partitions of `__consumer_offsets` whose log is being read: their groups are not known yet.
    pub(crate) coordinators_loading: u64,
    /// Id and address of each broker.
    pub(crate) brokers: Vec<(i32, String)>,
    /// Free bytes, and all bytes, of the file system that holds the data; none where it does not say.
    pub(crate) disk: Option<(u64, u64)>,
}

/// A partition that is led here.
#[derive(Clone, Debug)]
pub(crate) struct PartitionFacts {
    pub(crate) topic: Arc<str>,
    pub(crate) index: i32,
    pub(crate) start: Offset,
    /// The high watermark.
    pub(crate) end: Offset,
    pub(crate) bytes: u64,
    pub(crate) leader: i32,
    pub(crate) is_preferred: bool,
    pub(crate) replicas: usize,
    pub(crate) in_sync: usize,
    /// It takes no writes: acknowledged records of it are missing.
    pub(crate) incomplete: bool,
    pub(crate) traffic: Traffic,
}

/// A group.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupFacts {
    pub(crate) id: String,
    pub(crate) state: &'static str,
    pub(crate) members: usize,
    /// By topic and partition; all of them or none.
    pub(crate) offsets: Vec<OffsetFacts>,
    /// There would be too many with its offsets.
    pub(crate) left_out: bool,
}

/// An offset that a group committed.
#[derive(Clone, Debug)]
pub(crate) struct OffsetFacts {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) committed: Offset,
    /// None for a partition that is not led here any more.
    pub(crate) end: Option<Found>,
}

/// What the owner of a partition says about an offset in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The high watermark.
    pub(crate) end: Offset,
    /// About when the record at the offset was made; none if there is no such record yet.
    pub(crate) written: Option<Timestamp>,
}

impl OffsetFacts {
    /// Records between the committed offset and the end.
    pub(crate) fn lag(&self) -> Option<u64> {
        let end = self.end?.end;
        Some(u64::try_from(end.0.saturating_sub(self.committed.0)).unwrap_or(0))
    }

    /// For how long the first record that is not committed has waited, in seconds.
    pub(crate) fn lag_seconds(&self, now: Timestamp) -> Option<f64> {
        let found = self.end?;
        let Some(written) = found.written else { return Some(0.0) };
        Some(now.0.saturating_sub(written.0).max(0) as f64 / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(committed: i64, end: Option<(i64, Option<i64>)>) -> OffsetFacts {
        let end =
            end.map(|(end, written)| Found { end: Offset(end), written: written.map(Timestamp) });
        OffsetFacts { topic: "t".into(), partition: 0, committed: Offset(committed), end }
    }

    #[test]
    fn lag_is_never_negative_and_unknown_without_a_partition() {
        let now = Timestamp(10_000);
        let behind = facts(3, Some((10, Some(4_000))));
        assert_eq!((behind.lag(), behind.lag_seconds(now)), (Some(7), Some(6.0)));
        let at_the_end = facts(10, Some((10, None)));
        assert_eq!((at_the_end.lag(), at_the_end.lag_seconds(now)), (Some(0), Some(0.0)));
        // Committed past the end, by a tool; a record of the future.
        assert_eq!(facts(11, Some((10, None))).lag(), Some(0));
        assert_eq!(facts(3, Some((10, Some(11_000)))).lag_seconds(now), Some(0.0));
        let deleted = facts(3, None);
        assert_eq!((deleted.lag(), deleted.lag_seconds(now)), (None, None));
    }
}
