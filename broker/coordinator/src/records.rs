//! The records of `__consumer_offsets`, in Kafka's own schemas and in the versions that Kafka 4 writes.

use crate::classic::ClassicGroup;
use crate::offsets::CommittedOffset;
use ids::PartitionIndex;
use wire::EncodeError;
use wire::internal::Prefixed;
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

fn encoded<'a>(message: &impl Prefixed<'a>, version: i16) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    message.encode_prefixed(version, &mut bytes)?;
    Ok(bytes)
}
