//! Waiting within one core: no locks, nothing leaves the thread.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A bell. [`Notify::notify`] lets one waiter, or the next one to come, go on; [`Notify::notify_all`] all who wait now.
#[derive(Debug, Default)]
pub struct Notify {
    rung: Cell<bool>,
    /// Counts calls of `notify_all`, so that a waiter that was created before one of them sees it.
    rounds: Cell<u64>,
    waiters: RefCell<VecDeque<Waker>>,
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
        let waiter = self.waiters.borrow_mut().pop_front();
        if let Some(w) = waiter {
            w.wake();
        }
    }

    /// Lets all who wait now go on.
    pub fn notify_all(&self) {
        self.rounds.set(self.rounds.get() + 1);
        let waiters = std::mem::take(&mut *self.waiters.borrow_mut());
        for w in waiters {
            w.wake();
        }
    }

    /// Waits for either.
    pub fn notified(&self) -> Notified<'_> {
        Notified { bell: self, round: self.rounds.get() }
    }
}

/// See [`Notify::notified`].
#[derive(Debug)]
pub struct Notified<'a> {
    bell: &'a Notify,
    round: u64,
}

impl Future for Notified<'_> {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.bell.rounds.get() != self.round || self.bell.rung.take() {
            return Poll::Ready(());
        }
        let mut waiters = self.bell.waiters.borrow_mut();
        if !waiters.iter().any(|w| w.will_wake(cx.waker())) {
            waiters.push_back(cx.waker().clone());
        }
        Poll::Pending
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
        self.gate.bell.notify_all();
    }
}
