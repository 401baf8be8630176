//! A dashboard for Grafana over the metrics of `/metrics`, with a panel for each question that an operator asks first.

use crate::failure::Done;
use crate::output;
use serde_json::{Value, json};

/// Title, unit of Grafana, and the queries with their legends.
type Panel = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// Rows of panels.
const ROWS: &[(&str, &[Panel])] = &[
    (
        "Health",
        &[
            (
                "Partitions in trouble",
                "short",
                &[
                    ("sum(ringwood_cluster_unavailable_partitions{S})", "without a leader"),
                    ("sum(ringwood_kafka_under_replicated_partitions{S})", "under-replicated"),
                    ("sum(ringwood_partitions_incomplete{S})", "incomplete: no writes"),
                ],
            ),
            (
                "Errors in answers",
                "ops",
                &[(
                    "sum by (api, error) (rate(ringwood_kafka_request_errors_total{S}[R]))",
                    "{{api}} {{error}}",
                )],
            ),
            (
                "Free space",
                "percentunit",
                &[(
                    "ringwood_storage_disk_free_bytes{S} / ringwood_storage_disk_total_bytes{S}",
                    "{{instance}}",
                )],
            ),
        ],
    ),
    (
        "Consumer groups",
        &[
            (
                "Records behind",
                "short",
                &[("sum by (group) (ringwood_kafka_consumer_group_total_lag{S})", "{{group}}")],
            ),
            (
                "Time behind",
                "s",
                &[(
                    "max by (group, topic) (ringwood_kafka_consumer_group_lag_seconds{S})",
                    "{{group}} {{topic}}",
                )],
            ),
            (
                "Commits: records a second",
                "recps",
                &[(
                    "sum by (group, topic) (deriv(ringwood_kafka_consumer_group_committed_offset{S}[5m]))",
                    "{{group}} {{topic}}",
                )],
            ),
            (
                "Members",
                "short",
                &[("sum by (group) (ringwood_kafka_consumer_group_consumers{S})", "{{group}}")],
            ),
            (
                "Groups by state",
                "short",
                &[("count by (state) (ringwood_kafka_consumer_group_state{S})", "{{state}}")],
            ),
            (
                "Records in topics",
                "recps",
                &[("sum by (topic) (deriv(ringwood_kafka_max_offset{S}[5m]))", "{{topic}}")],
            ),
        ],
    ),
    (
        "Clients",
        &[
            (
                "Records taken",
                "recps",
                &[(
                    "sum by (core) (rate(ringwood_kafka_records_produced_total{S}[R]))",
                    "core {{core}}",
                )],
            ),
            (
                "Bytes",
                "Bps",
                &[
                    ("sum(rate(ringwood_kafka_produce_bytes_total{S}[R]))", "produced"),
                    ("sum(rate(ringwood_kafka_fetch_bytes_total{S}[R]))", "fetched"),
                ],
            ),
            (
                "Requests",
                "reqps",
                &[("sum by (api) (rate(ringwood_kafka_requests_total{S}[R]))", "{{api}}")],
            ),
            (
                "Connections",
                "short",
                &[("sum by (core) (ringwood_connections{S})", "core {{core}}")],
            ),
            (
                "Connections refused and closed",
                "cps",
                &[
                    ("sum(rate(ringwood_connections_refused_total{S}[R]))", "refused"),
                    (
                        "sum by (reason) (rate(ringwood_connections_closed_total{S}[R]))",
                        "{{reason}}",
                    ),
                ],
            ),
            (
                "Requests in progress",
                "short",
                &[("sum by (core) (ringwood_requests_in_flight{S})", "core {{core}}")],
            ),
        ],
    ),
    (
        "Disk",
        &[
            (
                "Journal: commits and flushes",
                "ops",
                &[
                    ("sum(rate(ringwood_journal_commits_total{S}[R]))", "commits"),
                    ("sum(rate(ringwood_journal_flushes_total{S}[R]))", "flushes"),
                ],
            ),
            (
                "Journal: share of the ring in use",
                "percentunit",
                &[(
                    "ringwood_journal_used_bytes{S} / ringwood_journal_size_bytes{S}",
                    "core {{core}}",
                )],
            ),
            (
                "Written",
                "Bps",
                &[
                    ("sum(rate(ringwood_journal_bytes_total{S}[R]))", "journal"),
                    ("sum(rate(ringwood_store_segment_bytes_total{S}[R]))", "segments"),
                    ("sum(rate(ringwood_store_rest_bytes_total{S}[R]))", "rest log"),
                ],
            ),
            (
                "Read from segments",
                "Bps",
                &[("sum(rate(ringwood_store_cold_read_bytes_total{S}[R]))", "cold reads")],
            ),
            ("Disk full: writes are refused", "short", &[("max(ringwood_disk_full{S})", "full")]),
        ],
    ),
    (
        "Cores",
        &[
            (
                "Memory of buffers",
                "percentunit",
                &[(
                    "ringwood_memory_used_bytes{S} / ringwood_memory_limit_bytes{S}",
                    "core {{core}}",
                )],
            ),
            ("Partitions", "short", &[("sum by (core) (ringwood_partitions{S})", "core {{core}}")]),
            ("Groups", "short", &[("sum by (core) (ringwood_groups{S})", "core {{core}}")]),
            (
                "System calls of the reactor",
                "ops",
                &[("sum by (core) (rate(ringwood_reactor_enters_total{S}[R]))", "core {{core}}")],
            ),
        ],
    ),
];

/// Grid units: three panels fill a row of 24.
const WIDTH: usize = 8;
const HEIGHT: usize = 8;

pub(super) fn run() -> Done {
    output::write(format!("{:#}\n", dashboard()).as_bytes())
}

fn dashboard() -> Value {
    let mut panels = Vec::new();
    let (mut id, mut y) = (0, 0);
    for (title, row) in ROWS {
        id += 1;
        panels.push(json!({
            "id": id, "type": "row", "title": title, "collapsed": false, "panels": [],
            "gridPos": { "x": 0, "y": y, "w": 24, "h": 1 },
        }));
        y += 1;
        for (at, panel) in row.iter().enumerate() {
            id += 1;
            let place = (at % 3 * WIDTH, y + at / 3 * HEIGHT);
            panels.push(graph(id, place, panel));
        }
        y += row.len().div_ceil(3) * HEIGHT;
    }
    let variable = |name: &str, label: &str, query: &str| {
        json!({
            "name": name, "label": label, "type": "query", "query": query, "refresh": 2,
            "includeAll": true, "multi": true, "allValue": ".*",
            "current": { "text": "All", "value": "$__all" },
            "datasource": { "type": "prometheus", "uid": "${datasource}" },
        })
    };
    json!({
        "title": "Ringwood",
        "uid": "ringwood",
        "schemaVersion": 39,
        "tags": ["ringwood", "kafka"],
        "time": { "from": "now-1h", "to": "now" },
        "refresh": "10s",
        "templating": { "list": [
            { "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus" },
            variable("instance", "Broker", "label_values(ringwood_partitions, instance)"),
        ] },
        "panels": panels,
    })
}

fn graph(id: usize, (x, y): (usize, usize), (title, unit, queries): &Panel) -> Value {
    let targets: Vec<_> = queries
        .iter()
        .zip('A'..)
        .map(|((query, legend), letter)| {
            let query = query
                .replace("{S}", "{instance=~\"$instance\"}")
                .replace("[R]", "[$__rate_interval]");
            json!({ "refId": letter.to_string(), "expr": query, "legendFormat": legend })
        })
        .collect();
    json!({
        "id": id, "type": "timeseries", "title": title,
        "gridPos": { "x": x, "y": y, "w": WIDTH, "h": HEIGHT },
        "datasource": { "type": "prometheus", "uid": "${datasource}" },
        "fieldConfig": { "defaults": { "unit": unit, "min": 0 }, "overrides": [] },
        "targets": targets,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_panel_lies_on_another() {
        let dashboard = dashboard();
        let panels = dashboard["panels"].as_array().unwrap();
        let number = |p: &Value, side: &str| p["gridPos"][side].as_u64().unwrap();
        for (i, a) in panels.iter().enumerate() {
            assert!(number(a, "x") + number(a, "w") <= 24);
            for b in panels.iter().skip(i + 1) {
                assert_ne!(a["id"], b["id"]);
                let apart = |at: &str, size: &str| {
                    number(a, at) + number(a, size) <= number(b, at)
                        || number(b, at) + number(b, size) <= number(a, at)
                };
                assert!(apart("x", "w") || apart("y", "h"), "{a} {b}");
            }
        }
    }
}
