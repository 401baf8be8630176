//! Creating, deleting and growing topics; trimming partitions.

use super::Outcome;
use crate::client::{Client, To};
use crate::error::{ClientError, Refusal};
use ids::{Offset, PartitionIndex, TopicId};
use std::collections::BTreeMap;
use wire::ErrorCode;
use wire::api::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
};
use wire::api::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse,
};
use wire::api::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopic,
};
use wire::api::delete_topics::{DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse};

/// A topic to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; `None` is the broker's default.
    pub partitions: Option<i32>,
    /// How many replicas of each; `None` is the broker's default.
    pub replication_factor: Option<i16>,
    /// Configurations of its own, by Kafka's names.
    pub configs: Vec<(String, String)>,
}

/// A topic that was created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicCreated {
    /// Its id; zero from a broker that does not tell.
    pub id: TopicId,
    /// Its partitions; -1 from a broker that does not tell.
    pub partitions: i32,
    /// Its replicas; -1 from a broker that does not tell.
    pub replication_factor: i16,
}

/// A topic that shall have more partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPartitions {
    /// The topic.
    pub topic: String,
    /// How many it shall have in all.
    pub total: i32,
}

impl Client {
    /// Creates topics, or only checks whether they could be (`validate_only`).
    ///
    /// # Errors
    /// The request as a whole failed; refusals of single topics are in the outcomes.
    pub fn create_topics(
        &mut self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<Vec<Outcome<TopicCreated>>, ClientError> {
        let request = CreateTopicsRequest {
            topics: topics
                .iter()
                .map(|t| CreatableTopic {
                    name: &t.name,
                    num_partitions: t.partitions.unwrap_or(-1),
                    replication_factor: t.replication_factor.unwrap_or(-1),
                    assignments: Vec::new(),
                    configs: t
                        .configs
                        .iter()
                        .map(|(name, value)| CreatableTopicConfig { name, value: Some(value) })
                        .collect(),
                })
                .collect(),
            timeout_ms: Self::millis(self.config().request_timeout),
            validate_only,
        };
        self.change(i16::MAX, &request, |client, reply| {
            let response: CreateTopicsResponse<'_> = client.decode(reply)?;
            Ok(response
                .topics
                .iter()
                .map(|t| {
                    let created = TopicCreated {
                        id: t.topic_id,
                        partitions: t.num_partitions,
                        replication_factor: t.replication_factor,
                    };
                    Outcome::of("create topic", t.name, t.error_code, t.error_message, created)
                })
                .collect())
        })
    }

    /// Deletes topics by name.
    ///
    /// # Errors
    /// The request as a whole failed; refusals of single topics are in the outcomes.
    pub fn delete_topics(&mut self, names: &[&str]) -> Result<Vec<Outcome<()>>, ClientError> {
        let request = DeleteTopicsRequest {
            topics: names
                .iter()
                .map(|name| DeleteTopicState { name: Some(*name), ..Default::default() })
                .collect(),
            topic_names: names.to_vec(),
            timeout_ms: Self::millis(self.config().request_timeout),
        };
        let outcomes = self.change(i16::MAX, &request, |client, reply| {
            let response: DeleteTopicsResponse<'_> = client.decode(reply)?;
            Ok(response
                .responses
                .iter()
                .map(|t| {
                    let name = t.name.unwrap_or_default();
                    Outcome::of("delete topic", name, t.error_code, t.error_message, ())
                })
                .collect())
        })?;
        self.forget_topics(names);
        Ok(outcomes)
    }

    /// Gives topics more partitions.
    ///
    /// # Errors
    /// The request as a whole failed; refusals of single topics are in the outcomes.
    pub fn create_partitions(
        &mut self,
        topics: &[NewPartitions],
        validate_only: bool,
    ) -> Result<Vec<Outcome<()>>, ClientError> {
        let request = CreatePartitionsRequest {
            topics: topics
                .iter()
                .map(|t| CreatePartitionsTopic {
                    name: &t.topic,
                    count: t.total,
                    assignments: None,
                })
                .collect(),
            timeout_ms: Self::millis(self.config().request_timeout),
            validate_only,
        };
        let outcomes = self.change(i16::MAX, &request, |client, reply| {
            let response: CreatePartitionsResponse<'_> = client.decode(reply)?;
            Ok(response
                .results
                .iter()
                .map(|t| {
                    Outcome::of("add partitions to", t.name, t.error_code, t.error_message, ())
                })
                .collect())
        })?;
        let names: Vec<_> = topics.iter().map(|t| t.topic.as_str()).collect();
        self.forget_topics(&names);
        Ok(outcomes)
    }

    /// Deletes the records below an offset (-1: below the high watermark) in partitions of a topic. Each answer is the
    /// partition's first offset afterwards.
    ///
    /// # Errors
    /// The topic is not known, a partition has no leader, or the request as a whole failed.
    pub fn delete_records(
        &mut self,
        topic: &str,
        below: &[(i32, Offset)],
    ) -> Result<BTreeMap<i32, Result<Offset, Refusal>>, ClientError> {
        self.refresh(&[topic], false)?;
        if let Some(view) = self.metadata().topics.get(topic) {
            view.check()?;
        }
        let mut by_leader: BTreeMap<i32, Vec<DeleteRecordsPartition>> = BTreeMap::new();
        for (partition, offset) in below {
            let leader = self.leader(topic, *partition)?;
            by_leader.entry(leader.0).or_default().push(DeleteRecordsPartition {
                partition_index: PartitionIndex(*partition),
                offset: *offset,
            });
        }
        let mut outcomes = BTreeMap::new();
        for (leader, partitions) in by_leader {
            let request = DeleteRecordsRequest {
                topics: vec![DeleteRecordsTopic { name: topic, partitions }],
                timeout_ms: Self::millis(self.config().request_timeout),
            };
            let reply = self.call(To::Broker(ids::BrokerId(leader)), i16::MAX, &request)?;
            let response: DeleteRecordsResponse<'_> = self.decode(&reply)?;
            for p in response.topics.iter().flat_map(|t| &t.partitions) {
                let result = if p.error_code == ErrorCode::NONE {
                    Ok(p.low_watermark)
                } else {
                    let what = format!("trim {topic}/{}", p.partition_index);
                    Err(Refusal { what, code: p.error_code, message: None })
                };
                outcomes.insert(p.partition_index.0, result);
            }
        }
        Ok(outcomes)
    }
}
