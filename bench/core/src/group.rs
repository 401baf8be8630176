//! What one flush makes durable: a run of batches, written as one.
//!
//! ```text
//!  0  magic     8   "RWBENCH1"
//!  8  number    u64
//! 16  length    u32  bytes after this header, without the padding
//! 20  batches   u32
//! 24  crc       u32  of bytes 0 to 24; each batch has its own
//! 28  zero      4
//! 32  (partition u32, length u32, batch) for each batch; then zeros up to whole blocks
//! ```

use crate::block::{BLOCK, Block};
use ids::{LeaderEpoch, Offset};
use record::{BatchView, ValidBatch};
use std::collections::BTreeMap;

/// The most that a group takes, header and padding included.
pub const GROUP_BYTES: usize = 1 << 20;

const MAGIC: &[u8; 8] = b"RWBENCH1";
pub(crate) const HEADER: usize = 32;
pub(crate) const BATCH_HEADER: usize = 8;

/// A group: first it is filled, then it is written and flushed.
#[derive(Debug)]
pub struct Group<B> {
    pub(crate) number: u64,
    pub(crate) position: u64,
    batches: u32,
    block: B,
    /// Partition and its end once this group is durable.
    pub(crate) ends: Vec<(usize, Offset)>,
    pub(crate) connections: Vec<usize>,
}

impl<B: Block> Group<B> {
    pub(crate) fn new(number: u64, mut block: B) -> Self {
        block.spare_mut()[..HEADER].fill(0);
        block.advance(HEADER);
        let (ends, connections) = (Vec::new(), Vec::new());
        Self { number, position: 0, batches: 0, block, ends, connections }
    }

    pub(crate) fn has_room(&self, batch: usize) -> bool {
        self.block.len() + BATCH_HEADER + batch <= GROUP_BYTES
    }

    /// Copies the batch in, with its place in the log, and makes the copy that readers get.
    pub(crate) fn push<P: for<'a> From<&'a [u8]>>(
        &mut self,
        partition: usize,
        batch: &ValidBatch<&[u8]>,
        base: Offset,
        epoch: LeaderEpoch,
        connection: usize,
    ) -> P {
        let len = batch.bytes().len();
        assert!(self.has_room(len), "a batch overflows its group");
        let (head, rest) = self.block.spare_mut().split_at_mut(BATCH_HEADER);
        head[..4].copy_from_slice(&number(partition));
        head[4..].copy_from_slice(&number(len));
        let copy = P::from(batch.place_into(base, epoch, rest).bytes());
        self.block.advance(BATCH_HEADER + len);
        self.batches += 1;
        self.ends.push((partition, base + i64::from(batch.header().offsets())));
        if self.connections.last() != Some(&connection) {
            self.connections.push(connection);
        }
        copy
    }

    /// Nothing more comes in: pads to whole blocks and writes the header.
    pub(crate) fn seal(&mut self) {
        let used = self.block.len();
        let padding = used.next_multiple_of(BLOCK) - used;
        self.block.spare_mut()[..padding].fill(0);
        self.block.advance(padding);
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        header[8..16].copy_from_slice(&self.number.to_be_bytes());
        header[16..20].copy_from_slice(&number(used - HEADER));
        header[20..24].copy_from_slice(&self.batches.to_be_bytes());
        let crc = crc32c::crc32c(&header[..24]);
        header[24..28].copy_from_slice(&crc.to_be_bytes());
        self.block.patch(0, &header);
    }

    /// Its number, counted from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Where in the file it goes.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Its bytes: whole blocks.
    pub fn block(&self) -> &B {
        &self.block
    }

    /// As [`Group::block`], for runtimes that take the memory away while they write.
    pub fn block_mut(&mut self) -> &mut B {
        &mut self.block
    }

    /// The connections that wait for it.
    pub fn connections(&self) -> &[usize] {
        &self.connections
    }

    pub(crate) fn into_block(self) -> B {
        self.block
    }
}

/// Everything is far below 2^32, by [`GROUP_BYTES`].
fn number(n: usize) -> [u8; 4] {
    u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes()
}

/// What a ring file holds: the batches of each partition by base offset.
pub type ReadBack = BTreeMap<u32, BTreeMap<i64, Vec<u8>>>;

/// Reads a ring file that has not gone round, as a check of what was acknowledged.
///
/// # Errors
/// Something that no edition writes: says what, and where.
pub fn read_back(file: &[u8]) -> Result<ReadBack, String> {
    let (mut at, mut expected, mut found) = (0, 1u64, ReadBack::new());
    while let Some(head) = file.get(at..).and_then(<[u8]>::first_chunk::<HEADER>) {
        if head.iter().all(|b| *b == 0) {
            break;
        }
        let crc = u32_at(head, 24);
        if !head.starts_with(MAGIC) || crc != Some(crc32c::crc32c(&head[..24])) {
            return Err(format!("no group at {at}"));
        }
        let number = head[8..16].iter().fold(0, |n, b| n << 8 | u64::from(*b));
        if number != expected {
            return Err(format!("group {number} at {at}, {expected} was due"));
        }
        let length = u32_at(head, 16).unwrap_or(0) as usize;
        let mut rest = file.get(at + HEADER..at + HEADER + length).ok_or("a group is cut")?;
        for _ in 0..u32_at(head, 20).unwrap_or(0) {
            let (partition, len) = (u32_at(rest, 0), u32_at(rest, 4));
            let (Some(partition), Some(len)) = (partition, len) else {
                return Err(format!("a batch is missing in group {number}"));
            };
            let end = BATCH_HEADER + len as usize;
            let bytes = rest.get(BATCH_HEADER..end).ok_or("a batch is cut")?;
            let batch = BatchView::first(bytes).map_err(|e| e.to_string())?;
            batch.check_crc().map_err(|e| format!("group {number}: {e}"))?;
            let base = batch.header().base_offset.0;
            found.entry(partition).or_default().insert(base, bytes.to_vec());
            rest = &rest[end..];
        }
        at = (at + HEADER + length).next_multiple_of(BLOCK);
        expected += 1;
    }
    Ok(found)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*bytes))
}
