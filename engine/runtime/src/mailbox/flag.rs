//! A flag by which one thread tells another that it wants to be told.
//!
//! The one that wants something raises the flag, looks once more whether it is there already, and only then waits. The other
//! one provides, and then looks at the flag. Both put a full fence between their two steps, so at least one of them sees what
//! the other did: nobody waits for what has happened. `tests/fences.rs` tries every order of the two threads' steps.

use super::atomic::{AtomicBool, Ordering, fence};

#[derive(Debug)]
pub(crate) struct Flag(AtomicBool);

impl Flag {
    pub(crate) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// The caller wants something; it looks once more after this.
    pub(crate) fn raise(&self) {
        // A swap, not a store: so all writes of the flag have one order, and an older take cannot pass for a newer one.
        self.0.swap(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The caller has found what it wanted. Who provides it meanwhile may still take the flag, and tell for nothing.
    pub(crate) fn lower(&self) {
        self.0.swap(false, Ordering::Relaxed);
    }

    /// The caller has provided something. If this is `true` it must tell the other one, and nobody else will.
    pub(crate) fn take(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::AcqRel)
    }
}
