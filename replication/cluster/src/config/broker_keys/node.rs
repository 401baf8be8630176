//! Broker keys about the node itself: who it is, where it listens, and what it lets in.

use super::{INT_MAX, Key, Synonym, key, same};
use crate::config::key::{Check, Update, ValueType};
use Check::{Any, AtLeast};
use Update::{ClusterWide, PerBroker, ReadOnly};
use ValueType::{Int, List, Long, String as Text};

const NODE: &[Synonym] = &[same("node.id"), same("broker.id")];

/// By name.
pub(super) const KEYS: &[Key] = &[
    key(
        "advertised.listeners",
        List,
        None,
        Any,
        ReadOnly,
        "Where clients are told to connect, for each listener.",
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
        "connections.max.idle.ms",
        Long,
        Some("600000"),
        Any,
        ReadOnly,
        "A connection that is idle for longer is closed.",
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
    key("node.id", Int, Some("-1"), AtLeast(-1), ReadOnly, "This broker's id.").like(NODE),
    key(
        "ringwood.scrub.bytes.per.second",
        Long,
        Some("524288"),
        AtLeast(0),
        ClusterWide,
        "Bytes of sealed segments that are read again in a second, all cores together, to find damage before a reader does; 0 for none.",
    ),
    key(
        "socket.request.max.bytes",
        Int,
        Some("104857600"),
        AtLeast(1),
        ReadOnly,
        "A request that announces more bytes closes its connection.",
    ),
];
