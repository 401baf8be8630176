//! Requests that no client sends. None of them panics, every ticket is answered once, and what is kept stays bounded.
#![expect(clippy::unwrap_used, reason = "a broken test should stop here and say where")]

use coordinator::{
    AppendFailure, CommitPartition, CommitTopic, Config, Coordinator, Heartbeat, JoinGroup,
    LeaveGroup, LeavingMember, Now, OffsetCommit, OffsetDelete, OffsetFetch, Outcome, Replayed,
    SyncGroup, Ticket, TxnOffsetCommit,
};
use ids::{Instant, LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Timestamp};
use proptest::prelude::*;
use ringwood_coordinator as coordinator;
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
enum Act {
    Join { who: Who, timeouts: (i32, i32), protocols: Vec<u8>, modern: bool },
    Sync { who: Who, assignments: Vec<u8> },
    Beat(Who),
    Leave(Vec<Who>),
    Commit { who: Who, partitions: Vec<i32>, offset: i64, retention: Option<i64>, text: usize },
    DeleteOffsets { group: u8, partitions: Vec<i32> },
    Delete(Vec<u8>),
    DeleteTopic,
    Look(u8),
    Pass(u64),
    Flush,
    Fail(u8),
}

#[derive(Clone, Copy, Debug)]
struct Who {
    group: u8,
    /// Of the member ids that were given out; too large is nobody, and the largest is none.
    member: u8,
    instance: u8,
    generation: i32,
}

const GROUPS: [&str; 4] = ["", "g", "h", "i"];
const INSTANCES: [Option<&str>; 4] = [None, None, Some("s"), Some("t")];
const PROTOCOLS: [&str; 4] = ["p", "q", "", "r"];

fn who() -> impl Strategy<Value = Who> {
    let generation = prop_oneof![8 => -1..6i32, 1 => any::<i32>()];
    (0..4u8, 0..12u8, 0..4u8, generation).prop_map(|(group, member, instance, generation)| Who {
        group,
        member,
        instance,
        generation,
    })
}

fn act() -> impl Strategy<Value = Act> {
    let timeout = || prop_oneof![6 => 6_000..20_000i32, 1 => any::<i32>()];
    let partitions = || proptest::collection::vec(prop_oneof![0..3i32, any::<i32>()], 0..4);
    let protocols = proptest::collection::vec(0..4u8, 0..4);
    prop_oneof![
        6 => (who(), (timeout(), timeout()), protocols, any::<bool>()).prop_map(
            |(who, timeouts, protocols, modern)| Act::Join { who, timeouts, protocols, modern }
        ),
        4 => (who(), proptest::collection::vec(0..14u8, 0..6))
            .prop_map(|(who, assignments)| Act::Sync { who, assignments }),
        2 => who().prop_map(Act::Beat),
        1 => proptest::collection::vec(who(), 0..4).prop_map(Act::Leave),
        3 => (who(), partitions(), any::<i64>(), any::<Option<i64>>(), 0..5_000usize).prop_map(
            |(who, partitions, offset, retention, text)| Act::Commit {
                who, partitions, offset, retention, text
            }
        ),
        1 => (0..4u8, partitions())
            .prop_map(|(group, partitions)| Act::DeleteOffsets { group, partitions }),
        1 => proptest::collection::vec(0..4u8, 0..4).prop_map(Act::Delete),
        1 => Just(Act::DeleteTopic),
        1 => (0..4u8).prop_map(Act::Look),
        4 => prop_oneof![0..10_000u64, 0..3_000_000_000u64].prop_map(Act::Pass),
        3 => Just(Act::Flush),
        1 => (0..3u8).prop_map(Act::Fail),
    ]
}

struct Scene {
    coordinator: Coordinator,
    now: Now,
    ids: Vec<String>,
    fresh: usize,
    waiting: BTreeSet<Ticket>,
    held: Vec<coordinator::Append>,
    log: Vec<coordinator::Record>,
}

impl Scene {
    fn new() -> Self {
        let config = Config {
            group_max_size: 4,
            pending_members_max: 3,
            batch_bytes_max: 6_000,
            ..Config::default()
        };
        let now = Now { instant: Instant(1), wall: Timestamp(1_000_000) };
        let mut coordinator = Coordinator::new(config);
        coordinator.start(now);
        Self {
            coordinator,
            now,
            ids: vec![String::new()],
            fresh: 0,
            waiting: BTreeSet::new(),
            held: Vec::new(),
            log: Vec::new(),
        }
    }

    fn id(&self, n: u8) -> String {
        let n = usize::from(n);
        // Mostly ids of late.
        let at = (self.ids.len() + n).saturating_sub(8);
        self.ids.get(at).cloned().unwrap_or_default()
    }

    fn wait<R>(&mut self, outcome: Outcome<R>) -> Option<R> {
        match outcome {
            Outcome::Ready(r) => Some(r),
            Outcome::Parked(ticket) => {
                assert!(self.waiting.insert(ticket), "a ticket was given out twice");
                None
            }
        }
    }

    fn act(&mut self, act: &Act) {
        let now = self.now;
        match act {
            Act::Join { who, timeouts, protocols, modern } => {
                self.fresh += 1;
                let member_id = self.id(who.member);
                let request = JoinGroup {
                    group_id: GROUPS[usize::from(who.group)],
                    member_id: &member_id,
                    group_instance_id: INSTANCES[usize::from(who.instance)],
                    client_id: "c",
                    client_host: "/h",
                    session_timeout_ms: timeouts.0,
                    rebalance_timeout_ms: timeouts.1,
                    protocol_type: if who.generation == 5 { "other" } else { "consumer" },
                    protocols: protocols
                        .iter()
                        .map(|n| (PROTOCOLS[usize::from(*n)], &[1, 2, 3][..]))
                        .collect(),
                    needs_member_id: *modern,
                    can_skip_assignment: *modern,
                };
                let fresh = self.fresh.to_string();
                let name = request.group_instance_id.unwrap_or("c");
                let id = format!("{name}-{fresh}");
                let outcome = self.coordinator.join_group(&request, &fresh, now);
                self.wait(outcome);
                self.ids.push(id);
            }
            Act::Sync { who, assignments } => {
                let member_id = self.id(who.member);
                let ids: Vec<String> = assignments.iter().map(|n| self.id(*n)).collect();
                let request = SyncGroup {
                    group_id: GROUPS[usize::from(who.group)],
                    generation_id: who.generation,
                    member_id: &member_id,
                    group_instance_id: INSTANCES[usize::from(who.instance)],
                    protocol_type: None,
                    protocol_name: None,
                    assignments: ids.iter().map(|id| (id.as_str(), &[7; 50][..])).collect(),
                };
                let outcome = self.coordinator.sync_group(&request, now);
                self.wait(outcome);
            }
            Act::Beat(who) => {
                let member_id = self.id(who.member);
                let request = Heartbeat {
                    group_id: GROUPS[usize::from(who.group)],
                    generation_id: who.generation,
                    member_id: &member_id,
                    group_instance_id: INSTANCES[usize::from(who.instance)],
                };
                self.coordinator.heartbeat(request, now);
            }
            Act::Leave(all) => {
                let ids: Vec<String> = all.iter().map(|who| self.id(who.member)).collect();
                let members = ids
                    .iter()
                    .zip(all)
                    .map(|(id, who)| LeavingMember {
                        member_id: id,
                        group_instance_id: INSTANCES[usize::from(who.instance)],
                    })
                    .collect();
                let group_id = GROUPS[usize::from(all.first().map_or(0, |who| who.group))];
                let request = LeaveGroup { group_id, members };
                let outcome = self.coordinator.leave_group(&request, now);
                self.wait(outcome);
            }
            Act::Commit { who, partitions, offset, retention, text } => {
                let member_id = self.id(who.member);
                let text = "x".repeat(*text);
                let partitions = partitions
                    .iter()
                    .map(|p| CommitPartition {
                        partition: PartitionIndex(*p),
                        offset: Offset(*offset),
                        leader_epoch: LeaderEpoch(who.generation),
                        metadata: &text,
                    })
                    .collect();
                let request = OffsetCommit {
                    group_id: GROUPS[usize::from(who.group)],
                    generation_id: who.generation,
                    member_id: &member_id,
                    group_instance_id: INSTANCES[usize::from(who.instance)],
                    retention_ms: *retention,
                    topics: vec![CommitTopic { name: "t", partitions }],
                    knows_group_id_not_found: true,
                };
                let outcome = self.coordinator.offset_commit(&request, now);
                self.wait(outcome);
            }
            Act::DeleteOffsets { group, partitions } => {
                let partitions = partitions.iter().map(|p| PartitionIndex(*p)).collect();
                let topics = vec![("t", partitions)];
                let request = OffsetDelete { group_id: GROUPS[usize::from(*group)], topics };
                let outcome = self.coordinator.offset_delete(&request, now);
                self.wait(outcome);
            }
            Act::Delete(groups) => {
                let groups: Vec<&str> = groups.iter().map(|n| GROUPS[usize::from(*n)]).collect();
                let outcome = self.coordinator.delete_groups(&groups, now);
                self.wait(outcome);
            }
            Act::DeleteTopic => self.coordinator.on_topics_deleted(&["t"], now),
            Act::Look(group) => {
                let group_id = GROUPS[usize::from(*group)];
                if let Some(group) = self.coordinator.describe_group(group_id) {
                    assert!(group.members.len() <= 4, "group.max.size");
                }
                assert!(self.coordinator.list_groups(&[], &[]).len() <= GROUPS.len());
                let all = OffsetFetch { group_id, ..OffsetFetch::default() };
                let topics = self.coordinator.offset_fetch(&all);
                let mut partitions = topics.iter().flat_map(|t| &t.partitions);
                assert!(partitions.all(|p| p.metadata.len() <= 4_096), "offset.metadata.max.bytes");
            }
            Act::Pass(ms) => {
                let ms = i64::try_from(*ms).unwrap();
                self.now.instant = Instant(self.now.instant.0 + ms.unsigned_abs() * 1_000_000);
                self.now.wall = self.now.wall + ms;
                self.coordinator.on_tick(self.now);
                let due = self.coordinator.next_deadline();
                assert!(due.is_none_or(|at| at > self.now.instant), "after a tick nothing is due");
            }
            Act::Flush => self.flush(),
            Act::Fail(why) => {
                if !self.held.is_empty() {
                    let append = self.held.remove(usize::from(*why) % self.held.len());
                    let why = match why {
                        0 => AppendFailure::TooLarge,
                        1 => AppendFailure::Unavailable,
                        _ => AppendFailure::NotLeader,
                    };
                    self.coordinator.on_append_failed(append.batch, why, now);
                }
            }
        }
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(append) = self.coordinator.poll_append() {
            assert!(!append.records.is_empty());
            let bytes: usize = append.records.iter().map(coordinator::Record::bytes).sum();
            assert!(bytes <= 6_000, "a batch of {bytes} bytes");
            self.held.push(append);
        }
        while let Some(answer) = self.coordinator.poll_answer() {
            assert!(self.waiting.remove(&answer.ticket), "answered twice, or nobody");
        }
    }

    fn flush(&mut self) {
        while !self.held.is_empty() {
            for append in std::mem::take(&mut self.held) {
                self.log.extend(append.records);
                let end = Offset(i64::try_from(self.log.len()).unwrap());
                self.coordinator.on_appended(append.batch, end);
                self.coordinator.on_committed(end, self.now);
            }
            self.collect();
        }
    }

    /// What a coordinator that reads the log tells of the offsets is what this one tells.
    fn compare_with_replay(&self) {
        let mut other = Coordinator::new(Config::default());
        for (at, record) in self.log.iter().enumerate() {
            let at = Offset(i64::try_from(at).unwrap());
            let (key, value) = (&record.key, record.value.as_deref());
            other.replay(Replayed { at, producer: None, key, value }).unwrap();
        }
        other.start(self.now);
        for group_id in GROUPS {
            let request = OffsetFetch { group_id, ..OffsetFetch::default() };
            assert_eq!(self.coordinator.offset_fetch(&request), other.offset_fetch(&request));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn anything_may_be_asked(acts in proptest::collection::vec(act(), 1..80)) {
        let mut scene = Scene::new();
        for act in &acts {
            scene.act(act);
        }
        scene.flush();
        scene.compare_with_replay();
        assert_eq!(scene.coordinator.batches_in_flight(), 0);
        // Whoever still waits is told at the end.
        scene.coordinator.abandon(wire::ErrorCode::NOT_COORDINATOR);
        scene.collect();
        assert!(scene.waiting.is_empty(), "{:?}", scene.waiting);
    }
}

#[test]
fn names_that_no_record_can_hold_are_refused_at_the_door() {
    let mut scene = Scene::new();
    let long = "é".repeat(20_000);
    let request = JoinGroup {
        group_id: "g",
        client_id: &long[..32_766],
        session_timeout_ms: 10_000,
        protocol_type: "consumer",
        protocols: vec![("p", b"")],
        ..JoinGroup::default()
    };
    let outcome = scene.coordinator.join_group(&request, "1", scene.now);
    assert!(matches!(outcome, Outcome::Parked(_)), "the member id is cut");
    let request = JoinGroup { client_id: &long, ..request };
    let outcome = scene.coordinator.join_group(&request, "2", scene.now);
    let Outcome::Ready(refused) = outcome else { panic!("no answer") };
    assert_eq!(refused.error_code, wire::ErrorCode::INVALID_REQUEST);
    let request = OffsetCommit { group_id: &long, generation_id: -1, ..OffsetCommit::default() };
    assert!(matches!(scene.coordinator.offset_commit(&request, scene.now), Outcome::Ready(_)));
}

#[test]
fn a_member_that_no_record_can_hold_is_refused_at_the_door() {
    let mut scene = Scene::new();
    // A batch has 6,000 bytes here.
    let (half, whole) = (vec![b'x'; 3_000], vec![b'x'; 6_000]);
    let join = |protocols| JoinGroup {
        group_id: "g",
        session_timeout_ms: 10_000,
        protocol_type: "consumer",
        protocols,
        ..JoinGroup::default()
    };
    let refused = [vec![("p", &half[..]), ("q", &whole[..])], vec![("p", &half[..]); 9]];
    for protocols in refused {
        let outcome = scene.coordinator.join_group(&join(protocols), "1", scene.now);
        let Outcome::Ready(refused) = outcome else { panic!("it may join") };
        assert_eq!(refused.error_code, wire::ErrorCode::INVALID_REQUEST);
    }
    // One of its protocols will be written, not all.
    let protocols = vec![("p", &half[..]), ("q", &half[..]), ("r", &half[..])];
    let outcome = scene.coordinator.join_group(&join(protocols), "2", scene.now);
    assert!(matches!(outcome, Outcome::Parked(_)));
}

const NOW: Now = Now { instant: Instant(1), wall: Timestamp(1_000_000) };

fn started() -> Coordinator {
    let mut coordinator = Coordinator::new(Config::default());
    coordinator.start(NOW);
    coordinator
}

/// OffsetCommit of these partitions of `t` by nobody's member.
fn commit(group_id: &str, partitions: impl Iterator<Item = i32>) -> OffsetCommit<'_> {
    let partition = |index| CommitPartition {
        partition: PartitionIndex(index),
        offset: Offset(5),
        leader_epoch: LeaderEpoch::UNKNOWN,
        metadata: "",
    };
    OffsetCommit {
        group_id,
        generation_id: -1,
        topics: vec![CommitTopic { name: "t", partitions: partitions.map(partition).collect() }],
        ..OffsetCommit::default()
    }
}

/// Everything that waits is committed: how many records that is.
fn flush(coordinator: &mut Coordinator, end: &mut i64) -> usize {
    let before = *end;
    while let Some(append) = coordinator.poll_append() {
        *end += i64::try_from(append.records.len()).unwrap();
        coordinator.on_appended(append.batch, Offset(*end));
    }
    coordinator.on_committed(Offset(*end), NOW);
    usize::try_from(*end - before).unwrap()
}

#[test]
fn a_commit_is_no_more_records_than_fit_into_memory() {
    let mut coordinator = started();
    let long = "a".repeat(32_767);
    // 1.8 MB of a request; more than 3 GB of records.
    let request = commit(&long, std::iter::repeat_n(0, 100_000));
    let Outcome::Ready(refused) = coordinator.offset_commit(&request, NOW) else {
        panic!("it is taken")
    };
    let codes = refused.topics.iter().flat_map(|t| t.partitions.iter().map(|p| p.error_code));
    let too_large = wire::ErrorCode::INVALID_COMMIT_OFFSET_SIZE;
    assert_eq!(codes.filter(|code| *code == too_large).count(), 100_000);
    let producer_id = ProducerId(1);
    let producer_epoch = ProducerEpoch(0);
    let request = TxnOffsetCommit { commit: request, producer_id, producer_epoch };
    assert!(matches!(coordinator.txn_offset_commit(&request, NOW), Outcome::Ready(_)));
    assert!(coordinator.poll_append().is_none());
    assert_eq!(coordinator.group_count(), 0);
    // An honest one of as many partitions is taken.
    let outcome = coordinator.offset_commit(&commit("orders", 0..100_000), NOW);
    assert!(matches!(outcome, Outcome::Parked(_)));
    assert_eq!(flush(&mut coordinator, &mut 0), 100_000);
}

#[test]
fn a_partition_that_is_named_a_thousand_times_is_deleted_once() {
    let (mut coordinator, mut end) = (started(), 0);
    coordinator.offset_commit(&commit("g", 0..2), NOW);
    flush(&mut coordinator, &mut end);
    coordinator.poll_answer().unwrap();
    let zeros = vec![PartitionIndex(0); 1_000];
    let request = OffsetDelete {
        group_id: "g",
        topics: vec![("t", zeros.clone()), ("u", vec![]), ("t", zeros)],
    };
    assert!(matches!(coordinator.offset_delete(&request, NOW), Outcome::Parked(_)));
    assert_eq!(flush(&mut coordinator, &mut end), 1);
    let answer = coordinator.poll_answer().unwrap();
    let coordinator::Response::OffsetDelete(answer) = answer.response else { panic!("another") };
    assert_eq!(answer.error_code, wire::ErrorCode::NONE);
    let said: Vec<(&str, usize)> =
        answer.topics.iter().map(|t| (t.name.as_str(), t.partitions.len())).collect();
    assert_eq!(said, [("t", 1_000), ("u", 0), ("t", 1_000)]);
    let mut partitions = answer.topics.iter().flat_map(|t| &t.partitions);
    assert!(partitions.all(|p| p.partition.0 == 0 && p.error_code == wire::ErrorCode::NONE));
}

#[test]
fn a_deletion_is_no_more_records_than_fit_into_memory() {
    let (mut coordinator, mut end) = (started(), 0);
    let long = "a".repeat(32_767);
    for partitions in [0..600, 600..1_200] {
        let outcome = coordinator.offset_commit(&commit(&long, partitions), NOW);
        assert!(matches!(outcome, Outcome::Parked(_)));
        assert_eq!(flush(&mut coordinator, &mut end), 600);
        coordinator.poll_answer().unwrap();
    }
    let delete = |partitions: std::ops::Range<i32>| OffsetDelete {
        group_id: &long,
        topics: vec![("t", partitions.map(PartitionIndex).collect())],
    };
    let Outcome::Ready(refused) = coordinator.offset_delete(&delete(0..1_200), NOW) else {
        panic!("it is taken")
    };
    assert_eq!(refused.error_code, wire::ErrorCode::UNKNOWN_SERVER_ERROR);
    assert!(coordinator.poll_append().is_none());
    // What is not there costs nothing.
    let outcome = coordinator.offset_delete(&delete(600..100_000), NOW);
    assert!(matches!(outcome, Outcome::Parked(_)));
    assert_eq!(flush(&mut coordinator, &mut end), 600);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
fn who_leaves_again_and_again_leaves_once_and_is_not_looked_for_in_a_list() {
    let mut coordinator = started();
    let fresh: Vec<String> = (0..5_000).map(|n| format!("{n:040}")).collect();
    for fresh in &fresh {
        let request = JoinGroup {
            group_id: "g",
            client_id: "c",
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 10_000,
            protocol_type: "consumer",
            protocols: vec![("p", b"")],
            ..JoinGroup::default()
        };
        assert!(matches!(coordinator.join_group(&request, fresh, NOW), Outcome::Parked(_)));
    }
    let ids: Vec<String> = fresh.iter().map(|fresh| format!("c-{fresh}")).collect();
    let all = ids.iter().chain(std::iter::repeat_n(&ids[4_999], 600_000));
    let leaving = |id| LeavingMember { member_id: id, group_instance_id: None };
    let members = all.map(|id| leaving(id)).collect();
    let began = std::time::Instant::now();
    let outcome = coordinator.leave_group(&LeaveGroup { group_id: "g", members }, NOW);
    // In a list these are three thousand million comparisons.
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    let mut answers = std::iter::from_fn(|| {
        flush(&mut coordinator, &mut 0);
        coordinator.poll_answer()
    });
    let left = match outcome {
        Outcome::Ready(left) => left,
        Outcome::Parked(ticket) => {
            let answer = answers.find(|answer| answer.ticket == ticket).unwrap();
            answer.response.try_into().unwrap()
        }
    };
    let codes: Vec<wire::ErrorCode> = left.members.iter().map(|m| m.error_code).collect();
    assert_eq!(codes.len(), 605_000);
    assert!(codes[..5_000].iter().all(|code| *code == wire::ErrorCode::NONE));
    assert!(codes[5_000..].iter().all(|code| *code == wire::ErrorCode::UNKNOWN_MEMBER_ID));
}
