//! Alerts for Prometheus over the metrics of `/metrics`: what wakes somebody, what waits for the morning.

use crate::failure::Done;
use crate::output;
use clap::Args;
use std::fmt::Write as _;

#[derive(Debug, Args)]
pub struct RulesArgs {
    /// How many seconds a group may be behind
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    lag_seconds: u64,
}

struct Alert {
    name: &'static str,
    expr: String,
    /// How long it must hold.
    hold: &'static str,
    severity: &'static str,
    summary: &'static str,
    what_to_do: &'static str,
}

fn alerts(lag_seconds: u64) -> Vec<Alert> {
    let alert = |name, expr: &str, hold, severity, summary, what_to_do| Alert {
        name,
        expr: expr.to_owned(),
        hold,
        severity,
        summary,
        what_to_do,
    };
    vec![
        alert(
            "RingwoodDiskFull",
            "max by (instance) (ringwood_disk_full) > 0",
            "0m",
            "critical",
            "{{ $labels.instance }} refuses writes: its disk is full",
            "delete topics or records, lower retention, or grow the file system; writes resume by themselves",
        ),
        alert(
            "RingwoodDiskFilling",
            "predict_linear(ringwood_storage_disk_free_bytes[6h], 86400) < 0",
            "30m",
            "warning",
            "the disk of {{ $labels.instance }} will be full within a day",
            "lower retention or grow the file system",
        ),
        alert(
            "RingwoodPartitionsIncomplete",
            "ringwood_partitions_incomplete > 0",
            "0m",
            "critical",
            "{{ $value }} partitions of {{ $labels.instance }} have lost acknowledged records and take no writes",
            "see ringwood storage info, and the part about incomplete partitions in docs/operations.md",
        ),
        alert(
            "RingwoodPartitionsUnavailable",
            "ringwood_cluster_unavailable_partitions > 0",
            "1m",
            "critical",
            "{{ $value }} partitions have no leader",
            "bring their brokers back",
        ),
        alert(
            "RingwoodUnderReplicated",
            "ringwood_kafka_under_replicated_partitions > 0",
            "5m",
            "warning",
            "{{ $value }} partitions led by {{ $labels.instance }} have replicas out of sync",
            "look at the brokers that follow",
        ),
        alert(
            "RingwoodRecovers",
            "ringwood_application_ready == 0",
            "5m",
            "warning",
            "{{ $labels.instance }} has not begun to serve",
            "look at its log; a start reads the whole ring of each core",
        ),
        alert(
            "RingwoodStorageErrors",
            "sum by (instance, error) (rate(ringwood_kafka_request_errors_total{error=~\"UNKNOWN_SERVER_ERROR|KAFKA_STORAGE_ERROR|CORRUPT_MESSAGE\"}[5m])) > 0",
            "5m",
            "critical",
            "{{ $labels.instance }} answers {{ $labels.error }}",
            "look at its log and at the kernel's",
        ),
        alert(
            "RingwoodJournalNearlyFull",
            "max by (instance) (ringwood_journal_used_bytes / ringwood_journal_size_bytes) > 0.7",
            "5m",
            "warning",
            "the journal of {{ $labels.instance }} is {{ $value | humanizePercentage }} full: producers are slowed",
            "the disk is slower than the writers; see ringwood latency, or give it a larger --ring",
        ),
        alert(
            "RingwoodCompactionFails",
            "sum by (instance) (ringwood_cleaner_failed_partitions) > 0",
            "10m",
            "warning",
            "{{ $value }} partitions of {{ $labels.instance }} cannot be compacted",
            "its log names the segment and the byte",
        ),
        Alert {
            name: "RingwoodGroupLate",
            expr: format!(
                "max by (instance, group, topic) (ringwood_kafka_consumer_group_lag_seconds) > {lag_seconds}"
            ),
            hold: "5m",
            severity: "warning",
            summary: "group {{ $labels.group }} is {{ $value | humanizeDuration }} behind in topic {{ $labels.topic }}",
            what_to_do: "see who reads with ringwood group describe GROUP",
        },
        alert(
            "RingwoodMetricsLeftOut",
            "ringwood_metrics_groups_left_out + ringwood_metrics_partitions_left_out > 0",
            "30m",
            "info",
            "metrics of {{ $labels.instance }} leave out {{ $value }} groups and partitions",
            "raise --metrics-series",
        ),
    ]
}

/// A YAML string: JSON's are.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

pub(super) fn run(args: &RulesArgs) -> Done {
    output::write(rules(args.lag_seconds).as_bytes())
}

fn rules(lag_seconds: u64) -> String {
    let mut text = String::from("groups:\n  - name: ringwood\n    rules:\n");
    for a in alerts(lag_seconds) {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "      - alert: {}\n        expr: {}\n        for: {}\n        labels:\n          severity: {}\n        annotations:\n          summary: {}\n          description: {}\n",
            a.name,
            quoted(&a.expr),
            a.hold,
            a.severity,
            quoted(a.summary),
            quoted(a.what_to_do),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alert_has_its_own_name_and_says_what_to_do() {
        let alerts = alerts(7);
        let mut names: Vec<_> = alerts.iter().map(|a| a.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), alerts.len());
        assert!(alerts.iter().all(|a| !a.summary.is_empty() && !a.what_to_do.is_empty()));
        assert!(rules(7).contains("lag_seconds) > 7\""));
    }
}
