//! Kafka's own metrics as the JMX exporter names them with its example rules for brokers, in lower case.

use crate::lag::{Gathered, PartitionFacts};
use crate::metrics::cores::Counted;
use crate::metrics::lag;
use crate::metrics::text::Text;
use stages::{History, Stage};

/// Kafka's state of a broker that serves.
const RUNNING: f64 = 3.0;
/// The quantiles of Kafka's histograms, as the exporter writes them.
const QUANTILES: [(&str, f64); 6] = [
    ("0.50", 0.5),
    ("0.75", 0.75),
    ("0.95", 0.95),
    ("0.98", 0.98),
    ("0.99", 0.99),
    ("0.999", 0.999),
];

pub(in crate::metrics) fn write(
    text: &mut Text,
    cores: &[Counted],
    gathered: &Gathered,
    partitions_max: usize,
) {
    text.gauge("kafka_server_kafkaserver_brokerstate", "3: the broker runs.", RUNNING);
    let mut gauge = |name, help, value: usize| text.gauge(name, help, value as f64);
    let led = gathered.partitions.len();
    gauge("kafka_controller_kafkacontroller_activecontrollercount", "Controllers here.", 1);
    gauge("kafka_controller_kafkacontroller_activebrokercount", "Brokers.", gathered.brokers.len());
    gauge("kafka_controller_kafkacontroller_globaltopiccount", "Topics.", gathered.topics_known);
    gauge(
        "kafka_controller_kafkacontroller_globalpartitioncount",
        "Partitions.",
        gathered.partitions_known,
    );
    gauge(
        "kafka_controller_kafkacontroller_offlinepartitionscount",
        "Partitions without a leader.",
        lag::without_leader(gathered),
    );
    gauge("kafka_server_replicamanager_partitioncount", "Replicas here.", led);
    gauge("kafka_server_replicamanager_leadercount", "Partitions led here.", led);
    gauge(
        "kafka_server_replicamanager_underreplicatedpartitions",
        "Partitions with replicas out of sync.",
        lag::under_replicated(gathered),
    );
    gauge(
        "kafka_server_replicamanager_offlinereplicacount",
        "Partitions that take no writes.",
        lag::incomplete(gathered),
    );
    groups(text, gathered);
    let (shown, _) = lag::shown(gathered, partitions_max);
    traffic(text, cores, &shown);
    logs(text, &shown);
}

fn groups(text: &mut Text, gathered: &Gathered) {
    let all = &gathered.groups;
    let mut gauge = |name, help, value: usize| text.gauge(name, help, value as f64);
    let count = |state: &str| all.iter().filter(|g| g.state == state).count();
    gauge("kafka_coordinator_group_groupmetadatamanager_numgroups", "Groups.", all.len());
    gauge(
        "kafka_coordinator_group_groupmetadatamanager_numgroupsempty",
        "Groups without members.",
        count("Empty"),
    );
    gauge(
        "kafka_coordinator_group_groupmetadatamanager_numgroupsstable",
        "Stable groups.",
        count("Stable"),
    );
    gauge(
        "kafka_coordinator_group_groupmetadatamanager_numgroupspreparingrebalance",
        "Groups that wait for members.",
        count("PreparingRebalance"),
    );
    gauge(
        "kafka_coordinator_group_groupmetadatamanager_numgroupscompletingrebalance",
        "Groups that wait for an assignment.",
        count("CompletingRebalance"),
    );
    gauge(
        "kafka_coordinator_group_groupmetadatamanager_numoffsets",
        "Committed offsets that are shown.",
        all.iter().map(|g| g.offsets.len()).sum(),
    );
}

/// A counter of all cores, over the labels that `of` wants.
fn sum(cores: &[Counted], name: &str, of: impl Fn(&[(&'static str, String)]) -> bool) -> f64 {
    let all = cores.iter().flat_map(|c| c.values(name));
    all.filter(|(labels, _)| of(labels)).map(|(_, value)| value).sum()
}

fn of_api(api: &'static str) -> impl Fn(&[(&'static str, String)]) -> bool {
    move |labels| labels.iter().any(|(name, value)| *name == "api" && value == api)
}

fn traffic(text: &mut Text, cores: &[Counted], shown: &[(&PartitionFacts, String)]) {
    let mut family = |name, help, all: &str, value: fn(&PartitionFacts) -> u64| {
        text.family(name, "counter", help);
        text.sample(&[], sum(cores, all, |_| true));
        for of_topic in shown.chunk_by(|(a, _), (b, _)| a.topic == b.topic) {
            let Some((first, _)) = of_topic.first() else { continue };
            let n: u64 = of_topic.iter().map(|(p, _)| value(p)).sum();
            text.sample(&[("topic", &first.topic)], n as f64);
        }
    };
    family(
        "kafka_server_brokertopicmetrics_messagesin_total",
        "Records taken.",
        "ringwood_kafka_records_produced_total",
        |p| p.traffic.records_in,
    );
    family(
        "kafka_server_brokertopicmetrics_bytesin_total",
        "Bytes of batches taken.",
        "ringwood_kafka_produce_bytes_total",
        |p| p.traffic.bytes_in,
    );
    family(
        "kafka_server_brokertopicmetrics_bytesout_total",
        "Bytes of batches served.",
        "ringwood_kafka_fetch_bytes_total",
        |p| p.traffic.bytes_out,
    );
    let mut counter = |name, help, all: &str, api| {
        text.family(name, "counter", help);
        text.sample(&[], sum(cores, all, of_api(api)));
    };
    let (requests, errors) =
        ("ringwood_kafka_requests_total", "ringwood_kafka_request_errors_total");
    let name = "kafka_server_brokertopicmetrics_totalproducerequests_total";
    counter(name, "Produce requests.", requests, "Produce");
    let name = "kafka_server_brokertopicmetrics_totalfetchrequests_total";
    counter(name, "Fetch requests.", requests, "Fetch");
    let name = "kafka_server_brokertopicmetrics_failedproducerequests_total";
    counter(name, "Partitions of produce requests that failed.", errors, "Produce");
    let name = "kafka_server_brokertopicmetrics_failedfetchrequests_total";
    counter(name, "Partitions of fetch requests that failed.", errors, "Fetch");
}

fn logs(text: &mut Text, shown: &[(&PartitionFacts, String)]) {
    let mut family = |name, help, value: fn(&PartitionFacts) -> f64| {
        text.family(name, "gauge", help);
        for (p, index) in shown {
            text.sample(&[("partition", index), ("topic", &p.topic)], value(p));
        }
    };
    family("kafka_log_log_logstartoffset", "The first offset.", |p| p.start.0 as f64);
    family("kafka_log_log_logendoffset", "The high watermark.", |p| p.end.0 as f64);
    family("kafka_log_log_size", "Bytes of segments.", |p| p.bytes as f64);
}

/// Requests, their errors and their times.
pub(in crate::metrics) fn requests(text: &mut Text, cores: &[Counted], history: &History) {
    let mut family = |name, help, all: &str, renamed: &[(&str, &'static str)]| {
        text.family(name, "counter", help);
        let mut sums: std::collections::BTreeMap<Vec<(&'static str, String)>, f64> =
            std::collections::BTreeMap::new();
        for (labels, value) in cores.iter().flat_map(|c| c.values(all)) {
            let rename = |(name, value): &(&'static str, String)| {
                let new =
                    renamed.iter().find(|(old, _)| old == name).map_or(*name, |(_, new)| *new);
                (new, value.clone())
            };
            *sums.entry(labels.iter().map(rename).collect()).or_default() += value;
        }
        for (labels, value) in sums {
            let labels: Vec<_> =
                labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
            text.sample(&labels, value);
        }
    };
    family(
        "kafka_network_requestmetrics_requests_total",
        "Requests.",
        "ringwood_kafka_requests_total",
        &[("api", "request")],
    );
    family(
        "kafka_network_requestmetrics_errors_total",
        "Errors that answers said.",
        "ringwood_kafka_request_errors_total",
        &[("api", "request")],
    );
    let help = "Milliseconds from a request to its answer, without waiting that it asked for.";
    text.family("kafka_network_requestmetrics_totaltimems", "summary", help);
    for ((place, stage), histogram) in history.since_start(None) {
        let (Some(key), Stage::Total) = (crate::api::api_at(place), stage) else { continue };
        let quantiles = QUANTILES.map(|(name, q)| (name, histogram.quantile_nanos(q) as f64 / 1e6));
        let sum = histogram.sum_nanos() as f64 / 1e6;
        text.summary(&[("request", key.name())], &quantiles, histogram.count(), sum);
    }
}
