//! ConsumerGroupHeartbeat that makes no sense by itself: INVALID_REQUEST, and nothing has changed.

use super::{Scene, join, partitions};
use coordinator::{ConsumerGroupHeartbeat, Outcome};
use ringwood_coordinator as coordinator;
use wire::ErrorCode;

type Beat = ConsumerGroupHeartbeat<'static>;

/// A static member joins with all that it has to say.
fn sound() -> Beat {
    join(("A", Some("i")))
}

/// One that is there says that it is still there.
fn still(epoch: i32) -> Beat {
    Beat {
        member_epoch: epoch,
        rebalance_timeout_ms: -1,
        subscribed_topic_names: None,
        topic_partitions: None,
        ..sound()
    }
}

/// What is wrong, and the request.
fn senseless() -> Vec<(&'static str, Beat)> {
    vec![
        ("no group", Beat { group_id: "", ..sound() }),
        ("a blank group", Beat { group_id: " ", ..sound() }),
        ("no member that joins", Beat { member_id: "", ..sound() }),
        ("a blank member that joins", Beat { member_id: " ", ..sound() }),
        ("no member that goes on", Beat { member_id: "", ..still(1) }),
        ("no member that leaves", Beat { member_id: "", ..still(-1) }),
        ("no member before version 1", Beat { member_id: "", brings_member_id: false, ..still(1) }),
        (
            "no leaver before version 1",
            Beat { member_id: "", brings_member_id: false, ..still(-1) },
        ),
        ("an empty instance", Beat { instance_id: Some(""), ..sound() }),
        ("an empty rack", Beat { rack_id: Some(""), ..sound() }),
        ("an empty instance later", Beat { instance_id: Some(""), ..still(1) }),
        ("an empty rack later", Beat { rack_id: Some(""), ..still(1) }),
        ("a join without timeout", Beat { rebalance_timeout_ms: -1, ..sound() }),
        ("a join that says nothing of partitions", Beat { topic_partitions: None, ..sound() }),
        ("a join with partitions", Beat { topic_partitions: Some(partitions(&[0])), ..sound() }),
        ("a join that wants nothing", Beat { subscribed_topic_names: None, ..sound() }),
        ("a dynamic member away for a while", Beat { instance_id: None, ..still(-2) }),
        ("an epoch that is none", still(-3)),
        ("the lowest epoch", still(i32::MIN)),
    ]
}

fn are_refused(scene: &mut Scene) {
    for (what, request) in senseless() {
        let answer = scene.beat(&request);
        assert_eq!(answer.error_code, ErrorCode::INVALID_REQUEST, "{what}");
        assert!(answer.error_message.is_some_and(|why| !why.is_empty()), "{what}");
        assert_eq!((answer.member_id, answer.assignment), (None, None), "{what}");
        assert!(scene.coordinator.poll_append().is_none(), "{what} is written");
    }
}

#[test]
fn a_heartbeat_that_makes_no_sense_is_refused_and_changes_nothing() {
    let mut scene = Scene::new();
    are_refused(&mut scene);
    assert!(scene.coordinator.list_groups(&[], &[]).is_empty(), "no group was made");

    // Nor does it change a group that is there.
    assert_eq!(scene.joins(("A", Some("i"))), (1, Some(vec![0, 1])));
    let before = scene.coordinator.describe_consumer_group("g").unwrap();
    are_refused(&mut scene);
    assert_eq!(scene.coordinator.describe_consumer_group("g").unwrap(), before);
    assert_eq!(scene.beat(&still(1)).error_code, ErrorCode::NONE);
}

#[test]
fn members_that_want_no_topic_yet_or_a_pattern_may_join() {
    let mut scene = Scene::new();
    let none = Beat { subscribed_topic_names: Some(Vec::new()), ..join(("A", None)) };
    let answer = scene.beat(&none);
    assert_eq!((answer.error_code, answer.assignment), (ErrorCode::NONE, Some(Vec::new())));
    let pattern = Beat {
        subscribed_topic_names: None,
        subscribed_topic_regex: Some("t.*"),
        ..join(("B", None))
    };
    assert_eq!(scene.beat(&pattern).error_code, ErrorCode::NONE);
    assert_eq!(scene.coordinator.describe_consumer_group("g").unwrap().members.len(), 2);
}

#[test]
fn before_version_1_the_broker_gives_the_member_its_id() {
    let mut scene = Scene::new();
    let request = Beat { brings_member_id: false, ..join(("", None)) };
    let outcome = scene.coordinator.consumer_group_heartbeat(&request, "fresh", scene.now);
    assert!(matches!(outcome, Outcome::Parked(_)), "a member is written before it is answered");
    let answer = scene.answer(outcome);
    assert_eq!((answer.error_code, answer.member_id.as_deref()), (ErrorCode::NONE, Some("fresh")));
    scene.goes_on(("fresh", None), 1, &[0, 1]);
}

#[test]
fn an_assignor_that_the_broker_does_not_offer_is_refused() {
    let config = coordinator::Config {
        consumer_assignors: vec!["range".to_owned()],
        ..coordinator::Config::default()
    };
    let mut scene = Scene::with(config);
    for name in ["uniform", "sticky", ""] {
        let answer = scene.beat(&Beat { server_assignor: Some(name), ..sound() });
        assert_eq!(answer.error_code, ErrorCode::UNSUPPORTED_ASSIGNOR, "{name}");
    }
    assert!(scene.coordinator.list_groups(&[], &[]).is_empty());
    let answer = scene.beat(&Beat { server_assignor: Some("range"), ..sound() });
    assert_eq!(answer.error_code, ErrorCode::NONE);
}
