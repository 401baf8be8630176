//! The committed offsets of one group, and those that wait for the end of a transaction.

use crate::outbox::BatchId;
use crate::slot::Slot;
use ids::{LeaderEpoch, Offset, PartitionIndex, ProducerId, Timestamp};
use std::collections::BTreeMap;
use std::ops::Bound;

/// An offset that a group committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CommittedOffset {
    /// The offset of the next record to read.
    pub(crate) offset: Offset,
    /// The leader epoch of the last record read, or unknown.
    pub(crate) leader_epoch: LeaderEpoch,
    /// The client's text beside it.
    pub(crate) metadata: String,
    /// When it was committed.
    pub(crate) committed_at: Timestamp,
    /// When it ends, where the client said so (OffsetCommit 2 to 4).
    pub(crate) expires_at: Option<Timestamp>,
    /// Where its record is in the log; none until it is committed.
    pub(crate) record_at: Offset,
}

type ByPartition = BTreeMap<String, BTreeMap<PartitionIndex, Slot<CommittedOffset>>>;

/// All offsets of one group, by topic and partition. Owned by the group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Offsets {
    topics: ByPartition,
    /// What open transactions will commit, if they do (KIP-98).
    transactions: BTreeMap<ProducerId, ByPartition>,
}

impl Offsets {
    pub(crate) fn slot(
        &self,
        topic: &str,
        partition: PartitionIndex,
    ) -> Option<&Slot<CommittedOffset>> {
        self.topics.get(topic)?.get(&partition)
    }

    /// All keys that the log holds or will hold something about, outside of open transactions.
    pub(crate) fn iter(
        &self,
    ) -> impl Iterator<Item = (&str, PartitionIndex, &Slot<CommittedOffset>)> {
        self.topics.iter().flat_map(|(topic, slots)| {
            slots.iter().map(move |(p, slot)| (topic.as_str(), *p, slot))
        })
    }

    /// The same after `last`, in the order of topics and partitions.
    pub(crate) fn after<'a>(
        &'a self,
        last: Option<(&'a str, PartitionIndex)>,
    ) -> impl Iterator<Item = (&'a str, PartitionIndex, &'a Slot<CommittedOffset>)> {
        let from = last.map_or(Bound::Unbounded, |(topic, _)| Bound::Included(topic));
        self.topics.range::<str, _>((from, Bound::Unbounded)).flat_map(move |(topic, slots)| {
            let from = match last {
                Some((at, partition)) if at == topic => Bound::Excluded(partition),
                Some(_) | None => Bound::Unbounded,
            };
            let slots = slots.range((from, Bound::Unbounded));
            slots.map(move |(partition, slot)| (topic.as_str(), *partition, slot))
        })
    }

    /// The topics about which the log holds or will hold something. One may come twice.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &str> {
        let all = std::iter::once(&self.topics).chain(self.transactions.values());
        all.flat_map(|topics| topics.keys().map(String::as_str))
    }

    /// Every partition, of one topic or of all, about which the log holds or will hold something.
    pub(crate) fn partitions(&self, topic: Option<&str>) -> Vec<(String, PartitionIndex)> {
        let all = std::iter::once(&self.topics).chain(self.transactions.values()).flatten();
        let wanted = all.filter(|(name, _)| topic.is_none_or(|topic| topic == name.as_str()));
        let mut found: Vec<_> =
            wanted.flat_map(|(name, slots)| slots.keys().map(|p| (name.clone(), *p))).collect();
        found.sort();
        found.dedup();
        found
    }

    /// Whether an open transaction may still change the offset (KIP-447).
    pub(crate) fn is_unstable(&self, topic: &str, partition: PartitionIndex) -> bool {
        let mut open = self.transactions.values();
        open.any(|topics| topics.get(topic).is_some_and(|slots| slots.contains_key(&partition)))
    }

    pub(crate) fn has_transactions(&self) -> bool {
        !self.transactions.is_empty()
    }

    /// Whether a transaction of `producer` is open in this group.
    pub(crate) fn has_transaction_of(&self, producer: ProducerId) -> bool {
        self.transactions.contains_key(&producer)
    }

    pub(crate) fn push(
        &mut self,
        batch: BatchId,
        topic: &str,
        partition: PartitionIndex,
        value: Option<CommittedOffset>,
    ) {
        let slots = self.topics.entry(topic.to_owned()).or_default();
        slots.entry(partition).or_default().push(batch, value);
    }

    pub(crate) fn push_in_transaction(
        &mut self,
        producer: ProducerId,
        batch: BatchId,
        topic: &str,
        partition: PartitionIndex,
        value: CommittedOffset,
    ) {
        let topics = self.transactions.entry(producer).or_default();
        let slots = topics.entry(topic.to_owned()).or_default();
        slots.entry(partition).or_default().push(batch, Some(value));
    }

    /// A record is committed, or the log was replayed up to it. A deletion also deletes what open transactions had said
    /// before.
    pub(crate) fn set(
        &mut self,
        topic: &str,
        partition: PartitionIndex,
        value: Option<CommittedOffset>,
    ) {
        if let Some(value) = value {
            let slots = self.topics.entry(topic.to_owned()).or_default();
            slots.entry(partition).or_default().replay(Some(value));
            return;
        }
        with_slot(&mut self.topics, topic, partition, |slot| slot.replay(None));
        for topics in self.transactions.values_mut() {
            with_slot(topics, topic, partition, |slot| slot.replay(None));
        }
        self.transactions.retain(|_, topics| !topics.is_empty());
    }

    pub(crate) fn set_in_transaction(
        &mut self,
        producer: ProducerId,
        topic: &str,
        partition: PartitionIndex,
        value: CommittedOffset,
    ) {
        let topics = self.transactions.entry(producer).or_default();
        let slots = topics.entry(topic.to_owned()).or_default();
        slots.entry(partition).or_default().replay(Some(value));
    }

    pub(crate) fn on_committed(
        &mut self,
        batch: BatchId,
        topic: &str,
        partition: PartitionIndex,
        at: Offset,
    ) {
        let Some(slot) = self.topics.get_mut(topic).and_then(|t| t.get_mut(&partition)) else {
            return;
        };
        if let Some(value) = slot.take_pending(batch) {
            self.set(topic, partition, value.map(|v| CommittedOffset { record_at: at, ..v }));
        }
    }

    pub(crate) fn on_committed_in_transaction(
        &mut self,
        producer: ProducerId,
        batch: BatchId,
        topic: &str,
        partition: PartitionIndex,
        at: Offset,
    ) {
        let slots = self.transactions.get_mut(&producer).and_then(|topics| topics.get_mut(topic));
        let Some(slot) = slots.and_then(|slots| slots.get_mut(&partition)) else { return };
        if let Some(Some(value)) = slot.take_pending(batch) {
            slot.replay(Some(CommittedOffset { record_at: at, ..value }));
        }
    }

    pub(crate) fn on_failed(&mut self, batch: BatchId, topic: &str, partition: PartitionIndex) {
        with_slot(&mut self.topics, topic, partition, |slot| slot.on_failed(batch));
    }

    pub(crate) fn on_failed_in_transaction(
        &mut self,
        producer: ProducerId,
        batch: BatchId,
        topic: &str,
        partition: PartitionIndex,
    ) {
        let Some(topics) = self.transactions.get_mut(&producer) else { return };
        with_slot(topics, topic, partition, |slot| slot.on_failed(batch));
        if topics.is_empty() {
            self.transactions.remove(&producer);
        }
    }

    /// The transaction of `producer` ended with a marker at `marker`. What is on its way is part of the next one. An offset
    /// that was committed outside of the transaction after it stays: the log keeps the last record of a key.
    pub(crate) fn on_transaction_end(
        &mut self,
        producer: ProducerId,
        marker: Offset,
        committed: bool,
    ) {
        let Some(mut topics) = self.transactions.remove(&producer) else { return };
        let mut ended = Vec::new();
        for (topic, slots) in &mut topics {
            for (partition, slot) in slots.iter_mut() {
                if slot.committed().is_some_and(|value| value.record_at < marker)
                    && let Some(value) = slot.take_committed()
                {
                    ended.push((topic.clone(), *partition, value));
                }
            }
            slots.retain(|_, slot| !slot.is_void());
        }
        topics.retain(|_, slots| !slots.is_empty());
        if !topics.is_empty() {
            self.transactions.insert(producer, topics);
        }
        if !committed {
            return;
        }
        for (topic, partition, value) in ended {
            let now = self.slot(&topic, partition).and_then(Slot::committed);
            if now.is_none_or(|now| now.record_at < value.record_at) {
                self.set(&topic, partition, Some(value));
            }
        }
    }

    /// Whether the log holds no offset, and none is on its way.
    pub(crate) fn is_void(&self) -> bool {
        self.topics.is_empty() && self.transactions.is_empty()
    }

    /// Whether there will be an offset once everything on its way is committed.
    pub(crate) fn will_hold_any(&self) -> bool {
        self.has_transactions() || self.iter().any(|(_, _, slot)| slot.latest().is_some())
    }
}

/// Changes a slot and forgets it when nothing is left in it.
fn with_slot(
    topics: &mut ByPartition,
    topic: &str,
    partition: PartitionIndex,
    change: impl FnOnce(&mut Slot<CommittedOffset>),
) {
    let Some(slots) = topics.get_mut(topic) else { return };
    let Some(slot) = slots.get_mut(&partition) else { return };
    change(slot);
    if slot.is_void() {
        slots.remove(&partition);
        if slots.is_empty() {
            topics.remove(topic);
        }
    }
}
