use super::*;
use crate::lag::{Found, GroupFacts, OffsetFacts, PartitionFacts};
use crate::shard::Traffic;
use ids::{Offset, Timestamp};
use std::sync::Arc;

fn partition(topic: &Arc<str>, index: i32) -> PartitionFacts {
    PartitionFacts {
        topic: Arc::clone(topic),
        index,
        start: Offset(2),
        end: Offset(10),
        bytes: 640,
        leader: 1,
        is_preferred: true,
        replicas: 1,
        in_sync: 1,
        incomplete: false,
        traffic: Traffic { records_in: 8, bytes_in: 640, bytes_out: 64 },
    }
}

fn offset(topic: &Arc<str>, partition: i32, committed: i64) -> OffsetFacts {
    let written = (committed < 10).then_some(Timestamp(4_000));
    let end = Some(Found { end: Offset(10), written });
    OffsetFacts { topic: Arc::clone(topic), partition, committed: Offset(committed), end }
}

fn group(id: &str, offsets: Vec<OffsetFacts>) -> GroupFacts {
    GroupFacts { id: id.into(), state: "Stable", members: 2, offsets, left_out: false }
}

fn gathered(partitions: Vec<PartitionFacts>, groups: Vec<GroupFacts>) -> Gathered {
    Gathered {
        at: Timestamp(10_000),
        partitions_known: partitions.len(),
        topics_known: 1,
        partitions,
        groups,
        brokers: vec![(1, "127.0.0.1:9092".into())],
        ..Gathered::default()
    }
}

fn pages(gathered: &Gathered, partitions_max: usize) -> (String, String) {
    let facts = Facts {
        health: Health { uptime: Duration::from_secs(5), recovered: Some((Duration::ZERO, 3)) },
        cores: &[],
        gathered: Some((Duration::ZERO, gathered)),
        partitions_max,
    };
    (
        own(&facts, &|look| look(&History::default())),
        compat(&facts, &|look| look(&History::default())),
    )
}

#[track_caller]
fn says(page: &str, line: &str) {
    assert!(page.lines().any(|l| l == line), "no {line} in\n{page}");
}

#[test]
fn a_group_is_as_far_behind_as_its_offsets() {
    let topic: Arc<str> = "t".into();
    let offsets = vec![offset(&topic, 0, 3), offset(&topic, 1, 10)];
    let gathered =
        gathered(vec![partition(&topic, 1), partition(&topic, 0)], vec![group("g\"1", offsets)]);
    let (own, compat) = pages(&gathered, 10);
    let of = "group=\"g\\\"1\",topic=\"t\",partition=\"0\"";
    says(&own, &format!("ringwood_kafka_consumer_group_committed_offset{{{of}}} 3"));
    says(&own, &format!("ringwood_kafka_consumer_group_lag{{{of}}} 7"));
    says(&own, &format!("ringwood_kafka_consumer_group_lag_seconds{{{of}}} 6"));
    says(&own, "ringwood_kafka_consumer_group_total_lag{group=\"g\\\"1\"} 7");
    says(&own, "ringwood_kafka_consumer_group_lag_max{group=\"g\\\"1\"} 7");
    says(&own, "ringwood_kafka_consumer_group_state{group=\"g\\\"1\",state=\"Stable\"} 1");
    says(&own, "ringwood_kafka_max_offset{topic=\"t\",partition=\"1\"} 10");
    says(&own, "ringwood_kafka_under_replicated_partitions 0");
    says(&own, "ringwood_application_ready 1");
    let of = "consumergroup=\"g\\\"1\",partition=\"1\",topic=\"t\"";
    says(&compat, &format!("kafka_consumergroup_current_offset{{{of}}} 10"));
    says(&compat, &format!("kafka_consumergroup_lag{{{of}}} 0"));
    says(&compat, "kafka_consumergroup_lag_sum{consumergroup=\"g\\\"1\",topic=\"t\"} 7");
    says(&compat, "kafka_consumergroup_members{consumergroup=\"g\\\"1\"} 2");
    says(&compat, "kafka_topic_partitions{topic=\"t\"} 2");
    says(&compat, "kafka_topic_partition_oldest_offset{partition=\"0\",topic=\"t\"} 2");
    says(&compat, "kafka_server_brokertopicmetrics_messagesin_total{topic=\"t\"} 16");
}

#[test]
fn partitions_without_leaders_and_replicas_out_of_sync_are_counted() {
    let topic: Arc<str> = "t".into();
    let behind = PartitionFacts { replicas: 3, in_sync: 2, ..partition(&topic, 0) };
    let broken = PartitionFacts { incomplete: true, ..partition(&topic, 1) };
    let gathered = Gathered { partitions_known: 3, ..gathered(vec![behind, broken], vec![]) };
    let (own, compat) = pages(&gathered, 10);
    says(&own, "ringwood_kafka_under_replicated_partitions 1");
    says(&own, "ringwood_partitions_incomplete 1");
    says(&own, "ringwood_cluster_unavailable_partitions 1");
    says(&compat, "kafka_server_replicamanager_underreplicatedpartitions 1");
    says(&compat, "kafka_controller_kafkacontroller_offlinepartitionscount 1");
}

#[test]
fn what_is_left_out_is_counted_and_not_taken_for_nothing() {
    let topic: Arc<str> = "t".into();
    let mut late = group("late", vec![]);
    late.left_out = true;
    let mut gathered = gathered((0..5).map(|i| partition(&topic, i)).collect(), vec![late]);
    gathered.groups_left_out = 1;
    let (own, _) = pages(&gathered, 3);
    says(&own, "ringwood_metrics_partitions_left_out 2");
    says(&own, "ringwood_metrics_groups_left_out 1");
    says(&own, "ringwood_kafka_consumer_group_consumers{group=\"late\"} 2");
    assert!(!own.contains("total_lag{group=\"late\"}"), "{own}");
    assert_eq!(own.matches("ringwood_kafka_max_offset{").count(), 3);
}

/// Ten thousand partitions and a hundred groups that read a hundred of them each: the page is of bounded size.
#[test]
fn the_page_of_a_large_node_is_bounded() {
    let topic: Arc<str> = "a-topic-with-a-name".into();
    let groups = (0..100).map(|g| {
        let offsets = (0..100).map(|p| offset(&topic, g * 100 + p, 3)).collect();
        group(&format!("a-group-with-a-name-{g}"), offsets)
    });
    let partitions = (0..10_000).map(|i| partition(&topic, i)).collect();
    let (own, compat) = pages(&gathered(partitions, groups.collect()), 20_000);
    assert!(own.len() < 10 << 20, "{}", own.len());
    assert!(compat.len() < 20 << 20, "{}", compat.len());
    assert_eq!(own.matches("ringwood_kafka_consumer_group_lag{").count(), 10_000);
}

#[test]
fn a_broker_that_recovers_says_no_more_than_that() {
    let facts = Facts { health: Health::default(), cores: &[], gathered: None, partitions_max: 10 };
    let own = own(&facts, &|look| look(&History::default()));
    says(&own, "ringwood_application_ready 0");
    assert!(!own.contains("recovery_seconds") && !own.contains("consumer_group"), "{own}");
    assert_eq!(compat(&facts, &|look| look(&History::default())), "");
}
