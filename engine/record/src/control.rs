//! Control records: the transaction markers that a coordinator has written into partitions (KIP-98).
//!
//! The key is a version (i16, 0) and a type (i16: 0 abort, 1 commit); the value of a marker is a version (i16, 0) and the
//! coordinator's epoch (i32). Other types exist in Kafka's own logs (leader change, snapshot header and footer, voters).

use crate::{BatchBuilder, BuildError, Record};
use ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

/// How a transaction ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndTxn {
    /// Its records never count.
    Abort,
    /// Its records count.
    Commit,
}

/// What a control record says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ControlRecord {
    /// A transaction of the batch's producer ended here.
    EndTxn {
        /// How.
        end: EndTxn,
        /// The epoch of the coordinator that said so.
        coordinator_epoch: i32,
    },
    /// A control record of another type, which readers skip.
    Other(i16),
}

impl ControlRecord {
    /// Reads a control record. `None` when key or value are too short for what they claim to be; newer versions only add
    /// fields at the end.
    #[must_use]
    pub fn read(record: &Record<'_>) -> Option<Self> {
        let [v0, v1, t0, t1] = *record.key?.first_chunk()?;
        if i16::from_be_bytes([v0, v1]) < 0 {
            return None;
        }
        let end = match i16::from_be_bytes([t0, t1]) {
            0 => EndTxn::Abort,
            1 => EndTxn::Commit,
            other => return Some(Self::Other(other)),
        };
        let epoch = record.value?.get(2..)?.first_chunk()?;
        Some(Self::EndTxn { end, coordinator_epoch: i32::from_be_bytes(*epoch) })
    }
}

/// The batch that marks the end of a producer's transaction: one control record, no sequence.
///
/// # Errors
/// None in practice: the batch has one small record.
pub fn end_txn_marker(
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    end: EndTxn,
    coordinator_epoch: i32,
    now: Timestamp,
) -> Result<Vec<u8>, BuildError> {
    let kind: i16 = match end {
        EndTxn::Abort => 0,
        EndTxn::Commit => 1,
    };
    let mut key = [0; 4];
    key[2..].copy_from_slice(&kind.to_be_bytes());
    let mut value = [0; 6];
    value[2..].copy_from_slice(&coordinator_epoch.to_be_bytes());
    let mut builder = BatchBuilder::new()
        .placed(Offset::ZERO, LeaderEpoch::UNKNOWN)
        .transactional(true)
        .control(true)
        .producer(producer_id, producer_epoch, -1);
    builder.push(now, Some(&key), Some(&value), &[]);
    builder.build()
}
