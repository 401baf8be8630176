//! Members of a consumer group (KIP-848), scene by scene: what they are told, and who has which partition.
#![expect(clippy::unwrap_used, reason = "a broken test should stop here and say where")]

mod classic;
mod gone_topics;
mod late_commits;
mod memory;
mod patterns;
mod policies;
mod readers;
mod refusals;
mod sizes;
mod static_members;

use coordinator::{
    CommitPartition, CommitTopic, Config, ConsumerGroupHeartbeat, ConsumerGroupHeartbeatResponse,
    Coordinator, Now, OffsetCommit, Outcome, Response, SharedTopics,
};
use ids::{Instant, LeaderEpoch, Offset, PartitionId, PartitionIndex, Timestamp, TopicId};
use ringwood_coordinator as coordinator;
use std::rc::Rc;
use std::time::Duration;
use wire::ErrorCode;

const TOPIC: TopicId = TopicId([1; 16]);

/// A coordinator of the group `g` with a topic `t` of two partitions; every append is committed at once.
struct Scene {
    topics: SharedTopics,
    coordinator: Coordinator,
    now: Now,
    end: i64,
}

impl Scene {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let topics = SharedTopics::default();
        topics.borrow_mut().set("t", TOPIC, 2);
        // Whatever changes is assigned at once.
        let config = Config { consumer_assignment_interval_ms: 0, ..config };
        let mut coordinator = Coordinator::with_topics(config, Rc::clone(&topics));
        let now = Now { instant: Instant(1_000_000_000), wall: Timestamp(1_000) };
        coordinator.start(now);
        Self { topics, coordinator, now, end: 0 }
    }

    fn beat(&mut self, request: &ConsumerGroupHeartbeat<'_>) -> ConsumerGroupHeartbeatResponse {
        let outcome = self.coordinator.consumer_group_heartbeat(request, "", self.now);
        self.answer(outcome)
    }

    fn answer<R: TryFrom<Response>>(&mut self, outcome: Outcome<R>) -> R {
        let ticket = match outcome {
            Outcome::Ready(answer) => return answer,
            Outcome::Parked(ticket) => ticket,
        };
        while let Some(append) = self.coordinator.poll_append() {
            self.end += i64::try_from(append.records.len()).unwrap();
            self.coordinator.on_appended(append.batch, Offset(self.end));
        }
        self.coordinator.on_committed(Offset(self.end), self.now);
        let answer = self.coordinator.poll_answer().unwrap();
        assert_eq!(answer.ticket, ticket);
        answer.response.try_into().ok().unwrap()
    }

    fn pass(&mut self, time: Duration) {
        self.now.instant = self.now.instant + time;
        self.coordinator.on_tick(self.now);
    }

    /// Commits offset 5 of each partition: what is said of them.
    fn commits(&mut self, member_id: &str, epoch: i32, indexes: &[i32]) -> Vec<ErrorCode> {
        let one = |i: &i32| CommitPartition {
            partition: PartitionIndex(*i),
            offset: Offset(5),
            leader_epoch: LeaderEpoch::UNKNOWN,
            metadata: "",
        };
        let topic = CommitTopic { name: "t", partitions: indexes.iter().map(one).collect() };
        let request = OffsetCommit {
            group_id: "g",
            generation_id: epoch,
            member_id,
            topics: vec![topic],
            ..OffsetCommit::default()
        };
        let outcome = self.coordinator.offset_commit(&request, self.now);
        let topics = self.answer(outcome).topics;
        topics.iter().flat_map(|t| t.partitions.iter().map(|p| p.error_code)).collect()
    }

    /// What a member says that it has, and the epoch and the partitions that it is told.
    fn goes_on(&mut self, who: Who<'_>, epoch: i32, has: &[i32]) -> (i32, Option<Vec<i32>>) {
        let answer = self.beat(&ConsumerGroupHeartbeat {
            member_epoch: epoch,
            rebalance_timeout_ms: -1,
            subscribed_topic_names: None,
            topic_partitions: Some(partitions(has)),
            ..join(who)
        });
        assert_eq!(answer.error_code, ErrorCode::NONE, "{answer:?}");
        (answer.member_epoch, indexes(&answer))
    }

    fn joins(&mut self, who: Who<'_>) -> (i32, Option<Vec<i32>>) {
        let answer = self.beat(&join(who));
        assert_eq!(answer.error_code, ErrorCode::NONE, "{answer:?}");
        (answer.member_epoch, indexes(&answer))
    }
}

/// A member id, and an instance id.
type Who<'a> = (&'a str, Option<&'a str>);

fn join<'a>((member_id, instance_id): Who<'a>) -> ConsumerGroupHeartbeat<'a> {
    ConsumerGroupHeartbeat {
        group_id: "g",
        member_id,
        instance_id,
        member_epoch: 0,
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(vec!["t"]),
        topic_partitions: Some(Vec::new()),
        brings_member_id: true,
        ..ConsumerGroupHeartbeat::default()
    }
}

fn partitions(indexes: &[i32]) -> Vec<PartitionId> {
    let of = |i: &i32| PartitionId { topic: TOPIC, index: PartitionIndex(*i) };
    indexes.iter().map(of).collect()
}

fn indexes(answer: &ConsumerGroupHeartbeatResponse) -> Option<Vec<i32>> {
    answer.assignment.as_ref().map(|all| all.iter().map(|p| p.index.0).collect())
}
