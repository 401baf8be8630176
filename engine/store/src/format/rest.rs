//! A piece of the rest log: bytes of one partition that do not deserve a write of their own yet.
//!
//! The manifest says which pieces live and where; the header here lets a person, or a check, read the file by itself.

use super::le;
use ids::{Offset, PartitionId};
use log::SegmentName;

/// Bytes of a piece's header; the bytes follow, padded to 8.
pub const HEADER: usize = 64;
const MAGIC: u32 = u32::from_le_bytes(*b"RWRP");

/// A piece's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whose bytes.
    pub partition: PartitionId,
    /// Of which segment.
    pub segment: SegmentName,
    /// Their position in it.
    pub position: u32,
    /// How many.
    pub length: u32,
    /// Their CRC-32C.
    pub crc: u32,
}

impl Header {
    /// The header's bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HEADER] {
        let mut h = [0; HEADER];
        h[..4].copy_from_slice(&MAGIC.to_le_bytes());
        h[4..8].copy_from_slice(&self.length.to_le_bytes());
        h[8..28].copy_from_slice(&self.partition.to_bytes());
        h[28..32].copy_from_slice(&self.segment.creation.to_le_bytes());
        h[32..40].copy_from_slice(&self.segment.base.0.to_le_bytes());
        h[40..44].copy_from_slice(&self.position.to_le_bytes());
        h[44..48].copy_from_slice(&self.crc.to_le_bytes());
        h
    }

    /// Reads a header; `None` if there is none.
    #[must_use]
    pub fn parse(b: &[u8]) -> Option<Self> {
        if b.len() < HEADER || le::u32(b, 0) != MAGIC {
            return None;
        }
        let mut id = [0; PartitionId::LEN];
        id.copy_from_slice(&b[8..28]);
        Some(Self {
            partition: PartitionId::from_bytes(&id),
            segment: SegmentName { base: Offset(le::i64(b, 32)), creation: le::u32(b, 28) },
            position: le::u32(b, 40),
            length: le::u32(b, 4),
            crc: le::u32(b, 44),
        })
    }
}

/// Bytes that a piece of `length` takes.
#[must_use]
pub fn size(length: usize) -> usize {
    HEADER + length.next_multiple_of(8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::{PartitionIndex, TopicId};

    #[test]
    fn a_header_reads_back() {
        let h = Header {
            partition: PartitionId { topic: TopicId([1; 16]), index: PartitionIndex(9) },
            segment: SegmentName { base: Offset(5), creation: 2 },
            position: 4096,
            length: 100,
            crc: 0xdead_beef,
        };
        assert_eq!(Header::parse(&h.to_bytes()), Some(h));
        assert_eq!(Header::parse(&[0; HEADER]), None);
        assert_eq!(size(9), HEADER + 16);
    }
}
