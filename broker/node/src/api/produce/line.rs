//! The produces of one connection, in the order of their arrival.
//!
//! One that lets others come first between two of its batches has appended nothing yet. Those behind it wait until it has: an
//! idempotent producer has five requests on their way and numbers its batches.

use runtime::sync::Notify;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

/// One connection's. Whoever stands at its head comes without a wait.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// How many have come.
    came: Cell<u64>,
    /// Whose turn it is.
    head: Cell<u64>,
    /// Those behind the head that went without their turn.
    gone: RefCell<BTreeSet<u64>>,
    moved: Notify,
}

/// A place in line; dropping it lets the next come.
#[derive(Debug)]
pub(super) struct Place<'a> {
    line: &'a Line,
    number: u64,
}

impl Line {
    /// The place behind all others.
    pub(super) fn join(&self) -> Place<'_> {
        let number = self.came.get();
        self.came.set(number + 1);
        Place { line: self, number }
    }
}

impl Place<'_> {
    /// Resolves when all that came earlier are gone.
    pub(super) async fn comes(&self) {
        while self.line.head.get() != self.number {
            self.line.moved.notified().await;
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut gone = self.line.gone.borrow_mut();
        if self.line.head.get() != self.number {
            gone.insert(self.number);
            return;
        }
        let mut head = self.number + 1;
        while gone.remove(&head) {
            head += 1;
        }
        self.line.head.set(head);
        self.line.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn has_come(place: &Place<'_>) -> bool {
        let mut comes = pin!(place.comes());
        comes.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn each_comes_when_those_before_it_are_gone() {
        let line = Line::default();
        let (first, second) = (line.join(), line.join());
        assert!(has_come(&first) && !has_come(&second));
        drop(first);
        // Whoever comes now does not pass the one who waits.
        let third = line.join();
        assert!(has_come(&second) && !has_come(&third));
        drop(second);
        assert!(has_come(&third));
        drop(third);
        assert!(has_come(&line.join()));
    }

    #[test]
    fn one_that_goes_without_its_turn_holds_nobody_up() {
        let line = Line::default();
        let places = [line.join(), line.join(), line.join(), line.join()];
        let [first, second, third, fourth] = places;
        drop(third);
        drop(second);
        assert!(has_come(&first) && !has_come(&fourth));
        drop(first);
        assert!(has_come(&fourth));
    }
}
