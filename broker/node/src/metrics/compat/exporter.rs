//! The metrics of kafka_exporter: topics, partitions and groups, with its labels.

use crate::lag::{Gathered, GroupFacts, OffsetFacts, PartitionFacts};
use crate::metrics::lag;
use crate::metrics::text::Text;

pub(in crate::metrics) fn write(text: &mut Text, gathered: &Gathered, partitions_max: usize) {
    text.gauge("kafka_brokers", "Brokers of the cluster.", gathered.brokers.len() as f64);
    text.family("kafka_broker_info", "gauge", "1, with the broker's id and address.");
    for (id, address) in &gathered.brokers {
        text.sample(&[("id", &id.to_string()), ("address", address)], 1.0);
    }
    let (shown, _) = lag::shown(gathered, partitions_max);
    topics(text, &shown);
    partitions(text, &shown);
    groups(text, &gathered.groups);
}

fn topics(text: &mut Text, shown: &[(&PartitionFacts, String)]) {
    text.family("kafka_topic_partitions", "gauge", "Partitions of the topic that are shown.");
    for of_topic in shown.chunk_by(|(a, _), (b, _)| a.topic == b.topic) {
        if let Some((first, _)) = of_topic.first() {
            text.sample(&[("topic", &first.topic)], of_topic.len() as f64);
        }
    }
}

fn partitions(text: &mut Text, shown: &[(&PartitionFacts, String)]) {
    let yes = |is: bool| f64::from(u8::from(is));
    let mut family = |name, help, value: &dyn Fn(&PartitionFacts) -> f64| {
        text.family(name, "gauge", help);
        for (p, index) in shown {
            text.sample(&[("partition", index), ("topic", &p.topic)], value(p));
        }
    };
    family("kafka_topic_partition_current_offset", "The high watermark.", &|p| p.end.0 as f64);
    family("kafka_topic_partition_oldest_offset", "The first offset.", &|p| p.start.0 as f64);
    family("kafka_topic_partition_leader", "The leader's id.", &|p| f64::from(p.leader));
    family("kafka_topic_partition_leader_is_preferred", "1 if the first replica leads.", &|p| {
        yes(p.is_preferred)
    });
    family("kafka_topic_partition_replicas", "Replicas.", &|p| p.replicas as f64);
    family("kafka_topic_partition_in_sync_replica", "Replicas in sync.", &|p| p.in_sync as f64);
    family(
        "kafka_topic_partition_under_replicated_partition",
        "1 if replicas are out of sync.",
        &|p| yes(p.in_sync < p.replicas),
    );
}

fn groups(text: &mut Text, groups: &[GroupFacts]) {
    text.family("kafka_consumergroup_members", "gauge", "Members of the group.");
    for g in groups {
        text.sample(&[("consumergroup", &g.id)], g.members as f64);
    }
    let committed = |o: &OffsetFacts| Some(o.committed.0 as f64);
    let lag = |o: &OffsetFacts| o.lag().map(|n| n as f64);
    each(text, groups, "kafka_consumergroup_current_offset", "The committed offset.", committed);
    each(text, groups, "kafka_consumergroup_lag", "Records behind.", lag);
    let name = "kafka_consumergroup_current_offset_sum";
    sums(text, groups, name, "Committed offsets of the topic.", committed);
    sums(text, groups, "kafka_consumergroup_lag_sum", "Records behind in the topic.", lag);
}

type Value = fn(&OffsetFacts) -> Option<f64>;

fn each(text: &mut Text, groups: &[GroupFacts], name: &'static str, help: &str, value: Value) {
    text.family(name, "gauge", help);
    for g in groups {
        for o in &g.offsets {
            if let Some(value) = value(o) {
                let index = o.partition.to_string();
                let labels =
                    [("consumergroup", &*g.id), ("partition", &index), ("topic", &o.topic)];
                text.sample(&labels, value);
            }
        }
    }
}

fn sums(text: &mut Text, groups: &[GroupFacts], name: &'static str, help: &str, value: Value) {
    text.family(name, "gauge", help);
    for g in groups {
        for of_topic in g.offsets.chunk_by(|a, b| a.topic == b.topic) {
            let Some(first) = of_topic.first() else { continue };
            let sum: f64 = of_topic.iter().filter_map(value).sum();
            text.sample(&[("consumergroup", &g.id), ("topic", &first.topic)], sum);
        }
    }
}
