//! The threads that carry out a core's file operations.

use crate::driver::{FileOp, FileRequest};
use crate::threads::{Threads, lock};
use ids::CoreId;
use polling::Poller;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Threads of one core. A device is kept busy by a few requests; several commits and a few cold reads are under way at a time.
const THREADS_MAX: usize = 4;

struct Job {
    id: usize,
    request: FileRequest,
}

// SAFETY: the memory that a request points to, and its descriptor, belong to its slot in `Portable::ops`, which lives until the
// job's completion was taken; meanwhile the core's thread does not touch the memory.
unsafe impl Send for Job {}

struct Shared {
    done: Mutex<Vec<(usize, i32)>>,
    poller: Arc<Poller>,
}

/// One core's file threads.
pub(super) struct Pool {
    shared: Arc<Shared>,
    threads: Threads,
}

impl Pool {
    pub(super) fn new(core: CoreId, poller: &Arc<Poller>) -> Self {
        let shared = Arc::new(Shared { done: Mutex::default(), poller: Arc::clone(poller) });
        Self { shared, threads: Threads::new(format!("core-{}-file", core.0), THREADS_MAX) }
    }

    /// Hands a request to the threads; its result comes with [`Pool::take_done`] under `id`.
    pub(super) fn push(&self, id: usize, request: FileRequest) {
        let (job, shared) = (Job { id, request }, Arc::clone(&self.shared));
        self.threads.push(Box::new(move || {
            // All of it, not only the pointers in it.
            let job = job;
            finish(&shared, job.id, carry_out(&job.request));
        }));
    }

    /// What has been finished since the last time, in order.
    pub(super) fn take_done(&self) -> Vec<(usize, i32)> {
        std::mem::take(&mut *lock(&self.shared.done))
    }

    /// Ends the threads once they have finished what they have; what is still queued is never begun. Waits for them if
    /// `idle`, that is if nothing is under way.
    pub(super) fn close(&self, idle: bool) {
        self.threads.close(if idle { Duration::from_secs(3600) } else { Duration::ZERO });
    }
}

fn finish(shared: &Shared, id: usize, result: i32) {
    lock(&shared.done).push((id, result));
    if let Err(e) = shared.poller.notify() {
        // The core would sleep on without its result.
        eprintln!("fault: a finished file operation cannot be reported: {e}; the process stops");
        std::process::abort();
    }
}

/// The system calls of a request: a count, or a negated errno.
fn carry_out(request: &FileRequest) -> i32 {
    let result = call(request);
    let FileOp::Write { len, .. } = request.op else { return result };
    if !request.then_sync || u32::try_from(result) != Ok(len) {
        return result;
    }
    let sync = FileRequest { op: FileOp::Sync { data: true }, then_sync: false, ..*request };
    match call(&sync) {
        0.. => result,
        error => error,
    }
}

/// One system call: a count, or a negated errno.
fn call(request: &FileRequest) -> i32 {
    let fd = request.fd;
    let at = |pos: u64| libc::off_t::try_from(pos).unwrap_or(libc::off_t::MAX);
    let result = match request.op {
        // SAFETY: the slot owns `len` bytes at `to`, and the descriptor; see `Job`.
        FileOp::Read { to, len, pos, .. } => unsafe {
            libc::pread(fd, to.cast(), len as usize, at(pos))
        },
        // SAFETY: the slot owns `len` bytes at `from`, and the descriptor.
        FileOp::Write { from, len, pos, .. } => unsafe {
            libc::pwrite(fd, from.cast(), len as usize, at(pos))
        },
        // SAFETY: the slot owns `count` vectors and what they point to, and the descriptor.
        FileOp::Writev { vectors, count, pos } => unsafe {
            libc::pwritev(fd, vectors, i32::try_from(count).unwrap_or(i32::MAX), at(pos))
        },
        FileOp::Sync { data: true } if cfg!(feature = "flush-compiled-out") => 0,
        // SAFETY: the slot owns the descriptor.
        FileOp::Sync { data: true } => unsafe { libc::fdatasync(fd) as isize },
        // SAFETY: as above.
        FileOp::Sync { data: false } => unsafe { libc::fsync(fd) as isize },
        // SAFETY: as above.
        FileOp::Allocate { pos, len } => unsafe {
            libc::fallocate(fd, 0, at(pos), at(len)) as isize
        },
    };
    if result < 0 {
        return -io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
    }
    i32::try_from(result).unwrap_or(i32::MAX)
}
