//! Members are many, and memory is not: there is a bound for all groups of a core.

use super::{Scene, join};
use coordinator::{
    CommitPartition, CommitTopic, ConsumerGroupHeartbeat, Coordinator, JoinGroup, LeaveGroup,
    LeavingMember, MemberMemory, OffsetCommit, OffsetDelete, Outcome, Response, SyncGroup,
};
use ids::{LeaderEpoch, Offset, PartitionIndex};
use ringwood_coordinator as coordinator;
use std::rc::Rc;
use std::time::Duration;
use wire::ErrorCode;

const MAX: usize = 1 << 20;

/// JoinGroup of a new member that says `metadata`: its id if it may come.
fn comes(
    scene: &mut Scene,
    group: &str,
    fresh: &str,
    metadata: &[u8],
) -> Result<String, ErrorCode> {
    let request = JoinGroup {
        group_id: group,
        client_id: "c",
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "connect",
        protocols: vec![("p", metadata)],
        ..JoinGroup::default()
    };
    match scene.coordinator.join_group(&request, fresh, scene.now) {
        Outcome::Parked(_) => Ok(format!("c-{fresh}")),
        Outcome::Ready(r) => Err(r.error_code),
    }
}

fn bounded() -> (Scene, Rc<MemberMemory>) {
    let mut scene = Scene::new();
    let memory = MemberMemory::new(MAX);
    scene.coordinator =
        std::mem::replace(&mut scene.coordinator, Coordinator::new(Default::default()))
            .within(Rc::clone(&memory));
    (scene, memory)
}

#[test]
fn members_of_many_groups_take_no_more_than_they_may() {
    let (mut scene, memory) = bounded();
    let said = vec![b'x'; 10_000];
    let mut came = Vec::new();
    let refused = (0..1_000).find_map(|n| {
        let (group, fresh) = (format!("g{n}"), n.to_string());
        match comes(&mut scene, &group, &fresh, &said) {
            Ok(id) => {
                came.push((group, id));
                None
            }
            Err(code) => Some(code),
        }
    });
    assert_eq!(refused, Some(ErrorCode::COORDINATOR_NOT_AVAILABLE), "clients come again");
    assert!((80..120).contains(&came.len()), "{} came", came.len());
    assert!(memory.used() <= MAX);
    // One of the consumer protocol has no room either, and one that is there says so much again.
    let answer = scene.coordinator.consumer_group_heartbeat(&join(("A", None)), "", scene.now);
    let small = matches!(&answer, Outcome::Ready(r) if r.error_code.is_error());
    let names: Vec<String> = (0..1_000).map(|n| format!("topic-{n}")).collect();
    let names = names.iter().map(String::as_str).collect();
    let large = ConsumerGroupHeartbeat { subscribed_topic_names: Some(names), ..join(("B", None)) };
    let Outcome::Ready(answer) = scene.coordinator.consumer_group_heartbeat(&large, "", scene.now)
    else {
        panic!("there is no room for a thousand names: {small}")
    };
    assert_eq!(answer.error_code, ErrorCode::COORDINATOR_NOT_AVAILABLE);

    // Whoever leaves makes room.
    let (group, id) = came.swap_remove(0);
    let leaving = vec![LeavingMember { member_id: &id, group_instance_id: None }];
    let _ = scene
        .coordinator
        .leave_group(&LeaveGroup { group_id: &group, members: leaving }, scene.now);
    assert!(comes(&mut scene, "another", "0", &said[..9_000]).is_ok());
    // And whoever is silent does.
    scene.pass(Duration::from_secs(301));
    scene.pass(Duration::from_secs(11));
    assert_eq!(memory.used(), 0, "nobody heartbeats");
}

#[test]
fn a_member_that_says_the_same_again_goes_on_when_there_is_no_room() {
    let (mut scene, memory) = bounded();
    let said = vec![b'x'; 10_000];
    let id = comes(&mut scene, "g", "1", &said).unwrap();
    scene.pass(Duration::from_secs(3));
    while scene.coordinator.poll_answer().is_some() {}
    for n in 0..1_000 {
        let _ = comes(&mut scene, &format!("other-{n}"), "1", &said);
    }
    let again = JoinGroup {
        group_id: "g",
        member_id: &id,
        client_id: "c",
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "connect",
        protocols: vec![("p", &said)],
        ..JoinGroup::default()
    };
    let answer = scene.coordinator.join_group(&again, "2", scene.now);
    let code = |outcome: &Outcome<coordinator::JoinGroupResponse>| match outcome {
        Outcome::Ready(r) => r.error_code,
        Outcome::Parked(_) => ErrorCode::NONE,
    };
    assert_eq!(code(&answer), ErrorCode::NONE);
    // It leads, and assigns; but not more than all memory.
    let mut sync = SyncGroup {
        group_id: "g",
        generation_id: 1,
        member_id: &id,
        assignments: vec![(&id, &said)],
        ..SyncGroup::default()
    };
    assert!(matches!(scene.coordinator.sync_group(&sync, scene.now), Outcome::Parked(_)));
    let all = vec![b'x'; MAX];
    sync.assignments = vec![(&id, &all)];
    let Outcome::Ready(r) = scene.coordinator.sync_group(&sync, scene.now) else {
        panic!("it assigned more than there is room for")
    };
    assert_eq!(r.error_code, ErrorCode::COORDINATOR_NOT_AVAILABLE);
    // A coordinator that goes gives back what its members had.
    drop(scene);
    assert_eq!(memory.used(), 0);
}

#[test]
fn commits_on_their_way_take_no_more_than_they_may() {
    let (mut scene, memory) = bounded();
    let partition = |index| CommitPartition {
        partition: PartitionIndex(index),
        offset: Offset(5),
        leader_epoch: LeaderEpoch::UNKNOWN,
        metadata: "",
    };
    let request = |group_id, partitions: std::ops::Range<i32>| OffsetCommit {
        group_id,
        generation_id: -1,
        topics: vec![CommitTopic { name: "t", partitions: partitions.map(partition).collect() }],
        ..OffsetCommit::default()
    };
    // Alone it may be more than everything.
    let outcome = scene.coordinator.offset_commit(&request("g", 0..100_000), scene.now);
    assert!(matches!(outcome, Outcome::Parked(_)));
    let refused = scene.coordinator.offset_commit(&request("h", 0..1), scene.now);
    let Outcome::Ready(refused) = refused else { panic!("it is taken") };
    let code = refused.topics[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::COORDINATOR_NOT_AVAILABLE, "clients come again");
    assert_eq!(memory.used(), 0, "members have their own");
    comes(&mut scene, "m", "1", b"said").unwrap();
    scene.answer(outcome);
    let outcome = scene.coordinator.offset_commit(&request("h", 0..1), scene.now);
    let answer = scene.answer(outcome);
    assert_eq!(answer.topics[0].partitions[0].error_code, ErrorCode::NONE);
    // What fails is on its way no longer, and so it is with a coordinator that goes.
    for end in [Scene::fail as fn(&mut Scene) -> Vec<Response>, goes] {
        let outcome = scene.coordinator.offset_commit(&request("g", 0..100_000), scene.now);
        assert!(matches!(outcome, Outcome::Parked(_)));
        let deletion = OffsetDelete { group_id: "h", topics: vec![("t", vec![PartitionIndex(0)])] };
        let Outcome::Ready(refused) = scene.coordinator.offset_delete(&deletion, scene.now) else {
            panic!("it is taken")
        };
        assert_eq!(refused.error_code, ErrorCode::COORDINATOR_NOT_AVAILABLE);
        end(&mut scene);
    }
    let outcome = scene.coordinator.offset_commit(&request("g", 0..100_000), scene.now);
    assert!(matches!(outcome, Outcome::Parked(_)));
}

fn goes(scene: &mut Scene) -> Vec<Response> {
    scene.coordinator.abandon(ErrorCode::NOT_COORDINATOR);
    Vec::new()
}
