//! What one record changed.

use crate::record::Resource;
use ids::{BrokerId, PartitionId, PartitionIndex, TopicId};

/// One change of the image. It names what changed; the new state is in the image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// The cluster has an identity.
    Formatted,
    /// A broker registered.
    Broker(BrokerId),
    /// A topic exists, as yet without partitions.
    TopicCreated(TopicId),
    /// A partition exists: its core opens it.
    PartitionCreated(PartitionId),
    /// A partition's leader, sets or epochs changed.
    PartitionChanged(PartitionId),
    /// A topic is gone, with the name and the partitions that it had: their cores delete them.
    TopicDeleted {
        /// The topic.
        id: TopicId,
        /// Its name, free again.
        name: Box<str>,
        /// How many partitions it had: indexes 0 to `partitions` - 1.
        partitions: u32,
    },
    /// The effective configs of a resource may have changed. For a broker (or all brokers) that includes every topic.
    Config {
        /// On what.
        resource: Resource,
        /// Which key.
        key: String,
    },
    /// A block of producer ids was given away.
    ProducerIds,
}

/// What [`super::ClusterImage::apply`] changed, in order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Delta {
    /// The changes; empty if the record said what the image knew already.
    pub changes: Vec<Change>,
}

impl Delta {
    pub(super) fn one(change: Change) -> Self {
        Self { changes: vec![change] }
    }

    /// Partitions that no longer exist.
    pub fn deleted_partitions(&self) -> impl Iterator<Item = PartitionId> {
        self.changes.iter().flat_map(|change| {
            let (topic, count) = match change {
                Change::TopicDeleted { id, partitions, .. } => (*id, *partitions),
                Change::Formatted
                | Change::Broker(_)
                | Change::TopicCreated(_)
                | Change::PartitionCreated(_)
                | Change::PartitionChanged(_)
                | Change::Config { .. }
                | Change::ProducerIds => (TopicId::ZERO, 0),
            };
            let indexes = 0..i32::try_from(count).unwrap_or(i32::MAX);
            indexes.map(move |i| PartitionId { topic, index: PartitionIndex(i) })
        })
    }
}
