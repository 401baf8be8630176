//! Files of a real disk, whichever backend carries out what is asked of them.

use super::Linked;
use super::names;
use crate::buffer::{ALIGN, Memory, Slice};
use crate::driver::{Driver, FileOp, FileRequest};
use crate::keep::Keep;
use crate::runtime::Inner;
use std::cell::Cell;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::rc::Rc;

/// An open file of a real disk.
pub(crate) struct RealFile {
    inner: Rc<Inner>,
    driver: Driver,
    /// Taken by `drop` alone.
    fd: ManuallyDrop<Rc<OwnedFd>>,
    direct: bool,
    /// See [`FileRequest::urgent`].
    urgent: Cell<bool>,
    #[cfg(feature = "faults")]
    path: std::path::PathBuf,
    /// Where the driver holds on to the file, once it is locked.
    lock: Cell<Option<Lock>>,
}

#[derive(Clone, Copy)]
struct Lock {
    held: Option<u32>,
}

/// Slices of one vectored write.
const VECTORS_MAX: usize = 1024;

/// Bytes of one system call: the kernel takes no more than 2 GiB less a page.
const BYTES_MAX: usize = 1 << 30;

fn check(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

/// `len` as far as one system call takes it.
fn at_most(len: usize) -> u32 {
    u32::try_from(len.min(BYTES_MAX)).unwrap_or(1 << 30)
}

impl RealFile {
    /// The file that was opened at `path`.
    #[cfg_attr(not(feature = "faults"), expect(unused_variables, reason = "faults go by paths"))]
    pub(crate) fn new(
        inner: Rc<Inner>,
        driver: Driver,
        path: &Path,
        fd: OwnedFd,
        direct: bool,
    ) -> Self {
        Self {
            inner,
            driver,
            fd: ManuallyDrop::new(Rc::new(fd)),
            direct,
            urgent: Cell::new(false),
            #[cfg(feature = "faults")]
            path: path.to_path_buf(),
            lock: Cell::new(None),
        }
    }

    fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    pub(crate) fn is_direct(&self) -> bool {
        self.direct
    }

    pub(crate) fn set_urgent(&self) {
        self.urgent.set(true);
    }

    fn request(&self, op: FileOp, then_sync: bool) -> FileRequest {
        FileRequest { fd: self.raw(), op, then_sync, urgent: self.urgent.get() }
    }

    #[cfg_attr(not(feature = "faults"), expect(unused_mut, reason = "faults shorten it"))]
    async fn submit(&self, op: FileOp, mut keep: Keep) -> (i32, Option<Keep>) {
        #[cfg(feature = "faults")]
        let op = {
            let path = self.path.display();
            match crate::faults::pass_file(&self.inner, &path, op, &mut keep).await {
                Ok(op) => op,
                Err(errno) => return (errno, Some(keep)),
            }
        };
        self.driver.submit(self.request(op, false), keep).await
    }

    /// Submits a write with a sync behind it. See [`FileRequest::then_sync`].
    async fn submit_linked(&self, op: FileOp, keep: Keep) -> i32 {
        #[cfg(feature = "faults")]
        if crate::faults::any() {
            // Each by itself, so that each meets its faults; a write that they shorten is short.
            let FileOp::Write { len, .. } = op else { return -libc::EINVAL };
            let (written, _) = self.submit(op, keep).await;
            if u32::try_from(written) != Ok(len) {
                return written;
            }
            let keep = Keep::Fd(Rc::clone(&self.fd));
            let (synced, _) = self.submit(FileOp::Sync { data: true }, keep).await;
            return if synced < 0 { synced } else { written };
        }
        self.driver.submit(self.request(op, true), keep).await.0
    }

    pub(crate) async fn read_at(&self, memory: &Memory, pos: u64, len: usize) -> io::Result<Slice> {
        let mut buffer = memory.alloc_beyond(len);
        while buffer.len() < len {
            let at = pos + buffer.len() as u64;
            let (to, fixed) = (buffer.spare_ptr(), buffer.fixed());
            let op = FileOp::Read { to, len: at_most(len - buffer.len()), pos: at, fixed };
            let (result, keep) = self.submit(op, Keep::Read(Rc::clone(&self.fd), buffer)).await;
            let Some(Keep::Read(_, back)) = keep else { return Err(io::ErrorKind::Other.into()) };
            buffer = back;
            match check(result) {
                Ok(n) => {
                    buffer.advance(n);
                    if n == 0 || (self.direct && n % ALIGN != 0) {
                        break;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(buffer.freeze())
    }

    pub(crate) async fn write_at(&self, pos: u64, data: Slice) -> io::Result<()> {
        let mut done = 0;
        for _ in 0..2 {
            let (op, keep) = self.write_of(pos + done as u64, data.slice(done..))?;
            let (result, _) = self.submit(op, keep).await;
            done += check(result)?;
            if done == data.len() {
                return Ok(());
            }
        }
        Err(io::ErrorKind::WriteZero.into())
    }

    /// The write of `part`, and what it owns.
    fn write_of(&self, pos: u64, part: Slice) -> io::Result<(FileOp, Keep)> {
        let len = u32::try_from(part.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let (from, fixed) = (part.as_ptr(), part.fixed());
        let op = FileOp::Write { from, len, pos, fixed };
        Ok((op, Keep::Write(Rc::clone(&self.fd), part)))
    }

    pub(crate) async fn write_then_sync(&self, pos: u64, data: Slice) -> io::Result<Linked> {
        let (op, keep) = self.write_of(pos, data.clone())?;
        let done = check(self.submit_linked(op, keep).await)?;
        if done == data.len() {
            return Ok(Linked::Synced);
        }
        let (op, keep) = self.write_of(pos + done as u64, data.slice(done..))?;
        let (result, _) = self.submit(op, keep).await;
        if check(result)? == data.len() - done {
            return Ok(Linked::Broken);
        }
        Err(io::ErrorKind::WriteZero.into())
    }

    pub(crate) async fn write_all_at(&self, pos: u64, parts: Vec<Slice>) -> io::Result<()> {
        let parts: Vec<Slice> = parts.into_iter().filter(|p| !p.is_empty()).collect();
        let mut at = pos;
        for batch in parts.chunks(VECTORS_MAX) {
            let all: usize = batch.iter().map(|p| p.len()).sum();
            let slices = batch.to_vec();
            let vectors: Vec<libc::iovec> = slices
                .iter()
                .map(|s| libc::iovec { iov_base: s.as_ptr().cast_mut().cast(), iov_len: s.len() })
                .collect();
            let count = u32::try_from(vectors.len()).unwrap_or(0);
            let op = FileOp::Writev { vectors: vectors.as_ptr(), count, pos: at };
            let keep = Keep::Writev(Rc::clone(&self.fd), slices, vectors);
            let (result, _) = self.submit(op, keep).await;
            let mut done = check(result)?;
            let end = at + all as u64;
            if done < all {
                // Short: what is left is written part by part, which allows for one more short write.
                for part in batch {
                    let skip = done.min(part.len());
                    done -= skip;
                    if skip < part.len() {
                        self.write_at(at + skip as u64, part.slice(skip..)).await?;
                    }
                    at += part.len() as u64;
                }
            }
            at = end;
        }
        Ok(())
    }

    pub(crate) async fn sync_data(&self) -> io::Result<()> {
        self.sync(true).await
    }

    pub(crate) async fn sync_all(&self) -> io::Result<()> {
        self.sync(false).await
    }

    async fn sync(&self, data: bool) -> io::Result<()> {
        let keep = Keep::Fd(Rc::clone(&self.fd));
        let (result, _) = self.submit(FileOp::Sync { data }, keep).await;
        check(result).map(|_| ())
    }

    pub(crate) async fn allocate(&self, pos: u64, len: u64) -> io::Result<()> {
        let keep = Keep::Fd(Rc::clone(&self.fd));
        let (result, _) = self.submit(FileOp::Allocate { pos, len }, keep).await;
        match check(result) {
            Ok(_) => Ok(()),
            // The file system cannot: writes allocate by themselves then.
            Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
            Err(e) => Err(e),
        }
    }

    pub(crate) async fn set_len(&self, len: u64) -> io::Result<()> {
        #[cfg(feature = "faults")]
        {
            let (point, path) = (crate::faults::Point::Allocate, self.path.display());
            crate::faults::pass(&self.inner, point, &path).await?;
        }
        match self.fd.try_clone() {
            // The thread has a descriptor of its own: this file may be closed before it comes to it.
            Ok(fd) => self.inner.names.call(move || names::set_len(&fd, len)).await,
            // No descriptors are left: that is no reason to fail.
            Err(_) => names::set_len(&self.fd, len),
        }
    }

    pub(crate) fn len(&self) -> io::Result<u64> {
        // SAFETY: zeros are a valid stat.
        let mut s: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: an open descriptor and a structure of ours.
        if unsafe { libc::fstat(self.raw(), &raw mut s) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(u64::try_from(s.st_size).unwrap_or(0))
    }

    /// The descriptor, for others to hold on to the lock.
    pub(crate) fn share(&self) -> io::Result<OwnedFd> {
        self.fd.try_clone()
    }

    pub(crate) fn try_lock_exclusive(&self) -> io::Result<bool> {
        // SAFETY: an open descriptor.
        if unsafe { libc::flock(self.raw(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
            if self.lock.get().is_none() {
                self.lock.set(Some(Lock { held: self.driver.hold_file(&self.fd) }));
            }
            return Ok(true);
        }
        match io::Error::last_os_error() {
            e if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
            e => Err(e),
        }
    }
}

impl Drop for RealFile {
    fn drop(&mut self) {
        // SAFETY: nobody uses the field after this.
        let fd = unsafe { ManuallyDrop::take(&mut self.fd) };
        if let Some(lock) = self.lock.take() {
            // At once, not when the driver or another core's lets go of the file.
            // SAFETY: an open descriptor. Unlocking does not fail.
            unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_UN) };
            if let Some(slot) = lock.held {
                self.driver.release_file(slot);
            }
        }
        // An operation that nobody waits for any more may still have it; then it goes with that.
        if let Ok(fd) = Rc::try_unwrap(fd)
            && names::closes_slowly(&fd)
        {
            self.inner.names.close_file(fd);
        }
    }
}
