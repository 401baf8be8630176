//! Groups with members, as a running broker shows them: members that a test plays, and what `/metrics` says of them.

use super::broker::Broker;
use client::{Client, ClientConfig, To};
use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};
use wire::ErrorCode;
use wire::api::consumer_group_heartbeat::{
    Assignment, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, OwnedPartitions,
};
use wire::api::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};

/// A member of a group of the consumer protocol (KIP-848) that reads `t`. It is silent unless it is told to beat.
pub(super) struct Member {
    client: Client,
    group: &'static str,
    id: &'static str,
    epoch: i32,
    assignment: Assignment,
}

/// A coordinator is there when it says so.
fn is_passing(code: ErrorCode) -> bool {
    let codes = [
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_COORDINATOR,
    ];
    codes.contains(&code)
}

impl Member {
    /// Joins, and says that it has what it was given.
    pub(super) fn joins(broker: &Broker, group: &'static str, id: &'static str) -> Self {
        let client = Client::connect(&[broker.address()], ClientConfig::default()).unwrap();
        let assignment = Assignment { topic_partitions: Vec::new() };
        let mut member = Self { client, group, id, epoch: 0, assignment };
        let find = FindCoordinatorRequest { key: "", key_type: 0, coordinator_keys: vec![group] };
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            // Asking for it makes the topic that it keeps.
            let reply = member.client.call(To::Any, i16::MAX, &find).unwrap();
            let found: FindCoordinatorResponse<'_> = reply.decode().unwrap();
            if found.coordinators[0].error_code == ErrorCode::NONE {
                let said = member.say(0);
                if said.is_ok() {
                    break;
                }
                assert!(said.is_err_and(is_passing), "{said:?}");
            }
            assert!(Instant::now() < deadline, "{group} takes no member");
            std::thread::sleep(Duration::from_millis(50));
        }
        member.beats().unwrap();
        member
    }

    /// One heartbeat: the interval that the broker asks for, in milliseconds.
    pub(super) fn beats(&mut self) -> Result<i32, ErrorCode> {
        self.say(self.epoch)
    }

    fn say(&mut self, epoch: i32) -> Result<i32, ErrorCode> {
        let joins = epoch == 0;
        let owned = |t: &wire::api::consumer_group_heartbeat::TopicPartitions| OwnedPartitions {
            topic_id: t.topic_id,
            partitions: t.partitions.clone(),
        };
        let request = ConsumerGroupHeartbeatRequest {
            group_id: self.group,
            member_id: self.id,
            member_epoch: epoch,
            rebalance_timeout_ms: if joins { 60_000 } else { -1 },
            subscribed_topic_names: joins.then(|| vec!["t"]),
            topic_partitions: Some(self.assignment.topic_partitions.iter().map(owned).collect()),
            ..ConsumerGroupHeartbeatRequest::default()
        };
        let reply = self.client.call(To::Any, 1, &request).unwrap();
        let answer: ConsumerGroupHeartbeatResponse<'_> = reply.decode().unwrap();
        if answer.error_code != ErrorCode::NONE {
            return Err(answer.error_code);
        }
        self.epoch = answer.member_epoch;
        if let Some(assignment) = answer.assignment {
            self.assignment = assignment;
        }
        Ok(answer.heartbeat_interval_ms)
    }

    /// How many partitions it may read.
    pub(super) fn partitions(&self) -> usize {
        self.assignment.topic_partitions.iter().map(|t| t.partitions.len()).sum()
    }
}

/// The page once it says all of this: what is fresh for a second may be shared by scrapes.
#[track_caller]
fn until(broker: &Broker, mut each: impl FnMut(), lines: &[&str]) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        each();
        let page = broker.metrics();
        let missing: Vec<_> =
            lines.iter().filter(|line| !page.lines().any(|l| l == **line)).collect();
        if missing.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "no {missing:?} in {page}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn with_records() -> Broker {
    let broker = Broker::start();
    broker.run(&["topic", "create", "t", "-p", "2"]).ok();
    broker.feed(&["produce", "t", "-p", "0"], b"a\nb\nc\n").ok();
    broker
}

#[test]
fn the_members_of_a_consumer_group_are_in_the_metrics() {
    let broker = with_records();
    broker.run(&["group", "reset", "g", "-t", "t:0", "--to-offset", "1", "--execute"]).ok();
    let mut a = Member::joins(&broker, "g", "A");
    assert_eq!(a.partitions(), 2);
    let lag = "ringwood_kafka_consumer_group_lag{group=\"g\",topic=\"t\",partition=\"0\"} 2";
    let one = "ringwood_kafka_consumer_group_consumers{group=\"g\"} 1";
    let two = "ringwood_kafka_consumer_group_consumers{group=\"g\"} 2";
    let state = |name: &str| {
        format!("ringwood_kafka_consumer_group_state{{group=\"g\",state=\"{name}\"}} 1")
    };
    let total = "ringwood_kafka_consumer_group_total_lag{group=\"g\"} 2";
    until(&broker, || _ = a.beats().unwrap(), &[lag, total, one, &state("Stable")]);
    // A second one waits for what the first has not given up.
    let mut b = Member::joins(&broker, "g", "B");
    until(&broker, || _ = b.beats().unwrap(), &[lag, two, &state("Reconciling")]);
    let settle = || {
        a.beats().unwrap();
        b.beats().unwrap();
    };
    until(&broker, settle, &[lag, two, &state("Stable")]);
    assert_eq!((a.partitions(), b.partitions()), (1, 1));
    // They go.
    for member in [&mut a, &mut b] {
        member.say(-1).unwrap();
    }
    let none = "ringwood_kafka_consumer_group_consumers{group=\"g\"} 0";
    until(&broker, || {}, &[lag, none, &state("Empty")]);
}

#[test]
fn the_members_of_a_classic_group_are_in_the_metrics() {
    let broker = with_records();
    let mut member = broker
        .command(&["consume", "t", "--group", "g", "--follow"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It ends when nobody reads what it prints any more.
    let mut printed = member.stdout.take().unwrap();
    let mut three = [0; 6];
    printed.read_exact(&mut three).unwrap();
    let one = "ringwood_kafka_consumer_group_consumers{group=\"g\"} 1";
    let state = "ringwood_kafka_consumer_group_state{group=\"g\",state=\"Stable\"} 1";
    until(&broker, || {}, &[one, state]);
    member.kill().unwrap();
    member.wait().unwrap();
    drop(printed);
}
