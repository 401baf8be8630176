use super::*;
use crate::record::{BrokerRegistered, DirectoryId, Endpoint, Resource};
use crate::{ErrorCode, Refusal};
use ids::{LeaderEpoch, PartitionId, PartitionIndex, ProducerId, TopicId};
use proptest::prelude::*;

fn registration(broker: i32, incarnation: u64) -> BrokerRegistered {
    BrokerRegistered {
        broker: BrokerId(broker),
        incarnation,
        endpoints: vec![Endpoint { listener: "PLAINTEXT".into(), host: "h".into(), port: 9092 }],
        rack: None,
        cores: 4,
        directory: DirectoryId([1; 16]),
    }
}

fn cluster(brokers: i32, file: &str) -> Controller {
    let map = crate::config::parse_properties(file).unwrap();
    let mut controller = Controller::new(BrokerId(1), StaticConfig::load(map).unwrap().0);
    controller.format("test").unwrap();
    for id in 1..=brokers {
        controller.start(registration(id, 1)).unwrap();
    }
    controller
}

fn one() -> Controller {
    cluster(1, "")
}

fn ids_from(n: &mut u8) -> impl FnMut() -> TopicId {
    move || {
        *n += 1;
        TopicId([*n; 16])
    }
}

fn new(name: &str) -> NewTopic {
    NewTopic {
        name: name.into(),
        partitions: -1,
        replication_factor: -1,
        assignments: vec![],
        configs: vec![],
    }
}

fn sized(name: &str, partitions: i32, replication_factor: i16) -> NewTopic {
    NewTopic { partitions, replication_factor, ..new(name) }
}

fn with(name: &str, configs: &[(&str, &str)]) -> NewTopic {
    let configs = configs.iter().map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect();
    NewTopic { configs, ..new(name) }
}

fn assigned(name: &str, assignments: &[(i32, &[i32])]) -> NewTopic {
    let of = |(index, replicas): &(i32, &[i32])| PartitionAssignment {
        index: *index,
        replicas: replicas.iter().copied().map(BrokerId).collect(),
    };
    NewTopic { assignments: assignments.iter().map(of).collect(), ..new(name) }
}

/// Creates topics and returns the code of each result, 0 for success.
fn create(controller: &mut Controller, topics: Vec<NewTopic>) -> Vec<i16> {
    let mut n = u8::try_from(controller.image().topic_count()).unwrap();
    let request = CreateTopics { topics, validate_only: false };
    let decision = controller.create_topics(&request, &mut ids_from(&mut n));
    decision.response.iter().map(|r| code(&r.result)).collect()
}

fn code<T>(result: &Result<T, Refusal>) -> i16 {
    result.as_ref().map_or_else(|refusal| refusal.code.wire(), |_| 0)
}

#[test]
fn a_topic_is_created_with_the_brokers_defaults() {
    let mut controller = cluster(1, "num.partitions=3\n");
    let mut n = 0;
    let request = CreateTopics { topics: vec![new("orders")], validate_only: false };
    let decision = controller.create_topics(&request, &mut ids_from(&mut n));
    let created = decision.response[0].result.as_ref().unwrap();
    assert_eq!(
        (created.id, created.partitions, created.replication_factor),
        (TopicId([1; 16]), 3, 1)
    );
    assert!(created.configs.iter().any(|c| c.name == "cleanup.policy"));
    assert_eq!(decision.records.len(), 4);
    let topic = controller.image().topic_named("orders").unwrap();
    assert!(
        topic
            .partitions
            .iter()
            .all(|p| p.leader == BrokerId(1) && p.leader_epoch == LeaderEpoch(0))
    );
}

#[test]
fn configs_stand_between_the_topic_and_its_partitions() {
    let mut controller = one();
    let mut n = 0;
    let topics = vec![with("t", &[("retention.ms", "1"), ("cleanup.policy", "compact")])];
    let request = CreateTopics { topics, validate_only: false };
    let records = controller.create_topics(&request, &mut ids_from(&mut n)).records;
    assert!(matches!(records[0], Record::Topic { .. }));
    assert!(matches!(&records[1], Record::ConfigSet { key, .. } if key == "cleanup.policy"));
    assert!(matches!(&records[2], Record::ConfigSet { key, .. } if key == "retention.ms"));
    assert!(matches!(records[3], Record::Partition(_)));
    assert_eq!(controller.layers().topic("t").retention_ms, 1);
}

#[test]
fn names_are_refused_with_kafkas_codes() {
    let mut controller = one();
    assert_eq!(create(&mut controller, vec![new("a.b"), new("__consumer_offsets")]), [0, 0]);
    let codes = create(
        &mut controller,
        vec![
            new("a.b"),
            new("a_b"),
            new(".."),
            new("x y"),
            new("__cluster_metadata"),
            new("c.d"),
            new("c_d"),
        ],
    );
    assert_eq!(codes, [36, 17, 17, 17, 42, 0, 17], "two of one request collide too");
}

#[test]
fn a_name_twice_is_refused_once() {
    let mut controller = one();
    let codes = create(&mut controller, vec![new("a"), new("b"), new("a")]);
    assert_eq!(codes, [42, 0]);
    assert!(controller.image().topic_named("a").is_none());
}

#[test]
fn counts_are_refused_with_kafkas_codes() {
    let mut controller = one();
    let codes = create(
        &mut controller,
        vec![
            sized("a", 0, 1),
            sized("b", -2, 1),
            sized("c", 1, 0),
            sized("d", 1, -2),
            sized("e", 1, 2),
            sized("f", 0, 0),
            sized("g", 10_001, 1),
            sized("h", i32::MAX, 1),
            sized("i", 1, i16::MAX),
        ],
    );
    assert_eq!(codes, [37, 37, 38, 38, 38, 38, 44, 44, 38]);
    assert_eq!(controller.image().topic_count(), 0);
}

#[test]
fn a_request_creates_a_bounded_number_of_partitions() {
    let mut controller = one();
    let codes = create(
        &mut controller,
        vec![sized("a", 6000, 1), sized("b", 6000, 1), sized("c", 4000, 1)],
    );
    assert_eq!(codes, [0, 44, 0]);
}

#[test]
fn a_decision_fits_one_batch() {
    let mut controller = one();
    let list = (0..3000).map(|i| format!("{i}:1")).collect::<Vec<_>>().join(",");
    let key = "leader.replication.throttled.replicas";
    let topics = (0..60).map(|i| with(&format!("t{i}"), &[(key, &list)])).collect();
    let mut n = 0;
    let request = CreateTopics { topics, validate_only: false };
    let decision = controller.create_topics(&request, &mut ids_from(&mut n));
    let bytes: usize = decision.records.iter().map(|r| r.to_bytes().len()).sum();
    assert!(bytes > DECISION_BYTES_MAX * 9 / 10 && bytes < DECISION_BYTES_MAX);
    let codes: Vec<_> = decision.response.iter().map(|r| code(&r.result)).collect();
    let created = codes.iter().filter(|c| **c == 0).count();
    assert_eq!((created, codes.contains(&44)), (controller.image().topic_count(), true));
    // The largest request for partitions fits.
    let mut controller = cluster(3, "");
    assert_eq!(create(&mut controller, vec![sized("a", 10_000, 3)]), [0]);
}

#[test]
fn a_frame_full_of_tiny_items_is_cut_short() {
    let mut controller = one();
    let topics = (0..ITEMS_PER_REQUEST_MAX + 2).map(|i| with(&format!("t{i}"), &[("no.key", "1")]));
    let codes = create(&mut controller, topics.collect());
    assert!(codes[..ITEMS_PER_REQUEST_MAX].iter().all(|c| *c == 40));
    assert_eq!(codes[ITEMS_PER_REQUEST_MAX..], [44, 44]);
}

#[test]
fn a_default_factor_beyond_the_brokers_is_refused() {
    let mut controller = cluster(1, "default.replication.factor=3\n");
    assert_eq!(create(&mut controller, vec![new("a")]), [38]);
}

#[test]
fn assignments_are_refused_with_kafkas_codes() {
    let mut controller = cluster(3, "");
    let both =
        |p, rf| NewTopic { partitions: p, replication_factor: rf, ..assigned("x", &[(0, &[1])]) };
    assert_eq!(create(&mut controller, vec![both(1, -1)]), [42]);
    assert_eq!(create(&mut controller, vec![both(-1, 1)]), [42]);
    for bad in [
        &[(0, &[1, 2][..]), (0, &[1, 2])][..],
        &[(1, &[1])],
        &[(0, &[1]), (2, &[1])],
        &[(-1, &[1]), (0, &[1])],
        &[(0, &[])],
        &[(0, &[1, 1])],
        &[(0, &[9])],
        &[(0, &[1]), (1, &[1, 2])],
    ] {
        assert_eq!(create(&mut controller, vec![assigned("x", bad)]), [39], "{bad:?}");
    }
    assert_eq!(create(&mut controller, vec![assigned("x", &[(1, &[3, 1]), (0, &[2, 3])])]), [0]);
    let topic = controller.image().topic_named("x").unwrap();
    assert_eq!(*topic.partitions[0].replicas, [BrokerId(2), BrokerId(3)]);
    assert_eq!((topic.partitions[1].leader, topic.replication_factor()), (BrokerId(3), 2));
}

#[test]
fn configs_are_refused_with_code_40() {
    let mut controller = one();
    let null = NewTopic { configs: vec![("retention.ms".into(), None)], ..new("d") };
    let codes = create(
        &mut controller,
        vec![
            with("a", &[("nope", "1")]),
            with("b", &[("retention.ms", "x")]),
            with("c", &[("retention.ms", "-2")]),
            null,
        ],
    );
    assert_eq!(codes, [40; 4]);
}

#[test]
fn validate_only_persists_nothing() {
    let mut controller = one();
    let before = controller.image().clone();
    let mut n = 0;
    let request =
        CreateTopics { topics: vec![sized("a", 2, 1), sized("b", 0, 1)], validate_only: true };
    let decision = controller.create_topics(&request, &mut ids_from(&mut n));
    assert!(decision.records.is_empty());
    let created = decision.response[0].result.as_ref().unwrap();
    assert_eq!((created.partitions, created.id), (2, TopicId::ZERO));
    assert_eq!(code(&decision.response[1].result), 37);
    assert_eq!(*controller.image(), before);
}

#[test]
fn a_taken_or_reserved_id_is_not_used_again() {
    let mut controller = one();
    create(&mut controller, vec![new("a")]);
    let mut next =
        [TopicId::ZERO, TopicId::METADATA, TopicId([1; 16]), TopicId([0xfb; 16]), TopicId([2; 16])]
            .into_iter();
    assert!(
        TopicId([0xfb; 16]).to_string().starts_with('-'),
        "a command line takes it for an option"
    );
    let request = CreateTopics { topics: vec![new("b")], validate_only: false };
    let decision = controller.create_topics(&request, &mut || next.next().unwrap());
    let id = decision.response[0].result.as_ref().unwrap().id;
    assert_eq!(id, TopicId([2; 16]));
    let stuck = controller
        .create_topics(&CreateTopics { topics: vec![new("c")], validate_only: false }, &mut || {
            TopicId([1; 16])
        });
    assert_eq!(code(&stuck.response[0].result), -1);
}

#[test]
fn internal_topics_fit_a_single_node() {
    let mut controller = one();
    let mut n = 0;
    let mut fresh = ids_from(&mut n);
    let created =
        controller.create_internal_topic(InternalTopic::ConsumerOffsets, &mut fresh).unwrap();
    assert_eq!((created.response.partitions, created.response.replication_factor), (50, 1));
    let config = controller.layers().topic("__consumer_offsets");
    assert!(config.cleanup.compact && !config.cleanup.delete);
    assert_eq!(config.segment_bytes, 104_857_600);
    controller.create_internal_topic(InternalTopic::TransactionState, &mut fresh).unwrap();
    assert_eq!(controller.layers().topic("__transaction_state").min_insync_replicas, 2);
    let share = controller.create_internal_topic(InternalTopic::ShareGroupState, &mut fresh);
    assert!(share.is_ok());
    let again = controller.create_internal_topic(InternalTopic::ConsumerOffsets, &mut fresh);
    assert_eq!(code(&again), 36);
}

#[test]
fn internal_topics_need_a_broker() {
    let mut controller = cluster(0, "");
    let mut n = 0;
    let refused =
        controller.create_internal_topic(InternalTopic::ConsumerOffsets, &mut ids_from(&mut n));
    assert_eq!(code(&refused), 38);
}

fn by_name(name: &str) -> TopicRef {
    TopicRef { name: Some(name.into()), id: TopicId::ZERO }
}

fn by_id(n: u8) -> TopicRef {
    TopicRef { name: None, id: TopicId([n; 16]) }
}

fn delete(controller: &mut Controller, topics: Vec<TopicRef>) -> Vec<i16> {
    let decision = controller.delete_topics(&DeleteTopics { topics, version: 6 });
    let deleted = decision.response.iter().filter(|r| r.result.is_ok()).count();
    assert_eq!(decision.records.len(), deleted);
    decision.response.iter().map(|r| code(&r.result)).collect()
}

#[test]
fn topics_are_deleted_by_name_and_by_id() {
    let mut controller = one();
    create(&mut controller, vec![new("a"), new("b")]);
    assert_eq!(delete(&mut controller, vec![by_name("a"), by_id(2)]), [0, 0]);
    assert_eq!(controller.image().topic_count(), 0);
    assert_eq!(delete(&mut controller, vec![by_name("a"), by_id(2)]), [3, 100]);
}

#[test]
fn a_topic_named_twice_is_not_deleted() {
    let mut controller = one();
    create(&mut controller, vec![new("a"), new("b")]);
    let both = TopicRef { name: Some("a".into()), id: TopicId([1; 16]) };
    let neither = TopicRef { name: None, id: TopicId::ZERO };
    assert_eq!(delete(&mut controller, vec![both, neither]), [42, 42]);
    assert_eq!(delete(&mut controller, vec![by_name("a"), by_name("a")]), [42]);
    assert_eq!(delete(&mut controller, vec![by_id(1), by_id(1), by_id(2)]), [42, 0]);
    assert_eq!(delete(&mut controller, vec![by_name("a"), by_id(1)]), [42, 42]);
    assert_eq!(delete(&mut controller, vec![by_id(1), by_name("a")]), [42, 42]);
    assert!(controller.image().topic_named("a").is_some());
}

#[test]
fn deletion_can_be_disabled() {
    let mut controller = cluster(1, "delete.topic.enable=false\n");
    create(&mut controller, vec![new("a")]);
    assert_eq!(delete(&mut controller, vec![by_name("a"), by_name("zzz")]), [73, 73]);
    let old = DeleteTopics { topics: vec![by_name("a")], version: 2 };
    assert_eq!(code(&controller.delete_topics(&old).response[0].result), 42);
    assert!(controller.image().topic_named("a").is_some());
}

#[test]
fn a_recreated_topic_has_a_new_id_and_no_old_configs() {
    let mut controller = one();
    create(&mut controller, vec![with("a", &[("retention.ms", "5")]), new("b")]);
    delete(&mut controller, vec![by_name("a")]);
    let mut n = 10;
    let request = CreateTopics { topics: vec![new("a")], validate_only: false };
    controller.create_topics(&request, &mut ids_from(&mut n));
    assert_eq!(controller.image().topic_named("a").unwrap().id, TopicId([11; 16]));
    assert_eq!(controller.layers().topic("a").retention_ms, 604_800_000);
}

fn grow(
    controller: &mut Controller,
    name: &str,
    count: i32,
    assignments: Option<&[&[i32]]>,
) -> i16 {
    let assignments =
        assignments.map(|a| a.iter().map(|r| r.iter().copied().map(BrokerId).collect()).collect());
    let topics = vec![MorePartitions { name: name.into(), count, assignments }];
    let decision = controller.create_partitions(&CreatePartitions { topics, validate_only: false });
    code(&decision.response[0].result)
}

#[test]
fn partitions_are_added_but_never_taken() {
    let mut controller = cluster(3, "");
    create(&mut controller, vec![sized("a", 4, 2)]);
    let before = controller.image().topic_named("a").unwrap().clone();
    assert_eq!(grow(&mut controller, "nope", 9, None), 3);
    for count in [4, 3, 0, -1] {
        assert_eq!(grow(&mut controller, "a", count, None), 37, "{count}");
    }
    assert_eq!(grow(&mut controller, "a", 10_005, None), 44);
    assert_eq!(grow(&mut controller, "a", 6, None), 0);
    let topic = controller.image().topic_named("a").unwrap();
    assert_eq!((topic.partitions.len(), &topic.partitions[..4]), (6, &before.partitions[..]));
    assert!(topic.partitions.iter().all(|p| p.replicas.len() == 2));
}

#[test]
fn added_partitions_can_be_assigned() {
    let mut controller = cluster(3, "");
    create(&mut controller, vec![sized("a", 1, 2)]);
    for (count, assignments, expected) in [
        (2, &[][..], 39),
        (3, &[&[1, 2][..]][..], 39),
        (2, &[&[1][..]][..], 39),
        (2, &[&[1, 9][..]][..], 39),
        (2, &[&[1, 1][..]][..], 39),
        (2, &[&[3, 2][..]][..], 0),
    ] {
        assert_eq!(
            grow(&mut controller, "a", count, Some(assignments)),
            expected,
            "{assignments:?}"
        );
    }
    let topic = controller.image().topic_named("a").unwrap();
    assert_eq!(topic.partitions[1].leader, BrokerId(3));
}

#[test]
fn growth_can_be_only_checked_and_a_name_is_taken_once() {
    let mut controller = one();
    create(&mut controller, vec![new("a")]);
    let more = |name: &str| MorePartitions { name: name.into(), count: 3, assignments: None };
    let check = CreatePartitions { topics: vec![more("a")], validate_only: true };
    let decision = controller.create_partitions(&check);
    assert_eq!((decision.records.len(), code(&decision.response[0].result)), (0, 0));
    assert_eq!(controller.image().partition_count(), 1);
    let twice = CreatePartitions { topics: vec![more("a"), more("a")], validate_only: false };
    let decision = controller.create_partitions(&twice);
    assert_eq!((decision.response.len(), code(&decision.response[0].result)), (1, 42));
}

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

const TOPIC: i8 = 2;
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

#[test]
fn producer_ids_never_repeat() {
    let mut controller = one();
    let first = controller.allocate_producer_ids(BrokerId(1)).unwrap();
    let second = controller.allocate_producer_ids(BrokerId(1)).unwrap();
    assert_eq!(first.response, ProducerIds { first: ProducerId(0), count: 1000 });
    assert_eq!(second.response.first, ProducerId(1000));
    assert_eq!((first.records.len(), second.records.len()), (1, 1));
    assert_eq!(code(&controller.allocate_producer_ids(BrokerId(9))), 42);
}

#[test]
fn a_start_raises_epochs_and_wants_a_newer_incarnation() {
    let mut controller = one();
    create(&mut controller, vec![sized("a", 2, 1)]);
    let decision = controller.start(registration(1, 2)).unwrap();
    assert_eq!(decision.records.len(), 2);
    let id = PartitionId { topic: TopicId([1; 16]), index: PartitionIndex(1) };
    assert_eq!(controller.image().partition(id).unwrap().leader_epoch, LeaderEpoch(1));
    for incarnation in [0, 2] {
        assert_eq!(code(&controller.start(registration(1, incarnation))), 101);
    }
}

#[test]
fn impossible_registrations_are_refused() {
    let good = registration(1, 9);
    let endpoint = |listener: &str, host: &str, port| Endpoint {
        listener: listener.into(),
        host: host.into(),
        port,
    };
    for bad in [
        BrokerRegistered { broker: BrokerId(-1), ..good.clone() },
        BrokerRegistered { cores: 0, ..good.clone() },
        BrokerRegistered { endpoints: vec![], ..good.clone() },
        BrokerRegistered { endpoints: vec![endpoint("A", "", 1)], ..good.clone() },
        BrokerRegistered { endpoints: vec![endpoint("A", "h", 0)], ..good.clone() },
        BrokerRegistered {
            endpoints: vec![endpoint("A", "h", 1), endpoint("A", "h", 2)],
            ..good.clone()
        },
        BrokerRegistered { rack: Some("x".repeat(40_000)), ..good.clone() },
    ] {
        assert_eq!(code(&one().start(bad.clone())), 42, "{bad:?}");
    }
    let mut unformatted = Controller::new(BrokerId(1), StaticConfig::default());
    assert_eq!(code(&unformatted.start(good)), 42);
}

#[test]
fn a_cluster_is_formatted_once() {
    let mut controller = Controller::new(BrokerId(1), StaticConfig::default());
    assert_eq!(code(&controller.format("")), 42);
    assert_eq!(code(&controller.format(&"x".repeat(129))), 42);
    assert_eq!(code(&controller.format("abc")), 0);
    assert_eq!(code(&controller.format("abc")), 42);
}

#[test]
fn codes_are_kafkas_numbers() {
    for (code, number) in [
        (ErrorCode::UnknownServerError, -1),
        (ErrorCode::UnknownTopicOrPartition, 3),
        (ErrorCode::InvalidTopic, 17),
        (ErrorCode::TopicAlreadyExists, 36),
        (ErrorCode::InvalidPartitions, 37),
        (ErrorCode::InvalidReplicationFactor, 38),
        (ErrorCode::InvalidReplicaAssignment, 39),
        (ErrorCode::InvalidConfig, 40),
        (ErrorCode::InvalidRequest, 42),
        (ErrorCode::PolicyViolation, 44),
        (ErrorCode::TopicDeletionDisabled, 73),
        (ErrorCode::UnknownTopicId, 100),
    ] {
        assert_eq!(code.wire(), number);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Create(Vec<(u8, i32, i16)>, bool),
    Delete(Vec<(Option<u8>, u8)>),
    Grow(u8, i32),
    Alter(u8, u8, i8, u8),
    Restart(u64),
    Ids,
}

const NAMES: [&str; 6] = ["a.b", "a_b", "c", "d", "__consumer_offsets", ".."];
const KEYS: [(&str, &str); 4] =
    [("retention.ms", "7"), ("cleanup.policy", "compact"), ("nope", "1"), ("segment.bytes", "1")];

fn step() -> impl Strategy<Value = Step> {
    let topic = (0..6u8, -2..4i32, -2..4i16);
    prop_oneof![
        (proptest::collection::vec(topic, 0..4), any::<bool>())
            .prop_map(|(t, v)| Step::Create(t, v)),
        proptest::collection::vec((proptest::option::of(0..6u8), 0..30u8), 0..3)
            .prop_map(Step::Delete),
        (0..6u8, -1..9i32).prop_map(|(n, c)| Step::Grow(n, c)),
        (0..6u8, 0..4u8, -1..5i8, 0..4u8).prop_map(|(n, k, op, v)| Step::Alter(n, k, op, v)),
        (0..20u64).prop_map(Step::Restart),
        Just(Step::Ids),
    ]
}

proptest! {
    /// Whatever is asked: the records of every decision follow from those before, a follower that replays them (through
    /// their bytes) has the controller's image, and ids and epochs never come again.
    #[test]
    fn a_replica_of_the_records_is_the_controllers_image(steps in proptest::collection::vec(step(), 0..40)) {
        let mut controller = Controller::new(BrokerId(1), StaticConfig::default());
        let mut replica = ClusterImage::new();
        let mut log = controller.format("c").unwrap().records;
        log.extend(controller.start(registration(1, 1)).unwrap().records);
        log.extend(controller.start(registration(2, 1)).unwrap().records);
        let mut n = 0u8;
        let mut used = std::collections::BTreeSet::new();
        let mut next_id = 0;
        for step in steps {
            let records = match step {
                Step::Create(topics, validate_only) => {
                    let topics = topics.iter().map(|(n, p, rf)| sized(NAMES[usize::from(*n)], *p, *rf)).collect();
                    let mut fresh = || { n = n.wrapping_add(1); TopicId([n; 16]) };
                    controller.create_topics(&CreateTopics { topics, validate_only }, &mut fresh).records
                }
                Step::Delete(topics) => {
                    let topics = topics.iter().map(|(name, id)| TopicRef {
                        name: name.map(|n| NAMES[usize::from(n)].into()),
                        id: TopicId([*id; 16]),
                    }).collect();
                    controller.delete_topics(&DeleteTopics { topics, version: 6 }).records
                }
                Step::Grow(n, count) => {
                    let name = NAMES[usize::from(n)].into();
                    let topics = vec![MorePartitions { name, count, assignments: None }];
                    controller.create_partitions(&CreatePartitions { topics, validate_only: false }).records
                }
                Step::Alter(n, k, op, v) => {
                    let (key, _) = KEYS[usize::from(k)];
                    let (_, value) = KEYS[usize::from(v)];
                    let configs = vec![(key.to_owned(), op, Some(value.to_owned()))];
                    let name = NAMES[usize::from(n)].into();
                    let resources = vec![IncrementalResource { kind: TOPIC, name, configs }];
                    let request = IncrementalAlterConfigs { resources, validate_only: false };
                    controller.incremental_alter_configs(&request).records
                }
                Step::Restart(i) => controller.start(registration(1, i)).map_or(vec![], |d| d.records),
                Step::Ids => {
                    let block = controller.allocate_producer_ids(BrokerId(1)).unwrap();
                    prop_assert!(block.response.first.0 >= next_id);
                    next_id = block.response.first.0 + i64::from(block.response.count);
                    block.records
                }
            };
            for record in &records {
                if let Record::Topic { id, .. } = record {
                    prop_assert!(used.insert(*id), "topic id used again");
                }
            }
            log.extend(records);
            for record in log.drain(..) {
                let record = Record::decode(&record.to_bytes()).unwrap();
                prop_assert!(replica.apply(&record).is_ok(), "{:?}", record);
            }
            prop_assert_eq!(&replica, controller.image());
            for topic in replica.topics() {
                prop_assert!(!topic.partitions.is_empty());
                prop_assert!(topic.partitions.iter().all(|p| p.leader != BrokerId::NONE));
                let overrides = replica.overrides(&Resource::topic(&topic.name));
                if let Some(overrides) = overrides {
                    prop_assert!(controller.layers().check_topic(&topic.name, overrides).is_ok());
                }
            }
        }
    }
}
