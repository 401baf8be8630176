//! Consumer groups: each request goes to the core that owns the group's partition of `__consumer_offsets`.
//!
//! Requests about one group travel there whole, as frames; those about several are split. Who waits for the other members of his
//! group (JoinGroup, SyncGroup) waits without his frame: its memory is lent for as long as a request is worked on, and members
//! may wait for days.

mod consumer_describe;
mod consumer_heartbeat;
mod delete;
mod describe;
mod each;
mod heartbeat;
mod join;
mod leave;
mod list;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod sync;

pub(super) use consumer_describe::answer as consumer_describe;
pub(super) use consumer_heartbeat::answer as consumer_heartbeat;
pub(super) use delete::answer as delete;
pub(super) use describe::answer as describe;
pub(super) use heartbeat::answer as heartbeat;
pub(super) use join::begin as join;
pub(super) use leave::answer as leave;
pub(super) use list::answer as list;
pub(super) use offset_commit::answer as offset_commit;
pub(super) use offset_delete::answer as offset_delete;
pub(super) use offset_fetch::{answer as offset_fetch, named};
pub(super) use sync::begin as sync;

use crate::broker::Broker;
use crate::groups::partition_of;
use cluster::name::CONSUMER_OFFSETS;
use ids::{CoreId, PartitionId, PartitionIndex};
use wire::api::ApiKey;
use wire::{Reader, RequestHeader};

/// The partition of `__consumer_offsets` that a group belongs to; none before the topic is there.
pub(super) fn partition(broker: &Broker, group: &str) -> Option<PartitionId> {
    let image = broker.metadata.image();
    let topic = image.topic_named(CONSUMER_OFFSETS)?;
    Some(PartitionId { topic: topic.id, index: partition_of(group, topic.partitions.len()) })
}

/// Whether there is such a partition.
fn exists(broker: &Broker, topic: &str, index: PartitionIndex) -> bool {
    broker.metadata.image().topic_named(topic).is_some_and(|t| t.partition(index).is_some())
}

/// Whether a request may have to wait for other clients.
pub(super) fn waits_for_others(key: ApiKey) -> bool {
    matches!(key, ApiKey::JoinGroup | ApiKey::SyncGroup)
}

/// The core that answers a request about one group; none for any other request, and if it is this one.
pub(super) fn owner(broker: &Broker, key: ApiKey, bytes: &[u8]) -> Option<CoreId> {
    if !matches!(
        key,
        ApiKey::JoinGroup
            | ApiKey::SyncGroup
            | ApiKey::Heartbeat
            | ApiKey::LeaveGroup
            | ApiKey::OffsetCommit
            | ApiKey::OffsetDelete
            | ApiKey::ConsumerGroupHeartbeat
    ) {
        return None;
    }
    let mut reader = Reader::new(bytes);
    let header = RequestHeader::decode(&mut reader).ok()?;
    let flexible = key.entry().flexible_from.is_some_and(|from| header.api_version >= from);
    // All of them begin with the group's name.
    let group = reader.nullable_str(flexible).ok()??;
    let core = broker.owner(partition(broker, group)?);
    (!broker.is_here(core)).then_some(core)
}
