//! The records of one decision, bounded so that they always fit one record batch.
//!
//! A decision is replayed whole or not at all: split over two batches, a crash between them would leave a topic with half
//! of its partitions.

use crate::record::Record;
use crate::{ErrorCode, Refusal};

/// Most bytes of records in one decision: below Kafka's default for a batch (1 MiB), and enough for 10,000 partitions of
/// three replicas.
pub const DECISION_BYTES_MAX: usize = 1_000_000;

/// Most bytes that a record batch adds to a record: lengths, deltas and the empty key.
const RECORD_OVERHEAD_BYTES: usize = 16;

/// Records under collection.
#[derive(Default)]
pub(super) struct Batch {
    records: Vec<Record>,
    bytes: usize,
    scratch: Vec<u8>,
}

impl Batch {
    /// Takes all records of one item, or none. Errors: POLICY_VIOLATION.
    pub(super) fn admit(&mut self, item: Vec<Record>) -> Result<(), Refusal> {
        let mut bytes = self.bytes;
        for record in &item {
            self.scratch.clear();
            record.encode(&mut self.scratch);
            bytes += self.scratch.len() + RECORD_OVERHEAD_BYTES;
        }
        if bytes > DECISION_BYTES_MAX {
            let why = "The request changes too much at once; split it into several.";
            return Err(Refusal::new(ErrorCode::PolicyViolation, why));
        }
        self.bytes = bytes;
        self.records.extend(item);
        Ok(())
    }

    /// The records, or none if the request was only to be checked.
    pub(super) fn into_records(self, validate_only: bool) -> Vec<Record> {
        if validate_only { Vec::new() } else { self.records }
    }
}
