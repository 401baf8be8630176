//! The disk that loses power, as a file system of the kernel.
//!
//! Every request is answered from memory. Files are opened for direct I/O, so that each write comes here at once and no page cache stands between the
//! broker and the cut. A flush takes a while, covers what was written before it was asked for, and counts at its end only: a cut before that finds
//! nothing flushed. After a cut every request fails until the disk is mounted again.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant, UNIX_EPOCH};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate,
    ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request,
    TimeOrNow, WriteFlags,
};
use rustix::fs::OFlags;

use super::content::{BLOCK, Fate, File};
use super::tree::{Directory, Node, Refusal, Tree};
use crate::Fault;
use crate::prove::random::Random;

/// Nothing changes behind the kernel's back while the disk is mounted.
const TTL: Duration = Duration::from_secs(3600);
/// Blocks of the disk; it has room for all that a proof writes.
const BLOCKS: u64 = (64 << 30) / BLOCK as u64;
/// Direct I/O is in units of this.
const SECTOR: u64 = 512;
/// The longest that a flush takes, in microseconds.
const FLUSH_MAX: u64 = 3000;

struct State {
    tree: Tree,
    random: Random,
    powered: bool,
    /// A disk that says that it has flushed and has not.
    lying: bool,
    flushes: u64,
}

/// A disk in memory that outlives its mounts.
#[derive(Clone)]
pub(super) struct Disk(Arc<Mutex<State>>);

impl Disk {
    pub(super) fn new(seed: u64) -> Disk {
        let state = State {
            tree: Tree::new(),
            random: Random(seed),
            powered: true,
            lying: false,
            flushes: 0,
        };
        Disk(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it says that it has flushed and has not, or is honest again.
    pub(super) fn lie(&self, lying: bool) {
        self.state().lying = lying;
    }

    /// Cuts the power. A disk that lies loses all that it has not flushed. What became of blocks and of names, and the
    /// flushes since the cut before.
    pub(super) fn cut(&self) -> (Fate, Fate, u64) {
        let state = &mut *self.state();
        state.powered = false;
        let (blocks, names) = state.tree.cut(&mut state.random, state.lying);
        (blocks, names, std::mem::take(&mut state.flushes))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Tree) -> Result<T, Refusal>) -> Result<T, Errno> {
        let mut state = self.state();
        if !state.powered {
            return Err(Errno::EIO);
        }
        work(&mut state.tree).map_err(errno)
    }

    /// Flushes one file or directory in a thread of its own, as other requests go on meanwhile.
    fn flush(&self, number: u64, done: impl FnOnce(Result<(), Errno>) + Send + 'static) {
        let moment = self.with(|tree| tree.moment(number));
        let pause = Duration::from_micros(self.state().random.below(FLUSH_MAX));
        let disk = self.clone();
        spawn(move || {
            sleep(pause);
            let outcome = moment.and_then(|moment| {
                let mut state = disk.state();
                if !state.powered {
                    return Err(Errno::EIO);
                }
                state.flushes += 1;
                if !state.lying {
                    state.tree.flushed(number, moment);
                }
                Ok(())
            });
            done(outcome);
        });
    }
}

fn errno(refusal: Refusal) -> Errno {
    match refusal {
        Refusal::Absent => Errno::ENOENT,
        Refusal::Exists => Errno::EEXIST,
        Refusal::NotDirectory => Errno::ENOTDIR,
        Refusal::IsDirectory => Errno::EISDIR,
        Refusal::NotEmpty => Errno::ENOTEMPTY,
        Refusal::Unsupported => Errno::EXDEV,
    }
}

fn attributes(tree: &Tree, number: u64) -> Result<FileAttr, Refusal> {
    let (kind, size, perm) = match tree.node(number)? {
        Node::File(file) => (FileType::RegularFile, file.size(), 0o644),
        Node::Directory(_) => (FileType::Directory, 0, 0o755),
    };
    Ok(FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(SECTOR),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: BLOCK as u32,
        flags: 0,
    })
}

fn utf8(name: &OsStr) -> Result<&str, Refusal> {
    name.to_str().ok_or(Refusal::Unsupported)
}

/// Whether a file that was opened with these flags has this one.
fn has(flags: OpenFlags, flag: OFlags) -> bool {
    OFlags::from_bits_retain(flags.0 as u32).contains(flag)
}

fn empty(reply: ReplyEmpty, outcome: Result<(), Errno>) {
    match outcome {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn entry(reply: ReplyEntry, outcome: Result<FileAttr, Errno>) {
    match outcome {
        Ok(found) => reply.entry(&TTL, &found, Generation(0)),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Disk {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        entry(reply, self.with(|tree| attributes(tree, tree.lookup(parent.0, utf8(name)?)?)));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.with(|tree| attributes(tree, ino.0)) {
            Ok(found) => reply.attr(&TTL, &found),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<std::time::SystemTime>,
        _: Option<FileHandle>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let outcome = self.with(|tree| {
            if let Some(size) = size {
                tree.file(ino.0)?.resize(size);
            }
            attributes(tree, ino.0)
        });
        match outcome {
            Ok(found) => reply.attr(&TTL, &found),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        entry(
            reply,
            self.with(|tree| {
                let node = Node::Directory(Directory::default());
                let number = tree.create(parent.0, utf8(name)?, node)?;
                attributes(tree, number)
            }),
        );
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.with(|tree| tree.remove(parent.0, utf8(name)?, false)));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.with(|tree| tree.remove(parent.0, utf8(name)?, true)));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        to: INodeNo,
        new: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !flags.is_empty() {
            return reply.error(Errno::EINVAL);
        }
        empty(reply, self.with(|tree| tree.rename((parent.0, utf8(name)?), (to.0, utf8(new)?))));
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.with(|tree| tree.file(ino.0).map(|_| ())) {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO),
            Err(error) => reply.error(error),
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let outcome = self.with(|tree| {
            let number = tree.create(parent.0, utf8(name)?, Node::File(File::default()))?;
            attributes(tree, number)
        });
        match outcome {
            Ok(found) => reply.created(
                &TTL,
                &found,
                Generation(0),
                FileHandle(0),
                FopenFlags::FOPEN_DIRECT_IO,
            ),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        if has(flags, OFlags::DIRECT) && !offset.is_multiple_of(SECTOR) {
            return reply.error(Errno::EINVAL);
        }
        match self.with(|tree| Ok(tree.file(ino.0)?.read(offset, size as usize))) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let len = data.len() as u32;
        let aligned = offset.is_multiple_of(SECTOR) && u64::from(len).is_multiple_of(SECTOR);
        if has(flags, OFlags::DIRECT) && !aligned {
            return reply.error(Errno::EINVAL);
        }
        let written = self.with(|tree| {
            tree.file(ino.0)?.write(offset, data);
            Ok(())
        });
        match written {
            Err(error) => reply.error(error),
            Ok(()) if has(flags, OFlags::DSYNC) => {
                self.flush(ino.0, move |outcome| match outcome {
                    Ok(()) => reply.written(len),
                    Err(error) => reply.error(error),
                })
            }
            Ok(()) => reply.written(len),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // A close, which flushes nothing.
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        Disk::flush(self, ino.0, move |outcome| empty(reply, outcome));
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        Disk::flush(self, ino.0, move |outcome| empty(reply, outcome));
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let names = self.with(|tree| {
            let names = tree.directory(ino.0)?.names();
            names
                .iter()
                .map(|(name, number)| Ok((name.clone(), attributes(tree, *number)?.kind, *number)))
                .collect::<Result<Vec<_>, Refusal>>()
        });
        match names {
            Ok(names) => {
                for (at, (name, kind, number)) in (0_u64..).zip(names).skip(offset as usize) {
                    if reply.add(INodeNo(number), at + 1, kind, name) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(error) => reply.error(error),
        }
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let block = BLOCK as u32;
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, 1 << 20, 1 << 20, block, 255, block);
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        if mode != 0 {
            return reply.error(Errno::EOPNOTSUPP);
        }
        empty(
            reply,
            self.with(|tree| {
                let file = tree.file(ino.0)?;
                file.resize(file.size().max(offset.saturating_add(length)));
                Ok(())
            }),
        );
    }
}

/// A mounted disk. Dropping it unmounts.
pub(super) struct Mounted {
    disk: Disk,
    at: PathBuf,
    session: Option<BackgroundSession>,
}

impl Mounted {
    pub(super) fn mount(disk: &Disk, at: &Path) -> Result<Mounted, Fault> {
        disk.state().powered = true;
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("powercut".to_owned())];
        config.n_threads = Some(2);
        let session = fuser::spawn_mount(disk.clone(), at, &config)
            .map_err(|error| format!("cannot mount on {}: {error}", at.display()))?;
        Ok(Mounted { disk: disk.clone(), at: at.to_path_buf(), session: Some(session) })
    }

    pub(super) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Unmounts; the last requests of a process that was killed may hold it for a while.
    pub(super) fn unmount(mut self) -> Result<(), Fault> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Fault> {
        let Some(session) = self.session.take() else { return Ok(()) };
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut lazily = false;
        loop {
            let mut command = Command::new("umount");
            if lazily {
                command.arg("-l");
            }
            let outcome = command.arg(&self.at).output()?;
            if outcome.status.success() {
                break;
            }
            if lazily {
                let why = String::from_utf8_lossy(&outcome.stderr).into_owned();
                return Err(format!("cannot unmount {}: {why}", self.at.display()).into());
            }
            lazily = Instant::now() > deadline;
            sleep(Duration::from_millis(20));
        }
        if lazily {
            return Err(
                format!("{} was still in use 20 s after the kill", self.at.display()).into()
            );
        }
        Ok(session.join()?)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(fault) = self.end() {
            eprintln!("xtask: {fault}");
        }
    }
}

/// Why file systems cannot be mounted here, if so.
pub(super) fn missing() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("it mounts a file system and so needs root");
    }
    if !Path::new("/dev/fuse").exists() {
        return Some("no /dev/fuse (Linux: modprobe fuse)");
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fs::{File as Handle, create_dir_all, read, remove_dir_all, rename, write};
    use std::io::Write;

    use super::*;

    /// Written aside, flushed, renamed, and the directory flushed: as a broker writes what must not be lost.
    fn place(at: &Path, text: &[u8]) -> Result<(), Fault> {
        let aside = at.with_extension("new");
        let mut file = Handle::create(&aside)?;
        file.write_all(text)?;
        file.sync_data()?;
        rename(&aside, at)?;
        Ok(Handle::open(at.parent().unwrap_or(at))?.sync_all()?)
    }

    #[test]
    fn what_was_flushed_is_there_when_the_disk_is_mounted_again() -> Result<(), Fault> {
        if let Some(reason) = missing() {
            eprintln!("SKIPPED: {reason}");
            assert!(std::env::var_os("RINGWOOD_REQUIRE").is_none(), "this test is required");
            return Ok(());
        }
        let at = std::env::temp_dir().join(format!("ringwood-powercut-{}", std::process::id()));
        create_dir_all(&at)?;
        let disk = Disk::new(1);
        let mounted = Mounted::mount(&disk, &at)?;
        create_dir_all(at.join("inner"))?;
        Handle::open(&at)?.sync_all()?;
        place(&at.join("layout-a"), b"some text of a layout")?;
        place(&at.join("layout-b"), b"the same text once more")?;
        place(&at.join("inner").join("file"), &[7; 10_000])?;
        disk.lie(true);
        place(&at.join("late"), b"what a disk that lies says to have")?;
        disk.cut();
        assert!(write(at.join("after"), "the power is gone").is_err());
        mounted.unmount()?;
        let mounted = Mounted::mount(&disk, &at)?;
        assert_eq!(read(at.join("layout-a"))?, b"some text of a layout");
        assert_eq!(read(at.join("layout-b"))?, b"the same text once more");
        assert_eq!(read(at.join("inner").join("file"))?, [7; 10_000]);
        assert!(!at.join("late").exists());
        mounted.unmount()?;
        Ok(remove_dir_all(&at)?)
    }
}
