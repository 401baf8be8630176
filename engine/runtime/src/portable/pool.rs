//! The threads that carry out a core's file operations.
//!
//! They start when they are first needed and sleep on a condition until there is something to do. The queue holds what the
//! core's tasks have asked for, so their memory budget bounds it.

use crate::driver::{FileOp, FileRequest};
use ids::CoreId;
use polling::Poller;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// Threads of one core. A device is kept busy by a few requests; several commits and a few cold reads are under way at a time.
const THREADS_MAX: usize = 4;

struct Job {
    id: usize,
    request: FileRequest,
}

// SAFETY: the memory that a request points to, and its descriptor, belong to its slot in `Portable::ops`, which lives until the
// job's completion was taken; meanwhile the core's thread does not touch the memory.
unsafe impl Send for Job {}

#[derive(Default)]
struct Jobs {
    queue: VecDeque<Job>,
    /// Threads that wait for a job.
    idle: usize,
    closed: bool,
}

struct Shared {
    jobs: Mutex<Jobs>,
    more: Condvar,
    done: Mutex<Vec<(usize, i32)>>,
    poller: Arc<Poller>,
}

/// One core's file threads.
pub(super) struct Pool {
    core: CoreId,
    shared: Arc<Shared>,
    threads: RefCell<Vec<JoinHandle<()>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing between lock and unlock panics half-way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    pub(super) fn new(core: CoreId, poller: &Arc<Poller>) -> Self {
        let shared = Shared {
            jobs: Mutex::default(),
            more: Condvar::new(),
            done: Mutex::default(),
            poller: Arc::clone(poller),
        };
        Self { core, shared: Arc::new(shared), threads: RefCell::default() }
    }

    /// Hands a request to the threads; its result comes with [`Pool::take_done`] under `id`.
    pub(super) fn push(&self, id: usize, request: FileRequest) {
        let waiting = {
            let mut jobs = lock(&self.shared.jobs);
            jobs.queue.push_back(Job { id, request });
            jobs.queue.len() > jobs.idle
        };
        let mut threads = self.threads.borrow_mut();
        if waiting && threads.len() < THREADS_MAX {
            let shared = Arc::clone(&self.shared);
            let name = format!("core-{}-file", self.core.0);
            match thread::Builder::new().name(name).spawn(move || work(&shared)) {
                Ok(thread) => threads.push(thread),
                // No thread to be had: those that are there serve, or else the core itself does, as slowly as it is.
                Err(_) if threads.is_empty() => {
                    while let Some(job) = self.take() {
                        finish(&self.shared, job.id, carry_out(&job.request));
                    }
                }
                Err(_) => {}
            }
        }
        self.shared.more.notify_one();
    }

    fn take(&self) -> Option<Job> {
        lock(&self.shared.jobs).queue.pop_front()
    }

    /// What has been finished since the last time, in order.
    pub(super) fn take_done(&self) -> Vec<(usize, i32)> {
        std::mem::take(&mut *lock(&self.shared.done))
    }

    /// Ends the threads once they have finished what they have; what is still queued is never begun. Waits for them if
    /// `idle`, that is if nothing is under way.
    pub(super) fn close(&self, idle: bool) {
        {
            let mut jobs = lock(&self.shared.jobs);
            jobs.closed = true;
            jobs.queue.clear();
        }
        self.shared.more.notify_all();
        let threads = std::mem::take(&mut *self.threads.borrow_mut());
        if idle {
            for thread in threads {
                // They carry out system calls and do not panic.
                let _ = thread.join();
            }
        }
    }
}

fn work(shared: &Shared) {
    let mut jobs = lock(&shared.jobs);
    loop {
        if let Some(job) = jobs.queue.pop_front() {
            drop(jobs);
            finish(shared, job.id, carry_out(&job.request));
            jobs = lock(&shared.jobs);
        } else if jobs.closed {
            return;
        } else {
            jobs.idle += 1;
            jobs = shared.more.wait(jobs).unwrap_or_else(PoisonError::into_inner);
            jobs.idle -= 1;
        }
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

/// The system call of a request: a count, or a negated errno.
fn carry_out(request: &FileRequest) -> i32 {
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
        // SAFETY: the slot owns the descriptor.
        FileOp::Sync { data: true } => unsafe { libc::fdatasync(fd) as isize },
        // SAFETY: as above.
        FileOp::Sync { data: false } => unsafe { libc::fsync(fd) as isize },
        // SAFETY: as above.
        FileOp::Allocate { pos, len } => unsafe {
            libc::fallocate(fd, 0, at(pos), at(len)) as isize
        },
        // SAFETY: the slot owns the path, which ends with a zero.
        FileOp::Unlink { path } => unsafe { libc::unlinkat(fd, path, 0) as isize },
    };
    if result < 0 {
        return -io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
    }
    i32::try_from(result).unwrap_or(i32::MAX)
}
