//! `/v3/clusters/{cluster}/topics`.

use super::answer::{self, Problem, body, done, escaped, related, say};
use super::clusters::Cluster;
use super::line::Line;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use wire::ErrorCode;
use wire::api::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
};
use wire::api::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
    CreateTopicsResponse,
};
use wire::api::delete_topics::{DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse};
use wire::api::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponsePartition,
};

/// How long the controller may take, in milliseconds.
const TIMEOUT_MS: i32 = 30_000;

/// A topic as Metadata tells it.
pub(super) struct Topic {
    pub(super) name: String,
    is_internal: bool,
    pub(super) partitions: Vec<MetadataResponsePartition>,
}

/// These topics, or all. One that does not exist is an error.
async fn look_up(line: &Line, names: Option<&[&str]>) -> Result<Vec<Topic>, Problem> {
    let request = MetadataRequest {
        topics: names.map(|names| {
            names
                .iter()
                .map(|name| MetadataRequestTopic { name: Some(name), ..Default::default() })
                .collect()
        }),
        allow_auto_topic_creation: false,
        ..Default::default()
    };
    let reply = line.ask(12, &request).await?;
    let response: MetadataResponse<'_> = reply.decode().map_err(Problem::unread)?;
    let mut topics = Vec::new();
    for t in response.topics {
        Problem::check(t.error_code, None)?;
        topics.push(Topic {
            name: t.name.unwrap_or_default().to_owned(),
            is_internal: t.is_internal,
            partitions: t.partitions,
        });
    }
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(topics)
}

/// The topic that a path names.
pub(super) async fn named(line: &Line, name: &str) -> Result<Topic, Problem> {
    let mut found = look_up(line, Some(&[name])).await?;
    found.pop().ok_or_else(|| Problem::refused(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, None))
}

/// `http://HOST/v3/clusters/ID/topics/NAME`.
pub(super) fn at(cluster: &Cluster, name: &str) -> String {
    format!("{}/topics/{}", cluster.at, escaped(name))
}

/// Its name in resource names.
pub(super) fn resource(cluster: &Cluster, name: &str) -> String {
    format!("{}/topic={name}", cluster.resource())
}

fn document(cluster: &Cluster, topic: &Topic) -> Value {
    let at = at(cluster, &topic.name);
    json!({
        "kind": "KafkaTopic",
        "metadata": { "self": at, "resource_name": resource(cluster, &topic.name) },
        "cluster_id": cluster.id,
        "topic_name": topic.name,
        "is_internal": topic.is_internal,
        "replication_factor": topic.partitions.first().map_or(0, |p| p.replica_nodes.len()),
        "partitions_count": topic.partitions.len(),
        "partitions": related(format!("{at}/partitions")),
        "configs": related(format!("{at}/configs")),
        "partition_reassignments": related(format!("{at}/partitions/-/reassignment")),
    })
}

pub(super) async fn list(
    State(line): State<Arc<Line>>,
    Path(cluster): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let cluster = Cluster::named(&line, &headers, &cluster).await?;
    let topics = look_up(&line, None).await?;
    let data = topics.iter().map(|t| document(&cluster, t)).collect();
    Ok(answer::list("KafkaTopicList", &format!("{}/topics", cluster.at), data))
}

pub(super) async fn describe(
    State(line): State<Arc<Line>>,
    Path((cluster, topic)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let cluster = Cluster::named(&line, &headers, &cluster).await?;
    let topic = named(&line, &topic).await?;
    Ok(say(StatusCode::OK, &document(&cluster, &topic)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTopic {
    topic_name: String,
    partitions_count: Option<i32>,
    replication_factor: Option<i16>,
    #[serde(default)]
    replicas_assignments: Vec<Assignment>,
    #[serde(default)]
    configs: Vec<NewConfig>,
    #[serde(default)]
    validate_only: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Assignment {
    partition_id: i32,
    broker_ids: Vec<i32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewConfig {
    name: String,
    value: Option<String>,
}

pub(super) async fn create(
    State(line): State<Arc<Line>>,
    Path(cluster): Path<String>,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let wanted: NewTopic = body(&headers, bytes)?;
    let cluster = Cluster::named(&line, &headers, &cluster).await?;
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: &wanted.topic_name,
            num_partitions: wanted.partitions_count.unwrap_or(-1),
            replication_factor: wanted.replication_factor.unwrap_or(-1),
            assignments: wanted
                .replicas_assignments
                .iter()
                .map(|a| CreatableReplicaAssignment {
                    partition_index: ids::PartitionIndex(a.partition_id),
                    broker_ids: a.broker_ids.iter().copied().map(ids::BrokerId).collect(),
                })
                .collect(),
            configs: wanted
                .configs
                .iter()
                .map(|c| CreatableTopicConfig { name: &c.name, value: c.value.as_deref() })
                .collect(),
        }],
        timeout_ms: TIMEOUT_MS,
        validate_only: wanted.validate_only,
    };
    let reply = line.ask(7, &request).await?;
    let response: CreateTopicsResponse<'_> = reply.decode().map_err(Problem::unread)?;
    for t in &response.topics {
        Problem::check(t.error_code, t.error_message)?;
    }
    if wanted.validate_only {
        return Ok(done());
    }
    let topic = named(&line, &wanted.topic_name).await?;
    let location = at(&cluster, &wanted.topic_name);
    let created = say(StatusCode::CREATED, &document(&cluster, &topic));
    Ok(([(header::LOCATION, location)], created).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MorePartitions {
    partitions_count: i32,
}

pub(super) async fn add_partitions(
    State(line): State<Arc<Line>>,
    Path((cluster, name)): Path<(String, String)>,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let wanted: MorePartitions = body(&headers, bytes)?;
    let cluster = Cluster::named(&line, &headers, &cluster).await?;
    let request = CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic {
            name: &name,
            count: wanted.partitions_count,
            assignments: None,
        }],
        timeout_ms: TIMEOUT_MS,
        validate_only: false,
    };
    let reply = line.ask(3, &request).await?;
    let response: CreatePartitionsResponse<'_> = reply.decode().map_err(Problem::unread)?;
    for t in &response.results {
        Problem::check(t.error_code, t.error_message)?;
    }
    let topic = named(&line, &name).await?;
    Ok(say(StatusCode::OK, &document(&cluster, &topic)))
}

pub(super) async fn delete(
    State(line): State<Arc<Line>>,
    Path((cluster, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Cluster::named(&line, &headers, &cluster).await?;
    let request = DeleteTopicsRequest {
        topics: vec![DeleteTopicState { name: Some(&name), ..DeleteTopicState::default() }],
        timeout_ms: TIMEOUT_MS,
        ..DeleteTopicsRequest::default()
    };
    let reply = line.ask(6, &request).await?;
    let response: DeleteTopicsResponse<'_> = reply.decode().map_err(Problem::unread)?;
    for t in &response.responses {
        Problem::check(t.error_code, t.error_message)?;
    }
    Ok(done())
}
