//! Static members (KIP-345), and member ids that more than one brings.

use super::{Scene, join};
use coordinator::ConsumerGroupHeartbeat;
use ringwood_coordinator as coordinator;
use wire::ErrorCode;

#[test]
fn what_a_replaced_member_had_is_free() {
    let mut scene = Scene::new();
    let (a, b, a_as_i) = (("A", None), ("B", Some("i")), ("A", Some("i")));
    let (epoch, has) = scene.joins(a);
    assert_eq!(has, Some(vec![0, 1]));
    let (b_epoch, has) = scene.joins(b);
    assert_eq!(has, Some(vec![]));
    let (epoch_of_a, has) = scene.goes_on(a, epoch, &[0, 1]);
    let kept = has.unwrap();
    assert_eq!((epoch_of_a, kept.len()), (epoch, 1), "it has to give one up first");
    scene.goes_on(a, epoch, &kept);
    let (b_epoch, has) = scene.goes_on(b, b_epoch, &[]);
    let had = has.unwrap();
    assert_eq!(had.len(), 1);
    let away = ConsumerGroupHeartbeat { member_epoch: -2, ..join(b) };
    assert_eq!(scene.beat(&away).error_code, ErrorCode::NONE);

    // A is in B's place now; nobody else is there, so it gets both: the one that B had and the one that it had itself.
    let (epoch, has) = scene.joins(a_as_i);
    assert!(epoch > b_epoch, "the group has one member less");
    assert_eq!(has, Some(vec![0, 1]), "a partition of a member that is gone has an owner");
    // And who comes next gets one of them as soon as it is given up.
    let (c_epoch, _) = scene.joins(("C", None));
    let (_, has) = scene.goes_on(a_as_i, epoch, &[0, 1]);
    let kept = has.unwrap();
    scene.goes_on(a_as_i, epoch, &kept);
    let (_, has) = scene.goes_on(("C", None), c_epoch, &[]);
    assert_eq!(has.unwrap().len() + kept.len(), 2);
}

#[test]
fn a_replaced_static_member_leaves_its_instance_id() {
    let mut scene = Scene::new();
    scene.joins(("A", Some("j")));
    scene.joins(("B", Some("i")));
    let away = ConsumerGroupHeartbeat { member_epoch: -2, ..join(("B", Some("i"))) };
    assert_eq!(scene.beat(&away).error_code, ErrorCode::NONE);
    let (epoch, _) = scene.joins(("A", Some("i")));
    // Nobody has the instance id j: whoever brings it is a new member.
    scene.joins(("D", Some("j")));
    // A is i and goes on.
    scene.goes_on(("A", Some("i")), epoch, &[]);
}

#[test]
fn a_member_that_joins_with_another_instance_id_has_that_one() {
    let mut scene = Scene::new();
    scene.joins(("A", None));
    for instance in ["i", "j"] {
        let who = ("A", Some(instance));
        let (epoch, has) = scene.joins(who);
        assert_eq!(has, Some(vec![0, 1]));
        scene.goes_on(who, epoch, &[0, 1]);
    }
    let stale = ConsumerGroupHeartbeat { member_epoch: 1, ..join(("A", Some("i"))) };
    assert_eq!(scene.beat(&stale).error_code, ErrorCode::UNKNOWN_MEMBER_ID);
    let described = scene.coordinator.describe_consumer_group("g").unwrap();
    let named: Vec<_> = described.members.iter().map(|m| m.instance_id.as_deref()).collect();
    assert_eq!(named, [Some("j")]);
    // It joins without one, as a client does that lost its configuration: it stays the static member that it is.
    let (epoch, _) = scene.joins(("A", None));
    scene.goes_on(("A", Some("j")), epoch, &[0, 1]);
}
