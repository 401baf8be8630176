//! The log as others wrote it: every version of Kafka's records, deletions, and bytes that are none.
#![expect(clippy::unwrap_used, reason = "a broken test should stop here and say where")]

use coordinator::{
    ClassicState, Config, Coordinator, Heartbeat, Now, OffsetFetch, ReplayError, Replayed,
};
use ids::{Instant, LeaderEpoch, Offset, PartitionIndex, Timestamp};
use ringwood_coordinator as coordinator;
use wire::ErrorCode;
use wire::internal::Prefixed;
use wire::internal::group_metadata::{GroupMetadataKey, GroupMetadataValue, MemberMetadata};
use wire::internal::offset_commit::{OffsetCommitKey, OffsetCommitValue};

const NOW: Now = Now { instant: Instant(5_000_000_000), wall: Timestamp(1_000_000) };

fn bytes<'a>(message: &impl Prefixed<'a>, version: i16) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode_prefixed(version, &mut bytes).unwrap();
    bytes
}

fn offset_key(version: i16, partition: i32) -> Vec<u8> {
    let partition = PartitionIndex(partition);
    bytes(&OffsetCommitKey { group: "g", topic: "t", partition }, version)
}

fn group_key() -> Vec<u8> {
    bytes(&GroupMetadataKey { group: "g" }, 2)
}

fn commit(offset: i64) -> OffsetCommitValue<'static> {
    OffsetCommitValue {
        offset: Offset(offset),
        leader_epoch: LeaderEpoch(7),
        metadata: "m",
        commit_timestamp: 900_000,
        expire_timestamp: 1_500_000,
    }
}

fn group(generation: i32) -> GroupMetadataValue<'static> {
    let member = MemberMetadata {
        member_id: "m-1",
        group_instance_id: Some("i"),
        client_id: "c",
        client_host: "/h",
        rebalance_timeout: 60_000,
        session_timeout: 10_000,
        subscription: b"said",
        assignment: b"got",
    };
    GroupMetadataValue {
        protocol_type: "consumer",
        generation,
        protocol: Some("range"),
        leader: Some("m-1"),
        current_state_timestamp: 800_000,
        members: vec![member],
    }
}

fn replayed(records: &[(Vec<u8>, Option<Vec<u8>>)]) -> Coordinator {
    let mut coordinator = Coordinator::new(Config::default());
    for (at, (key, value)) in records.iter().enumerate() {
        let at = Offset(i64::try_from(at).unwrap());
        let record = Replayed { at, producer: None, key, value: value.as_deref() };
        coordinator.replay(record).unwrap();
    }
    coordinator.start(NOW);
    coordinator
}

fn offsets(coordinator: &Coordinator) -> Vec<(i32, i64, i32)> {
    let request = OffsetFetch { group_id: "g", ..OffsetFetch::default() };
    let topics = coordinator.offset_fetch(&request);
    let partitions = topics.iter().flat_map(|t| &t.partitions);
    partitions.map(|p| (p.partition.0, p.offset.0, p.leader_epoch.0)).collect()
}

#[test]
fn offsets_of_every_version_are_read() {
    let mut records = Vec::new();
    for version in 0..=4 {
        let key = offset_key(version.min(1), i32::from(version));
        records.push((key, Some(bytes(&commit(100 + i64::from(version)), version))));
    }
    let coordinator = replayed(&records);
    let read = offsets(&coordinator);
    // The leader epoch came with version 3.
    let expected = [(0, 100, -1), (1, 101, -1), (2, 102, -1), (3, 103, 7), (4, 104, 7)];
    assert_eq!(read, expected);
}

#[test]
fn a_retention_of_its_own_is_only_in_version_1() {
    let later = |ms: u64| Now {
        instant: Instant(NOW.instant.0 + ms * 1_000_000),
        wall: NOW.wall + i64::try_from(ms).unwrap(),
    };
    let records: Vec<_> =
        (1..=2).map(|v| (offset_key(1, i32::from(v)), Some(bytes(&commit(1), v)))).collect();
    let mut coordinator = replayed(&records);
    coordinator.on_tick(later(600_000));
    let tombstones = coordinator.poll_append().unwrap();
    assert_eq!(tombstones.records.len(), 1);
    assert_eq!(tombstones.records[0].key, offset_key(1, 1));
    coordinator.on_appended(tombstones.batch, Offset(3));
    coordinator.on_committed(Offset(3), later(600_000));
    assert_eq!(offsets(&coordinator), [(2, 1, -1)]);
}

#[test]
fn offsets_of_topics_that_are_deleted_while_the_log_is_read_go() {
    let mut coordinator = Coordinator::new(Config::default());
    let read = |coordinator: &mut Coordinator, at, partition| {
        let (key, value) = (offset_key(1, partition), bytes(&commit(1), 3));
        let record = Replayed { at: Offset(at), producer: None, key: &key, value: Some(&value) };
        coordinator.replay(record).unwrap();
    };
    read(&mut coordinator, 0, 0);
    coordinator.on_topics_deleted(&["t", "u"], NOW);
    assert!(coordinator.poll_append().is_none(), "the log may go on with it");
    read(&mut coordinator, 1, 1);
    coordinator.start(NOW);
    let tombstones = coordinator.poll_append().unwrap();
    let keys: Vec<_> =
        tombstones.records.iter().map(|r| (r.key.clone(), r.value.is_some())).collect();
    assert_eq!(keys, [(offset_key(1, 0), false), (offset_key(1, 1), false)]);
    coordinator.on_appended(tombstones.batch, Offset(4));
    coordinator.on_committed(Offset(4), NOW);
    assert_eq!(offsets(&coordinator), []);
}

#[test]
fn groups_of_every_version_are_read() {
    for version in 0..=4 {
        let mut coordinator = replayed(&[(group_key(), Some(bytes(&group(9), version)))]);
        let seen = coordinator.describe_group("g").unwrap();
        assert_eq!((seen.state, seen.protocol.as_str()), (ClassicState::Stable, "range"));
        let member = &seen.members[0];
        assert_eq!((&member.metadata[..], &member.assignment[..]), (&b"said"[..], &b"got"[..]));
        // Static members came with version 3.
        assert_eq!(member.group_instance_id.is_some(), version >= 3);
        let beat = Heartbeat {
            group_id: "g",
            generation_id: 9,
            member_id: "m-1",
            group_instance_id: None,
        };
        assert_eq!(coordinator.heartbeat(beat, NOW), ErrorCode::NONE);
    }
}

#[test]
fn the_last_record_of_a_key_counts_and_deletions_delete() {
    let coordinator = replayed(&[
        (offset_key(1, 0), Some(bytes(&commit(1), 3))),
        (offset_key(0, 0), Some(bytes(&commit(2), 3))),
        (offset_key(1, 1), Some(bytes(&commit(3), 3))),
        (offset_key(1, 1), None),
        (offset_key(1, 2), None),
        (group_key(), Some(bytes(&group(9), 3))),
        (group_key(), None),
    ]);
    assert_eq!(offsets(&coordinator), [(0, 2, 7)]);
    let seen = coordinator.describe_group("g").unwrap();
    assert_eq!((seen.state, seen.protocol_type.as_str()), (ClassicState::Empty, ""));

    let nothing = replayed(&[
        (group_key(), Some(bytes(&group(9), 3))),
        (offset_key(1, 0), Some(bytes(&commit(1), 3))),
        (offset_key(1, 0), None),
        (group_key(), None),
        (group_key(), None),
    ]);
    assert_eq!(nothing.group_count(), 0);
}

#[test]
fn a_group_without_members_may_be_led_by_nobody_and_one_with_a_twin_has_one() {
    let mut twins = group(3);
    twins.members.push(twins.members[0].clone());
    twins.members.push(MemberMetadata { group_instance_id: None, ..twins.members[0].clone() });
    twins.leader = Some("nobody");
    let mut coordinator = replayed(&[(group_key(), Some(bytes(&twins, 3)))]);
    assert_eq!(coordinator.describe_group("g").unwrap().members.len(), 1);
    // Its session ends, and with it the group.
    let at = coordinator.next_deadline().unwrap();
    coordinator.on_tick(Now { instant: at, wall: NOW.wall });
    assert_eq!(coordinator.describe_group("g").unwrap().state, ClassicState::Empty);
}

#[test]
fn bytes_that_are_no_record_are_told_and_change_nothing() {
    let mut coordinator = Coordinator::new(Config::default());
    let mut replay = |key: &[u8], value: Option<&[u8]>| {
        coordinator.replay(Replayed { at: Offset(0), producer: None, key, value })
    };
    assert!(matches!(replay(&[], None), Err(ReplayError::Key(_))));
    assert!(matches!(replay(&[0], None), Err(ReplayError::Key(_))));
    assert!(matches!(replay(&[0, 3, 0], None), Err(ReplayError::Key(_))));
    assert!(matches!(replay(&[0, 9, 0], None), Err(ReplayError::UnknownType(9))));
    assert!(matches!(replay(&[255, 255], None), Err(ReplayError::UnknownType(-1))));
    let key = offset_key(1, 0);
    assert!(matches!(replay(&key, Some(&[])), Err(ReplayError::Value(_))));
    assert!(matches!(replay(&key, Some(&[0, 5])), Err(ReplayError::Value(_))));
    for value in [bytes(&commit(1), 3), bytes(&group(1), 3), bytes(&group(1), 4)] {
        let key = if value.len() < 40 { offset_key(1, 0) } else { group_key() };
        for cut in 0..value.len() {
            assert!(replay(&key, Some(&value[..cut])).is_err(), "{cut}");
        }
        for cut in 0..key.len() {
            assert!(replay(&key[..cut], Some(&value)).is_err(), "{cut}");
        }
        for at in 0..value.len() {
            for bit in 0..8 {
                let mut damaged = value.clone();
                damaged[at] ^= 1 << bit;
                // Some of them are records too; none may panic, here or later.
                let _ = replay(&key, Some(&damaged));
            }
        }
    }
    coordinator.start(NOW);
    for _ in 0..50 {
        let Some(at) = coordinator.next_deadline() else { break };
        coordinator.on_tick(Now { instant: at, wall: NOW.wall });
    }
}

#[test]
fn a_survey_finds_every_group_and_offset_in_small_steps() {
    let key = |group: &str, topic: &str, partition| {
        let partition = PartitionIndex(partition);
        bytes(&OffsetCommitKey { group, topic, partition }, 1)
    };
    let value = || Some(bytes(&commit(5), 3));
    let coordinator = replayed(&[
        (key("b", "t", 0), value()),
        (key("a", "u", 7), value()),
        (key("a", "t", 2), value()),
        (key("a", "t", 1), value()),
        (key("a", "t", 9), value()),
        (key("a", "t", 9), None),
    ]);
    let mut groups = Vec::new();
    while let Some(g) = coordinator.group_after(groups.last().map(String::as_str)) {
        assert_eq!((g.state, g.members), ("Empty", 0));
        groups.push(g.group_id);
    }
    assert_eq!(groups, ["a", "b"]);
    let mut found: Vec<(String, PartitionIndex)> = Vec::new();
    loop {
        let last = found.last().map(|(topic, partition)| (topic.as_str(), *partition));
        let page = coordinator.offsets_after("a", last, 1);
        let Some(o) = page.into_iter().next() else { break };
        assert_eq!(o.offset, Offset(5));
        found.push((o.topic, o.partition));
    }
    let expected = [("t", 1), ("t", 2), ("u", 7)].map(|(t, p)| (t.to_owned(), PartitionIndex(p)));
    assert_eq!(found, expected);
    assert_eq!(coordinator.offsets_after("a", None, 2).len(), 2);
    assert_eq!(coordinator.offsets_after("no", None, 2), []);
}
