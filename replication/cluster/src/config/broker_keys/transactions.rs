//! Broker keys about transactions.

use super::{Key, key};
use crate::config::key::{Check, Update, ValueType};
use Check::AtLeast;
use Update::ReadOnly;
use ValueType::{Int, Short};

/// By name.
pub(super) const KEYS: &[Key] = &[
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
];
