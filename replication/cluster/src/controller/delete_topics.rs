//! Deletes topics by name or by id (DeleteTopics, KIP-516).

use super::batch::Batch;
use super::{Controller, Decision};
use crate::record::Record;
use crate::{ErrorCode, Refusal};
use ids::TopicId;
use std::collections::{BTreeMap, BTreeSet};

/// A topic to be deleted: a name, or an id from version 6.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicRef {
    /// The name, or `None`.
    pub name: Option<String>,
    /// The id, or zero.
    pub id: TopicId,
}

/// Topics to be deleted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeleteTopics {
    /// The topics.
    pub topics: Vec<TopicRef>,
    /// Version of the request: before 3 a disabled deletion is INVALID_REQUEST.
    pub version: i16,
}

/// The answer for one topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeleteTopicResult {
    /// Its name, where it is known.
    pub name: Option<String>,
    /// Its id, where it is known.
    pub id: TopicId,
    /// What came of it.
    pub result: Result<(), Refusal>,
}

impl Controller {
    /// Deletes topics; one result for each distinct name and id.
    ///
    /// Errors: TOPIC_DELETION_DISABLED for all (INVALID_REQUEST before version 3); INVALID_REQUEST for neither name nor id,
    /// for both, and for a topic named twice in any way, which is then not deleted; UNKNOWN_TOPIC_OR_PARTITION for a name and
    /// UNKNOWN_TOPIC_ID for an id that no topic has; POLICY_VIOLATION for what is over
    /// 1 MB of records in one request.
    pub fn delete_topics(&mut self, request: &DeleteTopics) -> Decision<Vec<DeleteTopicResult>> {
        if !self.settings().delete_topics {
            let code = if request.version < 3 {
                ErrorCode::InvalidRequest
            } else {
                ErrorCode::TopicDeletionDisabled
            };
            let refused = request.topics.iter().map(|t| {
                let refusal = Refusal::new(code, "Topic deletion is disabled.");
                DeleteTopicResult { name: t.name.clone(), id: t.id, result: Err(refusal) }
            });
            return Decision { records: Vec::new(), response: refused.collect() };
        }
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        let mut ids: BTreeMap<TopicId, usize> = BTreeMap::new();
        for t in &request.topics {
            match &t.name {
                Some(name) if t.id == TopicId::ZERO => *names.entry(name).or_default() += 1,
                None if t.id != TopicId::ZERO => *ids.entry(t.id).or_default() += 1,
                Some(_) | None => {}
            }
        }
        // A name and an id that mean one topic are a duplicate too.
        let mut named_ids: BTreeSet<TopicId> = BTreeSet::new();
        named_ids.extend(ids.keys());

        let (mut batch, mut results) = (Batch::default(), Vec::new());
        let mut done_names = BTreeSet::new();
        let mut done_ids = BTreeSet::new();
        for t in &request.topics {
            let invalid = |why| Err(Refusal::new(ErrorCode::InvalidRequest, why));
            let (name, id, result) = match &t.name {
                None if t.id == TopicId::ZERO => {
                    (None, t.id, invalid("Neither topic name nor id were specified."))
                }
                Some(name) if t.id != TopicId::ZERO => (
                    Some(name.clone()),
                    t.id,
                    invalid("You may not specify both topic name and topic id."),
                ),
                Some(name) => {
                    if !done_names.insert(name.as_str()) {
                        continue;
                    }
                    let topic = self.image.topic_named(name);
                    let duplicate = names.get(name.as_str()).is_some_and(|n| *n > 1);
                    let (id, result) = match topic {
                        _ if duplicate => (TopicId::ZERO, invalid("Duplicate topic name.")),
                        None => {
                            let why = "This server does not host this topic-partition.";
                            let code = ErrorCode::UnknownTopicOrPartition;
                            (TopicId::ZERO, Err(Refusal::new(code, why)))
                        }
                        Some(topic) if named_ids.contains(&topic.id) => {
                            let why =
                                "The provided topic name maps to an ID that was already supplied.";
                            (topic.id, invalid(why))
                        }
                        Some(topic) => (topic.id, Ok(())),
                    };
                    (Some(name.clone()), id, result)
                }
                None => {
                    if !done_ids.insert(t.id) {
                        continue;
                    }
                    let topic = self.image.topic(t.id);
                    let name = topic.map(|topic| topic.name.to_string());
                    let doubly_named = name.as_deref().is_some_and(|n| names.contains_key(n));
                    let duplicate = doubly_named || ids.get(&t.id).is_some_and(|n| *n > 1);
                    let result = if duplicate {
                        invalid("Duplicate topic id.")
                    } else if name.is_none() {
                        let why = "This server does not host this topic ID.";
                        Err(Refusal::new(ErrorCode::UnknownTopicId, why))
                    } else {
                        Ok(())
                    };
                    (name.filter(|_| result.is_ok()), t.id, result)
                }
            };
            let result = result.and_then(|()| batch.admit(vec![Record::TopicDeleted { id }]));
            results.push(DeleteTopicResult { name, id, result });
        }
        self.decide(batch.into_records(false), results)
    }
}
