//! The broker around the coordinator: a log that takes its time, and dies.

use crate::checks::{GROUPS, is_group};
use crate::network::{Ask, Message, Reply, tag_text};
use crate::world::{Event, World};
use coordinator::{
    AppendFailure, CommitPartition, CommitTopic, Coordinator, Heartbeat, JoinGroup, LeaveGroup,
    LeavingMember, OffsetCommit, OffsetFetch, Outcome, Record, Replayed, Response, SyncGroup,
};
use ids::{LeaderEpoch, Offset, PartitionIndex};
use ringwood_coordinator as coordinator;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use wire::ErrorCode;

pub(crate) const SESSION_MS: i32 = 10_000;
pub(crate) const REBALANCE_MS: i32 = 15_000;
pub(crate) const PARTITIONS: i32 = 6;

/// The log of the coordinator's partition.
#[derive(Default)]
pub(crate) struct Log {
    /// Records by offset.
    pub(crate) records: Vec<Record>,
    pub(crate) committed: usize,
    /// Ends of batches that are not committed.
    pub(crate) ends: VecDeque<usize>,
}

impl Log {
    /// The offsets that are still there where the log was compacted: all of it, or up to its middle where `drawn` is zero.
    fn readable(&self, drawn: u64) -> Vec<usize> {
        let end = self.records.len();
        let compacted = if drawn == 0 { end / 2 } else { end };
        let keys = self.records[..compacted].iter().enumerate();
        let newest: BTreeMap<&[u8], usize> = keys.map(|(at, r)| (&r.key[..], at)).collect();
        let mut kept: Vec<usize> = newest.into_values().collect();
        kept.sort_unstable();
        kept.extend(compacted..end);
        kept
    }
}

impl World {
    /// A message arrives at the coordinator, if there is one.
    pub(crate) fn deliver(&mut self, message: Rc<Message>) {
        let now = self.now();
        let Some(coordinator) = self.coordinator.as_mut() else { return };
        let member = &self.members[message.member];
        let group = member.group;
        let instance = member.instance.clone();
        let client_id = Rc::clone(&member.client_id);
        let protocol_type = if group == "workers" { "connect" } else { "consumer" };
        let outcome: Result<Reply, coordinator::Ticket> = match &*message.ask {
            Ask::Join { member_id, metadata, needs_member_id } => {
                let request = JoinGroup {
                    group_id: group,
                    member_id,
                    group_instance_id: instance.as_deref(),
                    client_id: &client_id,
                    client_host: "/h",
                    session_timeout_ms: SESSION_MS,
                    rebalance_timeout_ms: REBALANCE_MS,
                    protocol_type,
                    protocols: vec![("p", metadata), ("q", metadata)],
                    needs_member_id: *needs_member_id,
                    can_skip_assignment: *needs_member_id,
                };
                self.fresh += 1;
                match coordinator.join_group(&request, &self.fresh.to_string(), now) {
                    Outcome::Ready(r) => Ok(Reply::Join(r)),
                    Outcome::Parked(ticket) => Err(ticket),
                }
            }
            Ask::Sync { member_id, generation, assignments } => {
                let request = SyncGroup {
                    group_id: group,
                    generation_id: *generation,
                    member_id,
                    group_instance_id: instance.as_deref(),
                    protocol_type: Some(protocol_type),
                    protocol_name: Some("p"),
                    assignments: assignments
                        .iter()
                        .map(|(id, bytes)| (id.as_str(), bytes.as_slice()))
                        .collect(),
                };
                match coordinator.sync_group(&request, now) {
                    Outcome::Ready(r) => Ok(Reply::Sync(r)),
                    Outcome::Parked(ticket) => Err(ticket),
                }
            }
            Ask::Beat { member_id, generation } => {
                let request = Heartbeat {
                    group_id: group,
                    generation_id: *generation,
                    member_id,
                    group_instance_id: instance.as_deref(),
                };
                Ok(Reply::Beat(coordinator.heartbeat(request, now)))
            }
            Ask::Commit { member_id, generation, partition, offset, tag } => {
                let text = tag_text(*tag);
                let partition = CommitPartition {
                    partition: PartitionIndex(*partition),
                    offset: Offset(*offset),
                    leader_epoch: LeaderEpoch::UNKNOWN,
                    metadata: &text,
                };
                let topic = CommitTopic { name: "t", partitions: vec![partition] };
                let request = OffsetCommit {
                    group_id: group,
                    generation_id: *generation,
                    member_id,
                    group_instance_id: instance.as_deref(),
                    retention_ms: None,
                    topics: vec![topic],
                    knows_group_id_not_found: true,
                };
                match coordinator.offset_commit(&request, now) {
                    Outcome::Ready(r) => Ok(Reply::Commit(r)),
                    Outcome::Parked(ticket) => {
                        self.checks.on_taken(self.incarnation, group, *generation);
                        Err(ticket)
                    }
                }
            }
            Ask::Leave { member_id } => {
                let members =
                    vec![LeavingMember { member_id, group_instance_id: instance.as_deref() }];
                match coordinator.leave_group(&LeaveGroup { group_id: group, members }, now) {
                    Outcome::Ready(r) => Ok(Reply::Leave(r)),
                    Outcome::Parked(ticket) => Err(ticket),
                }
            }
        };
        match outcome {
            Ok(reply) => self.answer(&message, reply),
            Err(ticket) => {
                let before = self.tickets.insert(ticket, message);
                assert!(before.is_none(), "a ticket was given out twice");
            }
        }
        self.after();
    }

    /// The coordinator's answer leaves: what it says is true from here on, whether it arrives or not.
    fn answer(&mut self, message: &Message, reply: Reply) {
        let group = self.members[message.member].group;
        match &reply {
            Reply::Join(r) if r.error_code.is_none() => {
                let protocol = r.protocol_name.as_deref().unwrap();
                let (incarnation, generation) = (self.incarnation, r.generation_id);
                self.checks.on_joined(incarnation, group, generation, &r.leader, protocol);
            }
            Reply::Commit(r) => {
                let Ask::Commit { tag, .. } = &*message.ask else { panic!("not what was asked") };
                match r.topics[0].partitions[0].error_code {
                    ErrorCode::NONE => self.checks.on_acked(*tag),
                    ErrorCode::ILLEGAL_GENERATION
                    | ErrorCode::UNKNOWN_MEMBER_ID
                    | ErrorCode::REBALANCE_IN_PROGRESS
                    | ErrorCode::FENCED_INSTANCE_ID
                    | ErrorCode::GROUP_ID_NOT_FOUND => {
                        // Of a doubled message one may be taken and the other refused.
                        if !self.doubled.contains(tag) {
                            self.checks.on_refused(*tag);
                        }
                    }
                    ErrorCode::COORDINATOR_NOT_AVAILABLE | ErrorCode::NOT_COORDINATOR => {}
                    other => panic!("a commit was answered with {other}"),
                }
            }
            Reply::Leave(r) => {
                let code = r.members.first().map_or(r.error_code, |m| m.error_code);
                let known = matches!(
                    code,
                    ErrorCode::NONE
                        | ErrorCode::UNKNOWN_MEMBER_ID
                        | ErrorCode::FENCED_INSTANCE_ID
                        | ErrorCode::COORDINATOR_NOT_AVAILABLE
                        | ErrorCode::NOT_COORDINATOR
                );
                assert!(known, "LeaveGroup was answered with {code}");
            }
            Reply::Sync(r) if r.error_code.is_none() => {
                let Ask::Sync { member_id, generation, .. } = &*message.ask else {
                    panic!("not what was asked")
                };
                let name = self.members[message.member].instance.as_deref().unwrap_or(member_id);
                self.checks.on_assigned(group, *generation, name, &r.assignment);
            }
            Reply::Join(_) | Reply::Sync(_) | Reply::Beat(_) => {}
        }
        if self.weather(message.member, 4) {
            return;
        }
        let delay = self.delay();
        let event = Event::Reply(message.member, message.life, message.number, Box::new(reply));
        self.schedule(delay, event);
    }

    /// Appends what there is to append, and sends what there is to send.
    pub(crate) fn after(&mut self) {
        loop {
            let now = self.now();
            let Some(coordinator) = self.coordinator.as_mut() else { return };
            let mut idle = true;
            while let Some(append) = coordinator.poll_append() {
                idle = false;
                // There are few records of groups: of those one in ten, so that every storm has leaders whose assignment fails.
                let percent = if append.records.iter().any(is_group) { 10 } else { 2 };
                if self.chaos && self.random.percent(percent) {
                    self.checks.tally.failed_appends += 1;
                    coordinator.on_append_failed(append.batch, AppendFailure::Unavailable, now);
                    continue;
                }
                self.log.records.extend(append.records);
                let end = self.log.records.len();
                self.log.ends.push_back(end);
                coordinator.on_appended(append.batch, Offset(i64::try_from(end).unwrap()));
                let slow = self.chaos && self.random.percent(3);
                let delay =
                    if slow { self.random.between(100, 3_000) } else { self.random.between(1, 15) };
                let incarnation = self.incarnation;
                self.events.enter(self.time + delay, Event::Flushed(incarnation, end));
            }
            let mut answers = Vec::new();
            while let Some(answer) = coordinator.poll_answer() {
                answers.push(answer);
            }
            for answer in answers {
                idle = false;
                let message =
                    self.tickets.remove(&answer.ticket).expect("a ticket is answered once");
                let reply = match answer.response {
                    Response::JoinGroup(r) => Reply::Join(r),
                    Response::SyncGroup(r) => {
                        if r.error_code == ErrorCode::COORDINATOR_NOT_AVAILABLE {
                            self.checks.tally.failed_syncs += 1;
                        }
                        Reply::Sync(r)
                    }
                    Response::OffsetCommit(r) => Reply::Commit(r),
                    Response::LeaveGroup(r) => Reply::Leave(r),
                    Response::OffsetDelete(_)
                    | Response::DeleteGroups(_)
                    | Response::ConsumerGroupHeartbeat(_) => {
                        panic!("nobody asked")
                    }
                };
                self.answer(&message, reply);
            }
            if idle {
                return;
            }
        }
    }

    /// The log is flushed up to `end`.
    pub(crate) fn flushed(&mut self, incarnation: u64, end: usize) {
        if incarnation != self.incarnation || end <= self.log.committed {
            return;
        }
        self.commit_to(end);
        let now = self.now();
        if let Some(coordinator) = self.coordinator.as_mut() {
            coordinator.on_committed(Offset(i64::try_from(end).unwrap()), now);
        }
        self.after();
    }

    fn commit_to(&mut self, end: usize) {
        for record in &self.log.records[self.log.committed..end] {
            self.checks.on_committed(record);
        }
        self.log.committed = end;
        while self.log.ends.front().is_some_and(|e| *e <= end) {
            self.log.ends.pop_front();
        }
    }

    pub(crate) fn tick(&mut self) {
        let now = self.now();
        let Some(coordinator) = self.coordinator.as_mut() else { return };
        coordinator.on_tick(now);
        let next = coordinator.next_deadline();
        assert!(next.is_none_or(|at| at > now.instant), "after a tick nothing is due");
        self.after();
    }

    /// Asks for all offsets and compares them with the log.
    pub(crate) fn inspect(&mut self) {
        let Some(coordinator) = self.coordinator.as_ref() else { return };
        for group in GROUPS {
            let partitions = (0..PARTITIONS).map(PartitionIndex).collect();
            let request = OffsetFetch {
                group_id: group,
                topics: Some(vec![("t", partitions)]),
                require_stable: false,
                member: None,
            };
            for p in &coordinator.offset_fetch(&request)[0].partitions {
                self.checks.on_fetched(group, p.partition.0, p.offset.0, &p.metadata);
            }
        }
    }

    /// The coordinator dies, or hands over. Any part of what is appended may have reached the disk.
    pub(crate) fn crash(&mut self) {
        let Some(mut coordinator) = self.coordinator.take() else { return };
        self.checks.tally.crashes += 1;
        if self.random.percent(30) {
            self.checks.tally.abandoned += 1;
            coordinator.abandon(ErrorCode::NOT_COORDINATOR);
            self.coordinator = Some(coordinator);
            self.after();
            self.coordinator = None;
            assert!(self.tickets.is_empty(), "somebody was not told");
        }
        self.tickets.clear();
        self.incarnation += 1;
        let ends: Vec<usize> = self.log.ends.iter().copied().collect();
        let kept = self.random.between(0, ends.len() as u64);
        if kept > 0 {
            self.checks.tally.survivors += 1;
            let end = ends[usize::try_from(kept).unwrap() - 1];
            self.commit_to(end);
        }
        self.log.records.truncate(self.log.committed);
        self.log.ends.clear();
        self.break_connections();
        let downtime = self.random.between(10, 4_000);
        self.schedule(downtime, Event::Restart);
    }

    pub(crate) fn restart(&mut self) {
        let now = self.now();
        let mut coordinator = Coordinator::new(self.config.clone());
        for at in self.log.readable(self.random.between(0, 3)) {
            let record = &self.log.records[at];
            let at = Offset(i64::try_from(at).unwrap());
            let (key, value) = (&record.key, record.value.as_deref());
            coordinator.replay(Replayed { at, producer: None, key, value }).unwrap();
        }
        coordinator.start(now);
        self.coordinator = Some(coordinator);
        self.inspect();
        self.after();
    }
}
