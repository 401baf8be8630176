//! OffsetFetch: how far groups have read. What a group or partition does not have is no error.

mod question;

use super::super::owners::at_owners;
use super::super::{Asked, read, reply};
use super::partition;
use crate::broker::Broker;
use coordinator::{FetchedTopic, OffsetFetch};
use ids::{LeaderEpoch, Offset, PartitionId, PartitionIndex};
use question::Question;
use server::Reply;
use std::rc::Rc;
use wire::api::ApiKey;
use wire::api::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestTopic, OffsetFetchResponse, OffsetFetchResponseGroup,
    OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use wire::{DecodeError, ErrorCode, Reader};

/// From here on a request names several groups (KIP-709).
const SEVERAL_FROM: i16 = 8;
/// From here on an answer has an error of its own; before it only partitions have one.
const ERROR_FROM: i16 = 2;

type Found = Result<Vec<FetchedTopic>, ErrorCode>;

pub(in super::super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: OffsetFetchRequest<'_> = read(reader, asked)?;
    if asked.version >= SEVERAL_FROM {
        let questions = question::several(&request);
        let names: Vec<String> = questions.iter().map(|q| q.group.clone()).collect();
        let found = find(broker, questions).await;
        let groups = names.iter().zip(&found).map(|(name, f)| phrase_group(name, f)).collect();
        return Ok(reply(asked, &OffsetFetchResponse { groups, ..OffsetFetchResponse::default() }));
    }
    let found = find(broker, vec![question::one(&request)]).await;
    let found = found.into_iter().next().unwrap_or(Err(ErrorCode::NOT_COORDINATOR));
    Ok(reply(asked, &phrase_one(&request, asked.version, &found)))
}

/// How many groups a request names whose body is about to be read; one where it is no OffsetFetch of several.
pub(in super::super) fn named(key: ApiKey, version: i16, body: &Reader<'_>) -> usize {
    if key != ApiKey::OffsetFetch || version < SEVERAL_FROM {
        return 1;
    }
    // It begins with them. What cannot be read is refused when they are.
    body.clone().long_len(true).ok().flatten().unwrap_or(1)
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

/// The answer to a request that names one group.
fn phrase_one<'a>(
    request: &OffsetFetchRequest<'a>,
    version: i16,
    found: &'a Found,
) -> OffsetFetchResponse<'a> {
    match found {
        Ok(found) => OffsetFetchResponse {
            topics: found.iter().map(phrase).collect(),
            ..OffsetFetchResponse::default()
        },
        Err(code) if version < ERROR_FROM => OffsetFetchResponse {
            topics: request.topics.iter().flatten().map(|t| refused(t, *code)).collect(),
            ..OffsetFetchResponse::default()
        },
        Err(code) => OffsetFetchResponse { error_code: *code, ..OffsetFetchResponse::default() },
    }
}

/// A topic in the answer to a request that is refused as a whole: an empty one would say that nothing is committed.
fn refused<'a>(
    topic: &OffsetFetchRequestTopic<'a>,
    error_code: ErrorCode,
) -> OffsetFetchResponseTopic<'a> {
    let partition = |index: &PartitionIndex| OffsetFetchResponsePartition {
        partition_index: *index,
        committed_offset: Offset::NONE,
        committed_leader_epoch: LeaderEpoch::UNKNOWN,
        metadata: Some(""),
        error_code,
    };
    OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic.partition_indexes.iter().map(partition).collect(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Encoder, ErrorCode};

    #[test]
    fn the_groups_of_a_request_are_counted_before_it_is_read() {
        // 300, as a compact length.
        let body = Reader::new(&[0xad, 0x02, 2, b'g']);
        assert_eq!(named(ApiKey::OffsetFetch, SEVERAL_FROM, &body), 300);
        assert_eq!(body.position(), 0);
        assert_eq!(named(ApiKey::OffsetFetch, SEVERAL_FROM - 1, &body), 1);
        assert_eq!(named(ApiKey::OffsetCommit, SEVERAL_FROM, &body), 1);
        let cut = Reader::new(&[]);
        assert_eq!(named(ApiKey::OffsetFetch, SEVERAL_FROM, &cut), 1);
    }

    fn asked() -> OffsetFetchRequest<'static> {
        let indexes = vec![PartitionIndex(0), PartitionIndex(2)];
        let topics = Some(vec![OffsetFetchRequestTopic { name: "t", partition_indexes: indexes }]);
        OffsetFetchRequest { group_id: "g", topics, ..OffsetFetchRequest::default() }
    }

    #[test]
    fn without_an_error_of_its_own_the_answer_refuses_each_partition() {
        let code = ErrorCode::COORDINATOR_LOAD_IN_PROGRESS;
        let found = Err(code);
        let answer = phrase_one(&asked(), 1, &found);
        let [topic] = &answer.topics[..] else { panic!("one topic is asked for: {answer:?}") };
        let told: Vec<_> = topic
            .partitions
            .iter()
            .map(|p| (p.partition_index.0, p.committed_offset, p.error_code))
            .collect();
        assert_eq!(
            (topic.name, told),
            ("t", vec![(0, Offset::NONE, code), (2, Offset::NONE, code)])
        );
        // The bytes have no other place for it.
        let mut encoder = Encoder::new();
        encoder.response(7, 1, &answer).unwrap();
        let code = code.0.to_be_bytes();
        assert!(encoder.into_bytes().ends_with(&code), "the last partition has the code");
    }

    #[test]
    fn from_version_2_on_the_answer_has_the_error() {
        for version in 2..SEVERAL_FROM {
            let found = Err(ErrorCode::NOT_COORDINATOR);
            let answer = phrase_one(&asked(), version, &found);
            assert!(answer.topics.is_empty());
            assert_eq!(answer.error_code, ErrorCode::NOT_COORDINATOR);
        }
    }
}
