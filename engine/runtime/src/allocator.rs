//! How soon the process's allocator gives freed memory back to the kernel.
//!
//! mimalloc keeps what was freed for a second and looks again only when somebody allocates. A broker that has read its ring at
//! start and then has nothing to do would hold the ring's size for as long as it idles. What is hot here comes from the pools
//! of [`Memory`](crate::Memory), so giving back at once costs nothing that could be measured: docs/decisions/0001-runtime.md.

use std::ffi::c_long;

/// `mi_option_purge_delay` of mimalloc 2 and 3, in milliseconds; the crate has no name for it.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// From now on freed pages go back to the kernel at once. The environment variable `MIMALLOC_PURGE_DELAY` has the last word.
///
/// Of effect only in a binary whose global allocator is mimalloc.
pub fn give_back_at_once() {
    let delay: c_long = 0;
    // SAFETY: sets a number in a table of the allocator; it checks the index.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, delay) }
}
