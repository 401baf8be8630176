//! OffsetDelete 0: deletes offsets of a group that nobody reads with (KIP-496).

use super::Coordinator;
use super::offset_commit::{CommittedPartition, CommittedTopic, RECORDS_BYTES_MAX, record_bytes};
use crate::classic::ClassicState;
use crate::group::Group;
use crate::now::Now;
use crate::outbox::{AppendFailure, Key};
use crate::records;
use crate::response::Outcome;
use crate::turn::Turn;
use ids::PartitionIndex;
use std::collections::BTreeMap;
use wire::ErrorCode;

/// What the caller asks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OffsetDelete<'a> {
    /// The group.
    pub group_id: &'a str,
    /// The partitions. One that is named twice is deleted once, and answered twice.
    pub topics: Vec<(&'a str, Vec<PartitionIndex>)>,
}

/// What became of each partition that a request names.
type Codes<'a> = BTreeMap<&'a str, BTreeMap<PartitionIndex, ErrorCode>>;

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OffsetDeleteResponse {
    /// NONE, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND or UNKNOWN_SERVER_ERROR (more than one
    /// request may write). There are no topics then.
    pub error_code: ErrorCode,
    /// What became of each partition: NONE or GROUP_SUBSCRIBED_TO_TOPIC.
    pub topics: Vec<CommittedTopic>,
}

impl Coordinator {
    /// OffsetDelete. Answered when the deletions are in the log.
    pub fn offset_delete(
        &mut self,
        request: &OffsetDelete<'_>,
        now: Now,
    ) -> Outcome<OffsetDeleteResponse> {
        let code = match self.groups.get(request.group_id).filter(|group| group.exists()) {
            None => Some(ErrorCode::GROUP_ID_NOT_FOUND),
            // What others than consumers read is not known.
            Some(group)
                if group.classic.state != ClassicState::Empty
                    && !group.classic.uses_consumer_protocol() =>
            {
                Some(ErrorCode::NON_EMPTY_GROUP)
            }
            Some(group) => self.check_deletion(group, request).err(),
        };
        if let Some(error_code) = code {
            return Outcome::Ready(OffsetDeleteResponse { error_code, topics: Vec::new() });
        }
        let ticket = self.out.ticket();
        let topics = self.with_group(request.group_id, now, |group, turn| {
            let mut codes = once(request);
            for (name, partitions) in &mut codes {
                let subscribed = match group.consumers() {
                    Some(consumers) => consumers.is_subscribed(name),
                    None => group.classic.is_subscribed(name),
                };
                for (partition, code) in partitions {
                    *code = if subscribed {
                        ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC
                    } else {
                        delete_offset(group, request.group_id, name, *partition, turn)
                            .map_or_else(AppendFailure::code, |()| ErrorCode::NONE)
                    };
                }
            }
            answer(request, &codes)
        });
        let response = OffsetDeleteResponse { error_code: ErrorCode::NONE, topics };
        self.out.answer_when_committed(ticket, response);
        self.outcome(ticket)
    }

    /// Whether there is room for what a request writes.
    fn check_deletion(&self, group: &Group, request: &OffsetDelete<'_>) -> Result<(), ErrorCode> {
        let of = |(topic, partitions): (&str, BTreeMap<PartitionIndex, ErrorCode>)| {
            let there = partitions.keys().filter(|p| is_there(group, topic, **p)).count();
            there * record_bytes(request.group_id, topic)
        };
        let bytes = once(request).into_iter().map(of).sum::<usize>();
        if bytes > RECORDS_BYTES_MAX {
            return Err(AppendFailure::TooLarge.code());
        }
        if !self.out.has_room(bytes) {
            return Err(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        }
        Ok(())
    }
}

/// Each partition of a request once.
fn once<'a>(request: &OffsetDelete<'a>) -> Codes<'a> {
    let mut codes = Codes::new();
    for (name, partitions) in &request.topics {
        let all = partitions.iter().map(|p| (*p, ErrorCode::NONE));
        codes.entry(*name).or_default().extend(all);
    }
    codes
}

/// What became of the partitions, in the order of the request.
fn answer(request: &OffsetDelete<'_>, codes: &Codes<'_>) -> Vec<CommittedTopic> {
    let topics = request.topics.iter().map(|(name, partitions)| {
        let codes = codes.get(name);
        let of = |partition: &PartitionIndex| {
            let code = codes.and_then(|codes| codes.get(partition)).copied();
            let error_code = code.unwrap_or(ErrorCode::NONE);
            CommittedPartition { partition: *partition, error_code }
        };
        let partitions = partitions.iter().map(of).collect();
        CommittedTopic { name: (*name).to_owned(), partitions }
    });
    topics.collect()
}

/// Whether there is an offset to delete, or may be.
fn is_there(group: &Group, topic: &str, partition: PartitionIndex) -> bool {
    let offsets = &group.offsets;
    offsets.slot(topic, partition).is_some() || offsets.is_unstable(topic, partition)
}

/// Puts the deletion of an offset on its way if there is one to delete, or may be.
pub(super) fn delete_offset(
    group: &mut Group,
    group_id: &str,
    topic: &str,
    partition: PartitionIndex,
    turn: &mut Turn<'_>,
) -> Result<(), AppendFailure> {
    if !is_there(group, topic, partition) {
        return Ok(());
    }
    let tombstone = records::offset_tombstone(group_id, topic, partition);
    let tombstone = tombstone.map_err(|_| AppendFailure::TooLarge)?;
    let key = Key::Offset { topic: topic.to_owned(), partition };
    let batch = turn.out.push(group_id, key, tombstone)?;
    group.offsets.push(batch, topic, partition, None);
    Ok(())
}
