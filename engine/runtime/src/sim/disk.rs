//! A disk as a file system over a device with a volatile cache: what is there now, and what a power cut may leave.
//!
//! Every file and directory has two forms: `now`, what a reader sees, and `stable`, what is certain to be there after a power
//! cut. Between them lie the changes that no sync has covered. A cut decides on each of them by chance:
//! - a **write** is dropped, kept, torn between sectors, or kept with one sector of garbage, independently of all others;
//! - a **length** (of an extending write, an allocation, a truncation) is dropped or kept; writes are clipped to what is left,
//!   and what no write covers reads as zeros: so do preallocated extents whose conversion was not synced;
//! - a **name** (create, rename, unlink, mkdir) is dropped or kept, either each by itself or all up to some moment, as a
//!   journalling file system does; changes of the same name keep their order, and a rename is one change.
//!
//! A sync of a file covers that file's writes and lengths that had completed before the sync was submitted, and no names. A
//! sync of a directory covers the changes of its names before its submission, and nothing of the files.

use super::content::Content;
use super::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

/// Space is given out in blocks of this size.
pub(crate) const BLOCK: u64 = 4096;

pub(crate) type Ino = u64;

const ROOT: Ino = 0;

#[derive(Clone, Debug)]
enum Change {
    Write { pos: u64, data: Rc<Vec<u8>> },
    Length(u64),
}

#[derive(Clone, Debug, Default)]
struct FileNode {
    now: Content,
    stable: Content,
    /// Completed and not covered by a sync, in order of completion, each with its number.
    unsynced: Vec<(u64, Change)>,
    next_change: u64,
    /// Which blocks have space.
    space: Vec<bool>,
    handles: u32,
    /// Who holds the lock: incarnation of the process, and handle.
    lock: Option<(u64, u64)>,
}

#[derive(Clone, Debug, Default)]
struct Dir {
    now: BTreeMap<String, Ino>,
    stable: BTreeMap<String, Ino>,
}

#[derive(Clone, Debug)]
enum Node {
    Dir(Dir),
    File(FileNode),
}

type Name = (Ino, String);

/// One change of names: what goes and what comes, together or not at all.
#[derive(Clone, Debug)]
struct NameChange {
    number: u64,
    gone: Option<Name>,
    new: Option<(Name, Ino)>,
}

impl NameChange {
    fn names(&self) -> impl Iterator<Item = &Name> {
        self.gone.iter().chain(self.new.iter().map(|(name, _)| name))
    }

    fn touches(&self, dir: Ino) -> bool {
        self.names().any(|(d, _)| *d == dir)
    }
}

/// One node's disk.
#[derive(Clone, Debug)]
pub(crate) struct SimDisk {
    nodes: BTreeMap<Ino, Node>,
    next_ino: Ino,
    unsynced_names: Vec<NameChange>,
    next_name_change: u64,
    capacity: u64,
    sector: usize,
}

pub(crate) fn os_error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

/// What a write that was under way at a cut would have done.
pub(crate) struct Loose {
    pub(crate) ino: Ino,
    pub(crate) pos: u64,
    pub(crate) data: Vec<u8>,
}

impl SimDisk {
    pub(crate) fn new(capacity: u64, sector: usize) -> Self {
        let nodes = BTreeMap::from([(ROOT, Node::Dir(Dir::default()))]);
        Self {
            nodes,
            next_ino: ROOT + 1,
            unsynced_names: Vec::new(),
            next_name_change: 0,
            capacity,
            sector,
        }
    }

    pub(crate) fn set_capacity(&mut self, capacity: u64) {
        self.capacity = capacity;
    }

    pub(crate) fn total(&self) -> u64 {
        self.capacity
    }

    pub(crate) fn free(&self) -> u64 {
        self.capacity.saturating_sub(self.used())
    }

    fn used(&self) -> u64 {
        let blocks: usize = self
            .nodes
            .values()
            .map(|n| match n {
                Node::File(f) => f.space.iter().filter(|b| **b).count(),
                Node::Dir(_) => 1,
            })
            .sum();
        blocks as u64 * BLOCK
    }

    fn dir(&mut self, ino: Ino) -> io::Result<&mut Dir> {
        match self.nodes.get_mut(&ino) {
            Some(Node::Dir(d)) => Ok(d),
            Some(Node::File(_)) => Err(os_error(libc::ENOTDIR)),
            None => Err(os_error(libc::ENOENT)),
        }
    }

    fn file(&mut self, ino: Ino) -> io::Result<&mut FileNode> {
        match self.nodes.get_mut(&ino) {
            Some(Node::File(f)) => Ok(f),
            Some(Node::Dir(_)) => Err(os_error(libc::EISDIR)),
            None => Err(os_error(libc::EBADF)),
        }
    }

    fn parts(path: &Path) -> Vec<String> {
        path.components()
            .filter_map(|c| match c {
                Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
                Component::RootDir
                | Component::CurDir
                | Component::ParentDir
                | Component::Prefix(_) => None,
            })
            .collect()
    }

    /// What `path` names now.
    pub(crate) fn find(&self, path: &Path) -> io::Result<Ino> {
        let mut at = ROOT;
        for part in Self::parts(path) {
            let Some(Node::Dir(dir)) = self.nodes.get(&at) else {
                return Err(os_error(libc::ENOTDIR));
            };
            at = *dir.now.get(&part).ok_or_else(|| os_error(libc::ENOENT))?;
        }
        Ok(at)
    }

    fn parent(&mut self, path: &Path) -> io::Result<Name> {
        let mut parts = Self::parts(path);
        let last = parts.pop().ok_or_else(|| os_error(libc::EINVAL))?;
        let dir = self.find(&parts.iter().collect::<PathBuf>())?;
        self.dir(dir)?;
        Ok((dir, last))
    }

    pub(crate) fn is_dir(&self, ino: Ino) -> bool {
        matches!(self.nodes.get(&ino), Some(Node::Dir(_)))
    }

    fn change_names(&mut self, gone: Option<Name>, new: Option<(Name, Ino)>) -> io::Result<()> {
        let number = self.next_name_change;
        self.next_name_change += 1;
        let change = NameChange { number, gone, new };
        self.apply_now(&change)?;
        self.unsynced_names.push(change);
        Ok(())
    }

    fn apply_now(&mut self, change: &NameChange) -> io::Result<()> {
        if let Some((dir, name)) = &change.gone {
            self.dir(*dir)?.now.remove(name);
        }
        if let Some(((dir, name), ino)) = &change.new {
            self.dir(*dir)?.now.insert(name.clone(), *ino);
        }
        Ok(())
    }

    fn apply_stable(&mut self, change: &NameChange) {
        // A directory that is gone has no names to keep.
        if let Some((dir, name)) = &change.gone
            && let Ok(dir) = self.dir(*dir)
        {
            dir.stable.remove(name);
        }
        if let Some(((dir, name), ino)) = &change.new
            && let Ok(dir) = self.dir(*dir)
        {
            dir.stable.insert(name.clone(), *ino);
        }
    }

    /// Makes a file; whether it was new.
    pub(crate) fn create(&mut self, path: &Path, only_new: bool) -> io::Result<(Ino, bool)> {
        match self.find(path) {
            Ok(_) if only_new => Err(os_error(libc::EEXIST)),
            Ok(ino) => Ok((ino, false)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let name = self.parent(path)?;
                let ino = self.next_ino;
                self.next_ino += 1;
                self.nodes.insert(ino, Node::File(FileNode::default()));
                self.change_names(None, Some((name, ino)))?;
                Ok((ino, true))
            }
            Err(e) => Err(e),
        }
    }

    /// Makes a directory; whether it was new.
    pub(crate) fn create_dir(&mut self, path: &Path) -> io::Result<bool> {
        match self.find(path) {
            Ok(ino) => self.dir(ino).map(|_| false),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let name = self.parent(path)?;
                let ino = self.next_ino;
                self.next_ino += 1;
                self.nodes.insert(ino, Node::Dir(Dir::default()));
                self.change_names(None, Some((name, ino))).map(|()| true)
            }
            Err(e) => Err(e),
        }
    }

    pub(crate) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let ino = self.find(from)?;
        let gone = self.parent(from)?;
        let new = self.parent(to)?;
        if gone == new {
            return Ok(());
        }
        let replaced = self.find(to).ok();
        if let Some(old) = replaced
            && self.is_dir(old)
            && !self.dir(old)?.now.is_empty()
        {
            return Err(os_error(libc::ENOTEMPTY));
        }
        self.change_names(Some(gone), Some((new, ino)))?;
        self.sweep();
        Ok(())
    }

    pub(crate) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        let ino = self.find(path)?;
        if self.is_dir(ino) {
            return Err(os_error(libc::EISDIR));
        }
        let name = self.parent(path)?;
        self.change_names(Some(name), None)?;
        self.sweep();
        Ok(())
    }

    pub(crate) fn remove_dir(&mut self, path: &Path) -> io::Result<()> {
        let ino = self.find(path)?;
        if !self.dir(ino)?.now.is_empty() {
            return Err(os_error(libc::ENOTEMPTY));
        }
        let name = self.parent(path)?;
        self.change_names(Some(name), None)
    }

    /// The names in a directory, and whether each is one itself.
    pub(crate) fn list(&self, path: &Path) -> io::Result<Vec<(String, bool)>> {
        let ino = self.find(path)?;
        let Some(Node::Dir(dir)) = self.nodes.get(&ino) else {
            return Err(os_error(libc::ENOTDIR));
        };
        Ok(dir.now.iter().map(|(name, ino)| (name.clone(), self.is_dir(*ino))).collect())
    }

    /// The number that a sync of names submitted now covers up to, exclusive.
    pub(crate) fn names_so_far(&self) -> u64 {
        self.next_name_change
    }

    /// Completes a sync of the directory `dir` that was submitted when [`SimDisk::names_so_far`] was `before`.
    pub(crate) fn sync_dir(&mut self, dir: Ino, before: u64) {
        let covered: Vec<bool> =
            self.unsynced_names.iter().map(|c| c.number < before && c.touches(dir)).collect();
        self.settle_names(covered);
        // What has no name any more, not after a cut either, takes no space.
        self.sweep();
    }

    /// Makes the chosen changes stable, and with each of them the earlier ones of the same names: on a real disk a name has
    /// one history.
    fn settle_names(&mut self, mut chosen: Vec<bool>) {
        let changes = std::mem::take(&mut self.unsynced_names);
        let mut names: BTreeSet<Name> = BTreeSet::new();
        for (i, change) in changes.iter().enumerate().rev() {
            if chosen[i] || change.names().any(|n| names.contains(n)) {
                chosen[i] = true;
                names.extend(change.names().cloned());
            }
        }
        for (change, chosen) in changes.into_iter().zip(chosen) {
            if chosen {
                self.apply_stable(&change);
            } else {
                self.unsynced_names.push(change);
            }
        }
    }

    pub(crate) fn opened(&mut self, ino: Ino) -> io::Result<()> {
        self.file(ino)?.handles += 1;
        Ok(())
    }

    pub(crate) fn closed(&mut self, ino: Ino, incarnation: u64, handle: u64) {
        if let Ok(file) = self.file(ino) {
            file.handles = file.handles.saturating_sub(1);
            if file.lock == Some((incarnation, handle)) {
                file.lock = None;
            }
        }
        self.sweep();
    }

    /// The lock's holder.
    pub(crate) fn lock_of(&mut self, ino: Ino) -> io::Result<Option<(u64, u64)>> {
        Ok(self.file(ino)?.lock)
    }

    pub(crate) fn set_lock(&mut self, ino: Ino, holder: (u64, u64)) -> io::Result<()> {
        self.file(ino)?.lock = Some(holder);
        Ok(())
    }

    /// The process that held all handles is gone.
    pub(crate) fn close_all(&mut self) {
        for node in self.nodes.values_mut() {
            if let Node::File(f) = node {
                f.handles = 0;
            }
        }
        self.sweep();
    }

    /// Gives up the space of files that nobody can reach: not by name, not by handle, and not after a cut.
    fn sweep(&mut self) {
        let mut reachable: BTreeSet<Ino> = BTreeSet::from([ROOT]);
        for node in self.nodes.values() {
            if let Node::Dir(d) = node {
                reachable.extend(d.now.values().chain(d.stable.values()));
            }
        }
        reachable.extend(self.unsynced_names.iter().filter_map(|c| c.new.as_ref().map(|n| n.1)));
        self.nodes.retain(|ino, node| match node {
            Node::Dir(_) => true,
            Node::File(f) => f.handles > 0 || reachable.contains(ino),
        });
    }

    pub(crate) fn length(&mut self, ino: Ino) -> io::Result<u64> {
        Ok(self.file(ino)?.now.len() as u64)
    }

    pub(crate) fn read(&mut self, ino: Ino, pos: u64, len: usize) -> io::Result<Vec<u8>> {
        Ok(self.file(ino)?.now.read(pos, len))
    }

    /// Finds space for a range, or says that there is none.
    pub(crate) fn reserve(&mut self, ino: Ino, pos: u64, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        let blocks = block_range(pos, len);
        let space = &self.file(ino)?.space;
        let missing =
            blocks.clone().filter(|b| !space.get(*b).copied().unwrap_or(false)).count() as u64;
        if missing == 0 {
            return Ok(());
        }
        if missing > self.free() / BLOCK {
            return Err(os_error(libc::ENOSPC));
        }
        let space = &mut self.file(ino)?.space;
        if space.len() < blocks.end {
            space.resize(blocks.end, false);
        }
        space[blocks].fill(true);
        Ok(())
    }

    /// Allocates: the file grows to hold the range. As ext4 does it, a refusal comes when there is nothing left: what was found
    /// until then stays with the file, which is longer by it.
    pub(crate) fn allocate(&mut self, ino: Ino, pos: u64, len: u64) -> io::Result<()> {
        if let Err(refused) = self.reserve(ino, pos, len) {
            self.take_what_is_left(ino, pos, len)?;
            return Err(refused);
        }
        self.grow_to(ino, pos + len)
    }

    /// Gives the file all the free space there is, from the front of the range on.
    fn take_what_is_left(&mut self, ino: Ino, pos: u64, len: u64) -> io::Result<()> {
        let mut left = self.free() / BLOCK;
        let mut end = 0;
        for block in block_range(pos, len) {
            let space = &mut self.file(ino)?.space;
            if space.len() <= block {
                space.resize(block + 1, false);
            }
            if !space[block] {
                if left == 0 {
                    break;
                }
                left -= 1;
                space[block] = true;
            }
            end = ((block as u64 + 1) * BLOCK).min(pos + len);
        }
        self.grow_to(ino, end)
    }

    fn grow_to(&mut self, ino: Ino, end: u64) -> io::Result<()> {
        let file = self.file(ino)?;
        if end > file.now.len() as u64 {
            file.change(Change::Length(end));
        }
        Ok(())
    }

    pub(crate) fn set_length(&mut self, ino: Ino, len: u64) -> io::Result<()> {
        let file = self.file(ino)?;
        file.change(Change::Length(len));
        let blocks = usize::try_from(len.div_ceil(BLOCK)).unwrap_or(usize::MAX);
        file.space.truncate(blocks);
        Ok(())
    }

    /// A write completes: readers see it, a cut may still lose it.
    pub(crate) fn land(&mut self, ino: Ino, pos: u64, data: Vec<u8>) -> io::Result<()> {
        self.reserve(ino, pos, data.len() as u64)?;
        let file = self.file(ino)?;
        let end = pos + data.len() as u64;
        if end > file.now.len() as u64 {
            file.change(Change::Length(end));
        }
        file.change(Change::Write { pos, data: Rc::new(data) });
        Ok(())
    }

    /// The number that a sync of the file submitted now covers up to, exclusive.
    pub(crate) fn changes_so_far(&mut self, ino: Ino) -> io::Result<u64> {
        Ok(self.file(ino)?.next_change)
    }

    /// Completes a sync of the file that was submitted when [`SimDisk::changes_so_far`] was `before`.
    pub(crate) fn sync_file(&mut self, ino: Ino, before: u64) -> io::Result<()> {
        let file = self.file(ino)?;
        for (number, change) in std::mem::take(&mut file.unsynced) {
            if number < before {
                apply(&mut file.stable, &change);
            } else {
                file.unsynced.push((number, change));
            }
        }
        Ok(())
    }

    /// The power goes: what was not synced is decided upon, and what is left is all there is. `loose` are the writes that
    /// had been submitted and had not completed.
    pub(crate) fn power_cut(&mut self, random: &mut Random, loose: Vec<Loose>) {
        for write in loose {
            // It may have landed although nobody was told. No space, no landing.
            if random.coin() {
                let _no_space = self.land(write.ino, write.pos, write.data);
            }
        }
        let sector = self.sector;
        let changes = self.unsynced_names.len();
        let kept = if random.coin() {
            let until = random.index(changes + 1);
            (0..changes).map(|i| i < until).collect()
        } else {
            (0..changes).map(|_| random.coin()).collect()
        };
        self.settle_names(kept);
        self.unsynced_names.clear();
        for node in self.nodes.values_mut() {
            match node {
                Node::Dir(d) => d.now = d.stable.clone(),
                Node::File(f) => f.power_cut(random, sector),
            }
        }
        let mut reachable = BTreeSet::new();
        self.reach(ROOT, &mut reachable);
        self.nodes.retain(|ino, _| reachable.contains(ino));
    }

    fn reach(&self, ino: Ino, reachable: &mut BTreeSet<Ino>) {
        if !reachable.insert(ino) {
            return;
        }
        if let Some(Node::Dir(d)) = self.nodes.get(&ino) {
            for child in d.now.values() {
                self.reach(*child, reachable);
            }
        }
    }

    /// Turns one bit of what is stored, for good.
    pub(crate) fn flip_bit(&mut self, path: &Path, bit: u64) -> io::Result<()> {
        let ino = self.find(path)?;
        let file = self.file(ino)?;
        let at = usize::try_from(bit / 8).unwrap_or(usize::MAX);
        let mask = 1 << (bit % 8);
        if !file.now.flip(at, mask) {
            return Err(os_error(libc::EINVAL));
        }
        file.stable.flip(at, mask);
        for (_, change) in &mut file.unsynced {
            if let Change::Write { pos, data } = change
                && let Some(byte) = (at as u64).checked_sub(*pos).and_then(|i| {
                    Rc::make_mut(data).get_mut(usize::try_from(i).unwrap_or(usize::MAX))
                })
            {
                *byte ^= mask;
            }
        }
        Ok(())
    }

    /// Every file by path: as a reader sees it, or as it is certain to be after a cut.
    pub(crate) fn image(&self, stable: bool) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        self.collect(ROOT, &PathBuf::from("/"), stable, &mut files);
        files
    }

    fn collect(&self, ino: Ino, at: &Path, stable: bool, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
        match self.nodes.get(&ino) {
            Some(Node::Dir(d)) => {
                for (name, child) in if stable { &d.stable } else { &d.now } {
                    self.collect(*child, &at.join(name), stable, files);
                }
            }
            Some(Node::File(f)) => {
                let bytes = if stable { &f.stable } else { &f.now };
                files.insert(at.to_owned(), bytes.read(0, usize::MAX));
            }
            None => {}
        }
    }
}

impl FileNode {
    fn change(&mut self, change: Change) {
        apply(&mut self.now, &change);
        self.unsynced.push((self.next_change, change));
        self.next_change += 1;
    }

    fn power_cut(&mut self, random: &mut Random, sector: usize) {
        let mut image = std::mem::take(&mut self.stable);
        for (_, change) in std::mem::take(&mut self.unsynced) {
            match change {
                Change::Length(_) => {
                    if random.coin() {
                        apply(&mut image, &change);
                    }
                }
                Change::Write { pos, data } => {
                    for (pos, data) in survivors(pos, &data, random, sector) {
                        image.write(pos, &data);
                    }
                }
            }
        }
        let blocks = usize::try_from((image.len() as u64).div_ceil(BLOCK)).unwrap_or(usize::MAX);
        self.space.resize(blocks, true);
        self.now = image.clone();
        self.stable = image;
        self.handles = 0;
        self.lock = None;
    }
}

/// What a power cut leaves of one write.
fn survivors(pos: u64, data: &[u8], random: &mut Random, sector: usize) -> Vec<(u64, Vec<u8>)> {
    match random.below(8) {
        0..3 => Vec::new(),
        3..6 => vec![(pos, data.to_vec())],
        6 => {
            // Torn: a beginning, an end, or any choice of sectors.
            let pieces = sectors(pos, data, sector);
            let n = pieces.len();
            let how = random.below(3);
            let at = random.index(n + 1);
            pieces
                .into_iter()
                .enumerate()
                .filter(|(i, _)| match how {
                    0 => *i < at,
                    1 => *i >= at,
                    _ => random.coin(),
                })
                .map(|(_, piece)| piece)
                .collect()
        }
        _ => {
            // Garbled: one sector holds neither the old nor the new.
            let mut pieces = sectors(pos, data, sector);
            if !pieces.is_empty() {
                let i = random.index(pieces.len());
                for byte in &mut pieces[i].1 {
                    *byte = random.next().to_le_bytes()[0];
                }
            }
            pieces
        }
    }
}

/// A write, cut at the device's sectors.
fn sectors(pos: u64, data: &[u8], sector: usize) -> Vec<(u64, Vec<u8>)> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < data.len() {
        let here = pos + at as u64;
        let into = usize::try_from(here % sector as u64).unwrap_or(0);
        let n = (sector - into).min(data.len() - at);
        pieces.push((here, data[at..at + n].to_vec()));
        at += n;
    }
    pieces
}

/// A write overwrites what lies within the file's length; the length has its own changes.
fn apply(image: &mut Content, change: &Change) {
    match change {
        Change::Length(len) => image.resize(usize::try_from(*len).unwrap_or(usize::MAX)),
        Change::Write { pos, data } => image.write(*pos, data),
    }
}

fn block_range(pos: u64, len: u64) -> std::ops::Range<usize> {
    let from = usize::try_from(pos / BLOCK).unwrap_or(usize::MAX);
    let to = usize::try_from((pos + len).div_ceil(BLOCK)).unwrap_or(usize::MAX);
    from..to
}

#[cfg(test)]
mod tests;
