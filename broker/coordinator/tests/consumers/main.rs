//! Storms over consumer groups (KIP-848): members join, leave, die and come back; messages and answers are lost; appends
//! fail; topics grow, come and go; members fall asleep, as a process does that is stopped, and wake up behind the times; the
//! coordinator crashes and is rebuilt from any prefix of its log. Then the weather clears, and the group must come to rest.
//!
//! Any message and any answer may be lost; the member asks again then. A message may come twice. One that was thought lost may
//! come late: right behind the one that was sent in its place, as when a connection breaks and its last bytes are read after
//! the first ones of the next. Otherwise messages of one member arrive in order.
//!
//! What is checked all the time: no two members that are awake use the same partition; a commit that is acknowledged comes
//! from the one member that owns the partition, and the committed offset never goes back; every ticket is answered once. At the end
//! every partition is used by one member, and all members are in the epoch of the group.
//!
//! Half of the storms have members of the classic protocol as well ([`classic`]): whenever the first member of the consumer
//! protocol comes or the last one goes, the group changes its kind with its members in it.
//!
//! `CONSUMERS_SEEDS=1000 cargo test -p ringwood-coordinator --test consumers` runs more seeds; `CONSUMERS_SEED=7` that one, and
//! tells what happens.
#![expect(clippy::unwrap_used, reason = "a broken storm should stop here and say where")]

mod classic;

use classic::{Classic, Kind};
use coordinator::{
    AppendFailure, CommitPartition, CommitTopic, Config, ConsumerGroupHeartbeat,
    ConsumerGroupHeartbeatResponse, Coordinator, Now, OffsetCommit, OffsetFetch, Outcome, Record,
    Replayed, Response, SharedTopics, Ticket,
};
use ids::{Instant, LeaderEpoch, Offset, PartitionId, PartitionIndex, Timestamp, TopicId};
use ringwood_coordinator as coordinator;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use wire::ErrorCode;

const SECOND: u64 = 1_000_000_000;

/// splitmix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

#[derive(Default)]
struct Member {
    id: String,
    instance: Option<String>,
    alive: bool,
    epoch: i32,
    owned: BTreeSet<PartitionId>,
    /// Everything has to be said again.
    full: bool,
    /// A message that is still on its way.
    late: Option<Sent>,
    last_answer: u64,
    /// It does nothing until then, and does not know better until it hears an answer.
    asleep: Option<u64>,
    kind: Kind,
    classic: Classic,
}

impl Member {
    fn is_awake(&self) -> bool {
        self.alive && self.asleep.is_none()
    }
}

/// A heartbeat as it was sent.
#[derive(Clone)]
struct Sent {
    id: String,
    instance: Option<String>,
    epoch: i32,
    full: bool,
    by_pattern: bool,
    owned: Vec<PartitionId>,
}

impl Sent {
    fn request(&self) -> ConsumerGroupHeartbeat<'_> {
        let names = if self.by_pattern { vec![] } else { vec!["a", "b-1", "b-2"] };
        ConsumerGroupHeartbeat {
            group_id: "g",
            member_id: &self.id,
            member_epoch: self.epoch,
            instance_id: self.instance.as_deref(),
            rebalance_timeout_ms: if self.full { 60_000 } else { -1 },
            subscribed_topic_names: self.full.then_some(names),
            subscribed_topic_regex: (self.full && self.by_pattern).then_some("a|b-[0-9]"),
            topic_partitions: Some(self.owned.clone()),
            brings_member_id: true,
            ..ConsumerGroupHeartbeat::default()
        }
    }
}

#[derive(Default, Debug)]
struct Tally {
    crashes: u64,
    failed: u64,
    lost: u64,
    twice: u64,
    late: u64,
    fenced: u64,
    slept: u64,
    assigned: u64,
    commits: u64,
    migrations: u64,
}

struct World {
    random: Random,
    now: Now,
    topics: SharedTopics,
    coordinator: Coordinator,
    log: Vec<Record>,
    committed: usize,
    ends: Vec<usize>,
    members: Vec<Member>,
    offsets: BTreeMap<PartitionId, i64>,
    names: BTreeMap<TopicId, String>,
    /// Rises when a topic comes, goes or grows.
    topics_changed: u64,
    config: Config,
    /// What members may be.
    kinds: [Kind; 2],
    was_consumers: bool,
    tells: bool,
    chaos: bool,
    next_id: u64,
    tally: Tally,
}

impl World {
    fn new(seed: u64, members: usize, kinds: [Kind; 2]) -> Self {
        let now = Now { instant: Instant(SECOND), wall: Timestamp(1_000) };
        let topics = SharedTopics::default();
        let mut config = Config::default();
        if seed.is_multiple_of(3) && kinds == [Kind::Consumer; 2] {
            // Small batches: an operation may be in the log by halves. Groups that change their protocol must fit into one.
            config.batch_bytes_max = 2_500;
        }
        let mut coordinator = Coordinator::with_topics(config.clone(), Rc::clone(&topics));
        coordinator.start(now);
        let mut world = Self {
            random: Random(seed),
            now,
            topics,
            coordinator,
            log: Vec::new(),
            committed: 0,
            ends: Vec::new(),
            members: (0..members).map(|_| Member::default()).collect(),
            offsets: BTreeMap::new(),
            names: BTreeMap::new(),
            topics_changed: 0,
            config,
            kinds,
            was_consumers: false,
            tells: std::env::var_os("CONSUMERS_SEED").is_some(),
            chaos: true,
            next_id: 0,
            tally: Tally::default(),
        };
        world.topic("a", 7);
        world.topic("b-1", 3);
        world
    }

    fn percent(&mut self, n: u64) -> bool {
        self.random.below(100) < n
    }

    fn topic(&mut self, name: &str, partitions: i32) {
        let known = self.topics.borrow().named(name);
        self.next_id += 1;
        let id = known.map_or_else(
            || {
                let mut id = [9; 16];
                id[8..].copy_from_slice(&self.next_id.to_be_bytes());
                TopicId(id)
            },
            |(id, _)| id,
        );
        self.names.insert(id, name.to_owned());
        self.topics.borrow_mut().set(name, id, partitions);
        self.topics_changed += 1;
        self.coordinator.on_topics_changed();
    }

    /// Appends what there is; commits all of it unless the disk is slow. The answer to `ticket`, if it came.
    fn settle(&mut self, ticket: Option<Ticket>) -> Option<Response> {
        let mut found = None;
        for _ in 0..3 {
            while let Some(append) = self.coordinator.poll_append() {
                if self.chaos && self.percent(3) {
                    self.tally.failed += 1;
                    let why = AppendFailure::Unavailable;
                    self.coordinator.on_append_failed(append.batch, why, self.now);
                    continue;
                }
                self.log.extend(append.records);
                self.ends.push(self.log.len());
                let end = Offset(i64::try_from(self.log.len()).unwrap());
                self.coordinator.on_appended(append.batch, end);
            }
            if !self.chaos || !self.percent(10) {
                self.committed = self.log.len();
                self.ends.clear();
                let end = Offset(i64::try_from(self.committed).unwrap());
                self.coordinator.on_committed(end, self.now);
            }
            while let Some(answer) = self.coordinator.poll_answer() {
                if Some(answer.ticket) == ticket {
                    assert!(found.is_none(), "a ticket was answered twice");
                    found = Some(answer.response);
                } else {
                    self.answered(answer.ticket, answer.response);
                }
            }
        }
        found
    }

    /// Whether a member lives and is not asleep.
    fn is_up(&self, n: usize) -> bool {
        let m = &self.members[n];
        m.alive && m.asleep.is_none_or(|until| until <= self.now.instant.0)
    }

    fn beat(&mut self, n: usize) {
        if !self.is_up(n) {
            return;
        }
        if self.members[n].kind != Kind::Consumer {
            return self.beat_classic(n);
        }
        let m = &self.members[n];
        let sent = Sent {
            id: m.id.clone(),
            instance: m.instance.clone(),
            epoch: m.epoch,
            full: m.full || m.epoch == 0,
            // Half of them read by a pattern.
            by_pattern: n % 2 == 1,
            owned: m.owned.iter().copied().collect(),
        };
        if self.chaos && self.percent(8) {
            self.tally.lost += 1;
            self.members[n].full = true;
            if self.percent(50) {
                self.members[n].late = Some(sent);
            }
            return;
        }
        let mut response = self.deliver(&sent);
        if let Some(late) = self.members[n].late.take() {
            self.tally.late += 1;
            self.deliver(&late);
        }
        if self.chaos && self.percent(5) {
            self.tally.twice += 1;
            let again = self.deliver(&sent);
            // Whoever asks again because it heard nothing says everything again.
            if sent.full && self.percent(50) {
                response = again;
            }
        }
        let lost_on_the_way_back = self.chaos && self.percent(5);
        match response {
            Some(r) if !lost_on_the_way_back => self.heard(n, &r),
            Some(_) | None => {
                self.tally.lost += 1;
                self.members[n].full = true;
            }
        }
    }

    /// A heartbeat arrives. Its answer, if it comes.
    fn deliver(&mut self, sent: &Sent) -> Option<ConsumerGroupHeartbeatResponse> {
        match self.coordinator.consumer_group_heartbeat(&sent.request(), "", self.now) {
            Outcome::Ready(r) => {
                self.settle(None);
                Some(r)
            }
            Outcome::Parked(ticket) => self
                .settle(Some(ticket))
                .map(|r| ConsumerGroupHeartbeatResponse::try_from(r).expect("what was asked")),
        }
    }

    fn heard(&mut self, n: usize, r: &ConsumerGroupHeartbeatResponse) {
        let instant = self.now.instant.0;
        let m = &mut self.members[n];
        m.full = !r.error_code.is_none();
        m.asleep = None;
        match r.error_code {
            ErrorCode::NONE => {
                m.last_answer = instant;
                m.epoch = r.member_epoch;
                if let Some(assigned) = &r.assignment {
                    self.tally.assigned += 1;
                    m.owned = assigned.iter().copied().collect();
                }
            }
            ErrorCode::FENCED_MEMBER_EPOCH | ErrorCode::UNKNOWN_MEMBER_ID => {
                self.tally.fenced += 1;
                m.last_answer = instant;
                m.epoch = 0;
                m.owned.clear();
            }
            ErrorCode::COORDINATOR_NOT_AVAILABLE | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS => {}
            // The one before it has died; its session has to end first. Some give up then, and others try again.
            ErrorCode::UNRELEASED_INSTANCE_ID => m.alive = !self.chaos,
            other => panic!("{other}: {:?}", r.error_message),
        }
    }

    /// One member commits for one of its partitions.
    fn commit(&mut self, n: usize) {
        let up = self.is_up(n);
        let m = &self.members[n];
        let Some(p) = m.owned.first().copied().filter(|_| up && m.epoch > 0) else { return };
        let name = self.names[&p.topic].clone();
        let next = self.offsets.get(&p).copied().unwrap_or(0) + 1;
        let id = m.id.clone();
        let request = OffsetCommit {
            group_id: "g",
            generation_id: m.epoch,
            member_id: &id,
            group_instance_id: m.instance.as_deref(),
            retention_ms: None,
            topics: vec![CommitTopic {
                name: &name,
                partitions: vec![CommitPartition {
                    partition: p.index,
                    offset: Offset(next),
                    leader_epoch: LeaderEpoch::UNKNOWN,
                    metadata: "",
                }],
            }],
            knows_group_id_not_found: true,
        };
        let outcome = self.coordinator.offset_commit(&request, self.now);
        let (ready, ticket) = match outcome {
            Outcome::Ready(r) => (Some(Response::OffsetCommit(r)), None),
            Outcome::Parked(ticket) => (None, Some(ticket)),
        };
        let settled = self.settle(ticket);
        let Some(Response::OffsetCommit(r)) = ready.or(settled) else { return };
        match r.topics[0].partitions[0].error_code {
            ErrorCode::NONE => {
                self.tally.commits += 1;
                self.offsets.insert(p, next);
                let mut others = self.members.iter().enumerate();
                let owner = others.find(|(o, m)| *o != n && m.is_awake() && m.owned.contains(&p));
                assert!(owner.is_none(), "{id} committed for {p} of {}", owner.unwrap().1.id);
                let known = self.topics.borrow().named(&name).is_some_and(|(id, _)| id == p.topic);
                if known {
                    assert!(self.fetched(&name, p.index) >= next, "a commit was forgotten");
                }
            }
            ErrorCode::STALE_MEMBER_EPOCH
            | ErrorCode::ILLEGAL_GENERATION
            | ErrorCode::REBALANCE_IN_PROGRESS
            | ErrorCode::UNKNOWN_MEMBER_ID
            | ErrorCode::FENCED_INSTANCE_ID
            | ErrorCode::GROUP_ID_NOT_FOUND
            | ErrorCode::COORDINATOR_NOT_AVAILABLE => {}
            other => panic!("a commit was answered with {other}"),
        }
    }

    fn fetched(&self, topic: &str, partition: PartitionIndex) -> i64 {
        let topics = Some(vec![(topic, vec![partition])]);
        let fetch = OffsetFetch { group_id: "g", topics, require_stable: false, member: None };
        self.coordinator.offset_fetch(&fetch)[0].partitions[0].offset.0
    }

    fn crash(&mut self) {
        self.tally.crashes += 1;
        if let Some(end) = self.ends.first().copied().filter(|_| self.random.below(2) == 0) {
            self.committed = end;
        }
        self.log.truncate(self.committed);
        self.ends.clear();
        let config = self.config.clone();
        self.coordinator = Coordinator::with_topics(config, Rc::clone(&self.topics));
        for (at, record) in self.log.iter().enumerate() {
            let at = Offset(i64::try_from(at).unwrap());
            let (key, value) = (&record.key[..], record.value.as_deref());
            self.coordinator.replay(Replayed { at, producer: None, key, value }).unwrap();
        }
        self.coordinator.start(self.now);
        for (p, offset) in self.offsets.clone() {
            let name = self.names[&p.topic].clone();
            if self.topics.borrow().named(&name).is_some_and(|(id, _)| id == p.topic) {
                assert!(self.fetched(&name, p.index) >= offset, "an acknowledged commit is gone");
            }
        }
        for m in &mut self.members {
            m.full = true;
            if m.classic.waiting.take().is_some() {
                m.classic.phase = classic::Phase::Join;
            }
        }
    }

    fn event(&mut self) {
        let n = usize::try_from(self.random.below(self.members.len() as u64)).unwrap();
        match self.random.below(100) {
            0..12 if !self.members[n].alive => {
                self.next_id += 1;
                let id = format!("m{}", self.next_id);
                let instance = (n % 3 == 0).then(|| format!("i{n}"));
                let kind = self.kinds[usize::from(self.percent(50))];
                // A member of the classic protocol is told its id.
                let id = if kind == Kind::Consumer { id } else { String::new() };
                let last_answer = self.now.instant.0;
                self.members[n] = Member {
                    id,
                    instance,
                    alive: true,
                    full: true,
                    last_answer,
                    kind,
                    ..Member::default()
                };
            }
            0..2 => self.members[n].alive = false,
            2..6 if self.members[n].alive && self.members[n].kind != Kind::Consumer => {
                self.leave_classic(n);
            }
            2..6 if self.members[n].alive => {
                let m = &mut self.members[n];
                let for_a_while = m.instance.is_some() && m.epoch > 0;
                let epoch = if for_a_while { -2 } else { -1 };
                (m.alive, m.epoch) = (false, epoch);
                m.owned.clear();
                let (id, instance) = (m.id.clone(), m.instance.clone());
                let request = ConsumerGroupHeartbeat {
                    group_id: "g",
                    member_id: &id,
                    member_epoch: epoch,
                    instance_id: instance.as_deref(),
                    rebalance_timeout_ms: -1,
                    brings_member_id: true,
                    ..ConsumerGroupHeartbeat::default()
                };
                let _ = self.coordinator.consumer_group_heartbeat(&request, "", self.now);
                self.settle(None);
            }
            6 => self.crash(),
            7 => {
                let partitions = 3 + i32::try_from(self.random.below(4)).unwrap();
                let had = self.topics.borrow().named("b-1").map_or(0, |(_, n)| n);
                self.topic("b-1", partitions.max(had));
            }
            8 => self.topic("b-2", 2),
            9 => {
                let gone = self.topics.borrow_mut();
                let mut gone = gone;
                gone.remove("b-2");
                drop(gone);
                self.topics_changed += 1;
                self.coordinator.on_topics_changed();
                self.coordinator.on_topics_deleted(&["b-2"], self.now);
                self.settle(None);
            }
            10..12 if self.members[n].is_awake() => {
                self.tally.slept += 1;
                let nanos = self.random.below(90) * SECOND;
                self.members[n].asleep = Some(self.now.instant.0 + nanos);
            }
            10..40 => self.commit(n),
            _ => self.beat(n),
        }
        self.tell(n);
        self.check();
    }

    /// What became of a member, where one seed alone is played.
    #[expect(clippy::print_stdout, reason = "it was asked for")]
    fn tell(&self, n: usize) {
        if !self.tells {
            return;
        }
        let m = &self.members[n];
        println!(
            "{:?} {n} {:?} {} {:?} up {} epoch {} {:?} {:?}: {:?}",
            self.now.instant,
            m.kind,
            m.id,
            m.instance,
            self.is_up(n),
            m.epoch,
            m.classic.phase,
            m.asleep,
            m.owned
                .iter()
                .map(|p| format!("{}/{}", self.names[&p.topic], p.index))
                .collect::<Vec<_>>()
        );
        if let Some(g) = self.coordinator.describe_consumer_group("g") {
            for m in g.members {
                let of = |all: &[coordinator::DescribedPartitions]| -> Vec<String> {
                    all.iter().map(|t| format!("{}{:?}", t.topic, t.partitions)).collect()
                };
                let (has, target) = (of(&m.assigned), of(&m.target));
                println!("    {} epoch {} has {has:?} shall have {target:?}", m.member_id, m.epoch);
            }
        } else if let Some(g) = self.coordinator.describe_group("g") {
            let ids: Vec<_> = g.members.iter().map(|m| &m.member_id).collect();
            println!("    classic {} {ids:?}", g.state);
        }
    }

    fn pass(&mut self, nanos: u64) {
        self.now.instant.0 += nanos;
        self.now.wall.0 += i64::try_from(nanos / 1_000_000).unwrap();
        // A member that hears nothing for a session gives up what it has, as clients do.
        let session = 45 * SECOND;
        for m in &mut self.members {
            let waits = m.classic.waiting.is_some();
            if m.is_awake() && !waits && self.now.instant.0 - m.last_answer >= session {
                m.owned.clear();
                m.epoch = 0;
                m.classic.phase = classic::Phase::Join;
                m.last_answer = self.now.instant.0;
            }
        }
        self.coordinator.on_tick(self.now);
        let next = self.coordinator.next_deadline();
        assert!(next.is_none_or(|at| at > self.now.instant), "after a tick nothing is due");
        self.settle(None);
    }

    /// No partition is used by two.
    fn check(&mut self) {
        let is_consumers = self.coordinator.describe_consumer_group("g").is_some();
        let has_members =
            self.coordinator.describe_group("g").is_some_and(|g| !g.members.is_empty());
        if is_consumers || has_members {
            let changed = self.was_consumers != is_consumers;
            self.tally.migrations += u64::from(changed);
            self.was_consumers = is_consumers;
        }
        let mut used: BTreeMap<PartitionId, &str> = BTreeMap::new();
        for m in self.members.iter().filter(|m| m.is_awake()) {
            for p in &m.owned {
                let other = used.insert(*p, &m.id);
                assert!(other.is_none(), "{p} is used by {} and {other:?}", m.id);
            }
        }
    }

    fn run(mut self) -> Tally {
        for _ in 0..600 {
            self.event();
            let millis = self.random.below(700);
            self.pass(millis * 1_000_000);
        }
        self.chaos = false;
        self.settle(None);
        for m in self.members.iter_mut().filter(|m| m.asleep.is_some()) {
            m.asleep = Some(0);
        }
        if self.members.iter().all(|m| !m.alive) {
            self.next_id += 1;
            let id = format!("m{}", self.next_id);
            self.members[0] = Member { id, alive: true, ..Member::default() };
        }
        // Sessions and revocations of those that died end first.
        for _ in 0..80 {
            for n in 0..self.members.len() {
                self.beat(n);
                self.check();
            }
            self.pass(3 * SECOND);
        }
        let wanted: i32 = ["a", "b-1", "b-2"]
            .into_iter()
            .filter_map(|name| self.topics.borrow().named(name).map(|(_, n)| n))
            .sum();
        let living: Vec<&Member> = self.members.iter().filter(|m| m.alive).collect();
        let used: usize = living.iter().map(|m| m.owned.len()).sum();
        if living.iter().all(|m| m.kind != Kind::Consumer) {
            let group = self.coordinator.describe_group("g").unwrap();
            assert_eq!(group.state.name(), "Stable", "{group:#?}");
            assert_eq!(group.members.len(), living.len(), "{group:#?}");
            assert_eq!(used, usize::try_from(wanted).unwrap(), "a stuck group: {group:#?}");
        } else {
            let group = self.coordinator.describe_consumer_group("g").unwrap();
            assert_eq!(used, usize::try_from(wanted).unwrap(), "a stuck group: {group:#?}");
            assert_eq!(group.state.name(), "Stable", "{group:#?}");
            assert_eq!(group.members.len(), living.len(), "{group:#?}");
            assert!(living.iter().all(|m| m.epoch == group.epoch), "{group:#?}");
        }
        let sizes: BTreeSet<usize> = living.iter().map(|m| m.owned.len()).collect();
        assert!(sizes.last().unwrap() - sizes.first().unwrap() <= 1, "not even: {sizes:?}");
        self.tally
    }
}

#[expect(clippy::print_stdout, reason = "cargo prints it where a storm fails")]
fn storms(kinds: impl Fn(u64) -> [Kind; 2]) -> Tally {
    let seeds = std::env::var("CONSUMERS_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    let mut sum = Tally::default();
    let one = std::env::var("CONSUMERS_SEED").ok().and_then(|n| n.parse().ok());
    for seed in one.map_or(0..seeds, |one: u64| one..one + 1) {
        println!("seed {seed}");
        let members = 2 + usize::try_from(seed % 9).unwrap();
        let t = World::new(seed, members, kinds(seed)).run();
        sum.crashes += t.crashes;
        sum.failed += t.failed;
        sum.lost += t.lost;
        sum.twice += t.twice;
        sum.late += t.late;
        sum.fenced += t.fenced;
        sum.slept += t.slept;
        sum.assigned += t.assigned;
        sum.commits += t.commits;
        sum.migrations += t.migrations;
    }
    println!("{sum:?}");
    let weather = [sum.crashes, sum.failed, sum.lost, sum.twice, sum.late];
    let mut all = weather.into_iter().chain([sum.fenced, sum.slept, sum.assigned, sum.commits]);
    assert!(all.all(|n| n > 10), "nothing happened: {sum:?}");
    sum
}

#[test]
fn members_share_partitions_in_bad_weather() {
    storms(|_| [Kind::Consumer; 2]);
}

#[test]
fn members_of_both_protocols_share_partitions_in_bad_weather() {
    let kinds =
        |seed| [Kind::Consumer, if seed % 2 == 0 { Kind::Eager } else { Kind::Cooperative }];
    let sum = storms(kinds);
    assert!(sum.migrations > 100, "the group kept its protocol: {sum:?}");
}
