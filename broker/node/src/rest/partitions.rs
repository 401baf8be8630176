//! `/v3/clusters/{cluster}/topics/{topic}/partitions`.

use super::answer::{self, Problem, related, say};
use super::clusters::Cluster;
use super::line::Line;
use super::topics::{self, Topic};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ids::BrokerId;
use serde_json::{Value, json};
use std::sync::Arc;
use wire::ErrorCode;
use wire::api::metadata::MetadataResponsePartition;

/// A partition's place: its topic's, and its number.
struct Place<'a> {
    cluster: &'a Cluster,
    topic: &'a Topic,
    partition: &'a MetadataResponsePartition,
}

impl Place<'_> {
    fn at(&self) -> String {
        let topic = topics::at(self.cluster, &self.topic.name);
        format!("{topic}/partitions/{}", self.partition.partition_index)
    }

    fn resource(&self) -> String {
        let topic = topics::resource(self.cluster, &self.topic.name);
        format!("{topic}/partition={}", self.partition.partition_index)
    }

    fn document(&self) -> Value {
        let at = self.at();
        let leader = self.partition.leader_id;
        let led = leader != BrokerId::NONE;
        json!({
            "kind": "KafkaPartition",
            "metadata": { "self": at, "resource_name": self.resource() },
            "cluster_id": self.cluster.id,
            "topic_name": self.topic.name,
            "partition_id": self.partition.partition_index.0,
            "leader": led.then(|| related(format!("{at}/replicas/{leader}"))),
            "replicas": related(format!("{at}/replicas")),
            "reassignment": related(format!("{at}/reassignment")),
        })
    }

    fn replica(&self, broker: BrokerId) -> Value {
        let p = self.partition;
        json!({
            "kind": "KafkaReplica",
            "metadata": {
                "self": format!("{}/replicas/{broker}", self.at()),
                "resource_name": format!("{}/replica={broker}", self.resource()),
            },
            "cluster_id": self.cluster.id,
            "topic_name": self.topic.name,
            "partition_id": p.partition_index.0,
            "broker_id": broker.0,
            "is_leader": broker == p.leader_id,
            "is_in_sync": p.isr_nodes.contains(&broker),
            "broker": related(self.cluster.broker(broker)),
        })
    }
}

pub(super) async fn list(
    State(line): State<Arc<Line>>,
    Path((cluster, topic)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let cluster = Cluster::named(&line, &headers, &cluster).await?;
    let topic = topics::named(&line, &topic).await?;
    let mut partitions: Vec<_> = topic.partitions.iter().collect();
    partitions.sort_by_key(|p| p.partition_index);
    let data = partitions
        .into_iter()
        .map(|partition| Place { cluster: &cluster, topic: &topic, partition }.document())
        .collect();
    let at = format!("{}/partitions", topics::at(&cluster, &topic.name));
    Ok(answer::list("KafkaPartitionList", &at, data))
}

/// The partition that a path names, which must exist.
fn find<'a>(topic: &'a Topic, number: &str) -> Result<&'a MetadataResponsePartition, Problem> {
    let number: i32 = number
        .parse()
        .map_err(|_| Problem::bad(format!("{number} is no number of a partition")))?;
    topic.partitions.iter().find(|p| p.partition_index.0 == number).ok_or_else(|| {
        let message = format!("topic {} has no partition {number}", topic.name);
        Problem::refused(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, Some(&message))
    })
}

pub(super) async fn describe(
    State(line): State<Arc<Line>>,
    Path((cluster, topic, number)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let cluster = Cluster::named(&line, &headers, &cluster).await?;
    let topic = topics::named(&line, &topic).await?;
    let partition = find(&topic, &number)?;
    let place = Place { cluster: &cluster, topic: &topic, partition };
    Ok(say(StatusCode::OK, &place.document()))
}

pub(super) async fn replicas(
    State(line): State<Arc<Line>>,
    Path((cluster, topic, number)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let cluster = Cluster::named(&line, &headers, &cluster).await?;
    let topic = topics::named(&line, &topic).await?;
    let partition = find(&topic, &number)?;
    let place = Place { cluster: &cluster, topic: &topic, partition };
    let data = partition.replica_nodes.iter().map(|b| place.replica(*b)).collect();
    Ok(answer::list("KafkaReplicaList", &format!("{}/replicas", place.at()), data))
}

pub(super) async fn replica(
    State(line): State<Arc<Line>>,
    Path((cluster, topic, number, broker)): Path<(String, String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let cluster = Cluster::named(&line, &headers, &cluster).await?;
    let topic = topics::named(&line, &topic).await?;
    let partition = find(&topic, &number)?;
    let place = Place { cluster: &cluster, topic: &topic, partition };
    let id: i32 =
        broker.parse().map_err(|_| Problem::bad(format!("{broker} is no broker's number")))?;
    let found = partition.replica_nodes.iter().find(|b| b.0 == id).ok_or_else(|| {
        let message = format!("broker {id} has no replica of {}", place.resource());
        Problem::new(StatusCode::NOT_FOUND, 404, message)
    })?;
    Ok(say(StatusCode::OK, &place.replica(*found)))
}
