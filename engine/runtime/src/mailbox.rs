//! Post between the cores of a node, and between them and threads outside.
//!
//! One bounded ring for each (sender, receiver, class): one writer, one reader, no locks. A receiver takes control messages
//! first, then data, then background, and within a class from all senders in turn. A full ring parks the sender until the
//! receiver has made room; nothing is dropped. A receiver is woken only if it sleeps.

pub(crate) mod bell;
mod flag;
mod outside;

/// Where [`flag`] finds its atomics; the test of its fences has others.
mod atomic {
    pub(super) use std::sync::atomic::{AtomicBool, Ordering, fence};
}

pub use outside::{OutsideReceiver, OutsideSender, outside};

use crate::runtime::{Inner, Runtime};
use bell::Bell;
use flag::Flag;
use ids::CoreId;
use rtrb::{Consumer, Producer, PushError, RingBuffer};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Poll, Waker};

/// How urgent a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// What everything else may wait for: metadata, leadership.
    Control,
    /// Produce, fetch, replication.
    Data,
    /// What can wait.
    Background,
}

const CLASSES: usize = 3;

impl Class {
    fn index(self) -> usize {
        match self {
            Self::Control => 0,
            Self::Data => 1,
            Self::Background => 2,
        }
    }
}

/// Messages that each ring of a class holds.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Of control messages.
    pub control: usize,
    /// Of data messages.
    pub data: usize,
    /// Of background messages.
    pub background: usize,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { control: 256, data: 1024, background: 64 }
    }
}

/// Where the endpoints of a node meet: its cores, numbered from 0, then threads outside.
#[derive(Clone, Debug)]
pub struct Mailboxes {
    bells: Arc<Vec<Bell>>,
    cores: usize,
}

impl Mailboxes {
    /// For `cores` cores and `outside` other threads, whose numbers follow those of the cores.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn new(cores: u16, outside: u16) -> io::Result<Self> {
        let (cores, all) = (usize::from(cores), usize::from(cores) + usize::from(outside));
        let bells = (0..all).map(|_| Bell::new()).collect::<io::Result<Vec<Bell>>>()?;
        Ok(Self { bells: Arc::new(bells), cores })
    }

    /// How many cores there are.
    #[must_use]
    pub fn cores(&self) -> usize {
        self.cores
    }

    pub(crate) fn bells(&self) -> Arc<Vec<Bell>> {
        Arc::clone(&self.bells)
    }

    /// Rings for messages of one type between all endpoints: one seat for each, in order.
    #[must_use]
    pub fn open<M: Send>(&self, capacity: Capacity) -> Vec<Seat<M>> {
        let n = self.bells.len();
        let mut seats: Vec<Seat<M>> = (0..n)
            .map(|me| Seat {
                me,
                out: Vec::with_capacity(n),
                inn: Vec::with_capacity(n),
                bells: self.bells(),
                cores: self.cores,
            })
            .collect();
        for from in 0..n {
            for to in 0..n {
                let sizes = [capacity.control, capacity.data, capacity.background];
                let mut producers = Vec::with_capacity(CLASSES);
                let mut consumers = Vec::with_capacity(CLASSES);
                for size in sizes {
                    let (producer, consumer) = RingBuffer::new(size.max(1));
                    let waiting = Arc::new(Flag::new());
                    producers.push(Out { ring: producer, waiting: Arc::clone(&waiting) });
                    consumers.push(In { ring: consumer, waiting });
                }
                seats[from].out.push(producers);
                seats[to].inn.push(consumers);
            }
        }
        seats
    }
}

/// The writer's end of a ring.
struct Out<M> {
    ring: Producer<M>,
    /// The writer waits for room.
    waiting: Arc<Flag>,
}

/// The reader's end of a ring.
struct In<M> {
    ring: Consumer<M>,
    waiting: Arc<Flag>,
}

impl<M> Out<M> {
    /// Sends, or gives the message back and leaves word that room is wanted.
    fn push(&mut self, message: M) -> Result<(), M> {
        let PushError::Full(message) = match self.ring.push(message) {
            Ok(()) => return Ok(()),
            Err(full) => full,
        };
        self.waiting.raise();
        match self.ring.push(message) {
            Ok(()) => Ok(()),
            Err(PushError::Full(message)) => Err(message),
        }
    }

    /// Whether there is room; leaves word again if there is none. The word that was left before may be gone: a reader that was
    /// held up between taking a message and looking for word finds word that was left after the room it made was used.
    fn has_room(&self) -> bool {
        if !self.ring.is_full() {
            return true;
        }
        self.waiting.raise();
        !self.ring.is_full()
    }
}

impl<M> In<M> {
    /// Takes a message; whether the writer waits for the room that it leaves.
    fn pop(&mut self) -> Option<(M, bool)> {
        let message = self.ring.pop().ok()?;
        Some((message, self.waiting.take()))
    }
}

/// One endpoint's place, before its thread has taken it: it can be sent there.
pub struct Seat<M> {
    me: usize,
    /// By receiver, then class.
    out: Vec<Vec<Out<M>>>,
    /// By sender, then class.
    inn: Vec<Vec<In<M>>>,
    bells: Arc<Vec<Bell>>,
    cores: usize,
}

impl<M> Seat<M> {
    /// Its number: a core's, or one behind those.
    #[must_use]
    pub fn number(&self) -> usize {
        self.me
    }
}

impl<M> std::fmt::Debug for Seat<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seat({} of {}, {} cores)", self.me, self.bells.len(), self.cores)
    }
}

/// What a core looks at once per turn.
pub(crate) trait Inbox {
    /// Lets those go on who can; whether there are any.
    fn check(&self) -> bool;
}

struct Office<M> {
    me: usize,
    out: RefCell<Vec<Vec<Out<M>>>>,
    inn: RefCell<Vec<Vec<In<M>>>>,
    /// Who waits for a message.
    reader: RefCell<Option<Waker>>,
    /// Who waits for room, by receiver and class, and how many there are: usually none, and nobody is looked for.
    parked: RefCell<Vec<[Vec<Waker>; CLASSES]>>,
    waiting: Cell<usize>,
    /// Where the next look in each class begins.
    turn: Cell<usize>,
    bells: Arc<Vec<Bell>>,
}

impl<M> Inbox for Office<M> {
    fn check(&self) -> bool {
        let mut any = false;
        if self.reader.borrow().is_some()
            && self.inn.borrow().iter().flatten().any(|lane| !lane.ring.is_empty())
        {
            let reader = self.reader.borrow_mut().take();
            if let Some(w) = reader {
                w.wake();
                any = true;
            }
        }
        if self.waiting.get() == 0 {
            return any;
        }
        let mut ready = Vec::new();
        for (parked, out) in self.parked.borrow_mut().iter_mut().zip(self.out.borrow().iter()) {
            for (waiting, lane) in parked.iter_mut().zip(out) {
                if !waiting.is_empty() && lane.has_room() {
                    ready.append(waiting);
                }
            }
        }
        self.waiting.set(self.waiting.get() - ready.len());
        for w in ready {
            w.wake();
            any = true;
        }
        any
    }
}

/// A core's mailbox for messages of one type. A cheap handle that never leaves its thread.
pub struct Mailbox<M> {
    office: Rc<Office<M>>,
    inner: Rc<Inner>,
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Self { office: Rc::clone(&self.office), inner: Rc::clone(&self.inner) }
    }
}

impl<M> std::fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mailbox({})", self.office.me)
    }
}

impl Runtime {
    /// Takes this core's seat.
    #[must_use]
    pub fn mailbox<M: Send + 'static>(&self, seat: Seat<M>) -> Mailbox<M> {
        assert!(seat.me == self.core().index(), "seat {} on core {}", seat.me, self.core().0);
        let n = seat.out.len();
        let office: Rc<Office<M>> = Rc::new(Office {
            me: seat.me,
            out: RefCell::new(seat.out),
            inn: RefCell::new(seat.inn),
            reader: RefCell::default(),
            parked: RefCell::new((0..n).map(|_| Default::default()).collect()),
            waiting: Cell::new(0),
            turn: Cell::new(0),
            bells: seat.bells,
        });
        let inbox: Weak<dyn Inbox> = {
            let weak: Weak<Office<M>> = Rc::downgrade(&office);
            weak
        };
        // What an endpoint sends to itself it looks at when it sends it.
        if n > 1 {
            self.inner.add_inbox(inbox);
        }
        Mailbox { office, inner: Rc::clone(&self.inner) }
    }
}

impl<M: Send + 'static> Mailbox<M> {
    /// Sends to endpoint `to`, and waits while its ring is full. Messages of one class that are sent one after the other
    /// arrive in that order.
    pub async fn send(&self, to: CoreId, class: Class, message: M) {
        self.send_to(to.index(), class, message).await;
    }

    /// As [`Mailbox::send`], to any endpoint by number.
    pub async fn send_to(&self, to: usize, class: Class, message: M) {
        let office = &self.office;
        let mut message = Some(message);
        poll_fn(|cx| {
            let Some(m) = message.take() else { return Poll::Ready(()) };
            match office.out.borrow_mut()[to][class.index()].push(m) {
                Ok(()) => Poll::Ready(()),
                Err(back) => {
                    message = Some(back);
                    office.parked.borrow_mut()[to][class.index()].push(cx.waker().clone());
                    office.waiting.set(office.waiting.get() + 1);
                    Poll::Pending
                }
            }
        })
        .await;
        self.ring(to);
    }

    /// Sends to endpoint `to` if there is room, or gives the message back.
    ///
    /// # Errors
    /// The ring is full; the message.
    pub fn try_send(&self, to: usize, class: Class, message: M) -> Result<(), M> {
        self.office.out.borrow_mut()[to][class.index()].push(message)?;
        self.ring(to);
        Ok(())
    }

    fn ring(&self, to: usize) {
        if to == self.office.me {
            self.office.check();
        } else {
            self.inner.ring(&self.office.bells, to);
        }
    }

    /// The next message and its sender: control first, then data, then background. One task receives.
    pub async fn recv(&self) -> (CoreId, M) {
        let (from, message) = self.recv_from_any().await;
        #[cfg(feature = "faults")]
        self.pass().await;
        (CoreId(u16::try_from(from).unwrap_or(u16::MAX)), message)
    }

    /// A fault on order may strike here: the message comes late, and so do those behind it.
    #[cfg(feature = "faults")]
    async fn pass(&self) {
        let name = format!("core-{}", self.office.me);
        // No rule makes it fail.
        let _ = crate::faults::pass(&self.inner, crate::faults::Point::Mailbox, &name).await;
    }

    async fn recv_from_any(&self) -> (usize, M) {
        poll_fn(|cx| match self.try_recv() {
            Some(found) => Poll::Ready(found),
            None => {
                *self.office.reader.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }

    /// The next message and its sender's number, if there is one.
    #[must_use]
    pub fn try_recv(&self) -> Option<(usize, M)> {
        let office = &self.office;
        let (from, message, waiting) = take(&mut office.inn.borrow_mut(), &office.turn)?;
        if waiting {
            self.ring(from);
        }
        Some((from, message))
    }
}

/// The next message of the most urgent class, its sender, and whether that waits for room.
fn take<M>(inn: &mut [Vec<In<M>>], turn: &Cell<usize>) -> Option<(usize, M, bool)> {
    let n = inn.len();
    for class in 0..CLASSES {
        for i in 0..n {
            let from = (turn.get() + i) % n;
            let Some(queue) = inn[from].get_mut(class) else { continue };
            if let Some((message, waiting)) = queue.pop() {
                turn.set((from + 1) % n);
                return Some((from, message, waiting));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests;
