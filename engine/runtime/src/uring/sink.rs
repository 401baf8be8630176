//! Where the completions of a multishot operation go until somebody asks for them.

use super::Uring;
use io_uring::cqueue;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::{FromRawFd, OwnedFd};
use std::task::Waker;

/// Completions that nobody has asked for, of one receive, before it is stopped. It is started again when they are consumed.
const HELD_MAX: usize = 4;
/// The same for accepted connections.
const ACCEPTED_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SinkKind {
    Accept,
    Receive,
}

/// One completion.
#[derive(Debug)]
pub(crate) enum Got {
    /// As it came.
    Raw { result: i32, flags: u32 },
    /// Received bytes that were copied out, because buffers were scarce; the first of them are consumed already.
    Bytes(Vec<u8>, usize),
}

/// Belongs to a socket; an armed operation shares it.
#[derive(Debug)]
pub(crate) struct Sink {
    kind: SinkKind,
    got: RefCell<VecDeque<Got>>,
    pub(crate) waker: RefCell<Option<Waker>>,
    /// The operation that is armed.
    pub(crate) armed: Cell<Option<u64>>,
    /// It has been asked to stop.
    pub(crate) stopping: Cell<bool>,
    /// The socket is gone: what still comes is thrown away.
    gone: Cell<bool>,
}

impl Sink {
    pub(crate) fn new(kind: SinkKind) -> Self {
        Self {
            kind,
            got: RefCell::default(),
            waker: RefCell::default(),
            armed: Cell::new(None),
            stopping: Cell::new(false),
            gone: Cell::new(false),
        }
    }

    /// A completion has come; `last` if no more will.
    pub(crate) fn push(&self, uring: &Uring, result: i32, flags: u32, last: bool) {
        if last {
            self.armed.set(None);
            self.stopping.set(false);
        }
        if cqueue::buffer_select(flags).is_some() {
            uring.recv.taken();
        }
        if result == -libc::ENOBUFS {
            uring.recv.dry.set(uring.recv.dry.get() + 1);
        }
        let got = Got::Raw { result, flags };
        if self.gone.get() {
            dispose(self.kind, uring, got);
            return;
        }
        let waiting = self.waker.borrow_mut().take();
        // Also when somebody waits: the waker may be that of a receive which was given up since, and a few such would have all
        // the buffers. What is held here never takes the last one.
        let got = if uring.recv.is_low() { copied_out(uring, got) } else { got };
        self.got.borrow_mut().push_back(got);
        let most = match self.kind {
            SinkKind::Accept => ACCEPTED_MAX,
            SinkKind::Receive => HELD_MAX,
        };
        if self.got.borrow().len() >= most {
            self.stop(uring);
        }
        if let Some(w) = waiting {
            w.wake();
        }
    }

    pub(crate) fn pop(&self) -> Option<Got> {
        self.got.borrow_mut().pop_front()
    }

    /// Puts back what was not consumed.
    pub(crate) fn put_back(&self, got: Got) {
        self.got.borrow_mut().push_front(got);
    }

    /// Asks the armed operation to end. What completes before it does is kept.
    pub(crate) fn stop(&self, uring: &Uring) {
        if let Some(operation) = self.armed.get()
            && !self.stopping.replace(true)
        {
            uring.cancel(operation);
        }
    }

    /// The socket is gone.
    pub(crate) fn abandon(&self, uring: &Uring) {
        self.gone.set(true);
        self.stop(uring);
        let got = std::mem::take(&mut *self.got.borrow_mut());
        for got in got {
            dispose(self.kind, uring, got);
        }
    }

    /// Whether a completion waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.got.borrow().is_empty()
    }
}

/// Gives back what a completion brought.
fn dispose(kind: SinkKind, uring: &Uring, got: Got) {
    let Got::Raw { result, flags } = got else { return };
    if let Some(id) = cqueue::buffer_select(flags) {
        uring.recv.give_back(id);
    } else if result >= 0 && kind == SinkKind::Accept {
        // SAFETY: an accepted descriptor that nobody has taken.
        drop(unsafe { OwnedFd::from_raw_fd(result) });
    }
}

/// Moves received bytes out of their buffer, which goes back.
fn copied_out(uring: &Uring, got: Got) -> Got {
    let Got::Raw { result, flags } = got else { return got };
    let (Some(id), Ok(len)) = (cqueue::buffer_select(flags), usize::try_from(result)) else {
        return Got::Raw { result, flags };
    };
    let bytes = uring.recv.bytes(id, len).to_vec();
    uring.receives_copied.set(uring.receives_copied.get() + bytes.len() as u64);
    uring.recv.give_back(id);
    // An end of the stream has no bytes, and keeps its meaning.
    if bytes.is_empty() { Got::Raw { result: 0, flags: 0 } } else { Got::Bytes(bytes, 0) }
}
