//! The reactor: one io_uring of one core.
//!
//! Every operation lives in a slab until its last completion, and owns there whatever the kernel may still touch: buffers,
//! addresses, the file. Dropping the future that waits for it changes nothing about that. The last completion is the only one of
//! a plain operation, the one without `MORE` of a multishot, and the notification of a zero-copy send.
//!
//! A core sleeps in the kernel until a completion or the next timer; it never polls and has no periodic tick.

mod files;
mod fixed;
mod link;
mod receive;
mod sink;
mod sockets;

use link::{LEADER, Links};
pub(crate) use receive::RecvBuffer;
pub(crate) use sockets::{RingListener, RingStream};

use crate::driver::{Bells, Wait};
use crate::keep::Keep;
use crate::probe::{self, WhyNot};
use crate::runtime::{Tuning, ZeroCopy};
use fixed::{Fixed, RingRegistrar};
use io_uring::{IoUring, cqueue, opcode, squeue, types};
use receive::RecvRing;
use sink::Sink;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Completions with these numbers belong to no operation of the slab. Slab keys are below 2^32.
const NOBODY: u64 = u64::MAX;
const WOKEN: u64 = u64::MAX - 1;
const BELL: u64 = u64::MAX - 2;
/// A wake-up that could not be delivered; the core's number is in the low bits.
const UNDELIVERED: u64 = 1 << 63;

/// How long the end of a core waits for peers to acknowledge what they were sent.
const PEERS: Duration = Duration::from_secs(1);

/// File operations of a ring that the kernel's workers carry out at the same time: more than a checkpoint ever has under way.
const FILE_WORKERS: u32 = 64;
/// Files that the ring holds on to: locks.
const HELD_FILES: u32 = 16;

enum State {
    Waiting(Option<Waker>),
    /// The result is there; `more` if the kernel still uses what the slot owns.
    Done {
        result: i32,
        flags: u32,
        more: bool,
    },
    /// The result was taken, the kernel still uses what the slot owns.
    Lingering,
    /// Nobody waits any more; the slot goes with the last completion.
    Orphan,
    /// Completions go to a socket's sink until the last one.
    Many(Rc<Sink>),
}

struct Slot {
    keep: Keep,
    state: State,
    generation: u32,
}

/// One core's io_uring. The fields are dropped in order: first the ring, then what it pointed to.
pub(crate) struct Uring {
    ring: RefCell<IoUring>,
    ops: RefCell<Slab<Slot>>,
    generation: Cell<u32>,
    /// Completions that were taken from the queue and have not been looked at.
    stash: RefCell<Vec<(u64, i32, u32)>>,
    recv: RecvRing,
    fixed: Fixed,
    held_files: RefCell<Vec<Option<Rc<OwnedFd>>>>,
    bells: Option<Bells>,
    zero_copy: ZeroCopy,
    known_zero_copy: Cell<bool>,
    msg_ring: bool,
    links: Links,
    pub(crate) enters: Cell<u64>,
    /// Entries that were put into the submission queue, and completions that were taken.
    pushed: Cell<u64>,
    completed: Cell<u64>,
    /// Sends that were handed over without a copy.
    pub(crate) zero_copy_sends: Cell<u64>,
    /// Zero-copy sends that were copied after all for want of locked memory.
    pub(crate) zero_copy_refused: Cell<u64>,
    /// Bytes that were copied out of receive buffers.
    pub(crate) receives_copied: Cell<u64>,
}

impl Uring {
    /// Makes the ring of the calling thread, which is the only one that may use it.
    pub(crate) fn new(tuning: &Tuning, bells: Option<Bells>) -> Result<Rc<Self>, WhyNot> {
        // A link has two entries, which must fit.
        let ring = probe::ring(tuning.entries.max(2)).map_err(|e| probe::explain(&e))?;
        let known = probe::ask(&ring)?;
        let recv = RecvRing::new(tuning.receive_buffers, tuning.receive_bytes);
        // SAFETY: the ring's memory lives until after the io_uring is gone (field order).
        unsafe {
            ring.submitter().register_buf_ring_with_flags(
                recv.address(),
                recv.count(),
                receive::GROUP,
                0,
            )
        }
        .map_err(|e| probe::explain(&e))?;
        for id in 0..recv.count() {
            recv.give_back(id);
        }
        // A sync is carried out by a worker of the kernel. Of those a ring has four for each processor, and what comes after waits in
        // line: the flush that all producers wait for would wait for the files of a checkpoint. They sleep, so more of them cost
        // nothing; a kernel that refuses keeps its number.
        let _ = ring.submitter().register_iowq_max_workers(&mut [FILE_WORKERS, 0]);
        let fixed = Fixed::register(&ring, tuning.fixed_buffers);
        let files = ring.submitter().register_files_sparse(HELD_FILES).is_ok();
        let held_files = if files { vec![None; HELD_FILES as usize] } else { Vec::new() };
        if let Some((bells, me)) = &bells {
            bells[*me].set_ring(ring.as_raw_fd());
        }
        let uring = Rc::new(Self {
            ring: RefCell::new(ring),
            ops: RefCell::new(Slab::with_capacity(1024)),
            generation: Cell::new(0),
            stash: RefCell::default(),
            recv,
            fixed,
            held_files: RefCell::new(held_files),
            bells,
            zero_copy: tuning.zero_copy,
            known_zero_copy: Cell::new(known.zero_copy_send),
            msg_ring: known.msg_ring,
            links: Links::default(),
            enters: Cell::new(0),
            pushed: Cell::new(0),
            completed: Cell::new(0),
            zero_copy_sends: Cell::new(0),
            zero_copy_refused: Cell::new(0),
            receives_copied: Cell::new(0),
        });
        uring.watch_bell();
        Ok(uring)
    }

    /// What the core's memory calls for its large blocks.
    pub(crate) fn registrar(self: &Rc<Self>) -> RingRegistrar {
        RingRegistrar(Rc::downgrade(self))
    }

    /// What is known about this ring, for the operator.
    pub(crate) fn features(&self) -> probe::Features {
        let limit = self.fixed.limit();
        probe::Features {
            backend: "uring",
            why_not_uring: None,
            kernel: probe::kernel(),
            zero_copy_send: self.known_zero_copy.get() && self.zero_copy != ZeroCopy::Never,
            fixed_bytes: Some(limit).filter(|bytes| *bytes != usize::MAX),
            lock_outlives_writes: !self.held_files.borrow().is_empty(),
        }
    }

    /// Bytes of buffers that are registered now.
    pub(crate) fn fixed_bytes(&self) -> usize {
        self.fixed.bytes()
    }

    fn watch_bell(&self) {
        if let Some((bells, me)) = &self.bells {
            let fd = types::Fd(bells[*me].event());
            let events = u32::try_from(libc::POLLIN).unwrap_or(1);
            self.push(&opcode::PollAdd::new(fd, events).multi(true).build().user_data(BELL));
        }
    }

    /// Wakes core `to` with the next submission.
    pub(crate) fn nudge(&self, to: usize) {
        let Some((bells, _)) = &self.bells else { return };
        match bells[to].ring().filter(|_| self.msg_ring) {
            Some(fd) => {
                let entry = opcode::MsgRingData::new(types::Fd(fd), 0, WOKEN, None)
                    .build()
                    .flags(squeue::Flags::SKIP_SUCCESS)
                    .user_data(UNDELIVERED | to as u64);
                self.push(&entry);
            }
            None => bells[to].strike(),
        }
    }

    /// Puts an entry into the submission queue, whatever it takes.
    fn push(&self, entry: &squeue::Entry) {
        self.push_together(std::slice::from_ref(entry));
    }

    /// Puts entries into the submission queue that the kernel must get together, whatever it takes.
    fn push_together(&self, entries: &[squeue::Entry]) {
        let mut ring = self.ring.borrow_mut();
        loop {
            // SAFETY: what an entry points to is owned by its slot until the last completion, or it points to nothing.
            if unsafe { ring.submission().push_multiple(entries) }.is_ok() {
                self.pushed.set(self.pushed.get() + entries.len() as u64);
                return;
            }
            // Full: hand over what is there.
            self.enters.set(self.enters.get() + 1);
            match ring.submit() {
                Ok(_) => self.links.on_taken(self.pushed.get() - ring.submission().len() as u64),
                Err(e) if is_passing(&e) => {
                    // Completions stand in the way: they are taken here and looked at in the next turn.
                    let mut stash = self.stash.borrow_mut();
                    let before = stash.len();
                    stash.extend(ring.completion().map(triple));
                    if stash.len() == before {
                        std::thread::yield_now();
                    }
                }
                Err(e) => panic!("io_uring_enter failed: {e}"),
            }
        }
    }

    fn insert(&self, keep: Keep, state: State) -> u64 {
        let generation = self.generation.get().wrapping_add(1) & (u32::MAX >> 2);
        self.generation.set(generation);
        let key = self.ops.borrow_mut().insert(Slot { keep, state, generation });
        assert!(key < u32::MAX as usize, "more operations than numbers");
        u64::from(generation) << 32 | key as u64
    }

    /// The slot of an operation, unless it is gone.
    fn find(ops: &mut Slab<Slot>, id: u64) -> Option<(usize, &mut Slot)> {
        let key = usize::try_from(id & u64::from(u32::MAX)).unwrap_or(usize::MAX);
        let slot = ops.get_mut(key)?;
        (u64::from(slot.generation) == id >> 32).then_some((key, slot))
    }

    /// Starts an operation that owns `keep`. The entry may point only into memory that `keep` holds.
    pub(crate) fn start(self: &Rc<Self>, entry: squeue::Entry, keep: Keep) -> Op {
        let id = self.insert(keep, State::Waiting(None));
        self.push(&entry.user_data(id));
        Op { uring: Rc::clone(self), id: Some(id) }
    }

    /// Starts a multishot operation on `fd`, whose completions go to `sink`.
    pub(crate) fn start_many(&self, entry: squeue::Entry, fd: &Rc<OwnedFd>, sink: &Rc<Sink>) {
        let id = self.insert(Keep::Fd(Rc::clone(fd)), State::Many(Rc::clone(sink)));
        sink.armed.set(Some(id));
        sink.stopping.set(false);
        self.push(&entry.user_data(id));
    }

    /// Asks the kernel to end an operation early. It completes all the same. Entries are taken in order, so one that gets the
    /// slot of an operation that had ended already is not hit.
    pub(crate) fn cancel(&self, id: u64) {
        let entry = opcode::AsyncCancel::new(id)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(NOBODY);
        self.push(&entry);
    }

    /// Submits what is queued, waits as long as `wait` says, and wakes the tasks whose operations have completed.
    pub(crate) fn turn(self: &Rc<Self>, wait: Wait) {
        let mut done = std::mem::take(&mut *self.stash.borrow_mut());
        {
            let mut ring = self.ring.borrow_mut();
            let (submitter, mut sq, mut cq) = ring.split();
            sq.sync();
            cq.sync();
            let wait = if done.is_empty() && cq.is_empty() { wait } else { Wait::Not };
            let result = match wait {
                Wait::Not if sq.is_empty() && !sq.taskrun() && !sq.cq_overflow() => Ok(0),
                Wait::Not => {
                    self.enters.set(self.enters.get() + 1);
                    submitter.submit()
                }
                Wait::For(d) => {
                    self.enters.set(self.enters.get() + 1);
                    let timespec = types::Timespec::from(d);
                    let args = types::SubmitArgs::new().timespec(&timespec);
                    submitter.submit_with_args(1, &args)
                }
                Wait::Forever => {
                    self.enters.set(self.enters.get() + 1);
                    submitter.submit_and_wait(1)
                }
            };
            match result {
                Ok(_) => {}
                Err(e) if is_passing(&e) => {}
                Err(e) => panic!("io_uring_enter failed: {e}"),
            }
            sq.sync();
            self.links.on_taken(self.pushed.get() - sq.len() as u64);
            cq.sync();
            done.extend(cq.map(triple));
        }
        self.completed.set(self.completed.get() + done.len() as u64);
        for (id, result, flags) in done.drain(..) {
            self.complete(id, result, flags);
        }
        // The vector's memory serves the next turn, unless something was stashed meanwhile.
        let mut stash = self.stash.borrow_mut();
        if stash.is_empty() {
            *stash = done;
        }
    }

    fn complete(self: &Rc<Self>, id: u64, result: i32, flags: u32) {
        if id & UNDELIVERED != 0 {
            self.without_owner(id, flags);
            return;
        }
        let more = cqueue::more(flags);
        let leads = link::leads(id);
        let (id, flags) = if leads { (link::of(id), flags | LEADER) } else { (id, flags) };
        let mut ops = self.ops.borrow_mut();
        let Some((key, slot)) = Self::find(&mut ops, id) else {
            // A kernel may also tell of the one that follows when its leader has failed.
            debug_assert!(result == -libc::ECANCELED, "a completion of no operation: {id:x}");
            return;
        };
        // A leader was told to be silent if it succeeds; a kernel that tells it all the same goes on with the link.
        if leads && link::is_whole(&slot.keep, result) {
            return;
        }
        if cqueue::notif(flags) {
            match &mut slot.state {
                State::Done { more, .. } => *more = false,
                State::Lingering | State::Orphan | State::Waiting(_) | State::Many(_) => {
                    let slot = ops.remove(key);
                    drop(ops);
                    drop(slot);
                }
            }
            return;
        }
        match &mut slot.state {
            State::Waiting(waker) => {
                let waker = waker.take();
                slot.state = State::Done { result, flags, more };
                let socket = if more { socket_of(&mut slot.keep) } else { None };
                drop(ops);
                drop(socket);
                if let Some(w) = waker {
                    w.wake();
                }
            }
            State::Many(sink) => {
                let sink = Rc::clone(sink);
                let slot = if more { None } else { Some(ops.remove(key)) };
                drop(ops);
                sink.push(self, result, flags, !more);
                drop(slot);
            }
            State::Orphan if more => {
                let socket = socket_of(&mut slot.keep);
                drop(ops);
                drop(socket);
            }
            State::Orphan => {
                let slot = ops.remove(key);
                drop(ops);
                drop(slot);
            }
            State::Done { .. } | State::Lingering => {
                debug_assert!(false, "a second completion of a plain operation");
            }
        }
    }

    fn without_owner(&self, id: u64, flags: u32) {
        match id {
            NOBODY | WOKEN => {}
            BELL => {
                if let Some((bells, me)) = &self.bells {
                    bells[*me].hush();
                }
                if !cqueue::more(flags) {
                    self.watch_bell();
                }
            }
            undelivered => {
                let to = usize::try_from(undelivered & !UNDELIVERED).unwrap_or(usize::MAX);
                if let Some((bells, _)) = &self.bells
                    && let Some(bell) = bells.get(to)
                {
                    bell.strike();
                }
            }
        }
    }

    /// Entries handed to the kernel, and completions taken from it.
    pub(crate) fn entries(&self) -> (u64, u64) {
        (self.pushed.get(), self.completed.get())
    }

    /// How many operations the kernel still has.
    pub(crate) fn in_flight(&self) -> usize {
        self.ops.borrow().len()
    }

    /// Whether all that the kernel has is memory of sends that have ended and that the peer has not acknowledged.
    fn only_unacknowledged(&self) -> bool {
        self.ops.borrow().iter().all(|(_, slot)| matches!(slot.keep, Keep::Send(None, _)))
    }

    /// Ends everything: what the kernel has is asked to end, and waited for. What it does not give back within `patience` is
    /// never freed, because it may still be written to. For what only peers keep, which need not read ever, patience is short.
    pub(crate) fn drain(self: &Rc<Self>, patience: Duration) {
        if let Some((bells, me)) = &self.bells {
            bells[*me].set_ring(-1);
        }
        let sockets: Vec<u64> = {
            let ops = self.ops.borrow();
            ops.iter()
                // Writes and syncs are let finish; what may wait for ever is not.
                .filter(|(_, s)| match s.keep {
                    Keep::Fd(_) => matches!(s.state, State::Many(_)),
                    Keep::Read(..) | Keep::Send(..) | Keep::Connect(..) => true,
                    Keep::Write(..) | Keep::Writev(..) => false,
                })
                .map(|(key, s)| u64::from(s.generation) << 32 | key as u64)
                .collect()
        };
        for id in sockets {
            self.cancel(id);
        }
        let began = Instant::now();
        loop {
            self.turn(Wait::Not);
            if self.in_flight() == 0 {
                return;
            }
            let patience = if self.only_unacknowledged() { PEERS.min(patience) } else { patience };
            if began.elapsed() >= patience {
                break;
            }
            self.turn(Wait::For(Duration::from_millis(20)));
        }
        std::mem::forget(Rc::clone(self));
    }

    /// Puts a descriptor into the ring's file table, where the kernel keeps it open until the last request of the process,
    /// even of a dead one, has ended. The slot, if there is one.
    pub(crate) fn hold_file(&self, fd: &Rc<OwnedFd>) -> Option<u32> {
        let mut files = self.held_files.borrow_mut();
        let slot = files.iter().position(Option::is_none)?;
        let at = u32::try_from(slot).ok()?;
        self.ring.borrow().submitter().register_files_update(at, &[fd.as_raw_fd()]).ok()?;
        files[slot] = Some(Rc::clone(fd));
        Some(at)
    }

    /// Undoes [`Uring::hold_file`].
    pub(crate) fn release_file(&self, slot: u32) {
        // A slot that the kernel does not empty is not used again.
        if self.ring.borrow().submitter().register_files_update(slot, &[-1]).is_ok()
            && let Some(file) = self.held_files.borrow_mut().get_mut(slot as usize)
        {
            *file = None;
        }
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        // Only after a panic of the core: what the kernel may still write to is never freed.
        let ops = std::mem::take(self.ops.get_mut());
        if !ops.is_empty() {
            self.recv.leak();
            std::mem::forget(ops);
        }
    }
}

/// The socket of a send that has ended, but for its notification. Only the memory is still needed: a peer that does not read
/// would otherwise keep a connection open that we have closed, and the kernel gives up on closed ones only.
fn socket_of(keep: &mut Keep) -> Option<Rc<OwnedFd>> {
    match keep {
        Keep::Send(socket, _) => socket.take(),
        Keep::Fd(_) | Keep::Write(..) | Keep::Writev(..) | Keep::Read(..) | Keep::Connect(..) => {
            None
        }
    }
}

fn triple(c: cqueue::Entry) -> (u64, i32, u32) {
    (c.user_data(), c.result(), c.flags())
}

/// What passes by itself: the time is up, a signal came, completions have to be taken first, memory is short.
fn is_passing(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN))
}

/// An operation in flight: resolves to its result and flags, and gives back what it owned, unless the kernel still uses that.
pub(crate) struct Op {
    uring: Rc<Uring>,
    id: Option<u64>,
}

impl Future for Op {
    type Output = (i32, u32, Option<Keep>);
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let uring = Rc::clone(&self.uring);
        let mut ops = uring.ops.borrow_mut();
        let found = self.id.and_then(|id| Uring::find(&mut ops, id));
        let Some((key, slot)) = found else { return Poll::Pending };
        match &mut slot.state {
            State::Done { result, flags, more } => {
                let (result, flags, more) = (*result, *flags, *more);
                self.id = None;
                if more {
                    slot.state = State::Lingering;
                    return Poll::Ready((result, flags, None));
                }
                let slot = ops.remove(key);
                Poll::Ready((result, flags, Some(slot.keep)))
            }
            State::Waiting(waker) => {
                match waker {
                    Some(w) if w.will_wake(cx.waker()) => {}
                    Some(_) | None => *waker = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
            State::Orphan | State::Lingering | State::Many(_) => Poll::Pending,
        }
    }
}

impl Drop for Op {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        let mut ops = self.uring.ops.borrow_mut();
        let Some((key, slot)) = Uring::find(&mut ops, id) else { return };
        match slot.state {
            State::Done { more: true, .. } => slot.state = State::Lingering,
            State::Done { more: false, .. } => {
                let slot = ops.remove(key);
                drop(ops);
                drop(slot);
            }
            State::Waiting(_) => {
                slot.state = State::Orphan;
                // A write or sync that nobody waits for is let finish: half of it would help no one. The rest may wait for
                // ever and is ended.
                let endless =
                    matches!(slot.keep, Keep::Read(..) | Keep::Send(..) | Keep::Connect(..));
                drop(ops);
                if endless {
                    self.uring.cancel(id);
                }
            }
            State::Orphan | State::Lingering | State::Many(_) => {}
        }
    }
}

/// The descriptor of a shared file.
pub(crate) fn raw(fd: &Rc<OwnedFd>) -> RawFd {
    fd.as_raw_fd()
}
