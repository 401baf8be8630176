//! AlterConfigs and IncrementalAlterConfigs.

use super::*;

fn replace(controller: &mut Controller, kind: i8, name: &str, configs: &[(&str, &str)]) -> i16 {
    let configs = configs.iter().map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect();
    let resources = vec![AlterConfigsResource { kind, name: name.into(), configs }];
    let decision = controller.alter_configs(&AlterConfigs { resources, validate_only: false });
    code(&decision.response[0].result)
}

fn change(controller: &mut Controller, kind: i8, name: &str, configs: &[(&str, i8, &str)]) -> i16 {
    let configs =
        configs.iter().map(|(k, op, v)| ((*k).to_owned(), *op, Some((*v).to_owned()))).collect();
    let resources = vec![IncrementalResource { kind, name: name.into(), configs }];
    let request = IncrementalAlterConfigs { resources, validate_only: false };
    code(&controller.incremental_alter_configs(&request).response[0].result)
}

fn value(controller: &Controller, resource: Resource, key: &str) -> Option<String> {
    controller.image().overrides(&resource)?.get(key).cloned()
}

const BROKER: i8 = 4;
const GROUP: i8 = 32;
const METRICS: i8 = 16;

#[test]
fn legacy_alter_replaces_the_whole_set() {
    let mut controller = one();
    create(&mut controller, vec![with("a", &[("retention.ms", "5"), ("segment.ms", "7")])]);
    assert_eq!(replace(&mut controller, TOPIC, "a", &[("segment.ms", "8"), ("flush.ms", "9")]), 0);
    let overrides = controller.image().overrides(&Resource::topic("a")).unwrap();
    let pairs: Vec<_> = overrides.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(pairs, [("flush.ms", "9"), ("segment.ms", "8")]);
    assert_eq!(replace(&mut controller, TOPIC, "a", &[]), 0);
    assert_eq!(controller.image().overrides(&Resource::topic("a")), None);
}

#[test]
fn incremental_alter_changes_single_keys() {
    let mut controller = one();
    create(&mut controller, vec![with("a", &[("retention.ms", "5"), ("segment.ms", "7")])]);
    assert_eq!(
        change(&mut controller, TOPIC, "a", &[("retention.ms", 1, ""), ("flush.ms", 0, "9")]),
        0
    );
    let topic = || Resource::topic("a");
    assert_eq!(value(&controller, topic(), "retention.ms"), None);
    assert_eq!(value(&controller, topic(), "flush.ms").as_deref(), Some("9"));
    assert_eq!(value(&controller, topic(), "segment.ms").as_deref(), Some("7"));
}

#[test]
fn lists_grow_and_shrink_from_their_default() {
    let mut controller = one();
    create(&mut controller, vec![new("a")]);
    let policy = |c: &Controller| value(c, Resource::topic("a"), "cleanup.policy");
    assert_eq!(change(&mut controller, TOPIC, "a", &[("cleanup.policy", 2, "compact,delete")]), 0);
    assert_eq!(policy(&controller).as_deref(), Some("delete,compact"));
    assert_eq!(change(&mut controller, TOPIC, "a", &[("cleanup.policy", 3, "delete")]), 0);
    assert_eq!(policy(&controller).as_deref(), Some("compact"));
    assert_eq!(change(&mut controller, TOPIC, "a", &[("cleanup.policy", 3, "compact")]), 0);
    assert_eq!(policy(&controller).as_deref(), Some(""));
    assert_eq!(change(&mut controller, TOPIC, "a", &[("retention.ms", 2, "1")]), 40);
    assert_eq!(change(&mut controller, TOPIC, "a", &[("nope", 3, "1")]), 40);
}

#[test]
fn a_resource_changes_as_a_whole_or_not_at_all() {
    let mut controller = one();
    create(&mut controller, vec![new("a"), new("b")]);
    let resource = |name: &str, bad: &str| IncrementalResource {
        kind: TOPIC,
        name: name.into(),
        configs: vec![
            ("flush.ms".into(), 0, Some("1".into())),
            ("retention.ms".into(), 0, Some(bad.into())),
        ],
    };
    let request = IncrementalAlterConfigs {
        resources: vec![resource("a", "x"), resource("b", "2")],
        validate_only: false,
    };
    let decision = controller.incremental_alter_configs(&request);
    let codes: Vec<_> = decision.response.iter().map(|r| code(&r.result)).collect();
    assert_eq!((codes, decision.records.len()), (vec![40, 0], 2));
    assert_eq!(controller.image().overrides(&Resource::topic("a")), None);
}

#[test]
fn alterations_are_refused_with_kafkas_codes() {
    let mut controller = one();
    create(&mut controller, vec![new("a")]);
    let c = &mut controller;
    assert_eq!(change(c, TOPIC, "zzz", &[("flush.ms", 0, "1")]), 3);
    assert_eq!(change(c, TOPIC, "", &[("flush.ms", 0, "1")]), 42);
    assert_eq!(change(c, TOPIC, "a/b", &[("flush.ms", 0, "1")]), 17);
    assert_eq!(change(c, TOPIC, "a", &[("flush.ms", 9, "1")]), 42);
    assert_eq!(change(c, TOPIC, "a", &[("flush.ms", 0, "1"), ("flush.ms", 1, "")]), 42);
    assert_eq!(change(c, TOPIC, "a", &[("flsh.ms", 0, "1")]), 40);
    assert_eq!(change(c, 3, "a", &[("flush.ms", 0, "1")]), 42);
    assert_eq!(change(c, 8, "1", &[("x", 0, "INFO")]), 42);
    let configs = vec![("flush.ms".to_owned(), 0, None)];
    let null = IncrementalResource { kind: TOPIC, name: "a".into(), configs };
    let request = IncrementalAlterConfigs { resources: vec![null.clone()], validate_only: false };
    assert_eq!(code(&c.incremental_alter_configs(&request).response[0].result), 42);
    let request =
        IncrementalAlterConfigs { resources: vec![null.clone(), null], validate_only: false };
    let decision = c.incremental_alter_configs(&request);
    assert!(
        decision.response.iter().all(|r| code(&r.result) == 42) && decision.response.len() == 2
    );
    let configs = vec![("flush.ms".to_owned(), None)];
    let resources = vec![AlterConfigsResource { kind: TOPIC, name: "a".into(), configs }];
    let decision = c.alter_configs(&AlterConfigs { resources, validate_only: false });
    assert_eq!(code(&decision.response[0].result), 42);
}

#[test]
fn deleting_what_is_not_set_is_no_error_and_no_record() {
    let mut controller = one();
    create(&mut controller, vec![new("a")]);
    let configs = vec![("flush.ms".to_owned(), 1, None), ("never.heard.of".to_owned(), 1, None)];
    let resources = vec![IncrementalResource { kind: TOPIC, name: "a".into(), configs }];
    let request = IncrementalAlterConfigs { resources, validate_only: false };
    let decision = controller.incremental_alter_configs(&request);
    assert_eq!((code(&decision.response[0].result), decision.records.len()), (0, 0));
}

#[test]
fn an_alteration_can_be_only_checked() {
    let mut controller = one();
    create(&mut controller, vec![new("a")]);
    let before = controller.image().clone();
    let configs = vec![("flush.ms".to_owned(), 0, Some("1".to_owned()))];
    let resources = vec![IncrementalResource { kind: TOPIC, name: "a".into(), configs }];
    let request = IncrementalAlterConfigs { resources, validate_only: true };
    assert!(controller.incremental_alter_configs(&request).records.is_empty());
    assert_eq!(*controller.image(), before);
}

#[test]
fn brokers_take_only_what_can_change_at_run_time() {
    let mut controller = one();
    let c = &mut controller;
    assert_eq!(change(c, BROKER, "", &[("log.retention.ms", 0, "5000")]), 0);
    assert_eq!(change(c, BROKER, "1", &[("log.retention.ms", 0, "6000")]), 0);
    assert_eq!(c.layers().topic("any").retention_ms, 6000);
    assert_eq!(change(c, BROKER, "1", &[("num.partitions", 0, "3")]), 42);
    assert_eq!(change(c, BROKER, "1", &[("log.retention.ms", 0, "x")]), 42);
    assert_eq!(change(c, BROKER, "1", &[("log.retention.msec", 0, "1")]), 40);
    assert_eq!(change(c, BROKER, "", &[("listeners", 0, "PLAINTEXT://:1")]), 42);
    assert_eq!(
        change(
            c,
            BROKER,
            "",
            &[
                ("log.cleaner.max.compaction.lag.ms", 0, "5"),
                ("log.cleaner.min.compaction.lag.ms", 0, "6")
            ]
        ),
        42
    );
    for name in ["2", "x", "-1", "01", "+1"] {
        assert_eq!(change(c, BROKER, name, &[("log.retention.ms", 0, "1")]), 42, "{name}");
    }
    assert_eq!(change(c, BROKER, "1", &[("log.retention.ms", 1, "")]), 0);
    assert_eq!(c.layers().topic("any").retention_ms, 5000);
}

#[test]
fn groups_and_metrics_subscriptions_are_checked_too() {
    let mut controller = one();
    let c = &mut controller;
    assert_eq!(change(c, GROUP, "g", &[("consumer.session.timeout.ms", 0, "50000")]), 0);
    assert_eq!(
        change(c, GROUP, "g", &[("consumer.session.timeout.ms", 0, "100")]),
        40,
        "below the broker's minimum"
    );
    assert_eq!(change(c, GROUP, "g", &[("nope", 0, "100")]), 40);
    assert_eq!(change(c, GROUP, "", &[("consumer.session.timeout.ms", 0, "50000")]), 42);
    assert_eq!(change(c, METRICS, "s", &[("interval.ms", 0, "100"), ("metrics", 0, "*")]), 0);
    assert_eq!(change(c, METRICS, "s", &[("interval.ms", 0, "99")]), 42);
    assert_eq!(change(c, METRICS, "s", &[("nope", 0, "99")]), 42);
    assert_eq!(change(c, METRICS, "", &[("interval.ms", 0, "100")]), 42);
}

#[test]
fn keys_of_groups_lie_within_the_bounds_of_the_broker() {
    let mut controller = one();
    let c = &mut controller;
    // Key, below what the broker allows by default ("" where nothing is below), lowest, highest, above.
    let bounds = [
        ("consumer.assignment.interval.ms", "", "0", "15000", "15001"),
        ("consumer.heartbeat.interval.ms", "4999", "5000", "15000", "15001"),
        ("consumer.session.timeout.ms", "44999", "45000", "60000", "60001"),
        ("share.assignment.interval.ms", "", "0", "15000", "15001"),
        ("share.delivery.count.limit", "1", "2", "10", "11"),
        ("share.heartbeat.interval.ms", "4999", "5000", "15000", "15001"),
        ("share.partition.max.record.locks", "99", "100", "4000", "4001"),
        ("share.record.lock.duration.ms", "14999", "15000", "60000", "60001"),
        ("share.session.timeout.ms", "44999", "45000", "60000", "60001"),
        ("streams.assignment.interval.ms", "", "0", "15000", "15001"),
        ("streams.heartbeat.interval.ms", "4999", "5000", "15000", "15001"),
        ("streams.num.standby.replicas", "", "0", "2", "3"),
        ("streams.session.timeout.ms", "44999", "45000", "60000", "60001"),
    ];
    for (key, below, lowest, highest, above) in bounds {
        for (value, expected) in [(below, 40), (lowest, 0), (highest, 0), (above, 40)] {
            if !value.is_empty() {
                assert_eq!(change(c, GROUP, "g", &[(key, 0, value)]), expected, "{key}={value}");
            }
        }
    }
    assert_eq!(change(c, GROUP, "g", &[("consumer.assignment.interval.ms", 0, "15000")]), 0);
    assert_eq!(
        value(c, Resource::group("g"), "consumer.assignment.interval.ms").as_deref(),
        Some("15000")
    );
}

#[test]
fn broker_keys_change_where_kafka_lets_them() {
    let mut controller = one();
    let c = &mut controller;
    // Set for all brokers, and for one.
    for (key, value, for_all, for_one) in [
        ("advertised.listeners", "PLAINTEXT://h:1", 42, 42),
        ("listeners", "PLAINTEXT://h:1", 42, 0),
        ("cordoned.log.dirs", "/d", 42, 0),
        ("config.providers", "file", 0, 0),
        ("remote.log.manager.copier.thread.pool.size", "9", 0, 0),
        ("remote.log.manager.expiration.thread.pool.size", "9", 0, 0),
        ("remote.log.manager.follower.thread.pool.size", "9", 0, 0),
        ("remote.log.reader.threads", "9", 0, 0),
        ("log.dirs", "/d", 42, 42),
    ] {
        assert_eq!(change(c, BROKER, "", &[(key, 0, value)]), for_all, "{key}");
        assert_eq!(change(c, BROKER, "1", &[(key, 0, value)]), for_one, "{key}");
    }
    for key in ["listeners", "advertised.listeners", "log.dir", "log.dirs", "cordoned.log.dirs"] {
        let key = crate::config::broker_keys::broker_key(key).unwrap();
        assert_eq!(key.kind, crate::config::ValueType::List, "{}", key.name);
    }
}

#[test]
fn a_session_of_a_group_is_longer_than_its_heartbeat_interval() {
    for kind in ["consumer", "share", "streams"] {
        let file = format!(
            "group.{kind}.min.session.timeout.ms=1000\ngroup.{kind}.max.heartbeat.interval.ms=50000\n"
        );
        let mut controller = cluster(1, &file);
        let c = &mut controller;
        let session = format!("{kind}.session.timeout.ms");
        let heartbeat = format!("{kind}.heartbeat.interval.ms");
        let mut set = |group: &str, pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs.iter().map(|(key, value)| (*key, 0, *value)).collect();
            change(c, GROUP, group, &pairs)
        };
        // The other one is the broker's: 5,000 and 45,000.
        assert_eq!(set("a", &[(&session, "5000")]), 40, "{kind}");
        assert_eq!(set("a", &[(&session, "5001")]), 0, "{kind}");
        assert_eq!(set("b", &[(&heartbeat, "45000")]), 40, "{kind}");
        assert_eq!(set("b", &[(&heartbeat, "44999")]), 0, "{kind}");
        // Or the group's own.
        assert_eq!(set("c", &[(&session, "6000"), (&heartbeat, "6000")]), 40, "{kind}");
        assert_eq!(set("c", &[(&session, "6001"), (&heartbeat, "6000")]), 0, "{kind}");
        assert_eq!(set("c", &[(&heartbeat, "6001")]), 40, "{kind}");
    }
}
