//! What the log must know of a batch; the bytes themselves stay with the store.

use ids::{Offset, ProducerEpoch, ProducerId, Timestamp};

/// The header fields of one validated record batch that decide where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchMeta {
    /// Bytes of the whole batch, header included.
    pub len: u32,
    /// `lastOffsetDelta + 1`: how many offsets the batch takes, at least 1.
    pub offsets: i32,
    /// The largest timestamp of its records, or -1.
    pub max_timestamp: Timestamp,
    /// The id of its idempotent producer, or -1.
    pub producer_id: ProducerId,
    /// The epoch of its producer, or -1.
    pub producer_epoch: ProducerEpoch,
    /// The sequence number of its first record, or -1.
    pub base_sequence: i32,
    /// Part of a transaction.
    pub transactional: bool,
    /// A control batch (transaction marker).
    pub control: bool,
}

impl BatchMeta {
    /// The sequence number of the last record: sequences wrap from 2^31 - 1 to 0.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        add_sequence(self.base_sequence, self.offsets - 1)
    }

    /// Whether an idempotent producer wrote it.
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        self.producer_id.0 >= 0 && !self.control
    }

    /// The batch as a producer's memory keeps it, once it has its offset.
    #[must_use]
    pub fn written_at(&self, base_offset: Offset) -> crate::WrittenBatch {
        crate::WrittenBatch {
            first_sequence: self.base_sequence,
            last_sequence: self.last_sequence(),
            last_offset: base_offset + i64::from(self.offsets - 1),
            max_timestamp: self.max_timestamp,
        }
    }
}

/// `sequence + records`, wrapping from 2^31 - 1 to 0 (KIP-98).
#[must_use]
pub(crate) fn add_sequence(sequence: i32, records: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(records);
    i32::try_from(sum % (i64::from(i32::MAX) + 1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(add_sequence(i32::MAX, 1), 0);
        assert_eq!(add_sequence(i32::MAX - 1, 3), 1);
        assert_eq!(add_sequence(5, 2), 7);
    }
}
