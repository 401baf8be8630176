//! What members of consumer groups, and tools in their place, are answered: each partition and each group has its own code.

use crate::broker::{Broker, fresh};
use crate::line::Line;
use ids::{LeaderEpoch, Offset, PartitionIndex};
use std::thread::sleep;
use std::time::{Duration, Instant};
use wire::ErrorCode;
use wire::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};
use wire::api::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use wire::api::list_groups::{ListGroupsRequest, ListGroupsResponse};
use wire::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use wire::api::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchResponse};

const UNKNOWN: ErrorCode = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;

/// Topics, their partitions, and what is said of each.
type Said<T> = Vec<(String, Vec<(i32, T)>)>;

fn said<T>(of: Vec<(&str, Vec<(i32, T)>)>) -> Said<T> {
    of.into_iter().map(|(topic, said)| (topic.to_owned(), said)).collect()
}

/// Asks again while there is no coordinator yet.
fn until_there<T>(mut ask: impl FnMut() -> Result<T, ErrorCode>) -> Result<T, ErrorCode> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let waits = [
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_COORDINATOR,
    ];
    loop {
        match ask() {
            Err(code) if waits.contains(&code) => {}
            said => return said,
        }
        assert!(Instant::now() < deadline, "there is no coordinator");
        sleep(Duration::from_millis(50));
    }
}

/// A connection to a broker that coordinates groups: who asks for the coordinator makes the topic that it needs.
fn to_coordinator(broker: &Broker) -> Line {
    let mut line = Line::to(broker);
    let find = FindCoordinatorRequest { key: "", key_type: 0, coordinator_keys: vec!["g"] };
    let found = until_there(|| {
        let reply = line.ask(4, &find);
        let response: FindCoordinatorResponse<'_> = reply.decode().unwrap();
        match response.coordinators[0].error_code {
            ErrorCode::NONE => Ok(()),
            code => Err(code),
        }
    });
    found.unwrap();
    line
}

/// OffsetCommit of offset 5 of each partition by nobody's member.
fn commit(
    line: &mut Line,
    version: i16,
    group_id: &str,
    topics: &[(&'static str, &[i32])],
) -> Said<ErrorCode> {
    let partition = |index: &i32| OffsetCommitRequestPartition {
        partition_index: PartitionIndex(*index),
        committed_offset: Offset(5),
        ..OffsetCommitRequestPartition::default()
    };
    let topic = |&(name, partitions): &(&'static str, &[i32])| OffsetCommitRequestTopic {
        name,
        partitions: partitions.iter().map(partition).collect(),
        ..OffsetCommitRequestTopic::default()
    };
    let request = OffsetCommitRequest {
        group_id,
        generation_id_or_member_epoch: -1,
        topics: topics.iter().map(topic).collect(),
        ..OffsetCommitRequest::default()
    };
    let asked = until_there(|| {
        let reply = line.ask(version, &request);
        let response: OffsetCommitResponse<'_> = reply.decode().unwrap();
        let all: Said<ErrorCode> = response
            .topics
            .iter()
            .map(|t| {
                let codes = t.partitions.iter().map(|p| (p.partition_index.0, p.error_code));
                (t.name.to_owned(), codes.collect())
            })
            .collect();
        let mut codes = all.iter().flat_map(|(_, codes)| codes).map(|(_, code)| *code);
        match codes.find(|code| *code != ErrorCode::NONE && *code != UNKNOWN) {
            Some(code) => Err(code),
            None => Ok(all),
        }
    });
    asked.unwrap()
}

/// OffsetFetch 9 of all that the group has, by a member or by nobody.
fn offsets(
    line: &mut Line,
    group_id: &str,
    member: Option<(&str, i32)>,
) -> Result<Said<i64>, ErrorCode> {
    let group = OffsetFetchRequestGroup {
        group_id,
        member_id: member.map(|(id, _)| id),
        member_epoch: member.map_or(-1, |(_, epoch)| epoch),
        topics: None,
    };
    let request = OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() };
    until_there(|| {
        let reply = line.ask(9, &request);
        let response: OffsetFetchResponse<'_> = reply.decode().unwrap();
        let [group] = &response.groups[..] else { panic!("one group is one answer") };
        assert_eq!(group.group_id, group_id);
        if group.error_code != ErrorCode::NONE {
            assert!(group.topics.is_empty(), "a group that is refused has no offsets");
            return Err(group.error_code);
        }
        let topics = group.topics.iter().map(|t| {
            let of = t.partitions.iter().map(|p| {
                assert_eq!(p.error_code, ErrorCode::NONE);
                assert_eq!(p.committed_leader_epoch, LeaderEpoch::UNKNOWN);
                (p.partition_index.0, p.committed_offset.0)
            });
            (t.name.to_owned(), of.collect())
        });
        Ok(topics.collect())
    })
}

#[test]
fn offsets_of_partitions_that_are_not_there_are_refused_one_by_one() {
    let broker = Broker::serving(&fresh("answers-commits"));
    broker.command(&["topic", "create", "walnut", "yew", "--partitions", "2"]);
    let line = &mut to_coordinator(&broker);
    let none = ErrorCode::NONE;
    for version in [2, 5, 8, 9] {
        let group = &format!("g{version}");
        let mixed: [(&'static str, &[i32]); 3] =
            [("nowhere", &[0, 1]), ("walnut", &[99, 0, -1]), ("yew", &[1, 2])];
        let codes = said(vec![
            ("nowhere", vec![(0, UNKNOWN), (1, UNKNOWN)]),
            ("walnut", vec![(99, UNKNOWN), (0, none), (-1, UNKNOWN)]),
            ("yew", vec![(1, none), (2, UNKNOWN)]),
        ]);
        assert_eq!(commit(line, version, group, &mixed), codes, "version {version}");
        let kept = said(vec![("walnut", vec![(0, 5)]), ("yew", vec![(1, 5)])]);
        assert_eq!(offsets(line, group, None), Ok(kept), "version {version}");

        // Where nothing of it is there, no group comes of it either.
        let nothing: [(&'static str, &[i32]); 2] = [("nowhere", &[0]), ("yew", &[2])];
        let codes = said(vec![("nowhere", vec![(0, UNKNOWN)]), ("yew", vec![(2, UNKNOWN)])]);
        assert_eq!(commit(line, version, "none", &nothing), codes, "version {version}");
    }
    let reply = line.ask(4, &ListGroupsRequest::default());
    let response: ListGroupsResponse<'_> = reply.decode().unwrap();
    let mut groups: Vec<&str> = response.groups.iter().map(|g| g.group_id).collect();
    groups.sort_unstable();
    assert_eq!(groups, ["g2", "g5", "g8", "g9"]);
}

#[test]
fn members_of_consumer_groups_are_answered_as_such() {
    let broker = Broker::serving(&fresh("answers-members"));
    broker.command(&["topic", "create", "walnut", "--partitions", "2"]);
    let line = &mut to_coordinator(&broker);
    let join = ConsumerGroupHeartbeatRequest {
        group_id: "g",
        member_id: "A",
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(vec!["walnut"]),
        topic_partitions: Some(Vec::new()),
        ..ConsumerGroupHeartbeatRequest::default()
    };
    let beat = |line: &mut Line, version, request: &ConsumerGroupHeartbeatRequest<'_>| {
        until_there(|| {
            let reply = line.ask(version, request);
            let response: ConsumerGroupHeartbeatResponse<'_> = reply.decode().unwrap();
            match response.error_code {
                ErrorCode::NONE => {
                    Ok((response.member_id.unwrap().to_owned(), response.member_epoch))
                }
                code => Err(code),
            }
        })
    };
    // From version 1 on the member brings its id; before, it may be given one.
    let nameless = ConsumerGroupHeartbeatRequest { member_id: "", ..join.clone() };
    assert_eq!(beat(line, 1, &nameless), Err(ErrorCode::INVALID_REQUEST));
    let (given, _) = beat(line, 0, &nameless).unwrap();
    assert!(!given.is_empty());
    let (id, epoch) = beat(line, 1, &join).unwrap();
    assert_eq!(id, "A");
    let away = ConsumerGroupHeartbeatRequest { member_epoch: -2, ..join.clone() };
    assert_eq!(beat(line, 1, &away), Err(ErrorCode::INVALID_REQUEST), "it has no instance id");
    let late = ConsumerGroupHeartbeatRequest { topic_partitions: None, ..join };
    assert_eq!(beat(line, 1, &late), Err(ErrorCode::INVALID_REQUEST));

    assert_eq!(offsets(line, "g", None), Ok(vec![]));
    assert_eq!(offsets(line, "g", Some(("A", epoch))), Ok(vec![]));
    let stale = Err(ErrorCode::STALE_MEMBER_EPOCH);
    assert_eq!(offsets(line, "g", Some(("A", epoch + 1))), stale);
    assert_eq!(offsets(line, "g", Some(("A", -1))), stale);
    let unknown = Err(ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(offsets(line, "g", Some(("B", epoch))), unknown);
}
