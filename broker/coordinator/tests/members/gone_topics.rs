//! Offsets in a topic that was deleted just before a crash.

use super::{Scene, TOPIC};
use coordinator::{
    CommitPartition, CommitTopic, Coordinator, OffsetCommit, OffsetFetch, Outcome, Record,
    Replayed, SharedTopics,
};
use ids::{LeaderEpoch, Offset, PartitionIndex, TopicId};
use ringwood_coordinator as coordinator;
use std::rc::Rc;
use wire::ErrorCode;

fn commit<'a>(topics: &[&'a str]) -> OffsetCommit<'a> {
    let one = CommitPartition {
        partition: PartitionIndex(0),
        offset: Offset(1_000),
        leader_epoch: LeaderEpoch::UNKNOWN,
        metadata: "",
    };
    let topics = topics.iter().map(|name| CommitTopic { name, partitions: vec![one] });
    let topics = topics.collect();
    OffsetCommit { group_id: "g", generation_id: -1, topics, ..OffsetCommit::default() }
}

fn fetched(coordinator: &Coordinator, topic: &str) -> i64 {
    let topics = Some(vec![(topic, vec![PartitionIndex(0)])]);
    let fetch = OffsetFetch { group_id: "g", topics, require_stable: false, member: None };
    coordinator.offset_fetch(&fetch)[0].partitions[0].offset.0
}

#[test]
fn offsets_of_a_topic_that_is_gone_do_not_count_for_the_next_one() {
    let mut scene = Scene::new();
    let outcome = scene.coordinator.offset_commit(&commit(&["t", "gone"]), scene.now);
    assert!(matches!(outcome, Outcome::Parked(_)));
    let mut log: Vec<Record> = Vec::new();
    while let Some(append) = scene.coordinator.poll_append() {
        log.extend(append.records);
    }
    // The metadata log has the deletion; the tombstones are not in the log of the offsets.
    let topics = SharedTopics::default();
    topics.borrow_mut().set("t", TOPIC, 2);
    let mut next = Coordinator::with_topics(Default::default(), Rc::clone(&topics));
    for (at, record) in log.iter().enumerate() {
        let at = Offset(i64::try_from(at).unwrap());
        let (key, value) = (&record.key[..], record.value.as_deref());
        next.replay(Replayed { at, producer: None, key, value }).unwrap();
    }
    next.start(scene.now);
    assert_eq!((fetched(&next, "t"), fetched(&next, "gone")), (1_000, 1_000));
    next.forget_topics_that_are_gone(scene.now);
    let append = next.poll_append().expect("a tombstone");
    assert!(append.records.iter().all(|r| r.value.is_none()) && append.records.len() == 1);
    assert!(next.poll_append().is_none(), "one topic is gone");
    next.on_appended(append.batch, Offset(3));
    next.on_committed(Offset(3), scene.now);
    topics.borrow_mut().set("gone", TopicId([2; 16]), 1);
    assert_eq!((fetched(&next, "t"), fetched(&next, "gone")), (1_000, -1));
    let again = next.offset_commit(&commit(&["gone"]), scene.now);
    assert!(matches!(again, Outcome::Parked(_)), "{:?}", ErrorCode::NONE);
}
