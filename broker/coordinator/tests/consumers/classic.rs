//! Members of the classic protocol, as well-behaved clients play them: join, sync, heartbeat. The leader assigns evenly and lets
//! members keep what they have; of the cooperative kind it gives nobody what another one still has.

use super::{ErrorCode, SECOND, World};
use coordinator::{
    Heartbeat, JoinGroup, JoinGroupResponse, JoinedMember, LeaveGroup, LeavingMember, Outcome,
    Response, SyncGroup, SyncGroupResponse, Ticket,
};
use ids::{PartitionId, PartitionIndex};
use ringwood_coordinator as coordinator;
use std::collections::{BTreeMap, BTreeSet};
use wire::internal::Prefixed;
use wire::internal::consumer_protocol::{
    ConsumerPartitions, ConsumerProtocolAssignment, ConsumerProtocolSubscription,
};

/// After so long a request that is not answered is given up.
const REQUEST_TIMEOUT: u64 = 70 * SECOND;

/// The protocol that a member speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Kind {
    /// KIP-848.
    #[default]
    Consumer,
    /// Classic; gives up everything before it joins.
    Eager,
    /// Classic; keeps what it has until it is told otherwise (KIP-429).
    Cooperative,
}

/// What a member of the classic protocol does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Phase {
    #[default]
    Join,
    Sync,
    Beat,
}

/// What only a member of the classic protocol has.
#[derive(Default)]
pub(crate) struct Classic {
    pub(crate) phase: Phase,
    pub(crate) waiting: Option<(Ticket, u64)>,
    /// Of the leader: the members.
    leads: Vec<JoinedMember>,
    /// The topics of which it knew when it joined.
    topics: u64,
}

/// What JoinGroup or SyncGroup was answered.
enum Answer {
    Join(JoinGroupResponse),
    Sync(SyncGroupResponse),
}

const TOPICS: [&str; 3] = ["a", "b-1", "b-2"];

impl World {
    pub(crate) fn beat_classic(&mut self, n: usize) {
        let now = self.now.instant.0;
        if let Some((_, since)) = self.members[n].classic.waiting {
            if now - since < REQUEST_TIMEOUT {
                return;
            }
            self.members[n].classic.waiting = None;
            self.members[n].classic.phase = Phase::Join;
            self.listens();
        }
        if self.chaos && self.percent(8) {
            self.tally.lost += 1;
            return;
        }
        match self.members[n].classic.phase {
            Phase::Join => self.join(n),
            Phase::Sync => self.sync(n),
            Phase::Beat => self.heartbeat(n),
        }
    }

    fn join(&mut self, n: usize) {
        let (topics, group) = (self.topics_changed, self.group_of(n));
        let m = &mut self.members[n];
        if m.kind == Kind::Eager {
            m.owned.clear();
        }
        m.classic.topics = topics;
        let said = ConsumerProtocolSubscription {
            topics: TOPICS.to_vec(),
            owned_partitions: named(&m.owned, &self.names),
            generation_id: if m.epoch > 0 { m.epoch } else { -1 },
            ..ConsumerProtocolSubscription::default()
        };
        let mut metadata = Vec::new();
        said.encode_prefixed(2, &mut metadata).unwrap();
        let name = if m.kind == Kind::Eager { "range" } else { "cooperative-sticky" };
        self.next_id += 1;
        let fresh = format!("f{}", self.next_id);
        let request = JoinGroup {
            group_id: group,
            member_id: &m.id,
            group_instance_id: m.instance.as_deref(),
            client_id: "c",
            client_host: "/h",
            session_timeout_ms: 45_000,
            rebalance_timeout_ms: 60_000,
            protocol_type: "consumer",
            protocols: vec![(name, &metadata)],
            needs_member_id: true,
            can_skip_assignment: true,
        };
        match self.coordinator.join_group(&request, &fresh, self.now) {
            Outcome::Ready(r) => self.ready(n, Answer::Join(r)),
            Outcome::Parked(ticket) => self.wait(n, ticket),
        }
        self.settle(None);
    }

    fn sync(&mut self, n: usize) {
        let leads = std::mem::take(&mut self.members[n].classic.leads);
        let assigned = self.assign(&leads, self.members[n].kind);
        let m = &self.members[n];
        let assignments = assigned.iter().map(|(id, bytes)| (id.as_str(), &bytes[..])).collect();
        let request = SyncGroup {
            group_id: self.group_of(n),
            generation_id: m.epoch,
            member_id: &m.id,
            group_instance_id: m.instance.as_deref(),
            protocol_type: Some("consumer"),
            protocol_name: None,
            assignments,
        };
        let outcome = self.coordinator.sync_group(&request, self.now);
        // Should it have to be said again.
        self.members[n].classic.leads = leads;
        match outcome {
            Outcome::Ready(r) => self.ready(n, Answer::Sync(r)),
            Outcome::Parked(ticket) => self.wait(n, ticket),
        }
        self.settle(None);
    }

    fn heartbeat(&mut self, n: usize) {
        let m = &self.members[n];
        if !m.classic.leads.is_empty() && m.classic.topics != self.topics_changed {
            // The leader looks after the topics.
            self.members[n].classic.phase = Phase::Join;
            return;
        }
        let request = Heartbeat {
            group_id: self.group_of(n),
            generation_id: m.epoch,
            member_id: &m.id,
            group_instance_id: m.instance.as_deref(),
        };
        let code = self.coordinator.heartbeat(request, self.now);
        self.settle(None);
        if self.chaos && self.percent(5) {
            self.tally.lost += 1;
            return;
        }
        if code.is_none() || code == ErrorCode::REBALANCE_IN_PROGRESS {
            self.is_heard(n);
        }
        if !code.is_none() {
            self.refused(n, code);
        }
    }

    pub(crate) fn leave_classic(&mut self, n: usize) {
        let group_id = self.group_of(n);
        let m = &mut self.members[n];
        m.alive = false;
        m.owned.clear();
        m.classic.waiting = None;
        // Static members go without a word.
        if m.instance.is_none() && !m.id.is_empty() {
            let leaving = LeavingMember { member_id: &m.id, group_instance_id: None };
            let request = LeaveGroup { group_id, members: vec![leaving] };
            let _ = self.coordinator.leave_group(&request, self.now);
            self.settle(None);
        }
    }

    fn wait(&mut self, n: usize, ticket: Ticket) {
        self.members[n].classic.waiting = Some((ticket, self.now.instant.0));
    }

    /// An answer to what a member waits for; whether it was one.
    pub(crate) fn answered(&mut self, ticket: Ticket, response: Response) {
        let waits =
            |m: &super::Member| m.alive && m.classic.waiting.is_some_and(|(t, _)| t == ticket);
        let Some(n) = self.members.iter().position(waits) else { return };
        match response {
            Response::JoinGroup(r) => self.ready(n, Answer::Join(r)),
            Response::SyncGroup(r) => self.ready(n, Answer::Sync(r)),
            Response::LeaveGroup(_)
            | Response::OffsetCommit(_)
            | Response::OffsetDelete(_)
            | Response::DeleteGroups(_)
            | Response::ConsumerGroupHeartbeat(_) => panic!("an answer to something else"),
        }
    }

    fn ready(&mut self, n: usize, answer: Answer) {
        self.members[n].classic.waiting = None;
        self.listens();
        if self.members[n].asleep.is_some_and(|until| until > self.now.instant.0)
            || (self.chaos && self.percent(5))
        {
            // Nobody reads it; whoever comes back joins.
            self.tally.lost += 1;
            self.members[n].classic.phase = Phase::Join;
            return;
        }
        match answer {
            Answer::Join(r) if r.error_code.is_none() => {
                self.is_heard(n);
                let m = &mut self.members[n];
                m.id = r.member_id;
                m.epoch = r.generation_id;
                m.classic.leads = r.members;
                if r.skip_assignment {
                    // It leads with an assignment of old, and does not know for which topics that was made.
                    m.classic.topics = 0;
                }
                m.classic.phase = Phase::Sync;
            }
            Answer::Join(r) if r.error_code == ErrorCode::MEMBER_ID_REQUIRED => {
                self.is_heard(n);
                self.members[n].id = r.member_id;
            }
            Answer::Sync(r) if r.error_code.is_none() => {
                self.is_heard(n);
                self.assigned(n, &r.assignment);
            }
            Answer::Join(JoinGroupResponse { error_code, .. })
            | Answer::Sync(SyncGroupResponse { error_code, .. }) => self.refused(n, error_code),
        }
    }

    fn assigned(&mut self, n: usize, bytes: &[u8]) {
        self.tally.assigned += 1;
        let mut owned = BTreeSet::new();
        if !bytes.is_empty() {
            let (_, said) = ConsumerProtocolAssignment::decode_prefixed(bytes).unwrap();
            owned = self.placed(&said.assigned_partitions);
        }
        let m = &mut self.members[n];
        m.classic.phase = Phase::Beat;
        if m.kind == Kind::Cooperative && !m.owned.is_subset(&owned) {
            // What it has to give up it gives up now, and says so.
            m.classic.phase = Phase::Join;
        }
        m.owned = owned;
        self.check_alone(n);
    }

    fn is_heard(&mut self, n: usize) {
        if self.members[n].asleep.is_some() {
            self.listens();
        }
        self.members[n].last_answer = self.now.instant.0;
        self.members[n].asleep = None;
    }

    /// A request was refused. That does not say that its session goes on: only heartbeats do.
    fn refused(&mut self, n: usize, code: ErrorCode) {
        if self.members[n].asleep.is_some() {
            self.listens();
        }
        let m = &mut self.members[n];
        m.asleep = None;
        m.classic.phase = Phase::Join;
        match code {
            ErrorCode::REBALANCE_IN_PROGRESS
            | ErrorCode::COORDINATOR_NOT_AVAILABLE
            | ErrorCode::NOT_COORDINATOR => {}
            ErrorCode::UNKNOWN_MEMBER_ID => {
                self.tally.fenced += 1;
                m.id.clear();
                m.epoch = 0;
                m.owned.clear();
            }
            ErrorCode::ILLEGAL_GENERATION => {
                self.tally.fenced += 1;
                m.epoch = 0;
                m.owned.clear();
            }
            ErrorCode::FENCED_INSTANCE_ID => {
                self.tally.fenced += 1;
                m.alive = false;
                m.owned.clear();
            }
            other => panic!("a member of the classic protocol was answered with {other}"),
        }
    }

    /// The partitions of these topics that are there.
    fn placed(&self, named: &[ConsumerPartitions<'_>]) -> BTreeSet<PartitionId> {
        let topics = self.topics.borrow();
        let of = |t: &ConsumerPartitions<'_>| {
            let id = topics.named(t.topic).map(|(id, _)| id);
            let indexes = t.partitions.iter();
            indexes.filter_map(|i| Some(PartitionId { topic: id?, index: *i })).collect::<Vec<_>>()
        };
        named.iter().flat_map(of).collect()
    }

    /// What the leader assigns.
    fn assign(&self, members: &[JoinedMember], kind: Kind) -> Vec<(String, Vec<u8>)> {
        let mut all = BTreeSet::new();
        for name in TOPICS {
            let found = self.topics.borrow().named(name);
            let (topic, count) = found.unwrap_or_default();
            all.extend((0..count).map(|i| PartitionId { topic, index: PartitionIndex(i) }));
        }
        let mut claims: BTreeMap<PartitionId, (i32, usize)> = BTreeMap::new();
        for (n, member) in members.iter().enumerate() {
            let (_, said) =
                ConsumerProtocolSubscription::decode_prefixed(&member.metadata).unwrap();
            for p in self.placed(&said.owned_partitions) {
                // A static member that is away may claim what was taken from it: the newer claim counts (KIP-792).
                let claim = claims.entry(p).or_insert((i32::MIN, n));
                *claim = (*claim).max((said.generation_id, n));
            }
        }
        let has: BTreeMap<PartitionId, usize> =
            claims.into_iter().map(|(p, (_, n))| (p, n)).collect();
        let most = all.len().div_ceil(members.len().max(1));
        let full = all.len() - (most.saturating_sub(1)) * members.len();
        let mut shares: Vec<BTreeSet<PartitionId>> = vec![BTreeSet::new(); members.len()];
        let mut fulls = 0;
        for p in &all {
            let Some(n) = has.get(p) else { continue };
            let len = shares[*n].len();
            if len + 1 < most || (len + 1 == most && fulls < full) {
                fulls += usize::from(len + 1 == most);
                shares[*n].insert(*p);
            }
        }
        for p in &all {
            if shares.iter().any(|s| s.contains(p)) {
                continue;
            }
            if let Some(least) = shares.iter_mut().min_by_key(|s| s.len()) {
                least.insert(*p);
            }
        }
        if kind == Kind::Cooperative {
            for (n, share) in shares.iter_mut().enumerate() {
                share.retain(|p| has.get(p).is_none_or(|owner| *owner == n));
            }
        }
        let bytes = |share: &BTreeSet<PartitionId>| {
            let assigned_partitions = named(share, &self.names);
            let mut bytes = Vec::new();
            let value = ConsumerProtocolAssignment { assigned_partitions, user_data: None };
            value.encode_prefixed(1, &mut bytes).unwrap();
            bytes
        };
        members.iter().zip(&shares).map(|(m, s)| (m.member_id.clone(), bytes(s))).collect()
    }
}

/// Partitions by the names of their topics.
fn named<'a>(
    partitions: &BTreeSet<PartitionId>,
    names: &'a BTreeMap<ids::TopicId, String>,
) -> Vec<ConsumerPartitions<'a>> {
    let mut topics: Vec<ConsumerPartitions<'_>> = Vec::new();
    for p in partitions {
        let topic = names[&p.topic].as_str();
        match topics.last_mut() {
            Some(last) if last.topic == topic => last.partitions.push(p.index),
            _ => topics.push(ConsumerPartitions { topic, partitions: vec![p.index] }),
        }
    }
    topics
}
