//! Members of the classic protocol in a consumer group.

use super::{Scene, join};
use coordinator::{
    AppendFailure, ConsumerGroupHeartbeat, Heartbeat, JoinGroup, LeaveGroup, LeavingMember, Record,
    SyncGroup,
};
use ringwood_coordinator as coordinator;
use std::time::Duration;
use wire::ErrorCode;
use wire::internal::Prefixed;
use wire::internal::consumer_protocol::ConsumerProtocolSubscription;
use wire::internal::group_metadata::GroupMetadataKey;

/// A group with the member A of the consumer protocol, which reads something else than `t`, and one of the classic protocol,
/// which reads `t`: member id and generation. Nothing calls the latter back.
fn with_a_classic_member(scene: &mut Scene) -> (String, i32) {
    let names = Some(vec!["u"]);
    scene.beat(&ConsumerGroupHeartbeat { subscribed_topic_names: names, ..join(("A", None)) });
    let mut said = Vec::new();
    let subscription = ConsumerProtocolSubscription { topics: vec!["t"], ..Default::default() };
    subscription.encode_prefixed(1, &mut said).unwrap();
    let join = JoinGroup {
        group_id: "g",
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 20_000,
        protocol_type: "consumer",
        protocols: vec![("range", &said)],
        ..JoinGroup::default()
    };
    let outcome = scene.coordinator.join_group(&join, "1", scene.now);
    let joined = scene.answer(outcome);
    assert_eq!(joined.error_code, ErrorCode::NONE);
    (joined.member_id, joined.generation_id)
}

#[test]
fn a_member_of_the_classic_protocol_must_ask_for_what_it_got() {
    for syncs in [true, false] {
        let mut scene = Scene::new();
        let (member_id, generation_id) = with_a_classic_member(&mut scene);
        let member_id = member_id.as_str();
        if syncs {
            let sync =
                SyncGroup { group_id: "g", generation_id, member_id, ..SyncGroup::default() };
            let outcome = scene.coordinator.sync_group(&sync, scene.now);
            assert_eq!(scene.answer(outcome).error_code, ErrorCode::NONE);
        }
        let beat = Heartbeat { group_id: "g", generation_id, member_id, group_instance_id: None };
        let is_there = |scene: &Scene| {
            let described = scene.coordinator.describe_consumer_group("g").unwrap();
            described.members.iter().any(|m| m.member_id == member_id)
        };
        for seconds in [5, 10, 15, 20, 25, 30] {
            scene.pass(Duration::from_secs(5));
            assert_eq!(is_there(&scene), syncs || seconds < 20, "after {seconds} s");
            scene.coordinator.heartbeat(beat, scene.now);
        }
    }
}

/// The coordinator wants to write, and cannot: what it wanted.
fn refuse(scene: &mut Scene) -> Vec<Record> {
    let mut all = Vec::new();
    while let Some(append) = scene.coordinator.poll_append() {
        all.extend(append.records);
        scene.coordinator.on_append_failed(append.batch, AppendFailure::Unavailable, scene.now);
    }
    while scene.coordinator.poll_answer().is_some() {}
    all
}

#[test]
fn a_deleted_consumer_group_does_not_come_back_as_a_classic_one() {
    let mut scene = Scene::new();
    let (member_id, _) = with_a_classic_member(&mut scene);
    let leave = ConsumerGroupHeartbeat { member_epoch: -1, ..join(("A", None)) };
    // The last one of the consumer protocol goes, then the other one; the disk is full.
    scene.coordinator.consumer_group_heartbeat(&leave, "", scene.now);
    assert!(!refuse(&mut scene).is_empty());
    let leaving = LeavingMember { member_id: &member_id, group_instance_id: None };
    let request = LeaveGroup { group_id: "g", members: vec![leaving] };
    scene.coordinator.leave_group(&request, scene.now);
    refuse(&mut scene);
    // It is a consumer group again, until A goes; then it is deleted, while the disk is full once more.
    assert_eq!(scene.joins(("A", None)).1, Some(vec![0, 1]));
    assert_eq!(scene.beat(&leave).error_code, ErrorCode::NONE);
    scene.coordinator.delete_groups(&["g"], scene.now);
    assert!(!refuse(&mut scene).is_empty());
    scene.pass(Duration::from_secs(2));
    let written = refuse(&mut scene);
    assert!(!written.is_empty(), "the deletion is tried again");
    let is_group =
        |r: &&Record| r.value.is_some() && GroupMetadataKey::decode_prefixed(&r.key).is_ok();
    assert_eq!(written.iter().find(is_group), None);
}

#[test]
fn members_that_are_named_again_and_again_leave_once_and_together() {
    let mut scene = Scene::new();
    scene.joins(("A", None));
    scene.joins(("B", Some("i")));
    let (classic, _) = with_a_classic_member(&mut scene);
    let epoch = scene.coordinator.describe_consumer_group("g").unwrap().epoch;
    let by_id = |member_id| LeavingMember { member_id, group_instance_id: None };
    let by_instance = LeavingMember { member_id: "", group_instance_id: Some("i") };
    let named = [by_id("A"), by_instance, by_id("A"), by_id("B"), by_id("nobody"), by_id(&classic)];
    let request = LeaveGroup { group_id: "g", members: named.to_vec() };
    let outcome = scene.coordinator.leave_group(&request, scene.now);
    let answer = scene.answer(outcome);
    let codes: Vec<ErrorCode> = answer.members.iter().map(|m| m.error_code).collect();
    let (none, unknown) = (ErrorCode::NONE, ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(codes, [none, none, unknown, unknown, unknown, none]);
    let described = scene.coordinator.describe_consumer_group("g").unwrap();
    assert_eq!((described.members.len(), described.epoch), (0, epoch + 1));
}
