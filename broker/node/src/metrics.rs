//! The text of `/metrics`, in Prometheus' form, from plain counters.

use crate::broker::Broker;
use server::{Handler, Server};
use std::fmt::Write as _;

struct Text(String);

impl Text {
    fn metric(&mut self, name: &str, kind: &str, help: &str, samples: &[(String, f64)]) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(self.0, "{name}{{{labels}}} {value}");
        }
    }

    fn counter(&mut self, name: &str, help: &str, core: u16, value: u64) {
        self.metric(name, "counter", help, &[(core_label(core), value as f64)]);
    }

    fn gauge(&mut self, name: &str, help: &str, core: u16, value: f64) {
        self.metric(name, "gauge", help, &[(core_label(core), value)]);
    }
}

fn core_label(core: u16) -> String {
    format!("core=\"{core}\"")
}

/// One snapshot.
pub(crate) fn text<H: Handler>(broker: &Broker, server: &Server<H>) -> String {
    let mut t = Text(String::new());
    let core = broker.rt.core().0;
    let requests: Vec<(String, f64)> = broker
        .counters
        .requests()
        .into_iter()
        .map(|(key, n)| (format!("core=\"{core}\",api=\"{}\"", key.name()), n as f64))
        .collect();
    t.metric("ringwood_kafka_requests_total", "counter", "Requests by API.", &requests);
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
    let s = server.counters();
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
        &closed,
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
    t.counter(
        "ringwood_store_cold_read_bytes_total",
        "Bytes read from segments.",
        core,
        store.cold_bytes,
    );
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
    let memory = broker.rt.memory();
    t.gauge("ringwood_memory_used_bytes", "Bytes of buffers in use.", core, memory.used() as f64);
    t.gauge("ringwood_memory_limit_bytes", "Budget for buffers.", core, memory.limit() as f64);
    t.counter(
        "ringwood_reactor_enters_total",
        "System calls of the reactor.",
        core,
        broker.rt.enters(),
    );
    t.gauge("ringwood_partitions", "Partitions led.", core, broker.shard.replicas().len() as f64);
    let sessions = broker.fetch_sessions.borrow().len();
    t.gauge("ringwood_fetch_sessions", "Incremental fetch sessions.", core, sessions as f64);
    let full = f64::from(u8::from(broker.shard.store.disk_full().is_some()));
    t.gauge("ringwood_disk_full", "1 while writes are refused for want of space.", core, full);
    t.0
}
