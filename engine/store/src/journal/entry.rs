//! What a record says.

use crate::format::record;
use ids::{LeaderEpoch, Offset, PartitionId, PartitionIndex, Timestamp, TopicId};
use log::{Place, SegmentName};

/// What a record says, but for what the journal knows itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) kind: record::Type,
    pub(crate) partition: PartitionId,
    pub(crate) generation: u32,
    pub(crate) previous: u64,
    pub(crate) offset: Offset,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) place: Place,
    pub(crate) at: Timestamp,
}

impl Entry {
    /// A record that belongs to no partition.
    pub(crate) fn of_the_ring(kind: record::Type, at: Timestamp) -> Self {
        let place = Place { segment: SegmentName { base: Offset::ZERO, creation: 0 }, position: 0 };
        Self {
            kind,
            partition: NO_PARTITION,
            generation: 0,
            previous: 0,
            offset: Offset::ZERO,
            epoch: LeaderEpoch::UNKNOWN,
            place,
            at,
        }
    }
}

/// The partition of records that have none.
pub(crate) const NO_PARTITION: PartitionId =
    PartitionId { topic: TopicId::ZERO, index: PartitionIndex(0) };
