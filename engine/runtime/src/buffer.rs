//! Memory that the kernel reads and writes: 4096-aligned, shared within one core, append-only.
//!
//! A [`Buffer`] is the one writer of its block. What it has published as a [`Slice`] never changes; the writer goes on behind
//! it. The block's memory lives until the last of them is gone, and operations in flight hold one of them.

mod class;
mod memory;
mod slice;

pub use memory::{Memory, OverBudget};
pub use slice::Slice;

pub(crate) use memory::Registrar;

use memory::Raw;
use slice::{Held, bounds};
use std::cell::Cell;
use std::ops::RangeBounds;
use std::ptr::NonNull;
use std::rc::Rc;

/// Every block begins at, and is, a multiple of this: what direct I/O wants.
pub const ALIGN: usize = 4096;

#[derive(Debug)]
struct Block {
    raw: Option<Raw>,
    at: NonNull<u8>,
    capacity: usize,
    memory: Memory,
}

/// Only for its alignment.
#[repr(align(4096))]
struct Page;

impl Block {
    fn fixed(&self) -> Option<u16> {
        self.raw.as_ref().and_then(|raw| raw.fixed)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Some(raw) = self.raw.take() {
            self.memory.give_back(raw);
        }
    }
}

/// The one writer of a block.
#[derive(Debug)]
pub struct Buffer {
    block: Rc<Block>,
    len: usize,
    /// The highest end of a slice that was taken: bytes below never change again.
    published: Cell<usize>,
}

impl Buffer {
    /// No memory at all: stands in while the real buffer is with the kernel.
    pub(crate) fn empty() -> Self {
        let (at, memory) = (NonNull::<Page>::dangling().cast(), Memory::new(0));
        let block = Rc::new(Block { raw: None, at, capacity: 0, memory });
        Self { block, len: 0, published: Cell::new(0) }
    }

    /// The number under which the kernel knows the block.
    pub(crate) fn fixed(&self) -> Option<u16> {
        self.block.fixed()
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing has been written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether somebody holds a slice of it: its memory does not come back when the writer is dropped.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        Rc::strong_count(&self.block) > 1
    }

    /// Bytes that fit in all.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.block.capacity
    }

    /// Bytes that still fit.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.block.capacity - self.len
    }

    /// Copies `bytes` to the end. They must fit.
    pub fn append(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.remaining(), "a buffer of {} overflows", self.capacity());
        // SAFETY: in bounds by the assertion. No slice covers bytes at or above `len`, and `bytes` cannot either, unless it
        // is a published part below `len`: the ranges do not overlap.
        unsafe {
            let to = self.block.at.as_ptr().add(self.len);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
        self.len += bytes.len();
    }

    /// Fills up with zeros to a multiple of `multiple`, which must fit.
    pub fn pad_to(&mut self, multiple: usize) {
        let end = self.len.next_multiple_of(multiple);
        assert!(end <= self.capacity(), "padding overflows a buffer of {}", self.capacity());
        // SAFETY: in bounds by the assertion, above everything published.
        unsafe { std::ptr::write_bytes(self.block.at.as_ptr().add(self.len), 0, end - self.len) };
        self.len = end;
    }

    /// Overwrites bytes that have been written but not published.
    pub fn patch(&mut self, at: usize, bytes: &[u8]) {
        assert!(at >= self.published.get(), "published bytes never change");
        assert!(at + bytes.len() <= self.len, "a patch beyond the end");
        // SAFETY: in bounds and unpublished by the assertions, so no slice sees these bytes.
        unsafe {
            let to = self.block.at.as_ptr().add(at);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
    }

    /// The bytes written so far.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        // SAFETY: initialised, in bounds; writes need `&mut self`.
        unsafe { std::slice::from_raw_parts(self.block.at.as_ptr(), self.len) }
    }

    /// The bytes behind the end, initialised; [`Buffer::advance`] makes them count.
    pub fn spare_mut(&mut self) -> &mut [u8] {
        // SAFETY: initialised (zeroed at allocation, written since), in bounds, above everything published.
        unsafe {
            let from = self.block.at.as_ptr().add(self.len);
            std::slice::from_raw_parts_mut(from, self.block.capacity - self.len)
        }
    }

    /// Counts `n` bytes that were written to the spare part.
    pub fn advance(&mut self, n: usize) {
        assert!(n <= self.remaining(), "advance beyond the capacity");
        self.len += n;
    }

    /// Publishes bytes that have been written.
    #[must_use]
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Slice {
        let (from, to) = bounds(range, self.len);
        self.published.set(self.published.get().max(to));
        let held = Held::Block(Rc::clone(&self.block));
        // SAFETY: in bounds of the block.
        let at = unsafe { self.block.at.as_ptr().add(from) };
        Slice { memory: held, at, len: to - from }
    }

    /// Publishes everything and gives the writer up.
    #[must_use]
    pub fn freeze(self) -> Slice {
        self.slice(..)
    }

    pub(crate) fn spare_ptr(&mut self) -> *mut u8 {
        self.spare_mut().as_mut_ptr()
    }
}

#[cfg(test)]
mod tests;
