//! The keys of groups (KIP-848, KIP-932, KIP-1071).

use super::key::{Check, Key, Synonym, ValueType};
use Check::{Any, AtLeast, Between, OneOf};
use ValueType::{Boolean, Int, String as Text};

const fn same(name: &'static str) -> Synonym {
    Synonym { name, scale: 1 }
}

/// Every group key, by name.
pub static GROUP_KEYS: &[Key] = &[
    Key::new(
        "consumer.assignment.interval.ms",
        Int,
        Some("1000"),
        AtLeast(0),
        "The shortest time between two assignments of this consumer group.",
    )
    .like(&[same("group.consumer.assignment.interval.ms")]),
    Key::new(
        "consumer.heartbeat.interval.ms",
        Int,
        Some("5000"),
        AtLeast(1),
        "How often members of this consumer group report.",
    )
    .like(&[same("group.consumer.heartbeat.interval.ms")]),
    Key::new(
        "consumer.session.timeout.ms",
        Int,
        Some("45000"),
        AtLeast(1),
        "A member of this consumer group that is silent for longer is removed.",
    )
    .like(&[same("group.consumer.session.timeout.ms")]),
    Key::new(
        "share.assignment.interval.ms",
        Int,
        Some("1000"),
        AtLeast(0),
        "The shortest time between two assignments of this share group.",
    )
    .inert()
    .like(&[same("group.share.assignment.interval.ms")]),
    Key::new(
        "share.auto.offset.reset",
        Text,
        Some("latest"),
        Any,
        "Where a share group begins in a partition that it has no state for.",
    )
    .inert(),
    Key::new(
        "share.delivery.count.limit",
        Int,
        Some("5"),
        Between(2, 10),
        "How often a record is delivered before it counts as failed.",
    )
    .inert()
    .like(&[same("group.share.delivery.count.limit")]),
    Key::new(
        "share.heartbeat.interval.ms",
        Int,
        Some("5000"),
        AtLeast(1),
        "How often members of this share group report.",
    )
    .inert()
    .like(&[same("group.share.heartbeat.interval.ms")]),
    Key::new(
        "share.isolation.level",
        Text,
        Some("read_uncommitted"),
        OneOf(&["read_committed", "read_uncommitted"]),
        "Whether this share group sees records of open transactions.",
    )
    .inert(),
    Key::new(
        "share.partition.max.record.locks",
        Int,
        Some("2000"),
        Between(100, 10_000),
        "The most records of a partition that are acquired at a time.",
    )
    .inert()
    .like(&[same("group.share.partition.max.record.locks")]),
    Key::new(
        "share.record.lock.duration.ms",
        Int,
        Some("30000"),
        AtLeast(1000),
        "How long an acquired record stays with its member.",
    )
    .inert()
    .like(&[same("group.share.record.lock.duration.ms")]),
    Key::new(
        "share.renew.acknowledge.enable",
        Boolean,
        Some("true"),
        Any,
        "Whether members may prolong the time that a record is theirs.",
    )
    .inert(),
    Key::new(
        "share.session.timeout.ms",
        Int,
        Some("45000"),
        AtLeast(1),
        "A member of this share group that is silent for longer is removed.",
    )
    .inert()
    .like(&[same("group.share.session.timeout.ms")]),
    Key::new(
        "streams.assignment.interval.ms",
        Int,
        Some("1000"),
        AtLeast(0),
        "The shortest time between two assignments of this streams group.",
    )
    .inert()
    .like(&[same("group.streams.assignment.interval.ms")]),
    Key::new(
        "streams.heartbeat.interval.ms",
        Int,
        Some("5000"),
        AtLeast(1),
        "How often members of this streams group report.",
    )
    .inert()
    .like(&[same("group.streams.heartbeat.interval.ms")]),
    Key::new(
        "streams.initial.rebalance.delay.ms",
        Int,
        Some("3000"),
        AtLeast(0),
        "How long an empty streams group waits for more members.",
    )
    .inert()
    .like(&[same("group.streams.initial.rebalance.delay.ms")]),
    Key::new(
        "streams.num.standby.replicas",
        Int,
        Some("0"),
        AtLeast(0),
        "Standby copies of each task of this streams group.",
    )
    .inert()
    .like(&[same("group.streams.num.standby.replicas")]),
    Key::new(
        "streams.session.timeout.ms",
        Int,
        Some("45000"),
        AtLeast(1),
        "A member of this streams group that is silent for longer is removed.",
    )
    .inert()
    .like(&[same("group.streams.session.timeout.ms")]),
];

/// A group key by name.
#[must_use]
pub fn group_key(name: &str) -> Option<&'static Key> {
    GROUP_KEYS.binary_search_by(|k| k.name.cmp(name)).ok().map(|i| &GROUP_KEYS[i])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::broker_keys::broker_key;

    #[test]
    fn the_table_is_sorted_and_agrees_with_the_brokers() {
        for pair in GROUP_KEYS.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} {}", pair[0].name, pair[1].name);
        }
        for key in GROUP_KEYS {
            assert!(key.parse(key.default.unwrap()).is_ok(), "{}", key.name);
            for synonym in key.synonyms {
                let broker = broker_key(synonym.name).unwrap();
                assert_eq!((broker.kind, broker.default), (key.kind, key.default), "{}", key.name);
            }
        }
    }
}
