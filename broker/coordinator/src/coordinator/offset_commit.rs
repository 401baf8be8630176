//! OffsetCommit 2 to 9: stores a group's offsets (KIP-211, KIP-320, KIP-345).

use super::Coordinator;
use super::join_group::STRING_MAX;
use crate::classic::Asker;
use crate::group::Group;
use crate::now::Now;
use crate::offsets::CommittedOffset;
use crate::outbox::{BatchId, Key};
use crate::records;
use crate::response::Outcome;
use crate::turn::Turn;
use ids::{LeaderEpoch, Offset, PartitionId, PartitionIndex, ProducerId};
use wire::ErrorCode;

/// What the caller asks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OffsetCommit<'a> {
    /// The group; may be empty.
    pub group_id: &'a str,
    /// The generation; -1 outside of any group protocol.
    pub generation_id: i32,
    /// The member, or empty.
    pub member_id: &'a str,
    /// The member's fixed name, of a static member.
    pub group_instance_id: Option<&'a str>,
    /// How long to keep the offsets (versions 2 to 4); `None`: as long as the broker does.
    pub retention_ms: Option<i64>,
    /// The offsets. The caller has checked that the partitions exist.
    pub topics: Vec<CommitTopic<'a>>,
    /// Whether a group that does not exist is GROUP_ID_NOT_FOUND (version 9 and up) instead of ILLEGAL_GENERATION.
    pub knows_group_id_not_found: bool,
}

/// A topic and its offsets.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CommitTopic<'a> {
    /// The topic.
    pub name: &'a str,
    /// The offsets.
    pub partitions: Vec<CommitPartition<'a>>,
}

/// The offset of one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CommitPartition<'a> {
    /// The partition.
    pub partition: PartitionIndex,
    /// The offset of the next record to read.
    pub offset: Offset,
    /// The leader epoch of the last record read, or unknown.
    pub leader_epoch: LeaderEpoch,
    /// Text to keep beside it; null is empty.
    pub metadata: &'a str,
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OffsetCommitResponse {
    /// What became of each partition, in the order of the request.
    pub topics: Vec<CommittedTopic>,
}

/// What became of one topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommittedTopic {
    /// The topic.
    pub name: String,
    /// Its partitions.
    pub partitions: Vec<CommittedPartition>,
}

/// What became of one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CommittedPartition {
    /// The partition.
    pub partition: PartitionIndex,
    /// NONE, OFFSET_METADATA_TOO_LARGE, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID,
    /// REBALANCE_IN_PROGRESS, INVALID_COMMIT_OFFSET_SIZE, FENCED_INSTANCE_ID, INVALID_GROUP_ID, GROUP_ID_NOT_FOUND or
    /// STALE_MEMBER_EPOCH.
    pub error_code: ErrorCode,
}

/// The most bytes that the records of one request may take, about: those of some 300,000 partitions with ordinary names.
pub(super) const RECORDS_BYTES_MAX: usize = 32 << 20;

/// What a record about an offset takes besides its names and its text, about.
const RECORD_BYTES: usize = 64;

/// The bytes of a record about an offset, about. It repeats the names of its group and topic, however short the request said them.
pub(super) fn record_bytes(group_id: &str, topic: &str) -> usize {
    group_id.len() + topic.len() + RECORD_BYTES
}

impl Coordinator {
    /// OffsetCommit. Answered when the offsets are in the log.
    pub fn offset_commit(
        &mut self,
        request: &OffsetCommit<'_>,
        now: Now,
    ) -> Outcome<OffsetCommitResponse> {
        let is_late = match self.check_commit(request) {
            Ok(()) => Ok(false),
            Err(ErrorCode::STALE_MEMBER_EPOCH) => Ok(true),
            Err(code) => Err(code),
        };
        let is_late = match is_late.and_then(|late| self.check_room(request).map(|()| late)) {
            Ok(is_late) => is_late,
            Err(code) => {
                let topics = request.topics.iter().map(|t| answer(t, |_| code)).collect();
                return Outcome::Ready(OffsetCommitResponse { topics });
            }
        };
        let ticket = self.out.ticket();
        let topics = self.with_group(request.group_id, now, |group, turn| {
            group.classic.on_commit(request.member_id, now.instant);
            let mut commit = |topic: &CommitTopic<'_>| {
                answer(topic, |p| {
                    if is_late && !may_commit_late(group, topic.name, p.partition, request, turn) {
                        return ErrorCode::STALE_MEMBER_EPOCH;
                    }
                    push(group, topic.name, p, request, turn)
                })
            };
            request.topics.iter().map(&mut commit).collect()
        });
        self.out.answer_when_committed(ticket, OffsetCommitResponse { topics });
        self.outcome(ticket)
    }

    /// Whether there is room for the records of a commit, whoever asks for it.
    pub(super) fn check_room(&self, commit: &OffsetCommit<'_>) -> Result<(), ErrorCode> {
        // Of what has too long a text there is no record.
        let text_max = self.config.offset_metadata_max_bytes;
        let of = |topic: &CommitTopic<'_>| {
            let each = record_bytes(commit.group_id, topic.name);
            let texts = topic.partitions.iter().map(|p| p.metadata.len());
            texts.filter(|text| *text <= text_max).map(|text| text + each).sum::<usize>()
        };
        let bytes = commit.topics.iter().map(of).sum::<usize>();
        if bytes > RECORDS_BYTES_MAX {
            return Err(ErrorCode::INVALID_COMMIT_OFFSET_SIZE);
        }
        if !self.out.has_room(bytes) {
            return Err(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        }
        Ok(())
    }

    fn check_commit(&self, request: &OffsetCommit<'_>) -> Result<(), ErrorCode> {
        if request.group_id.len() > STRING_MAX {
            return Err(ErrorCode::INVALID_GROUP_ID);
        }
        let group = self.groups.get(request.group_id).filter(|group| group.exists());
        let Some(group) = group else {
            // Whoever is no member may commit to a group that is no group.
            return match (request.generation_id < 0, request.knows_group_id_not_found) {
                (true, _) => Ok(()),
                (false, false) => Err(ErrorCode::ILLEGAL_GENERATION),
                (false, true) => Err(ErrorCode::GROUP_ID_NOT_FOUND),
            };
        };
        let asker =
            Asker { member_id: request.member_id, group_instance_id: request.group_instance_id };
        match group.consumers() {
            Some(consumers) => consumers.check_commit(asker, request.generation_id),
            None => group.classic.check_commit(asker, request.generation_id),
        }
    }
}

/// Whether a commit of an epoch that is not the member's counts for this partition.
fn may_commit_late(
    group: &Group,
    topic: &str,
    index: PartitionIndex,
    request: &OffsetCommit<'_>,
    turn: &Turn<'_>,
) -> bool {
    let (Some(consumers), Some((topic, _))) = (group.consumers(), turn.topics.named(topic)) else {
        return false;
    };
    let partition = PartitionId { topic, index };
    consumers.may_commit_late(request.member_id, request.generation_id, &partition)
}

fn push(
    group: &mut Group,
    topic: &str,
    p: &CommitPartition<'_>,
    request: &OffsetCommit<'_>,
    turn: &mut Turn<'_>,
) -> ErrorCode {
    let key = Key::Offset { topic: topic.to_owned(), partition: p.partition };
    match push_record(key, topic, p, request, turn) {
        Ok((batch, value)) => {
            group.offsets.push(batch, topic, p.partition, Some(value));
            ErrorCode::NONE
        }
        Err(code) => code,
    }
}

pub(super) fn push_in_transaction(
    producer: ProducerId,
    group: &mut Group,
    topic: &str,
    p: &CommitPartition<'_>,
    request: &OffsetCommit<'_>,
    turn: &mut Turn<'_>,
) -> ErrorCode {
    let key = Key::TxnOffset { producer, topic: topic.to_owned(), partition: p.partition };
    match push_record(key, topic, p, request, turn) {
        Ok((batch, value)) => {
            group.offsets.push_in_transaction(producer, batch, topic, p.partition, value);
            ErrorCode::NONE
        }
        Err(code) => code,
    }
}

fn push_record(
    key: Key,
    topic: &str,
    p: &CommitPartition<'_>,
    request: &OffsetCommit<'_>,
    turn: &mut Turn<'_>,
) -> Result<(BatchId, CommittedOffset), ErrorCode> {
    if p.metadata.len() > turn.config.offset_metadata_max_bytes {
        return Err(ErrorCode::OFFSET_METADATA_TOO_LARGE);
    }
    let committed_at = turn.now.wall;
    let value = CommittedOffset {
        offset: p.offset,
        // The one version of the record that has an end of its own has no leader epoch; nor do the clients that ask for it.
        leader_epoch: request.retention_ms.map_or(p.leader_epoch, |_| LeaderEpoch::UNKNOWN),
        metadata: p.metadata.to_owned(),
        committed_at,
        expires_at: request.retention_ms.map(|ms| committed_at + ms),
        record_at: Offset::NONE,
    };
    let Ok(record) = records::offset(request.group_id, topic, p.partition, &value) else {
        // Only the text can be longer than a string of a record, where the broker allows longer ones.
        return Err(ErrorCode::OFFSET_METADATA_TOO_LARGE);
    };
    let pushed = turn.out.push(request.group_id, key, record);
    pushed.map(|batch| (batch, value)).map_err(|_| ErrorCode::INVALID_COMMIT_OFFSET_SIZE)
}

pub(super) fn answer<'a>(
    topic: &CommitTopic<'a>,
    mut code: impl FnMut(&CommitPartition<'a>) -> ErrorCode,
) -> CommittedTopic {
    let partitions = topic
        .partitions
        .iter()
        .map(|p| CommittedPartition { partition: p.partition, error_code: code(p) })
        .collect();
    CommittedTopic { name: topic.name.to_owned(), partitions }
}
