//! Waiting within one core: no locks, nothing leaves the thread.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A bell. [`Notify::notify`] lets one waiter, or the next one to come, go on; [`Notify::notify_all`] all who wait now.
///
/// Waiters stand in the order in which they came, each once; to come, to go and to be woken costs the logarithm of their number.
#[derive(Debug, Default)]
pub struct Notify {
    rung: Cell<bool>,
    /// Counts calls of `notify_all`, so that a waiter that was created before one of them sees it.
    rounds: Cell<u64>,
    /// Counts those who have come.
    came: Cell<u64>,
    waiters: RefCell<BTreeMap<u64, Waker>>,
}

impl Notify {
    /// A bell that has not been rung.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets one waiter go on; if there is none, the next.
    pub fn notify(&self) {
        self.rung.set(true);
        self.wake_first();
    }

    /// Lets all who wait now go on.
    pub fn notify_all(&self) {
        self.rounds.set(self.rounds.get() + 1);
        let waiters = std::mem::take(&mut *self.waiters.borrow_mut());
        for w in waiters.into_values() {
            w.wake();
        }
    }

    /// Whether anybody waits.
    #[must_use]
    pub fn has_waiters(&self) -> bool {
        !self.waiters.borrow().is_empty()
    }

    /// Waits for either.
    pub fn notified(&self) -> Notified<'_> {
        Notified { bell: self, round: self.rounds.get(), place: None }
    }

    fn wake_first(&self) {
        let waiter = self.waiters.borrow_mut().pop_first();
        if let Some((_, w)) = waiter {
            w.wake();
        }
    }
}

/// See [`Notify::notified`].
#[derive(Debug)]
pub struct Notified<'a> {
    bell: &'a Notify,
    round: u64,
    /// Among the waiters, since it had to wait.
    place: Option<u64>,
}

impl Future for Notified<'_> {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let bell = self.bell;
        if bell.rounds.get() != self.round || bell.rung.take() {
            return Poll::Ready(());
        }
        let place = *self.place.get_or_insert_with(|| {
            let place = bell.came.get();
            bell.came.set(place + 1);
            place
        });
        match bell.waiters.borrow_mut().entry(place) {
            // Woken for a ring that somebody else has heard: it has its old place again.
            Entry::Vacant(free) => drop(free.insert(cx.waker().clone())),
            Entry::Occupied(mut taken) => taken.get_mut().clone_from(cx.waker()),
        }
        Poll::Pending
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        let waits = self.bell.waiters.borrow_mut().remove(&place).is_some();
        // It was woken for a ring and goes without having heard it: the next one is to hear it.
        if !waits && self.bell.rung.get() {
            self.bell.wake_first();
        }
    }
}

#[derive(Debug)]
struct Shot<T> {
    value: Option<T>,
    waker: Option<Waker>,
    sender_gone: bool,
}

/// One value from one task to another.
#[must_use]
pub fn oneshot<T>() -> (OneshotSender<T>, Oneshot<T>) {
    let shot = Rc::new(RefCell::new(Shot { value: None, waker: None, sender_gone: false }));
    (OneshotSender(Rc::clone(&shot)), Oneshot(shot))
}

/// The sending half.
#[derive(Debug)]
pub struct OneshotSender<T>(Rc<RefCell<Shot<T>>>);

impl<T> OneshotSender<T> {
    /// Sends the value. If nobody waits any more it is dropped.
    pub fn send(self, value: T) {
        self.0.borrow_mut().value = Some(value);
    }

    /// Whether the receiver is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        Rc::strong_count(&self.0) == 1
    }
}

impl<T> Drop for OneshotSender<T> {
    fn drop(&mut self) {
        let waker = {
            let mut shot = self.0.borrow_mut();
            shot.sender_gone = true;
            shot.waker.take()
        };
        if let Some(w) = waker {
            w.wake();
        }
    }
}

/// The receiving half: resolves to the value, or to `None` if the sender is gone without one.
#[derive(Debug)]
pub struct Oneshot<T>(Rc<RefCell<Shot<T>>>);

impl<T> Future for Oneshot<T> {
    type Output = Option<T>;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut shot = self.0.borrow_mut();
        if let Some(value) = shot.value.take() {
            return Poll::Ready(Some(value));
        }
        if shot.sender_gone {
            return Poll::Ready(None);
        }
        shot.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// A number of permits; who finds none waits.
#[derive(Debug)]
pub struct Gate {
    free: Cell<usize>,
    bell: Notify,
}

impl Gate {
    /// `permits` may be held at the same time.
    #[must_use]
    pub fn new(permits: usize) -> Self {
        Self { free: Cell::new(permits), bell: Notify::new() }
    }

    /// Waits for a permit; dropping it gives it back.
    pub async fn acquire(&self) -> Permit<'_> {
        while self.free.get() == 0 {
            self.bell.notified().await;
        }
        self.free.set(self.free.get() - 1);
        if self.free.get() > 0 {
            // Two that came back at once ring the bell once.
            self.bell.notify();
        }
        Permit { gate: self }
    }
}

/// See [`Gate::acquire`].
#[derive(Debug)]
pub struct Permit<'a> {
    gate: &'a Gate,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.gate.free.set(self.gate.free.get() + 1);
        self.gate.bell.notify();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Count(AtomicUsize);

    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn count() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        (Arc::clone(&count), Waker::from(count))
    }

    fn poll(f: Pin<&mut impl Future<Output = ()>>, waker: &Waker) -> bool {
        f.poll(&mut Context::from_waker(waker)).is_ready()
    }

    #[test]
    fn who_gives_up_leaves_nothing_behind() {
        let bell = Notify::new();
        let (_, waker) = count();
        for _ in 0..1_000 {
            let mut wait = std::pin::pin!(bell.notified());
            assert!(!poll(wait.as_mut(), &waker));
            assert!(!poll(wait.as_mut(), &waker));
        }
        assert!(bell.waiters.borrow().is_empty());
    }

    #[test]
    fn a_ring_that_its_waiter_does_not_hear_goes_to_the_next() {
        let bell = Notify::new();
        let ((first, waker), (second, waker2)) = (count(), count());
        let mut a = Box::pin(bell.notified());
        let mut b = Box::pin(bell.notified());
        assert!(!poll(a.as_mut(), &waker));
        assert!(!poll(b.as_mut(), &waker2));
        bell.notify();
        assert_eq!((first.0.load(Ordering::Relaxed), second.0.load(Ordering::Relaxed)), (1, 0));
        drop(a);
        assert_eq!(second.0.load(Ordering::Relaxed), 1);
        assert!(poll(b.as_mut(), &waker2));
    }

    #[test]
    fn who_came_too_late_for_a_ring_keeps_his_place() {
        let bell = Notify::new();
        let ((_, waker), (third, waker3)) = (count(), count());
        let mut a = Box::pin(bell.notified());
        let mut c = Box::pin(bell.notified());
        assert!(!poll(a.as_mut(), &waker));
        assert!(!poll(c.as_mut(), &waker3));
        bell.notify();
        // Somebody who did not wait takes it.
        let mut quick = Box::pin(bell.notified());
        assert!(poll(quick.as_mut(), &waker));
        assert!(!poll(a.as_mut(), &waker));
        bell.notify();
        assert!(poll(a.as_mut(), &waker));
        assert_eq!(third.0.load(Ordering::Relaxed), 0);
        bell.notify_all();
        assert!(poll(c.as_mut(), &waker3));
    }

    #[test]
    fn permits_that_come_back_together_serve_as_many() {
        let gate = Gate::new(2);
        let (_, waker) = count();
        let take = || Box::pin(gate.acquire());
        let (mut a, mut b, mut c, mut d) = (take(), take(), take(), take());
        let mut cx = Context::from_waker(&waker);
        let Poll::Ready(one) = a.as_mut().poll(&mut cx) else { panic!("a permit was free") };
        let Poll::Ready(two) = b.as_mut().poll(&mut cx) else { panic!("a permit was free") };
        assert!(c.as_mut().poll(&mut cx).is_pending());
        assert!(d.as_mut().poll(&mut cx).is_pending());
        drop((one, two));
        assert!(c.as_mut().poll(&mut cx).is_ready());
        assert!(d.as_mut().poll(&mut cx).is_ready());
    }
}
