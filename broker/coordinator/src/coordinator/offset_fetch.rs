//! OffsetFetch 1 to 9: reads a group's offsets (KIP-211, KIP-320, KIP-447, KIP-709).

use super::Coordinator;
use ids::{LeaderEpoch, Offset, PartitionIndex};
use wire::ErrorCode;

/// What the caller asks of one group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OffsetFetch<'a> {
    /// The group; may be empty.
    pub group_id: &'a str,
    /// The partitions wanted; `None`: all that have an offset.
    pub topics: Option<Vec<(&'a str, Vec<PartitionIndex>)>>,
    /// Whether an offset that an open transaction may still change is UNSTABLE_OFFSET_COMMIT (version 7 and up).
    pub require_stable: bool,
    /// The member and its epoch, where somebody asks as a member (version 9 and up).
    pub member: Option<(&'a str, i32)>,
}

/// A topic's offsets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedTopic {
    /// The topic.
    pub name: String,
    /// Its partitions.
    pub partitions: Vec<FetchedPartition>,
}

/// The offset of one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedPartition {
    /// The partition.
    pub partition: PartitionIndex,
    /// The offset of the next record to read; -1: none, which is no error.
    pub offset: Offset,
    /// The leader epoch of the last record read, or unknown.
    pub leader_epoch: LeaderEpoch,
    /// The text beside it.
    pub metadata: String,
    /// NONE or UNSTABLE_OFFSET_COMMIT.
    pub error_code: ErrorCode,
}

impl Coordinator {
    /// Whether the asker may read the offsets: whoever says that it is a member of a consumer group must be one.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID or STALE_MEMBER_EPOCH.
    pub fn check_offset_fetch(&self, request: &OffsetFetch<'_>) -> Result<(), ErrorCode> {
        let group = self.groups.get(request.group_id).and_then(|group| group.consumers());
        match (group, request.member) {
            (Some(group), Some((id, epoch))) => group.check_fetch(id, epoch),
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }

    /// OffsetFetch: what is committed. A group or partition without offset is no error: -1.
    #[must_use]
    pub fn offset_fetch(&self, request: &OffsetFetch<'_>) -> Vec<FetchedTopic> {
        let offsets = self.groups.get(request.group_id).map(|group| &group.offsets);
        if let Some(topics) = &request.topics {
            let one = |topic: &str, partition: PartitionIndex| {
                let is_unstable = offsets.is_some_and(|o| o.is_unstable(topic, partition));
                if request.require_stable && is_unstable {
                    return unstable(partition);
                }
                let slot = offsets.and_then(|o| o.slot(topic, partition));
                fetched(partition, slot.and_then(|slot| slot.committed()))
            };
            return topics
                .iter()
                .map(|(name, partitions)| FetchedTopic {
                    name: (*name).to_owned(),
                    partitions: partitions.iter().map(|p| one(name, *p)).collect(),
                })
                .collect();
        }
        let mut topics: Vec<FetchedTopic> = Vec::new();
        for (name, partition, slot) in offsets.into_iter().flat_map(|o| o.iter()) {
            let Some(value) = slot.committed() else { continue };
            let is_unstable = offsets.is_some_and(|o| o.is_unstable(name, partition));
            let partition = if request.require_stable && is_unstable {
                unstable(partition)
            } else {
                fetched(partition, Some(value))
            };
            match topics.last_mut() {
                Some(topic) if topic.name == name => topic.partitions.push(partition),
                _ => {
                    let name = name.to_owned();
                    topics.push(FetchedTopic { name, partitions: vec![partition] });
                }
            }
        }
        topics
    }
}

fn unstable(partition: PartitionIndex) -> FetchedPartition {
    let error_code = ErrorCode::UNSTABLE_OFFSET_COMMIT;
    FetchedPartition { error_code, ..fetched(partition, None) }
}

fn fetched(
    partition: PartitionIndex,
    value: Option<&crate::offsets::CommittedOffset>,
) -> FetchedPartition {
    FetchedPartition {
        partition,
        offset: value.map_or(Offset::NONE, |v| v.offset),
        leader_epoch: value.map_or(LeaderEpoch::UNKNOWN, |v| v.leader_epoch),
        metadata: value.map_or_else(String::new, |v| v.metadata.clone()),
        error_code: ErrorCode::NONE,
    }
}
