//! OffsetDelete 0: deletes offsets of a group that nobody reads with (KIP-496).

use super::Coordinator;
use super::offset_commit::{CommittedPartition, CommittedTopic};
use crate::classic::ClassicState;
use crate::group::Group;
use crate::now::Now;
use crate::outbox::{AppendFailure, Key};
use crate::records;
use crate::response::Outcome;
use crate::turn::Turn;
use ids::PartitionIndex;
use wire::ErrorCode;

/// What the caller asks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OffsetDelete<'a> {
    /// The group.
    pub group_id: &'a str,
    /// The partitions.
    pub topics: Vec<(&'a str, Vec<PartitionIndex>)>,
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OffsetDeleteResponse {
    /// NONE, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, NON_EMPTY_GROUP or GROUP_ID_NOT_FOUND. There are no topics then.
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
            Some(_) => None,
        };
        if let Some(error_code) = code {
            return Outcome::Ready(OffsetDeleteResponse { error_code, topics: Vec::new() });
        }
        let ticket = self.out.ticket();
        let topics = self.with_group(request.group_id, now, |group, turn| {
            let mut topics = Vec::new();
            for (name, partitions) in &request.topics {
                let subscribed = match group.consumers() {
                    Some(consumers) => consumers.is_subscribed(name),
                    None => group.classic.is_subscribed(name),
                };
                let mut delete = |partition: &PartitionIndex| CommittedPartition {
                    partition: *partition,
                    error_code: if subscribed {
                        ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC
                    } else {
                        delete_offset(group, request.group_id, name, *partition, turn)
                            .map_or_else(AppendFailure::code, |()| ErrorCode::NONE)
                    },
                };
                let partitions = partitions.iter().map(&mut delete).collect();
                topics.push(CommittedTopic { name: (*name).to_owned(), partitions });
            }
            topics
        });
        let response = OffsetDeleteResponse { error_code: ErrorCode::NONE, topics };
        self.out.answer_when_committed(ticket, response);
        self.outcome(ticket)
    }
}

/// Puts the deletion of an offset on its way if there is one to delete, or may be.
pub(super) fn delete_offset(
    group: &mut Group,
    group_id: &str,
    topic: &str,
    partition: PartitionIndex,
    turn: &mut Turn<'_>,
) -> Result<(), AppendFailure> {
    let offsets = &group.offsets;
    if offsets.slot(topic, partition).is_none() && !offsets.is_unstable(topic, partition) {
        return Ok(());
    }
    let tombstone = records::offset_tombstone(group_id, topic, partition);
    let tombstone = tombstone.map_err(|_| AppendFailure::TooLarge)?;
    let key = Key::Offset { topic: topic.to_owned(), partition };
    let batch = turn.out.push(group_id, key, tombstone)?;
    group.offsets.push(batch, topic, partition, None);
    Ok(())
}
