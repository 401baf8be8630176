//! DeleteTopics, by name or by id.

use super::{Asked, codes, read, reply};
use crate::broker::Broker;
use cluster::controller::{DeleteTopics, TopicRef};
use ids::TopicId;
use server::Reply;
use std::rc::Rc;
use wire::api::delete_topics::{DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse};
use wire::{DecodeError, ErrorCode, Reader};

pub(super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: DeleteTopicsRequest<'_> = read(reader, asked)?;
    let topics: Vec<TopicRef> = if asked.version >= 6 {
        let refs = request.topics.iter();
        refs.map(|t| TopicRef { name: t.name.map(str::to_owned), id: t.topic_id }).collect()
    } else {
        let names = request.topic_names.iter();
        names.map(|n| TopicRef { name: Some((*n).to_owned()), id: TopicId::ZERO }).collect()
    };
    let wanted = DeleteTopics { topics, version: asked.version };
    let results = broker.propose(|c| c.delete_topics(&wanted)).await;
    let (results, failure) = match results {
        Ok(results) => (results, None),
        Err(e) => (Vec::new(), Some(codes::of_proposal(&e))),
    };
    let mut responses: Vec<DeletableTopicResult<'_>> = results
        .iter()
        .map(|r| {
            let refused = r.result.as_ref().err();
            DeletableTopicResult {
                name: r.name.as_deref(),
                topic_id: r.id,
                error_code: refused.map_or(ErrorCode::NONE, codes::of_refused),
                error_message: refused.map(|e| e.message.as_str()),
            }
        })
        .collect();
    if let Some((code, message)) = &failure {
        for t in &wanted.topics {
            responses.push(DeletableTopicResult {
                name: t.name.as_deref(),
                topic_id: t.id,
                error_code: *code,
                error_message: Some(message),
            });
        }
    }
    Ok(reply(asked, &DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() }))
}
