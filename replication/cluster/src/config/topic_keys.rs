//! The topic keys of Kafka 4.3, and ours.
//!
//! All are accepted and stored even where nothing depends on them here: Streams, Connect, Terraform and Flink set them
//! when they create topics, and a refusal kills the application.

use super::key::{Check, Key, Synonym, ValueType};
use Check::{Any, AtLeast, Between, BetweenOr, ListOf, NotTrue, OneOf, Ratio, ThrottledReplicas};
use ValueType::{Boolean, Double, Int, List, Long, String as Text};

/// Ours: when a record counts as acknowledged. `fsync` or `written`.
pub const DURABILITY: &str = "ringwood.durability";

const fn same(name: &'static str) -> Synonym {
    Synonym { name, scale: 1 }
}
const fn minutes(name: &'static str) -> Synonym {
    Synonym { name, scale: 60_000 }
}
const fn hours(name: &'static str) -> Synonym {
    Synonym { name, scale: 3_600_000 }
}

const LONG_MAX: &str = "9223372036854775807";

/// Every topic key, by name.
pub static TOPIC_KEYS: &[Key] = &[
    Key::new("cleanup.policy", List, Some("delete"), ListOf(&["compact", "delete"]),
        "What happens to old records: delete drops whole segments by age and size, compact keeps the newest record of each key; both may be named, or neither to keep everything.")
        .like(&[same("log.cleanup.policy")]),
    Key::new("compression.gzip.level", Int, Some("-1"), BetweenOr(1, 9, -1),
        "Effort of gzip where the broker compresses; -1 is the codec's own default.")
        .like(&[same("compression.gzip.level")]),
    Key::new("compression.lz4.level", Int, Some("9"), Between(1, 17),
        "Effort of lz4 where the broker compresses.")
        .like(&[same("compression.lz4.level")]),
    Key::new("compression.type", Text, Some("producer"),
        OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        "Codec of stored batches; producer keeps the bytes as the producer sent them.")
        .like(&[same("compression.type")]),
    Key::new("compression.zstd.level", Int, Some("3"), Between(-131_072, 22),
        "Effort of zstd where the broker compresses.")
        .like(&[same("compression.zstd.level")]),
    Key::new("delete.retention.ms", Long, Some("86400000"), AtLeast(0),
        "How long a compacted topic keeps a tombstone after it was first compacted.")
        .like(&[same("log.cleaner.delete.retention.ms")]),
    Key::new("file.delete.delay.ms", Long, Some("60000"), AtLeast(0),
        "How long a dropped segment's files stay before they are unlinked.")
        .like(&[same("log.segment.delete.delay.ms")]),
    Key::new("flush.messages", Long, Some(LONG_MAX), AtLeast(1),
        "Flush after this many records; 1 makes the topic fsync whatever ringwood.durability says, and no value lowers it.")
        .like(&[same("log.flush.interval.messages")]),
    Key::new("flush.ms", Long, Some(LONG_MAX), AtLeast(0),
        "On a topic with ringwood.durability=written: the longest time between flushes, 1 s unless set.")
        .like(&[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")]),
    Key::new("follower.replication.throttled.replicas", List, Some(""), ThrottledReplicas,
        "Replicas whose fetching is throttled on the follower's side.").inert(),
    Key::new("index.interval.bytes", Int, Some("4096"), AtLeast(0),
        "About how many bytes lie between two entries of the offset index.")
        .like(&[same("log.index.interval.bytes")]),
    Key::new("leader.replication.throttled.replicas", List, Some(""), ThrottledReplicas,
        "Replicas whose fetching is throttled on the leader's side.").inert(),
    Key::new("local.retention.bytes", Long, Some("-2"), AtLeast(-2),
        "Bytes kept on local disks of a tiered topic; -2 means retention.bytes.").inert()
        .like(&[same("log.local.retention.bytes")]),
    Key::new("local.retention.ms", Long, Some("-2"), AtLeast(-2),
        "Time kept on local disks of a tiered topic; -2 means retention.ms.").inert()
        .like(&[same("log.local.retention.ms")]),
    Key::new("max.compaction.lag.ms", Long, Some(LONG_MAX), AtLeast(1),
        "The longest time that a record of a compacted topic may wait for compaction.")
        .like(&[same("log.cleaner.max.compaction.lag.ms")]),
    Key::new("max.message.bytes", Int, Some("1048588"), AtLeast(0),
        "The largest batch that is accepted, in bytes after compression.")
        .like(&[same("message.max.bytes")]),
    Key::new("message.downconversion.enable", Boolean, Some("true"), Any,
        "Whether old consumers get converted batches; such consumers are no longer served.").inert()
        .like(&[same("log.message.downconversion.enable")]),
    Key::new("message.format.version", Text, Some("3.0-IV1"), Any,
        "Record format of a past Kafka; there is only one now.").inert()
        .like(&[same("log.message.format.version")]),
    Key::new("message.timestamp.after.max.ms", Long, Some("3600000"), AtLeast(0),
        "How far a producer's timestamp may lie ahead of the broker's clock.")
        .like(&[same("log.message.timestamp.after.max.ms")]),
    Key::new("message.timestamp.before.max.ms", Long, Some(LONG_MAX), AtLeast(0),
        "How far a producer's timestamp may lie behind the broker's clock.")
        .like(&[same("log.message.timestamp.before.max.ms")]),
    Key::new("message.timestamp.difference.max.ms", Long, Some(LONG_MAX), AtLeast(0),
        "A past Kafka's bound for timestamps on both sides; see the before and after keys.").inert()
        .like(&[same("log.message.timestamp.difference.max.ms")]),
    Key::new("message.timestamp.type", Text, Some("CreateTime"), OneOf(&["CreateTime", "LogAppendTime"]),
        "Whose clock stamps records: the producer's or the broker's.")
        .like(&[same("log.message.timestamp.type")]),
    Key::new("min.cleanable.dirty.ratio", Double, Some("0.5"), Ratio(0.0, 1.0),
        "Share of a compacted log that must be uncompacted before compaction runs.")
        .like(&[same("log.cleaner.min.cleanable.ratio")]),
    Key::new("min.compaction.lag.ms", Long, Some("0"), AtLeast(0),
        "The shortest time that a record stays out of compaction.")
        .like(&[same("log.cleaner.min.compaction.lag.ms")]),
    Key::new("min.insync.replicas", Int, Some("1"), AtLeast(1),
        "In-sync replicas without which acks=all is refused; never more than there are replicas.")
        .like(&[same("min.insync.replicas")]),
    Key::new("preallocate", Boolean, Some("false"), Any,
        "Whether segment files are allocated in advance; ours always are, in growing steps.").inert()
        .like(&[same("log.preallocate")]),
    Key::new("remote.log.copy.disable", Boolean, Some("false"), Any,
        "Stops copying a tiered topic.").inert(),
    Key::new("remote.log.delete.on.disable", Boolean, Some("false"), Any,
        "Whether tiered data goes when tiering is switched off.").inert(),
    Key::new("remote.storage.enable", Boolean, Some("false"), NotTrue("tiered storage is not available on this cluster"),
        "Tiered storage; cannot be switched on here.").inert(),
    Key::new("retention.bytes", Long, Some("-1"), Any,
        "Bytes that a partition keeps before old segments are dropped; negative for no limit.")
        .like(&[same("log.retention.bytes")]),
    Key::new("retention.ms", Long, Some("604800000"), AtLeast(-1),
        "Time that records are kept before their segments are dropped; -1 for no limit.")
        .like(&[same("log.retention.ms"), minutes("log.retention.minutes"), hours("log.retention.hours")]),
    Key::new(DURABILITY, Text, Some("fsync"), OneOf(&["fsync", "written"]),
        "When a record is acknowledged: fsync after its bytes are flushed to the disk, written after they are handed to the disk. Internal topics are always fsync.")
        .like(&[same(DURABILITY)]),
    Key::new("segment.bytes", Int, Some("1073741824"), AtLeast(1_048_576),
        "Size at which a segment is closed and the next begun.")
        .like(&[same("log.segment.bytes")]),
    Key::new("segment.index.bytes", Int, Some("10485760"), AtLeast(4),
        "Size at which a segment's index is full, which closes the segment.")
        .like(&[same("log.index.size.max.bytes")]),
    Key::new("segment.jitter.ms", Long, Some("0"), AtLeast(0),
        "At most this much is taken off segment.ms, so that partitions do not all roll at once.")
        .like(&[same("log.roll.jitter.ms"), hours("log.roll.jitter.hours")]),
    Key::new("segment.ms", Long, Some("604800000"), AtLeast(1),
        "Record time that a segment may span before it is closed.")
        .like(&[same("log.roll.ms"), hours("log.roll.hours")]),
    Key::new("unclean.leader.election.enable", Boolean, Some("false"), Any,
        "Whether a replica that may lack acknowledged records can lead when no other is left.")
        .like(&[same("unclean.leader.election.enable")]),
];

/// A topic key by name.
#[must_use]
pub fn topic_key(name: &str) -> Option<&'static Key> {
    TOPIC_KEYS.binary_search_by(|k| k.name.cmp(name)).ok().map(|i| &TOPIC_KEYS[i])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::broker_keys::broker_key;

    #[test]
    fn the_table_is_sorted_and_its_defaults_are_legal() {
        for pair in TOPIC_KEYS.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} {}", pair[0].name, pair[1].name);
        }
        for key in TOPIC_KEYS {
            let default = key.default.unwrap_or_else(|| panic!("{} has no default", key.name));
            assert_eq!(key.parse(default).unwrap().to_string(), default, "{}", key.name);
            assert!(key.doc.ends_with('.'), "{}", key.name);
            assert_eq!(topic_key(key.name).map(|k| k.name), Some(key.name));
        }
    }

    #[test]
    fn every_synonym_is_a_broker_key_of_the_same_kind() {
        for key in TOPIC_KEYS {
            for synonym in key.synonyms {
                let broker = broker_key(synonym.name)
                    .unwrap_or_else(|| panic!("{} is not a broker key", synonym.name));
                if synonym.scale == 1 {
                    assert_eq!(broker.kind, key.kind, "{} {}", key.name, synonym.name);
                }
            }
        }
    }

    #[test]
    fn the_keys_of_kafkas_surface_are_all_there() {
        for name in [
            "cleanup.policy",
            "compression.type",
            "compression.gzip.level",
            "compression.lz4.level",
            "compression.zstd.level",
            "delete.retention.ms",
            "file.delete.delay.ms",
            "flush.messages",
            "flush.ms",
            "index.interval.bytes",
            "segment.index.bytes",
            "max.message.bytes",
            "min.compaction.lag.ms",
            "max.compaction.lag.ms",
            "min.cleanable.dirty.ratio",
            "min.insync.replicas",
            "message.timestamp.type",
            "message.timestamp.before.max.ms",
            "message.timestamp.after.max.ms",
            "preallocate",
            "retention.ms",
            "retention.bytes",
            "segment.bytes",
            "segment.ms",
            "segment.jitter.ms",
            "unclean.leader.election.enable",
            "leader.replication.throttled.replicas",
            "follower.replication.throttled.replicas",
            "remote.storage.enable",
            "local.retention.ms",
            "local.retention.bytes",
            "remote.log.copy.disable",
            "remote.log.delete.on.disable",
            "message.downconversion.enable",
        ] {
            assert!(topic_key(name).is_some(), "{name}");
        }
    }
}
