//! What every core counts: the same metrics in the same order on each, told apart by the label `core`.

use super::text::Text;
use crate::broker::Broker;

/// Labels and the value that they tell apart.
type Labelled = (Vec<(&'static str, String)>, f64);

/// One metric of one core.
pub(crate) struct Sample {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    /// Labels besides the core, and the value; several where the labels tell them apart.
    values: Vec<Labelled>,
}

/// What one core counted.
pub(crate) struct Counted {
    pub(crate) core: u16,
    samples: Vec<Sample>,
}

impl Counted {
    /// A metric's values with their labels; nothing if it has no such metric.
    pub(super) fn values(
        &self,
        name: &str,
    ) -> impl Iterator<Item = (&[(&'static str, String)], f64)> {
        let sample = self.samples.iter().find(|s| s.name == name);
        sample.into_iter().flat_map(|s| s.values.iter().map(|(labels, v)| (labels.as_slice(), *v)))
    }
}

#[derive(Default)]
struct Samples(Vec<Sample>);

impl Samples {
    fn labelled(
        &mut self,
        name: &'static str,
        kind: &'static str,
        help: &'static str,
        values: Vec<Labelled>,
    ) {
        self.0.push(Sample { name, kind, help, values });
    }

    fn counter(&mut self, name: &'static str, help: &'static str, value: u64) {
        self.labelled(name, "counter", help, vec![(Vec::new(), value as f64)]);
    }

    fn seconds(&mut self, name: &'static str, help: &'static str, value: std::time::Duration) {
        self.labelled(name, "counter", help, vec![(Vec::new(), value.as_secs_f64())]);
    }

    fn gauge(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.labelled(name, "gauge", help, vec![(Vec::new(), value)]);
    }
}

/// Adds what all cores counted.
pub(super) fn write(text: &mut Text, cores: &[Counted]) {
    let Some(first) = cores.first() else { return };
    for (at, sample) in first.samples.iter().enumerate() {
        text.family(sample.name, sample.kind, sample.help);
        for counted in cores {
            let core = counted.core.to_string();
            for (labels, value) in counted.samples.get(at).iter().flat_map(|s| &s.values) {
                let mut all: Vec<(&str, &str)> = vec![("core", &core)];
                all.extend(labels.iter().map(|(name, value)| (*name, value.as_str())));
                text.sample(&all, *value);
            }
        }
    }
}

fn cleaner(t: &mut Samples, broker: &Broker, store: &store::Counters) {
    t.counter("ringwood_cleaner_passes_total", "Passes of compaction.", store.compactions);
    t.counter(
        "ringwood_cleaner_read_bytes_total",
        "Bytes read by compaction.",
        store.compact_read_bytes,
    );
    t.counter(
        "ringwood_cleaner_written_bytes_total",
        "Bytes written by compaction.",
        store.compact_written_bytes,
    );
    t.counter(
        "ringwood_cleaner_dropped_records_total",
        "Records dropped by compaction.",
        store.compact_dropped_records,
    );
    let c = &broker.cleaner;
    t.counter(
        "ringwood_cleaner_looks_total",
        "How often the cleaner has looked at all its partitions.",
        c.looks(),
    );
    t.gauge(
        "ringwood_cleaner_due_partitions",
        "Partitions that were worth a pass when the cleaner last looked.",
        c.due() as f64,
    );
    t.gauge(
        "ringwood_cleaner_max_dirty_ratio",
        "Largest dirty share of a compacted partition.",
        c.max_dirty(),
    );
    t.gauge(
        "ringwood_cleaner_last_run_seconds",
        "How long the last pass of compaction took.",
        c.last_run_ms() as f64 / 1_000.0,
    );
    t.gauge(
        "ringwood_cleaner_longest_slice_seconds",
        "Longest time that compaction kept the core.",
        store.compact_slice_micros_max as f64 / 1e6,
    );
    t.gauge(
        "ringwood_cleaner_waiting_bytes",
        "Bytes of replaced segments whose files are still there.",
        broker.shard.store.replaced_bytes() as f64,
    );
    t.gauge(
        "ringwood_memory_cleaner_bytes",
        "Bytes of the key map of the pass that runs.",
        store.compact_map_bytes as f64,
    );
    t.gauge(
        "ringwood_cleaner_failed_partitions",
        "Partitions whose compaction failed and waits.",
        c.failed() as f64,
    );
}

fn cold_reads(t: &mut Samples, broker: &Broker, store: &store::Counters) {
    t.counter(
        "ringwood_store_cold_read_bytes_total",
        "Bytes read from segments.",
        store.cold_bytes,
    );
    t.counter("ringwood_store_cold_reads_total", "Reads from segments.", store.cold_reads);
    t.counter(
        "ringwood_store_read_ahead_bytes_total",
        "Bytes read from segments before they were asked for.",
        store.read_ahead_bytes,
    );
    t.counter(
        "ringwood_store_read_ahead_hits_total",
        "Reads served from what was read ahead.",
        store.read_ahead_hits,
    );
    t.counter(
        "ringwood_store_read_ahead_wasted_bytes_total",
        "Bytes read ahead that nobody got.",
        store.read_ahead_wasted_bytes,
    );
    let (used, limit) = broker.shard.store.cold_memory();
    t.gauge("ringwood_memory_cold_used_bytes", "Bytes of cold reads in use.", used as f64);
    t.gauge("ringwood_memory_cold_limit_bytes", "Budget for cold reads.", limit as f64);
}

fn scrub(t: &mut Samples, broker: &Broker, store: &store::Counters) {
    t.counter(
        "ringwood_scrub_read_bytes_total",
        "Bytes of sealed segments read again.",
        store.scrub_bytes,
    );
    let s = &broker.scrubber;
    t.counter("ringwood_scrub_rounds_total", "Rounds of the scrub.", s.rounds());
    t.gauge("ringwood_scrub_damaged_segments", "Damaged segments.", s.damaged() as f64);
}

/// What this core counts.
pub(crate) fn count(broker: &Broker) -> Counted {
    let mut t = Samples::default();
    let requests: Vec<Labelled> = broker
        .counters
        .requests()
        .into_iter()
        .map(|(key, n)| (vec![("api", key.name().to_owned())], n as f64))
        .collect();
    t.labelled("ringwood_kafka_requests_total", "counter", "Requests by API.", requests);
    let errors = broker.counters.errors().into_iter().map(|(key, code, n)| {
        let labels = vec![("api", key.name().to_owned()), ("error", code.name().to_owned())];
        (labels, n as f64)
    });
    t.labelled(
        "ringwood_kafka_request_errors_total",
        "counter",
        "Errors that answers said, by API and error.",
        errors.collect(),
    );
    let c = &broker.counters;
    t.counter("ringwood_kafka_records_produced_total", "Records taken.", c.records_in.get());
    t.counter("ringwood_kafka_produce_bytes_total", "Bytes of batches taken.", c.bytes_in.get());
    t.counter("ringwood_kafka_fetch_bytes_total", "Bytes of batches served.", c.bytes_out.get());
    let s = broker.server.borrow().as_ref().map(server::Server::counters).unwrap_or_default();
    t.gauge("ringwood_connections", "Open connections.", s.open as f64);
    t.counter("ringwood_connections_accepted_total", "Connections accepted.", s.accepted);
    t.counter("ringwood_connections_refused_total", "Connections over the limit.", s.refused_total);
    let closed: Vec<Labelled> = s
        .closed
        .iter()
        .map(|(reason, n)| (vec![("reason", (*reason).to_owned())], *n as f64))
        .collect();
    t.labelled(
        "ringwood_connections_closed_total",
        "counter",
        "Connections closed, by reason.",
        closed,
    );
    t.gauge("ringwood_requests_in_flight", "Requests in progress.", s.in_flight as f64);
    t.counter("ringwood_network_receive_bytes_total", "Bytes received.", s.bytes_in);
    t.counter(
        "ringwood_network_copied_bytes_total",
        "Received bytes that were copied before they were a request.",
        s.copied + broker.rt.counters().receives_copied,
    );
    t.counter("ringwood_network_send_bytes_total", "Bytes sent.", s.bytes_out);
    let (store, journal) = broker.shard.store.counters();
    t.counter("ringwood_journal_commits_total", "Commits written.", journal.commits);
    t.counter("ringwood_journal_flushes_total", "Flushes of the ring.", journal.flushes);
    t.counter(
        "ringwood_journal_linked_flushes_total",
        "Flushes that the kernel began behind their write.",
        journal.linked_flushes,
    );
    t.counter("ringwood_journal_bytes_total", "Bytes written to the ring.", journal.bytes);
    t.counter("ringwood_journal_records_total", "Records in commits.", journal.records);
    t.counter("ringwood_journal_wraps_total", "Laps of the ring.", journal.wraps);
    let (used, size) = broker.shard.store.ring_bytes();
    t.gauge("ringwood_journal_used_bytes", "Bytes of the ring in use.", used as f64);
    t.gauge("ringwood_journal_size_bytes", "Bytes of the ring.", size as f64);
    t.counter("ringwood_store_checkpoints_total", "Checkpoints.", store.checkpoints);
    t.counter(
        "ringwood_store_segment_bytes_total",
        "Bytes written to segments.",
        store.segment_bytes,
    );
    t.counter("ringwood_store_segment_writes_total", "Writes to segments.", store.segment_writes);
    t.counter(
        "ringwood_store_rest_bytes_total",
        "Bytes written to the rest log.",
        store.rest_bytes,
    );
    t.counter(
        "ringwood_store_manifest_bytes_total",
        "Bytes written to the manifest.",
        store.manifest_bytes,
    );
    t.counter("ringwood_store_syncs_total", "Segment files synced.", store.syncs);
    cold_reads(&mut t, broker, &store);
    t.counter(
        "ringwood_store_tail_copied_bytes_total",
        "Bytes copied into tails.",
        store.tail_copied,
    );
    t.counter(
        "ringwood_store_commit_copied_bytes_total",
        "Bytes copied into commits.",
        store.commit_copied,
    );
    cleaner(&mut t, broker, &store);
    scrub(&mut t, broker, &store);
    let memory = broker.rt.memory();
    t.gauge("ringwood_memory_used_bytes", "Bytes of buffers in use.", memory.used() as f64);
    t.gauge("ringwood_memory_limit_bytes", "Budget for buffers.", memory.limit() as f64);
    t.counter("ringwood_reactor_enters_total", "System calls of the reactor.", broker.rt.enters());
    let delays = broker.rt.delays();
    t.counter(
        "ringwood_reactor_long_turns_total",
        "Turns of the reactor of a millisecond or more.",
        delays.long_turns,
    );
    t.seconds(
        "ringwood_reactor_long_turns_seconds_total",
        "Time of the reactor's long turns.",
        delays.long_turns_took,
    );
    t.seconds(
        "ringwood_reactor_waited_seconds_total",
        "Time in which the reactor could have run and others had the processor.",
        delays.waited.unwrap_or_default(),
    );
    let reactor = broker.rt.counters();
    t.counter(
        "ringwood_reactor_submissions_total",
        "Entries handed to io_uring.",
        reactor.submissions,
    );
    t.counter(
        "ringwood_reactor_completions_total",
        "Completions taken from io_uring.",
        reactor.completions,
    );
    let sent = broker.post.sent();
    let by_class =
        [("control", sent.control), ("data", sent.data), ("background", sent.background)];
    let by_class = by_class
        .iter()
        .map(|(class, n)| (vec![("class", (*class).to_owned())], *n as f64))
        .collect();
    t.labelled(
        "ringwood_core_messages_total",
        "counter",
        "Messages to other cores, by class.",
        by_class,
    );
    t.gauge("ringwood_partitions", "Partitions led.", broker.shard.count() as f64);
    let sessions = broker.fetch_sessions.borrow().len();
    t.gauge("ringwood_fetch_sessions", "Incremental fetch sessions.", sessions as f64);
    t.gauge("ringwood_groups", "Consumer groups.", broker.groups.count() as f64);
    let full = f64::from(u8::from(broker.shard.store.disk_full().is_some()));
    t.gauge("ringwood_disk_full", "1 while writes are refused for want of space.", full);
    Counted { core: broker.rt.core().0, samples: t.0 }
}
