//! Bytes that never change, and what keeps them.

use super::Block;
use crate::loan::Loan;
use std::fmt;
use std::ops::{Bound, Deref, RangeBounds};
use std::rc::Rc;

pub(super) fn bounds(range: impl RangeBounds<usize>, len: usize) -> (usize, usize) {
    let from = match range.start_bound() {
        Bound::Included(n) => *n,
        Bound::Excluded(n) => n + 1,
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(n) => n + 1,
        Bound::Excluded(n) => *n,
        Bound::Unbounded => len,
    };
    assert!(from <= to && to <= len, "slice {from}..{to} of {len} bytes");
    (from, to)
}

#[derive(Clone)]
pub(super) enum Held {
    Block(Rc<Block>),
    Bytes(#[expect(dead_code, reason = "keeps the memory")] Rc<Vec<u8>>),
    Loan(#[expect(dead_code, reason = "keeps the memory")] Rc<Loan>),
    Nothing,
}

/// Bytes that never change, and the memory that holds them. Cheap to clone, within its core.
#[derive(Clone)]
pub struct Slice {
    pub(super) memory: Held,
    pub(super) at: *const u8,
    pub(super) len: usize,
}

impl Slice {
    /// Bytes that live for ever.
    #[must_use]
    pub fn from_static(bytes: &'static [u8]) -> Self {
        Self { memory: Held::Nothing, at: bytes.as_ptr(), len: bytes.len() }
    }

    /// A part of it.
    #[must_use]
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Self {
        let (from, to) = bounds(range, self.len);
        // SAFETY: in bounds.
        let at = unsafe { self.at.add(from) };
        Self { memory: self.memory.clone(), at, len: to - from }
    }

    /// The number under which the kernel knows the block that it lies in.
    pub(crate) fn fixed(&self) -> Option<u16> {
        match &self.memory {
            Held::Block(block) => block.fixed(),
            Held::Bytes(_) | Held::Loan(_) | Held::Nothing => None,
        }
    }

    /// Whether address and length suit direct I/O.
    #[must_use]
    pub fn is_aligned(&self) -> bool {
        (self.at as usize).is_multiple_of(512) && self.len.is_multiple_of(512)
    }
}

impl From<Vec<u8>> for Slice {
    fn from(bytes: Vec<u8>) -> Self {
        let bytes = Rc::new(bytes);
        let (at, len) = (bytes.as_ptr(), bytes.len());
        Self { memory: Held::Bytes(bytes), at, len }
    }
}

impl From<Loan> for Slice {
    fn from(loan: Loan) -> Self {
        let loan = Rc::new(loan);
        let (at, len) = (loan.as_ptr(), loan.len());
        Self { memory: Held::Loan(loan), at, len }
    }
}

impl Deref for Slice {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: published bytes never change, and `memory` keeps them.
        unsafe { std::slice::from_raw_parts(self.at, self.len) }
    }
}

impl fmt::Debug for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slice({} bytes)", self.len)
    }
}
