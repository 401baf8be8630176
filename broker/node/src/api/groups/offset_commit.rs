//! OffsetCommit: stores how far a group has read.

use super::super::{Asked, read, reply};
use super::{exists, partition};
use crate::broker::Broker;
use crate::groups::NoCoordinator;
use coordinator::{CommitPartition, CommitTopic, OffsetCommit, OffsetCommitResponse as Committed};
use ids::PartitionIndex;
use server::Reply;
use std::collections::BTreeMap;
use std::rc::Rc;
use wire::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};
use wire::{DecodeError, ErrorCode, Reader};

/// From here on a group that does not exist has a code of its own.
const GROUP_ID_NOT_FOUND_FROM: i16 = 9;

pub(in super::super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: OffsetCommitRequest<'_> = read(reader, asked)?;
    let exists = |topic: &str, index| exists(broker, topic, index);
    let topics: Vec<CommitTopic<'_>> = request
        .topics
        .iter()
        .map(|t| CommitTopic {
            name: t.name,
            partitions: t
                .partitions
                .iter()
                .filter(|p| exists(t.name, p.partition_index))
                .map(|p| CommitPartition {
                    partition: p.partition_index,
                    offset: p.committed_offset,
                    leader_epoch: p.committed_leader_epoch,
                    metadata: p.committed_metadata.unwrap_or(""),
                })
                .collect(),
        })
        .filter(|t| !t.partitions.is_empty())
        .collect();
    let commit = OffsetCommit {
        group_id: request.group_id,
        generation_id: request.generation_id_or_member_epoch,
        member_id: request.member_id,
        group_instance_id: request.group_instance_id,
        retention_ms: (request.retention_time_ms >= 0).then_some(request.retention_time_ms),
        topics,
        knows_group_id_not_found: asked.version >= GROUP_ID_NOT_FOUND_FROM,
    };
    let committed = if commit.topics.is_empty() && !request.topics.is_empty() {
        // Nothing of it exists: that is all there is to say.
        Ok(Committed::default())
    } else {
        match partition(broker, request.group_id) {
            Some(id) => {
                broker.groups.ask_and_wait(id, |c, now| c.offset_commit(&commit, now)).await
            }
            None => Err(NoCoordinator::NotHere),
        }
    };
    let failure = committed.as_ref().err().map(|e| e.code());
    let codes: BTreeMap<(&str, PartitionIndex), ErrorCode> = committed
        .iter()
        .flat_map(|c: &Committed| &c.topics)
        .flat_map(|t| t.partitions.iter().map(|p| ((t.name.as_str(), p.partition), p.error_code)))
        .collect();
    let topics = request
        .topics
        .iter()
        .map(|t| OffsetCommitResponseTopic {
            name: t.name,
            topic_id: t.topic_id,
            partitions: t
                .partitions
                .iter()
                .map(|p| OffsetCommitResponsePartition {
                    partition_index: p.partition_index,
                    error_code: if exists(t.name, p.partition_index) {
                        let code = codes.get(&(t.name, p.partition_index)).copied();
                        failure.or(code).unwrap_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
                    } else {
                        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
                    },
                })
                .collect(),
        })
        .collect();
    Ok(reply(asked, &OffsetCommitResponse { topics, ..OffsetCommitResponse::default() }))
}
