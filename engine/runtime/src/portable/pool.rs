//! The threads that carry out a core's file operations.

use crate::disk::URGENT_AT_ONCE;
use crate::driver::{FileOp, FileRequest};
use crate::threads::{Threads, lock};
use ids::CoreId;
use polling::Poller;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Threads of one core. A device is kept busy by a few requests; a few cold reads and syncs are under way at a time.
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
    /// Beside them, for what is urgent: a commit's write holds a thread until its flush is over.
    urgent: Threads,
}

impl Pool {
    pub(super) fn new(core: CoreId, poller: &Arc<Poller>) -> Self {
        let shared = Arc::new(Shared { done: Mutex::default(), poller: Arc::clone(poller) });
        Self {
            shared,
            threads: Threads::new(format!("core-{}-file", core.0), THREADS_MAX),
            urgent: Threads::new(format!("core-{}-ring", core.0), URGENT_AT_ONCE),
        }
    }

    /// Hands a request to the threads; its result comes with [`Pool::take_done`] under `id`.
    pub(super) fn push(&self, id: usize, request: FileRequest) {
        let (job, shared) = (Job { id, request }, Arc::clone(&self.shared));
        let threads = if request.urgent { &self.urgent } else { &self.threads };
        threads.push(Box::new(move || {
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
        let patience = if idle { Duration::from_secs(3600) } else { Duration::ZERO };
        self.threads.close(patience);
        self.urgent.close(patience);
    }
}

fn finish(shared: &Shared, id: usize, result: i32) {
    lock(&shared.done).push((id, result));
    if let Err(e) = shared.poller.notify() {
        // The core would sleep on without its result.
        crate::tell!("fault: a finished file operation cannot be reported: {e}; the process stops");
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

#[cfg(test)]
mod tests {
    use super::*;
    use polling::Events;
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::time::Instant;

    /// What has been finished when something has.
    fn next_done(pool: &Pool, poller: &Poller) -> Vec<(usize, i32)> {
        let until = Instant::now() + Duration::from_secs(10);
        let mut events = Events::new();
        loop {
            let done = pool.take_done();
            if !done.is_empty() || Instant::now() >= until {
                return done;
            }
            events.clear();
            poller.wait(&mut events, Some(Duration::from_millis(100))).unwrap();
        }
    }

    /// All writes of the ring that may be under way but one are held up, each by its flush.
    #[test]
    fn the_last_urgent_request_that_may_be_under_way_waits_for_no_other() {
        let poller = Arc::new(Poller::new().unwrap());
        let pool = Pool::new(CoreId(0), &poller);
        let gate = Arc::new(Mutex::new(()));
        let shut = lock(&gate);
        for _ in 1..URGENT_AT_ONCE {
            let gate = Arc::clone(&gate);
            pool.urgent.push(Box::new(move || drop(lock(&gate))));
        }
        let path = std::env::temp_dir().join(format!("ringwood-at-once-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        let sync = FileRequest {
            fd: file.as_raw_fd(),
            op: FileOp::Sync { data: true },
            then_sync: false,
            urgent: true,
        };
        pool.push(1, sync);
        assert_eq!(next_done(&pool, &poller), [(1, 0)]);
        drop(shut);
        pool.close(true);
        std::fs::remove_file(&path).unwrap();
    }

    /// Every thread for files is held up, as by the syncs of a checkpoint, and a request waits already.
    #[test]
    fn a_flush_of_the_ring_stands_behind_nothing_else() {
        let poller = Arc::new(Poller::new().unwrap());
        let pool = Pool::new(CoreId(0), &poller);
        let gate = Arc::new(Mutex::new(()));
        let shut = lock(&gate);
        for _ in 0..THREADS_MAX {
            let gate = Arc::clone(&gate);
            pool.threads.push(Box::new(move || drop(lock(&gate))));
        }
        let path = std::env::temp_dir().join(format!("ringwood-urgent-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        let sync = |urgent| FileRequest {
            fd: file.as_raw_fd(),
            op: FileOp::Sync { data: true },
            then_sync: false,
            urgent,
        };
        pool.push(1, sync(false));
        pool.push(2, sync(true));
        assert_eq!(next_done(&pool, &poller), [(2, 0)]);
        drop(shut);
        assert_eq!(next_done(&pool, &poller), [(1, 0)]);
        pool.close(true);
        std::fs::remove_file(&path).unwrap();
    }
}
