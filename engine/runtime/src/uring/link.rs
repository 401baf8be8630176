//! Two operations of which the kernel starts the second when the first has succeeded in whole, without a turn of the core.
//!
//! Both belong to one slot. The first, the leader, is silent if it succeeds: one completion, of the second, tells of both. If the
//! leader fails, or moves fewer bytes than it was told to, it is the one that completes, and the second is never begun.
//!
//! All this holds only for entries that the kernel takes in one call. A link of which it took the first alone would be two
//! operations without an order, and a flush might count for a write that is still under way. It happens if the kernel finds no
//! memory between the two; the process stops then, as it does when a call fails.

use super::{Op, State, Uring};
use crate::keep::Keep;
use io_uring::squeue::{self, Flags};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// In the flags of a result: it is the leader's, which has not succeeded. The kernel has no such flag.
pub(super) const LEADER: u32 = 1 << 31;
/// In the number of a completion: it is a leader's. Numbers of slots are below 2^62.
const LEADS: u64 = 1 << 62;

/// Whether a completion is a leader's.
pub(super) fn leads(id: u64) -> bool {
    id & LEADS != 0
}

/// The slot's number.
pub(super) fn of(id: u64) -> u64 {
    id & !LEADS
}

/// Whether a leader has done all that it was to do.
pub(super) fn is_whole(keep: &Keep, result: i32) -> bool {
    match keep {
        Keep::Write(_, data) => usize::try_from(result) == Ok(data.len()),
        _ => false,
    }
}

/// The links whose entries the kernel has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Links(RefCell<VecDeque<u64>>);

impl Links {
    /// Entry number `first` leads the one after it.
    fn add(&self, first: u64) {
        self.0.borrow_mut().push_back(first);
    }

    /// The kernel has taken entries, so many since the ring was made.
    pub(super) fn on_taken(&self, taken: u64) {
        let mut links = self.0.borrow_mut();
        while let Some(first) = links.front() {
            assert!(
                taken != first + 1,
                "io_uring_enter took half a link: the kernel is out of memory"
            );
            if taken <= *first {
                return;
            }
            links.pop_front();
        }
    }
}

impl Uring {
    /// Starts two operations on what `keep` holds, the second after the first. It resolves as the second; with [`LEADER`] among
    /// its flags as the first, and the second is never begun.
    pub(super) fn start_linked(self: &Rc<Self>, entries: [squeue::Entry; 2], keep: Keep) -> Op {
        let id = self.insert(keep, State::Waiting(None));
        let [first, second] = entries;
        let first = first.flags(Flags::IO_LINK | Flags::SKIP_SUCCESS).user_data(id | LEADS);
        self.push_together(&[first, second.user_data(id)]);
        self.links.add(self.pushed.get() - 2);
        Op { uring: Rc::clone(self), id: Some(id) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_taken_whole_or_not_at_all() {
        let links = Links::default();
        links.add(3);
        links.add(5);
        links.on_taken(0);
        links.on_taken(3);
        assert_eq!(links.0.borrow().len(), 2);
        links.on_taken(5);
        assert_eq!(*links.0.borrow(), [5]);
        links.on_taken(9);
        assert!(links.0.borrow().is_empty());
        links.add(9);
        let torn = std::panic::AssertUnwindSafe(|| links.on_taken(10));
        assert!(std::panic::catch_unwind(torn).is_err());
    }
}
