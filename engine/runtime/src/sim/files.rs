//! Files of a simulated core.

use super::disk::{Ino, os_error};
use super::world::{Event, Flying, Reply, SimCore};
use crate::buffer::{Memory, Slice};
use crate::disk::{DirEntry, Linked, Open, Space};
use std::io;
use std::path::Path;
use std::rc::Rc;

/// What direct I/O is aligned to.
const DIRECT: u64 = 512;

/// Kinds of disk operations, for [`Injection`](super::Injection).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskOp {
    /// Opening or creating a file.
    Open,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Syncing a file or a directory.
    Sync,
    /// Renaming, removing, listing, making a directory.
    Names,
    /// Allocating or setting the length.
    Allocate,
}

/// An open file of a simulated core.
pub(crate) struct SimFile {
    core: Rc<SimCore>,
    ino: Ino,
    handle: u64,
    path: String,
    writable: bool,
    direct: bool,
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut shared = self.core.shared.borrow_mut();
        if shared.is_alive(self.core.node, self.core.incarnation) {
            let (ino, incarnation) = (self.ino, self.core.incarnation);
            shared.nodes[self.core.node].disk.closed(ino, incarnation, self.handle);
        }
    }
}

impl SimCore {
    /// Waits as long as a change of names takes, and fails if an injection says so.
    async fn names(&self, op: DiskOp, path: &Path) -> io::Result<()> {
        self.delay(|c| c.names).await;
        self.check(op, &path.to_string_lossy())
    }

    fn check(&self, op: DiskOp, path: &str) -> io::Result<()> {
        match self.shared.borrow_mut().injected(self.node, op, path) {
            Some(errno) => Err(os_error(errno)),
            None => Ok(()),
        }
    }

    pub(crate) async fn open(self: &Rc<Self>, path: &Path, how: Open) -> io::Result<SimFile> {
        self.names(DiskOp::Open, path).await?;
        let file = self.opened(path, how)?;
        self.still_here().await;
        Ok(file)
    }

    fn opened(self: &Rc<Self>, path: &Path, how: Open) -> io::Result<SimFile> {
        let mut shared = self.shared.borrow_mut();
        let handle = shared.id();
        let direct = how.direct && shared.config.direct;
        let name = path.to_string_lossy().into_owned();
        let disk = &mut shared.nodes[self.node].disk;
        let (ino, new) = if how.create || how.create_new {
            disk.create(path, how.create_new)?
        } else {
            (disk.find(path)?, false)
        };
        if disk.is_dir(ino) {
            return Err(os_error(libc::EISDIR));
        }
        let cut = how.truncate && disk.length(ino)? > 0;
        if cut {
            disk.set_length(ino, 0)?;
        }
        disk.opened(ino)?;
        if new {
            shared.effect(self.node, format!("created {name}"));
        }
        if cut {
            shared.effect(self.node, format!("emptied {name}"));
        }
        let core = Rc::clone(self);
        Ok(SimFile { core, ino, handle, path: name, writable: how.write, direct })
    }

    /// In a process that has just died, nothing goes on.
    async fn still_here(&self) {
        if !self.is_alive() {
            std::future::pending::<()>().await;
        }
    }

    pub(crate) async fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let above: Vec<&Path> = path.ancestors().collect();
        for dir in above.into_iter().rev().filter(|d| d.file_name().is_some()) {
            self.names(DiskOp::Names, dir).await?;
            {
                let mut shared = self.shared.borrow_mut();
                if shared.nodes[self.node].disk.create_dir(dir)? {
                    shared.effect(self.node, format!("made directory {}", dir.display()));
                }
            }
            self.still_here().await;
        }
        Ok(())
    }

    pub(crate) async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.names(DiskOp::Names, from).await?;
        {
            let mut shared = self.shared.borrow_mut();
            shared.nodes[self.node].disk.rename(from, to)?;
            let what = format!("renamed {} to {}", from.display(), to.display());
            shared.effect(self.node, what);
        }
        self.still_here().await;
        Ok(())
    }

    pub(crate) async fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.names(DiskOp::Names, path).await?;
        {
            let mut shared = self.shared.borrow_mut();
            shared.nodes[self.node].disk.remove_file(path)?;
            shared.effect(self.node, format!("removed {}", path.display()));
        }
        self.still_here().await;
        Ok(())
    }

    pub(crate) async fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.names(DiskOp::Names, path).await?;
        {
            let mut shared = self.shared.borrow_mut();
            shared.nodes[self.node].disk.remove_dir(path)?;
            shared.effect(self.node, format!("removed directory {}", path.display()));
        }
        self.still_here().await;
        Ok(())
    }

    pub(crate) async fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.names(DiskOp::Names, path).await?;
        let shared = self.shared.borrow();
        let list = shared.nodes[self.node].disk.list(path)?;
        Ok(list.into_iter().map(|(name, is_dir)| DirEntry { name, is_dir }).collect())
    }

    pub(crate) async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let (dir, before) = {
            let shared = self.shared.borrow();
            let disk = &shared.nodes[self.node].disk;
            let dir = disk.find(path)?;
            if !disk.is_dir(dir) {
                return Err(os_error(libc::ENOTDIR));
            }
            (dir, disk.names_so_far())
        };
        self.delay(|c| c.sync).await;
        self.check(DiskOp::Sync, &path.to_string_lossy())?;
        {
            let mut shared = self.shared.borrow_mut();
            shared.nodes[self.node].disk.sync_dir(dir, before);
            shared.effect(self.node, format!("synced directory {}", path.display()));
        }
        self.still_here().await;
        Ok(())
    }

    pub(crate) async fn find(&self, path: &Path) -> io::Result<Option<u64>> {
        self.names(DiskOp::Names, path).await?;
        let mut shared = self.shared.borrow_mut();
        let disk = &mut shared.nodes[self.node].disk;
        match disk.find(path) {
            Ok(ino) if disk.is_dir(ino) => Ok(Some(0)),
            Ok(ino) => disk.length(ino).map(Some),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    pub(crate) fn space(&self, path: &Path) -> io::Result<Space> {
        let shared = self.shared.borrow();
        let disk = &shared.nodes[self.node].disk;
        disk.find(path)?;
        Ok(Space { free: disk.free(), total: disk.total() })
    }
}

impl SimFile {
    pub(crate) fn is_direct(&self) -> bool {
        self.direct
    }

    fn aligned(&self, pos: u64, len: usize, at: *const u8) -> io::Result<()> {
        let whole = |n: u64| n.is_multiple_of(DIRECT);
        if self.direct && !(whole(pos) && whole(len as u64) && whole(at as u64)) {
            return Err(os_error(libc::EINVAL));
        }
        Ok(())
    }

    pub(crate) async fn read_at(&self, memory: &Memory, pos: u64, len: usize) -> io::Result<Slice> {
        self.aligned(pos, len, std::ptr::null())?;
        self.core.delay(|c| c.read).await;
        self.core.check(DiskOp::Read, &self.path)?;
        let bytes = {
            let mut shared = self.core.shared.borrow_mut();
            shared.nodes[self.core.node].disk.read(self.ino, pos, len)?
        };
        let mut buffer = memory.alloc_beyond(len);
        buffer.append(&bytes);
        Ok(buffer.freeze())
    }

    pub(crate) async fn write_at(&self, pos: u64, data: &Slice) -> io::Result<()> {
        if !self.writable {
            return Err(os_error(libc::EBADF));
        }
        self.aligned(pos, data.len(), data.as_ptr())?;
        let mut done = 0;
        for _ in 0..2 {
            done += self.write_once(pos + done as u64, &data[done..]).await?;
            if done == data.len() {
                return Ok(());
            }
        }
        Err(io::ErrorKind::WriteZero.into())
    }

    /// One write: how many bytes of `part` it took.
    async fn write_once(&self, pos: u64, part: &[u8]) -> io::Result<usize> {
        let short = {
            let mut shared = self.core.shared.borrow_mut();
            let rate = shared.config.short_writes_per_million;
            let blocks = part.len() as u64 / DIRECT;
            if blocks > 1 && shared.random.per_million(rate) {
                let n = shared.random.between(1, blocks - 1) * DIRECT;
                usize::try_from(n).ok()
            } else {
                None
            }
        };
        let n = short.unwrap_or(part.len());
        self.submit(pos, part[..n].to_vec()).wait().await?;
        Ok(n)
    }

    /// A write with a sync behind it that begins at the moment at which the write has landed, and only if that was the whole.
    /// The landing is an effect of its own: a cut may come between the two.
    pub(crate) async fn write_then_sync(&self, pos: u64, data: &Slice) -> io::Result<Linked> {
        if !self.writable {
            return Err(os_error(libc::EBADF));
        }
        self.aligned(pos, data.len(), data.as_ptr())?;
        let done = self.write_once(pos, data).await?;
        if done == data.len() {
            return self.sync_data().await.map(|()| Linked::Synced);
        }
        if self.write_once(pos + done as u64, &data[done..]).await? == data.len() - done {
            return Ok(Linked::Broken);
        }
        Err(io::ErrorKind::WriteZero.into())
    }

    fn submit(&self, pos: u64, data: Vec<u8>) -> Rc<Reply<io::Result<()>>> {
        let core = &self.core;
        let mut shared = core.shared.borrow_mut();
        let len = data.len();
        let mut flying = Flying::new(core.incarnation, self.ino, pos, data, self.path.clone());
        let reply = Rc::clone(&flying.reply);
        if !shared.is_alive(core.node, core.incarnation) {
            return reply;
        }
        flying.errno = shared.injected(core.node, DiskOp::Write, &self.path);
        let space = shared.nodes[core.node].disk.reserve(self.ino, pos, len as u64);
        if let Err(e) = space {
            reply.set(Err(e));
            return reply;
        }
        let id = shared.id();
        let delay = shared.config.write;
        let nanos = shared.draw(delay);
        shared.nodes[core.node].flying.insert(id, flying);
        shared.after(nanos, Event::Land { node: core.node, id });
        shared.effect(core.node, format!("submitted {} {pos}+{len}", self.path));
        reply
    }

    pub(crate) async fn sync_data(&self) -> io::Result<()> {
        let core = &self.core;
        let before = {
            let mut shared = core.shared.borrow_mut();
            shared.nodes[core.node].disk.changes_so_far(self.ino)?
        };
        core.delay(|c| c.sync).await;
        core.check(DiskOp::Sync, &self.path)?;
        {
            let mut shared = core.shared.borrow_mut();
            shared.nodes[core.node].disk.sync_file(self.ino, before)?;
            shared.effect(core.node, format!("synced {}", self.path));
        }
        core.still_here().await;
        Ok(())
    }

    pub(crate) async fn allocate(&self, pos: u64, len: u64) -> io::Result<()> {
        self.core.delay(|c| c.names).await;
        self.core.check(DiskOp::Allocate, &self.path)?;
        let result = {
            let mut shared = self.core.shared.borrow_mut();
            let result = shared.nodes[self.core.node].disk.allocate(self.ino, pos, len);
            let what = if result.is_ok() { "allocated" } else { "allocated a part of" };
            shared.effect(self.core.node, format!("{what} {} {pos}+{len}", self.path));
            result
        };
        self.core.still_here().await;
        result
    }

    pub(crate) async fn set_len(&self, len: u64) -> io::Result<()> {
        self.core.delay(|c| c.names).await;
        self.core.check(DiskOp::Allocate, &self.path)?;
        {
            let mut shared = self.core.shared.borrow_mut();
            shared.nodes[self.core.node].disk.set_length(self.ino, len)?;
            shared.effect(self.core.node, format!("set the length of {} to {len}", self.path));
        }
        self.core.still_here().await;
        Ok(())
    }

    pub(crate) fn len(&self) -> io::Result<u64> {
        self.core.shared.borrow_mut().nodes[self.core.node].disk.length(self.ino)
    }

    pub(crate) fn try_lock_exclusive(&self) -> io::Result<bool> {
        let core = &self.core;
        let mut shared = core.shared.borrow_mut();
        if !shared.is_alive(core.node, core.incarnation) {
            return Ok(false);
        }
        let node = &mut shared.nodes[core.node];
        let me = (core.incarnation, self.handle);
        match node.disk.lock_of(self.ino)? {
            Some(holder) if holder == me => return Ok(true),
            Some((incarnation, _)) if incarnation == core.incarnation => return Ok(false),
            // A dead process holds it until the last of its writes has landed or vanished.
            Some(_) if node.flying.values().any(|f| f.incarnation != core.incarnation) => {
                return Ok(false);
            }
            Some(_) | None => {}
        }
        node.disk.set_lock(self.ino, me)?;
        shared.note(format!("n{} locked {}", core.node, self.path));
        Ok(true)
    }
}
