//! Files: what a core can do with them, whichever backend it runs on.
//!
//! No operation blocks the core: data goes through the driver, and [names] (open, create, rename, remove, list), lengths and
//! slow closes through threads of the core.

mod names;
mod real;

use crate::buffer::{Memory, Slice};
#[cfg(feature = "faults")]
use crate::faults::Point;
use crate::runtime::{Backend, Inner};
use crate::sim::SimFile;
pub(crate) use names::Names;
use real::RealFile;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// So many operations on the files of a core that are urgent ([`File::set_urgent`]) are carried out at the same time at least,
/// whatever the backend.
pub const URGENT_AT_ONCE: usize = 4;

/// How to open a file.
#[expect(clippy::struct_excessive_bools, reason = "they are independent")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Open {
    /// For reading.
    pub read: bool,
    /// For writing.
    pub write: bool,
    /// Make it if it is not there.
    pub create: bool,
    /// Make it; an error if it is there.
    pub create_new: bool,
    /// Cut it to nothing.
    pub truncate: bool,
    /// Past the page cache, where the file system allows it.
    pub direct: bool,
}

/// What has become of a write to which a sync was linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    /// Written, and then made durable.
    Synced,
    /// Written, but not in one piece: that has broken the link, and nothing was made durable.
    Broken,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// The name.
    pub name: String,
    /// It is a directory.
    pub is_dir: bool,
}

/// Space of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that may still be written.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
}

/// The files that a core can reach.
#[derive(Clone)]
pub struct Disk {
    inner: Rc<Inner>,
}

/// An open file; closed when the last handle and the last operation are gone.
#[derive(Clone)]
pub struct File {
    kind: Kind,
    inner: Rc<Inner>,
}

#[derive(Clone)]
enum Kind {
    Real(Rc<RealFile>),
    Sim(Rc<SimFile>),
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "File({})", if self.is_direct() { "direct" } else { "buffered" })
    }
}

/// A lock that other cores of the process can hold on to, with [`Runtime::hold_lock`](crate::Runtime::hold_lock): their writes
/// too must have ended before another process gets it. Dropping the locked [`File`] unlocks for all of them, so that comes last.
#[derive(Clone, Debug)]
pub struct HeldLock(Option<Arc<OwnedFd>>);

impl HeldLock {
    pub(crate) fn fd(&self) -> io::Result<OwnedFd> {
        match &self.0 {
            Some(fd) => fd.try_clone(),
            None => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

/// Opens a file of the real disk; whether it is direct.
fn open_real(path: &Path, how: Open) -> io::Result<(OwnedFd, bool)> {
    let mut options = fs::OpenOptions::new();
    options
        .read(how.read)
        .write(how.write)
        .create(how.create)
        .create_new(how.create_new)
        .truncate(how.truncate);
    if how.direct {
        match options.clone().custom_flags(libc::O_DIRECT).open(path) {
            Ok(file) => return Ok((file.into(), true)),
            // The file system does not know direct I/O. If it has made the file before it refused, it is ours all the same.
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {
                if how.create_new {
                    options.create_new(false).create(true);
                }
            }
            Err(e) => return Err(e),
        }
    }
    Ok((options.open(path)?.into(), false))
}

/// What a call on a thread is about.
#[derive(Clone, Copy)]
enum About {
    Opening,
    Names,
    Removing,
}

impl Disk {
    pub(crate) fn new(inner: Rc<Inner>) -> Self {
        Self { inner }
    }

    /// Carries out a system call about a name away from the core.
    async fn away<T: Send + 'static>(
        &self,
        about: About,
        path: &Path,
        call: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let path = path.to_path_buf();
        #[cfg(feature = "faults")]
        let held_up = {
            let point = match about {
                About::Opening => Point::Open,
                About::Names | About::Removing => Point::Names,
            };
            crate::faults::held_up(&self.inner, point, &path.display())
        };
        let call = move || {
            #[cfg(feature = "faults")]
            std::thread::sleep(held_up);
            call(&path)
        };
        match about {
            About::Opening | About::Names => self.inner.names.call(call).await,
            About::Removing => self.inner.names.remove(call).await,
        }
    }

    /// Opens a file. Where the file system refuses direct I/O the page cache is used; [`File::is_direct`] tells.
    ///
    /// # Errors
    /// As open(2).
    pub async fn open(&self, path: &Path, how: Open) -> io::Result<File> {
        #[cfg(feature = "faults")]
        crate::faults::pass(&self.inner, Point::Open, &path.display()).await?;
        let kind = match &self.inner.backend {
            Backend::Real(driver) => {
                let open = self.away(About::Opening, path, move |path| open_real(path, how));
                let (fd, direct) = open.await?;
                let inner = Rc::clone(&self.inner);
                Kind::Real(Rc::new(RealFile::new(inner, driver.clone(), path, fd, direct)))
            }
            Backend::Sim(core) => Kind::Sim(Rc::new(core.open(path, how).await?)),
        };
        Ok(File { kind, inner: Rc::clone(&self.inner) })
    }

    /// Makes a directory and those above it.
    ///
    /// # Errors
    /// As mkdir(2).
    pub async fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        #[cfg(feature = "faults")]
        crate::faults::pass(&self.inner, Point::Names, &path.display()).await?;
        match &self.inner.backend {
            Backend::Sim(core) => core.create_dir_all(path).await,
            Backend::Real(_) => {
                self.away(About::Names, path, |path| fs::create_dir_all(path)).await
            }
        }
    }

    /// Renames, replacing what has the new name.
    ///
    /// # Errors
    /// As rename(2).
    pub async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        #[cfg(feature = "faults")]
        crate::faults::pass(&self.inner, Point::Names, &from.display()).await?;
        match &self.inner.backend {
            Backend::Sim(core) => core.rename(from, to).await,
            Backend::Real(_) => {
                let to = to.to_path_buf();
                self.away(About::Names, from, move |from| fs::rename(from, to)).await
            }
        }
    }

    /// Removes a file's name. A large file that nobody has open gives its space back step by step, before this resolves.
    ///
    /// # Errors
    /// As unlink(2).
    pub async fn remove_file(&self, path: &Path) -> io::Result<()> {
        #[cfg(feature = "faults")]
        crate::faults::pass(&self.inner, Point::Names, &path.display()).await?;
        match &self.inner.backend {
            Backend::Sim(core) => core.remove_file(path).await,
            Backend::Real(_) => self.away(About::Removing, path, names::remove_file).await,
        }
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// As rmdir(2).
    pub async fn remove_dir(&self, path: &Path) -> io::Result<()> {
        #[cfg(feature = "faults")]
        crate::faults::pass(&self.inner, Point::Names, &path.display()).await?;
        match &self.inner.backend {
            Backend::Sim(core) => core.remove_dir(path).await,
            Backend::Real(_) => self.away(About::Names, path, |path| fs::remove_dir(path)).await,
        }
    }

    /// The names in a directory, sorted.
    ///
    /// # Errors
    /// As readdir(3).
    pub async fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        #[cfg(feature = "faults")]
        crate::faults::pass(&self.inner, Point::Names, &path.display()).await?;
        match &self.inner.backend {
            Backend::Sim(core) => core.read_dir(path).await,
            Backend::Real(_) => self.away(About::Names, path, names::read_dir).await,
        }
    }

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// As fsync(2).
    pub async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        match &self.inner.backend {
            Backend::Sim(core) => core.sync_dir(path).await,
            Backend::Real(driver) => {
                let open = self.away(About::Opening, path, |path| fs::File::open(path));
                let dir = OwnedFd::from(open.await?);
                let inner = Rc::clone(&self.inner);
                RealFile::new(inner, driver.clone(), path, dir, false).sync_all().await
            }
        }?;
        self.inner.meters.syncs.count(0);
        Ok(())
    }

    /// Bytes of the file at `path`.
    ///
    /// # Errors
    /// As stat(2).
    pub async fn len_of(&self, path: &Path) -> io::Result<u64> {
        match &self.inner.backend {
            Backend::Sim(core) => {
                core.find(path).await?.ok_or_else(|| io::ErrorKind::NotFound.into())
            }
            Backend::Real(_) => {
                self.away(About::Names, path, |path| fs::metadata(path).map(|m| m.len())).await
            }
        }
    }

    /// Whether there is something at `path`.
    ///
    /// # Errors
    /// As stat(2), except that nothing there is an answer.
    pub async fn exists(&self, path: &Path) -> io::Result<bool> {
        match &self.inner.backend {
            Backend::Sim(core) => core.find(path).await.map(|found| found.is_some()),
            Backend::Real(_) => self.away(About::Names, path, |path| path.try_exists()).await,
        }
    }

    /// Space of the file system that holds `path`.
    ///
    /// # Errors
    /// As statvfs(3).
    pub fn space(&self, path: &Path) -> io::Result<Space> {
        use std::os::unix::ffi::OsStrExt;
        if let Backend::Sim(core) = &self.inner.backend {
            return core.space(path);
        }
        let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: zeros are a valid statvfs.
        let mut s: libc::statvfs = unsafe { std::mem::zeroed() };
        // SAFETY: a terminated path and a structure of ours.
        if unsafe { libc::statvfs(path.as_ptr(), &raw mut s) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let unit = s.f_frsize;
        Ok(Space { free: s.f_bavail.saturating_mul(unit), total: s.f_blocks.saturating_mul(unit) })
    }
}

impl File {
    /// Reads up to `len` bytes at `pos`; fewer only at the end of the file. With direct I/O both are whole blocks. The result
    /// counts against the core's memory, also beyond the limit.
    ///
    /// # Errors
    /// As pread(2).
    pub async fn read_at(&self, pos: u64, len: usize) -> io::Result<Slice> {
        self.read_at_into(&self.inner.memory, pos, len).await
    }

    /// As [`File::read_at`], but the result counts against `memory`.
    ///
    /// # Errors
    /// As pread(2).
    pub async fn read_at_into(&self, memory: &Memory, pos: u64, len: usize) -> io::Result<Slice> {
        let read = match &self.kind {
            Kind::Real(file) => file.read_at(memory, pos, len).await,
            Kind::Sim(file) => file.read_at(memory, pos, len).await,
        }?;
        self.inner.meters.reads.count(read.len());
        Ok(read)
    }

    /// Writes all of `data` at `pos`. A short write is continued once; a second one is an error.
    ///
    /// # Errors
    /// As pwrite(2).
    pub async fn write_at(&self, pos: u64, data: Slice) -> io::Result<()> {
        let bytes = data.len();
        match &self.kind {
            Kind::Real(file) => file.write_at(pos, data).await,
            Kind::Sim(file) => file.write_at(pos, &data).await,
        }?;
        self.inner.meters.writes.count(bytes);
        Ok(())
    }

    /// Writes all of `parts`, one after the other, at `pos`. As one operation where the backend can; a reader may see some
    /// parts before others.
    ///
    /// # Errors
    /// As pwritev(2).
    pub async fn write_all_at(&self, pos: u64, parts: Vec<Slice>) -> io::Result<()> {
        let bytes = parts.iter().map(|p| p.len()).sum();
        match &self.kind {
            Kind::Real(file) => file.write_all_at(pos, parts).await?,
            Kind::Sim(file) => {
                let mut at = pos;
                for part in &parts {
                    file.write_at(at, part).await?;
                    at += part.len() as u64;
                }
            }
        }
        self.inner.meters.writes.count(bytes);
        Ok(())
    }

    /// Makes durable what has been written before, and what is needed to read it.
    ///
    /// # Errors
    /// As fdatasync(2). After one, nothing is known about what was written: it must not be tried again.
    pub async fn sync_data(&self) -> io::Result<()> {
        match &self.kind {
            Kind::Real(file) => file.sync_data().await,
            Kind::Sim(file) => file.sync_data().await,
        }?;
        self.inner.meters.syncs.count(0);
        Ok(())
    }

    /// Writes all of `data` at `pos`, and makes it durable with what had been written before: the sync begins when the write
    /// has ended, and where the backend can, without the core. A short write is continued once, but then nothing is synced,
    /// and the caller must.
    ///
    /// # Errors
    /// As pwrite(2), then as fdatasync(2): which of them is not told, and as after a failed sync nothing is known about what
    /// was written.
    pub async fn write_then_sync(&self, pos: u64, data: Slice) -> io::Result<Linked> {
        let bytes = data.len();
        let linked = match &self.kind {
            Kind::Real(file) => file.write_then_sync(pos, data).await,
            Kind::Sim(file) => file.write_then_sync(pos, &data).await,
        }?;
        self.inner.meters.writes.count(bytes);
        if linked == Linked::Synced {
            self.inner.meters.syncs.count(0);
        }
        Ok(linked)
    }

    /// Allocates space; the file grows to hold it. Where the disk is too full for that, the file is as long as before: a file
    /// system keeps what it found until it found no more, and would be left with nothing for anybody. Nobody else may change the
    /// file's length meanwhile.
    ///
    /// # Errors
    /// As fallocate(2): a full disk is met here.
    pub async fn allocate(&self, pos: u64, len: u64) -> io::Result<()> {
        let before = self.len()?;
        let result = match &self.kind {
            Kind::Real(file) => file.allocate(pos, len).await,
            Kind::Sim(file) => file.allocate(pos, len).await,
        };
        let Err(refused) = result else { return Ok(()) };
        if is_full(&refused) {
            // Also if the length is what it was: this gives back what lies behind it.
            match self.set_len(before).await {
                Err(e) if !is_full(&e) => return Err(e),
                Ok(()) | Err(_) => {}
            }
        }
        Err(refused)
    }

    /// Cuts the file, or lets it grow by a hole.
    ///
    /// # Errors
    /// As ftruncate(2).
    pub async fn set_len(&self, len: u64) -> io::Result<()> {
        match &self.kind {
            Kind::Real(file) => file.set_len(len).await,
            Kind::Sim(file) => file.set_len(len).await,
        }
    }

    /// Bytes of the file.
    ///
    /// # Errors
    /// As fstat(2).
    pub fn len(&self) -> io::Result<u64> {
        match &self.kind {
            Kind::Real(file) => file.len(),
            Kind::Sim(file) => file.len(),
        }
    }

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// As fstat(2).
    pub fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|n| n == 0)
    }

    /// Whether the page cache is passed by.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        match &self.kind {
            Kind::Real(file) => file.is_direct(),
            Kind::Sim(file) => file.is_direct(),
        }
    }

    /// From now on what is done with this file waits for nothing that is done with others, as far as the backend can see to
    /// that: for the one file whose flushes everybody waits for.
    pub fn set_urgent(&self) {
        match &self.kind {
            Kind::Real(file) => file.set_urgent(),
            Kind::Sim(_) => {}
        }
    }

    /// A share in this file's lock, for the other cores.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn share_lock(&self) -> io::Result<HeldLock> {
        match &self.kind {
            Kind::Real(file) => file.share().map(|fd| HeldLock(Some(Arc::new(fd)))),
            Kind::Sim(_) => Ok(HeldLock(None)),
        }
    }

    /// Takes the lock of flock(2) if nobody has it; whether it is ours now. Dropping the file unlocks it.
    ///
    /// What was submitted before a process was killed may still reach the disk; nobody else may get the lock before it has.
    /// - `uring`: the ring's file table keeps the file open, and the kernel empties it only after the last request of the
    ///   ring has ended, where [`Features::lock_outlives_writes`](crate::Features::lock_outlives_writes).
    /// - `portable`: a write is a system call of one of our threads. A killed process's threads leave the kernel, and with it
    ///   the table of open files that they share, only when their call has returned, and local file systems wait for a direct
    ///   write or a flush without listening to signals. A network file system that lets a fatal signal end the wait (NFS)
    ///   gives no such promise.
    ///
    /// # Errors
    /// As flock(2).
    pub fn try_lock_exclusive(&self) -> io::Result<bool> {
        match &self.kind {
            Kind::Real(file) => file.try_lock_exclusive(),
            Kind::Sim(file) => file.try_lock_exclusive(),
        }
    }
}

/// Whether there is no space, and not something broken.
fn is_full(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
