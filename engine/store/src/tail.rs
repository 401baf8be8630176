//! The end of a partition's log, in memory.
//!
//! Bytes go in once and never change afterwards; they are what tail fetches send, what segment blocks are written from, and
//! what the rest log gets. A chunk is dropped when its bytes can be read from a file and the memory is wanted.

use crate::format::{BLOCK, blocks};
use log::SegmentName;
use runtime::{Buffer, Memory, Slice};
use std::collections::VecDeque;

/// Chunks grow with use: 4, 16, 64, 256 KiB.
const CHUNK_MIN: usize = 4096;
const CHUNK_MAX: usize = 256 * 1024;

/// Adjoining bytes of one segment.
#[derive(Debug)]
struct Chunk {
    segment: SegmentName,
    /// Position in the segment of the first byte; whole blocks.
    base: u32,
    /// The first byte that is here. What the block holds before it is in the rest log, and the buffer has zeros there.
    from: u32,
    buffer: Buffer,
}

impl Chunk {
    fn end(&self) -> u32 {
        self.base + to_u32(self.buffer.len())
    }
}

fn to_u32(n: usize) -> u32 {
    // Segments end below 2 GiB.
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The chunks of one partition, in the order of the log.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    chunks: VecDeque<Chunk>,
    next_chunk: usize,
    /// Bytes that are known to come: chunks are then as large as they need to be, and no larger.
    expected: usize,
}

impl Tail {
    /// Copies `bytes` to `position` of `segment`, which is where the tail ends, or the start of a new segment.
    pub(crate) fn append(
        &mut self,
        memory: &Memory,
        segment: SegmentName,
        position: u32,
        bytes: &[u8],
    ) {
        let mut position = position;
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = match self.chunks.back() {
                Some(c) if c.segment == segment => {
                    assert_eq!(c.end(), position, "a hole in the tail of {segment}");
                    c.buffer.remaining()
                }
                _ => {
                    assert_eq!(
                        position as usize % BLOCK,
                        0,
                        "the tail of {segment} begins inside a block"
                    );
                    0
                }
            };
            if room == 0 {
                self.grow(memory, segment, position, rest.len());
                continue;
            }
            let Some(chunk) = self.chunks.back_mut() else { return };
            let (now, later) = rest.split_at(room.min(rest.len()));
            chunk.buffer.append(now);
            self.expected = self.expected.saturating_sub(now.len());
            position += to_u32(now.len());
            rest = later;
        }
    }

    fn grow(&mut self, memory: &Memory, segment: SegmentName, base: u32, wanted: usize) {
        let capacity = match self.expected.max(wanted).min(CHUNK_MAX) {
            exact if self.expected > 0 => blocks(exact),
            wanted => Memory::rounded(wanted).max(self.next_chunk.clamp(CHUNK_MIN, CHUNK_MAX)),
        };
        // A partition that gets little must not hold much: of a thousand such, the empty ends of their chunks are the memory.
        self.next_chunk = (capacity * 2).min(CHUNK_MAX);
        let buffer = memory.alloc_beyond(capacity);
        self.chunks.push_back(Chunk { segment, base, from: base, buffer });
    }

    /// Prepares for `wanted` bytes at `position` of `segment`, inside a block whose beginning the rest log holds: memory had
    /// to give it up, and it does not come back.
    pub(crate) fn resume(
        &mut self,
        memory: &Memory,
        segment: SegmentName,
        position: u32,
        wanted: usize,
    ) {
        let begun = position as usize % BLOCK;
        self.grow(memory, segment, position - to_u32(begun), begun + wanted);
        let Some(chunk) = self.chunks.back_mut() else { return };
        chunk.buffer.append(&[0; BLOCK][..begun]);
        chunk.from = position;
    }

    /// Whether the next byte at `position` of `segment` goes behind one that is here.
    pub(crate) fn ends_at(&self, segment: SegmentName, position: u32) -> bool {
        self.chunks.back().is_some_and(|c| c.segment == segment && c.end() == position)
    }

    /// Announces how many bytes replay is going to append.
    pub(crate) fn expect(&mut self, bytes: usize) {
        self.expected = bytes;
    }

    /// Forgets how much the partition was used: the next chunk is small again.
    pub(crate) fn rest(&mut self) {
        self.next_chunk = 0;
        self.expected = 0;
    }

    /// The bytes `from..to` of `segment`, if all of them are here.
    pub(crate) fn slices(&self, segment: SegmentName, from: u32, to: u32) -> Option<Vec<Slice>> {
        let mut out = Vec::new();
        let mut at = from;
        let first = self.chunks.partition_point(|c| (c.segment, c.end()) <= (segment, from));
        for c in self.chunks.iter().skip(first) {
            if at == to {
                break;
            }
            if c.segment != segment || c.from > at {
                return None;
            }
            let end = c.end().min(to);
            out.push(c.buffer.slice((at - c.base) as usize..(end - c.base) as usize));
            at = end;
        }
        (at == to).then_some(out)
    }

    /// How far, up to `to`, the bytes of `segment` from `from` on are here without a gap.
    pub(crate) fn run_end(&self, segment: SegmentName, from: u32, to: u32) -> u32 {
        let mut at = from;
        for c in self.chunks.iter().filter(|c| c.segment == segment) {
            if c.from <= at && c.end() > at {
                at = c.end();
            }
        }
        at.min(to)
    }

    /// Copies bytes from `at` of `segment` into `out`; how many were there.
    pub(crate) fn peek(&self, segment: SegmentName, at: u32, out: &mut [u8]) -> usize {
        let mut done = 0;
        let first = self.chunks.partition_point(|c| (c.segment, c.end()) <= (segment, at));
        for c in self.chunks.iter().skip(first) {
            let from = at + to_u32(done);
            if done == out.len() || c.segment != segment || c.from > from {
                break;
            }
            let here = c.buffer.filled();
            let here = &here[(from - c.base) as usize..];
            let n = here.len().min(out.len() - done);
            out[done..done + n].copy_from_slice(&here[..n]);
            done += n;
        }
        done
    }

    /// The lowest position of `segment` that is here; `None` if nothing of it is.
    pub(crate) fn begins(&self, segment: SegmentName) -> Option<u32> {
        let first = self.chunks.partition_point(|c| c.segment < segment);
        self.chunks.get(first).filter(|c| c.segment == segment).map(|c| c.from)
    }

    /// One run of whole blocks of `segment` at `from`, not beyond `to` and not longer than a chunk. With `pad`, `to` is the
    /// end of the sealed segment and the last block is filled up with zeros.
    pub(crate) fn blocks(
        &mut self,
        segment: SegmentName,
        from: u32,
        to: u32,
        pad: bool,
    ) -> Option<Slice> {
        let at = self.chunks.partition_point(|c| (c.segment, c.end()) <= (segment, from));
        let c = self.chunks.get_mut(at).filter(|c| c.segment == segment && c.from <= from)?;
        let start = (from - c.base) as usize;
        let mut end = (to.min(c.end()) - c.base) as usize;
        if pad && c.base + to_u32(end) == to {
            c.buffer.pad_to(BLOCK);
            end = end.next_multiple_of(BLOCK);
        } else {
            end -= end % BLOCK;
        }
        (end > start).then(|| c.buffer.slice(start..end))
    }

    /// How many chunks there are.
    pub(crate) fn len(&self) -> usize {
        self.chunks.len()
    }

    /// How many chunks of `segment` end beyond `from` and not beyond `to`.
    pub(crate) fn ends_within(&self, segment: SegmentName, from: u32, to: u32) -> usize {
        let upto =
            |end: u32| self.chunks.partition_point(|c| (c.segment, c.end()) <= (segment, end));
        upto(to) - upto(from)
    }

    /// Whether somebody holds bytes of the oldest chunk.
    pub(crate) fn oldest_is_shared(&self) -> bool {
        self.chunks.front().is_some_and(|c| c.buffer.is_shared())
    }

    /// Drops the oldest chunk.
    pub(crate) fn drop_oldest(&mut self) {
        self.chunks.pop_front();
    }

    /// Drops all chunks of segments below `name`, which have left the log.
    pub(crate) fn drop_before(&mut self, name: SegmentName) {
        while self.chunks.front().is_some_and(|c| c.segment < name) {
            self.chunks.pop_front();
        }
    }

    /// The log ends at `end` now (segment and position), or has nothing any more. Bytes that have been shown never change: what
    /// is left of the chunk that holds the end goes to a new one.
    pub(crate) fn truncate(&mut self, memory: &Memory, end: Option<(SegmentName, u32)>) {
        let Some((segment, position)) = end else { return self.clear() };
        let beyond = |c: &Chunk| (c.segment, c.from) >= (segment, position);
        while self.chunks.back().is_some_and(beyond) {
            self.chunks.pop_back();
        }
        let Some(c) = self.chunks.back_mut().filter(|c| c.segment == segment) else { return };
        if c.end() > position {
            let left = (position - c.base) as usize;
            let mut buffer = memory.alloc_beyond(blocks(left));
            buffer.append(&c.buffer.filled()[..left]);
            c.buffer = buffer;
        }
    }

    /// Segment and base of every chunk, oldest first.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = (SegmentName, u32, u32)> + '_ {
        self.chunks.iter().map(|c| (c.segment, c.base, c.end()))
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        self.chunks.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::Offset;

    fn name(base: i64, creation: u32) -> SegmentName {
        SegmentName { base: Offset(base), creation }
    }

    fn bytes(slices: &[Slice]) -> Vec<u8> {
        slices.iter().flat_map(|s| s.iter().copied()).collect()
    }

    #[test]
    fn a_truncation_leaves_what_was_shown_and_takes_what_is_behind() {
        let memory = Memory::new(1 << 20);
        let (first, second) = (name(0, 0), name(50, 1));
        let mut tail = Tail::default();
        let all: Vec<u8> = (0..9_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        tail.append(&memory, first, 0, &all);
        tail.append(&memory, second, 0, b"behind");
        let shown = tail.slices(first, 0, 9_000).unwrap();
        tail.truncate(&memory, Some((first, 5_000)));
        assert_eq!(bytes(&shown), all, "a reader still has them");
        assert_eq!(bytes(&tail.slices(first, 0, 5_000).unwrap()), all[..5_000]);
        assert!(tail.slices(first, 0, 5_001).is_none() && tail.begins(second).is_none());
        // The next segment begins at an offset that one had before.
        tail.append(&memory, name(50, 2), 0, b"again");
        assert_eq!(bytes(&tail.slices(name(50, 2), 0, 5).unwrap()), b"again");
        let padded = tail.blocks(first, 4_096, 5_000, true).unwrap();
        assert_eq!((padded.len(), padded[5_000 - 4_096]), (4_096, 0));
        tail.truncate(&memory, None);
        assert_eq!(tail.len(), 0);
    }
}
