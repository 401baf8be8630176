//! The broker keys: those that this broker acts on, and (in `inert`) all others that Kafka ever had.
//!
//! Whether a key is used is a promise to the operator: a key moves out of `inert` in the same change that makes the broker
//! act on it.

mod inert;

use super::key::{Check, Key, Synonym, Update, ValueType};
use Check::{Any, AtLeast, Between, BetweenOr, ListOf, OneOf, OneOfAnyCase, Ratio};
use Update::{ClusterWide, PerBroker, ReadOnly};
use ValueType::{Boolean, Double, Int, List, Long, Short, String as Text};

pub use inert::INERT_BROKER_KEYS;

const fn same(name: &'static str) -> Synonym {
    Synonym { name, scale: 1 }
}

const NODE: &[Synonym] = &[same("node.id"), same("broker.id")];
const LONG_MAX: &str = "9223372036854775807";
const INT_MAX: &str = "2147483647";

const fn key(
    name: &'static str,
    kind: ValueType,
    default: Option<&'static str>,
    check: Check,
    update: Update,
    doc: &'static str,
) -> Key {
    Key::new(name, kind, default, check, doc).update(update)
}

/// A broker key by name, used or not.
#[must_use]
pub fn broker_key(name: &str) -> Option<&'static Key> {
    let find =
        |keys: &'static [Key]| keys.binary_search_by(|k| k.name.cmp(name)).ok().map(|i| &keys[i]);
    find(BROKER_KEYS).or_else(|| find(INERT_BROKER_KEYS))
}

/// All broker keys, by name.
#[must_use]
pub fn all_broker_keys() -> Vec<&'static Key> {
    let mut all: Vec<_> = BROKER_KEYS.iter().chain(INERT_BROKER_KEYS).collect();
    all.sort_by_key(|k| k.name);
    all
}

/// Keys that belong to a plug-in, a listener or a config provider and whose names nobody can list: known by their
/// beginning, and inert.
const FAMILIES: &[&str] = &[
    "config.providers.",
    "listener.name.",
    "metrics.jmx.",
    "remote.log.metadata.",
    "rlmm.config.",
    "rsm.config.",
];

/// Whether a broker key without an entry of its own belongs to a known family.
#[must_use]
pub fn is_of_a_family(name: &str) -> bool {
    FAMILIES.iter().any(|f| name.len() > f.len() && name.starts_with(f))
}

/// Whether a key that is not in the tables carries a secret by its name, so that its value is never shown.
#[must_use]
pub fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "secret", "jaas.config", "passphrase", ".key"].iter().any(|s| name.contains(s))
}

/// The broker keys that this broker acts on, by name.
pub static BROKER_KEYS: &[Key] = &[
    key(
        "advertised.listeners",
        List,
        None,
        Any,
        ReadOnly,
        "Where clients are told to connect, for each listener.",
    ),
    key(
        "auto.create.topics.enable",
        Boolean,
        Some("true"),
        Any,
        ReadOnly,
        "Whether asking for the metadata of an unknown topic creates it, where the client allows it.",
    ),
    key(
        "broker.id",
        Int,
        Some("-1"),
        AtLeast(-1),
        ReadOnly,
        "This broker's id, the older name of node.id.",
    ),
    key(
        "broker.rack",
        Text,
        None,
        Any,
        ReadOnly,
        "This broker's failure domain, as clients see it.",
    ),
    key(
        "compression.gzip.level",
        Int,
        Some("-1"),
        BetweenOr(1, 9, -1),
        ClusterWide,
        "Effort of gzip for topics that set none.",
    ),
    key(
        "compression.lz4.level",
        Int,
        Some("9"),
        Between(1, 17),
        ClusterWide,
        "Effort of lz4 for topics that set none.",
    ),
    key(
        "compression.type",
        Text,
        Some("producer"),
        OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        ClusterWide,
        "Codec of stored batches for topics that set none.",
    ),
    key(
        "compression.zstd.level",
        Int,
        Some("3"),
        Between(-131_072, 22),
        ClusterWide,
        "Effort of zstd for topics that set none.",
    ),
    key(
        "connections.max.idle.ms",
        Long,
        Some("600000"),
        Any,
        ReadOnly,
        "A connection that is idle for longer is closed.",
    ),
    key(
        "default.replication.factor",
        Int,
        Some("1"),
        AtLeast(1),
        ReadOnly,
        "Replicas of a topic that is created without saying how many.",
    ),
    key(
        "delete.topic.enable",
        Boolean,
        Some("true"),
        Any,
        ReadOnly,
        "Whether topics can be deleted.",
    ),
    key(
        "fetch.max.bytes",
        Int,
        Some("57671680"),
        AtLeast(1024),
        ReadOnly,
        "The most bytes that one fetch answer carries.",
    ),
    key(
        "group.consumer.assignment.interval.ms",
        Int,
        Some("1000"),
        AtLeast(0),
        ClusterWide,
        "The shortest time between two assignments of a consumer-protocol group.",
    ),
    key(
        "group.consumer.assignors",
        List,
        Some("uniform,range"),
        Any,
        ReadOnly,
        "Assignors of the consumer protocol, the first is the default.",
    ),
    key(
        "group.consumer.heartbeat.interval.ms",
        Int,
        Some("5000"),
        AtLeast(1),
        ReadOnly,
        "How often members of the consumer protocol report.",
    ),
    key(
        "group.consumer.max.assignment.interval.ms",
        Int,
        Some("15000"),
        AtLeast(0),
        ReadOnly,
        "The highest assignment interval that a group may set.",
    ),
    key(
        "group.consumer.max.heartbeat.interval.ms",
        Int,
        Some("15000"),
        AtLeast(1),
        ReadOnly,
        "The highest heartbeat interval that a group may set.",
    ),
    key(
        "group.consumer.max.session.timeout.ms",
        Int,
        Some("60000"),
        AtLeast(1),
        ReadOnly,
        "The highest session timeout that a group may set.",
    ),
    key(
        "group.consumer.max.size",
        Int,
        Some(INT_MAX),
        AtLeast(1),
        ReadOnly,
        "The most members of a consumer-protocol group.",
    ),
    key(
        "group.consumer.migration.policy",
        Text,
        Some("bidirectional"),
        OneOfAnyCase(&["bidirectional", "upgrade", "downgrade", "disabled"]),
        ReadOnly,
        "Which way groups change their protocol while they have members.",
    ),
    key(
        "group.consumer.min.assignment.interval.ms",
        Int,
        Some("0"),
        AtLeast(0),
        ReadOnly,
        "The lowest assignment interval that a group may set.",
    ),
    key(
        "group.consumer.min.heartbeat.interval.ms",
        Int,
        Some("5000"),
        AtLeast(1),
        ReadOnly,
        "The lowest heartbeat interval that a group may set.",
    ),
    key(
        "group.consumer.min.session.timeout.ms",
        Int,
        Some("45000"),
        AtLeast(1),
        ReadOnly,
        "The lowest session timeout that a group may set.",
    ),
    key(
        "group.consumer.session.timeout.ms",
        Int,
        Some("45000"),
        AtLeast(1),
        ReadOnly,
        "A member of the consumer protocol that is silent for longer is removed.",
    ),
    key(
        "group.initial.rebalance.delay.ms",
        Int,
        Some("3000"),
        AtLeast(0),
        ReadOnly,
        "How long an empty group waits for more members before its first rebalance.",
    ),
    key(
        "group.max.session.timeout.ms",
        Int,
        Some("1800000"),
        AtLeast(0),
        ReadOnly,
        "The longest session timeout that a classic member may ask for.",
    ),
    key(
        "group.max.size",
        Int,
        Some(INT_MAX),
        AtLeast(1),
        ReadOnly,
        "The most members of a classic group.",
    ),
    key(
        "group.min.session.timeout.ms",
        Int,
        Some("6000"),
        AtLeast(0),
        ReadOnly,
        "The shortest session timeout that a classic member may ask for.",
    ),
    key(
        "listener.security.protocol.map",
        Text,
        Some("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"),
        Any,
        PerBroker,
        "The security protocol of each listener name.",
    ),
    key(
        "listeners",
        List,
        None,
        Any,
        PerBroker,
        "What the broker listens on: name://host:port, separated by commas.",
    ),
    key(
        "log.cleaner.backoff.ms",
        Long,
        Some("15000"),
        AtLeast(0),
        ClusterWide,
        "How long the cleaner sleeps, in milliseconds, when no log is due for compaction.",
    ),
    key(
        "log.cleaner.dedupe.buffer.size",
        Long,
        Some("134217728"),
        AtLeast(1048576),
        ClusterWide,
        "Memory for the key maps of compaction, all cores together, in bytes; 24 bytes a key. More keys take more passes.",
    ),
    key(
        "log.cleaner.delete.retention.ms",
        Long,
        Some("86400000"),
        AtLeast(0),
        ClusterWide,
        "Default of delete.retention.ms.",
    ),
    key("log.cleaner.enable", Boolean, Some("true"), Any, ReadOnly, "Whether logs are compacted."),
    key(
        "log.cleaner.io.max.bytes.per.second",
        Double,
        Some("1.7976931348623157E308"),
        Any,
        ClusterWide,
        "Bytes that compaction reads and writes in a second, all cores together.",
    ),
    key(
        "log.cleaner.max.compaction.lag.ms",
        Long,
        Some(LONG_MAX),
        AtLeast(1),
        ClusterWide,
        "Default of max.compaction.lag.ms.",
    ),
    key(
        "log.cleaner.min.cleanable.ratio",
        Double,
        Some("0.5"),
        Ratio(0.0, 1.0),
        ClusterWide,
        "Default of min.cleanable.dirty.ratio.",
    ),
    key(
        "log.cleaner.min.compaction.lag.ms",
        Long,
        Some("0"),
        AtLeast(0),
        ClusterWide,
        "Default of min.compaction.lag.ms.",
    ),
    key(
        "log.cleanup.policy",
        List,
        Some("delete"),
        ListOf(&["compact", "delete"]),
        ClusterWide,
        "Default of cleanup.policy.",
    ),
    key("log.dir", List, None, Any, ReadOnly, "The directory of the data."),
    key("log.dirs", List, None, Any, ReadOnly, "The directory of the data; one is taken."),
    key(
        "log.flush.interval.messages",
        Long,
        Some(LONG_MAX),
        AtLeast(1),
        ClusterWide,
        "Default of flush.messages.",
    ),
    key("log.flush.interval.ms", Long, None, AtLeast(0), ClusterWide, "Default of flush.ms."),
    key(
        "log.flush.scheduler.interval.ms",
        Long,
        Some(LONG_MAX),
        AtLeast(0),
        ReadOnly,
        "Default of flush.ms where log.flush.interval.ms is not set.",
    ),
    key(
        "log.index.interval.bytes",
        Int,
        Some("4096"),
        AtLeast(0),
        ClusterWide,
        "Default of index.interval.bytes.",
    ),
    key(
        "log.index.size.max.bytes",
        Int,
        Some("10485760"),
        AtLeast(4),
        ClusterWide,
        "Default of segment.index.bytes.",
    ),
    key(
        "log.message.timestamp.after.max.ms",
        Long,
        Some("3600000"),
        AtLeast(0),
        ClusterWide,
        "Default of message.timestamp.after.max.ms.",
    ),
    key(
        "log.message.timestamp.before.max.ms",
        Long,
        Some(LONG_MAX),
        AtLeast(0),
        ClusterWide,
        "Default of message.timestamp.before.max.ms.",
    ),
    key(
        "log.message.timestamp.type",
        Text,
        Some("CreateTime"),
        OneOf(&["CreateTime", "LogAppendTime"]),
        ClusterWide,
        "Default of message.timestamp.type.",
    ),
    key("log.retention.bytes", Long, Some("-1"), Any, ClusterWide, "Default of retention.bytes."),
    key(
        "log.retention.check.interval.ms",
        Long,
        Some("300000"),
        AtLeast(1),
        ReadOnly,
        "How often the broker looks for segments to drop.",
    ),
    key(
        "log.retention.hours",
        Int,
        Some("168"),
        BetweenOr(1, 2_147_483_647, -1),
        ReadOnly,
        "Default of retention.ms, in hours.",
    ),
    key(
        "log.retention.minutes",
        Int,
        None,
        BetweenOr(1, 2_147_483_647, -1),
        ReadOnly,
        "Default of retention.ms, in minutes.",
    ),
    key(
        "log.retention.ms",
        Long,
        None,
        BetweenOr(1, i64::MAX, -1),
        ClusterWide,
        "Default of retention.ms.",
    ),
    key(
        "log.roll.hours",
        Int,
        Some("168"),
        AtLeast(1),
        ReadOnly,
        "Default of segment.ms, in hours.",
    ),
    key(
        "log.roll.jitter.hours",
        Int,
        Some("0"),
        AtLeast(0),
        ReadOnly,
        "Default of segment.jitter.ms, in hours.",
    ),
    key("log.roll.jitter.ms", Long, None, AtLeast(0), ClusterWide, "Default of segment.jitter.ms."),
    key("log.roll.ms", Long, None, AtLeast(1), ClusterWide, "Default of segment.ms."),
    key(
        "log.segment.bytes",
        Int,
        Some("1073741824"),
        AtLeast(1_048_576),
        ClusterWide,
        "Default of segment.bytes.",
    ),
    key(
        "log.segment.delete.delay.ms",
        Long,
        Some("60000"),
        AtLeast(0),
        ClusterWide,
        "Default of file.delete.delay.ms.",
    ),
    key(
        "max.connections",
        Int,
        Some(INT_MAX),
        AtLeast(0),
        ClusterWide,
        "The most connections of this broker.",
    ),
    key(
        "max.connections.per.ip",
        Int,
        Some(INT_MAX),
        AtLeast(0),
        ClusterWide,
        "The most connections from one address.",
    ),
    key(
        "max.incremental.fetch.session.cache.slots",
        Int,
        Some("1000"),
        AtLeast(0),
        ReadOnly,
        "The most incremental fetch sessions.",
    ),
    key(
        "message.max.bytes",
        Int,
        Some("1048588"),
        AtLeast(0),
        ClusterWide,
        "Default of max.message.bytes.",
    ),
    key(
        "min.insync.replicas",
        Int,
        Some("1"),
        AtLeast(1),
        ClusterWide,
        "Default of the topic key of the same name.",
    ),
    key("node.id", Int, Some("-1"), AtLeast(-1), ReadOnly, "This broker's id.").like(NODE),
    key(
        "num.partitions",
        Int,
        Some("1"),
        AtLeast(1),
        ReadOnly,
        "Partitions of a topic that is created without saying how many.",
    ),
    key(
        "offset.metadata.max.bytes",
        Int,
        Some("4096"),
        AtLeast(0),
        ReadOnly,
        "The longest text that a client may store with a committed offset.",
    ),
    key(
        "offsets.retention.check.interval.ms",
        Long,
        Some("600000"),
        AtLeast(1),
        ReadOnly,
        "How often the broker looks for expired offsets.",
    ),
    key(
        "offsets.retention.minutes",
        Int,
        Some("10080"),
        AtLeast(1),
        ReadOnly,
        "How long the offsets of an empty group are kept.",
    ),
    key(
        "offsets.topic.num.partitions",
        Int,
        Some("50"),
        AtLeast(1),
        ReadOnly,
        "Partitions of the topic of committed offsets.",
    ),
    key(
        "offsets.topic.replication.factor",
        Short,
        Some("3"),
        AtLeast(1),
        ReadOnly,
        "Replicas of the topic of committed offsets; never more than there are brokers when it is created.",
    ),
    key(
        "offsets.topic.segment.bytes",
        Int,
        Some("104857600"),
        AtLeast(1),
        ReadOnly,
        "Segment size of the topic of committed offsets.",
    ),
    key(
        "producer.id.expiration.ms",
        Int,
        Some("86400000"),
        AtLeast(1),
        ClusterWide,
        "How long a partition remembers a silent producer.",
    ),
    key(
        "replica.lag.time.max.ms",
        Long,
        Some("30000"),
        AtLeast(1),
        ReadOnly,
        "A follower that has not caught up for longer leaves the in-sync set.",
    ),
    key(
        "ringwood.durability",
        Text,
        Some("fsync"),
        OneOf(&["fsync", "written"]),
        ClusterWide,
        "Default of the topic key of the same name.",
    ),
    key(
        "ringwood.scrub.bytes.per.second",
        Long,
        Some("524288"),
        AtLeast(0),
        ClusterWide,
        "Bytes of sealed segments that are read again in a second, all cores together, to find damage before a reader does; 0 for none.",
    ),
    key(
        "share.coordinator.state.topic.min.isr",
        Short,
        Some("2"),
        AtLeast(1),
        ReadOnly,
        "min.insync.replicas of the topic of share group state; never more than it has replicas.",
    ),
    key(
        "share.coordinator.state.topic.num.partitions",
        Int,
        Some("50"),
        AtLeast(1),
        ReadOnly,
        "Partitions of the topic of share group state.",
    ),
    key(
        "share.coordinator.state.topic.replication.factor",
        Short,
        Some("3"),
        AtLeast(1),
        ReadOnly,
        "Replicas of the topic of share group state; never more than there are brokers when it is created.",
    ),
    key(
        "share.coordinator.state.topic.segment.bytes",
        Int,
        Some("104857600"),
        AtLeast(1),
        ReadOnly,
        "Segment size of the topic of share group state.",
    ),
    key(
        "socket.request.max.bytes",
        Int,
        Some("104857600"),
        AtLeast(1),
        ReadOnly,
        "A request that announces more bytes closes its connection.",
    ),
    key(
        "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        Int,
        Some("10000"),
        AtLeast(1),
        ReadOnly,
        "How often the broker looks for transactions that ran out of time.",
    ),
    key(
        "transaction.max.timeout.ms",
        Int,
        Some("900000"),
        AtLeast(1),
        ReadOnly,
        "The longest transaction timeout that a producer may ask for.",
    ),
    key(
        "transaction.remove.expired.transaction.cleanup.interval.ms",
        Int,
        Some("3600000"),
        AtLeast(1),
        ReadOnly,
        "How often the broker looks for expired transactional ids.",
    ),
    key(
        "transaction.state.log.min.isr",
        Int,
        Some("2"),
        AtLeast(1),
        ReadOnly,
        "min.insync.replicas of the topic of transaction state; never more than it has replicas.",
    ),
    key(
        "transaction.state.log.num.partitions",
        Int,
        Some("50"),
        AtLeast(1),
        ReadOnly,
        "Partitions of the topic of transaction state.",
    ),
    key(
        "transaction.state.log.replication.factor",
        Short,
        Some("3"),
        AtLeast(1),
        ReadOnly,
        "Replicas of the topic of transaction state; never more than there are brokers when it is created.",
    ),
    key(
        "transaction.state.log.segment.bytes",
        Int,
        Some("104857600"),
        AtLeast(1),
        ReadOnly,
        "Segment size of the topic of transaction state.",
    ),
    key(
        "transactional.id.expiration.ms",
        Int,
        Some("604800000"),
        AtLeast(1),
        ReadOnly,
        "How long an idle transactional id is remembered.",
    ),
    key(
        "unclean.leader.election.enable",
        Boolean,
        Some("false"),
        Any,
        ClusterWide,
        "Default of the topic key of the same name.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Effect;

    #[test]
    fn the_tables_are_sorted_disjoint_and_their_defaults_are_legal() {
        for (keys, effect) in [(BROKER_KEYS, Effect::Used), (INERT_BROKER_KEYS, Effect::Inert)] {
            for pair in keys.windows(2) {
                assert!(pair[0].name < pair[1].name, "{} {}", pair[0].name, pair[1].name);
            }
            for key in keys {
                assert_eq!(key.effect, effect, "{}", key.name);
                if let Some(default) = key.default {
                    assert_eq!(key.parse(default).unwrap().to_string(), default, "{}", key.name);
                }
                assert_eq!(key.doc.is_empty(), effect == Effect::Inert, "{}", key.name);
            }
        }
        assert!(BROKER_KEYS.iter().all(|u| INERT_BROKER_KEYS.iter().all(|i| i.name != u.name)));
    }

    #[test]
    fn a_synonym_of_a_broker_key_is_a_broker_key() {
        for key in BROKER_KEYS {
            assert!(key.synonyms.iter().all(|s| broker_key(s.name).is_some()), "{}", key.name);
        }
    }

    #[test]
    fn families_and_secrets() {
        assert!(is_of_a_family("listener.name.internal.ssl.keystore.password"));
        assert!(!is_of_a_family("listener.name."));
        assert!(looks_secret("listener.name.internal.ssl.keystore.password"));
        assert!(looks_secret("listener.name.x.plain.sasl.jaas.config"));
        assert!(!looks_secret("listener.name.internal.ssl.client.auth"));
    }
}
