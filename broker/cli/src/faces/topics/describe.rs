//! `kafka-topics --describe`.

use super::existing;
use crate::faces::end::{Done, End, print_text};
use crate::faces::grammar::Words;
use crate::faces::session;
use client::{Client, ConfigEntry, ConfigResource, ConfigSource, To, TopicView};
use ids::BrokerId;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use wire::api::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicRequest,
};

/// Replicas that may lead although they are not in sync (KIP-966), of a partition.
#[derive(Clone, Debug, Default)]
struct Eligible {
    now: Option<Vec<BrokerId>>,
    last_known: Option<Vec<BrokerId>>,
}

pub(super) fn run(client: &mut Client, line: &Words) -> Done {
    let topics = match line.value("topic-id")? {
        Some(id) if id.chars().any(|c| c != 'A') => by_id(client, line, id)?,
        Some(_) | None => existing(client, line)?,
    };
    let limit: i32 = line.number("partition-size-limit-per-response")?.unwrap_or(2000);
    let report = Report::of(line);
    for topic in topics {
        let resource = ConfigResource::topic(&topic.name);
        let configs = client.describe_config(&resource, None)?;
        let own: Vec<_> = configs.iter().filter(|c| c.source != ConfigSource::Default).collect();
        let mut text = String::new();
        if report.topics && (!line.has("topics-with-overrides") || !own.is_empty()) {
            head(&topic, &own, &mut text);
        }
        if !line.has("topics-with-overrides") {
            let eligible = eligible(client, &topic, limit)?;
            let live = &client.metadata().brokers;
            for p in topic.partitions.iter().filter(|p| report.shows(p, &configs, live)) {
                let eligible = eligible.get(&p.index).cloned().unwrap_or_default();
                partition(&topic, p, &eligible, &mut text);
            }
        }
        print_text(&text)?;
    }
    Ok(())
}

fn by_id(client: &mut Client, line: &Words, id: &str) -> Result<Vec<TopicView>, End> {
    if line.has("topic") && line.has("if-exists") {
        print_text(
            "Only topic id will be used when both --topic and --topic-id are specified and topicId is not Uuid.ZERO_UUID\n",
        )?;
    }
    let exclude = line.has("exclude-internal");
    let mut topics = session::topics(client)?;
    topics.retain(|t| t.id.to_string() == id && !(exclude && t.is_internal));
    if topics.is_empty() && !line.has("if-exists") {
        return Err(End::Error(format!("TopicId '{id}' does not exist as expected")));
    }
    Ok(topics)
}

/// What is to be shown.
struct Report {
    /// Topics too, and all their partitions.
    topics: bool,
    under_replicated: bool,
    under_min_isr: bool,
    at_min_isr: bool,
    unavailable: bool,
}

impl Report {
    fn of(line: &Words) -> Self {
        let report = Self {
            topics: false,
            under_replicated: line.has("under-replicated-partitions"),
            under_min_isr: line.has("under-min-isr-partitions"),
            at_min_isr: line.has("at-min-isr-partitions"),
            unavailable: line.has("unavailable-partitions"),
        };
        let any = report.under_replicated
            || report.under_min_isr
            || report.at_min_isr
            || report.unavailable;
        Self { topics: !any, ..report }
    }

    fn shows(
        &self,
        p: &client::PartitionView,
        configs: &[ConfigEntry],
        live: &BTreeMap<i32, client::BrokerAddress>,
    ) -> bool {
        let entry = configs.iter().find(|c| c.name == "min.insync.replicas");
        let min = entry.and_then(|c| c.value.as_deref()?.parse().ok()).unwrap_or(1usize);
        let led = p.leader != BrokerId::NONE;
        self.topics
            || (self.under_replicated && p.in_sync.len() < p.replicas.len())
            || (self.under_min_isr && (!led || p.in_sync.len() < min))
            || (self.at_min_isr && p.in_sync.len() == min)
            || (self.unavailable && !(led && live.contains_key(&p.leader.0)))
    }
}

fn head(topic: &TopicView, own: &[&ConfigEntry], text: &mut String) {
    let configs: Vec<_> = own
        .iter()
        .map(|c| format!("{}={}", c.name, c.value.as_deref().unwrap_or("null")))
        .collect();
    let replicas = topic.partitions.first().map_or(0, |p| p.replicas.len());
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "Topic: {}\tTopicId: {}\tPartitionCount: {}\tReplicationFactor: {replicas}\tConfigs: {}",
        topic.name,
        topic.id,
        topic.partitions.len(),
        configs.join(",")
    );
}

fn partition(topic: &TopicView, p: &client::PartitionView, eligible: &Eligible, text: &mut String) {
    let ids = |ids: &[BrokerId]| ids.iter().map(|b| b.0.to_string()).collect::<Vec<_>>().join(",");
    let or_none = |list: &Option<Vec<BrokerId>>| list.as_deref().map_or("N/A".to_owned(), ids);
    let leader = if p.leader == BrokerId::NONE { "none".into() } else { p.leader.0.to_string() };
    let _ = writeln!(
        text,
        "\tTopic: {}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}\tElr: {}\tLastKnownElr: {}",
        topic.name,
        p.index,
        ids(&p.replicas),
        ids(&p.in_sync),
        or_none(&eligible.now),
        or_none(&eligible.last_known),
    );
}

/// Asks for what Metadata does not tell. A broker without the API has nothing to tell either.
fn eligible(
    client: &mut Client,
    topic: &TopicView,
    limit: i32,
) -> Result<BTreeMap<i32, Eligible>, End> {
    let mut found = BTreeMap::new();
    let mut from = Some(0);
    while let Some(next) = from {
        let request = DescribeTopicPartitionsRequest {
            topics: vec![TopicRequest { name: &topic.name }],
            response_partition_limit: limit,
            cursor: (next > 0).then_some(Cursor {
                topic_name: &topic.name,
                partition_index: ids::PartitionIndex(next),
            }),
        };
        let reply = match client.call(To::Any, i16::MAX, &request) {
            Ok(reply) => reply,
            Err(client::ClientError::Unsupported { .. }) => return Ok(found),
            Err(e) => return Err(e.into()),
        };
        let response: DescribeTopicPartitionsResponse<'_> =
            reply.decode().map_err(End::malformed)?;
        for p in response.topics.iter().flat_map(|t| &t.partitions) {
            let eligible = Eligible {
                now: Some(p.eligible_leader_replicas.clone().unwrap_or_default()),
                last_known: Some(p.last_known_elr.clone().unwrap_or_default()),
            };
            found.insert(p.partition_index.0, eligible);
        }
        // A cursor that does not move would ask for ever.
        from = response.next_cursor.map(|c| c.partition_index.0).filter(|p| *p > next);
    }
    Ok(found)
}
