//! The reactor: one io_uring of one core.
//!
//! Every operation lives in a slab until its last completion, and owns there whatever the kernel may still touch: buffers,
//! addresses, the file. Dropping the future that waits for it changes nothing about that.

use crate::buffer::{ALIGN, Buffer, Slice};
use io_uring::{IoUring, cqueue, opcode, squeue, types};
use slab::Slab;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::task::{Context, Poll, Waker};

/// Entries of the submission queue; the completion queue has eight times as many.
const ENTRIES: u32 = 512;
/// Receive buffers of a core: this many of this size.
const RECV_BUFFERS: u16 = 128;
const RECV_BYTES: usize = 64 * 1024;
const RECV_GROUP: u16 = 0;

/// What an operation owns.
#[expect(dead_code, reason = "held for the kernel, not read")]
pub(crate) enum Keep {
    Fd(Rc<OwnedFd>),
    Write(Rc<OwnedFd>, Slice),
    Read(Rc<OwnedFd>, Buffer),
    Send(Rc<OwnedFd>, Box<Message>),
    Accept(Rc<OwnedFd>, Box<(libc::sockaddr_storage, libc::socklen_t)>),
    Connect(Rc<OwnedFd>, Box<libc::sockaddr_storage>),
    Path(Vec<std::ffi::CString>),
    Nothing,
}

/// A vectored send.
pub(crate) struct Message {
    pub(crate) slices: Vec<Slice>,
    pub(crate) vectors: Vec<libc::iovec>,
    pub(crate) header: libc::msghdr,
}

enum State {
    Waiting(Option<Waker>),
    Done(i32, u32),
    /// Nobody waits any more; the slot goes with the completion.
    Orphan,
}

struct Slot {
    keep: Keep,
    state: State,
}

/// The ring of receive buffers that the kernel picks from.
struct RecvRing {
    entries: NonNull<u8>,
    buffers: NonNull<u8>,
    tail: Cell<u16>,
}

impl RecvRing {
    const RING: Layout = match Layout::from_size_align(RECV_BUFFERS as usize * 16, ALIGN) {
        Ok(l) => l,
        Err(_) => panic!("the layout of the receive ring"),
    };
    const DATA: Layout = match Layout::from_size_align(RECV_BUFFERS as usize * RECV_BYTES, ALIGN) {
        Ok(l) => l,
        Err(_) => panic!("the layout of the receive buffers"),
    };

    fn new() -> Self {
        // SAFETY: both layouts have a size.
        let (entries, buffers) = unsafe { (alloc_zeroed(Self::RING), alloc_zeroed(Self::DATA)) };
        let Some(entries) = NonNull::new(entries) else { handle_alloc_error(Self::RING) };
        let Some(buffers) = NonNull::new(buffers) else { handle_alloc_error(Self::DATA) };
        Self { entries, buffers, tail: Cell::new(0) }
    }

    fn at(&self, id: u16) -> *mut u8 {
        // SAFETY: ids come from the kernel or from `give_back` and are below RECV_BUFFERS.
        unsafe { self.buffers.as_ptr().add(usize::from(id % RECV_BUFFERS) * RECV_BYTES) }
    }

    /// Hands a buffer to the kernel.
    fn give_back(&self, id: u16) {
        let tail = self.tail.get();
        let slot = usize::from(tail & (RECV_BUFFERS - 1));
        // SAFETY: the ring has RECV_BUFFERS entries of 16 bytes; only this thread writes them, and the kernel reads an entry
        // only after the tail below was stored with release ordering.
        unsafe {
            let entry = self.entries.as_ptr().cast::<types::BufRingEntry>().add(slot);
            (*entry).set_addr(self.at(id) as u64);
            (*entry).set_len(RECV_BYTES as u32);
            (*entry).set_bid(id);
            let shared = types::BufRingEntry::tail(self.entries.as_ptr().cast()).cast_mut();
            AtomicU16::from_ptr(shared).store(tail.wrapping_add(1), Ordering::Release);
        }
        self.tail.set(tail.wrapping_add(1));
    }
}

impl Drop for RecvRing {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with these layouts; the io_uring is gone before (field order in `Uring`).
        unsafe {
            dealloc(self.entries.as_ptr(), Self::RING);
            dealloc(self.buffers.as_ptr(), Self::DATA);
        }
    }
}

/// Bytes in a receive buffer; goes back to the kernel when dropped.
pub(crate) struct RecvBuffer {
    uring: Rc<Uring>,
    id: u16,
    len: usize,
}

impl RecvBuffer {
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the kernel wrote `len` bytes here and leaves the buffer alone until it is given back.
        unsafe { std::slice::from_raw_parts(self.uring.recv.at(self.id), self.len) }
    }
}

impl Drop for RecvBuffer {
    fn drop(&mut self) {
        self.uring.recv.give_back(self.id);
        let waiting = std::mem::take(&mut *self.uring.starved.borrow_mut());
        for w in waiting {
            w.wake();
        }
    }
}

/// One core's io_uring. The fields are dropped in order: first the ring, then what it pointed to.
pub(crate) struct Uring {
    ring: RefCell<IoUring>,
    ops: RefCell<Slab<Slot>>,
    recv: RecvRing,
    starved: RefCell<Vec<Waker>>,
    pub(crate) enters: Cell<u64>,
}

impl Uring {
    pub(crate) fn new() -> io::Result<Rc<Self>> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_submit_all()
            .setup_clamp()
            .setup_cqsize(ENTRIES * 8)
            .build(ENTRIES)?;
        let recv = RecvRing::new();
        // SAFETY: the ring's memory lives until after the io_uring is gone (field order).
        unsafe {
            ring.submitter().register_buf_ring_with_flags(
                recv.entries.as_ptr() as u64,
                RECV_BUFFERS,
                RECV_GROUP,
                0,
            )?;
        }
        for id in 0..RECV_BUFFERS {
            recv.give_back(id);
        }
        Ok(Rc::new(Self {
            ring: RefCell::new(ring),
            ops: RefCell::new(Slab::with_capacity(1024)),
            recv,
            starved: RefCell::default(),
            enters: Cell::new(0),
        }))
    }

    /// Starts an operation that owns `keep`. The entry may point only into memory that `keep` holds.
    pub(crate) fn start(self: &Rc<Self>, entry: squeue::Entry, keep: Keep) -> Op {
        let key = self.ops.borrow_mut().insert(Slot { keep, state: State::Waiting(None) });
        let entry = entry.user_data(key as u64);
        let mut ring = self.ring.borrow_mut();
        loop {
            // SAFETY: what the entry points to is owned by the slot until the last completion.
            let pushed = unsafe { ring.submission().push(&entry) };
            if pushed.is_ok() {
                break;
            }
            // Full: hand over what is there. Completions are left for the next turn.
            self.enters.set(self.enters.get() + 1);
            if let Err(e) = ring.submit()
                && !matches!(e.raw_os_error(), Some(libc::EBUSY | libc::EAGAIN | libc::EINTR))
            {
                panic!("io_uring_enter failed: {e}");
            }
        }
        Op { uring: Rc::clone(self), key: Some(key) }
    }

    /// Submits what is queued, waits for at most `wait` (not at all if `None` is given for `until` ... see the caller), and
    /// wakes the tasks whose operations have completed.
    pub(crate) fn turn(&self, wait: Wait) {
        let mut done: Vec<(u64, i32, u32)> = Vec::new();
        {
            let mut ring = self.ring.borrow_mut();
            let (submitter, mut sq, mut cq) = ring.split();
            sq.sync();
            let queued = sq.len();
            let timespec;
            self.enters.set(self.enters.get() + 1);
            let result = match wait {
                Wait::Not => {
                    let flags = sys::GETEVENTS;
                    // SAFETY: no argument is passed.
                    unsafe { submitter.enter::<libc::sigset_t>(to_u32(queued), 0, flags, None) }
                        .map(|_| ())
                }
                Wait::For(d) => {
                    timespec = types::Timespec::from(d);
                    let args = types::SubmitArgs::new().timespec(&timespec);
                    submitter.submit_with_args(1, &args).map(|_| ())
                }
                Wait::Forever => submitter.submit_and_wait(1).map(|_| ()),
            };
            match result {
                Ok(()) => {}
                Err(e)
                    if matches!(
                        e.raw_os_error(),
                        Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN)
                    ) => {}
                Err(e) => panic!("io_uring_enter failed: {e}"),
            }
            cq.sync();
            done.extend(cq.map(|c: cqueue::Entry| (c.user_data(), c.result(), c.flags())));
        }
        for (key, result, flags) in done {
            self.complete(usize::try_from(key).unwrap_or(usize::MAX), result, flags);
        }
    }

    fn complete(&self, key: usize, result: i32, flags: u32) {
        let mut ops = self.ops.borrow_mut();
        let Some(slot) = ops.get_mut(key) else { return };
        match std::mem::replace(&mut slot.state, State::Done(result, flags)) {
            State::Waiting(waker) => {
                drop(ops);
                if let Some(w) = waker {
                    w.wake();
                }
            }
            State::Orphan => {
                let slot = ops.remove(key);
                drop(ops);
                if let Some(id) = cqueue::buffer_select(flags) {
                    self.recv.give_back(id);
                }
                if let Keep::Accept(..) = slot.keep
                    && result >= 0
                {
                    // SAFETY: a connection that nobody waits for any more; the descriptor is ours alone.
                    unsafe { libc::close(result) };
                }
                drop(slot);
            }
            State::Done(..) => {}
        }
    }

    /// How many operations the kernel still has.
    pub(crate) fn in_flight(&self) -> usize {
        self.ops.borrow().len()
    }

    pub(crate) fn wait_for_buffer(&self, waker: &Waker) {
        self.starved.borrow_mut().push(waker.clone());
    }

    pub(crate) fn recv_buffer(self: &Rc<Self>, flags: u32, len: usize) -> Option<RecvBuffer> {
        cqueue::buffer_select(flags).map(|id| RecvBuffer { uring: Rc::clone(self), id, len })
    }

    pub(crate) fn recv_entry(fd: RawFd) -> squeue::Entry {
        opcode::Recv::new(types::Fd(fd), std::ptr::null_mut(), RECV_BYTES as u32)
            .buf_group(RECV_GROUP)
            .build()
            .flags(squeue::Flags::BUFFER_SELECT)
    }
}

mod sys {
    /// `IORING_ENTER_GETEVENTS`.
    pub(super) const GETEVENTS: u32 = 1;
}

/// How long a turn may wait in the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    Not,
    For(std::time::Duration),
    Forever,
}

/// An operation in flight: resolves to its result and flags, and gives back what it owned.
pub(crate) struct Op {
    uring: Rc<Uring>,
    key: Option<usize>,
}

impl Future for Op {
    type Output = (i32, u32, Keep);
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(key) = self.key else { return Poll::Pending };
        let mut ops = self.uring.ops.borrow_mut();
        let Some(slot) = ops.get_mut(key) else { return Poll::Pending };
        match &mut slot.state {
            State::Done(result, flags) => {
                let (result, flags) = (*result, *flags);
                let slot = ops.remove(key);
                drop(ops);
                self.key = None;
                Poll::Ready((result, flags, slot.keep))
            }
            State::Waiting(waker) => {
                match waker {
                    Some(w) if w.will_wake(cx.waker()) => {}
                    _ => *waker = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
            State::Orphan => Poll::Pending,
        }
    }
}

impl Drop for Op {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        let mut ops = self.uring.ops.borrow_mut();
        let Some(slot) = ops.get_mut(key) else { return };
        if let State::Done(result, flags) = slot.state {
            slot.state = State::Orphan;
            drop(ops);
            self.uring.complete(key, result, flags);
            return;
        }
        slot.state = State::Orphan;
        drop(ops);
        let cancel = opcode::AsyncCancel::new(key as u64).build();
        let mut done = self.uring.start(cancel, Keep::Nothing);
        // Nobody waits for the cancellation itself: its slot goes with its completion.
        if let Some(key) = done.key.take()
            && let Some(slot) = self.uring.ops.borrow_mut().get_mut(key)
        {
            slot.state = State::Orphan;
        }
    }
}

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The descriptor of a shared file.
pub(crate) fn raw(fd: &Rc<OwnedFd>) -> RawFd {
    fd.as_raw_fd()
}
