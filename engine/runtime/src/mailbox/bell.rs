//! How one thread wakes another.
//!
//! Who is about to sleep raises a [flag](super::flag) and looks at its mail once more; who has sent mail looks at the flag.
//! Only a raised flag costs a wake-up.

use super::flag::Flag;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;

/// The bell of one core, or of one thread outside.
#[derive(Debug)]
pub(crate) struct Bell {
    asleep: Flag,
    /// The core's io_uring, once it has one.
    ring: AtomicI32,
    /// Wakes a core from anywhere.
    event: OwnedFd,
    /// Tasks of another executor, for endpoints outside.
    wakers: Mutex<Vec<Waker>>,
}

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: plain system call.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor that nobody else has.
        let event = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self {
            asleep: Flag::new(),
            ring: AtomicI32::new(-1),
            event,
            wakers: Mutex::new(Vec::new()),
        })
    }

    /// The owner is about to sleep; it looks at its mail after this.
    pub(crate) fn fall_asleep(&self) {
        self.asleep.raise();
    }

    /// The owner is awake.
    pub(crate) fn wake_up(&self) {
        self.asleep.lower();
    }

    /// Whether the owner sleeps; who gets `true` must wake it. What the owner should see was stored before.
    pub(crate) fn must_wake(&self) -> bool {
        self.asleep.take()
    }

    /// Wakes the owner by its descriptor, or its tasks.
    pub(crate) fn strike(&self) {
        let wakers =
            std::mem::take(&mut *self.wakers.lock().unwrap_or_else(PoisonError::into_inner));
        for w in wakers {
            w.wake();
        }
        let one = 1u64;
        // SAFETY: eight bytes of ours. The only failure is a counter that is full, and then the owner wakes anyway.
        unsafe { libc::write(self.event.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    /// Takes the strikes back, so that the descriptor waits for the next one.
    pub(crate) fn hush(&self) {
        let mut count = 0u64;
        // SAFETY: eight bytes of ours; nothing there is no failure.
        unsafe { libc::read(self.event.as_raw_fd(), (&raw mut count).cast(), 8) };
    }

    pub(crate) fn event(&self) -> RawFd {
        self.event.as_raw_fd()
    }

    pub(crate) fn set_ring(&self, fd: RawFd) {
        self.ring.store(fd, Ordering::Release);
    }

    pub(crate) fn ring(&self) -> Option<RawFd> {
        Some(self.ring.load(Ordering::Acquire)).filter(|fd| *fd >= 0)
    }

    /// A task outside waits.
    pub(crate) fn wait(&self, waker: &Waker) {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        if !wakers.iter().any(|w| w.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }
}
