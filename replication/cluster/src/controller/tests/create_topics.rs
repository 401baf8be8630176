//! CreateTopics, and the internal topics.

use super::*;

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
