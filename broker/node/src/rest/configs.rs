//! `/v3/clusters/{cluster}/topics/{topic}/configs`.

use super::answer::{self, Problem, body, done, escaped, say};
use super::clusters::Cluster;
use super::line::Line;
use super::topics;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use wire::ErrorCode;
use wire::api::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse,
};
use wire::api::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};

/// A topic, among the things that have configurations.
const TOPIC: i8 = 2;
const SET: i8 = 0;
const DELETE: i8 = 1;

fn source(number: i8) -> &'static str {
    match number {
        1 => "DYNAMIC_TOPIC_CONFIG",
        2 => "DYNAMIC_BROKER_CONFIG",
        3 => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        4 => "STATIC_BROKER_CONFIG",
        5 => "DEFAULT_CONFIG",
        _ => "UNKNOWN",
    }
}

fn document(cluster: &Cluster, topic: &str, c: &DescribeConfigsResourceResult<'_>) -> Value {
    let synonyms: Vec<_> = c
        .synonyms
        .iter()
        .map(|s| json!({ "name": s.name, "value": s.value, "source": source(s.source) }))
        .collect();
    let at = format!("{}/configs/{}", topics::at(cluster, topic), escaped(c.name));
    json!({
        "kind": "KafkaTopicConfig",
        "metadata": {
            "self": at,
            "resource_name": format!("{}/config={}", topics::resource(cluster, topic), c.name),
        },
        "cluster_id": cluster.id,
        "topic_name": topic,
        "name": c.name,
        "value": c.value,
        "is_default": c.config_source == 5,
        "is_read_only": c.read_only,
        "is_sensitive": c.is_sensitive,
        "source": source(c.config_source),
        "synonyms": synonyms,
    })
}

/// The topic's configuration, all of it or one key.
async fn look_up(
    line: &Line,
    cluster: &Cluster,
    topic: &str,
    key: Option<&str>,
) -> Result<Vec<Value>, Problem> {
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: TOPIC,
            resource_name: topic,
            configuration_keys: key.map(|k| vec![k]),
        }],
        include_synonyms: true,
        include_documentation: false,
    };
    let reply = line.ask(4, &request).await?;
    let response: DescribeConfigsResponse<'_> = reply.decode().map_err(Problem::unread)?;
    let mut documents = Vec::new();
    for r in &response.results {
        Problem::check(r.error_code, r.error_message)?;
        let mut configs: Vec<_> = r.configs.iter().collect();
        configs.sort_by_key(|c| c.name);
        documents.extend(configs.into_iter().map(|c| document(cluster, topic, c)));
    }
    Ok(documents)
}

pub(super) async fn list(
    State(line): State<Arc<Line>>,
    Path((cluster, topic)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let cluster = Cluster::named(&line, &headers, &cluster).await?;
    let data = look_up(&line, &cluster, &topic, None).await?;
    let at = format!("{}/configs", topics::at(&cluster, &topic));
    Ok(answer::list("KafkaTopicConfigList", &at, data))
}

pub(super) async fn describe(
    State(line): State<Arc<Line>>,
    Path((cluster, topic, name)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let cluster = Cluster::named(&line, &headers, &cluster).await?;
    let found = look_up(&line, &cluster, &topic, Some(&name)).await?;
    let unknown =
        || Problem::new(StatusCode::NOT_FOUND, 404, format!("a topic has no configuration {name}"));
    let document = found.into_iter().next().ok_or_else(unknown)?;
    Ok(say(StatusCode::OK, &document))
}

/// Changes keys of a topic's configuration, all or none.
async fn change(
    line: &Line,
    topic: &str,
    configs: Vec<AlterableConfig<'_>>,
    validate_only: bool,
) -> Result<Response, Problem> {
    // The controller keeps configurations for names that are not topics yet; here the path must name one.
    topics::named(line, topic).await?;
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: TOPIC,
            resource_name: topic,
            configs,
        }],
        validate_only,
    };
    let reply = line.ask(1, &request).await?;
    let response: IncrementalAlterConfigsResponse<'_> = reply.decode().map_err(Problem::unread)?;
    for r in &response.responses {
        Problem::check(r.error_code, r.error_message)?;
    }
    Ok(done())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewValue {
    value: String,
}

pub(super) async fn set(
    State(line): State<Arc<Line>>,
    Path((cluster, topic, name)): Path<(String, String, String)>,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let wanted: NewValue = body(&headers, bytes)?;
    Cluster::named(&line, &headers, &cluster).await?;
    let config = AlterableConfig { name: &name, config_operation: SET, value: Some(&wanted.value) };
    change(&line, &topic, vec![config], false).await
}

pub(super) async fn unset(
    State(line): State<Arc<Line>>,
    Path((cluster, topic, name)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Cluster::named(&line, &headers, &cluster).await?;
    let config = AlterableConfig { name: &name, config_operation: DELETE, value: None };
    change(&line, &topic, vec![config], false).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    data: Vec<Change>,
    #[serde(default)]
    validate_only: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    name: String,
    value: Option<String>,
    #[serde(default)]
    operation: Operation,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Operation {
    #[default]
    Set,
    Delete,
}

pub(super) async fn alter(
    State(line): State<Arc<Line>>,
    Path((cluster, topic)): Path<(String, String)>,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let wanted: Changes = body(&headers, bytes)?;
    Cluster::named(&line, &headers, &cluster).await?;
    let mut configs = Vec::with_capacity(wanted.data.len());
    for c in &wanted.data {
        if c.operation == Operation::Set && c.value.is_none() {
            let message = format!("{} is to be set, and has no value", c.name);
            return Err(Problem::refused(ErrorCode::INVALID_CONFIG, Some(&message)));
        }
        let config_operation = if c.operation == Operation::Set { SET } else { DELETE };
        configs.push(AlterableConfig {
            name: &c.name,
            config_operation,
            value: c.value.as_deref(),
        });
    }
    change(&line, &topic, configs, wanted.validate_only).await
}
