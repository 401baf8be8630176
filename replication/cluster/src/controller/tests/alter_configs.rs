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
