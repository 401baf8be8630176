//! System calls about names, carried out away from the core.
//!
//! Each of them may sleep in the kernel: a journalling file system makes it wait for a commit that is under way, and a file
//! whose last name or last descriptor goes takes its blocks along. So threads of the core carry them out, on every backend:
//! removals have their own, because somebody waits for an open, and hardly anybody for a removal. A call whose future is dropped
//! is carried out all the same.

use crate::driver::Bells;
use crate::threads::{Threads, lock};
use ids::CoreId;
use slab::Slab;
use std::cell::RefCell;
use std::fs;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// Threads of one core.
const THREADS_MAX: usize = 4;
/// Beside them, threads of one core for what gives blocks back. Each removal may take long, and there may be any number.
const REMOVERS_MAX: usize = 2;

/// A removed file gives its blocks back in steps of this many bytes: all at once, what a file system must journal, or tell the
/// device, holds up every flush that comes after.
const STEP: u64 = 64 << 20;
/// Between two steps.
const PAUSE: Duration = Duration::from_millis(5);

/// What the threads tell the core.
#[derive(Default)]
struct Done {
    any: AtomicBool,
    ids: Mutex<Vec<usize>>,
    bells: OnceLock<Bells>,
}

impl Done {
    fn push(&self, id: usize) {
        lock(&self.ids).push(id);
        self.any.store(true, Ordering::Release);
        if let Some((bells, me)) = self.bells.get()
            && bells[*me].must_wake()
        {
            bells[*me].strike();
        }
    }
}

/// One core's threads for names.
pub(crate) struct Names {
    threads: Threads,
    removers: Threads,
    done: Arc<Done>,
    /// Who waits for what; an entry goes when its call has been reported.
    waiting: RefCell<Slab<Option<Waker>>>,
}

impl Names {
    pub(crate) fn new(core: CoreId) -> Self {
        Self {
            threads: Threads::new(format!("core-{}-names", core.0), THREADS_MAX),
            removers: Threads::new(format!("core-{}-removes", core.0), REMOVERS_MAX),
            done: Arc::default(),
            waiting: RefCell::default(),
        }
    }

    /// How the core is woken.
    pub(crate) fn set_bells(&self, bells: Bells) {
        // Set once, when the core is made.
        let _ = self.done.bells.set(bells);
    }

    /// Lets those go on whose calls have ended; whether there are any.
    pub(crate) fn collect(&self) -> bool {
        if !self.done.any.load(Ordering::Acquire) {
            return false;
        }
        self.done.any.store(false, Ordering::Release);
        let ids = std::mem::take(&mut *lock(&self.done.ids));
        for id in &ids {
            let waker = self.waiting.borrow_mut().try_remove(*id).flatten();
            if let Some(w) = waker {
                w.wake();
            }
        }
        !ids.is_empty()
    }

    /// Carries out `call` on a thread.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        self.call_on(&self.threads, call).await
    }

    /// Carries out `removal` on a thread, and holds up other removals alone.
    pub(crate) async fn remove<T: Send + 'static>(
        &self,
        removal: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        self.call_on(&self.removers, removal).await
    }

    async fn call_on<T: Send + 'static>(
        &self,
        threads: &Threads,
        call: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let result = Arc::new(Mutex::new(None));
        let id = self.waiting.borrow_mut().insert(None);
        let (theirs, done) = (Arc::clone(&result), Arc::clone(&self.done));
        threads.push(Box::new(move || {
            let value = call();
            *lock(&theirs) = Some(value);
            drop(theirs);
            done.push(id);
        }));
        poll_fn(|cx| {
            if let Some(value) = lock(&result).take() {
                return Poll::Ready(value);
            }
            // It has not been reported, so the entry is still this call's.
            if let Some(waker) = self.waiting.borrow_mut().get_mut(id) {
                *waker = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// Closes a file on a thread. As a removal: its blocks may go with it.
    pub(crate) fn close_file(&self, fd: OwnedFd) {
        self.removers.push(Box::new(move || {
            let_go(fd, STEP);
        }));
    }

    /// Ends the threads once they have finished what they have.
    pub(crate) fn close(&self, patience: Duration) {
        let until = Instant::now() + patience;
        for threads in [&self.threads, &self.removers] {
            threads.close(until.saturating_duration_since(Instant::now()));
        }
    }
}

fn stat(fd: &OwnedFd) -> io::Result<libc::stat> {
    // SAFETY: zeros are a valid stat.
    let mut s: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: an open descriptor and a structure of ours.
    if unsafe { libc::fstat(fd.as_raw_fd(), &raw mut s) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(s)
}

/// Bytes of blocks that go with the descriptor if it is the last one; none if the file has a name, or is no file.
fn nameless_bytes(s: &libc::stat) -> u64 {
    let nameless = s.st_nlink == 0 && s.st_mode & libc::S_IFMT == libc::S_IFREG;
    if nameless { u64::try_from(s.st_blocks).unwrap_or(0) * 512 } else { 0 }
}

/// Whether closing the descriptor may take long: the file has no name any more, or is large and may lose it meanwhile.
pub(crate) fn closes_slowly(fd: &OwnedFd) -> bool {
    stat(fd).is_ok_and(|s| {
        nameless_bytes(&s) > 0 || u64::try_from(s.st_blocks).unwrap_or(0) * 512 > STEP
    })
}

/// Whether nobody else has the file open. Without a name nobody can open it any more.
fn is_only_descriptor(fd: &OwnedFd) -> bool {
    // A write lease is refused while there is any other descriptor of the file.
    // SAFETY: an open descriptor.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK) == 0 }
}

/// Closes a file; if its blocks go with that, then step by step. So many steps. A reader that still has the file open keeps
/// all of it: then the blocks go with its descriptor.
fn let_go(fd: OwnedFd, step: u64) -> u64 {
    let Ok(s) = stat(&fd) else { return 0 };
    if nameless_bytes(&s) <= step || !is_only_descriptor(&fd) {
        return 0;
    }
    let mut left = u64::try_from(s.st_size).unwrap_or(0);
    let mut steps = 0;
    while left > step {
        left -= step;
        let len = libc::off_t::try_from(left).unwrap_or(libc::off_t::MAX);
        // SAFETY: an open descriptor.
        if unsafe { libc::ftruncate(fd.as_raw_fd(), len) } != 0 {
            // Opened for reading only, or the file system cannot: then all at once.
            return steps;
        }
        steps += 1;
        thread::sleep(PAUSE);
    }
    steps
}

/// unlink(2), and what is large goes step by step.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    // What cannot be opened is removed all the same.
    let held = fs::OpenOptions::new().write(true).custom_flags(flags).open(path);
    fs::remove_file(path)?;
    if let Ok(file) = held {
        let_go(file.into(), STEP);
    }
    Ok(())
}

/// ftruncate(2).
pub(crate) fn set_len(fd: &OwnedFd, len: u64) -> io::Result<()> {
    let len = libc::off_t::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: an open descriptor.
    if unsafe { libc::ftruncate(fd.as_raw_fd(), len) } == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}

/// readdir(3), sorted.
pub(crate) fn read_dir(path: &Path) -> io::Result<Vec<super::DirEntry>> {
    let mut entries = Vec::new();
    for e in fs::read_dir(path)? {
        let e = e?;
        entries.push(super::DirEntry {
            name: e.file_name().to_string_lossy().into_owned(),
            is_dir: e.file_type()?.is_dir(),
        });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    const STEP: u64 = 1 << 20;

    fn large(name: &str, bytes: u64) -> (std::path::PathBuf, OwnedFd) {
        let path = std::env::temp_dir().join(format!("ringwood-{name}-{}", std::process::id()));
        let options = fs::OpenOptions::new().read(true).write(true).create(true).clone();
        let fd = OwnedFd::from(options.open(&path).unwrap());
        // SAFETY: an open descriptor.
        let got = unsafe { libc::fallocate(fd.as_raw_fd(), 0, 0, bytes.cast_signed()) };
        assert_eq!(got, 0, "{}", io::Error::last_os_error());
        (path, fd)
    }

    #[test]
    fn a_large_file_without_a_name_goes_in_steps() {
        let (path, fd) = large("steps", 3 * STEP + 4096);
        assert!(!closes_slowly(&fd), "it has a name and is not large");
        fs::remove_file(&path).unwrap();
        assert!(closes_slowly(&fd));
        assert_eq!(let_go(fd, STEP), 3);
    }

    #[test]
    fn what_somebody_reads_or_what_has_a_name_stays_whole() {
        let (path, fd) = large("read", STEP + 4096);
        let reader = fs::File::open(&path).unwrap();
        assert_eq!(let_go(fd.try_clone().unwrap(), STEP), 0, "it has a name");
        fs::remove_file(&path).unwrap();
        assert_eq!(let_go(fd, STEP), 0, "it is read");
        assert_eq!(reader.metadata().unwrap().len(), STEP + 4096);
        assert_eq!(reader.read_at(&mut [0; 16], STEP).unwrap(), 16);
        // The last one cannot cut it, and lets it go whole.
        assert_eq!(let_go(reader.into(), STEP), 0);
        let (path, fd) = large("small", 4096);
        assert!(!closes_slowly(&fd));
        fs::remove_file(&path).unwrap();
        assert!(closes_slowly(&fd), "nor is a small one without a name closed by the core");
        assert_eq!(let_go(fd, STEP), 0);
    }

    #[test]
    fn a_removal_leaves_a_reader_all_there_is() {
        let (path, fd) = large("removal", 2 * STEP + 4096);
        remove_file(&path).unwrap();
        assert!(!path.exists());
        assert_eq!(stat(&fd).unwrap().st_size, (2 * STEP + 4096).cast_signed());
        assert_eq!(let_go(fd, STEP), 2);
        assert_eq!(remove_file(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
