//! Sockets that a core waits for: tried first, watched only while somebody waits, and only for what is waited for.

use super::Portable;
use polling::{Event, Poller};
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// What a socket is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    In,
    Out,
}

impl Way {
    fn index(self) -> usize {
        match self {
            Self::In => 0,
            Self::Out => 1,
        }
    }
}

/// What the core knows of a watched socket.
#[derive(Debug)]
pub(super) struct Source {
    fd: RawFd,
    /// The poller knows the socket.
    added: bool,
    /// It is told to report these, once.
    armed: [bool; 2],
    waiting: [Option<Waker>; 2],
    /// It has reported these since they were last waited for.
    reported: [bool; 2],
}

impl Source {
    fn new(fd: RawFd) -> Self {
        Self { fd, added: false, armed: [false; 2], waiting: [None, None], reported: [false; 2] }
    }

    /// Has the poller report what is waited for, if anything is.
    fn arm(&mut self, key: usize, poller: &Poller) -> io::Result<()> {
        let wanted = [self.waiting[0].is_some(), self.waiting[1].is_some()];
        if self.armed == wanted {
            return Ok(());
        }
        let event = Event::new(key, wanted[0], wanted[1]);
        if self.added {
            // SAFETY: `Watched` has the socket open, and takes this entry away before it closes it.
            poller.modify(unsafe { BorrowedFd::borrow_raw(self.fd) }, event)?;
        } else {
            // SAFETY: `Watched::drop` takes the socket out before it is closed.
            unsafe { poller.add(self.fd, event)? };
            self.added = true;
        }
        self.armed = wanted;
        Ok(())
    }
}

impl Portable {
    /// The poller has reported a socket.
    pub(super) fn on_ready(&self, event: Event) {
        let mut wakers = [None, None];
        {
            let mut sources = self.sources.borrow_mut();
            let Some(source) = sources.get_mut(event.key) else { return };
            for (i, ready) in [event.readable, event.writable].into_iter().enumerate() {
                if ready {
                    source.reported[i] = true;
                    wakers[i] = source.waiting[i].take();
                }
            }
            // A report ends the watch for both directions; who waits for the other one goes on waiting.
            source.armed = [false; 2];
            if source.arm(event.key, &self.poller).is_err() {
                // It will try, wait again, and be told why it cannot.
                for (i, waiting) in source.waiting.iter_mut().enumerate() {
                    wakers[i] = wakers[i].take().or_else(|| waiting.take());
                }
            }
        }
        for waker in wakers.into_iter().flatten() {
            waker.wake();
        }
    }

    /// Has a share of this turn been used up? Then `cx` goes on in the next, and everybody else before.
    fn must_wait_a_turn(&self, share: &Share, cx: &Context<'_>) -> bool {
        let (turn, used) = share.0.get();
        let now = self.turns.get();
        let used = if turn == now { used } else { 0 };
        if used >= PER_TURN {
            self.next_turn.borrow_mut().push(cx.waker().clone());
            return true;
        }
        share.0.set((now, used + 1));
        false
    }
}

/// Calls that may succeed on one socket, in one direction, before everything else has had its turn.
const PER_TURN: u32 = 4;

/// How much of a turn one direction of a socket has used.
#[derive(Debug, Default)]
struct Share(Cell<(u64, u32)>);

/// A socket of a core, which closes it.
pub(super) struct Watched {
    portable: Rc<Portable>,
    fd: OwnedFd,
    key: usize,
    shares: [Share; 2],
}

impl Watched {
    /// Takes over a socket, which does not block.
    pub(super) fn new(portable: &Rc<Portable>, fd: OwnedFd) -> Self {
        let key = portable.sources.borrow_mut().insert(Source::new(fd.as_raw_fd()));
        Self { portable: Rc::clone(portable), fd, key, shares: Default::default() }
    }

    pub(super) fn portable(&self) -> &Rc<Portable> {
        &self.portable
    }

    /// Calls `attempt` until it does not answer that it would block.
    pub(super) async fn until<T>(
        &self,
        way: Way,
        mut attempt: impl FnMut(&OwnedFd) -> io::Result<T>,
    ) -> io::Result<T> {
        poll_fn(|cx| {
            if self.portable.must_wait_a_turn(&self.shares[way.index()], cx) {
                return Poll::Pending;
            }
            loop {
                match attempt(&self.fd) {
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                        return match self.watch(way, cx) {
                            Ok(()) => Poll::Pending,
                            Err(e) => Poll::Ready(Err(e)),
                        };
                    }
                    result => return Poll::Ready(result),
                }
            }
        })
        .await
    }

    /// Waits until the socket is reported ready, whatever it was before.
    pub(super) async fn reported(&self, way: Way) -> io::Result<()> {
        if let Some(source) = self.portable.sources.borrow_mut().get_mut(self.key) {
            source.reported[way.index()] = false;
        }
        poll_fn(|cx| {
            let sources = self.portable.sources.borrow();
            if sources.get(self.key).is_some_and(|s| s.reported[way.index()]) {
                return Poll::Ready(Ok(()));
            }
            drop(sources);
            match self.watch(way, cx) {
                Ok(()) => Poll::Pending,
                Err(e) => Poll::Ready(Err(e)),
            }
        })
        .await
    }

    /// Has `cx` woken when the socket is ready.
    fn watch(&self, way: Way, cx: &Context<'_>) -> io::Result<()> {
        let mut sources = self.portable.sources.borrow_mut();
        let Some(source) = sources.get_mut(self.key) else { return Ok(()) };
        match &mut source.waiting[way.index()] {
            Some(w) if w.will_wake(cx.waker()) => {}
            slot => *slot = Some(cx.waker().clone()),
        }
        source.arm(self.key, &self.portable.poller)
    }

    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let source = self.portable.sources.borrow_mut().try_remove(self.key);
        if source.is_some_and(|s| s.added) {
            // Closing takes it out as well, so a refusal changes nothing.
            let _ = self.portable.poller.delete(self.fd.as_fd());
        }
    }
}
