//! Files through the ring.

use super::{Keep, Uring};
use crate::buffer::{ALIGN, Memory, Slice};
use io_uring::{opcode, types};
use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;

/// An open file of a core with a ring.
pub(crate) struct RingFile {
    uring: Rc<Uring>,
    fd: Rc<OwnedFd>,
    direct: bool,
    /// Where the ring holds on to the file, once it is locked.
    lock: Cell<Option<Lock>>,
}

#[derive(Clone, Copy)]
struct Lock {
    held: Option<u32>,
}

/// Slices of one vectored write.
const VECTORS_MAX: usize = 1024;

fn check(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

impl RingFile {
    pub(crate) fn new(uring: Rc<Uring>, fd: OwnedFd, direct: bool) -> Self {
        Self { uring, fd: Rc::new(fd), direct, lock: Cell::new(None) }
    }

    fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    pub(crate) fn is_direct(&self) -> bool {
        self.direct
    }

    pub(crate) async fn read_at(&self, memory: &Memory, pos: u64, len: usize) -> io::Result<Slice> {
        let mut buffer = memory.alloc_beyond(len);
        while buffer.len() < len {
            let wanted = u32::try_from(len - buffer.len()).unwrap_or(1 << 30);
            let at = pos + buffer.len() as u64;
            let to = buffer.spare_ptr();
            let fd = types::Fd(self.raw());
            let entry = match buffer.fixed() {
                Some(slot) => opcode::ReadFixed::new(fd, to, wanted, slot).offset(at).build(),
                None => opcode::Read::new(fd, to, wanted).offset(at).build(),
            };
            let keep = Keep::Read(Rc::clone(&self.fd), buffer);
            let (result, _, keep) = self.uring.start(entry, keep).await;
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
            let part = data.slice(done..);
            let len = u32::try_from(part.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
            let (fd, at) = (types::Fd(self.raw()), pos + done as u64);
            let entry = match part.fixed() {
                Some(slot) => {
                    opcode::WriteFixed::new(fd, part.as_ptr(), len, slot).offset(at).build()
                }
                None => opcode::Write::new(fd, part.as_ptr(), len).offset(at).build(),
            };
            let (result, ..) =
                self.uring.start(entry, Keep::Write(Rc::clone(&self.fd), part)).await;
            done += check(result)?;
            if done == data.len() {
                return Ok(());
            }
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
            let entry = opcode::Writev::new(types::Fd(self.raw()), vectors.as_ptr(), count)
                .offset(at)
                .build();
            let keep = Keep::Writev(Rc::clone(&self.fd), slices, vectors);
            let (result, ..) = self.uring.start(entry, keep).await;
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
        self.sync(types::FsyncFlags::DATASYNC).await
    }

    pub(crate) async fn sync_all(&self) -> io::Result<()> {
        self.sync(types::FsyncFlags::empty()).await
    }

    async fn sync(&self, flags: types::FsyncFlags) -> io::Result<()> {
        let entry = opcode::Fsync::new(types::Fd(self.raw())).flags(flags).build();
        let (result, ..) = self.uring.start(entry, Keep::Fd(Rc::clone(&self.fd))).await;
        check(result).map(|_| ())
    }

    pub(crate) async fn allocate(&self, pos: u64, len: u64) -> io::Result<()> {
        let entry = opcode::Fallocate::new(types::Fd(self.raw()), len).offset(pos).build();
        let (result, ..) = self.uring.start(entry, Keep::Fd(Rc::clone(&self.fd))).await;
        match check(result) {
            Ok(_) => Ok(()),
            // The file system cannot: writes allocate by themselves then.
            Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
            Err(e) => Err(e),
        }
    }

    pub(crate) fn set_len(&self, len: u64) -> io::Result<()> {
        let len = libc::off_t::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: an open descriptor.
        if unsafe { libc::ftruncate(self.raw(), len) } == 0 {
            return Ok(());
        }
        Err(io::Error::last_os_error())
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
                // In the ring's table the kernel keeps the file, and with it the lock, until the last request of a dead
                // process has ended.
                self.lock.set(Some(Lock { held: self.uring.hold_file(&self.fd) }));
            }
            return Ok(true);
        }
        match io::Error::last_os_error() {
            e if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
            e => Err(e),
        }
    }
}

impl Drop for RingFile {
    fn drop(&mut self) {
        let Some(lock) = self.lock.take() else { return };
        // At once, not when the ring's table or another core's lets go of the file.
        // SAFETY: an open descriptor. Unlocking does not fail.
        unsafe { libc::flock(self.raw(), libc::LOCK_UN) };
        if let Some(slot) = lock.held {
            self.uring.release_file(slot);
        }
    }
}
