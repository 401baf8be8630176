//! How far the journal is with each partition, and who is told.

use super::{Inner, Refusal, Store};
use crate::journal::Stage;
use crate::partition::Shared;
use crate::planted::{self, Planted};
use crate::writer;
use ids::{Offset, PartitionId};
use log::Place;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What has become of a partition's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which partition.
    pub partition: PartitionId,
    /// The end offset that has been written to the journal.
    pub written: Offset,
    /// The end offset that has been flushed.
    pub durable: Offset,
}

/// What the journal tells of one record.
pub(crate) struct Advance {
    pub(crate) partition: Shared,
    pub(crate) generation: u32,
    pub(crate) end: Offset,
    /// None if the log has no segment.
    pub(crate) place: Option<Place>,
}

pub(super) type Observer = Rc<dyn Fn(Progress)>;

impl Inner {
    pub(super) fn on_advance(self: &Rc<Self>, advances: &[Advance], stage: Stage) {
        let observer = self.observer.borrow().clone();
        for a in advances {
            let progress = {
                let mut p = a.partition.borrow_mut();
                // A record of an older generation was truncated away meanwhile; its completion means nothing.
                let counts = planted::is(Planted::OlderGenerationCounts);
                if a.generation != p.log.generation() && !counts {
                    continue;
                }
                match stage {
                    Stage::Written => p.written = p.written.max(a.end),
                    Stage::Durable => {
                        p.durable = p.durable.max(a.end);
                        p.durable_place = a.place;
                    }
                }
                Progress { partition: p.id, written: p.written, durable: p.durable }
            };
            if let Some(f) = &observer {
                f(progress);
            }
            if stage == Stage::Durable {
                writer::kick(self, &a.partition);
            }
        }
    }
}

impl Store {
    /// Calls `observer` with every step of every partition, in order, on this core.
    pub fn observe(&self, observer: impl Fn(Progress) + 'static) {
        *self.inner.observer.borrow_mut() = Some(Rc::new(observer));
    }

    /// Written and durable ends.
    ///
    /// # Errors
    /// [`Refusal::UnknownPartition`].
    pub fn progress(&self, id: PartitionId) -> Result<Progress, Refusal> {
        let p = self.partition(id)?;
        let p = p.borrow();
        Ok(Progress { partition: id, written: p.written, durable: p.durable })
    }

    /// Which stage the records of these partitions that end at these offsets are in on their way to the disk:
    /// [`Stage::Commit`](stages::Stage::Commit), `Write` or `Flush`; those that have arrived are not among them. For who asks in the
    /// middle of it: it looks at every record on its way, once.
    #[must_use]
    pub fn wait_in(
        &self,
        ends: &BTreeMap<PartitionId, Offset>,
    ) -> BTreeMap<PartitionId, stages::Stage> {
        self.inner.journal.on_the_way(|records| {
            firsts(records.map(|(a, stage)| (a.partition.borrow().id, a.end, stage)), ends)
        })
    }
}

/// The stage of the first record of each partition that reaches its end. There may be 100,000 records: none behind the last that is
/// looked for is looked at.
fn firsts(
    records: impl Iterator<Item = (PartitionId, Offset, stages::Stage)>,
    ends: &BTreeMap<PartitionId, Offset>,
) -> BTreeMap<PartitionId, stages::Stage> {
    let mut found = BTreeMap::new();
    if ends.is_empty() {
        return found;
    }
    for (id, end, stage) in records {
        if ends.get(&id).is_some_and(|wanted| end >= *wanted) {
            found.entry(id).or_insert(stage);
            if found.len() == ends.len() {
                break;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::{PartitionIndex, TopicId};

    #[test]
    fn a_record_is_looked_at_once_for_all_partitions() {
        let id = |index| PartitionId { topic: TopicId([7; 16]), index: PartitionIndex(index) };
        let stage = |n| if n < 300 { stages::Stage::Flush } else { stages::Stage::Commit };
        let mut looked = 0;
        // Ten partitions in turn, and what partition 9 waits for is the 400th.
        let end = |n: i32| Offset(i64::from(n / 10) + 1);
        let records = (0..1_000).map(|n| (id(n % 10), end(n), stage(n)));
        let ends = (0..10).map(|index| (id(index), Offset(if index == 9 { 40 } else { 1 })));
        let found = firsts(records.inspect(|_| looked += 1), &ends.collect());
        let mut expected: BTreeMap<_, _> =
            (0..9).map(|index| (id(index), stages::Stage::Flush)).collect();
        expected.insert(id(9), stages::Stage::Commit);
        assert_eq!((found, looked), (expected, 400));
        // What has arrived is not on its way.
        let arrived = [(id(3), Offset(2))].into();
        let records = [(id(3), Offset(1), stages::Stage::Write)];
        assert_eq!(firsts(records.into_iter(), &arrived), BTreeMap::new());
    }
}
