//! Memory that the kernel reads and writes: 4096-aligned, shared within one core, append-only.
//!
//! A [`Buffer`] is the one writer of its block. What it has published as a [`Slice`] never changes; the writer goes on behind
//! it. The block's memory lives until the last of them is gone, and operations in flight hold one of them.

mod class;

use crate::loan::Loan;
use crate::sync::Notify;
use class::{CLASSES, Class};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::{Bound, Deref, RangeBounds};
use std::ptr::NonNull;
use std::rc::Rc;

/// Every block begins at, and is, a multiple of this: what direct I/O wants.
pub const ALIGN: usize = 4096;

/// No memory within the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverBudget;

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the core's memory budget is used up")
    }
}

impl std::error::Error for OverBudget {}

/// Makes blocks known to the kernel, which pins and maps them once.
pub(crate) trait Registrar {
    /// The number under which operations name the block; none if it stays an ordinary one. The block stays allocated until
    /// it is unregistered.
    fn register(&self, at: *mut u8, len: usize) -> Option<u16>;
    /// Forgets the block. No operation uses it any more.
    fn unregister(&self, slot: u16, len: usize);
}

/// Blocks of these sizes are registered: commits and tails are written from them. Pinning others would serve nobody.
const REGISTERED: [usize; 3] = [64 << 10, 256 << 10, 1 << 20];

/// At most one part in so many of the budget waits in the pools; the rest goes back to the allocator. A checkpoint gives back
/// a quarter of the budget at once and what comes next takes it again: a smaller pool would pay for fresh pages each time.
const POOLED_SHARE: usize = 2;

struct Budget {
    limit: usize,
    used: Cell<usize>,
    pooled: Cell<usize>,
    pools: RefCell<[Vec<Raw>; CLASSES]>,
    registrar: RefCell<Option<Box<dyn Registrar>>>,
    freed: Notify,
}

impl Budget {
    /// Frees blocks of the class that holds most, until `capacity` more may wait; false if that class is `class` itself.
    fn make_room(&self, capacity: usize, class: Class) -> bool {
        let most = (self.limit / POOLED_SHARE).min(self.limit.saturating_sub(self.used.get()));
        while self.pooled.get() + capacity > most {
            let mut pools = self.pools.borrow_mut();
            // Blocks of a class are of one size: one look at each class, however many blocks wait.
            let held = |c: usize| pools[c].len() * pools[c].first().map_or(0, |raw| raw.capacity);
            let Some(fullest) = (0..CLASSES).max_by_key(|c| held(*c)) else { return false };
            if fullest == class.index() {
                return false;
            }
            let Some(raw) = pools[fullest].pop() else { return false };
            drop(pools);
            self.pooled.set(self.pooled.get() - raw.capacity);
            self.free(raw);
        }
        true
    }

    fn free(&self, raw: Raw) {
        if let (Some(slot), Some(registrar)) = (raw.fixed, self.registrar.borrow().as_ref()) {
            registrar.unregister(slot, raw.capacity);
        }
        drop(raw);
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        let waiting: Vec<Raw> = self.pools.get_mut().iter_mut().flat_map(std::mem::take).collect();
        for raw in waiting {
            self.free(raw);
        }
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes", self.used.get(), self.limit)
    }
}

/// One core's memory for buffers: a budget, and the blocks that wait for their next use.
#[derive(Clone, Debug)]
pub struct Memory(Rc<Budget>);

/// One allocation of `capacity` bytes, always initialised.
#[derive(Debug)]
struct Raw {
    at: NonNull<u8>,
    capacity: usize,
    /// Registered under this number.
    fixed: Option<u16>,
}

impl Raw {
    fn new(capacity: usize) -> Self {
        let layout = Self::layout(capacity);
        // SAFETY: the layout's size is not zero, see `Memory::take`.
        let at = unsafe { alloc_zeroed(layout) };
        let Some(at) = NonNull::new(at) else { handle_alloc_error(layout) };
        Self { at, capacity, fixed: None }
    }

    fn layout(capacity: usize) -> Layout {
        match Layout::from_size_align(capacity, ALIGN) {
            Ok(layout) => layout,
            Err(_) => panic!("a buffer of {capacity} bytes"),
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: allocated by `new` with the same layout; nobody else frees it.
        unsafe { dealloc(self.at.as_ptr(), Self::layout(self.capacity)) }
    }
}

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

impl Memory {
    /// A budget of `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self(Rc::new(Budget {
            limit,
            used: Cell::new(0),
            pooled: Cell::new(0),
            pools: RefCell::new(std::array::from_fn(|_| Vec::new())),
            registrar: RefCell::new(None),
            freed: Notify::new(),
        }))
    }

    /// From now on, large blocks are made known to the kernel.
    pub(crate) fn set_registrar(&self, registrar: Box<dyn Registrar>) {
        *self.0.registrar.borrow_mut() = Some(registrar);
    }

    /// Bytes that a buffer of at least `capacity` bytes takes from the budget: blocks come in sizes four to a doubling, so that
    /// each of them soon finds a next use.
    #[must_use]
    pub fn rounded(capacity: usize) -> usize {
        Class::of(capacity).map_or_else(|| capacity.next_multiple_of(ALIGN), Class::bytes)
    }

    /// Waits until a buffer of `bytes` fits the budget, which by then another may have taken.
    pub async fn wait_for(&self, bytes: usize) {
        let rounded = Self::rounded(bytes);
        while self.0.used.get() > 0 && self.0.used.get().saturating_add(rounded) > self.0.limit {
            self.0.freed.notified().await;
        }
    }

    /// A buffer of at least `capacity` bytes.
    ///
    /// # Errors
    /// [`OverBudget`] if that would exceed the limit.
    pub fn alloc(&self, capacity: usize) -> Result<Buffer, OverBudget> {
        let rounded = Self::rounded(capacity);
        if self.0.used.get() + rounded > self.0.limit {
            return Err(OverBudget);
        }
        Ok(self.take(rounded))
    }

    /// A buffer of at least `capacity` bytes, also beyond the limit: for work that has been admitted already and must not
    /// stop half-way. It counts as used.
    #[must_use]
    pub fn alloc_beyond(&self, capacity: usize) -> Buffer {
        self.take(Self::rounded(capacity))
    }

    fn take(&self, capacity: usize) -> Buffer {
        let class = Class::of(capacity);
        let pooled = class.and_then(|c| self.0.pools.borrow_mut()[c.index()].pop());
        let raw = match pooled {
            Some(raw) => {
                self.0.pooled.set(self.0.pooled.get() - capacity);
                raw
            }
            None => {
                let mut raw = Raw::new(capacity);
                if REGISTERED.contains(&capacity) {
                    let registrar = self.0.registrar.borrow();
                    raw.fixed =
                        registrar.as_ref().and_then(|r| r.register(raw.at.as_ptr(), capacity));
                }
                raw
            }
        };
        self.0.used.set(self.0.used.get() + capacity);
        let at = raw.at;
        let block = Rc::new(Block { raw: Some(raw), at, capacity, memory: self.clone() });
        Buffer { block, len: 0, published: Cell::new(0) }
    }

    fn give_back(&self, raw: Raw) {
        self.0.used.set(self.0.used.get() - raw.capacity);
        match Class::of(raw.capacity) {
            Some(class) if self.0.make_room(raw.capacity, class) => {
                self.0.pooled.set(self.0.pooled.get() + raw.capacity);
                self.0.pools.borrow_mut()[class.index()].push(raw);
            }
            _ => self.0.free(raw),
        }
        self.0.freed.notify_all();
    }

    /// Whether memory that comes back is waited for, or is soon going to be.
    pub(crate) fn is_short(&self) -> bool {
        self.0.freed.has_waiters() || self.0.used.get() > self.0.limit / 4 * 3
    }

    /// Bytes in use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.used.get()
    }

    /// The budget in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit
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

fn bounds(range: impl RangeBounds<usize>, len: usize) -> (usize, usize) {
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
enum Held {
    Block(Rc<Block>),
    Bytes(#[expect(dead_code, reason = "keeps the memory")] Rc<Vec<u8>>),
    Loan(#[expect(dead_code, reason = "keeps the memory")] Rc<Loan>),
    Nothing,
}

/// Bytes that never change, and the memory that holds them. Cheap to clone, within its core.
#[derive(Clone)]
pub struct Slice {
    memory: Held,
    at: *const u8,
    len: usize,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_bytes_stay_while_the_writer_goes_on() {
        let memory = Memory::new(1 << 20);
        let mut b = memory.alloc(4096).unwrap();
        b.append(b"hello");
        let hello = b.slice(..);
        b.append(b" world");
        assert_eq!(&*hello, b"hello");
        assert_eq!(b.filled(), b"hello world");
        drop(b);
        assert_eq!(&*hello.slice(1..3), b"el");
        assert_eq!(memory.used(), 4096);
        drop(hello);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn the_budget_is_kept_except_beyond() {
        let memory = Memory::new(8192);
        let _a = memory.alloc(4096).unwrap();
        assert_eq!(memory.alloc(8192).err(), Some(OverBudget));
        let _b = memory.alloc_beyond(8192);
        assert_eq!(memory.used(), 12288);
    }

    /// A frame of an odd size must not cost fresh pages each time.
    #[test]
    fn blocks_of_every_size_come_back_and_the_fullest_class_makes_room() {
        let memory = Memory::new(256 << 10);
        let small: Vec<Buffer> = (0..20).map(|_| memory.alloc(4096).unwrap()).collect();
        drop(small);
        assert_eq!(memory.0.pooled.get(), 20 * 4096);
        let odd = memory.alloc(100_000).unwrap();
        assert_eq!((odd.capacity(), memory.used()), (112 << 10, 112 << 10));
        let at = odd.block.at;
        drop(odd);
        assert_eq!(memory.0.pooled.get(), (112 << 10) + 4 * 4096, "half of the budget");
        assert_eq!(memory.alloc(112 << 10).unwrap().block.at, at);
        drop((memory.alloc(100_000).unwrap(), memory.alloc(100_000).unwrap()));
        assert!(memory.0.pooled.get() <= 128 << 10);
    }

    fn processor_time() -> std::time::Duration {
        let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `t` is ours.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut t) };
        let nanos = u32::try_from(t.tv_nsec).unwrap();
        std::time::Duration::new(u64::try_from(t.tv_sec).unwrap(), nanos)
    }

    #[test]
    fn room_is_made_without_a_look_at_every_block() {
        let memory = Memory::new(1 << 30);
        let small: Vec<Buffer> = (0..65_536).map(|_| memory.alloc(4096).unwrap()).collect();
        drop(small);
        assert_eq!(memory.0.pooled.get(), 256 << 20);
        let large: Vec<Buffer> = (0..900).map(|_| memory.alloc(1 << 20).unwrap()).collect();
        let mut large = large.into_iter();
        let begun = processor_time();
        drop(large.next());
        let took = processor_time() - begun;
        // Blocks of 4 KiB had to go for it. A look at each block for each of them would be two thousand million looks: tens of
        // seconds of this thread's own processor time, whatever else the machine does.
        let freed = 65_536 - memory.0.pools.borrow()[0].len();
        assert!(freed > 30_000, "{freed}");
        assert!(took < std::time::Duration::from_secs(2), "{took:?} for {freed} blocks");
    }

    #[test]
    #[should_panic(expected = "published bytes never change")]
    fn a_published_byte_cannot_be_patched() {
        let mut b = Memory::new(8192).alloc(4096).unwrap();
        b.append(b"hello");
        let _s = b.slice(..);
        b.patch(0, b"j");
    }

    /// What the kernel does: it writes through a pointer while the buffer is moved about, and slices of it are read.
    #[test]
    fn the_spare_part_is_written_from_outside_while_slices_are_read() {
        let memory = Memory::new(1 << 20);
        let mut b = memory.alloc(8192).unwrap();
        b.append(b"head");
        let head = b.slice(..);
        let at = b.spare_ptr();
        let keep = Box::new(b);
        assert_eq!(&*head, b"head");
        for i in 0..100u8 {
            // SAFETY: within the spare part, which nobody else touches.
            unsafe { at.add(usize::from(i)).write(i) };
        }
        let mut b = *keep;
        b.advance(100);
        let tail = b.slice(4..);
        b.append(&tail[90..]);
        b.append(&head);
        b.patch(104, b"x");
        assert_eq!(b.len(), 118);
        drop(memory);
        let (all, head) = (b.freeze(), head.slice(1..));
        assert!(tail.iter().copied().eq(0..100));
        assert_eq!(&all[100..], b"\x60\x61\x62\x63x\x5b\x5c\x5d\x5e\x5f\x60\x61\x62\x63head");
        assert_eq!((&*head, all.is_aligned()), (&b"ead"[..], false));
    }

    #[test]
    fn other_bytes_are_slices_too() {
        let owned = Slice::from(vec![1, 2, 3]);
        let part = owned.slice(1..);
        drop(owned);
        let both = [part, Slice::from_static(b"abc").slice(..=1), Slice::from(Vec::new())];
        assert_eq!(both.map(|s| s.to_vec()), [vec![2, 3], b"ab".to_vec(), vec![]]);
        let none = Buffer::empty();
        assert_eq!((none.capacity(), none.filled().len(), none.slice(..).len()), (0, 0, 0));
    }

    #[test]
    fn padding_is_zeros_also_in_a_reused_block() {
        let memory = Memory::new(1 << 20);
        let mut b = memory.alloc(4096).unwrap();
        b.append(&[7; 4096]);
        drop(b);
        let mut b = memory.alloc(4096).unwrap();
        b.append(&[1]);
        b.pad_to(8);
        assert_eq!(b.filled(), [1, 0, 0, 0, 0, 0, 0, 0]);
        assert!((b.slice(..).at as usize).is_multiple_of(ALIGN));
    }
}
