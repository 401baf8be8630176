//! The files and directories of a disk that loses power: names are kept apart from what they name, as each has its own flush.

use std::collections::{BTreeMap, BTreeSet};

use super::content::{Fate, File};
use crate::prove::random::Random;

/// The number of the root directory.
pub(super) const ROOT: u64 = 1;

/// A change of names. A rename is one change.
#[derive(Clone)]
enum Change {
    Link(String, u64),
    Unlink(String),
    Rename(String, String, u64),
}

type Names = BTreeMap<String, u64>;

impl Change {
    fn apply(&self, names: &mut Names) {
        match self {
            Change::Link(name, node) => {
                names.insert(name.clone(), *node);
            }
            Change::Unlink(name) => {
                names.remove(name);
            }
            Change::Rename(from, to, node) => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
        }
    }
}

#[derive(Default)]
pub(super) struct Directory {
    now: Names,
    durable: Names,
    pending: Vec<Change>,
    /// Changes that flushes have taken from the front of `pending`.
    flushed: u64,
}

impl Directory {
    pub(super) fn names(&self) -> &Names {
        &self.now
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.pending.push(change);
    }

    fn flushed(&mut self, moment: u64) {
        let covered = moment.saturating_sub(self.flushed).min(self.pending.len() as u64);
        for change in self.pending.drain(..covered as usize) {
            change.apply(&mut self.durable);
        }
        self.flushed += covered;
    }

    /// Each change by itself, or all up to one of them as a journal keeps them, or none.
    fn cut(&mut self, random: &mut Random, all_lost: bool, fate: &mut Fate) {
        let pending = std::mem::take(&mut self.pending);
        let ordered = all_lost || random.one_in(2);
        let upto = if all_lost { 0 } else { random.below(pending.len() as u64 + 1) };
        self.flushed += pending.len() as u64;
        for (at, change) in (0_u64..).zip(pending) {
            if if ordered { at < upto } else { random.one_in(2) } {
                change.apply(&mut self.durable);
                fate.kept += 1;
            } else {
                fate.dropped += 1;
            }
        }
        self.now = self.durable.clone();
    }
}

/// What a number names.
pub(super) enum Node {
    File(File),
    Directory(Directory),
}

/// Why a change of names is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Absent,
    Exists,
    NotDirectory,
    IsDirectory,
    NotEmpty,
    /// Directories do not move between directories here.
    Unsupported,
}

/// The whole disk.
pub(super) struct Tree {
    nodes: BTreeMap<u64, Node>,
    next: u64,
}

impl Tree {
    pub(super) fn new() -> Tree {
        let root = Node::Directory(Directory::default());
        Tree { nodes: BTreeMap::from([(ROOT, root)]), next: ROOT + 1 }
    }

    pub(super) fn node(&self, number: u64) -> Result<&Node, Refusal> {
        self.nodes.get(&number).ok_or(Refusal::Absent)
    }

    pub(super) fn file(&mut self, number: u64) -> Result<&mut File, Refusal> {
        match self.nodes.get_mut(&number) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Directory(_)) => Err(Refusal::IsDirectory),
            None => Err(Refusal::Absent),
        }
    }

    pub(super) fn directory(&self, number: u64) -> Result<&Directory, Refusal> {
        match self.node(number)? {
            Node::Directory(directory) => Ok(directory),
            Node::File(_) => Err(Refusal::NotDirectory),
        }
    }

    fn directory_mut(&mut self, number: u64) -> Result<&mut Directory, Refusal> {
        match self.nodes.get_mut(&number) {
            Some(Node::Directory(directory)) => Ok(directory),
            Some(Node::File(_)) => Err(Refusal::NotDirectory),
            None => Err(Refusal::Absent),
        }
    }

    pub(super) fn lookup(&self, parent: u64, name: &str) -> Result<u64, Refusal> {
        self.directory(parent)?.now.get(name).copied().ok_or(Refusal::Absent)
    }

    pub(super) fn create(&mut self, parent: u64, name: &str, node: Node) -> Result<u64, Refusal> {
        if self.lookup(parent, name).is_ok() {
            return Err(Refusal::Exists);
        }
        let number = self.next;
        self.directory_mut(parent)?.change(Change::Link(name.to_owned(), number));
        self.nodes.insert(number, node);
        self.next += 1;
        Ok(number)
    }

    /// Removes a name: of a file, or of an empty directory. What it named lives on until the next cut, as it may be open.
    pub(super) fn remove(
        &mut self,
        parent: u64,
        name: &str,
        directory: bool,
    ) -> Result<(), Refusal> {
        let number = self.lookup(parent, name)?;
        match (self.node(number)?, directory) {
            (Node::File(_), true) => return Err(Refusal::NotDirectory),
            (Node::Directory(_), false) => return Err(Refusal::IsDirectory),
            (Node::Directory(inner), true) if !inner.now.is_empty() => {
                return Err(Refusal::NotEmpty);
            }
            (Node::File(_) | Node::Directory(_), _) => {}
        }
        self.directory_mut(parent)?.change(Change::Unlink(name.to_owned()));
        Ok(())
    }

    pub(super) fn rename(
        &mut self,
        (parent, name): (u64, &str),
        (new_parent, new_name): (u64, &str),
    ) -> Result<(), Refusal> {
        let number = self.lookup(parent, name)?;
        if parent != new_parent {
            return Err(Refusal::Unsupported);
        }
        let change = Change::Rename(name.to_owned(), new_name.to_owned(), number);
        if name != new_name {
            self.directory_mut(parent)?.change(change);
        }
        Ok(())
    }

    /// The moment that a flush of this node covers.
    pub(super) fn moment(&self, number: u64) -> Result<u64, Refusal> {
        Ok(match self.node(number)? {
            Node::File(file) => file.moment(),
            Node::Directory(directory) => directory.flushed + directory.pending.len() as u64,
        })
    }

    pub(super) fn flushed(&mut self, number: u64, moment: u64) {
        match self.nodes.get_mut(&number) {
            Some(Node::File(file)) => file.flushed(moment),
            Some(Node::Directory(directory)) => directory.flushed(moment),
            None => {}
        }
    }

    /// Power is lost: what no flush covered is as chance has it, or all lost; what no name leads to is gone.
    pub(super) fn cut(&mut self, random: &mut Random, all_lost: bool) -> (Fate, Fate) {
        let (mut blocks, mut names) = (Fate::default(), Fate::default());
        for node in self.nodes.values_mut() {
            match node {
                Node::File(file) => file.cut(random, all_lost, &mut blocks),
                Node::Directory(directory) => directory.cut(random, all_lost, &mut names),
            }
        }
        let (mut found, mut open) = (BTreeSet::from([ROOT]), vec![ROOT]);
        while let Some(number) = open.pop() {
            if let Some(Node::Directory(directory)) = self.nodes.get(&number) {
                open.extend(directory.now.values().filter(|inner| found.insert(**inner)));
            }
        }
        self.nodes.retain(|number, _| found.contains(number));
        (blocks, names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Node {
        Node::File(File::default())
    }

    #[test]
    fn a_name_is_sure_only_after_its_directory_was_flushed() {
        let mut lost = 0;
        for seed in 0..100 {
            let mut tree = Tree::new();
            tree.create(ROOT, "sure", file()).unwrap();
            tree.flushed(ROOT, tree.moment(ROOT).unwrap());
            let number = tree.create(ROOT, "unsure", file()).unwrap();
            tree.file(number).unwrap().write(0, &[1; 10]);
            tree.flushed(number, tree.moment(number).unwrap());
            tree.cut(&mut Random(seed), false);
            assert!(tree.lookup(ROOT, "sure").is_ok());
            match tree.lookup(ROOT, "unsure") {
                Ok(number) => assert_eq!(tree.file(number).unwrap().read(0, 20), [1; 10]),
                Err(_) => lost += 1,
            }
        }
        assert!(lost > 10 && lost < 90, "{lost}");
    }

    #[test]
    fn a_rename_is_whole_or_not_there() {
        for seed in 0..100 {
            let mut tree = Tree::new();
            let old = tree.create(ROOT, "name", file()).unwrap();
            tree.flushed(ROOT, tree.moment(ROOT).unwrap());
            let new = tree.create(ROOT, "name.new", file()).unwrap();
            tree.rename((ROOT, "name.new"), (ROOT, "name")).unwrap();
            tree.cut(&mut Random(seed), false);
            let found = tree.lookup(ROOT, "name").unwrap();
            assert!(found == old || found == new);
        }
    }

    /// As a broker places a file: written aside, flushed, renamed, its directory flushed; twice through the same other name.
    #[test]
    fn files_that_were_placed_durably_keep_name_size_and_content() {
        for (seed, all_lost) in (0..100).map(|seed| (seed, seed % 2 == 0)) {
            let mut tree = Tree::new();
            let inner = tree.create(ROOT, "d", Node::Directory(Directory::default())).unwrap();
            tree.flushed(ROOT, tree.moment(ROOT).unwrap());
            let mut place = |name: &str, text: &[u8]| {
                let number = tree.create(inner, "new", file()).unwrap();
                tree.file(number).unwrap().write(0, text);
                tree.flushed(number, tree.moment(number).unwrap());
                tree.rename((inner, "new"), (inner, name)).unwrap();
                tree.flushed(inner, tree.moment(inner).unwrap());
            };
            place("layout", b"first");
            place("layout.copy", b"first");
            place("layout", b"the second");
            // A flush that is asked for before a change does not cover it, though it ends after it.
            let asked = tree.moment(inner).unwrap();
            tree.rename((inner, "layout"), (inner, "lost")).unwrap();
            tree.flushed(inner, asked);
            tree.cut(&mut Random(seed), all_lost);
            let layout = tree.lookup(inner, "layout").or_else(|_| tree.lookup(inner, "lost"));
            assert!(!all_lost || tree.lookup(inner, "layout").is_ok());
            assert_eq!(tree.file(layout.unwrap()).unwrap().read(0, 4096), b"the second");
            let copy = tree.lookup(inner, "layout.copy").unwrap();
            assert_eq!(tree.file(copy).unwrap().read(0, 4096), b"first");
            assert_eq!(tree.lookup(inner, "new"), Err(Refusal::Absent));
        }
    }

    #[test]
    fn names_are_refused_as_a_file_system_refuses_them() {
        let mut tree = Tree::new();
        let inner = tree.create(ROOT, "d", Node::Directory(Directory::default())).unwrap();
        tree.create(inner, "f", file()).unwrap();
        assert_eq!(tree.create(inner, "f", file()), Err(Refusal::Exists));
        assert_eq!(tree.remove(ROOT, "d", true), Err(Refusal::NotEmpty));
        assert_eq!(tree.remove(ROOT, "d", false), Err(Refusal::IsDirectory));
        assert_eq!(tree.remove(inner, "f", true), Err(Refusal::NotDirectory));
        assert_eq!(tree.remove(inner, "g", false), Err(Refusal::Absent));
        assert_eq!(tree.rename((inner, "f"), (ROOT, "f")), Err(Refusal::Unsupported));
        tree.remove(inner, "f", false).unwrap();
        tree.remove(ROOT, "d", true).unwrap();
    }
}
