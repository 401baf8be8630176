//! The committed offsets of one group.

use crate::outbox::BatchId;
use crate::slot::Slot;
use ids::{LeaderEpoch, Offset, PartitionIndex, Timestamp};
use std::collections::BTreeMap;

/// An offset that a group committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommittedOffset {
    /// The offset of the next record to read.
    pub offset: Offset,
    /// The leader epoch of the last record read, or unknown.
    pub leader_epoch: LeaderEpoch,
    /// The client's text beside it.
    pub metadata: String,
    /// When it was committed.
    pub committed_at: Timestamp,
    /// When it ends, where the client said so (OffsetCommit 2 to 4).
    pub expires_at: Option<Timestamp>,
}

/// All offsets of one group, by topic and partition. Owned by the group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Offsets {
    topics: BTreeMap<String, BTreeMap<PartitionIndex, Slot<CommittedOffset>>>,
}

impl Offsets {
    pub(crate) fn slot(
        &self,
        topic: &str,
        partition: PartitionIndex,
    ) -> Option<&Slot<CommittedOffset>> {
        self.topics.get(topic)?.get(&partition)
    }

    /// All keys that the log holds or will hold something about.
    pub(crate) fn iter(
        &self,
    ) -> impl Iterator<Item = (&str, PartitionIndex, &Slot<CommittedOffset>)> {
        self.topics.iter().flat_map(|(topic, slots)| {
            slots.iter().map(move |(p, slot)| (topic.as_str(), *p, slot))
        })
    }

    pub(crate) fn topic(
        &self,
        topic: &str,
    ) -> impl Iterator<Item = (PartitionIndex, &Slot<CommittedOffset>)> {
        self.topics.get(topic).into_iter().flatten().map(|(p, slot)| (*p, slot))
    }

    pub(crate) fn push(
        &mut self,
        batch: BatchId,
        topic: &str,
        partition: PartitionIndex,
        value: Option<CommittedOffset>,
    ) {
        if !self.topics.contains_key(topic) {
            self.topics.insert(topic.to_owned(), BTreeMap::new());
        }
        if let Some(slots) = self.topics.get_mut(topic) {
            slots.entry(partition).or_default().push(batch, value);
        }
    }

    pub(crate) fn replay(
        &mut self,
        topic: &str,
        partition: PartitionIndex,
        value: Option<CommittedOffset>,
    ) {
        if value.is_some() {
            let slots = self.topics.entry(topic.to_owned()).or_default();
            slots.entry(partition).or_default().replay(value);
        } else {
            self.with_slot(topic, partition, |slot| slot.replay(None));
        }
    }

    pub(crate) fn on_committed(&mut self, batch: BatchId, topic: &str, partition: PartitionIndex) {
        self.with_slot(topic, partition, |slot| slot.on_committed(batch));
    }

    pub(crate) fn on_failed(&mut self, batch: BatchId, topic: &str, partition: PartitionIndex) {
        self.with_slot(topic, partition, |slot| slot.on_failed(batch));
    }

    /// Whether the log holds no offset, and none is on its way.
    pub(crate) fn is_void(&self) -> bool {
        self.topics.is_empty()
    }

    /// Whether there will be an offset once everything on its way is committed.
    pub(crate) fn will_hold_any(&self) -> bool {
        self.iter().any(|(_, _, slot)| slot.latest().is_some())
    }

    /// Changes a slot and forgets it when nothing is left in it.
    fn with_slot(
        &mut self,
        topic: &str,
        partition: PartitionIndex,
        change: impl FnOnce(&mut Slot<CommittedOffset>),
    ) {
        let Some(slots) = self.topics.get_mut(topic) else { return };
        let Some(slot) = slots.get_mut(&partition) else { return };
        change(slot);
        if slot.is_void() {
            slots.remove(&partition);
            if slots.is_empty() {
                self.topics.remove(topic);
            }
        }
    }
}
