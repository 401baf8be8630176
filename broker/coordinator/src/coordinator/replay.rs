//! The state as the log tells it. Records of Kafka's brokers are read as well as our own.

use super::Coordinator;
use crate::consumer::ConsumerGroup;
use crate::group::Group;
use crate::now::Now;
use crate::offsets::CommittedOffset;
use crate::turn::Turn;
use ids::{Offset, ProducerId, Timestamp};
use std::fmt;
use std::time::Duration;
use wire::internal::Prefixed;
use wire::internal::consumer_group as v848;
use wire::internal::group_metadata::{GroupMetadataKey, GroupMetadataValue};
use wire::internal::offset_commit::{OffsetCommitKey, OffsetCommitValue};
use wire::{DecodeError, Reader};

/// Why a record of `__consumer_offsets` tells nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReplayError {
    /// The key names a type of record that this version does not know.
    UnknownType(i16),
    /// The key cannot be read.
    Key(DecodeError),
    /// The value cannot be read.
    Value(DecodeError),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType(n) => write!(f, "a record of type {n}, which is not known"),
            Self::Key(e) => write!(f, "the key of a group record: {e}"),
            Self::Value(e) => write!(f, "the value of a group record: {e}"),
        }
    }
}

impl std::error::Error for ReplayError {}

fn decoded<'a, V: Prefixed<'a>>(value: Option<&'a [u8]>) -> Result<Option<V>, ReplayError> {
    let value = value.map(V::decode_prefixed).transpose().map_err(ReplayError::Value)?;
    Ok(value.map(|(_, value)| value))
}

/// A record of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replayed<'a> {
    /// Where it is.
    pub at: Offset,
    /// The producer of its batch, if that is part of a transaction.
    pub producer: Option<ProducerId>,
    /// Its key.
    pub key: &'a [u8],
    /// Its value; `None` deletes.
    pub value: Option<&'a [u8]>,
}

impl Coordinator {
    /// Takes over one record of the log, in the order of the log and before [`Coordinator::start`]. The markers
    /// between them go to [`Coordinator::on_transaction_end`].
    ///
    /// # Errors
    /// The record is skipped then, and the state is as it was. Say so in the log: a record of a newer version, or a damaged
    /// one, is an offset or a group that is not known.
    pub fn replay(&mut self, record: Replayed<'_>) -> Result<(), ReplayError> {
        let version = Reader::new(record.key).i16().map_err(ReplayError::Key)?;
        match version {
            0 | 1 => self.replay_offset(record),
            2 => self.replay_group(record.key, record.value),
            // Kafka's partition counts and matches of patterns: this coordinator finds them out itself.
            4 | 16 => Ok(()),
            3 | 5..=8 => self.replay_consumers(version, record.key, record.value),
            other => Err(ReplayError::UnknownType(other)),
        }
    }

    fn replay_consumers(
        &mut self,
        kind: i16,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), ReplayError> {
        match kind {
            3 => {
                let (_, k) = v848::ConsumerGroupMetadataKey::decode_prefixed(key)
                    .map_err(ReplayError::Key)?;
                let value = decoded::<v848::ConsumerGroupMetadataValue>(value)?;
                self.consumers(k.group, value.is_some(), |g| g.replay_epoch(value.as_ref()));
            }
            5 => {
                let (_, k) = v848::ConsumerGroupMemberMetadataKey::decode_prefixed(key)
                    .map_err(ReplayError::Key)?;
                let value = decoded::<v848::ConsumerGroupMemberMetadataValue<'_>>(value)?;
                self.consumers(k.group, value.is_some(), |g| {
                    g.replay_member(k.member_id, value.as_ref());
                });
            }
            6 => {
                let (_, k) = v848::ConsumerGroupTargetAssignmentMetadataKey::decode_prefixed(key)
                    .map_err(ReplayError::Key)?;
                let value = decoded::<v848::ConsumerGroupTargetAssignmentMetadataValue>(value)?;
                self.consumers(k.group, value.is_some(), |g| {
                    g.replay_target_epoch(value.map(|v| v.assignment_epoch));
                });
            }
            7 => {
                let (_, k) = v848::ConsumerGroupTargetAssignmentMemberKey::decode_prefixed(key)
                    .map_err(ReplayError::Key)?;
                let value = decoded::<v848::ConsumerGroupTargetAssignmentMemberValue>(value)?;
                self.consumers(k.group, value.is_some(), |g| {
                    g.replay_target(k.member_id, value.as_ref());
                });
            }
            _ => {
                let (_, k) = v848::ConsumerGroupCurrentMemberAssignmentKey::decode_prefixed(key)
                    .map_err(ReplayError::Key)?;
                let value = decoded::<v848::ConsumerGroupCurrentMemberAssignmentValue>(value)?;
                self.consumers(k.group, value.is_some(), |g| {
                    g.replay_current(k.member_id, value.as_ref());
                });
            }
        }
        Ok(())
    }

    /// Replays into a consumer group, which only a value brings to life.
    fn consumers(&mut self, id: &str, is_value: bool, replay: impl FnOnce(&mut ConsumerGroup)) {
        if is_value {
            let group = self.groups.entry(id.to_owned()).or_insert_with(|| Group::new(id));
            replay(group.consumer.get_or_insert_with(|| ConsumerGroup::new(id)));
        } else if let Some(c) = self.groups.get_mut(id).and_then(|g| g.consumer.as_mut()) {
            replay(c);
        }
    }

    fn replay_offset(&mut self, record: Replayed<'_>) -> Result<(), ReplayError> {
        let Replayed { at, producer, key, value } = record;
        let (_, key) = OffsetCommitKey::decode_prefixed(key).map_err(ReplayError::Key)?;
        let value = match value.map(OffsetCommitValue::decode_prefixed).transpose() {
            Ok(value) => value.map(|(_, value)| value),
            Err(e) => return Err(ReplayError::Value(e)),
        };
        let value = value.map(|v| CommittedOffset {
            offset: v.offset,
            leader_epoch: v.leader_epoch,
            metadata: v.metadata.to_owned(),
            committed_at: Timestamp(v.commit_timestamp),
            expires_at: (v.expire_timestamp >= 0).then_some(Timestamp(v.expire_timestamp)),
            record_at: at,
        });
        if value.is_none() && !self.groups.contains_key(key.group) {
            return Ok(());
        }
        let group = self.groups.entry(key.group.to_owned());
        let group = group.or_insert_with(|| Group::new(key.group));
        match (producer, value) {
            (Some(producer), Some(value)) => {
                group.offsets.set_in_transaction(producer, key.topic, key.partition, value);
                self.note_transaction(producer, key.group);
            }
            (_, value) => group.offsets.set(key.topic, key.partition, value),
        }
        Ok(())
    }

    fn replay_group(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), ReplayError> {
        let (_, key) = GroupMetadataKey::decode_prefixed(key).map_err(ReplayError::Key)?;
        let value = value.map(GroupMetadataValue::decode_prefixed).transpose();
        let value = value.map_err(ReplayError::Value)?.map(|(_, value)| value);
        if value.is_some() || self.groups.contains_key(key.group) {
            let group = self.groups.entry(key.group.to_owned());
            let group = group.or_insert_with(|| Group::new(key.group));
            group.classic.replay(value.as_ref());
        }
        Ok(())
    }

    /// The log is read to its end: sessions begin anew, and requests may come.
    pub fn start(&mut self, now: Now) {
        let interval = Duration::from_millis(self.config.offsets_retention_check_interval_ms);
        self.expiry_at = Some(now.instant + interval);
        let ids: Vec<String> = self.groups.keys().cloned().collect();
        for id in ids {
            if let Some(group) = self.groups.get_mut(&id) {
                let topics = &self.topics.borrow();
                let turn = &mut Turn { now, config: &self.config, topics, out: &mut self.out };
                if !group.classic.members.is_empty()
                    && let Some(consumers) = &mut group.consumer
                {
                    // A change of the protocol that the log does not hold to its end.
                    consumers.forget(turn);
                }
                group.classic.start(turn);
                if let Some(consumer) = &mut group.consumer {
                    consumer.start(turn);
                }
            }
            self.look_after(&id);
        }
        let deleted = std::mem::take(&mut self.deleted_before_start);
        let deleted: Vec<&str> = deleted.iter().map(String::as_str).collect();
        if !deleted.is_empty() {
            self.on_topics_deleted(&deleted, now);
        }
        self.out.finish();
    }
}
