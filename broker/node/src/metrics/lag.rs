//! Partitions and groups, one by one, within a bound.

use super::text::Text;
use crate::lag::{Gathered, GroupFacts, OffsetFacts, PartitionFacts};
use std::time::Duration;

/// The partitions that are shown, by topic and index, and how many are not.
pub(super) fn shown(gathered: &Gathered, most: usize) -> (Vec<(&PartitionFacts, String)>, usize) {
    let mut all: Vec<&PartitionFacts> = gathered.partitions.iter().collect();
    all.sort_by(|a, b| (&a.topic, a.index).cmp(&(&b.topic, b.index)));
    let left_out = all.len().saturating_sub(most);
    all.truncate(most);
    (all.into_iter().map(|p| (p, p.index.to_string())).collect(), left_out)
}

pub(super) fn write(text: &mut Text, age: Duration, gathered: &Gathered, partitions_max: usize) {
    let (shown, left_out) = shown(gathered, partitions_max);
    cluster(text, gathered);
    partitions(text, &shown);
    groups(text, gathered);
    offsets(text, gathered);
    text.gauge(
        "ringwood_metrics_partitions_left_out",
        "Partitions that are not shown one by one.",
        left_out as f64,
    );
    text.gauge(
        "ringwood_metrics_groups_left_out",
        "Groups whose offsets are not shown.",
        gathered.groups_left_out as f64,
    );
    text.gauge(
        "ringwood_metrics_lag_age_seconds",
        "How old partitions and groups are on this page.",
        age.as_secs_f64(),
    );
    text.gauge(
        "ringwood_metrics_lag_gather_seconds",
        "How long the cores took to gather them.",
        gathered.took.as_secs_f64(),
    );
}

/// Partitions that have no leader.
pub(super) fn without_leader(gathered: &Gathered) -> usize {
    let led = gathered.partitions.iter().filter(|p| p.leader >= 0).count();
    gathered.partitions_known.saturating_sub(led)
}

/// Partitions with fewer replicas in sync than there are.
pub(super) fn under_replicated(gathered: &Gathered) -> usize {
    gathered.partitions.iter().filter(|p| p.in_sync < p.replicas).count()
}

/// Partitions that take no writes.
pub(super) fn incomplete(gathered: &Gathered) -> usize {
    gathered.partitions.iter().filter(|p| p.incomplete).count()
}

fn cluster(text: &mut Text, gathered: &Gathered) {
    let mut gauge = |name, help, value: usize| text.gauge(name, help, value as f64);
    gauge("ringwood_cluster_brokers", "Brokers.", gathered.brokers.len());
    gauge("ringwood_cluster_topics", "Topics.", gathered.topics_known);
    gauge("ringwood_cluster_partitions", "Partitions.", gathered.partitions_known);
    gauge(
        "ringwood_cluster_unavailable_partitions",
        "Partitions without a leader.",
        without_leader(gathered),
    );
    gauge(
        "ringwood_kafka_under_replicated_partitions",
        "Partitions led here with replicas out of sync.",
        under_replicated(gathered),
    );
    gauge(
        "ringwood_partitions_incomplete",
        "Partitions that take no writes because acknowledged records are missing.",
        incomplete(gathered),
    );
    if let Some((free, total)) = gathered.disk {
        text.gauge(
            "ringwood_storage_disk_free_bytes",
            "Free bytes of the data's file system.",
            free as f64,
        );
        text.gauge(
            "ringwood_storage_disk_total_bytes",
            "Bytes of the data's file system.",
            total as f64,
        );
    }
}

fn partitions(text: &mut Text, shown: &[(&PartitionFacts, String)]) {
    let mut family = |name, help, value: fn(&PartitionFacts) -> f64| {
        text.family(name, "gauge", help);
        for (p, index) in shown {
            text.sample(&[("topic", &p.topic), ("partition", index)], value(p));
        }
    };
    family("ringwood_kafka_start_offset", "The first offset.", |p| p.start.0 as f64);
    family("ringwood_kafka_max_offset", "The high watermark.", |p| p.end.0 as f64);
    family("ringwood_kafka_partition_size_bytes", "Bytes of segments.", |p| p.bytes as f64);
}

fn groups(text: &mut Text, gathered: &Gathered) {
    let groups = &gathered.groups;
    text.gauge(
        "ringwood_group_coordinators_loading",
        "Partitions of __consumer_offsets whose log is being read.",
        gathered.coordinators_loading as f64,
    );
    text.family("ringwood_kafka_consumer_group_state", "gauge", "1, with the state of the group.");
    for g in groups {
        text.sample(&[("group", &g.id), ("state", g.state)], 1.0);
    }
    let mut family = |name, help, value: fn(&GroupFacts) -> Option<f64>| {
        text.family(name, "gauge", help);
        for g in groups {
            if let Some(value) = value(g) {
                text.sample(&[("group", &g.id)], value);
            }
        }
    };
    family("ringwood_kafka_consumer_group_consumers", "Members of the group.", |g| {
        Some(g.members as f64)
    });
    family("ringwood_kafka_consumer_group_topics", "Topics with committed offsets.", |g| {
        let mut topics: Vec<&str> = g.offsets.iter().map(|o| &*o.topic).collect();
        topics.dedup();
        (!g.left_out).then_some(topics.len() as f64)
    });
    family("ringwood_kafka_consumer_group_total_lag", "Records behind in all partitions.", |g| {
        let lags = g.offsets.iter().filter_map(OffsetFacts::lag);
        (!g.left_out).then(|| lags.sum::<u64>() as f64)
    });
    family("ringwood_kafka_consumer_group_lag_max", "Most records behind in one partition.", |g| {
        let lags = g.offsets.iter().filter_map(OffsetFacts::lag);
        (!g.left_out).then(|| lags.max().unwrap_or(0) as f64)
    });
}

fn offsets(text: &mut Text, gathered: &Gathered) {
    let now = gathered.at;
    let mut family = |name, help, value: &dyn Fn(&OffsetFacts) -> Option<f64>| {
        text.family(name, "gauge", help);
        for g in &gathered.groups {
            for o in &g.offsets {
                if let Some(value) = value(o) {
                    let index = o.partition.to_string();
                    let labels = [("group", &*g.id), ("topic", &o.topic), ("partition", &index)];
                    text.sample(&labels, value);
                }
            }
        }
    };
    family("ringwood_kafka_consumer_group_committed_offset", "The committed offset.", &|o| {
        Some(o.committed.0 as f64)
    });
    family("ringwood_kafka_consumer_group_lag", "Records behind.", &|o| o.lag().map(|n| n as f64));
    family(
        "ringwood_kafka_consumer_group_lag_seconds",
        "For how long the first record that is not committed has waited.",
        &|o| o.lag_seconds(now),
    );
}
