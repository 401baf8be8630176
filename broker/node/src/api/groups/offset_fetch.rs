//! OffsetFetch: how far groups have read. What a group or partition does not have is no error.

use super::super::owners::at_owners;
use super::super::{Asked, read, reply};
use super::partition;
use crate::broker::Broker;
use coordinator::{FetchedTopic, OffsetFetch};
use ids::{PartitionId, PartitionIndex};
use server::Reply;
use std::rc::Rc;
use wire::api::offset_fetch::{
    OffsetFetchRequest, OffsetFetchResponse, OffsetFetchResponseGroup,
    OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use wire::{DecodeError, ErrorCode, Reader};

/// From here on a request names several groups (KIP-709).
const SEVERAL_FROM: i16 = 8;

/// One group, and which of its offsets are wanted.
struct Question {
    group: String,
    topics: Option<Vec<(String, Vec<PartitionIndex>)>>,
    stable: bool,
    /// The member of a consumer group that asks, and its epoch.
    member: Option<(String, i32)>,
}

type Found = Result<Vec<FetchedTopic>, ErrorCode>;

pub(in super::super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: OffsetFetchRequest<'_> = read(reader, asked)?;
    let several = asked.version >= SEVERAL_FROM;
    let questions: Vec<Question> = if several {
        let named = |t: &wire::api::offset_fetch::OffsetFetchRequestTopics<'_>| {
            (t.name.to_owned(), t.partition_indexes.clone())
        };
        request
            .groups
            .iter()
            .map(|g| Question {
                group: g.group_id.to_owned(),
                topics: g.topics.as_ref().map(|topics| topics.iter().map(named).collect()),
                stable: request.require_stable,
                member: g.member_id.map(|id| (id.to_owned(), g.member_epoch)),
            })
            .collect()
    } else {
        let topics = request.topics.as_ref().map(|topics| {
            topics.iter().map(|t| (t.name.to_owned(), t.partition_indexes.clone())).collect()
        });
        vec![Question {
            group: request.group_id.to_owned(),
            topics,
            stable: request.require_stable,
            member: None,
        }]
    };
    let names: Vec<String> = questions.iter().map(|q| q.group.clone()).collect();
    let found = find(broker, questions).await;
    if several {
        let groups = names.iter().zip(&found).map(|(name, f)| phrase_group(name, f)).collect();
        return Ok(reply(asked, &OffsetFetchResponse { groups, ..OffsetFetchResponse::default() }));
    }
    let found = found.into_iter().next().unwrap_or(Err(ErrorCode::NOT_COORDINATOR));
    let topics = found.as_ref().map_or_else(|_| Vec::new(), |f| f.iter().map(phrase).collect());
    let error_code = found.as_ref().err().copied().unwrap_or(ErrorCode::NONE);
    Ok(reply(asked, &OffsetFetchResponse { topics, error_code, ..OffsetFetchResponse::default() }))
}

async fn find(broker: &Rc<Broker>, questions: Vec<Question>) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::with_capacity(questions.len());
    let mut placed = Vec::new();
    let mut places = Vec::new();
    for q in questions {
        match partition(broker, &q.group) {
            Some(id) => {
                places.push(found.len());
                placed.push((id, q));
                found.push(Err(ErrorCode::NOT_COORDINATOR));
            }
            None => found.push(Err(ErrorCode::NOT_COORDINATOR)),
        }
    }
    for (place, answer) in places.into_iter().zip(at_owners(broker, placed, look).await) {
        if let Some(answer) = answer {
            found[place] = answer;
        }
    }
    found
}

async fn look(broker: Rc<Broker>, id: PartitionId, q: Question) -> Found {
    let fetch = OffsetFetch {
        group_id: &q.group,
        require_stable: q.stable,
        member: q.member.as_ref().map(|(id, epoch)| (id.as_str(), *epoch)),
        topics: q.topics.as_ref().map(|topics| {
            topics.iter().map(|(name, partitions)| (name.as_str(), partitions.clone())).collect()
        }),
    };
    let looked = broker.groups.look(id, |c| {
        c.check_offset_fetch(&fetch)?;
        Ok(c.offset_fetch(&fetch))
    });
    looked.unwrap_or_else(|e| Err(e.code()))
}

fn phrase(t: &FetchedTopic) -> OffsetFetchResponseTopic<'_> {
    OffsetFetchResponseTopic {
        name: &t.name,
        partitions: t
            .partitions
            .iter()
            .map(|p| OffsetFetchResponsePartition {
                partition_index: p.partition,
                committed_offset: p.offset,
                committed_leader_epoch: p.leader_epoch,
                metadata: Some(&p.metadata),
                error_code: p.error_code,
            })
            .collect(),
    }
}

fn phrase_group<'a>(name: &'a str, found: &'a Found) -> OffsetFetchResponseGroup<'a> {
    let topics = found.iter().flatten();
    OffsetFetchResponseGroup {
        group_id: name,
        error_code: found.as_ref().err().copied().unwrap_or(ErrorCode::NONE),
        topics: topics
            .map(|t| OffsetFetchResponseTopics {
                name: &t.name,
                partitions: t
                    .partitions
                    .iter()
                    .map(|p| OffsetFetchResponsePartitions {
                        partition_index: p.partition,
                        committed_offset: p.offset,
                        committed_leader_epoch: p.leader_epoch,
                        metadata: Some(&p.metadata),
                        error_code: p.error_code,
                    })
                    .collect(),
                ..OffsetFetchResponseTopics::default()
            })
            .collect(),
    }
}
