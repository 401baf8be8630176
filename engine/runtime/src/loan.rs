//! Bytes of one core that another core reads.
//!
//! Memory is counted within its core only, so what another core is to read is put into a box, which nobody touches until it
//! has come home. The borrower sees the bytes, and no counter. It gives them back by dropping the loan: on the home core that
//! frees at once, elsewhere the box goes into a list that the home core empties once a turn. Only a home core that is short
//! of memory is woken for it.

use crate::mailbox::bell::Bell;
use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, ThreadId};

/// What was lent: touched by the home core only.
struct Item {
    next: *mut Item,
    #[expect(dead_code, reason = "keeps the bytes")]
    held: Box<dyn Any>,
}

/// The bells of a node, and which of them is the home core's.
type Bells = (Arc<Vec<Bell>>, usize);

/// Where a core's loans come back to.
pub(crate) struct Home {
    owner: ThreadId,
    /// A list of items that are not lent any more; last come, first out.
    returned: AtomicPtr<Item>,
    /// The owner sleeps and is short of memory: it wants to be woken.
    hungry: AtomicBool,
    bells: OnceLock<Bells>,
}

impl Home {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            owner: thread::current().id(),
            returned: AtomicPtr::new(ptr::null_mut()),
            hungry: AtomicBool::new(false),
            bells: OnceLock::new(),
        })
    }

    pub(crate) fn set_bells(&self, bells: Bells) {
        // Set once, when the core is made.
        let _ = self.bells.set(bells);
    }

    /// Whether the owner, which is about to sleep, wants to be woken by the next return.
    pub(crate) fn set_hungry(&self, hungry: bool) {
        self.hungry.store(hungry, Ordering::SeqCst);
    }

    /// Frees what has come back; whether there was anything. On the owner's thread only.
    pub(crate) fn collect(&self) -> bool {
        if self.returned.load(Ordering::Relaxed).is_null() {
            return false;
        }
        debug_assert!(thread::current().id() == self.owner, "loans come home to their core");
        let mut at = self.returned.swap(ptr::null_mut(), Ordering::Acquire);
        let any = !at.is_null();
        while let Some(item) = NonNull::new(at) {
            // SAFETY: made by `Box::into_raw` in `lend`, pushed once by the loan's drop, and taken out of the list by the
            // swap above, so it is ours alone. This is the thread on which it was made.
            let item = unsafe { Box::from_raw(item.as_ptr()) };
            at = item.next;
        }
        any
    }

    fn push(&self, item: NonNull<Item>) {
        let mut head = self.returned.load(Ordering::Relaxed);
        loop {
            // SAFETY: the loan was the item's only user, and it is not in the list yet.
            unsafe { (*item.as_ptr()).next = head };
            let swapped = self.returned.compare_exchange_weak(
                head,
                item.as_ptr(),
                Ordering::SeqCst,
                Ordering::Relaxed,
            );
            match swapped {
                Ok(_) => break,
                Err(now) => head = now,
            }
        }
        if self.hungry.load(Ordering::SeqCst)
            && self.hungry.swap(false, Ordering::SeqCst)
            && let Some((bells, me)) = self.bells.get()
        {
            bells[*me].strike();
        }
    }
}

/// Bytes on loan from the core that lent them. They never change while the loan lives.
pub struct Loan {
    at: *const u8,
    len: usize,
    item: NonNull<Item>,
    home: Arc<Home>,
}

// SAFETY: another thread reads the bytes, which do not change as long as the item is not touched, and nobody touches it: the
// item is reached again only through `Home::collect`, on the thread that made it.
unsafe impl Send for Loan {}

impl Loan {
    /// Lends what `bytes` dereferences to.
    pub(crate) fn new<B: Deref<Target = [u8]> + 'static>(home: &Arc<Home>, bytes: B) -> Self {
        let held = Box::into_raw(Box::new(bytes));
        // SAFETY: just made; it neither moves nor changes before the loan is back, so the borrow may last as long.
        let seen: &[u8] = unsafe { &*held };
        let (at, len) = (seen.as_ptr(), seen.len());
        // SAFETY: made by `Box::into_raw` above, and owned by nobody else.
        let held: Box<dyn Any> = unsafe { Box::from_raw(held) };
        let item = Box::into_raw(Box::new(Item { next: ptr::null_mut(), held }));
        // SAFETY: a box is never null.
        let item = unsafe { NonNull::new_unchecked(item) };
        Self { at, len, item, home: Arc::clone(home) }
    }
}

impl Deref for Loan {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: the item keeps these bytes, and they do not change.
        unsafe { std::slice::from_raw_parts(self.at, self.len) }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if thread::current().id() == self.home.owner {
            // SAFETY: made by `Box::into_raw`, never pushed, and on the thread that made it.
            drop(unsafe { Box::from_raw(self.item.as_ptr()) });
        } else {
            // If the home core has ended meanwhile the item stays where it is: its memory is not ours to free.
            self.home.push(self.item);
        }
    }
}

impl fmt::Debug for Loan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Loan({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::{Memory, Slice};

    #[test]
    fn lent_bytes_are_read_elsewhere_and_freed_at_home() {
        let memory = Memory::new(1 << 20);
        let home = Home::new();
        let mut loans = Vec::new();
        for i in 0..100u8 {
            let mut b = memory.alloc(4096).unwrap();
            b.append(&[i; 100]);
            loans.push(Loan::new(&home, b.freeze()));
        }
        assert_eq!(memory.used(), 100 * 4096);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let mine: Vec<Loan> = loans.drain(..25).collect();
                thread::spawn(move || {
                    for l in &mine {
                        assert!(l.iter().all(|b| *b == l[0]) && l.len() == 100);
                    }
                })
            })
            .collect();
        for t in threads {
            t.join().unwrap();
        }
        assert_eq!(memory.used(), 100 * 4096, "nothing is freed away from home");
        assert!(home.collect());
        assert_eq!(memory.used(), 0);
        assert!(!home.collect());
    }

    #[test]
    fn a_loan_that_comes_back_itself_is_freed_at_once() {
        let memory = Memory::new(1 << 20);
        let home = Home::new();
        let mut b = memory.alloc(4096).unwrap();
        b.append(b"hello");
        let slice = Slice::from(Loan::new(&home, b.freeze()));
        let part = slice.slice(1..3);
        drop(slice);
        assert_eq!(&*part, b"el");
        assert_eq!(memory.used(), 4096);
        drop(part);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn the_bytes_may_lie_in_the_lent_thing_itself() {
        struct Inline([u8; 4]);
        impl Deref for Inline {
            type Target = [u8];
            fn deref(&self) -> &[u8] {
                &self.0
            }
        }
        let home = Home::new();
        let loan = Loan::new(&home, Inline(*b"abcd"));
        let moved = thread::spawn(move || {
            assert_eq!(&*loan, b"abcd");
            loan
        });
        assert_eq!(&*moved.join().unwrap(), b"abcd");
    }
}
