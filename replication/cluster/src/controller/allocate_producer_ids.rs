//! Gives producer ids to a broker, in blocks.
//!
//! An id that was ever handed out is never handed out again, across kill -9 and across nodes: a reused id would make a new
//! producer's first batch look like a retry of an old one's, and vanish. So the block is a flushed record before its first
//! id is answered, and what is left of it at a restart is lost.

use super::{Controller, Decision};
use crate::record::Record;
use crate::{ErrorCode, Refusal};
use ids::{BrokerId, ProducerId};

/// Ids in a block, as in Kafka.
pub const PRODUCER_IDS_PER_BLOCK: u32 = 1_000;

/// A block: ids `first..first + count`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerIds {
    /// The first id.
    pub first: ProducerId,
    /// How many.
    pub count: u32,
}

impl Controller {
    /// The next block of ids, for `broker` (AllocateProducerIds). Errors: INVALID_REQUEST if the broker is not registered,
    /// UNKNOWN_SERVER_ERROR when all 2^63 ids are used.
    pub fn allocate_producer_ids(
        &mut self,
        broker: BrokerId,
    ) -> Result<Decision<ProducerIds>, Refusal> {
        if self.image.broker(broker).is_none() {
            let why = format!("Broker {broker} is not registered.");
            return Err(Refusal::new(ErrorCode::InvalidRequest, why));
        }
        let (first, count) = (self.image.next_producer_id(), PRODUCER_IDS_PER_BLOCK);
        if first.0.checked_add(i64::from(count)).is_none() {
            return Err(Refusal::new(ErrorCode::UnknownServerError, "All producer ids are used."));
        }
        let record = Record::ProducerIdBlock { first, count, broker };
        Ok(self.decide(vec![record], ProducerIds { first, count }))
    }
}
