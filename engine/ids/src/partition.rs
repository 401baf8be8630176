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

    /// The core of a node with `cores` cores that owns this partition; the metadata log is on core 0.
    ///
    /// Partitions of one topic are dealt out in turn, from a core that the topic's id chooses: no core has more than one
    /// partition of a topic more than any other. Nodes with equally many cores agree, so replication never crosses cores.
    #[must_use]
    pub fn owner(self, cores: u16) -> CoreId {
        if self.topic == TopicId::METADATA || cores <= 1 {
            return CoreId(0);
        }
        let mut half = [0; 8];
        half.copy_from_slice(&self.topic.0[8..]);
        let first = mix(u64::from_le_bytes(half)) % u64::from(cores);
        let index = u64::try_from(self.index.0).unwrap_or(0);
        CoreId(u16::try_from((first + index) % u64::from(cores)).unwrap_or(0))
    }
}

/// Spreads the bits of an id that a person may have chosen (the finalizer of splitmix64; Steele, Lea, Flood 2014).
fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
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

    #[test]
    fn a_topic_is_dealt_out_evenly_and_topics_begin_anywhere() {
        let mut first = [0; 4];
        for t in 0..64u8 {
            let topic = TopicId([t.wrapping_mul(37) | 1; 16]);
            let mut cores = [0; 4];
            for n in 0..10 {
                let id = PartitionId { topic, index: PartitionIndex(n) };
                cores[id.owner(4).index()] += 1;
                first[id.owner(4).index()] += u32::from(n == 0);
            }
            assert!(cores.iter().all(|n| (2..=3).contains(n)), "{cores:?}");
        }
        assert!(first.iter().all(|n| *n >= 6), "{first:?}");
        let metadata = PartitionId { topic: TopicId::METADATA, index: PartitionIndex(0) };
        assert_eq!(metadata.owner(7), CoreId(0));
    }
}
