//! Looking for a record by its time, inside one batch (ListOffsets).

use crate::{BatchError, BatchView, Decompressor, RecordError, TimestampType};
use ids::{Offset, Timestamp};
use std::fmt;

/// A record by offset and time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp, by the batch's timestamp type.
    pub timestamp: Timestamp,
}

/// Why a batch could not be searched. On our own log it is a fault, not an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SearchError {
    /// The batch cannot be opened.
    Batch(BatchError),
    /// A record in it cannot be read.
    Record(RecordError),
}

impl fmt::Display for SearchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch(e) => e.fmt(f),
            Self::Record(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for SearchError {}

/// The first record of the batch with a timestamp of at least `target` and an offset of at least `from`. `Ok(None)` when there
/// is none; a batch whose max timestamp is too small is not opened. Decompresses at most `bytes_max`.
///
/// # Errors
/// The batch or a record of it is not readable.
pub fn first_at_or_after(
    batch: &BatchView<'_>,
    target: Timestamp,
    from: Offset,
    decompressor: &mut Decompressor,
    bytes_max: usize,
) -> Result<Option<Found>, SearchError> {
    let header = *batch.header();
    if header.max_timestamp < target || header.last_offset() < from {
        return Ok(None);
    }
    find(batch, decompressor, bytes_max, |f| f.timestamp >= target && f.offset >= from)
}

/// The first record of the batch whose timestamp is the batch's maximum (KIP-734: the record, not the batch). `Ok(None)` when
/// the batch has no timestamps or no records, or when its stated maximum belongs to none of them.
///
/// # Errors
/// The batch or a record of it is not readable.
pub fn of_max_timestamp(
    batch: &BatchView<'_>,
    decompressor: &mut Decompressor,
    bytes_max: usize,
) -> Result<Option<Found>, SearchError> {
    let header = *batch.header();
    if header.max_timestamp == Timestamp::NONE {
        return Ok(None);
    }
    find(batch, decompressor, bytes_max, |f| f.timestamp == header.max_timestamp)
}

fn find(
    batch: &BatchView<'_>,
    decompressor: &mut Decompressor,
    bytes_max: usize,
    wanted: impl Fn(&Found) -> bool,
) -> Result<Option<Found>, SearchError> {
    let header = *batch.header();
    // Under the broker's clock, and without holes, every record's time and offset are in the header.
    if header.attributes.timestamp_type() == TimestampType::LogAppendTime
        && header.count == header.offsets()
    {
        return Ok((0..header.count)
            .map(|delta| Found {
                offset: Offset(header.base_offset.0.saturating_add(i64::from(delta))),
                timestamp: header.max_timestamp,
            })
            .find(wanted));
    }
    for record in batch.records_with(decompressor, bytes_max).map_err(SearchError::Batch)? {
        let record = record.map_err(SearchError::Record)?;
        let found = Found {
            offset: Offset(header.base_offset.0.saturating_add(i64::from(record.offset_delta))),
            timestamp: header.timestamp_of(record.timestamp_delta),
        };
        if wanted(&found) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
