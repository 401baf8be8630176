//! Buffers that the kernel has pinned and mapped once, so that a write need not do it each time.
//!
//! What that saves depends on the kernel: see `docs/decisions/runtime-figures.md`. Pinned pages count as locked memory; where
//! little of that is allowed, buffers beyond it are ordinary ones.

use crate::buffer::Registrar;
use crate::probe::memlock_limit;
use io_uring::IoUring;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use super::Uring;

/// Entries of the table: at 64 KiB each, 64 MiB; at 1 MiB, 1 GiB.
const SLOTS: u16 = 1024;

/// Who of the buffers is registered.
#[derive(Debug, Default)]
pub(crate) struct Fixed {
    free: RefCell<Vec<u16>>,
    bytes: Cell<usize>,
    limit: Cell<usize>,
}

impl Fixed {
    /// Makes the table. Without one, nothing is ever registered.
    pub(crate) fn register(ring: &IoUring, wanted: bool) -> Self {
        let fixed = Self::default();
        if !wanted || ring.submitter().register_buffers_sparse(u32::from(SLOTS)).is_err() {
            return fixed;
        }
        // Half of what may be locked: the ring itself and zero-copy sends need some too, and other cores as well.
        let limit = memlock_limit().map_or(usize::MAX, |bytes| bytes / 2);
        fixed.limit.set(limit);
        fixed.free.replace((0..SLOTS).rev().collect());
        fixed
    }

    /// Bytes that may be registered.
    pub(crate) fn limit(&self) -> usize {
        self.limit.get()
    }

    /// Bytes that are.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.get()
    }
}

/// What the core's memory calls; the ring may be gone before the memory.
pub(crate) struct RingRegistrar(pub(crate) Weak<Uring>);

impl Registrar for RingRegistrar {
    fn register(&self, at: *mut u8, len: usize) -> Option<u16> {
        let uring: Rc<Uring> = self.0.upgrade()?;
        let fixed = &uring.fixed;
        if fixed.bytes.get().saturating_add(len) > fixed.limit.get() {
            return None;
        }
        let slot = fixed.free.borrow_mut().pop()?;
        let vector = libc::iovec { iov_base: at.cast(), iov_len: len };
        let ring = uring.ring.borrow();
        // SAFETY: the block stays allocated until `unregister` was called for it (see `Budget`), or the ring is gone.
        let result =
            unsafe { ring.submitter().register_buffers_update(u32::from(slot), &[vector], None) };
        match result {
            Ok(()) => {
                fixed.bytes.set(fixed.bytes.get() + len);
                Some(slot)
            }
            Err(_) => {
                // Most likely the limit on locked memory, which others use too: what is registered stays, no more is tried.
                fixed.limit.set(fixed.bytes.get());
                fixed.free.borrow_mut().push(slot);
                None
            }
        }
    }

    fn unregister(&self, slot: u16, len: usize) {
        let Some(uring) = self.0.upgrade() else { return };
        let none = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        let ring = uring.ring.borrow();
        // SAFETY: an empty vector empties the slot.
        let result =
            unsafe { ring.submitter().register_buffers_update(u32::from(slot), &[none], None) };
        uring.fixed.bytes.set(uring.fixed.bytes.get().saturating_sub(len));
        if result.is_ok() {
            uring.fixed.free.borrow_mut().push(slot);
        }
        // Otherwise the slot is never used again.
    }
}
