//! What members say about themselves is kept in memory, and anybody may become a member: there is a bound for all of them.
//!
//! A group weighs what its members said and were assigned, and the ids that were given out. The groups of a core share one bound.
//! When it is reached, whoever would add to it is told to come again later; members that say no more than before go on.
//!
//! Records on their way into the log have a bound of the same size, and of their own: a commit is a few bytes for each partition,
//! and its records repeat the names of the group and of the topic for each.

use std::cell::Cell;
use std::rc::Rc;

/// How much the members of all groups of a core may take.
#[derive(Debug)]
pub struct MemberMemory {
    used: Cell<usize>,
    max: Cell<usize>,
    /// Of records that are on their way into the log.
    under_way: Cell<usize>,
}

impl MemberMemory {
    /// For members that weigh up to `max` bytes.
    #[must_use]
    pub fn new(max: usize) -> Rc<Self> {
        Rc::new(Self { used: Cell::new(0), max: Cell::new(max), under_way: Cell::new(0) })
    }

    /// Bytes that members take now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.get()
    }
}

/// The part of one coordinator.
#[derive(Debug)]
pub(crate) struct Share {
    memory: Rc<MemberMemory>,
    own: usize,
}

impl Share {
    pub(crate) fn of(memory: Rc<MemberMemory>) -> Self {
        Self { memory, own: 0 }
    }

    /// Something weighs `after`, and weighed `before`.
    pub(crate) fn change(&mut self, before: usize, after: usize) {
        let turn = |n: usize| (n + after).saturating_sub(before);
        self.own = turn(self.own);
        self.memory.used.set(turn(self.memory.used.get()));
    }

    /// Whether there is room for `bytes` more. Nothing more is always possible.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        bytes == 0 || self.memory.used.get().saturating_add(bytes) <= self.memory.max.get()
    }

    /// Whether there is room for an assignment of `bytes`. The groups that there are go on being assigned when nobody may join
    /// any more, until they take twice as much.
    pub(crate) fn has_room_to_assign(&self, bytes: usize) -> bool {
        let max = self.memory.max.get().saturating_mul(2);
        bytes == 0 || self.memory.used.get().saturating_add(bytes) <= max
    }

    /// Nobody is left.
    pub(crate) fn clear(&mut self) {
        self.change(self.own, 0);
    }
}

impl Default for Share {
    fn default() -> Self {
        Self::of(MemberMemory::new(usize::MAX))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The records of one coordinator that are on their way into the log.
#[derive(Debug)]
pub(crate) struct UnderWay {
    memory: Rc<MemberMemory>,
    own: usize,
}

impl UnderWay {
    pub(crate) fn of(memory: Rc<MemberMemory>) -> Self {
        Self { memory, own: 0 }
    }

    pub(crate) fn add(&mut self, bytes: usize) {
        self.own += bytes;
        self.memory.under_way.set(self.memory.under_way.get() + bytes);
    }

    pub(crate) fn remove(&mut self, bytes: usize) {
        self.own = self.own.saturating_sub(bytes);
        self.memory.under_way.set(self.memory.under_way.get().saturating_sub(bytes));
    }

    /// Whether there is room for so many more. A request for more than everything has its turn when nothing else is there.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let used = self.memory.under_way.get();
        used == 0 || used.saturating_add(bytes) <= self.memory.max.get()
    }

    pub(crate) fn clear(&mut self) {
        self.remove(self.own);
    }
}

impl Default for UnderWay {
    fn default() -> Self {
        Self::of(MemberMemory::new(usize::MAX))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.clear();
    }
}

/// What a member, or anything else that has names in maps, weighs besides its texts.
pub(crate) const OVERHEAD: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_go_with_their_owners() {
        let memory = MemberMemory::new(100);
        let (mut a, mut b) = (Share::of(Rc::clone(&memory)), Share::of(Rc::clone(&memory)));
        a.change(0, 60);
        b.change(0, 30);
        assert!(a.has_room(10) && !b.has_room(11) && b.has_room(0));
        b.change(30, 10);
        assert_eq!(memory.used(), 70);
        // More may be in the log than is allowed: it is taken over, and nothing is added.
        a.change(60, 500);
        assert!(b.has_room(0) && !b.has_room(1));
        drop(a);
        assert_eq!(memory.used(), 10);
    }

    #[test]
    fn records_have_a_bound_of_their_own_and_a_large_request_goes_alone() {
        let memory = MemberMemory::new(100);
        let mut members = Share::of(Rc::clone(&memory));
        members.change(0, 100);
        let (mut a, b) = (UnderWay::of(Rc::clone(&memory)), UnderWay::of(Rc::clone(&memory)));
        assert!(a.has_room(1_000), "nothing else is there");
        a.add(60);
        assert!(b.has_room(40) && !b.has_room(41));
        a.remove(20);
        assert!(b.has_room(60) && !b.has_room(61));
        drop(a);
        assert!(b.has_room(1_000));
        assert_eq!(memory.used(), 100);
    }
}
