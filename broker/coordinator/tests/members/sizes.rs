//! `group.consumer.max.size`: a group takes no more members than that, of whichever protocol.

use super::policies::{classic_group, joins_as_classic};
use super::{Scene, join};
use coordinator::{Config, ConsumerGroupHeartbeat};
use ringwood_coordinator as coordinator;
use wire::ErrorCode;

fn of_two() -> Scene {
    Scene::with(Config { consumer_max_size: 2, ..Config::default() })
}

fn ids(scene: &Scene) -> Vec<String> {
    let described = scene.coordinator.describe_consumer_group("g").unwrap();
    described.members.into_iter().map(|m| m.member_id).collect()
}

#[test]
fn a_full_group_takes_nobody_but_its_members() {
    let mut scene = of_two();
    scene.joins(("A", None));
    scene.joins(("B", Some("i")));
    let answer = scene.beat(&join(("C", None)));
    assert_eq!(answer.error_code, ErrorCode::GROUP_MAX_SIZE_REACHED);
    assert_eq!(answer.assignment, None);
    let answer = scene.beat(&join(("C", Some("j"))));
    assert_eq!(answer.error_code, ErrorCode::GROUP_MAX_SIZE_REACHED);
    // One of the classic protocol would be a member of it too.
    let refused = joins_as_classic(&mut scene, "1").unwrap_err();
    assert_eq!(refused, ErrorCode::GROUP_MAX_SIZE_REACHED);
    assert_eq!(ids(&scene), ["A", "B"]);

    // Who joins again is no further member, nor is one that comes back in a static member's place.
    scene.joins(("A", None));
    let away = ConsumerGroupHeartbeat { member_epoch: -2, ..join(("B", Some("i"))) };
    assert_eq!(scene.beat(&away).error_code, ErrorCode::NONE);
    assert_eq!(scene.beat(&join(("C", None))).error_code, ErrorCode::GROUP_MAX_SIZE_REACHED);
    scene.joins(("D", Some("i")));
    assert_eq!(ids(&scene), ["A", "D"]);

    // Whoever leaves makes room.
    let leaves = ConsumerGroupHeartbeat { member_epoch: -1, ..join(("A", None)) };
    assert_eq!(scene.beat(&leaves).error_code, ErrorCode::NONE);
    scene.joins(("C", None));
    assert_eq!(ids(&scene), ["C", "D"]);
}

#[test]
fn a_full_classic_group_takes_none_of_the_consumer_protocol() {
    let mut scene = Scene::with(Config { consumer_max_size: 1, ..Config::default() });
    classic_group(&mut scene);
    assert!(scene.beat(&join(("A", None))).error_code.is_error());
    assert!(scene.coordinator.describe_consumer_group("g").is_none(), "it is no consumer group");
    assert_eq!(scene.coordinator.describe_group("g").unwrap().members.len(), 1);
}
