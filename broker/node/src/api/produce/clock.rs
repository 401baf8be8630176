//! A produce's stopwatch, and what the request waits for.

use ids::{CoreId, PartitionId};
use stages::Laps;
use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;

/// A request's stopwatch. Of several batches it names one that the request waits for, to whoever looks at it meanwhile.
pub(super) struct Clock {
    laps: RefCell<Laps>,
    several: bool,
    /// Of several those that have not come to an end, in the order in which that is waited for: first those of this core (none),
    /// then those of other cores, each with its place in the request.
    open: RefCell<BTreeMap<(Option<CoreId>, usize), PartitionId>>,
}

impl Clock {
    /// Takes the stopwatch of a request of so many batches.
    pub(super) fn of(laps: &mut Laps, batches: usize) -> Self {
        let several = stages::ON && batches > 1;
        Self { laps: RefCell::new(std::mem::take(laps)), several, open: RefCell::default() }
    }

    /// The stopwatch, which comes back.
    pub(super) fn end(&self) -> Laps {
        self.laps.take()
    }

    pub(super) fn laps(&self) -> RefMut<'_, Laps> {
        self.laps.borrow_mut()
    }

    /// A batch is on its way to its partition, on this core or another.
    pub(super) fn begin(&self, core: Option<CoreId>, place: usize, id: PartitionId) {
        if self.several {
            self.open.borrow_mut().insert((core, place), id);
        } else {
            self.laps().waits_for(id);
        }
    }

    /// Names the next one that the request waits for.
    pub(super) fn waits_for_next(&self) {
        if self.several {
            let (mut laps, open) = (self.laps(), self.open.borrow());
            if let Some(id) = open.values().next() {
                laps.waits_for(*id);
            }
            laps.waits_for_several(open.len() > 1);
        }
    }

    /// A batch has come to its end.
    pub(super) fn on_end(&self, core: Option<CoreId>, place: usize) {
        if self.several && self.open.borrow_mut().remove(&(core, place)).is_some() {
            self.waits_for_next();
        }
    }
}

#[cfg(all(test, not(feature = "stages-compiled-out")))]
mod tests {
    use super::*;
    use ids::{Instant, PartitionIndex, TopicId};

    fn id(index: i32) -> PartitionId {
        PartitionId { topic: TopicId([1; 16]), index: PartitionIndex(index) }
    }

    #[test]
    fn what_is_named_is_waited_for() {
        let clock = Clock::of(&mut Laps::begin(Instant(0)), 4);
        let named = || {
            let times = clock.laps().times().unwrap();
            (times.partition(), times.has_several())
        };
        let (one, two) = (Some(CoreId(1)), Some(CoreId(2)));
        for (place, core) in [(0, two), (1, one), (2, None), (3, None)] {
            clock.begin(core, place, id(i32::try_from(place).unwrap()));
        }
        clock.waits_for_next();
        // Those of its own core come first.
        assert_eq!(named(), (Some(id(2)), true));
        clock.on_end(None, 2);
        assert_eq!(named(), (Some(id(3)), true));
        clock.on_end(None, 3);
        assert_eq!(named(), (Some(id(1)), true));
        clock.on_end(one, 1);
        assert_eq!(named(), (Some(id(0)), false));
        clock.on_end(two, 0);
        // The last one stays named.
        assert_eq!(named(), (Some(id(0)), false));
    }

    #[test]
    fn one_batch_is_named_from_its_beginning() {
        let clock = Clock::of(&mut Laps::begin(Instant(0)), 1);
        clock.begin(Some(CoreId(1)), 0, id(7));
        clock.on_end(Some(CoreId(1)), 0);
        let laps = clock.end();
        assert_eq!(laps.partition(), Some(id(7)));
    }
}
