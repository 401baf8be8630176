//! Places in the ring. Pure.
//!
//! Positions count bytes since the ring was made and never go back; position modulo size is the place on disk. A commit never
//! spans two ring files, so a flush of a commit is a flush of one file.

use crate::format::BLOCK;

/// Where a commit goes, and the skip that must come before it if it does not fit into the rest of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placing {
    /// A skip of one block at this position ends the present file.
    pub(crate) skip: Option<u64>,
    /// The commit's own position.
    pub(crate) position: u64,
    /// The position after it.
    pub(crate) next: u64,
}

/// The ring's space. Always: `start <= head <= start + size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ring {
    pub(crate) files: u64,
    pub(crate) file_bytes: u64,
    pub(crate) start: u64,
    pub(crate) head: u64,
}

impl Ring {
    pub(crate) fn size(&self) -> u64 {
        self.files * self.file_bytes
    }

    pub(crate) fn used(&self) -> u64 {
        self.head - self.start
    }

    /// Which file holds `position`, and where in it.
    pub(crate) fn locate(&self, position: u64) -> (usize, u64) {
        let file = position / self.file_bytes % self.files;
        (usize::try_from(file).unwrap_or(0), position % self.file_bytes)
    }

    /// Where a commit of `length` bytes (whole blocks, at most a file) would go; `None` if the space is not free.
    pub(crate) fn place(&self, length: u64) -> Option<Placing> {
        assert!(length > 0 && length.is_multiple_of(BLOCK as u64) && length <= self.file_bytes);
        let left = self.file_bytes - self.head % self.file_bytes;
        let (skip, position) =
            if length <= left { (None, self.head) } else { (Some(self.head), self.head + left) };
        let next = position + length;
        (next - self.start <= self.size()).then_some(Placing { skip, position, next })
    }

    /// Takes the space that [`Ring::place`] has found.
    pub(crate) fn take(&mut self, placing: Placing) {
        self.head = placing.next;
    }

    /// Gives everything before `position` back.
    pub(crate) fn release(&mut self, position: u64) {
        assert!(self.start <= position && position <= self.head, "ring start out of bounds");
        self.start = position;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_never_spans_two_files_and_never_overtakes_the_start() {
        let mut ring = Ring { files: 2, file_bytes: 16384, start: 0, head: 0 };
        let first = ring.place(12288).unwrap();
        assert_eq!(first, Placing { skip: None, position: 0, next: 12288 });
        ring.take(first);
        let second = ring.place(8192).unwrap();
        assert_eq!(second, Placing { skip: Some(12288), position: 16384, next: 24576 });
        ring.take(second);
        assert_eq!(ring.place(12288), None);
        ring.release(16384);
        let third = ring.place(12288).unwrap();
        assert_eq!(third, Placing { skip: Some(24576), position: 32768, next: 45056 });
        assert_eq!(ring.locate(32768), (0, 0));
    }

    #[test]
    fn a_file_may_be_filled_to_the_last_block() {
        let mut ring = Ring { files: 2, file_bytes: 8192, start: 0, head: 4096 };
        let p = ring.place(4096).unwrap();
        assert_eq!(p, Placing { skip: None, position: 4096, next: 8192 });
        ring.take(p);
        assert_eq!(ring.locate(ring.head), (1, 0));
    }
}
