//! What the leader writes into a batch: two fields outside the checksum, and two inside it when timestamps are the broker's.

use crate::header::{ATTRIBUTES_AT, CRC_AT, CRC_FROM, EPOCH_AT, MAX_TIMESTAMP_AT};
use crate::{Attributes, BatchHeader, HEADER_LEN, TimestampType, ValidBatch};
use ids::{LeaderEpoch, Offset, Timestamp};

/// Writes the base offset of the batch at the front of `batch`. The CRC does not cover it.
///
/// # Panics
/// `batch` has fewer than [`HEADER_LEN`] bytes: only batches that were parsed come here.
pub fn patch_base_offset(batch: &mut [u8], base: Offset) {
    put(batch, 0, &base.0.to_be_bytes());
}

/// Writes the partition leader epoch of the batch at the front of `batch`. The CRC does not cover it.
///
/// # Panics
/// `batch` has fewer than [`HEADER_LEN`] bytes: only batches that were parsed come here.
pub fn patch_leader_epoch(batch: &mut [u8], epoch: LeaderEpoch) {
    put(batch, EPOCH_AT, &epoch.0.to_be_bytes());
}

/// Turns a batch into one whose timestamps are the broker's (`message.timestamp.type=LogAppendTime`), and recomputes the CRC:
/// the timestamp type and the max timestamp are inside it, so this reads the whole batch. The records stay as they are;
/// readers take the max timestamp for each of them.
///
/// `batch` is exactly one batch.
///
/// # Panics
/// `batch` has fewer than [`HEADER_LEN`] bytes: only batches that were parsed come here.
pub fn rewrite_log_append_time(batch: &mut [u8], now: Timestamp) {
    assert!(batch.len() >= HEADER_LEN, "{} bytes are not a batch", batch.len());
    let attributes =
        Attributes(i16::from_be_bytes([batch[ATTRIBUTES_AT], batch[ATTRIBUTES_AT + 1]]))
            .with_timestamp_type(TimestampType::LogAppendTime);
    put(batch, ATTRIBUTES_AT, &attributes.0.to_be_bytes());
    rewrite_max_timestamp(batch, now);
}

/// Writes the max timestamp and recomputes the CRC, for a batch whose stated maximum was wrong
/// ([`crate::Invalid::MaxTimestamp`] names the true one). `batch` is exactly one batch.
///
/// # Panics
/// `batch` has fewer than [`HEADER_LEN`] bytes: only batches that were parsed come here.
pub fn rewrite_max_timestamp(batch: &mut [u8], max: Timestamp) {
    put(batch, MAX_TIMESTAMP_AT, &max.0.to_be_bytes());
    let crc = crc32c::crc32c(&batch[CRC_FROM..]);
    put(batch, CRC_AT, &crc.to_be_bytes());
}

fn put(batch: &mut [u8], at: usize, field: &[u8]) {
    assert!(batch.len() >= HEADER_LEN, "{} bytes are not a batch", batch.len());
    batch[at..at + field.len()].copy_from_slice(field);
}

/// A valid batch that has its place in the log. Born from a [`ValidBatch`] on the core that owns the partition; ends when its
/// bytes are handed to the store.
#[derive(Clone, Copy, Debug)]
pub struct PlacedBatch<B> {
    header: BatchHeader,
    bytes: B,
}

impl<B: AsRef<[u8]>> PlacedBatch<B> {
    /// The header's fields, offsets and epoch included.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.as_ref()
    }

    /// The bytes, back from the proof.
    pub fn into_bytes(self) -> B {
        self.bytes
    }
}

impl<B: AsRef<[u8]>> ValidBatch<B> {
    /// Gives the batch its place, in its own bytes.
    pub fn place(mut self, base: Offset, epoch: LeaderEpoch) -> PlacedBatch<B>
    where
        B: AsMut<[u8]>,
    {
        let bytes = self.bytes.as_mut();
        patch_base_offset(bytes, base);
        patch_leader_epoch(bytes, epoch);
        let header = BatchHeader { base_offset: base, leader_epoch: epoch, ..self.header };
        PlacedBatch { header, bytes: self.bytes }
    }

    /// Gives the batch its place in a copy at the front of `out`, which is a write buffer of at least the batch's length.
    ///
    /// # Panics
    /// `out` is shorter than the batch.
    pub fn place_into<'o>(
        &self,
        base: Offset,
        epoch: LeaderEpoch,
        out: &'o mut [u8],
    ) -> PlacedBatch<&'o [u8]> {
        let bytes = self.bytes.as_ref();
        let out = &mut out[..bytes.len()];
        out.copy_from_slice(bytes);
        patch_base_offset(out, base);
        patch_leader_epoch(out, epoch);
        let header = BatchHeader { base_offset: base, leader_epoch: epoch, ..self.header };
        PlacedBatch { header, bytes: out }
    }

    /// Sets the broker's timestamp, in the batch's own bytes ([`rewrite_log_append_time`]).
    pub fn set_log_append_time(&mut self, now: Timestamp)
    where
        B: AsMut<[u8]>,
    {
        rewrite_log_append_time(self.bytes.as_mut(), now);
        if let Some(header) = BatchHeader::read(self.bytes.as_ref()) {
            self.header = header;
        }
    }
}
