//! What a coordinator reads of the broker's and the groups' configuration.

use cluster::config::{BrokerSettings, Layers, Value};
use cluster::image::Overrides;
use cluster::{Resource, ResourceKind};
use coordinator::{Config, ConsumerTimes, MigrationPolicy};
use std::collections::BTreeMap;

/// The settings of the coordinators on this broker, but for what single groups have instead: see [`own_times`].
pub(crate) fn config_of(
    settings: &BrokerSettings,
    layers: &Layers<'_>,
    batch_bytes_max: u32,
) -> Config {
    let ms = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    let assignors = match layers.broker_value("group.consumer.assignors") {
        Some(Value::List(names)) => names,
        Some(_) | None => Vec::new(),
    };
    let mut config = Config {
        group_min_session_timeout_ms: ms(settings.group_min_session_timeout_ms),
        group_max_session_timeout_ms: ms(settings.group_max_session_timeout_ms),
        group_initial_rebalance_delay_ms: settings.group_initial_rebalance_delay_ms,
        group_max_size: size(settings.group_max_size),
        offset_metadata_max_bytes: size(settings.offset_metadata_max_bytes),
        offsets_retention_ms: settings.offsets_retention_ms,
        offsets_retention_check_interval_ms: u64::try_from(
            settings.offsets_retention_check_interval_ms,
        )
        .unwrap_or(600_000),
        consumer_session_timeout_ms: ms(settings.group_consumer_session_timeout_ms),
        consumer_heartbeat_interval_ms: ms(settings.group_consumer_heartbeat_interval_ms),
        consumer_assignment_interval_ms: ms(settings.group_consumer_assignment_interval_ms),
        consumer_max_size: size(settings.group_consumer_max_size),
        batch_bytes_max: size(batch_bytes_max),
        ..Config::default()
    };
    config.use_assignors(&assignors);
    if let Some(Value::Text(name)) = layers.broker_value("group.consumer.migration.policy") {
        config.consumer_migration = MigrationPolicy::named(&name).unwrap_or_default();
    }
    config
}

/// One of the times that a group may have of its own: its key, what the broker has instead, and the broker's bounds.
struct Own {
    key: &'static str,
    otherwise: i32,
    min: i32,
    max: i32,
}

impl Own {
    fn read(
        layers: &Layers<'_>,
        key: &'static str,
        otherwise: i32,
        (min, max): (&'static str, &'static str),
    ) -> Self {
        let bound = |name| match layers.broker_value(name) {
            Some(Value::Integer(ms)) => i32::try_from(ms).ok(),
            Some(_) | None => None,
        };
        let (min, max) = (bound(min).unwrap_or(1), bound(max).unwrap_or(i32::MAX));
        Self { key, otherwise, min, max }
    }

    fn of(&self, overrides: &Overrides) -> i32 {
        let own = overrides.get(self.key).and_then(|value| value.trim().parse::<i32>().ok());
        own.map_or(self.otherwise, |ms| ms.min(self.max).max(self.min))
    }
}

/// The times of the groups that have their own, within the bounds that the broker sets. A walk over all groups with overrides:
/// once for a decision, and what it gives is shared.
pub(crate) fn own_times(layers: &Layers<'_>, config: &Config) -> BTreeMap<String, ConsumerTimes> {
    let session = Own::read(
        layers,
        "consumer.session.timeout.ms",
        config.consumer_session_timeout_ms,
        ("group.consumer.min.session.timeout.ms", "group.consumer.max.session.timeout.ms"),
    );
    let heartbeat = Own::read(
        layers,
        "consumer.heartbeat.interval.ms",
        config.consumer_heartbeat_interval_ms,
        ("group.consumer.min.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms"),
    );
    let assignment = Own::read(
        layers,
        "consumer.assignment.interval.ms",
        config.consumer_assignment_interval_ms,
        ("group.consumer.min.assignment.interval.ms", "group.consumer.max.assignment.interval.ms"),
    );
    let groups = layers.image.resources_with_overrides(ResourceKind::Group);
    let found = groups.filter_map(|name| {
        let overrides = layers.image.overrides(&Resource::group(name))?;
        // Most keys of a group are of other kinds of groups.
        let mut own = [&session, &heartbeat, &assignment].into_iter();
        let has_any = own.any(|time| overrides.contains_key(time.key));
        let times = ConsumerTimes {
            session_timeout_ms: session.of(overrides),
            heartbeat_interval_ms: heartbeat.of(overrides),
            assignment_interval_ms: assignment.of(overrides),
        };
        has_any.then(|| (name.to_owned(), times))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::config::{StaticConfig, parse_properties};
    use cluster::{ClusterImage, Record};
    use ids::BrokerId;

    fn config(file: &str, group: &[(&str, &str)]) -> Config {
        let mut image = ClusterImage::new();
        image.apply(&Record::Format { cluster_id: "c".into(), version: 1 }).unwrap();
        for (key, value) in group {
            let (key, value) = ((*key).into(), Some((*value).into()));
            let resource = Resource::group("g");
            image.apply(&Record::ConfigSet { resource, key, value }).unwrap();
        }
        let (fixed, _) = StaticConfig::load(parse_properties(file).unwrap()).unwrap();
        let layers = Layers { image: &image, broker: BrokerId(1), fixed: &fixed };
        let mut config = config_of(&BrokerSettings::read(&layers), &layers, 1_000_000);
        config.consumer_groups = own_times(&layers, &config).into();
        config
    }

    #[test]
    fn a_group_has_its_own_times_within_the_bounds_of_the_broker() {
        let plain = config("", &[]);
        assert_eq!(plain.consumer_heartbeat_interval_ms, 5_000);
        assert!(plain.consumer_groups.is_empty());
        let own = config(
            "group.consumer.session.timeout.ms=50000\n",
            &[("consumer.heartbeat.interval.ms", "7000")],
        );
        let times = own.consumer_groups["g"];
        assert_eq!((times.heartbeat_interval_ms, times.session_timeout_ms), (7_000, 50_000));
        assert_eq!(times.assignment_interval_ms, 1_000);
        let bounded = config(
            "group.consumer.max.heartbeat.interval.ms=6000\n",
            &[("consumer.heartbeat.interval.ms", "7000")],
        );
        assert_eq!(bounded.consumer_groups["g"].heartbeat_interval_ms, 6_000);
        let rarely = config(
            "group.consumer.assignment.interval.ms=2000\ngroup.consumer.min.assignment.interval.ms=500\n",
            &[("consumer.assignment.interval.ms", "0")],
        );
        assert_eq!(rarely.consumer_assignment_interval_ms, 2_000);
        assert_eq!(rarely.consumer_groups["g"].assignment_interval_ms, 500);
        let of_another_kind = config("", &[("share.heartbeat.interval.ms", "7000")]);
        assert!(of_another_kind.consumer_groups.is_empty());
    }

    #[test]
    fn the_policy_of_migration_has_kafkas_names() {
        assert_eq!(config("", &[]).consumer_migration, MigrationPolicy::Bidirectional);
        let upgrade = config("group.consumer.migration.policy=UPGRADE\n", &[]);
        assert_eq!(upgrade.consumer_migration, MigrationPolicy::Upgrade);
        let assignors = config("group.consumer.assignors=range,unheard.Of\n", &[]);
        assert_eq!(assignors.consumer_assignors, ["range"]);
    }

    #[test]
    fn assignors_may_be_named_by_their_classes() {
        let of = |names: &str| {
            let package = "org.apache.kafka.coordinator.group.assignor";
            let names = names.replace('@', package);
            config(&format!("group.consumer.assignors={names}\n"), &[]).consumer_assignors
        };
        assert_eq!(of("@.RangeAssignor"), ["range"]);
        assert_eq!(of("@.RangeAssignor,@.UniformAssignor"), ["range", "uniform"]);
        assert_eq!(of("range,@.RangeAssignor,uniform"), ["range", "uniform"]);
        assert_eq!(of("@.SimpleAssignor,unheard.Of"), ["uniform", "range"]);
    }
}
