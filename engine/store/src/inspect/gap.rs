//! Offsets whose records are lost for good: batches without a record take their place.
//!
//! Consumers know them, because compaction leaves such batches too: they go on with the offset behind. So an offset that was
//! handed out once never names another record, and offsets of the log have no holes.

use crate::partition::Partition;
use ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use log::{AppendError, Appended, BatchMeta};
use record::{BatchHeader, HEADER_LEN, MAGIC};
use runtime::Memory;

/// Offsets of one batch; their number fits into the batch's `lastOffsetDelta`.
const OFFSETS_MAX: i64 = 1 << 30;

/// Whether this batch stands for records that are lost. Outside of what compaction has written there is no other without records.
pub(super) fn is_gap(h: &BatchHeader, compacted: bool) -> bool {
    h.count == 0 && !compacted
}

/// Adds batches without a record, in a segment of their own, until the log ends at `to`.
///
/// # Errors
/// [`AppendError`]: the partition takes no batch of this size.
pub(super) fn fill(
    p: &mut Partition,
    memory: &Memory,
    to: Offset,
    now: Timestamp,
) -> Result<(), AppendError> {
    if p.log.end() < to {
        p.log.roll();
    }
    while p.log.end() < to {
        let offsets = (to - p.log.end()).min(OFFSETS_MAX);
        // Without a record that is left nobody knows the epoch; the next leader's is higher than any that was.
        let epoch = p.log.epochs().latest().max(LeaderEpoch(0));
        let bytes = batch(p.log.end(), i32::try_from(offsets).unwrap_or(i32::MAX), epoch);
        let meta = BatchMeta {
            len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            offsets: i32::try_from(offsets).unwrap_or(i32::MAX),
            max_timestamp: Timestamp::NONE,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: -1,
            transactional: false,
            control: false,
        };
        let appended = p.log.append(&meta, epoch, now, &p.config.log)?;
        let Appended::New { place, .. } = appended else { return Ok(()) };
        p.resume_tail(memory, place, bytes.len());
        p.tail.append(memory, place.segment, place.position, &bytes);
    }
    Ok(())
}

/// A batch without records that takes `offsets` offsets.
fn batch(base: Offset, offsets: i32, epoch: LeaderEpoch) -> [u8; HEADER_LEN] {
    let mut b = [0; HEADER_LEN];
    b[..8].copy_from_slice(&base.0.to_be_bytes());
    b[8..12].copy_from_slice(&(HEADER_LEN as i32 - 12).to_be_bytes());
    b[12..16].copy_from_slice(&epoch.0.to_be_bytes());
    b[16] = MAGIC.cast_unsigned();
    b[23..27].copy_from_slice(&(offsets - 1).to_be_bytes());
    // Both timestamps, the producer's id, its epoch and the sequence: none.
    b[27..57].fill(0xff);
    let crc = crc32c::crc32c(&b[21..]);
    b[17..21].copy_from_slice(&crc.to_be_bytes());
    b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_without_records_is_one_that_readers_know() {
        let b = batch(Offset(7), 30, LeaderEpoch(4));
        let h = BatchHeader::read(&b).unwrap();
        assert_eq!((h.base_offset, h.last_offset(), h.count), (Offset(7), Offset(36), 0));
        assert_eq!((h.leader_epoch, h.magic, h.batch_bytes()), (LeaderEpoch(4), MAGIC, Some(61)));
        assert_eq!((h.base_timestamp, h.max_timestamp), (Timestamp::NONE, Timestamp::NONE));
        assert_eq!((h.producer_id, h.base_sequence), (ProducerId::NONE, -1));
        assert_eq!(h.crc, crc32c::crc32c(&b[21..]));
        assert!(is_gap(&h, false) && !is_gap(&h, true));
    }
}
