//! The records of `__consumer_offsets`, in Kafka's own schemas and in the versions that Kafka 4 writes.

use crate::classic::ClassicGroup;
use crate::consumer::{ConsumerGroup, ConsumerKey, Partitions};
use crate::offsets::CommittedOffset;
use ids::PartitionIndex;
use wire::EncodeError;
use wire::internal::Prefixed;
use wire::internal::consumer_group as v848;
use wire::internal::group_metadata::{GroupMetadataKey, GroupMetadataValue, MemberMetadata};
use wire::internal::offset_commit::{OffsetCommitKey, OffsetCommitValue};

/// One record of `__consumer_offsets`. Its timestamp is the moment of the append.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The key; compaction keeps the last value of each.
    pub key: Vec<u8>,
    /// The value; `None` deletes.
    pub value: Option<Vec<u8>>,
}

impl Record {
    /// Bytes of the key and the value.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Vec::len)
    }
}

/// The version of a commit's key; 0 is the same type.
const OFFSET_KEY: i16 = 1;
/// The newest version of a commit that every Kafka since 2.1 reads.
const OFFSET_VALUE: i16 = 3;
/// The only version that carries a retention of its own.
const OFFSET_VALUE_WITH_EXPIRY: i16 = 1;
const GROUP_KEY: i16 = 2;
/// The newest version of a group that every Kafka since 2.3 reads.
const GROUP_VALUE: i16 = 3;

pub(crate) fn offset(
    group: &str,
    topic: &str,
    partition: PartitionIndex,
    value: &CommittedOffset,
) -> Result<Record, EncodeError> {
    let mut record = offset_tombstone(group, topic, partition)?;
    let version = if value.expires_at.is_some() { OFFSET_VALUE_WITH_EXPIRY } else { OFFSET_VALUE };
    let value = OffsetCommitValue {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: &value.metadata,
        commit_timestamp: value.committed_at.0,
        expire_timestamp: value.expires_at.map_or(-1, |at| at.0),
    };
    record.value = Some(encoded(&value, version)?);
    Ok(record)
}

pub(crate) fn offset_tombstone(
    group: &str,
    topic: &str,
    partition: PartitionIndex,
) -> Result<Record, EncodeError> {
    let key = encoded(&OffsetCommitKey { group, topic, partition }, OFFSET_KEY)?;
    Ok(Record { key, value: None })
}

/// The group as it will be once its members have their assignments.
pub(crate) fn group(group: &ClassicGroup) -> Result<Record, EncodeError> {
    let protocol = group.protocol_name.as_deref();
    let members = group.members.iter().map(|(id, m)| MemberMetadata {
        member_id: id,
        group_instance_id: m.group_instance_id.as_deref(),
        client_id: &m.client_id,
        client_host: &m.client_host,
        rebalance_timeout: m.rebalance_timeout_ms,
        session_timeout: m.session_timeout_ms,
        subscription: protocol.map_or(&[], |name| m.metadata(name)),
        assignment: &m.assignment,
    });
    let value = GroupMetadataValue {
        protocol_type: group.protocol_type.as_deref().unwrap_or(""),
        generation: group.generation,
        protocol,
        leader: group.leader.as_deref(),
        current_state_timestamp: group.since.0,
        members: members.collect(),
    };
    let mut record = group_tombstone(&group.id)?;
    record.value = Some(encoded(&value, GROUP_VALUE)?);
    Ok(record)
}

pub(crate) fn group_tombstone(group: &str) -> Result<Record, EncodeError> {
    Ok(Record { key: encoded(&GroupMetadataKey { group }, GROUP_KEY)?, value: None })
}

/// A record of a consumer group (KIP-848): what counts now, or its deletion where there is nothing of it any more.
pub(crate) fn consumer(group: &ConsumerGroup, key: &ConsumerKey) -> Result<Record, EncodeError> {
    let name = group.id.as_str();
    let there = group.is_there();
    match key {
        ConsumerKey::Epoch => {
            let key = encoded(&v848::ConsumerGroupMetadataKey { group: name }, 3)?;
            let value = v848::ConsumerGroupMetadataValue {
                epoch: group.epoch,
                metadata_hash: group.metadata_hash(),
            };
            record(key, there.then_some(&value))
        }
        ConsumerKey::Member(id) => {
            let key = v848::ConsumerGroupMemberMetadataKey { group: name, member_id: id };
            let value = group.members.get(id).map(|m| v848::ConsumerGroupMemberMetadataValue {
                instance_id: m.instance_id.as_deref(),
                rack_id: m.rack_id.as_deref(),
                client_id: &m.client_id,
                client_host: &m.client_host,
                subscribed_topic_names: m.topics.iter().map(String::as_str).collect(),
                subscribed_topic_regex: m.pattern.as_deref(),
                rebalance_timeout: m.rebalance_timeout_ms,
                server_assignor: m.assignor.as_deref(),
                classic_member_metadata: m.classic.as_ref().map(|classic| {
                    let protocols = classic
                        .protocols
                        .iter()
                        .map(|p| v848::ClassicProtocol { name: &p.name, metadata: &p.metadata });
                    v848::ClassicMemberMetadata {
                        session_timeout_ms: classic.session_timeout_ms,
                        supported_protocols: protocols.collect(),
                    }
                }),
            });
            record(encoded(&key, 5)?, value.as_ref())
        }
        ConsumerKey::TargetEpoch => {
            let key = v848::ConsumerGroupTargetAssignmentMetadataKey { group: name };
            let assignment_epoch = group.target_epoch;
            let value = v848::ConsumerGroupTargetAssignmentMetadataValue { assignment_epoch };
            record(encoded(&key, 6)?, there.then_some(&value))
        }
        ConsumerKey::Target(id) => {
            let key = v848::ConsumerGroupTargetAssignmentMemberKey { group: name, member_id: id };
            let value = group.members.get(id).map(|m| {
                let topic_partitions = by_topic(&m.target);
                v848::ConsumerGroupTargetAssignmentMemberValue { topic_partitions }
            });
            record(encoded(&key, 7)?, value.as_ref())
        }
        ConsumerKey::Current(id) => {
            let key = v848::ConsumerGroupCurrentMemberAssignmentKey { group: name, member_id: id };
            let value =
                group.members.get(id).map(|m| v848::ConsumerGroupCurrentMemberAssignmentValue {
                    member_epoch: m.epoch,
                    previous_member_epoch: m.previous_epoch,
                    state: m.state as i8,
                    assigned_partitions: by_topic(&m.assigned),
                    partitions_pending_revocation: by_topic(&m.pending_revocation),
                });
            record(encoded(&key, 8)?, value.as_ref())
        }
    }
}

fn record<'a>(key: Vec<u8>, value: Option<&impl Prefixed<'a>>) -> Result<Record, EncodeError> {
    Ok(Record { key, value: value.map(|value| encoded(value, 0)).transpose()? })
}

/// Partitions, topic by topic.
fn by_topic(partitions: &Partitions) -> Vec<v848::TopicPartitions> {
    let mut topics: Vec<v848::TopicPartitions> = Vec::new();
    for p in partitions {
        match topics.last_mut() {
            Some(topic) if topic.topic_id == p.topic => topic.partitions.push(p.index),
            _ => {
                topics.push(v848::TopicPartitions { topic_id: p.topic, partitions: vec![p.index] })
            }
        }
    }
    topics
}

fn encoded<'a>(message: &impl Prefixed<'a>, version: i16) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    message.encode_prefixed(version, &mut bytes)?;
    Ok(bytes)
}
