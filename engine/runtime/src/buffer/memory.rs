//! A core's budget, and the blocks that wait for their next use.

use super::class::{CLASSES, Class};
use super::{ALIGN, Block, Buffer};
use crate::sync::Notify;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::ptr::NonNull;
use std::rc::Rc;

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

pub(super) struct Budget {
    limit: usize,
    used: Cell<usize>,
    pub(super) pooled: Cell<usize>,
    pub(super) pools: RefCell<[Vec<Raw>; CLASSES]>,
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
pub struct Memory(pub(super) Rc<Budget>);

/// One allocation of `capacity` bytes, always initialised.
#[derive(Debug)]
pub(super) struct Raw {
    at: NonNull<u8>,
    capacity: usize,
    /// Registered under this number.
    pub(super) fixed: Option<u16>,
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

    pub(super) fn give_back(&self, raw: Raw) {
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
