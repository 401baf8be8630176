//! The text of `/metrics`, in Prometheus' form, from plain counters.

use crate::broker::Broker;
use stages::History;
use std::fmt::Write as _;

/// Durations of requests by stage.
const STAGE_SECONDS: &str = "ringwood_request_stage_seconds";
/// Its buckets end at powers of two nanoseconds, from 8 microseconds to 17 seconds: there the counts are exact.
const STAGE_POWERS: std::ops::RangeInclusive<u32> = 13..=34;

/// One metric of one core.
pub(crate) struct Sample {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    /// Labels and value; several where a label tells them apart.
    values: Vec<(String, f64)>,
}

#[derive(Default)]
struct Samples(Vec<Sample>);

impl Samples {
    fn metric(
        &mut self,
        name: &'static str,
        kind: &'static str,
        help: &'static str,
        values: Vec<(String, f64)>,
    ) {
        self.0.push(Sample { name, kind, help, values });
    }

    fn counter(&mut self, name: &'static str, help: &'static str, core: u16, value: u64) {
        self.metric(name, "counter", help, vec![(core_label(core), value as f64)]);
    }

    fn gauge(&mut self, name: &'static str, help: &'static str, core: u16, value: f64) {
        self.metric(name, "gauge", help, vec![(core_label(core), value)]);
    }
}

/// The text for all cores: every core has the same metrics in the same order.
pub(crate) fn text(cores: Vec<Vec<Sample>>) -> String {
    let mut text = String::new();
    let mut cores: Vec<_> = cores.into_iter().map(Vec::into_iter).collect();
    loop {
        let row: Vec<Sample> = cores.iter_mut().filter_map(Iterator::next).collect();
        let Some(first) = row.first() else { return text };
        let Sample { name, kind, help, .. } = first;
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in row.iter().flat_map(|s| &s.values) {
            let _ = writeln!(text, "{name}{{{labels}}} {value}");
        }
    }
}

fn core_label(core: u16) -> String {
    format!("core=\"{core}\"")
}

fn cleaner(t: &mut Samples, broker: &Broker, core: u16, store: &store::Counters) {
    t.counter("ringwood_cleaner_passes_total", "Passes of compaction.", core, store.compactions);
    t.counter(
        "ringwood_cleaner_read_bytes_total",
        "Bytes read by compaction.",
        core,
        store.compact_read_bytes,
    );
    t.counter(
        "ringwood_cleaner_written_bytes_total",
        "Bytes written by compaction.",
        core,
        store.compact_written_bytes,
    );
    t.counter(
        "ringwood_cleaner_dropped_records_total",
        "Records dropped by compaction.",
        core,
        store.compact_dropped_records,
    );
    let c = &broker.cleaner;
    t.gauge(
        "ringwood_cleaner_max_dirty_ratio",
        "Largest dirty share of a compacted partition.",
        core,
        c.max_dirty(),
    );
    t.gauge(
        "ringwood_cleaner_last_run_seconds",
        "How long the last pass of compaction took.",
        core,
        c.last_run_ms() as f64 / 1_000.0,
    );
    t.gauge(
        "ringwood_cleaner_failed_partitions",
        "Partitions whose compaction failed and waits.",
        core,
        c.failed() as f64,
    );
}

fn cold_reads(t: &mut Samples, broker: &Broker, core: u16, store: &store::Counters) {
    t.counter(
        "ringwood_store_cold_read_bytes_total",
        "Bytes read from segments.",
        core,
        store.cold_bytes,
    );
    t.counter("ringwood_store_cold_reads_total", "Reads from segments.", core, store.cold_reads);
    t.counter(
        "ringwood_store_read_ahead_bytes_total",
        "Bytes read from segments before they were asked for.",
        core,
        store.read_ahead_bytes,
    );
    t.counter(
        "ringwood_store_read_ahead_hits_total",
        "Reads served from what was read ahead.",
        core,
        store.read_ahead_hits,
    );
    t.counter(
        "ringwood_store_read_ahead_wasted_bytes_total",
        "Bytes read ahead that nobody got.",
        core,
        store.read_ahead_wasted_bytes,
    );
    let (used, limit) = broker.shard.store.cold_memory();
    t.gauge("ringwood_memory_cold_used_bytes", "Bytes of cold reads in use.", core, used as f64);
    t.gauge("ringwood_memory_cold_limit_bytes", "Budget for cold reads.", core, limit as f64);
}

fn scrub(t: &mut Samples, broker: &Broker, core: u16, store: &store::Counters) {
    t.counter(
        "ringwood_scrub_read_bytes_total",
        "Bytes of sealed segments read again.",
        core,
        store.scrub_bytes,
    );
    let s = &broker.scrubber;
    t.counter("ringwood_scrub_rounds_total", "Rounds of the scrub.", core, s.rounds());
    t.gauge("ringwood_scrub_damaged_segments", "Damaged segments.", core, s.damaged() as f64);
}

/// What this core counts.
pub(crate) fn samples(broker: &Broker) -> Vec<Sample> {
    let mut t = Samples::default();
    let core = broker.rt.core().0;
    let requests: Vec<(String, f64)> = broker
        .counters
        .requests()
        .into_iter()
        .map(|(key, n)| (format!("core=\"{core}\",api=\"{}\"", key.name()), n as f64))
        .collect();
    t.metric("ringwood_kafka_requests_total", "counter", "Requests by API.", requests);
    let c = &broker.counters;
    t.counter("ringwood_kafka_records_produced_total", "Records taken.", core, c.records_in.get());
    t.counter(
        "ringwood_kafka_produce_bytes_total",
        "Bytes of batches taken.",
        core,
        c.bytes_in.get(),
    );
    t.counter(
        "ringwood_kafka_fetch_bytes_total",
        "Bytes of batches served.",
        core,
        c.bytes_out.get(),
    );
    let s = broker.server.borrow().as_ref().map(server::Server::counters).unwrap_or_default();
    t.gauge("ringwood_connections", "Open connections.", core, s.open as f64);
    t.counter("ringwood_connections_accepted_total", "Connections accepted.", core, s.accepted);
    t.counter(
        "ringwood_connections_refused_total",
        "Connections over the limit.",
        core,
        s.refused_total,
    );
    let closed: Vec<(String, f64)> = s
        .closed
        .iter()
        .map(|(reason, n)| (format!("core=\"{core}\",reason=\"{reason}\""), *n as f64))
        .collect();
    t.metric(
        "ringwood_connections_closed_total",
        "counter",
        "Connections closed, by reason.",
        closed,
    );
    t.gauge("ringwood_requests_in_flight", "Requests in progress.", core, s.in_flight as f64);
    t.counter("ringwood_network_receive_bytes_total", "Bytes received.", core, s.bytes_in);
    t.counter("ringwood_network_send_bytes_total", "Bytes sent.", core, s.bytes_out);
    let (store, journal) = broker.shard.store.counters();
    t.counter("ringwood_journal_commits_total", "Commits written.", core, journal.commits);
    t.counter("ringwood_journal_flushes_total", "Flushes of the ring.", core, journal.flushes);
    t.counter("ringwood_journal_bytes_total", "Bytes written to the ring.", core, journal.bytes);
    t.counter("ringwood_journal_records_total", "Records in commits.", core, journal.records);
    t.counter("ringwood_journal_wraps_total", "Laps of the ring.", core, journal.wraps);
    let (used, size) = broker.shard.store.ring_bytes();
    t.gauge("ringwood_journal_used_bytes", "Bytes of the ring in use.", core, used as f64);
    t.gauge("ringwood_journal_size_bytes", "Bytes of the ring.", core, size as f64);
    t.counter("ringwood_store_checkpoints_total", "Checkpoints.", core, store.checkpoints);
    t.counter(
        "ringwood_store_segment_bytes_total",
        "Bytes written to segments.",
        core,
        store.segment_bytes,
    );
    t.counter(
        "ringwood_store_segment_writes_total",
        "Writes to segments.",
        core,
        store.segment_writes,
    );
    t.counter(
        "ringwood_store_rest_bytes_total",
        "Bytes written to the rest log.",
        core,
        store.rest_bytes,
    );
    t.counter(
        "ringwood_store_manifest_bytes_total",
        "Bytes written to the manifest.",
        core,
        store.manifest_bytes,
    );
    t.counter("ringwood_store_syncs_total", "Segment files synced.", core, store.syncs);
    cold_reads(&mut t, broker, core, &store);
    t.counter(
        "ringwood_store_tail_copied_bytes_total",
        "Bytes copied into tails.",
        core,
        store.tail_copied,
    );
    t.counter(
        "ringwood_store_commit_copied_bytes_total",
        "Bytes copied into commits.",
        core,
        store.commit_copied,
    );
    cleaner(&mut t, broker, core, &store);
    scrub(&mut t, broker, core, &store);
    let memory = broker.rt.memory();
    t.gauge("ringwood_memory_used_bytes", "Bytes of buffers in use.", core, memory.used() as f64);
    t.gauge("ringwood_memory_limit_bytes", "Budget for buffers.", core, memory.limit() as f64);
    t.counter(
        "ringwood_reactor_enters_total",
        "System calls of the reactor.",
        core,
        broker.rt.enters(),
    );
    let sent = broker.post.sent();
    let by_class =
        [("control", sent.control), ("data", sent.data), ("background", sent.background)];
    let by_class = by_class
        .iter()
        .map(|(class, n)| (format!("core=\"{core}\",class=\"{class}\""), *n as f64))
        .collect();
    t.metric(
        "ringwood_core_messages_total",
        "counter",
        "Messages to other cores, by class.",
        by_class,
    );
    t.gauge("ringwood_partitions", "Partitions led.", core, broker.shard.replicas().len() as f64);
    let sessions = broker.fetch_sessions.borrow().len();
    t.gauge("ringwood_fetch_sessions", "Incremental fetch sessions.", core, sessions as f64);
    t.gauge("ringwood_groups", "Consumer groups.", core, broker.groups.count() as f64);
    let full = f64::from(u8::from(broker.shard.store.disk_full().is_some()));
    t.gauge("ringwood_disk_full", "1 while writes are refused for want of space.", core, full);
    t.0
}

/// Adds the histograms of the stages. Park is one of them, and no part of the total.
pub(crate) fn stages(text: &mut String, history: &History) {
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "# HELP {STAGE_SECONDS} Durations of requests by stage.\n# TYPE {STAGE_SECONDS} histogram"
    );
    for ((core, place, stage), histogram) in history.totals() {
        let Some(key) = crate::api::api_at(*place) else { continue };
        let labels = format!("core=\"{core}\",api=\"{}\",stage=\"{}\"", key.name(), stage.name());
        for power in STAGE_POWERS {
            let below = histogram.count_below(1 << power);
            let end = (1u64 << power) as f64 / 1e9;
            let _ = writeln!(text, "{STAGE_SECONDS}_bucket{{{labels},le=\"{end}\"}} {below}");
        }
        let (count, sum) = (histogram.count(), histogram.sum_nanos() as f64 / 1e9);
        let _ = writeln!(text, "{STAGE_SECONDS}_bucket{{{labels},le=\"+Inf\"}} {count}");
        let _ = writeln!(text, "{STAGE_SECONDS}_sum{{{labels}}} {sum}");
        let _ = writeln!(text, "{STAGE_SECONDS}_count{{{labels}}} {count}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stages::{Stage, Tally};

    #[test]
    fn a_histogram_has_cumulative_buckets_a_sum_and_a_count() {
        let (mut history, mut tally) = (History::default(), Tally::default());
        // 6.4, 64 and 640 microseconds.
        [100, 1000, 10_000].into_iter().for_each(|ticks| tally.record(ticks));
        let series = vec![(0, Stage::Flush, tally.drain().unwrap())];
        history.push(0, 1000, vec![(1, series)]);
        let mut text = String::new();
        stages(&mut text, &history);
        let labels = "core=\"1\",api=\"Produce\",stage=\"flush\"";
        for (end, n) in [("0.000008192", 1), ("0.000032768", 1), ("0.000065536", 2), ("+Inf", 3)] {
            let line = format!("{STAGE_SECONDS}_bucket{{{labels},le=\"{end}\"}} {n}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
        assert!(text.contains(&format!("{STAGE_SECONDS}_count{{{labels}}} 3\n")), "{text}");
        assert!(text.contains(&format!("{STAGE_SECONDS}_sum{{{labels}}} 0.0007104\n")), "{text}");
    }
}
