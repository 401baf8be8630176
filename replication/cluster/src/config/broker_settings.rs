//! The broker keys that the node acts on, typed.

use super::Layers;
use super::key::Value;

/// How the broker makes one of its own topics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InternalTopicSettings {
    /// How many partitions.
    pub partitions: i32,
    /// Replicas wanted; when the topic is created there are never more than registered brokers.
    pub replication_factor: i16,
    /// `segment.bytes`
    pub segment_bytes: u32,
    /// `min.insync.replicas`
    pub min_insync_replicas: u32,
}

/// What the cleaner of compacted logs may use (`log.cleaner.*`), all cores together.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CleanerSettings {
    /// `log.cleaner.enable`
    pub enabled: bool,
    /// `log.cleaner.backoff.ms`
    pub backoff_ms: i64,
    /// `log.cleaner.dedupe.buffer.size`
    pub dedupe_buffer_bytes: usize,
    /// `log.cleaner.io.max.bytes.per.second`
    pub io_max_bytes_per_second: f64,
}

impl CleanerSettings {
    fn read(layers: &Layers<'_>) -> Self {
        let rate = match layers.broker_value("log.cleaner.io.max.bytes.per.second") {
            Some(Value::Double(v)) => v,
            Some(_) | None => f64::MAX,
        };
        let bytes = integer(layers, "log.cleaner.dedupe.buffer.size");
        Self {
            enabled: layers.broker_value("log.cleaner.enable") == Some(Value::Boolean(true)),
            backoff_ms: integer(layers, "log.cleaner.backoff.ms"),
            dedupe_buffer_bytes: usize::try_from(bytes).unwrap_or(0),
            io_max_bytes_per_second: rate,
        }
    }
}

/// The effective values of the broker keys that are used, on one broker. Times are in milliseconds, sizes in bytes.
#[derive(Clone, PartialEq, Debug)]
pub struct BrokerSettings {
    /// `auto.create.topics.enable`
    pub auto_create_topics: bool,
    /// `broker.rack`
    pub rack: Option<String>,
    /// `log.cleaner.*`
    pub cleaner: CleanerSettings,
    /// `ringwood.scrub.bytes.per.second`, all cores together
    pub scrub_bytes_per_second: i64,
    /// `connections.max.idle.ms`
    pub connections_max_idle_ms: i64,
    /// `default.replication.factor`
    pub default_replication_factor: i16,
    /// `delete.topic.enable`
    pub delete_topics: bool,
    /// `fetch.max.bytes`
    pub fetch_max_bytes: u32,
    /// `group.consumer.assignment.interval.ms`
    pub group_consumer_assignment_interval_ms: u32,
    /// `group.consumer.heartbeat.interval.ms`
    pub group_consumer_heartbeat_interval_ms: u32,
    /// `group.consumer.max.size`
    pub group_consumer_max_size: u32,
    /// `group.consumer.session.timeout.ms`
    pub group_consumer_session_timeout_ms: u32,
    /// `group.initial.rebalance.delay.ms`
    pub group_initial_rebalance_delay_ms: u32,
    /// `group.max.session.timeout.ms`
    pub group_max_session_timeout_ms: u32,
    /// `group.max.size`
    pub group_max_size: u32,
    /// `group.min.session.timeout.ms`
    pub group_min_session_timeout_ms: u32,
    /// `max.connections`
    pub max_connections: u32,
    /// `max.connections.per.ip`
    pub max_connections_per_ip: u32,
    /// `max.incremental.fetch.session.cache.slots`
    pub fetch_session_slots: u32,
    /// `num.partitions`
    pub num_partitions: i32,
    /// `offset.metadata.max.bytes`
    pub offset_metadata_max_bytes: u32,
    /// `offsets.retention.check.interval.ms`
    pub offsets_retention_check_interval_ms: i64,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.topic.*`
    pub offsets_topic: InternalTopicSettings,
    /// `producer.id.expiration.ms`
    pub producer_id_expiration_ms: i64,
    /// `replica.lag.time.max.ms`
    pub replica_lag_time_max_ms: i64,
    /// `log.retention.check.interval.ms`
    pub retention_check_interval_ms: i64,
    /// `share.coordinator.state.topic.*`
    pub share_state_topic: InternalTopicSettings,
    /// `socket.request.max.bytes`
    pub socket_request_max_bytes: u32,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`
    pub transaction_abort_interval_ms: i64,
    /// `transaction.max.timeout.ms`
    pub transaction_max_timeout_ms: u32,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`
    pub transaction_expiry_interval_ms: i64,
    /// `transaction.state.log.*`
    pub transaction_topic: InternalTopicSettings,
    /// `transactional.id.expiration.ms`
    pub transactional_id_expiration_ms: i64,
}

impl BrokerSettings {
    /// Reads the values that count on the broker of `layers`.
    #[must_use]
    pub fn read(layers: &Layers<'_>) -> Self {
        let int = |name| integer(layers, name);
        let size = |name| u32::try_from(integer(layers, name)).unwrap_or(0);
        let topic = |partitions, factor, segment, min_insync| InternalTopicSettings {
            partitions: i32::try_from(integer(layers, partitions)).unwrap_or(1),
            replication_factor: i16::try_from(integer(layers, factor)).unwrap_or(1),
            segment_bytes: size(segment),
            min_insync_replicas: size(min_insync),
        };
        let boolean = |name| layers.broker_value(name) == Some(Value::Boolean(true));
        Self {
            auto_create_topics: boolean("auto.create.topics.enable"),
            rack: match layers.broker_value("broker.rack") {
                Some(Value::Text(rack)) if !rack.is_empty() => Some(rack),
                Some(_) | None => None,
            },
            cleaner: CleanerSettings::read(layers),
            scrub_bytes_per_second: int("ringwood.scrub.bytes.per.second"),
            connections_max_idle_ms: int("connections.max.idle.ms"),
            default_replication_factor: i16::try_from(int("default.replication.factor"))
                .unwrap_or(i16::MAX),
            delete_topics: boolean("delete.topic.enable"),
            fetch_max_bytes: size("fetch.max.bytes"),
            group_consumer_assignment_interval_ms: size("group.consumer.assignment.interval.ms"),
            group_consumer_heartbeat_interval_ms: size("group.consumer.heartbeat.interval.ms"),
            group_consumer_max_size: size("group.consumer.max.size"),
            group_consumer_session_timeout_ms: size("group.consumer.session.timeout.ms"),
            group_initial_rebalance_delay_ms: size("group.initial.rebalance.delay.ms"),
            group_max_session_timeout_ms: size("group.max.session.timeout.ms"),
            group_max_size: size("group.max.size"),
            group_min_session_timeout_ms: size("group.min.session.timeout.ms"),
            max_connections: size("max.connections"),
            max_connections_per_ip: size("max.connections.per.ip"),
            fetch_session_slots: size("max.incremental.fetch.session.cache.slots"),
            num_partitions: i32::try_from(int("num.partitions")).unwrap_or(1),
            offset_metadata_max_bytes: size("offset.metadata.max.bytes"),
            offsets_retention_check_interval_ms: int("offsets.retention.check.interval.ms"),
            offsets_retention_ms: int("offsets.retention.minutes").saturating_mul(60_000),
            offsets_topic: topic(
                "offsets.topic.num.partitions",
                "offsets.topic.replication.factor",
                "offsets.topic.segment.bytes",
                "min.insync.replicas",
            ),
            producer_id_expiration_ms: int("producer.id.expiration.ms"),
            replica_lag_time_max_ms: int("replica.lag.time.max.ms"),
            retention_check_interval_ms: int("log.retention.check.interval.ms"),
            share_state_topic: topic(
                "share.coordinator.state.topic.num.partitions",
                "share.coordinator.state.topic.replication.factor",
                "share.coordinator.state.topic.segment.bytes",
                "share.coordinator.state.topic.min.isr",
            ),
            socket_request_max_bytes: size("socket.request.max.bytes"),
            transaction_abort_interval_ms: int(
                "transaction.abort.timed.out.transaction.cleanup.interval.ms",
            ),
            transaction_max_timeout_ms: size("transaction.max.timeout.ms"),
            transaction_expiry_interval_ms: int(
                "transaction.remove.expired.transaction.cleanup.interval.ms",
            ),
            transaction_topic: topic(
                "transaction.state.log.num.partitions",
                "transaction.state.log.replication.factor",
                "transaction.state.log.segment.bytes",
                "transaction.state.log.min.isr",
            ),
            transactional_id_expiration_ms: int("transactional.id.expiration.ms"),
        }
    }
}

fn integer(layers: &Layers<'_>, name: &'static str) -> i64 {
    match layers.broker_value(name) {
        Some(Value::Integer(v)) => v,
        other => unreachable!("{name} is an integer with a default, not {other:?}"),
    }
}
