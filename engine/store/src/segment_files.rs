//! The segments' files of one partition, by name: a sorted list, which of one file takes no more than the file.

use crate::partition::SegmentFile;
use log::SegmentName;
use std::collections::BTreeSet;

/// So many grow by one at a time: most partitions have one or two.
const SHORT: usize = 4;

/// Names come in order, but for those that compaction makes.
#[derive(Debug, Default)]
pub(crate) struct SegmentFiles {
    list: Vec<(SegmentName, SegmentFile)>,
}

impl SegmentFiles {
    fn find(&self, name: SegmentName) -> Result<usize, usize> {
        self.list.binary_search_by_key(&name, |(name, _)| *name)
    }

    pub(crate) fn get(&self, name: &SegmentName) -> Option<&SegmentFile> {
        let at = self.find(*name).ok()?;
        self.list.get(at).map(|(_, f)| f)
    }

    pub(crate) fn get_mut(&mut self, name: &SegmentName) -> Option<&mut SegmentFile> {
        let at = self.find(*name).ok()?;
        self.list.get_mut(at).map(|(_, f)| f)
    }

    pub(crate) fn contains_key(&self, name: &SegmentName) -> bool {
        self.find(*name).is_ok()
    }

    /// Takes a file in the place of the one of that name.
    pub(crate) fn insert(&mut self, name: SegmentName, file: SegmentFile) {
        *self.get_or_default(name) = file;
    }

    pub(crate) fn get_or_default(&mut self, name: SegmentName) -> &mut SegmentFile {
        let at = self.find(name).unwrap_or_else(|at| {
            if self.list.len() == self.list.capacity() && self.list.len() < SHORT {
                self.list.reserve_exact(1);
            }
            self.list.insert(at, (name, SegmentFile::default()));
            at
        });
        &mut self.list[at].1
    }

    /// Of thousands that retention takes at once each is moved at most once.
    pub(crate) fn remove_all(&mut self, names: &[SegmentName]) {
        if names.is_empty() {
            return;
        }
        let names: BTreeSet<SegmentName> = names.iter().copied().collect();
        self.list.retain(|(name, _)| !names.contains(name));
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &SegmentFile> {
        self.list.iter().map(|(_, f)| f)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (SegmentName, &mut SegmentFile)> {
        self.list.iter_mut().map(|(name, f)| (*name, f))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.list = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::Offset;

    fn name(base: i64) -> SegmentName {
        SegmentName { base: Offset(base), creation: 0 }
    }

    #[test]
    fn files_are_in_order_and_found_by_name_and_one_takes_the_room_of_one() {
        let mut files = SegmentFiles::default();
        files.insert(name(20), SegmentFile { written: 1, ..SegmentFile::default() });
        assert_eq!(files.list.capacity(), 1);
        files.get_or_default(name(20)).written += 1;
        files.get_or_default(name(30)).written = 3;
        files.insert(name(10), SegmentFile { written: 4, ..SegmentFile::default() });
        let all: Vec<_> = files.iter_mut().map(|(name, f)| (name.base.0, f.written)).collect();
        assert_eq!(all, [(10, 4), (20, 2), (30, 3)]);
        assert!(files.get(&name(15)).is_none() && files.contains_key(&name(30)));
        files.remove_all(&[name(20), name(15), name(10)]);
        assert_eq!(files.values().map(|f| f.written).collect::<Vec<_>>(), [3]);
        files.clear();
        assert!(files.is_empty() && files.list.capacity() == 0);
    }
}
