//! Brokers, cores and partitions.

use crate::TopicId;
use std::fmt;

/// A broker's id (Kafka's `node.id`); -1 is "none".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BrokerId(pub i32);

impl BrokerId {
    /// No broker, for example the leader of a partition that has none.
    pub const NONE: Self = Self(-1);
}

impl fmt::Display for BrokerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One data core of this node, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct CoreId(pub u16);

impl CoreId {
    /// The core as an index into a table of cores.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A partition's number within its topic, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct PartitionIndex(pub i32);

impl fmt::Display for PartitionIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A partition, named so that a deleted and recreated topic never shares a name with its predecessor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PartitionId {
    /// The topic's UUID.
    pub topic: TopicId,
    /// The partition within the topic.
    pub index: PartitionIndex,
}

impl PartitionId {
    /// Bytes of the fixed form that [`PartitionId::to_bytes`] writes.
    pub const LEN: usize = 20;

    /// The fixed form used in the journal and the manifest: 16 bytes of topic id, then the index, big-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..16].copy_from_slice(&self.topic.0);
        out[16..].copy_from_slice(&self.index.0.to_be_bytes());
        out
    }

    /// Reads what [`PartitionId::to_bytes`] wrote.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let mut topic = [0; 16];
        topic.copy_from_slice(&bytes[..16]);
        let mut index = [0; 4];
        index.copy_from_slice(&bytes[16..]);
        Self { topic: TopicId(topic), index: PartitionIndex(i32::from_be_bytes(index)) }
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_id_survives_its_fixed_form() {
        let id = PartitionId { topic: TopicId([7; 16]), index: PartitionIndex(258) };
        assert_eq!(PartitionId::from_bytes(&id.to_bytes()), id);
        assert_eq!(id.to_bytes()[18..], [1, 2]);
    }
}
