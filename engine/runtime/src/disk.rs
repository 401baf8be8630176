//! Files: data goes through the ring, names through plain system calls, which are rare.

use crate::buffer::{ALIGN, Memory, Slice};
use crate::uring::{Keep, Uring, raw};
use io_uring::{opcode, types};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;

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
    /// Cut it to nothing.
    pub truncate: bool,
    /// Past the page cache, where the file system allows it.
    pub direct: bool,
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
    uring: Rc<Uring>,
    memory: Memory,
}

/// An open file; closed when the last handle and the last operation are gone.
#[derive(Clone)]
pub struct File {
    uring: Rc<Uring>,
    memory: Memory,
    fd: Rc<OwnedFd>,
    direct: bool,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "File({}{})", raw(&self.fd), if self.direct { ", direct" } else { "" })
    }
}

impl Disk {
    pub(crate) fn new(uring: Rc<Uring>, memory: Memory) -> Self {
        Self { uring, memory }
    }

    /// Opens a file. Where the file system refuses direct I/O the page cache is used; [`File::is_direct`] tells.
    ///
    /// # Errors
    /// As open(2).
    pub async fn open(&self, path: &Path, how: Open) -> io::Result<File> {
        let mut options = fs::OpenOptions::new();
        options.read(how.read).write(how.write).create(how.create).truncate(how.truncate);
        let (file, direct) = if how.direct {
            match options.clone().custom_flags(libc::O_DIRECT).open(path) {
                Ok(file) => (file, true),
                Err(e) if e.raw_os_error() == Some(libc::EINVAL) => (options.open(path)?, false),
                Err(e) => return Err(e),
            }
        } else {
            (options.open(path)?, false)
        };
        let fd = Rc::new(OwnedFd::from(file));
        Ok(File { uring: Rc::clone(&self.uring), memory: self.memory.clone(), fd, direct })
    }

    /// Makes a directory and those above it.
    ///
    /// # Errors
    /// As mkdir(2).
    pub async fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    /// Renames, replacing what has the new name.
    ///
    /// # Errors
    /// As rename(2).
    pub async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Removes a file's name.
    ///
    /// # Errors
    /// As unlink(2).
    pub async fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// As rmdir(2).
    pub async fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    /// The names in a directory, sorted.
    ///
    /// # Errors
    /// As readdir(3).
    pub async fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for e in fs::read_dir(path)? {
            let e = e?;
            entries.push(DirEntry {
                name: e.file_name().to_string_lossy().into_owned(),
                is_dir: e.file_type()?.is_dir(),
            });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// As fsync(2).
    pub async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let dir = Rc::new(OwnedFd::from(fs::File::open(path)?));
        let entry = opcode::Fsync::new(types::Fd(raw(&dir))).build();
        let (result, ..) = self.uring.start(entry, Keep::Fd(dir)).await;
        check(result).map(|_| ())
    }

    /// Space of the file system that holds `path`.
    ///
    /// # Errors
    /// As statvfs(3).
    pub fn space(&self, path: &Path) -> io::Result<Space> {
        use std::os::unix::ffi::OsStrExt;
        let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: zeros are a valid statvfs.
        let mut s: libc::statvfs = unsafe { std::mem::zeroed() };
        // SAFETY: a terminated path and a structure of ours.
        if unsafe { libc::statvfs(path.as_ptr(), &raw mut s) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Space { free: s.f_bavail * s.f_frsize, total: s.f_blocks * s.f_frsize })
    }
}

fn check(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

impl File {
    /// Reads up to `len` bytes at `pos`; fewer only at the end of the file. With direct I/O both are whole blocks.
    ///
    /// # Errors
    /// As pread(2).
    pub async fn read_at(&self, pos: u64, len: usize) -> io::Result<Slice> {
        let mut buffer = self.memory.alloc_beyond(len);
        let len = len.min(buffer.capacity());
        while buffer.len() < len {
            let wanted = u32::try_from(len - buffer.len()).unwrap_or(u32::MAX);
            let at = pos + buffer.len() as u64;
            let entry = opcode::Read::new(types::Fd(raw(&self.fd)), buffer.spare_ptr(), wanted)
                .offset(at)
                .build();
            let keep = Keep::Read(Rc::clone(&self.fd), buffer);
            let (result, _, keep) = self.uring.start(entry, keep).await;
            let Keep::Read(_, back) = keep else { return Err(io::ErrorKind::Other.into()) };
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

    /// Writes all of `data` at `pos`. A short write is continued once; a second one is an error.
    ///
    /// # Errors
    /// As pwrite(2).
    pub async fn write_at(&self, pos: u64, data: Slice) -> io::Result<()> {
        let mut done = 0;
        for _ in 0..2 {
            let part = data.slice(done..);
            let len = u32::try_from(part.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
            let entry = opcode::Write::new(types::Fd(raw(&self.fd)), part.as_ptr(), len)
                .offset(pos + done as u64)
                .build();
            let (result, ..) =
                self.uring.start(entry, Keep::Write(Rc::clone(&self.fd), part)).await;
            done += check(result)?;
            if done == data.len() {
                return Ok(());
            }
        }
        Err(io::ErrorKind::WriteZero.into())
    }

    /// Makes durable what has been written before, and what is needed to read it.
    ///
    /// # Errors
    /// As fdatasync(2).
    pub async fn sync_data(&self) -> io::Result<()> {
        let entry =
            opcode::Fsync::new(types::Fd(raw(&self.fd))).flags(types::FsyncFlags::DATASYNC).build();
        let (result, ..) = self.uring.start(entry, Keep::Fd(Rc::clone(&self.fd))).await;
        check(result).map(|_| ())
    }

    /// Allocates space; the file grows to hold it.
    ///
    /// # Errors
    /// As fallocate(2): a full disk is met here.
    pub async fn allocate(&self, pos: u64, len: u64) -> io::Result<()> {
        let entry = opcode::Fallocate::new(types::Fd(raw(&self.fd)), len).offset(pos).build();
        let (result, ..) = self.uring.start(entry, Keep::Fd(Rc::clone(&self.fd))).await;
        match check(result) {
            Ok(_) => Ok(()),
            // The file system cannot: writes allocate by themselves then.
            Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Bytes of the file.
    ///
    /// # Errors
    /// As fstat(2).
    pub fn len(&self) -> io::Result<u64> {
        // SAFETY: zeros are a valid stat.
        let mut s: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: an open descriptor and a structure of ours.
        if unsafe { libc::fstat(raw(&self.fd), &raw mut s) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(u64::try_from(s.st_size).unwrap_or(0))
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
        self.direct
    }

    /// Takes the lock of flock(2) if nobody has it; whether it is ours now.
    ///
    /// # Errors
    /// As flock(2).
    pub fn try_lock_exclusive(&self) -> io::Result<bool> {
        // SAFETY: an open descriptor.
        if unsafe { libc::flock(raw(&self.fd), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
            return Ok(true);
        }
        match io::Error::last_os_error() {
            e if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
            e => Err(e),
        }
    }
}
