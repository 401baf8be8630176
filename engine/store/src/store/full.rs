//! A disk that is full: who is refused, who is not, and when writes are taken again.

use super::{Inner, Refusal, Store};
use crate::reserve::{self, is_full, is_out_of_files};
use ids::{PartitionId, TopicId};
use std::io;
use std::time::Duration;

/// Writes that were refused are taken again only when this much, or an eighth of the minimum, is free beyond it.
const FREE_AGAIN_MIN: u64 = 2 << 20;

/// With so much free space writes that were refused below `min` are taken again.
fn again_from(min: u64) -> u64 {
    min.saturating_add((min / 8).max(FREE_AGAIN_MIN))
}

impl Inner {
    /// A file could not be opened, or an allocation was refused. Anything but a full disk is a fault, and too many open files:
    /// the bytes are in the ring, and whoever was refused tries again.
    pub(crate) fn on_refused(&self, e: &io::Error) {
        if is_out_of_files(e) {
            self.tell_out_of_files(e);
            return;
        }
        if !is_full(e) {
            self.rt.fault(format!("the data directory cannot be written: {e}"));
        }
        self.set_full();
    }

    fn set_full(&self) {
        let free = self.rt.disk().space(self.paths.root()).map_or(0, |s| s.free);
        if self.full.replace(Some(free)).is_none() {
            self.filled_up.notify();
        }
        // Whoever waits for room is refused instead.
        self.admission.refuse_all();
    }

    /// Whether `bytes` more may be taken for something that can wait, and whose room comes back later: not where it would cost
    /// producers theirs, nor what they would get back first. While writes are refused already, what gives room back may use
    /// half of the minimum, beside what the reserve lacks: nothing else would end that.
    pub(crate) fn has_room_to_spare(&self, bytes: u64) -> bool {
        let Ok(space) = self.rt.disk().space(self.paths.root()) else { return true };
        let min = self.config.free_bytes_min;
        let floor = match self.full.get() {
            None => again_from(min),
            Some(_) => min / 2 + self.reserve.missing(self.reserve_target()),
        };
        space.free >= floor.saturating_add(bytes)
    }

    /// How large the reserve must be for the next checkpoint.
    pub(super) fn reserve_target(&self) -> u64 {
        let ring = self.journal.ring().size();
        let manifest = self.manifest.borrow().len;
        let rest = self.rest.borrow().len;
        reserve::target(ring, manifest, rest)
    }

    /// Those that are exempt need room in the ring all the same: what does not fit waits for a checkpoint that waits for it.
    /// The metadata log may use what deletions may: a topic's deletion begins there.
    fn is_taken_though_full(&self, id: PartitionId, bytes: usize) -> bool {
        if id.topic == TopicId::METADATA {
            return self.journal.has_control_room_for(bytes);
        }
        self.exempt.borrow().contains(&id) && self.journal.has_room(bytes)
    }

    /// A checkpoint was refused space: it gets some of the reserve, or waits a while when there is none left.
    pub(super) async fn give_from_reserve(&self) {
        match self.reserve.shrink().await {
            Ok(true) => {}
            Ok(false) => self.rt.sleep(Duration::from_millis(200)).await,
            Err(e) => self.rt.fault(format!("the reserve cannot be shrunk: {e}")),
        }
    }

    /// Makes the reserve whole, if enough stays free beside it: a checkpoint can use what is free, and others have a use for it.
    async fn fill_reserve(&self, free: u64) {
        let target = self.reserve_target();
        let missing = self.reserve.missing(target);
        if missing == 0 || free < again_from(self.config.free_bytes_min).saturating_add(missing) {
            return;
        }
        if let Err(e) = self.reserve.grow(target).await {
            self.on_refused(&e);
        }
    }

    /// Refuses writes below the minimum of free space, or while the reserve is not whole, and takes them again, with
    /// hysteresis, when there is room.
    pub(super) async fn watch_space(&self) {
        let free = match self.rt.disk().space(self.paths.root()) {
            Ok(space) => space.free,
            Err(e) => {
                runtime::tell!(
                    "the free space of {} is not known: {e}",
                    self.paths.root().display()
                );
                return;
            }
        };
        let min = self.config.free_bytes_min;
        let again = again_from(min);
        let target = self.reserve_target();
        self.fill_reserve(free).await;
        let whole = self.reserve.missing(target) == 0;
        if self.full.get().is_none() {
            // A reserve that is only a little behind a growing manifest is no reason to refuse.
            if free < min || self.reserve.missing(target) > target / 2 {
                self.set_full();
            }
        } else if whole && free >= again {
            self.full.set(None);
            self.checkpoint_wanted.notify();
            self.admission.moved();
        } else {
            self.full.set(Some(free));
        }
    }
}

impl Store {
    /// Why an append of `bytes` to `id` would be refused now because the disk is full: for those who must know before they
    /// decide something that only an append makes true.
    #[must_use]
    pub fn lacks_room(&self, id: PartitionId, bytes: usize) -> Option<Refusal> {
        let inner = &self.inner;
        if inner.held.get() {
            return Some(Refusal::DiskFull { free: inner.full.get().unwrap_or(0) });
        }
        let free = inner.full.get()?;
        (!inner.is_taken_though_full(id, bytes)).then_some(Refusal::DiskFull { free })
    }

    /// Lets a partition take writes also while the disk is full. For what the node cannot do without, such as committed
    /// offsets; the metadata log is exempt always.
    pub fn exempt(&self, id: PartitionId) {
        self.inner.exempt.borrow_mut().insert(id);
    }

    /// Resolves when the disk has filled up since this resolved last: for whoever can make room. One may wait.
    pub async fn filled_up(&self) {
        self.inner.filled_up.notified().await;
    }

    /// Free bytes, while writes are refused because the disk is full.
    #[must_use]
    pub fn disk_full(&self) -> Option<u64> {
        self.inner.full.get()
    }
}
