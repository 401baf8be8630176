//! Segment files that are open for cold reads: a bounded number, the longest unused is closed first.
//!
//! Readers have descriptors of their own. What a read is still using stays open until the read has ended; a segment that has
//! left the log is forgotten here, so that its space comes back.

use ids::{Offset, PartitionId};
use log::SegmentName;
use runtime::File;
use std::collections::BTreeMap;

/// Above this many files the longest unused is closed.
const OPEN_MAX: usize = 256;

type Key = (PartitionId, SegmentName);

/// The files, by segment and by last use.
#[derive(Debug, Default)]
pub(crate) struct OpenFiles {
    clock: u64,
    files: BTreeMap<Key, (u64, File)>,
    by_use: BTreeMap<u64, Key>,
}

impl OpenFiles {
    /// The segment's file, if it is open; it is the last used one now.
    pub(crate) fn get(&mut self, id: PartitionId, name: SegmentName) -> Option<File> {
        let (used, file) = self.files.get_mut(&(id, name))?;
        self.by_use.remove(used);
        self.clock += 1;
        *used = self.clock;
        self.by_use.insert(self.clock, (id, name));
        Some(file.clone())
    }

    /// Keeps a file that has just been opened; closes another if there are too many.
    pub(crate) fn put(&mut self, id: PartitionId, name: SegmentName, file: File) {
        self.forget(id, name);
        if self.files.len() >= OPEN_MAX
            && let Some((_, key)) = self.by_use.pop_first()
        {
            self.files.remove(&key);
        }
        self.clock += 1;
        self.files.insert((id, name), (self.clock, file));
        self.by_use.insert(self.clock, (id, name));
    }

    /// The segment has left the log.
    pub(crate) fn forget(&mut self, id: PartitionId, name: SegmentName) {
        if let Some((used, _)) = self.files.remove(&(id, name)) {
            self.by_use.remove(&used);
        }
    }

    /// The partition is gone.
    pub(crate) fn forget_partition(&mut self, id: PartitionId) {
        let first = (id, SegmentName { base: Offset(i64::MIN), creation: 0 });
        let from = self.files.range(first..).map(|(key, _)| *key);
        let all: Vec<Key> = from.take_while(|key| key.0 == id).collect();
        for (id, name) in all {
            self.forget(id, name);
        }
    }

    /// How many are open.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::{CoreId, PartitionIndex, TopicId};
    use runtime::Open;
    use runtime::sim::{SimConfig, World};
    use std::path::Path;

    #[test]
    fn a_partition_is_forgotten_and_its_neighbours_are_not() {
        let world = World::new(2, SimConfig::default());
        let node = world.add_node();
        let rt = world.core(node, CoreId(0));
        let it = rt.clone();
        let id = |n: i32| PartitionId { topic: TopicId([1; 16]), index: PartitionIndex(n) };
        world
            .run(&rt, async move {
                let how = Open { write: true, create: true, ..Open::default() };
                let file = it.disk().open(Path::new("/f"), how).await.unwrap();
                let mut open = OpenFiles::default();
                let names = [(0, 0), (0, 7), (100, 1), (i64::MAX, u32::MAX)]
                    .map(|(base, creation)| SegmentName { base: Offset(base), creation });
                for n in 0..3 {
                    for name in names {
                        open.put(id(n), name, file.clone());
                    }
                }
                open.forget_partition(id(1));
                assert_eq!((open.len(), open.by_use.len()), (8, 8));
                for name in names {
                    assert!(open.get(id(1), name).is_none());
                    assert!(open.get(id(0), name).is_some() && open.get(id(2), name).is_some());
                }
            })
            .expect_done();
    }

    #[test]
    fn the_longest_unused_is_closed_first() {
        let world = World::new(1, SimConfig::default());
        let node = world.add_node();
        let rt = world.core(node, CoreId(0));
        let it = rt.clone();
        let id = PartitionId { topic: TopicId([1; 16]), index: PartitionIndex(0) };
        let name = |n: u32| SegmentName { base: Offset(i64::from(n)), creation: n };
        world
            .run(&rt, async move {
                let how = Open { write: true, create: true, ..Open::default() };
                let file = it.disk().open(Path::new("/f"), how).await.unwrap();
                let mut open = OpenFiles::default();
                let all = u32::try_from(OPEN_MAX).unwrap();
                for n in 0..all {
                    open.put(id, name(n), file.clone());
                }
                assert!(open.get(id, name(0)).is_some());
                open.put(id, name(all), file);
                assert_eq!(open.len(), OPEN_MAX);
                assert!(open.get(id, name(0)).is_some(), "used last");
                assert!(open.get(id, name(1)).is_none(), "unused longest");
                open.forget(id, name(0));
                assert!(open.get(id, name(0)).is_none());
                open.forget_partition(id);
                assert_eq!((open.len(), open.by_use.len()), (0, 0));
            })
            .expect_done();
    }
}
