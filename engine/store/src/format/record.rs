//! A record of the journal: one thing that happened to one partition.

use super::le;
use ids::{LeaderEpoch, Offset, PartitionId, Timestamp};
use log::{Place, SegmentName};

/// Bytes of the fixed part; the payload follows, padded to 8.
pub const HEADER: usize = 80;

/// What happened. The numbers are the format's and never change; 3 (Extent), 6 (EpochStart), 7 (Seal),
/// 9 (HighWatermark), 11 (Released) and 12 (Adopted) are reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Type {
    /// A process began to write this ring. No partition.
    Start = 1,
    /// A batch was appended; the payload is the batch.
    Data = 2,
    /// The log was cut back to `offset`; the payload says what is left: see `truncate.rs`. `generation` is the new one.
    Truncate = 4,
    /// The log's start moved up to `offset`.
    LogStart = 5,
    /// The partition is gone.
    Delete = 8,
    /// A process stopped in good order. No partition.
    CleanShutdown = 10,
    /// The partitions of the predecessor commit, 20 bytes each: should that one be damaged, these are the ones that lost
    /// something. All zeros among them says that they are not known. No partition.
    Directory = 13,
}

impl Type {
    fn from_u8(n: u8) -> Option<Self> {
        Some(match n {
            1 => Self::Start,
            2 => Self::Data,
            4 => Self::Truncate,
            5 => Self::LogStart,
            8 => Self::Delete,
            10 => Self::CleanShutdown,
            13 => Self::Directory,
            _ => return None,
        })
    }
}

/// The fixed part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What happened.
    pub kind: Type,
    /// Bytes of the payload.
    pub length: u32,
    /// To which partition; all zeros for none.
    pub partition: PartitionId,
    /// The partition's truncation generation.
    pub generation: u32,
    /// The sequence of the commit that holds this partition's previous record; 0 if there is none.
    pub previous: u64,
    /// Base offset of the batch, new start, or new end.
    pub offset: Offset,
    /// Leader epoch of the batch.
    pub epoch: LeaderEpoch,
    /// Where the batch lies in its segment.
    pub place: Place,
    /// Wall clock of the decision.
    pub at: Timestamp,
}

impl Header {
    /// The fixed part's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER] {
        let mut h = [0; HEADER];
        h[0] = self.kind as u8;
        h[4..8].copy_from_slice(&self.length.to_le_bytes());
        h[8..28].copy_from_slice(&self.partition.to_bytes());
        h[28..32].copy_from_slice(&self.generation.to_le_bytes());
        h[32..40].copy_from_slice(&self.previous.to_le_bytes());
        h[40..48].copy_from_slice(&self.offset.0.to_le_bytes());
        h[48..52].copy_from_slice(&self.epoch.0.to_le_bytes());
        h[52..56].copy_from_slice(&self.place.segment.creation.to_le_bytes());
        h[56..64].copy_from_slice(&self.place.segment.base.0.to_le_bytes());
        h[64..68].copy_from_slice(&self.place.position.to_le_bytes());
        h[72..80].copy_from_slice(&self.at.0.to_le_bytes());
        h
    }

    fn parse(b: &[u8]) -> Option<Self> {
        if b.len() < HEADER {
            return None;
        }
        let mut partition = [0; PartitionId::LEN];
        partition.copy_from_slice(&b[8..28]);
        let segment = SegmentName { base: Offset(le::i64(b, 56)), creation: le::u32(b, 52) };
        Some(Self {
            kind: Type::from_u8(b[0])?,
            length: le::u32(b, 4),
            partition: PartitionId::from_bytes(&partition),
            generation: le::u32(b, 28),
            previous: le::u64(b, 32),
            offset: Offset(le::i64(b, 40)),
            epoch: LeaderEpoch(le::u32(b, 48).cast_signed()),
            place: Place { segment, position: le::u32(b, 64) },
            at: Timestamp(le::i64(b, 72)),
        })
    }
}

/// Bytes that a record with a payload of `length` takes.
#[must_use]
pub fn size(length: usize) -> usize {
    HEADER + length.next_multiple_of(8)
}

/// The records of a commit whose CRC has been checked, in order. Ends early with `Err` if the bytes are not records all the
/// same: a defect of ours, or a newer format.
pub fn records(mut bytes: &[u8], count: u32) -> impl Iterator<Item = Result<(Header, &[u8]), u32>> {
    let mut index = 0;
    std::iter::from_fn(move || {
        if index == count {
            return None;
        }
        let parsed = Header::parse(bytes).and_then(|h| {
            let payload = bytes.get(HEADER..)?.get(..h.length as usize)?;
            Some((h, payload))
        });
        let Some((header, payload)) = parsed else {
            let at = index;
            index = count;
            return Some(Err(at));
        };
        index += 1;
        bytes = bytes.get(size(payload.len())..).unwrap_or(&[]);
        Some(Ok((header, payload)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::{PartitionIndex, TopicId};

    #[test]
    fn records_read_back_in_order() {
        let segment = SegmentName { base: Offset(100), creation: 4 };
        let header = Header {
            kind: Type::Data,
            length: 5,
            partition: PartitionId { topic: TopicId([3; 16]), index: PartitionIndex(1) },
            generation: 2,
            previous: 40,
            offset: Offset(123),
            epoch: LeaderEpoch(-1),
            place: Place { segment, position: 4096 },
            at: Timestamp(99),
        };
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend_from_slice(b"hello\0\0\0");
        let second = Header { kind: Type::Delete, length: 0, ..header };
        bytes.extend_from_slice(&second.to_bytes());
        let read: Vec<_> = records(&bytes, 2).collect();
        assert_eq!(read, vec![Ok((header, &b"hello"[..])), Ok((second, &b""[..]))]);
        assert_eq!(records(&bytes, 3).last(), Some(Err(2)));
        assert_eq!(records(&bytes[..90], 2).last(), Some(Err(1)));
    }
}
