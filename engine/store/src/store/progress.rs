//! How far the journal is with each partition, and who is told.

use super::{Inner, Refusal, Store};
use crate::journal::Stage;
use crate::partition::Shared;
use crate::planted::{self, Planted};
use crate::writer;
use ids::{Offset, PartitionId};
use log::Place;
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

    /// Which stage a partition's record that ends at `end` is in on its way to the disk: [`Stage::Commit`](stages::Stage::Commit),
    /// `Write` or `Flush`; none if it has arrived. For who asks in the middle of it: it looks at every record on its way.
    #[must_use]
    pub fn waits_in(&self, id: PartitionId, end: Offset) -> Option<stages::Stage> {
        self.inner.journal.waits_in(|a| a.end >= end && a.partition.borrow().id == id)
    }
}
