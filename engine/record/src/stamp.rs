//! Changes inside the CRC: costs a checksum over the whole batch, so only where a topic asks for it.

use crate::header::{CRC_FROM, HEADER_LEN, with_append_time};
use ids::Timestamp;

/// Stamps a whole batch with the broker's clock (`message.timestamp.type=LogAppendTime`): every record has this time then.
///
/// # Panics
/// If `batch` is shorter than a header: it has been validated before.
pub fn set_append_time(batch: &mut [u8], now: Timestamp) {
    assert!(batch.len() >= HEADER_LEN, "not a batch");
    let attributes = with_append_time(i16::from_be_bytes([batch[21], batch[22]]));
    batch[21..23].copy_from_slice(&attributes.to_be_bytes());
    set_max_timestamp(batch, now);
}

/// Corrects the largest timestamp in the header.
///
/// # Panics
/// If `batch` is shorter than a header: it has been validated before.
pub fn set_max_timestamp(batch: &mut [u8], max: Timestamp) {
    assert!(batch.len() >= HEADER_LEN, "not a batch");
    batch[35..43].copy_from_slice(&max.0.to_be_bytes());
    let crc = crc32c::crc32c(&batch[CRC_FROM..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}
