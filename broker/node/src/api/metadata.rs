//! Metadata: brokers, topics, leaders. Creates a topic on first mention where client and broker both agree.

use super::{Asked, once, operations, read, reply};
use crate::broker::{Broker, CONTROLLER};
use cluster::controller::{CreateTopics, NewTopic};
use cluster::{ClusterImage, Topic, name};
use ids::TopicId;
use runtime::Class;
use server::Reply;
use std::collections::BTreeSet;
use std::rc::Rc;
use wire::api::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};
use wire::{DecodeError, ErrorCode, Reader};

/// Which topics the client wants.
enum Want<'a> {
    All,
    These(Vec<(Option<&'a str>, TopicId)>),
}

pub(super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: MetadataRequest<'_> = read(reader, asked)?;
    let want = match &request.topics {
        None => Want::All,
        // Version 0 has no null: its empty list means all.
        Some(topics) if topics.is_empty() && asked.version == 0 => Want::All,
        Some(topics) => {
            let mut topics = topics.iter().map(meant).collect();
            once(&mut topics, |topic| *topic);
            Want::These(topics)
        }
    };
    let mut created = BTreeSet::new();
    if let Want::These(topics) = &want
        && request.allow_auto_topic_creation
        && broker.metadata.settings().auto_create_topics
    {
        created = create_missing(broker, topics).await;
    }
    let image = broker.metadata.image();
    let with_operations = request.include_topic_authorized_operations;
    let topics = match &want {
        Want::All => image.topics().map(|t| phrase(&image, t, with_operations)).collect(),
        Want::These(topics) => topics
            .iter()
            .map(|(name, id)| one(&image, *name, *id, with_operations, &created))
            .collect(),
    };
    let brokers = image
        .brokers()
        .map(|b| MetadataResponseBroker {
            node_id: b.id,
            host: b.endpoints.first().map_or("", |e| e.host.as_str()),
            port: b.endpoints.first().map_or(-1, |e| i32::from(e.port)),
            rack: b.rack.as_deref(),
        })
        .collect();
    let body = MetadataResponse {
        brokers,
        cluster_id: image.cluster_id(),
        controller_id: broker.metadata.me,
        topics,
        cluster_authorized_operations: operations::of_cluster(
            request.include_cluster_authorized_operations,
        ),
        ..MetadataResponse::default()
    };
    Ok(reply(asked, &body))
}

/// Which topic is meant. An id counts before the name: Java's consumers of KIP-848 ask by id, with an empty name beside it.
fn meant<'a>(topic: &MetadataRequestTopic<'a>) -> (Option<&'a str>, TopicId) {
    (topic.name.filter(|_| topic.topic_id == TopicId::ZERO), topic.topic_id)
}

/// Creates the topics that are named and not there. The answer to this very request still says that they are unknown; the
/// client asks again.
async fn create_missing(
    broker: &Rc<Broker>,
    topics: &[(Option<&str>, TopicId)],
) -> BTreeSet<String> {
    let missing: BTreeSet<String> = {
        let image = broker.metadata.image();
        topics
            .iter()
            .filter_map(|(name, _)| *name)
            .filter(|n| image.topic_named(n).is_none() && name::check(n).is_ok())
            .filter(|n| !name::is_internal(n))
            .map(str::to_owned)
            .collect()
    };
    if missing.is_empty() {
        return missing;
    }
    if broker.is_here(CONTROLLER) {
        create(broker, &missing).await;
    } else {
        let names = missing.clone();
        let run = |b: Rc<Broker>| async move { create(&b, &names).await };
        // A controller that has ended creates nothing, and the client asks again elsewhere.
        let _ = broker.post.ask(CONTROLLER, Class::Control, false, run).await;
    }
    missing
}

/// On the controller's core.
async fn create(broker: &Rc<Broker>, names: &BTreeSet<String>) {
    let topics = names
        .iter()
        .map(|name| NewTopic {
            name: name.clone(),
            partitions: -1,
            replication_factor: -1,
            assignments: Vec::new(),
            configs: Vec::new(),
        })
        .collect();
    let request = CreateTopics { topics, validate_only: false };
    let mut fresh = || super::fresh_topic_id(broker);
    match broker.propose(|c| c.create_topics(&request, &mut fresh)).await {
        Ok(results) => {
            // A line for all: whoever asks chooses how many there are.
            let mut refused =
                results.iter().filter_map(|r| Some((&r.name, r.result.as_ref().err()?)));
            if let Some((name, why)) = refused.next() {
                let more = refused.count();
                runtime::tell!("topic {name} is not created, nor are {more} more: {}", why.message);
            }
        }
        Err(e) => runtime::tell!("topics are not created: {e:?}"),
    }
}

fn one<'a>(
    image: &'a ClusterImage,
    name: Option<&'a str>,
    id: TopicId,
    with_operations: bool,
    created: &BTreeSet<String>,
) -> MetadataResponseTopic<'a> {
    let unknown = |error_code| MetadataResponseTopic {
        error_code,
        name,
        topic_id: id,
        topic_authorized_operations: operations::of_topic(with_operations),
        ..MetadataResponseTopic::default()
    };
    match name {
        Some(n) => match image.topic_named(n) {
            _ if created.contains(n) => unknown(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            Some(topic) => phrase(image, topic, with_operations),
            None if name::check(n).is_err() => unknown(ErrorCode::INVALID_TOPIC_EXCEPTION),
            None => unknown(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        },
        None => match image.topic(id) {
            Some(topic) => phrase(image, topic, with_operations),
            None => unknown(ErrorCode::UNKNOWN_TOPIC_ID),
        },
    }
}

fn phrase<'a>(
    image: &ClusterImage,
    topic: &'a Topic,
    with_operations: bool,
) -> MetadataResponseTopic<'a> {
    let partitions = topic
        .partition_ids()
        .filter_map(|id| image.partition(id).map(|p| (id, p)))
        .map(|(id, p)| MetadataResponsePartition {
            error_code: if p.leader.0 < 0 {
                ErrorCode::LEADER_NOT_AVAILABLE
            } else {
                ErrorCode::NONE
            },
            partition_index: id.index,
            leader_id: p.leader,
            leader_epoch: p.leader_epoch,
            replica_nodes: p.replicas.to_vec(),
            isr_nodes: p.isr.to_vec(),
            offline_replicas: Vec::new(),
        })
        .collect();
    MetadataResponseTopic {
        error_code: ErrorCode::NONE,
        name: Some(&topic.name),
        topic_id: topic.id,
        is_internal: name::is_internal(&topic.name),
        partitions,
        topic_authorized_operations: operations::of_topic(with_operations),
    }
}
