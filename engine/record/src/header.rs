//! The 61 bytes in front of a batch's records.
//!
//! ```text
//!  0  base_offset      i64   patched by the leader, outside the CRC
//!  8  length           i32   bytes after this field
//! 12  leader_epoch     i32   patched by the leader, outside the CRC
//! 16  magic            i8    2
//! 17  crc              u32   CRC-32C of bytes 21 to the end
//! 21  attributes       i16   0-2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon
//! 23  last_offset_delta i32
//! 27  base_timestamp   i64
//! 35  max_timestamp    i64
//! 43  producer_id      i64
//! 51  producer_epoch   i16
//! 53  base_sequence    i32
//! 57  count            i32
//! 61  records
//! ```

use crate::{Codec, UnknownCodec};
use ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

/// Bytes of a batch header.
pub const HEADER_LEN: usize = 61;

/// Bytes in front of a batch that its length field does not count: base offset and the length itself.
pub const LENGTH_PREFIX_LEN: usize = 12;

/// The format's version byte.
pub const MAGIC: i8 = 2;

pub(crate) const LENGTH_AT: usize = 8;
pub(crate) const EPOCH_AT: usize = 12;
pub(crate) const MAGIC_AT: usize = 16;
pub(crate) const CRC_AT: usize = 17;
/// Where the checksummed bytes begin.
pub(crate) const CRC_FROM: usize = 21;
pub(crate) const ATTRIBUTES_AT: usize = 21;
pub(crate) const MAX_TIMESTAMP_AT: usize = 35;

/// What the timestamps of a batch mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimestampType {
    /// The producer set them.
    CreateTime,
    /// The broker set them: every record has the batch's max timestamp.
    LogAppendTime,
}

/// A batch's attribute bits.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Attributes(pub i16);

impl Attributes {
    const CODEC: i16 = 0x07;
    const LOG_APPEND_TIME: i16 = 0x08;
    const TRANSACTIONAL: i16 = 0x10;
    const CONTROL: i16 = 0x20;
    const DELETE_HORIZON: i16 = 0x40;

    /// The compression of the records section.
    ///
    /// # Errors
    /// The number is none that Kafka defines.
    pub fn codec(self) -> Result<Codec, UnknownCodec> {
        Codec::try_from((self.0 & Self::CODEC) as u8)
    }

    /// What the timestamps mean.
    #[must_use]
    pub fn timestamp_type(self) -> TimestampType {
        match self.0 & Self::LOG_APPEND_TIME {
            0 => TimestampType::CreateTime,
            _ => TimestampType::LogAppendTime,
        }
    }

    /// Whether the batch is part of a transaction.
    #[must_use]
    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Whether the batch is a control batch: its one record is a marker, not data.
    #[must_use]
    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether the base timestamp is a delete horizon, set by the first compaction that saw a tombstone (KIP-534).
    #[must_use]
    pub fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    /// The same bits with another codec.
    #[must_use]
    pub fn with_codec(self, codec: Codec) -> Self {
        Self(self.0 & !Self::CODEC | i16::from(codec.number()))
    }

    /// The same bits with another timestamp type.
    #[must_use]
    pub fn with_timestamp_type(self, kind: TimestampType) -> Self {
        match kind {
            TimestampType::CreateTime => Self(self.0 & !Self::LOG_APPEND_TIME),
            TimestampType::LogAppendTime => Self(self.0 | Self::LOG_APPEND_TIME),
        }
    }

    /// The same bits with the transactional bit set or clear.
    #[must_use]
    pub fn with_transactional(self, on: bool) -> Self {
        Self(if on { self.0 | Self::TRANSACTIONAL } else { self.0 & !Self::TRANSACTIONAL })
    }

    /// The same bits with the control bit set or clear.
    #[must_use]
    pub fn with_control(self, on: bool) -> Self {
        Self(if on { self.0 | Self::CONTROL } else { self.0 & !Self::CONTROL })
    }
}

/// A batch header, field by field, as it stands in the bytes: nothing in it has been checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    /// The offset of the batch's first record; 0 from a client.
    pub base_offset: Offset,
    /// The length field: bytes after itself. See [`BatchHeader::batch_bytes`] for the whole.
    pub length: i32,
    /// The epoch of the leader that appended it; -1 from a client.
    pub leader_epoch: LeaderEpoch,
    /// The format's version, [`MAGIC`] in every batch that this crate accepts.
    pub magic: i8,
    /// CRC-32C of the bytes from the attributes to the end.
    pub crc: u32,
    /// Codec and flags.
    pub attributes: Attributes,
    /// Last offset minus base offset. Survives compaction, the count does not.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas are added to.
    pub base_timestamp: Timestamp,
    /// The largest timestamp of its records, or -1.
    pub max_timestamp: Timestamp,
    /// The idempotent producer, or -1.
    pub producer_id: ProducerId,
    /// The producer's epoch, or -1.
    pub producer_epoch: ProducerEpoch,
    /// The sequence number of the first record, or -1.
    pub base_sequence: i32,
    /// Records in the records section.
    pub count: i32,
}

impl BatchHeader {
    /// Reads the fields. `None` when there are fewer than [`HEADER_LEN`] bytes.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let b: &[u8; HEADER_LEN] = bytes.first_chunk()?;
        Some(Self {
            base_offset: Offset(i64_at(b, 0)),
            length: i32_at(b, LENGTH_AT),
            leader_epoch: LeaderEpoch(i32_at(b, EPOCH_AT)),
            magic: b[MAGIC_AT].cast_signed(),
            crc: i32_at(b, CRC_AT).cast_unsigned(),
            attributes: Attributes(i16_at(b, ATTRIBUTES_AT)),
            last_offset_delta: i32_at(b, 23),
            base_timestamp: Timestamp(i64_at(b, 27)),
            max_timestamp: Timestamp(i64_at(b, MAX_TIMESTAMP_AT)),
            producer_id: ProducerId(i64_at(b, 43)),
            producer_epoch: ProducerEpoch(i16_at(b, 51)),
            base_sequence: i32_at(b, 53),
            count: i32_at(b, 57),
        })
    }

    /// The fields as bytes; the CRC is written as it stands.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut b = [0; HEADER_LEN];
        b[0..8].copy_from_slice(&self.base_offset.0.to_be_bytes());
        b[8..12].copy_from_slice(&self.length.to_be_bytes());
        b[12..16].copy_from_slice(&self.leader_epoch.0.to_be_bytes());
        b[16] = self.magic.cast_unsigned();
        b[17..21].copy_from_slice(&self.crc.to_be_bytes());
        b[21..23].copy_from_slice(&self.attributes.0.to_be_bytes());
        b[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        b[27..35].copy_from_slice(&self.base_timestamp.0.to_be_bytes());
        b[35..43].copy_from_slice(&self.max_timestamp.0.to_be_bytes());
        b[43..51].copy_from_slice(&self.producer_id.0.to_be_bytes());
        b[51..53].copy_from_slice(&self.producer_epoch.0.to_be_bytes());
        b[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        b[57..61].copy_from_slice(&self.count.to_be_bytes());
        b
    }

    /// Bytes of the whole batch as the length field states them; `None` if it is shorter than a header.
    #[must_use]
    pub fn batch_bytes(&self) -> Option<usize> {
        let whole = usize::try_from(self.length).ok()?.checked_add(LENGTH_PREFIX_LEN)?;
        (whole >= HEADER_LEN).then_some(whole)
    }

    /// The offset of the batch's last record.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset.0.saturating_add(i64::from(self.last_offset_delta)))
    }

    /// The first offset after the batch.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        Offset(self.last_offset().0.saturating_add(1))
    }

    /// How many offsets the batch takes: `last_offset_delta + 1`.
    #[must_use]
    pub fn offsets(&self) -> i32 {
        self.last_offset_delta.saturating_add(1)
    }

    /// The timestamp of a record with this delta, by the batch's timestamp type.
    #[must_use]
    pub fn timestamp_of(&self, delta: i64) -> Timestamp {
        match self.attributes.timestamp_type() {
            TimestampType::CreateTime => Timestamp(self.base_timestamp.0.wrapping_add(delta)),
            TimestampType::LogAppendTime => self.max_timestamp,
        }
    }
}

fn i16_at(b: &[u8; HEADER_LEN], at: usize) -> i16 {
    i16::from_be_bytes([b[at], b[at + 1]])
}

fn i32_at(b: &[u8; HEADER_LEN], at: usize) -> i32 {
    i32::from_be_bytes(std::array::from_fn(|i| b[at + i]))
}

fn i64_at(b: &[u8; HEADER_LEN], at: usize) -> i64 {
    i64::from_be_bytes(std::array::from_fn(|i| b[at + i]))
}
