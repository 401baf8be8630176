//! What `/metrics` and `/metrics/compat` say of partitions and groups.

use super::broker::Broker;
use client::{Client, ClientConfig, To};
use ids::{Offset, PartitionIndex};
use std::time::{Duration, Instant};
use wire::ErrorCode;
use wire::api::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use wire::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};

fn connect(broker: &Broker) -> Client {
    Client::connect(&[broker.address()], ClientConfig::default()).unwrap()
}

/// Commits as a tool does: for a group that has no members.
fn commit(client: &mut Client, group: &str, topic: &str, offsets: &[(i32, i64)]) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let find = FindCoordinatorRequest { key: "", key_type: 0, coordinator_keys: vec![group] };
        let reply = client.call(To::Any, i16::MAX, &find).unwrap();
        let found: FindCoordinatorResponse<'_> = reply.decode().unwrap();
        let partition = |(partition, offset): &(i32, i64)| OffsetCommitRequestPartition {
            partition_index: PartitionIndex(*partition),
            committed_offset: Offset(*offset),
            ..OffsetCommitRequestPartition::default()
        };
        let request = OffsetCommitRequest {
            group_id: group,
            generation_id_or_member_epoch: -1,
            topics: vec![OffsetCommitRequestTopic {
                name: topic,
                partitions: offsets.iter().map(partition).collect(),
                ..OffsetCommitRequestTopic::default()
            }],
            ..OffsetCommitRequest::default()
        };
        if found.coordinators[0].error_code == ErrorCode::NONE {
            let reply = client.call(To::Any, 9, &request).unwrap();
            let response: OffsetCommitResponse<'_> = reply.decode().unwrap();
            let codes = response.topics.iter().flat_map(|t| &t.partitions).map(|p| p.error_code);
            match codes.into_iter().find(|code| *code != ErrorCode::NONE) {
                None => return,
                Some(code) => assert!(code.is_retriable(), "{code}"),
            }
        }
        assert!(Instant::now() < deadline, "{group} does not commit");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The page once it says this: what is fresh for a second may be shared by scrapes.
#[track_caller]
fn until(page: impl Fn() -> String, line: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let text = page();
        if text.lines().any(|l| l == line) {
            return text;
        }
        assert!(Instant::now() < deadline, "no {line} in {text}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn value(page: &str, name: &str) -> f64 {
    let line = page.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("no {name}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn lag_is_told_in_records_and_seconds_and_survives_a_restart() {
    let mut broker = Broker::start();
    broker.run(&["topic", "create", "t", "-p", "2"]).ok();
    broker.feed(&["produce", "t", "-p", "0"], b"a\nb\nc\nd\ne\n").ok();
    broker.feed(&["produce", "t", "-p", "1"], b"x\n").ok();
    let name = "a \"group\"\nof \\ people";
    commit(&mut connect(&broker), name, "t", &[(0, 2), (1, 1)]);
    for _ in 0..2 {
        let group = "group=\"a \\\"group\\\"\\nof \\\\ people\"";
        let of = format!("{group},topic=\"t\",partition=\"0\"");
        let lag = format!("ringwood_kafka_consumer_group_lag{{{of}}} 3");
        let page = until(|| broker.metrics(), &lag);
        for line in [
            format!("ringwood_kafka_consumer_group_committed_offset{{{of}}} 2"),
            format!("ringwood_kafka_consumer_group_total_lag{{{group}}} 3"),
            format!(
                "ringwood_kafka_consumer_group_lag_seconds{{{group},topic=\"t\",partition=\"1\"}} 0"
            ),
            format!("ringwood_kafka_consumer_group_state{{{group},state=\"Empty\"}} 1"),
            format!("ringwood_kafka_consumer_group_consumers{{{group}}} 0"),
            "ringwood_kafka_max_offset{topic=\"t\",partition=\"0\"} 5".into(),
            "ringwood_kafka_under_replicated_partitions 0".into(),
            "ringwood_cluster_unavailable_partitions 0".into(),
            "ringwood_partitions_incomplete 0".into(),
            "ringwood_application_ready 1".into(),
        ] {
            assert!(page.lines().any(|l| l == line), "no {line} in {page}");
        }
        let seconds = value(&page, &format!("ringwood_kafka_consumer_group_lag_seconds{{{of}}}"));
        assert!((0.0..3600.0).contains(&seconds), "{seconds}");
        assert!(value(&page, "ringwood_storage_disk_free_bytes") > 0.0);
        let compat = broker.page("/metrics/compat");
        let group = group.replace("group=", "consumergroup=");
        let line = format!("kafka_consumergroup_lag{{{group},partition=\"0\",topic=\"t\"}} 3");
        assert!(compat.lines().any(|l| l == line), "no {line} in {compat}");
        broker.kill();
        broker.restart();
    }
}

#[test]
fn errors_are_counted_by_code() {
    let broker = Broker::start();
    broker.run(&["topic", "create", "t"]).ok();
    broker.run(&["topic", "create", "t"]).fails(7, &["TOPIC_ALREADY_EXISTS"]);
    let of = "api=\"CreateTopics\",error=\"TOPIC_ALREADY_EXISTS\"";
    until(
        || broker.metrics(),
        &format!("ringwood_kafka_request_errors_total{{core=\"0\",{of}}} 1"),
    );
    let compat = broker.page("/metrics/compat");
    let of = "request=\"CreateTopics\",error=\"TOPIC_ALREADY_EXISTS\"";
    let line = format!("kafka_network_requestmetrics_errors_total{{{of}}} 1");
    assert!(compat.lines().any(|l| l == line), "no {line} in {compat}");
}

/// A node with 10,000 partitions and 100 groups that read a hundred of them each.
#[test]
fn a_scrape_of_many_partitions_and_groups_is_bounded() {
    let broker = Broker::start();
    broker.run(&["topic", "create", "many", "-p", "10000"]).ok();
    let mut client = connect(&broker);
    for g in 0..100 {
        let offsets: Vec<_> = (0..100).map(|p| (g * 100 + p, 0)).collect();
        commit(&mut client, &format!("group-{g:02}"), "many", &offsets);
    }
    let of = "group=\"group-99\",topic=\"many\",partition=\"9999\"";
    let before = broker.memory();
    let page = until(
        || broker.metrics(),
        &format!("ringwood_kafka_consumer_group_committed_offset{{{of}}} 0"),
    );
    assert_eq!(page.matches("\nringwood_kafka_consumer_group_lag{").count(), 10_000);
    assert_eq!(value(&page, "ringwood_metrics_partitions_left_out"), 0.0);
    std::thread::sleep(Duration::from_millis(1100));
    let begun = Instant::now();
    let page = broker.metrics();
    let took = begun.elapsed();
    // On a loaded machine of two cores, without optimisation.
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(page.len() < 10 << 20, "{} bytes", page.len());
    let grown = broker.memory().saturating_sub(before);
    assert!(grown < 96 << 20, "{grown} bytes more");
    println!(
        "scrape of 10,000 partitions and 100 groups: {took:?}, gathered in {} s, {} bytes, {grown} bytes more memory",
        value(&page, "ringwood_metrics_lag_gather_seconds"),
        page.len(),
    );
}
