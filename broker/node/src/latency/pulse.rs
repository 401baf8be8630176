//! What one core hands over once a second.

use crate::api;
use crate::broker::Broker;
use ids::{CoreId, PartitionId};
use stages::{Series, Stage, Times};
use std::net::SocketAddr;
use std::time::Duration;

/// Partitions that are told of one core.
const BUSIEST: usize = 8;

/// One core's second.
pub(crate) struct Pulse {
    pub(crate) core: u16,
    pub(crate) series: Vec<Series>,
    pub(crate) slow: Vec<Slow>,
    pub(crate) busy: Vec<Busy>,
    pub(crate) gauges: Gauges,
}

/// One second of all cores.
pub(crate) struct Beat {
    /// Milliseconds since 1970.
    pub(crate) ended_ms: u64,
    pub(crate) length_ms: u64,
    pub(crate) pulses: Vec<Pulse>,
}

/// A request that was among the slowest of its second.
#[derive(Clone)]
pub(crate) struct Slow {
    pub(crate) api: &'static str,
    pub(crate) core: u16,
    /// When its answer had left, milliseconds since 1970.
    pub(crate) ended_ms: u64,
    pub(crate) times: Times,
    pub(crate) peer: SocketAddr,
    pub(crate) partition: Option<(String, i32, CoreId)>,
    /// What kept its core from its work in the second in which it ended.
    pub(crate) kept: Kept,
}

/// What kept a core from its work in one second.
#[derive(Clone, Copy, Default)]
pub(crate) struct Kept {
    /// Its thread could have run, and others had the processor.
    pub(crate) waited_nanos: u64,
    /// The longest turn of its loop.
    pub(crate) turn_nanos: u64,
}

/// A partition and what went through it in this second.
#[derive(Clone)]
pub(crate) struct Busy {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) records_in: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

/// What a core is doing, and what it has done since its start.
#[derive(Clone, Copy, Default)]
pub(crate) struct Gauges {
    pub(crate) busy_nanos: u64,
    /// In line for a processor.
    pub(crate) waited_nanos: u64,
    /// The longest turn since the last pulse.
    pub(crate) turn_nanos: u64,
    pub(crate) requests: u64,
    pub(crate) commits: u64,
    pub(crate) flushes: u64,
    pub(crate) journal_bytes: u64,
    pub(crate) journal_records: u64,
    pub(crate) messages: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) connections: u64,
    pub(crate) in_flight: u64,
    pub(crate) partitions: u64,
    pub(crate) queued_bytes: u64,
    pub(crate) ring_used: u64,
    pub(crate) ring_size: u64,
    pub(crate) memory_used: u64,
    pub(crate) memory_limit: u64,
}

/// Takes what this core has counted since it was last asked.
pub(crate) fn pulse(broker: &Broker) -> Pulse {
    let interval = broker.recorder.borrow_mut().drain();
    let (now, wall) = (broker.rt.now(), u64::try_from(broker.rt.wall().0).unwrap_or(0));
    let slow = interval.worst.into_iter().map(|w| {
        let ago = u64::try_from(now.since(w.ended).as_millis()).unwrap_or(0);
        Slow {
            api: api::api_at(w.times.api()).map_or("", wire::api::ApiKey::name),
            core: broker.rt.core().0,
            ended_ms: wall.saturating_sub(ago),
            partition: w.times.partition().map(|id| named(broker, id)),
            times: w.times,
            peer: w.peer,
            kept: Kept::default(),
        }
    });
    let slow = slow.collect();
    let busy = broker.shard.busiest(BUSIEST);
    Pulse {
        core: broker.rt.core().0,
        series: interval.series,
        slow,
        busy: busy
            .iter()
            .map(|(replica, traffic)| Busy {
                topic: replica.topic.to_string(),
                partition: replica.id.index.0,
                records_in: traffic.records_in,
                bytes_in: traffic.bytes_in,
                bytes_out: traffic.bytes_out,
            })
            .collect(),
        gauges: gauges(broker),
    }
}

/// A deleted topic has only its id left.
pub(super) fn named(broker: &Broker, id: PartitionId) -> (String, i32, CoreId) {
    let image = broker.metadata.image();
    let name = image.topic(id.topic).map_or_else(|| id.topic.to_string(), |t| t.name.to_string());
    (name, id.index.0, broker.owner(id))
}

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

fn gauges(broker: &Broker) -> Gauges {
    let server = broker.server.borrow().as_ref().map(server::Server::counters).unwrap_or_default();
    let (_, journal) = broker.shard.store.counters();
    let (ring_used, ring_size) = broker.shard.store.ring_bytes();
    let sent = broker.post.sent();
    let memory = broker.rt.memory();
    Gauges {
        busy_nanos: nanos(broker.rt.counters().busy),
        waited_nanos: nanos(broker.rt.delays().waited.unwrap_or_default()),
        turn_nanos: nanos(broker.rt.take_longest_turn()),
        requests: server.requests,
        commits: journal.commits,
        flushes: journal.flushes,
        journal_bytes: journal.bytes,
        journal_records: journal.records,
        messages: sent.control + sent.data + sent.background,
        bytes_in: server.bytes_in,
        bytes_out: server.bytes_out,
        connections: server.open as u64,
        in_flight: server.in_flight as u64,
        partitions: broker.shard.count() as u64,
        queued_bytes: broker.shard.store.queued_bytes() as u64,
        ring_used,
        ring_size,
        memory_used: memory.used() as u64,
        memory_limit: memory.limit() as u64,
    }
}

impl Slow {
    /// Stage and nanoseconds, in the order in which the request met them.
    pub(crate) fn stages(&self) -> impl Iterator<Item = (Stage, u64)> + '_ {
        let nanos = |stage| u64::from(self.times.ticks(stage)) * stages::TICK_NANOS;
        self.times.stages().map(move |stage| (stage, nanos(stage)))
    }
}
