//! Threads that carry out what would block a core.
//!
//! They start when they are first needed and sleep on a condition until there is something to do. The queue holds what the
//! core's tasks have asked for, so what bounds those bounds it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// One piece of work. It does not panic.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Jobs {
    queue: VecDeque<Job>,
    /// Threads that wait for a job.
    idle: usize,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    jobs: Mutex<Jobs>,
    more: Condvar,
}

/// Some threads of one core, and their queue.
pub(crate) struct Threads {
    name: String,
    most: usize,
    shared: Arc<Shared>,
    threads: RefCell<Vec<JoinHandle<()>>>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing between lock and unlock panics half-way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Threads {
    /// At most `most` threads of this name; none yet.
    pub(crate) fn new(name: String, most: usize) -> Self {
        Self { name, most, shared: Arc::default(), threads: RefCell::default() }
    }

    /// Hands a job to the threads. Where there is none to be had it is done here, as slowly as it is.
    pub(crate) fn push(&self, job: Job) {
        let (waiting, closed) = {
            let mut jobs = lock(&self.shared.jobs);
            jobs.queue.push_back(job);
            (jobs.queue.len() > jobs.idle, jobs.closed)
        };
        let mut threads = self.threads.borrow_mut();
        if waiting && !closed && threads.len() < self.most {
            let shared = Arc::clone(&self.shared);
            let spawned =
                thread::Builder::new().name(self.name.clone()).spawn(move || work(&shared));
            if let Ok(thread) = spawned {
                threads.push(thread);
            }
        }
        if threads.is_empty() {
            drop(threads);
            while let Some(job) = self.take() {
                job();
            }
        } else {
            self.shared.more.notify_one();
        }
    }

    fn take(&self) -> Option<Job> {
        lock(&self.shared.jobs).queue.pop_front()
    }

    /// Ends the threads once they have finished what they have; what is still queued is never begun. Waits for them for
    /// `patience`.
    pub(crate) fn close(&self, patience: Duration) {
        let queued = {
            let mut jobs = lock(&self.shared.jobs);
            jobs.closed = true;
            std::mem::take(&mut jobs.queue)
        };
        drop(queued);
        self.shared.more.notify_all();
        let until = Instant::now() + patience;
        for thread in std::mem::take(&mut *self.threads.borrow_mut()) {
            while !thread.is_finished() && Instant::now() < until {
                thread::sleep(Duration::from_micros(200));
            }
            if thread.is_finished() {
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
            job();
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
