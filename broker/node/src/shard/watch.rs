//! Which of a reader's partitions have moved since it read them.
//!
//! A reader gives its partitions numbers. A partition notes for each reader that it has moved, once, and the reader asks for the
//! numbers of those that have: what did not move costs nothing, however many there are.

use super::Replica;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};

/// One reader's partitions on this core. Lives as long as the reader wants to be told.
#[derive(Default)]
pub(crate) struct Watch {
    /// Who waits: the last one to come. Those before it have given up; a bell would remember them all.
    waiter: RefCell<Option<Waker>>,
    places: RefCell<Vec<Place>>,
    /// The numbers of those that have moved. Some may have been read since.
    moved: RefCell<Vec<u32>>,
    /// How many have moved and were not read since.
    count: Cell<usize>,
    next: Cell<u64>,
}

/// What a number stands for.
#[derive(Default)]
struct Place {
    replica: Weak<Replica>,
    /// Which of the partition's entries counts; an older one is void. 0 is none.
    entry: u64,
    moved: bool,
}

impl Watch {
    /// The reader is about to read `replica` under this number: all that comes from now on is told.
    pub(crate) fn on_read(self: &Rc<Self>, number: u32, replica: &Rc<Replica>) {
        let mut places = self.places.borrow_mut();
        let at = number as usize;
        if places.len() <= at {
            places.resize_with(at + 1, Place::default);
        }
        let place = &mut places[at];
        if std::mem::take(&mut place.moved) {
            self.count.set(self.count.get() - 1);
        }
        if place.entry == 0 || place.replica.as_ptr() != Rc::as_ptr(replica) {
            self.next.set(self.next.get() + 1);
            place.entry = self.next.get();
            place.replica = Rc::downgrade(replica);
            let entry = Entry { watch: Rc::downgrade(self), number, entry: place.entry };
            replica.waiters.borrow_mut().follow(entry);
        }
    }

    /// The number stands for nothing any more.
    pub(crate) fn forget(&self, number: u32) {
        if let Some(place) = self.places.borrow_mut().get_mut(number as usize)
            && std::mem::take(place).moved
        {
            self.count.set(self.count.get() - 1);
        }
    }

    /// Takes the numbers of those that have moved since they were read: they have to be read now.
    pub(crate) fn take_moved(&self) -> Vec<u32> {
        let mut places = self.places.borrow_mut();
        let mut moved = std::mem::take(&mut *self.moved.borrow_mut());
        moved.retain(|number| {
            places.get_mut(*number as usize).is_some_and(|p| std::mem::take(&mut p.moved))
        });
        self.count.set(0);
        moved
    }

    /// Resolves when at least one has moved.
    pub(crate) async fn heard(&self) {
        poll_fn(|cx| {
            if self.count.get() > 0 {
                return Poll::Ready(());
            }
            *self.waiter.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// How a partition remembers a reader.
pub(crate) struct Entry {
    watch: Weak<Watch>,
    number: u32,
    entry: u64,
}

impl Entry {
    /// Whether anybody still wants to hear of it.
    pub(crate) fn is_alive(&self) -> bool {
        self.watch.strong_count() > 0
    }

    /// The partition has moved; whether anybody still wants to hear of it.
    pub(crate) fn on_move(&self) -> bool {
        let Some(watch) = self.watch.upgrade() else { return false };
        {
            let mut places = watch.places.borrow_mut();
            let place = places.get_mut(self.number as usize).filter(|p| p.entry == self.entry);
            let Some(place) = place else { return false };
            if std::mem::replace(&mut place.moved, true) {
                return true;
            }
        }
        watch.moved.borrow_mut().push(self.number);
        watch.count.set(watch.count.get() + 1);
        let waiter = watch.waiter.borrow_mut().take();
        if let Some(waiter) = waiter {
            waiter.wake();
        }
        true
    }
}
