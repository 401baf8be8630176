//! The scrub of one core: reads sealed segments again and says which are damaged.
//!
//! A round begins at most once a day; a log of a terabyte takes longer than that at the usual rate. What is damaged is said
//! once for each segment as long as the process lives, and counted in `/metrics` for as long as it is in the log. The process
//! goes on: readers of the damaged batches get CORRUPT_MESSAGE, everything else is served.

use crate::broker::Broker;
use ids::PartitionId;
use log::SegmentName;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;
use store::ScrubFinding;

/// From one start of the process, or of a round, to the next round.
const AFTER_START: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_secs(24 * 3600);

type Damaged = BTreeSet<(PartitionId, SegmentName)>;

/// What the scrub remembers. Lives on its core.
#[derive(Default)]
pub(crate) struct Scrubber {
    rounds: Cell<u64>,
    damaged: RefCell<Damaged>,
}

impl Scrubber {
    /// Rounds that have ended.
    pub(crate) fn rounds(&self) -> u64 {
        self.rounds.get()
    }

    /// Segments that were damaged when they were last read again.
    pub(crate) fn damaged(&self) -> usize {
        self.damaged.borrow().len()
    }

    /// Whether this is news.
    fn note(&self, found: &ScrubFinding) -> bool {
        self.damaged.borrow_mut().insert((found.partition, found.segment))
    }

    /// A round has ended in which only these were damaged: the others have left the log, or could be read again.
    fn settle(&self, found: Damaged) {
        *self.damaged.borrow_mut() = found;
        self.rounds.set(self.rounds.get() + 1);
    }
}

/// Starts the scrub of this core.
pub(crate) fn start(broker: &Rc<Broker>) {
    let me = Rc::clone(broker);
    broker.rt.spawn(async move {
        me.rt.sleep(AFTER_START).await;
        loop {
            let began = me.rt.now();
            round(&me).await;
            me.rt.sleep(EVERY.saturating_sub(me.rt.now().since(began))).await;
        }
    });
}

async fn round(broker: &Rc<Broker>) {
    let cores = f64::from(broker.metadata.cores.max(1));
    let rate = || broker.metadata.settings().scrub_bytes_per_second as f64 / cores;
    let mut all = Damaged::new();
    let found = |found: ScrubFinding| {
        all.insert((found.partition, found.segment));
        if broker.scrubber.note(&found) {
            let ScrubFinding { partition, segment, why } = found;
            let index = partition.index;
            let topic = broker.shard.replica(partition).map(|r| r.topic.clone());
            let topic = topic.unwrap_or_else(|| partition.topic.to_string().into());
            runtime::tell!(
                "scrub: partition {index} of {topic}: segment {segment} is {why}; its readers get CORRUPT_MESSAGE there"
            );
        }
    };
    broker.shard.store.scrub(rate, found).await;
    broker.scrubber.settle(all);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::{Offset, PartitionIndex, TopicId};

    #[test]
    fn a_segment_is_said_once_and_counted_while_it_is_there() {
        let scrubber = Scrubber::default();
        let partition = PartitionId { topic: TopicId([1; 16]), index: PartitionIndex(0) };
        let segment = SegmentName { base: Offset(0), creation: 0 };
        let found = ScrubFinding { partition, segment, why: String::new() };
        assert!(scrubber.note(&found));
        scrubber.settle([(partition, segment)].into());
        assert!(!scrubber.note(&found));
        assert_eq!((scrubber.damaged(), scrubber.rounds()), (1, 1));
        scrubber.settle(Damaged::new());
        assert_eq!((scrubber.damaged(), scrubber.rounds()), (0, 2));
    }
}
