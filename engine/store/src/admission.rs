//! Who waits for room, and who of them comes next: see [`line`].
//!
//! Only the first in line can go on, so only the first is woken when something has moved: with one bell for all, ten thousand
//! produces that wait for a slow disk would each be woken at every flush to see that it is not their turn.

mod line;
mod shares;

pub use line::Client;

use line::{Line, Place};
use runtime::sync::{Notified, Notify};
use shares::Shares;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The line of those who want to append.
#[derive(Default)]
pub(crate) struct Admission {
    line: RefCell<Line>,
    /// Everyone in line has a bell of his own.
    bells: RefCell<BTreeMap<Place, Rc<Notify>>>,
    shares: RefCell<Shares>,
    /// For those who wait for something else than their turn: they are few, and each waits for something of his own.
    changed: Notify,
}

impl Admission {
    /// Whether nobody stands in line.
    pub(crate) fn is_free(&self) -> bool {
        self.line.borrow().is_empty()
    }

    /// Takes the client's last place in line, which dropping the turn gives up. One that is `slowed` lets others come first
    /// until [`Turn::go_on`].
    pub(crate) fn line_up(self: &Rc<Self>, client: Client, bytes: usize, slowed: bool) -> Turn {
        let place = self.line.borrow_mut().join(client, bytes, slowed);
        let bell = Rc::new(Notify::new());
        self.bells.borrow_mut().insert(place, Rc::clone(&bell));
        Turn { admission: Rc::clone(self), place, bell, served: false }
    }

    /// A batch of this client is going to be appended.
    pub(crate) fn note(&self, client: Client, bytes: usize) {
        self.shares.borrow_mut().note(client, bytes);
    }

    /// How much the client is to be slowed, between 0 and 1.
    pub(crate) fn share(&self, client: Client) -> f64 {
        self.shares.borrow().of(client)
    }

    /// Ring, memory, the disk or the line have moved: whose turn it is looks again.
    pub(crate) fn moved(&self) {
        self.changed.notify_all();
        self.wake_first();
    }

    /// All in line are refused: they need not wait for their turn.
    pub(crate) fn refuse_all(&self) {
        self.changed.notify_all();
        for bell in self.bells.borrow().values() {
            bell.notify();
        }
    }

    /// Resolves when something has moved, to those who do not stand in line.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    fn wake_first(&self) {
        let first = self.line.borrow().first();
        if let Some(bell) = first.and_then(|place| self.bells.borrow().get(&place).cloned()) {
            bell.notify();
        }
    }
}

/// A place in line.
pub(crate) struct Turn {
    admission: Rc<Admission>,
    place: Place,
    bell: Rc<Notify>,
    served: bool,
}

impl Turn {
    /// Whether it has come.
    pub(crate) fn has_come(&self) -> bool {
        self.admission.line.borrow().first() == Some(self.place)
    }

    /// It has been slowed enough.
    pub(crate) fn go_on(&self) {
        self.admission.line.borrow_mut().go_on(self.place);
        self.admission.wake_first();
    }

    /// Resolves when it is worth looking again.
    pub(crate) fn moved(&self) -> Notified<'_> {
        self.bell.notified()
    }

    /// Its batch is going to be appended; the next one's turn comes.
    pub(crate) fn served(mut self) {
        self.served = true;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.admission.bells.borrow_mut().remove(&self.place);
        self.admission.line.borrow_mut().leave(self.place, self.served);
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
        let turns: Vec<Turn> = (0..100).map(|_| admission.line_up(Client(1), 10, false)).collect();
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
        let (first, second) =
            (admission.line_up(Client(1), 10, false), admission.line_up(Client(2), 10, false));
        assert!(first.has_come() && !second.has_come());
        let mut cx = Context::from_waker(Waker::noop());
        {
            let mut wait = pin!(second.moved());
            assert!(wait.as_mut().poll(&mut cx).is_pending());
            drop(first);
            assert!(wait.as_mut().poll(&mut cx).is_ready());
        }
        assert!(second.has_come());
        second.served();
        assert!(admission.is_free());
    }

    #[test]
    fn whose_turn_has_come_by_being_slowed_enough_is_woken() {
        let admission = Rc::new(Admission::default());
        let first = admission.line_up(Client(1), 10, true);
        let second = admission.line_up(Client(1), 10, false);
        let mut cx = Context::from_waker(Waker::noop());
        let mut wait = pin!(first.moved());
        assert!(wait.as_mut().poll(&mut cx).is_pending());
        assert!(!first.has_come() && !second.has_come());
        first.go_on();
        assert!(wait.as_mut().poll(&mut cx).is_ready());
        assert!(first.has_come() && !second.has_come());
    }
}
