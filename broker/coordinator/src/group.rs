//! A group: its members and its committed offsets.

use crate::classic::ClassicGroup;
use crate::consumer::ConsumerGroup;
use crate::offsets::Offsets;
use crate::outbox::{BatchId, Key};
use ids::{Instant, Offset};

/// One group. Born with the first request or record that names it; ends when it has no members, no offsets and nothing in
/// the log.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) classic: ClassicGroup,
    /// The group as one of the consumer protocol (KIP-848), or what is left of it in the log.
    pub(crate) consumer: Option<ConsumerGroup>,
    pub(crate) offsets: Offsets,
    /// It was a consumer group, and the log does not have its members as those of a classic one yet: the generation in which each
    /// has what it had.
    pub(crate) owes_record: Option<i32>,
    /// When the coordinator looks at the group again; the coordinator keeps the same in its timers.
    pub(crate) alarm: Option<Instant>,
    /// What the coordinator counts of its members' weight.
    pub(crate) weighed: usize,
}

impl Group {
    pub(crate) fn new(id: &str) -> Self {
        let classic = ClassicGroup::new(id);
        Self {
            classic,
            consumer: None,
            offsets: Offsets::default(),
            owes_record: None,
            alarm: None,
            weighed: 0,
        }
    }

    /// Whether nothing would be lost with it.
    pub(crate) fn is_vacant(&self) -> bool {
        self.classic.is_vacant()
            && self.consumer.as_ref().is_none_or(ConsumerGroup::is_vacant)
            && self.offsets.is_void()
    }

    /// The group, if it is one of the consumer protocol.
    pub(crate) fn consumers(&self) -> Option<&ConsumerGroup> {
        self.consumer.as_ref().filter(|group| group.is_there())
    }

    /// The group, if it is one of the consumer protocol.
    pub(crate) fn consumers_mut(&mut self) -> Option<&mut ConsumerGroup> {
        self.consumer.as_mut().filter(|group| group.is_there())
    }

    /// The bytes that its members take in memory, about.
    pub(crate) fn weight(&self) -> usize {
        self.classic.weight() + self.consumer.as_ref().map_or(0, ConsumerGroup::weight)
    }

    /// What a member adds to that, if it is new or says more than before.
    pub(crate) fn more_than_before(&self, member_id: &str, bytes: usize) -> usize {
        match self.consumers() {
            Some(consumers) => consumers.more_than_before(member_id, bytes),
            None => self.classic.more_than_before(member_id, bytes),
        }
    }

    /// When it wants to be looked at.
    pub(crate) fn wake(&self) -> Option<Instant> {
        let consumer = self.consumer.as_ref().and_then(ConsumerGroup::wake);
        self.classic.wake().into_iter().chain(consumer).min()
    }

    /// Whether there is such a group for those who ask: one whose deletion is on its way is none.
    pub(crate) fn exists(&self) -> bool {
        !self.classic.members.is_empty()
            || !self.classic.pending_members.is_empty()
            || self.classic.metadata.latest().is_some()
            || self.consumers().is_some()
            || self.offsets.will_hold_any()
    }

    /// A record of `batch` is committed; it is at `at`.
    pub(crate) fn on_committed(&mut self, batch: BatchId, key: &Key, at: Offset) {
        match key {
            Key::Group => {
                self.classic.metadata.on_committed(batch);
                self.owes_record = self.owes_record.filter(|_| self.classic.metadata.is_pending());
                if self.classic.metadata.is_void() {
                    self.classic.on_deleted();
                }
            }
            Key::Consumer(_) => {
                if let Some(consumer) = &mut self.consumer {
                    consumer.on_committed();
                }
            }
            Key::Offset { topic, partition } => {
                self.offsets.on_committed(batch, topic, *partition, at);
            }
            Key::TxnOffset { producer, topic, partition } => {
                let offsets = &mut self.offsets;
                offsets.on_committed_in_transaction(*producer, batch, topic, *partition, at);
            }
        }
    }

    /// A record of `batch` will never be in the log.
    pub(crate) fn on_failed(&mut self, batch: BatchId, key: &Key, now: Instant) {
        match key {
            Key::Group => self.classic.metadata.on_failed(batch),
            Key::Consumer(key) => {
                if let Some(consumer) = &mut self.consumer {
                    consumer.on_failed(key, now);
                }
            }
            Key::Offset { topic, partition } => self.offsets.on_failed(batch, topic, *partition),
            Key::TxnOffset { producer, topic, partition } => {
                self.offsets.on_failed_in_transaction(*producer, batch, topic, *partition);
            }
        }
    }
}
