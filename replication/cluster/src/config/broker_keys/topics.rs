//! Broker keys about topics and their replicas, most of them defaults of topic keys.

use super::{Key, key};
use crate::config::key::{Check, Update, ValueType};
use Check::{Any, AtLeast, Between, BetweenOr, OneOf};
use Update::{ClusterWide, ReadOnly};
use ValueType::{Boolean, Int, Long, String as Text};

/// By name.
pub(super) const KEYS: &[Key] = &[
    key(
        "auto.create.topics.enable",
        Boolean,
        Some("true"),
        Any,
        ReadOnly,
        "Whether asking for the metadata of an unknown topic creates it, where the client allows it.",
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
    key(
        "num.partitions",
        Int,
        Some("1"),
        AtLeast(1),
        ReadOnly,
        "Partitions of a topic that is created without saying how many.",
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
        "unclean.leader.election.enable",
        Boolean,
        Some("false"),
        Any,
        ClusterWide,
        "Default of the topic key of the same name.",
    ),
];
