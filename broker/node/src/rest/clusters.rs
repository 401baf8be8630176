//! `/v3/clusters`: the one cluster that this broker is in.

use super::answer::{self, Problem, base, escaped, related, say};
use super::line::Line;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;
use wire::api::describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};

/// The cluster, and where its resources are.
pub(super) struct Cluster {
    pub(super) id: String,
    controller: i32,
    /// `http://HOST/v3/clusters/ID`.
    pub(super) at: String,
}

impl Cluster {
    pub(super) async fn of(line: &Line, headers: &HeaderMap) -> Result<Self, Problem> {
        let request = DescribeClusterRequest { endpoint_type: 1, ..Default::default() };
        let reply = line.ask(1, &request).await?;
        let response: DescribeClusterResponse<'_> = reply.decode().map_err(Problem::unread)?;
        Problem::check(response.error_code, response.error_message)?;
        let id = response.cluster_id.to_owned();
        let at = format!("{}/v3/clusters/{}", base(headers), escaped(&id));
        Ok(Self { id, controller: response.controller_id.0, at })
    }

    /// The cluster that a path names, which must be this one.
    pub(super) async fn named(
        line: &Line,
        headers: &HeaderMap,
        name: &str,
    ) -> Result<Self, Problem> {
        let cluster = Self::of(line, headers).await?;
        if cluster.id == name {
            return Ok(cluster);
        }
        let message = format!("Cluster {name} cannot be found. This broker is in {}.", cluster.id);
        Err(Problem::new(StatusCode::NOT_FOUND, 404, message))
    }

    /// Its name in resource names.
    pub(super) fn resource(&self) -> String {
        format!("crn:///kafka={}", self.id)
    }

    /// Where one of its brokers is.
    pub(super) fn broker(&self, id: impl std::fmt::Display) -> String {
        format!("{}/brokers/{id}", self.at)
    }

    fn document(&self) -> Value {
        json!({
            "kind": "KafkaCluster",
            "metadata": { "self": self.at, "resource_name": self.resource() },
            "cluster_id": self.id,
            "controller": related(self.broker(self.controller)),
            "acls": related(format!("{}/acls", self.at)),
            "brokers": related(format!("{}/brokers", self.at)),
            "broker_configs": related(format!("{}/broker-configs", self.at)),
            "consumer_groups": related(format!("{}/consumer-groups", self.at)),
            "topics": related(format!("{}/topics", self.at)),
            "partition_reassignments": related(format!("{}/topics/-/partitions/-/reassignment", self.at)),
        })
    }
}

pub(super) async fn list(
    State(line): State<Arc<Line>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let cluster = Cluster::of(&line, &headers).await?;
    let at = format!("{}/v3/clusters", base(&headers));
    Ok(answer::list("KafkaClusterList", &at, vec![cluster.document()]))
}

pub(super) async fn describe(
    State(line): State<Arc<Line>>,
    Path(cluster): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let cluster = Cluster::named(&line, &headers, &cluster).await?;
    Ok(say(StatusCode::OK, &cluster.document()))
}
