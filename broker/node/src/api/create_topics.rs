//! CreateTopics: decided by the controller, answered when it is durable.

use super::{Asked, codes, read, reply};
use crate::broker::Broker;
use cluster::controller::{CreateTopicResult, CreateTopics, NewTopic, PartitionAssignment};
use server::Reply;
use std::rc::Rc;
use wire::api::create_topics::{
    CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use wire::{DecodeError, ErrorCode, Reader};

pub(super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: CreateTopicsRequest<'_> = read(reader, asked)?;
    let topics = request
        .topics
        .iter()
        .map(|t| NewTopic {
            name: t.name.to_owned(),
            partitions: t.num_partitions,
            replication_factor: t.replication_factor,
            assignments: t
                .assignments
                .iter()
                .map(|a| PartitionAssignment {
                    index: a.partition_index.0,
                    replicas: a.broker_ids.clone(),
                })
                .collect(),
            configs: t
                .configs
                .iter()
                .map(|c| (c.name.to_owned(), c.value.map(str::to_owned)))
                .collect(),
        })
        .collect();
    let wanted = CreateTopics { topics, validate_only: request.validate_only };
    let mut fresh = || super::fresh_topic_id(broker);
    let results = broker.propose(|c| c.create_topics(&wanted, &mut fresh)).await;
    let (results, failure) = match results {
        Ok(results) => (results, None),
        Err(e) => (Vec::new(), Some(codes::of_proposal(&e))),
    };
    let mut topics: Vec<CreatableTopicResult<'_>> = results.iter().map(phrase).collect();
    if let Some((code, message)) = &failure {
        for t in &request.topics {
            topics.push(CreatableTopicResult {
                name: t.name,
                error_code: *code,
                error_message: Some(message),
                ..CreatableTopicResult::default()
            });
        }
    }
    Ok(reply(asked, &CreateTopicsResponse { topics, ..CreateTopicsResponse::default() }))
}

fn phrase(r: &CreateTopicResult) -> CreatableTopicResult<'_> {
    match &r.result {
        Ok(created) => CreatableTopicResult {
            name: &r.name,
            topic_id: created.id,
            error_code: ErrorCode::NONE,
            num_partitions: created.partitions,
            replication_factor: created.replication_factor,
            configs: Some(
                created
                    .configs
                    .iter()
                    .map(|c| CreatableTopicConfigs {
                        name: &c.name,
                        value: c.value.as_deref(),
                        read_only: c.read_only,
                        config_source: c.source.wire(),
                        is_sensitive: c.sensitive,
                    })
                    .collect(),
            ),
            ..CreatableTopicResult::default()
        },
        Err(refused) => CreatableTopicResult {
            name: &r.name,
            error_code: codes::of_refused(refused),
            error_message: Some(&refused.message),
            ..CreatableTopicResult::default()
        },
    }
}
