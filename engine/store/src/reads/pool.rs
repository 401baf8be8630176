//! What cold reads may use of a core: memory of their own, and a number of places at the device.
//!
//! The memory lies beside what producers have: readers that are slow, or many, never take a tail out of memory and never make a
//! producer wait. When it is short, reads become smaller instead of waiting for each other: a reader that takes nothing off
//! its connection holds up nobody else. The least is one batch, also beyond the limit, so that everybody gets further.

use runtime::sync::{OneshotSender, oneshot};
use runtime::{Memory, Runtime};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

/// The share of cold reads, compared with the core's budget, which it does not lessen.
const SHARE: usize = 8;
/// Reads at the device at the same time: enough to keep a solid-state disk busy, and few enough that the ring's writes do
/// not queue behind them.
const AT_ONCE: usize = 32;
/// When memory is short a read is this large.
const SMALL: usize = 64 * 1024;

/// How large a read may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// So many bytes.
    Bytes(usize),
    /// One batch, and only for a reader that gets nothing else.
    OneBatch,
}

pub(crate) struct Pool {
    memory: Memory,
    device: Rc<Device>,
}

impl Pool {
    pub(crate) fn new(rt: &Runtime) -> Self {
        let device = Device { free: Cell::new(AT_ONCE), waiting: RefCell::default() };
        Self { memory: Memory::new(rt.memory().limit() / SHARE), device: Rc::new(device) }
    }

    /// Bytes in use, and the budget.
    pub(crate) fn memory(&self) -> (usize, usize) {
        (self.memory.used(), self.memory.limit())
    }

    /// What buffers of cold reads count against.
    pub(crate) fn buffers(&self) -> &Memory {
        &self.memory
    }

    /// How large a read may be that would like to have `wanted` bytes.
    pub(super) fn room(&self, wanted: usize) -> Room {
        room(self.memory.used(), self.memory.limit(), wanted)
    }

    /// Somebody reads.
    pub(crate) fn is_busy(&self) -> bool {
        self.device.free.get() < AT_ONCE
    }

    /// Waits for a place at the device, in the order of arrival.
    pub(crate) async fn device(&self) -> Permit {
        if let Some(permit) = Device::take(&self.device) {
            return permit;
        }
        let (next, turn) = oneshot();
        self.device.waiting.borrow_mut().push_back(next);
        match turn.await {
            Some(permit) => permit,
            // The queue is part of the pool, which is there.
            None => unreachable!("a place in a queue that is gone"),
        }
    }
}

fn room(used: usize, limit: usize, wanted: usize) -> Room {
    let fits = |bytes: usize| used.saturating_add(Memory::rounded(bytes)) <= limit;
    if fits(wanted) {
        Room::Bytes(wanted)
    } else if fits(SMALL) {
        Room::Bytes(SMALL.min(wanted))
    } else {
        Room::OneBatch
    }
}

struct Device {
    free: Cell<usize>,
    waiting: RefCell<VecDeque<OneshotSender<Permit>>>,
}

impl Device {
    fn take(device: &Rc<Self>) -> Option<Permit> {
        let free = device.free.get().checked_sub(1)?;
        device.free.set(free);
        Some(Permit(Rc::clone(device)))
    }
}

/// A place at the device. It goes to the next in the queue when it is dropped, also on its way to somebody who has left.
pub(crate) struct Permit(Rc<Device>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.free.set(self.0.free.get() + 1);
        loop {
            let next = self.0.waiting.borrow_mut().pop_front();
            let Some(next) = next else { return };
            if next.is_closed() {
                continue;
            }
            if let Some(permit) = Device::take(&self.0) {
                next.send(permit);
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_become_smaller_as_memory_becomes_short() {
        let mib = 1 << 20;
        assert_eq!(room(0, 4 * mib, mib), Room::Bytes(mib));
        assert_eq!(room(3 * mib, 4 * mib, mib), Room::Bytes(mib));
        assert_eq!(room(3 * mib + 1, 4 * mib, mib), Room::Bytes(SMALL));
        assert_eq!(room(3 * mib + 1, 4 * mib, 5_000), Room::Bytes(5_000));
        assert_eq!(room(4 * mib - 60_000, 4 * mib, mib), Room::OneBatch);
        assert_eq!(room(9 * mib, 4 * mib, 100), Room::OneBatch);
    }

    #[test]
    fn places_go_in_order_and_none_is_lost_with_those_who_leave() {
        let device = Rc::new(Device { free: Cell::new(1), waiting: RefCell::new(VecDeque::new()) });
        let first = Device::take(&device).unwrap();
        assert!(Device::take(&device).is_none());
        let (gone, left) = oneshot();
        let (second, turn) = oneshot();
        device.waiting.borrow_mut().extend([gone, second]);
        drop(left);
        drop(first);
        assert_eq!(device.free.get(), 0, "the second has it, not the one who left");
        drop(turn);
        assert_eq!(device.free.get(), 1, "and gave it back without having taken it");
    }
}
