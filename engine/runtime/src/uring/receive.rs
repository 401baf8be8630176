//! The receive buffers of a core: a ring from which the kernel picks one for each piece that arrives.

use super::Uring;
use crate::buffer::ALIGN;
use io_uring::types;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::task::{Poll, Waker};

/// The group that receives name.
pub(crate) const GROUP: u16 = 0;

/// The ring of receive buffers that the kernel picks from.
///
/// A buffer is the kernel's until a completion names it, then ours until [`RecvRing::give_back`].
pub(crate) struct RecvRing {
    entries: NonNull<u8>,
    buffers: NonNull<u8>,
    count: u16,
    bytes: usize,
    tail: Cell<u16>,
    /// Buffers that the kernel has.
    free: Cell<u16>,
    /// Who waits for one, in order.
    starved: RefCell<BTreeMap<u64, Waker>>,
    next_waiter: Cell<u64>,
    /// How often a receive found none.
    pub(crate) dry: Cell<u64>,
    /// The kernel may still write to the buffers: they are never freed.
    leaked: Cell<bool>,
}

impl RecvRing {
    /// `count` buffers (a power of two) of `bytes` each.
    pub(crate) fn new(count: u16, bytes: usize) -> Self {
        assert!(count.is_power_of_two(), "{count} receive buffers: not a power of two");
        assert!(bytes > 0, "receive buffers without bytes");
        let (ring, data) = (Self::ring_layout(count), Self::data_layout(count, bytes));
        // SAFETY: both layouts have a size.
        let (entries, buffers) = unsafe { (alloc_zeroed(ring), alloc_zeroed(data)) };
        let Some(entries) = NonNull::new(entries) else { handle_alloc_error(ring) };
        let Some(buffers) = NonNull::new(buffers) else { handle_alloc_error(data) };
        Self {
            entries,
            buffers,
            count,
            bytes,
            tail: Cell::new(0),
            free: Cell::new(0),
            starved: RefCell::default(),
            next_waiter: Cell::new(0),
            dry: Cell::new(0),
            leaked: Cell::new(false),
        }
    }

    fn ring_layout(count: u16) -> Layout {
        match Layout::from_size_align(usize::from(count) * 16, ALIGN) {
            Ok(layout) => layout,
            Err(_) => panic!("the layout of {count} receive entries"),
        }
    }

    fn data_layout(count: u16, bytes: usize) -> Layout {
        match Layout::from_size_align(usize::from(count) * bytes, ALIGN) {
            Ok(layout) => layout,
            Err(_) => panic!("the layout of {count} receive buffers of {bytes} bytes"),
        }
    }

    /// Gives the memory up for good.
    pub(crate) fn leak(&self) {
        self.leaked.set(true);
    }

    /// Where the kernel finds the entries.
    pub(crate) fn address(&self) -> u64 {
        self.entries.as_ptr() as u64
    }

    pub(crate) fn count(&self) -> u16 {
        self.count
    }

    /// Fewer than a quarter are left, or none: nobody should sit on one.
    pub(crate) fn is_low(&self) -> bool {
        self.free.get() < (self.count / 4).max(1)
    }

    fn at(&self, id: u16) -> *mut u8 {
        assert!(id < self.count, "receive buffer {id} of {}", self.count);
        // SAFETY: in bounds by the assertion.
        unsafe { self.buffers.as_ptr().add(usize::from(id) * self.bytes) }
    }

    /// The first `len` bytes of a buffer that is ours.
    pub(crate) fn bytes(&self, id: u16, len: usize) -> &[u8] {
        assert!(len <= self.bytes, "{len} bytes in a receive buffer of {}", self.bytes);
        // SAFETY: in bounds, initialised (zeroed at first, then written by the kernel), and the kernel leaves a buffer alone
        // between its completion and its return.
        unsafe { std::slice::from_raw_parts(self.at(id), len) }
    }

    /// A completion has named a buffer.
    pub(crate) fn taken(&self) {
        self.free.set(self.free.get().saturating_sub(1));
    }

    /// Hands a buffer to the kernel.
    pub(crate) fn give_back(&self, id: u16) {
        let tail = self.tail.get();
        let slot = usize::from(tail & (self.count - 1));
        let at = self.at(id) as u64;
        let len = u32::try_from(self.bytes).unwrap_or(u32::MAX);
        // SAFETY: the ring has `count` entries of 16 bytes; only this thread writes them, and the kernel reads an entry only
        // after the tail below was stored with release ordering. The tail lies in the first entry's last two bytes, which no
        // setter touches.
        unsafe {
            let entry = self.entries.as_ptr().cast::<types::BufRingEntry>().add(slot);
            (*entry).set_addr(at);
            (*entry).set_len(len);
            (*entry).set_bid(id);
            let shared = types::BufRingEntry::tail(self.entries.as_ptr().cast()).cast_mut();
            AtomicU16::from_ptr(shared).store(tail.wrapping_add(1), Ordering::Release);
        }
        self.tail.set(tail.wrapping_add(1));
        self.free.set(self.free.get() + 1);
        self.wake_one();
    }

    fn wake_one(&self) {
        let first = self.starved.borrow_mut().pop_first();
        if let Some((_, waker)) = first {
            waker.wake();
        }
    }

    /// Waits until there may be a buffer to pick.
    pub(crate) async fn available(&self) {
        let id = self.next_waiter.get();
        self.next_waiter.set(id + 1);
        let place = Place { ring: self, id };
        poll_fn(|cx| {
            if self.free.get() > 0 {
                return Poll::Ready(());
            }
            self.starved.borrow_mut().insert(place.id, cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// A place among those who wait for a buffer.
struct Place<'a> {
    ring: &'a RecvRing,
    id: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let waiting = self.ring.starved.borrow_mut().remove(&self.id).is_some();
        // Woken: if there is more than it takes, or it does not take it, the next one may go on.
        if !waiting && self.ring.free.get() > 0 {
            self.ring.wake_one();
        }
    }
}

impl Drop for RecvRing {
    fn drop(&mut self) {
        if self.leaked.get() {
            return;
        }
        // SAFETY: allocated in `new` with these layouts; the io_uring is gone before (field order in `Uring`).
        unsafe {
            dealloc(self.entries.as_ptr(), Self::ring_layout(self.count));
            dealloc(self.buffers.as_ptr(), Self::data_layout(self.count, self.bytes));
        }
    }
}

/// Bytes in a receive buffer; goes back to the kernel when dropped.
pub(crate) struct RecvBuffer {
    uring: Rc<Uring>,
    id: u16,
    from: usize,
    to: usize,
}

impl RecvBuffer {
    /// Takes over buffer `id`, which a completion has named.
    pub(crate) fn new(uring: Rc<Uring>, id: u16, len: usize) -> Self {
        Self { uring, id, from: 0, to: len }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.uring.recv.bytes(self.id, self.to)[self.from..]
    }

    /// Leaves the first `n` bytes behind.
    pub(crate) fn skip(&mut self, n: usize) {
        self.from = (self.from + n).min(self.to);
    }
}

impl Drop for RecvBuffer {
    fn drop(&mut self) {
        self.uring.recv.give_back(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's side: the entries between its head and our tail.
    fn offered(ring: &RecvRing, head: u16) -> Vec<(u64, u16)> {
        let first = ring.entries.as_ptr().cast::<types::BufRingEntry>();
        // SAFETY: the ring is there, and this is the thread that writes it.
        unsafe {
            let tail = AtomicU16::from_ptr(types::BufRingEntry::tail(first).cast_mut());
            let end = tail.load(Ordering::Acquire);
            (0..end.wrapping_sub(head))
                .map(|i| head.wrapping_add(i) & (ring.count - 1))
                .map(|slot| &*first.add(usize::from(slot)))
                .map(|entry| (entry.addr(), entry.bid()))
                .collect()
        }
    }

    #[test]
    fn buffers_go_round() {
        let ring = RecvRing::new(4, 64);
        assert!(ring.is_low(), "the kernel has none yet");
        (0..4).for_each(|id| ring.give_back(id));
        assert!(!ring.is_low());
        let first = offered(&ring, 0);
        assert!(first.iter().map(|(_, id)| *id).eq(0..4));
        for (i, (at, id)) in first.into_iter().enumerate() {
            assert_eq!(at, ring.at(id) as u64);
            // SAFETY: the kernel's, until it says otherwise.
            unsafe { ring.at(id).write_bytes(id_byte(i), 10) };
            ring.taken();
        }
        assert!(ring.is_low());
        let held = ring.bytes(2, 10);
        // Back in another order, while one is still read.
        for id in [3, 0, 1] {
            assert_eq!(ring.bytes(id, 10), [id_byte(usize::from(id)); 10]);
            ring.give_back(id);
        }
        assert_eq!(held, [id_byte(2); 10]);
        assert!(offered(&ring, 4).iter().map(|(_, id)| *id).eq([3, 0, 1]));
    }

    fn id_byte(i: usize) -> u8 {
        u8::try_from(i + 1).unwrap()
    }
}
