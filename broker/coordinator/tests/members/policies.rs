//! `group.consumer.migration.policy`: which way a group may go while it has members. Without members it goes either way.

use super::{Scene, join};
use coordinator::{
    Config, ConsumerGroupHeartbeat, Heartbeat, JoinGroup, LeaveGroup, LeavingMember,
    MigrationPolicy, SyncGroup,
};
use ids::PartitionIndex;
use ringwood_coordinator as coordinator;
use std::time::Duration;
use wire::ErrorCode;
use wire::internal::Prefixed;
use wire::internal::consumer_protocol::{
    ConsumerPartitions, ConsumerProtocolAssignment, ConsumerProtocolSubscription,
};

const ALL: [MigrationPolicy; 4] = [
    MigrationPolicy::Bidirectional,
    MigrationPolicy::Upgrade,
    MigrationPolicy::Downgrade,
    MigrationPolicy::Disabled,
];

fn with(policy: MigrationPolicy) -> Scene {
    Scene::with(Config { consumer_migration: policy, ..Config::default() })
}

/// JoinGroup by a new member of the classic protocol, which reads `t`: member id and generation.
pub(super) fn joins_as_classic(scene: &mut Scene, fresh: &str) -> Result<(String, i32), ErrorCode> {
    let mut said = Vec::new();
    let subscription = ConsumerProtocolSubscription { topics: vec!["t"], ..Default::default() };
    subscription.encode_prefixed(1, &mut said).unwrap();
    let join = JoinGroup {
        group_id: "g",
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer",
        protocols: vec![("range", &said)],
        ..JoinGroup::default()
    };
    let outcome = scene.coordinator.join_group(&join, fresh, scene.now);
    // An empty group waits for more of them.
    scene.pass(Duration::from_secs(3));
    let joined = scene.answer(outcome);
    match joined.error_code {
        ErrorCode::NONE => Ok((joined.member_id, joined.generation_id)),
        code => Err(code),
    }
}

/// A stable classic group with one member, which has both partitions of `t`: member id and generation.
pub(super) fn classic_group(scene: &mut Scene) -> (String, i32) {
    let (member_id, generation_id) = joins_as_classic(scene, "1").unwrap();
    let mut given = Vec::new();
    let both =
        ConsumerPartitions { topic: "t", partitions: vec![PartitionIndex(0), PartitionIndex(1)] };
    let assignment =
        ConsumerProtocolAssignment { assigned_partitions: vec![both], ..Default::default() };
    assignment.encode_prefixed(1, &mut given).unwrap();
    let sync = SyncGroup {
        group_id: "g",
        generation_id,
        member_id: &member_id,
        assignments: vec![(&member_id, &given)],
        ..SyncGroup::default()
    };
    let outcome = scene.coordinator.sync_group(&sync, scene.now);
    assert_eq!(scene.answer(outcome).error_code, ErrorCode::NONE);
    (member_id, generation_id)
}

fn beats(scene: &mut Scene, (member_id, generation_id): &(String, i32)) -> ErrorCode {
    let beat = Heartbeat {
        group_id: "g",
        generation_id: *generation_id,
        member_id,
        group_instance_id: None,
    };
    scene.coordinator.heartbeat(beat, scene.now)
}

fn leaves(scene: &mut Scene, member_id: &str) {
    let leaving = LeavingMember { member_id, group_instance_id: None };
    let request = LeaveGroup { group_id: "g", members: vec![leaving] };
    let outcome = scene.coordinator.leave_group(&request, scene.now);
    assert_eq!(scene.answer(outcome).error_code, ErrorCode::NONE);
}

/// The group's type, and how many members it has.
fn kind(scene: &Scene) -> (&'static str, usize) {
    let consumers = scene.coordinator.describe_consumer_group("g");
    let classic = scene.coordinator.describe_group("g");
    match (consumers, classic) {
        (Some(consumers), None) => ("consumer", consumers.members.len()),
        (None, Some(classic)) => ("classic", classic.members.len()),
        both => panic!("one of them: {both:?}"),
    }
}

#[test]
fn a_classic_group_with_members_takes_one_of_the_consumer_protocol_if_the_policy_upgrades() {
    for policy in ALL {
        let upgrades = matches!(policy, MigrationPolicy::Bidirectional | MigrationPolicy::Upgrade);
        let mut scene = with(policy);
        let member = classic_group(&mut scene);
        assert_eq!(kind(&scene), ("classic", 1));
        let answer = scene.beat(&join(("A", None)));
        if upgrades {
            assert_eq!(answer.error_code, ErrorCode::NONE, "{policy:?}");
            assert_eq!(kind(&scene), ("consumer", 2), "{policy:?}");
            assert_eq!(answer.assignment, Some(Vec::new()), "the other one has both");
            assert_eq!(beats(&mut scene, &member), ErrorCode::REBALANCE_IN_PROGRESS, "{policy:?}");
            continue;
        }
        assert_eq!(answer.error_code, ErrorCode::GROUP_ID_NOT_FOUND, "{policy:?}");
        assert_eq!(kind(&scene), ("classic", 1), "{policy:?}");
        assert_eq!(beats(&mut scene, &member), ErrorCode::NONE, "{policy:?}: it is not disturbed");
        // Who has no members has nothing to hand over.
        leaves(&mut scene, &member.0);
        assert_eq!(kind(&scene), ("classic", 0), "{policy:?}");
        assert_eq!(scene.joins(("A", None)).1, Some(vec![0, 1]), "{policy:?}");
        assert_eq!(kind(&scene), ("consumer", 1), "{policy:?}");
    }
}

#[test]
fn a_group_becomes_classic_when_the_last_of_the_other_protocol_goes_if_the_policy_downgrades() {
    for policy in ALL {
        let downgrades =
            matches!(policy, MigrationPolicy::Bidirectional | MigrationPolicy::Downgrade);
        let mut scene = with(policy);
        scene.joins(("A", None));
        // Into a consumer group members of the classic protocol come under each policy.
        let member = joins_as_classic(&mut scene, "1").unwrap();
        assert_eq!(kind(&scene), ("consumer", 2), "{policy:?}");
        let gone = ConsumerGroupHeartbeat { member_epoch: -1, ..join(("A", None)) };
        assert_eq!(scene.beat(&gone).error_code, ErrorCode::NONE);
        let expected = if downgrades { "classic" } else { "consumer" };
        assert_eq!(kind(&scene), (expected, 1), "{policy:?}");
        // Either way it is called back, for it may have more now.
        assert_eq!(beats(&mut scene, &member), ErrorCode::REBALANCE_IN_PROGRESS, "{policy:?}");
        // A consumer group takes members of its protocol; a classic one if the policy upgrades.
        let answer = scene.beat(&join(("B", None)));
        let code = if policy == MigrationPolicy::Downgrade {
            ErrorCode::GROUP_ID_NOT_FOUND
        } else {
            ErrorCode::NONE
        };
        assert_eq!(answer.error_code, code, "{policy:?}");
    }
}

#[test]
fn a_consumer_group_without_members_becomes_classic_under_each_policy() {
    for policy in ALL {
        let mut scene = with(policy);
        scene.joins(("A", None));
        let gone = ConsumerGroupHeartbeat { member_epoch: -1, ..join(("A", None)) };
        assert_eq!(scene.beat(&gone).error_code, ErrorCode::NONE);
        assert_eq!(kind(&scene), ("consumer", 0), "{policy:?}");
        let member = classic_group(&mut scene);
        assert_eq!(kind(&scene), ("classic", 1), "{policy:?}");
        assert_eq!(beats(&mut scene, &member), ErrorCode::NONE, "{policy:?}");
    }
}
