//! The reactor where io_uring is refused: sockets by readiness, files by a few threads.
//!
//! It does what `uring` does, by ordinary system calls: a socket is tried first, and watched only while somebody waits for it;
//! a file operation is a system call of one of the core's [threads](pool), and owns its memory until that has returned,
//! whether or not anybody still waits. A core sleeps in epoll until something is ready, a thread has finished, a bell rings or
//! the next timer; nothing polls.
//!
//! It is there to serve everywhere with the same durability, not to be fast: no figure is ever taken on it.

mod pool;
mod sockets;
mod watched;

pub(crate) use sockets::{PollListener, PollStream};

use crate::driver::{Bells, FileRequest, Wait};
use crate::keep::Keep;
use crate::probe::{self, WhyNot};
use crate::runtime::Tuning;
use ids::CoreId;
use polling::{Event, Events, PollMode, Poller};
use pool::Pool;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use watched::Source;

/// The event of the core's bell; sockets have the keys of a slab, which are smaller.
const BELL: usize = usize::MAX - 1;

/// What has become of a file operation.
enum State {
    Waiting(Option<Waker>),
    Done(i32),
    /// Nobody waits any more; the slot goes when the thread is through.
    Orphan,
}

struct Slot {
    keep: Keep,
    state: State,
}

/// One core's poller and file threads.
pub(crate) struct Portable {
    poller: Arc<Poller>,
    events: RefCell<Events>,
    sources: RefCell<Slab<Source>>,
    pool: Pool,
    ops: RefCell<Slab<Slot>>,
    held_files: RefCell<Slab<Rc<OwnedFd>>>,
    bells: Option<Bells>,
    /// Bytes that were received go through here: as many as one receive takes.
    scratch: RefCell<Vec<u8>>,
    /// Who has had its share of this turn.
    next_turn: RefCell<Vec<Waker>>,
    turns: Cell<u64>,
    enters: Cell<u64>,
    why: WhyNot,
}

impl Portable {
    /// Makes the backend of the calling thread, which is the only one that may use it.
    pub(crate) fn new(
        core: CoreId,
        tuning: &Tuning,
        bells: Option<Bells>,
        why: WhyNot,
    ) -> io::Result<Rc<Self>> {
        let poller = Arc::new(Poller::new()?);
        if let Some((bells, me)) = &bells {
            let event = Event::readable(BELL);
            // SAFETY: the bells live as long as this does, and `drop` takes this one out again.
            unsafe { poller.add_with_mode(bells[*me].event(), event, PollMode::Level)? };
        }
        Ok(Rc::new(Self {
            pool: Pool::new(core, &poller),
            poller,
            events: RefCell::new(Events::new()),
            sources: RefCell::default(),
            ops: RefCell::default(),
            held_files: RefCell::default(),
            bells,
            scratch: RefCell::new(vec![0; tuning.receive_bytes.max(1)]),
            next_turn: RefCell::default(),
            turns: Cell::new(0),
            enters: Cell::new(0),
            why,
        }))
    }

    /// What is known about this backend, for the operator.
    pub(crate) fn features(&self) -> probe::Features {
        probe::Features {
            backend: "portable",
            why_not_uring: Some(self.why.clone()),
            kernel: probe::kernel(),
            zero_copy_send: false,
            fixed_bytes: Some(0),
            // See `File::try_lock_exclusive`.
            lock_outlives_writes: true,
        }
    }

    pub(crate) fn enters(&self) -> u64 {
        self.enters.get()
    }

    /// Wakes core `to`.
    pub(crate) fn nudge(&self, to: usize) {
        if let Some((bells, _)) = &self.bells {
            bells[to].strike();
        }
    }

    /// Waits as long as `wait` says, and wakes the tasks for which something has happened.
    pub(crate) fn turn(&self, wait: Wait) {
        let patience = match wait {
            // Threads may have finished meanwhile, but then they have struck the poller, and it does not wait.
            Wait::For(d) if self.next_turn.borrow().is_empty() => Some(d),
            Wait::Forever if self.next_turn.borrow().is_empty() => None,
            Wait::Not | Wait::For(_) | Wait::Forever => Some(Duration::ZERO),
        };
        let mut events = self.events.borrow_mut();
        events.clear();
        self.enters.set(self.enters.get() + 1);
        if let Err(e) = self.poller.wait(&mut events, patience) {
            panic!("epoll_wait failed: {e}");
        }
        for event in events.iter() {
            if event.key == BELL {
                if let Some((bells, me)) = &self.bells {
                    bells[*me].hush();
                }
            } else {
                self.on_ready(event);
            }
        }
        drop(events);
        for (id, result) in self.pool.take_done() {
            self.complete(id, result);
        }
        self.turns.set(self.turns.get() + 1);
        for waker in std::mem::take(&mut *self.next_turn.borrow_mut()) {
            waker.wake();
        }
    }

    fn complete(&self, id: usize, result: i32) {
        let mut ops = self.ops.borrow_mut();
        let Some(slot) = ops.get_mut(id) else {
            debug_assert!(false, "a completion of no operation: {id}");
            return;
        };
        match std::mem::replace(&mut slot.state, State::Done(result)) {
            State::Waiting(waker) => {
                drop(ops);
                if let Some(w) = waker {
                    w.wake();
                }
            }
            State::Orphan => {
                let slot = ops.remove(id);
                drop(ops);
                drop(slot);
            }
            State::Done(_) => debug_assert!(false, "a second completion of operation {id}"),
        }
    }

    /// See [`crate::driver::Driver::submit`].
    pub(crate) fn submit_file(self: &Rc<Self>, request: FileRequest, keep: Keep) -> FileOp {
        FileOp { portable: Rc::clone(self), stage: Stage::New(request, keep) }
    }

    /// How many operations the threads still have.
    pub(crate) fn in_flight(&self) -> usize {
        self.ops.borrow().len()
    }

    /// Waits until the threads are through with everything. What they do not finish within `patience` is never freed, because
    /// it may still be written to.
    pub(crate) fn drain(self: &Rc<Self>, patience: Duration) {
        let until = Instant::now() + patience;
        while self.in_flight() > 0 {
            match until.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => self.turn(Wait::For(left)),
                Some(_) | None => {
                    std::mem::forget(Rc::clone(self));
                    return;
                }
            }
        }
    }

    /// Keeps a descriptor open until the end of this core.
    pub(crate) fn hold_file(&self, fd: &Rc<OwnedFd>) -> u32 {
        let slot = self.held_files.borrow_mut().insert(Rc::clone(fd));
        u32::try_from(slot).unwrap_or(u32::MAX)
    }

    /// Undoes [`Portable::hold_file`].
    pub(crate) fn release_file(&self, slot: u32) {
        let file = self.held_files.borrow_mut().try_remove(slot as usize);
        drop(file);
    }
}

impl Drop for Portable {
    fn drop(&mut self) {
        if let Some((bells, me)) = &self.bells {
            // SAFETY: the bells are there, see the field.
            let event = unsafe { BorrowedFd::borrow_raw(bells[*me].event()) };
            // A poller that refuses is about to go anyway.
            let _ = self.poller.delete(event);
        }
        let ops = std::mem::take(self.ops.get_mut());
        self.pool.close(ops.is_empty());
        // Only after a panic of the core: what a thread may still write to is never freed.
        if !ops.is_empty() {
            std::mem::forget(ops);
        }
    }
}

/// A file operation: resolves to its result, and what it owned.
pub(crate) struct FileOp {
    portable: Rc<Portable>,
    stage: Stage,
}

enum Stage {
    New(FileRequest, Keep),
    Started(usize),
    Over,
}

impl Future for FileOp {
    type Output = (i32, Option<Keep>);
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::New(request, keep) => {
                let state = State::Waiting(Some(cx.waker().clone()));
                let id = self.portable.ops.borrow_mut().insert(Slot { keep, state });
                self.portable.pool.push(id, request);
                self.stage = Stage::Started(id);
                Poll::Pending
            }
            Stage::Started(id) => {
                let portable = Rc::clone(&self.portable);
                let mut ops = portable.ops.borrow_mut();
                let Some(slot) = ops.get_mut(id) else { return Poll::Pending };
                match &mut slot.state {
                    State::Done(result) => {
                        let result = *result;
                        Poll::Ready((result, Some(ops.remove(id).keep)))
                    }
                    State::Waiting(waker) => {
                        match waker {
                            Some(w) if w.will_wake(cx.waker()) => {}
                            Some(_) | None => *waker = Some(cx.waker().clone()),
                        }
                        self.stage = Stage::Started(id);
                        Poll::Pending
                    }
                    State::Orphan => Poll::Pending,
                }
            }
            Stage::Over => Poll::Pending,
        }
    }
}

impl Drop for FileOp {
    fn drop(&mut self) {
        let Stage::Started(id) = self.stage else { return };
        let mut ops = self.portable.ops.borrow_mut();
        let Some(slot) = ops.get_mut(id) else { return };
        if let State::Done(_) = slot.state {
            let slot = ops.remove(id);
            drop(ops);
            drop(slot);
        } else {
            // Let finish: half a write would help no one, and a read ends by itself.
            slot.state = State::Orphan;
        }
    }
}
