//! DeleteTopics.

use super::*;

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
