//! CreatePartitions: more partitions for a topic that exists.

use super::{Asked, codes, read, reply};
use crate::broker::Broker;
use cluster::controller::{CreatePartitions, MorePartitions};
use server::Reply;
use std::rc::Rc;
use wire::api::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use wire::{DecodeError, ErrorCode, Reader};

pub(super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: CreatePartitionsRequest<'_> = read(reader, asked)?;
    let topics = request
        .topics
        .iter()
        .map(|t| MorePartitions {
            name: t.name.to_owned(),
            count: t.count,
            assignments: t
                .assignments
                .as_ref()
                .map(|all| all.iter().map(|a| a.broker_ids.clone()).collect()),
        })
        .collect();
    let wanted = CreatePartitions { topics, validate_only: request.validate_only };
    let results = broker.propose(|c| c.create_partitions(&wanted)).await;
    let (results, failure) = match results {
        Ok(results) => (results, None),
        Err(e) => (Vec::new(), Some(codes::of_proposal(&e))),
    };
    let mut phrased: Vec<CreatePartitionsTopicResult<'_>> = results
        .iter()
        .map(|r| {
            let refused = r.result.as_ref().err();
            CreatePartitionsTopicResult {
                name: &r.name,
                error_code: refused.map_or(ErrorCode::NONE, codes::of_refused),
                error_message: refused.map(|e| e.message.as_str()),
            }
        })
        .collect();
    if let Some((code, message)) = &failure {
        for t in &request.topics {
            phrased.push(CreatePartitionsTopicResult {
                name: t.name,
                error_code: *code,
                error_message: Some(message),
            });
        }
    }
    let body = CreatePartitionsResponse { results: phrased, ..CreatePartitionsResponse::default() };
    Ok(reply(asked, &body))
}
