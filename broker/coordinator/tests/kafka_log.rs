//! A log that Apache Kafka 4.3.0 wrote: consumer groups, a pattern, a static member, a migration from the classic protocol.
//! What it tells must be what Kafka's own tools told when it was written.
#![expect(clippy::unwrap_used, reason = "a broken test should stop here and say where")]

use coordinator::{
    Config, ConsumerGroupHeartbeat, Coordinator, Now, OffsetFetch, Outcome, Record, Replayed,
    SharedTopics,
};
use ids::{Instant, Offset, PartitionId, PartitionIndex, Timestamp, TopicId};
use ringwood_coordinator as coordinator;
use std::rc::Rc;
use wire::ErrorCode;
use wire::internal::Prefixed;
use wire::internal::consumer_group as v848;

const NOW: Now = Now { instant: Instant(5_000_000_000), wall: Timestamp(1_795_766_000_000) };
const MEMBER: &str = "BhpgAGA5QvWbyKNovF0h4g";

fn bytes(hex: &str) -> Option<Vec<u8>> {
    if hex == "null" {
        return None;
    }
    let pairs = (0..hex.len()).step_by(2);
    Some(pairs.map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect())
}

fn log() -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let lines = include_str!("kafka/offsets-4.3.0.hex").lines().filter(|l| !l.starts_with('#'));
    let records = lines.map(|line| {
        let (key, value) = line.split_once(' ').unwrap();
        (bytes(key).unwrap(), bytes(value))
    });
    records.collect()
}

fn topic(hex: &str) -> TopicId {
    TopicId(bytes(hex).unwrap().try_into().unwrap())
}

fn topics() -> [(&'static str, TopicId, i32); 2] {
    [
        ("kip-a", topic("1df28118bda04f35b8e1da1dabeace4f"), 4),
        ("kip-b", topic("081930583f704b18be072daec107d61c"), 3),
    ]
}

/// The coordinator after the first `count` records, with nothing due yet.
fn after(count: usize) -> Coordinator {
    let shared = SharedTopics::default();
    for (name, id, partitions) in topics() {
        shared.borrow_mut().set(name, id, partitions);
    }
    let mut coordinator = Coordinator::with_topics(Config::default(), Rc::clone(&shared));
    for (at, (key, value)) in log().iter().take(count).enumerate() {
        let at = Offset(i64::try_from(at).unwrap());
        let record = Replayed { at, producer: None, key, value: value.as_deref() };
        coordinator.replay(record).unwrap();
    }
    coordinator.start(NOW);
    coordinator
}

fn all_partitions() -> Vec<PartitionId> {
    let of = |(_, topic, count): (&str, TopicId, i32)| {
        (0..count).map(move |i| PartitionId { topic, index: PartitionIndex(i) })
    };
    let mut all: Vec<PartitionId> = topics().into_iter().flat_map(of).collect();
    all.sort();
    all
}

/// The number of records that the coordinator wants to write now, all of them committed.
fn write(coordinator: &mut Coordinator) -> Vec<Record> {
    let mut all = Vec::new();
    while let Some(append) = coordinator.poll_append() {
        all.extend(append.records);
        let end = Offset(100 + i64::try_from(all.len()).unwrap());
        coordinator.on_appended(append.batch, end);
        coordinator.on_committed(end, NOW);
    }
    all
}

#[test]
fn two_members_are_where_kafka_had_them() {
    // Up to the second member's assignment.
    let coordinator = after(15);
    let group = coordinator.describe_consumer_group("g1").unwrap();
    assert_eq!((group.state.name(), group.epoch, group.assignment_epoch), ("Stable", 3, 3));
    assert_eq!(group.assignor, "range");
    let [first, second] = &group.members[..] else { panic!("{group:#?}") };
    assert_eq!(first.member_id, MEMBER);
    assert_eq!(
        (first.instance_id.as_deref(), first.rack_id.as_deref()),
        (Some("inst-1"), Some("rack-1"))
    );
    assert_eq!(
        (&first.client_id[..], &first.client_host[..], first.epoch),
        ("one", "/127.0.0.1", 3)
    );
    assert_eq!(
        (&first.topics[..], first.pattern.as_deref()),
        (&["kip-a".into(), "kip-b".into()][..], None)
    );
    assert_eq!((&second.client_id[..], second.epoch), ("two", 3));
    assert_eq!((second.topics.len(), second.pattern.as_deref()), (0, Some("kip-[ab]")));
    let had = |m: &coordinator::DescribedConsumer, topic: &str| -> Vec<i32> {
        let found = m.assigned.iter().find(|t| t.topic == topic).unwrap();
        found.partitions.iter().map(|p| p.0).collect()
    };
    assert_eq!((had(first, "kip-a"), had(first, "kip-b")), (vec![0, 1], vec![0, 1]));
    assert_eq!((had(second, "kip-a"), had(second, "kip-b")), (vec![2, 3], vec![2]));
    assert!(group.members.iter().all(|m| m.target == m.assigned));
}

#[test]
fn a_member_on_its_way_goes_on_from_there() {
    // Up to the record in which the first member has to give up three partitions.
    let mut coordinator = after(13);
    let group = coordinator.describe_consumer_group("g1").unwrap();
    assert_eq!((group.state.name(), group.members[0].epoch), ("Reconciling", 2));
    let kept: usize = group.members[0].assigned.iter().map(|t| t.partitions.len()).sum();
    assert_eq!(kept, 4);
    let owned: Vec<PartitionId> = all_partitions().into_iter().filter(|p| p.index.0 < 2).collect();
    let beat = |member_id, epoch, owned: Vec<PartitionId>| ConsumerGroupHeartbeat {
        group_id: "g1",
        member_id,
        member_epoch: epoch,
        instance_id: (member_id == MEMBER).then_some("inst-1"),
        rebalance_timeout_ms: -1,
        topic_partitions: Some(owned),
        brings_member_id: true,
        ..ConsumerGroupHeartbeat::default()
    };
    // It still has all: nothing may go to the other one.
    let said = coordinator.consumer_group_heartbeat(&beat(MEMBER, 2, all_partitions()), "", NOW);
    let answer = answered(&mut coordinator, said);
    assert_eq!((answer.error_code, answer.member_epoch), (ErrorCode::NONE, 2));
    let second = "Y4AsRbKcQKyclns7BCrGsA";
    let said = coordinator.consumer_group_heartbeat(&beat(second, 2, Vec::new()), "", NOW);
    assert!(answered(&mut coordinator, said).assignment.is_none_or(|p| p.is_empty()));
    // Now it has given them up.
    let said = coordinator.consumer_group_heartbeat(&beat(MEMBER, 2, owned), "", NOW);
    let answer = answered(&mut coordinator, said);
    let epoch = coordinator.describe_consumer_group("g1").unwrap().epoch;
    assert_eq!((answer.error_code, answer.member_epoch), (ErrorCode::NONE, epoch));
}

fn answered(
    coordinator: &mut Coordinator,
    outcome: Outcome<coordinator::ConsumerGroupHeartbeatResponse>,
) -> coordinator::ConsumerGroupHeartbeatResponse {
    write(coordinator);
    match outcome {
        Outcome::Ready(answer) => answer,
        Outcome::Parked(ticket) => {
            let answer = coordinator.poll_answer().unwrap();
            assert_eq!(answer.ticket, ticket);
            answer.response.try_into().unwrap()
        }
    }
}

#[test]
fn at_the_end_members_and_offsets_are_kafkas() {
    let mut coordinator = after(usize::MAX);
    let group = coordinator.describe_consumer_group("g1").unwrap();
    assert_eq!((group.state.name(), group.epoch, group.members.len()), ("Stable", 4, 1));
    let migrated = coordinator.describe_consumer_group("g2").unwrap();
    assert_eq!((migrated.state.name(), migrated.epoch, migrated.members.len()), ("Empty", 4, 0));
    let fetch = OffsetFetch { group_id: "g2", ..OffsetFetch::default() };
    let offsets = coordinator.offset_fetch(&fetch);
    let found: Vec<_> = offsets.iter().map(|t| (&t.name[..], t.partitions.len())).collect();
    assert_eq!(found, [("kip-a", 4)]);
    assert!(offsets[0].partitions.iter().all(|p| p.offset == Offset(25)));
    // The member goes on with what it has.
    let request = ConsumerGroupHeartbeat {
        group_id: "g1",
        member_id: MEMBER,
        member_epoch: 4,
        instance_id: Some("inst-1"),
        rebalance_timeout_ms: -1,
        topic_partitions: Some(all_partitions()),
        brings_member_id: true,
        ..ConsumerGroupHeartbeat::default()
    };
    let said = coordinator.consumer_group_heartbeat(&request, "", NOW);
    let answer = answered(&mut coordinator, said);
    assert_eq!(answer.error_code, ErrorCode::NONE);
    let group = coordinator.describe_consumer_group("g1").unwrap();
    assert_eq!((answer.member_epoch, group.state.name()), (group.epoch, "Stable"));
    let has: usize = group.members[0].assigned.iter().map(|t| t.partitions.len()).sum();
    assert_eq!(has, 7);
}

#[test]
fn values_are_written_as_kafka_writes_them() {
    let mut counts = [0; 9];
    for (key, value) in log() {
        let kind = i16::from_be_bytes([key[0], key[1]]);
        let Some(value) = value else { continue };
        match kind {
            // Kafka has a tag beside it that is null unless the member is a classic one; it may be left out.
            5 => same::<v848::ConsumerGroupMemberMetadataValue<'_>>(&value, b"\x01\x00\x01\x00"),
            3 => same::<v848::ConsumerGroupMetadataValue>(&value, b""),
            7 => same::<v848::ConsumerGroupTargetAssignmentMemberValue>(&value, b""),
            // Newer tags that are skipped: moments and epochs of assignments.
            6 => again::<v848::ConsumerGroupTargetAssignmentMetadataValue>(&value),
            8 => again::<v848::ConsumerGroupCurrentMemberAssignmentValue>(&value),
            _ => continue,
        }
        counts[usize::try_from(kind).unwrap()] += 1;
    }
    assert!([3, 5, 6, 7, 8].into_iter().all(|kind| counts[kind] > 4), "{counts:?}");
}

/// Written again it is the same, but for `end` in place of no tags.
fn same<'a, V: Prefixed<'a> + std::fmt::Debug + PartialEq>(value: &'a [u8], end: &[u8]) {
    let (version, read) = V::decode_prefixed(value).unwrap();
    let mut bytes = Vec::new();
    read.encode_prefixed(version, &mut bytes).unwrap();
    if bytes != value && !end.is_empty() {
        bytes.pop();
        bytes.extend_from_slice(end);
    }
    assert_eq!(bytes, value);
}

/// What is written is read as the same.
fn again<V: for<'a> Readable<'a>>(value: &[u8]) {
    let mut bytes = Vec::new();
    let said = V::said(value, &mut bytes);
    // Only tags are left out.
    assert!(bytes.len() <= value.len());
    assert_eq!(V::said(&bytes, &mut Vec::new()), said);
}

/// A value that can be read from bytes of any lifetime.
trait Readable<'a> {
    /// Reads it, writes it to `again`, and says what it is.
    fn said(value: &'a [u8], again: &mut Vec<u8>) -> String;
}

impl<'a, V: Prefixed<'a> + std::fmt::Debug> Readable<'a> for V {
    fn said(value: &'a [u8], again: &mut Vec<u8>) -> String {
        let (version, read) = V::decode_prefixed(value).unwrap();
        read.encode_prefixed(version, again).unwrap();
        format!("{read:?}")
    }
}
