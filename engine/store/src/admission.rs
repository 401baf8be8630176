//! Who waits for room, in the order of arrival.
//!
//! Only the first in line can go on, so only the first is woken when something has moved: with one bell for all, ten thousand
//! produces that wait for a slow disk would each be woken at every flush to see that it is not their turn.

use runtime::sync::{Notified, Notify};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The line of those who want to append.
#[derive(Default)]
pub(crate) struct Admission {
    next: Cell<u64>,
    /// Everyone with a bell of his own.
    line: RefCell<BTreeMap<u64, Rc<Notify>>>,
    /// For those who wait for something else than their turn: they are few, and each waits for something of his own.
    changed: Notify,
}

impl Admission {
    /// Whether nobody stands in line.
    pub(crate) fn is_free(&self) -> bool {
        self.line.borrow().is_empty()
    }

    /// Takes the last place in line, which dropping the turn gives up.
    pub(crate) fn line_up(self: &Rc<Self>) -> Turn {
        let ticket = self.next.get();
        self.next.set(ticket + 1);
        let bell = Rc::new(Notify::new());
        self.line.borrow_mut().insert(ticket, Rc::clone(&bell));
        Turn { admission: Rc::clone(self), ticket, bell }
    }

    /// Ring, memory, the disk or the line have moved: whose turn it is looks again.
    pub(crate) fn moved(&self) {
        self.changed.notify_all();
        self.wake_first();
    }

    /// All in line are refused: they need not wait for their turn.
    pub(crate) fn refuse_all(&self) {
        self.changed.notify_all();
        for bell in self.line.borrow().values() {
            bell.notify();
        }
    }

    /// Resolves when something has moved, to those who do not stand in line.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    fn wake_first(&self) {
        if let Some((_, bell)) = self.line.borrow().first_key_value() {
            bell.notify();
        }
    }
}

/// A place in line.
pub(crate) struct Turn {
    admission: Rc<Admission>,
    ticket: u64,
    bell: Rc<Notify>,
}

impl Turn {
    /// Whether it has come.
    pub(crate) fn has_come(&self) -> bool {
        self.admission.line.borrow().first_key_value().is_some_and(|(t, _)| *t == self.ticket)
    }

    /// Resolves when it is worth looking again.
    pub(crate) fn moved(&self) -> Notified<'_> {
        self.bell.notified()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.admission.line.borrow_mut().remove(&self.ticket);
        self.admission.moved();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn only_the_first_in_line_is_woken_and_all_when_all_are_refused() {
        let admission = Rc::new(Admission::default());
        let turns: Vec<Turn> = (0..100).map(|_| admission.line_up()).collect();
        let woken = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        let mut waits: Vec<_> = turns.iter().map(|turn| Box::pin(turn.moved())).collect();
        for wait in &mut waits {
            assert!(wait.as_mut().poll(&mut cx).is_pending());
        }
        admission.moved();
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(waits[0].as_mut().poll(&mut cx).is_ready());
        assert!(waits[1].as_mut().poll(&mut cx).is_pending());
        admission.refuse_all();
        assert_eq!(woken.0.load(Ordering::Relaxed), 100);
        assert!(waits.iter_mut().skip(1).all(|wait| wait.as_mut().poll(&mut cx).is_ready()));
    }

    #[test]
    fn who_leaves_wakes_the_next() {
        let admission = Rc::new(Admission::default());
        let (first, second) = (admission.line_up(), admission.line_up());
        assert!(first.has_come() && !second.has_come());
        let mut cx = Context::from_waker(Waker::noop());
        {
            let mut wait = pin!(second.moved());
            assert!(wait.as_mut().poll(&mut cx).is_pending());
            drop(first);
            assert!(wait.as_mut().poll(&mut cx).is_ready());
        }
        assert!(second.has_come());
        drop(second);
        assert!(admission.is_free());
    }
}
