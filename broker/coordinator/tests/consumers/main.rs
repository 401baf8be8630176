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
//! Crowds are storms of many members in several groups of one coordinator: all join at once, and its log is compacted when it
//! crashes.
//!
//! `CONSUMERS_SEEDS=1000 cargo test -p ringwood-coordinator --test consumers` runs more seeds; `CONSUMERS_SEED=7` that one, and
//! tells what happens. `CONSUMERS_FIRST` is the first seed and `CONSUMERS_MEMBERS` the size of a crowd: `cargo xtask prove storms`.
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
const GROUPS: [&str; 8] = ["g", "g1", "g2", "g3", "g4", "g5", "g6", "g7"];

/// How large a storm is.
#[derive(Clone, Copy)]
struct Scale {
    members: usize,
    groups: usize,
    events: usize,
}

impl Scale {
    const fn few(members: usize) -> Self {
        Self { members, groups: 1, events: 600 }
    }

    /// Each member has as many events a second as among ten.
    const fn crowd(members: usize) -> Self {
        Self { members, groups: GROUPS.len(), events: members * 20 }
    }

    const fn is_crowd(self) -> bool {
        self.groups > 1
    }

    /// What happens to all of them, and not to one, must not come more often because there are many.
    fn rarity(self) -> u64 {
        if self.is_crowd() { (self.members as u64 / 40).max(1) } else { 1 }
    }

    /// The longest time between two events.
    fn pause_nanos(self) -> u64 {
        let millis = 700_000_000;
        if self.is_crowd() { millis * 10 / self.members as u64 } else { millis }
    }
}

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
    group: &'static str,
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
            group_id: self.group,
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

impl Tally {
    fn each(&mut self) -> [(&'static str, &mut u64); 10] {
        [
            ("crashes", &mut self.crashes),
            ("failed_appends", &mut self.failed),
            ("lost", &mut self.lost),
            ("twice", &mut self.twice),
            ("late", &mut self.late),
            ("fenced", &mut self.fenced),
            ("slept", &mut self.slept),
            ("assignments", &mut self.assigned),
            ("commits", &mut self.commits),
            ("migrations", &mut self.migrations),
        ]
    }

    fn add(&mut self, mut other: Self) {
        for ((_, sum), (_, more)) in self.each().into_iter().zip(other.each()) {
            *sum += *more;
        }
    }
}

struct World {
    random: Random,
    now: Now,
    topics: SharedTopics,
    coordinator: Coordinator,
    log: Vec<Record>,
    committed: usize,
    ends: Vec<usize>,
    scale: Scale,
    members: Vec<Member>,
    /// The last acknowledged commit of each group.
    offsets: BTreeMap<(&'static str, PartitionId), i64>,
    names: BTreeMap<TopicId, String>,
    /// Rises when a topic comes, goes or grows.
    topics_changed: u64,
    config: Config,
    /// What members may be.
    kinds: [Kind; 2],
    was_consumers: [bool; GROUPS.len()],
    tells: bool,
    chaos: bool,
    next_id: u64,
    /// Before that nobody has been without an answer for a session.
    silence_at: u64,
    tally: Tally,
}

impl World {
    fn new(seed: u64, scale: Scale, kinds: [Kind; 2]) -> Self {
        let now = Now { instant: Instant(SECOND), wall: Timestamp(1_000) };
        let topics = SharedTopics::default();
        let interval = [1_000, 0, 1_000, 4_000];
        let consumer_assignment_interval_ms = interval[usize::try_from(seed % 4).unwrap()];
        let mut config = Config { consumer_assignment_interval_ms, ..Config::default() };
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
            scale,
            members: (0..scale.members).map(|_| Member::default()).collect(),
            offsets: BTreeMap::new(),
            names: BTreeMap::new(),
            topics_changed: 0,
            config,
            kinds,
            was_consumers: [false; GROUPS.len()],
            tells: std::env::var_os("CONSUMERS_SEED").is_some(),
            chaos: true,
            next_id: 0,
            silence_at: 0,
            tally: Tally::default(),
        };
        let partitions = if scale.is_crowd() { scale.members / scale.groups } else { 7 };
        world.topic("a", i32::try_from(partitions).unwrap());
        world.topic("b-1", 3);
        world
    }

    fn percent(&mut self, n: u64) -> bool {
        self.random.below(100) < n
    }

    /// The group of a member.
    fn group_of(&self, n: usize) -> &'static str {
        GROUPS[n % self.scale.groups]
    }

    fn groups(&self) -> &'static [&'static str] {
        &GROUPS[..self.scale.groups]
    }

    /// The members of a group.
    fn members_of(&self, group: usize) -> impl Iterator<Item = &Member> {
        self.members.iter().skip(group).step_by(self.scale.groups)
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
            group: self.group_of(n),
            id: m.id.clone(),
            instance: m.instance.clone(),
            epoch: m.epoch,
            full: m.full || m.epoch == 0,
            // Half of them read by a pattern.
            by_pattern: (n / self.scale.groups) % 2 == 1,
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
        let woke = self.members[n].asleep.is_some();
        if woke {
            self.listens();
        }
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
        // It uses no others than before unless it was told so, or did not know better until now.
        if woke || r.assignment.is_some() {
            self.check_alone(n);
        }
    }

    /// One member commits for one of its partitions.
    fn commit(&mut self, n: usize) {
        let up = self.is_up(n);
        let m = &self.members[n];
        let Some(p) = m.owned.first().copied().filter(|_| up && m.epoch > 0) else { return };
        let name = self.names[&p.topic].clone();
        let group = self.group_of(n);
        let next = self.offsets.get(&(group, p)).copied().unwrap_or(0) + 1;
        let id = m.id.clone();
        let request = OffsetCommit {
            group_id: group,
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
                self.offsets.insert((group, p), next);
                // It commits by name. If the topic is gone and another has its name, then that is what it commits for.
                if let Some((topic, _)) = self.topics.borrow().named(&name) {
                    self.offsets.insert((group, PartitionId { topic, ..p }), next);
                }
                let mut others = self.members_of(n % self.scale.groups);
                let owner = others.find(|m| m.id != id && m.is_awake() && m.owned.contains(&p));
                assert!(owner.is_none(), "{id} committed for {p} of {}", owner.unwrap().id);
                let known = self.topics.borrow().named(&name).is_some_and(|(id, _)| id == p.topic);
                if known {
                    assert!(self.fetched(group, &name, p.index) >= next, "a commit was forgotten");
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

    fn fetched(&self, group_id: &str, topic: &str, partition: PartitionIndex) -> i64 {
        let topics = Some(vec![(topic, vec![partition])]);
        let fetch = OffsetFetch { group_id, topics, require_stable: false, member: None };
        self.coordinator.offset_fetch(&fetch)[0].partitions[0].offset.0
    }

    fn crash(&mut self) {
        self.tally.crashes += 1;
        if let Some(end) = self.ends.first().copied().filter(|_| self.random.below(2) == 0) {
            self.committed = end;
        }
        self.log.truncate(self.committed);
        self.ends.clear();
        if self.scale.is_crowd() {
            self.compact();
        }
        let config = self.config.clone();
        self.coordinator = Coordinator::with_topics(config, Rc::clone(&self.topics));
        for (at, record) in self.log.iter().enumerate() {
            let at = Offset(i64::try_from(at).unwrap());
            let (key, value) = (&record.key[..], record.value.as_deref());
            self.coordinator.replay(Replayed { at, producer: None, key, value }).unwrap();
        }
        self.coordinator.start(self.now);
        for ((group, p), offset) in self.offsets.clone() {
            let name = self.names[&p.topic].clone();
            if self.topics.borrow().named(&name).is_some_and(|(id, _)| id == p.topic) {
                let found = self.fetched(group, &name, p.index);
                assert!(found >= offset, "an acknowledged commit is gone");
            }
        }
        self.listens();
        for m in &mut self.members {
            m.full = true;
            if m.classic.waiting.take().is_some() {
                m.classic.phase = classic::Phase::Join;
            }
        }
    }

    /// The newest record of each key stays.
    fn compact(&mut self) {
        let newest: BTreeMap<Vec<u8>, usize> =
            self.log.iter().enumerate().map(|(at, record)| (record.key.clone(), at)).collect();
        let mut at = 0..;
        self.log.retain(|record| at.next() == newest.get(&record.key).copied());
        self.committed = self.log.len();
    }

    /// A member comes, maybe of the other protocol than before.
    fn born(&mut self, n: usize) {
        self.next_id += 1;
        let id = format!("m{}", self.next_id);
        let instance = n.is_multiple_of(3).then(|| format!("i{n}"));
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

    fn event(&mut self) {
        let n = usize::try_from(self.random.below(self.members.len() as u64)).unwrap();
        let drawn = self.random.below(100);
        let drawn = match drawn {
            // What befalls everyone at once.
            6..10 if self.random.below(self.scale.rarity()) > 0 => 50,
            other => other,
        };
        match drawn {
            0..12 if !self.members[n].alive => self.born(n),
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
                    group_id: self.group_of(n),
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
        if !self.scale.is_crowd() || self.random.below(4_000) == 0 {
            self.check();
        }
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
        if let Some(g) = self.coordinator.describe_consumer_group(self.group_of(n)) {
            for m in g.members {
                let of = |all: &[coordinator::DescribedPartitions]| -> Vec<String> {
                    all.iter().map(|t| format!("{}{:?}", t.topic, t.partitions)).collect()
                };
                let (has, target) = (of(&m.assigned), of(&m.target));
                println!("    {} epoch {} has {has:?} shall have {target:?}", m.member_id, m.epoch);
            }
        } else if let Some(g) = self.coordinator.describe_group(self.group_of(n)) {
            let ids: Vec<_> = g.members.iter().map(|m| &m.member_id).collect();
            println!("    classic {} {ids:?}", g.state);
        }
    }

    fn pass(&mut self, nanos: u64) {
        self.now.instant.0 += nanos;
        self.now.wall.0 += i64::try_from(nanos / 1_000_000).unwrap();
        if self.now.instant.0 >= self.silence_at {
            self.give_up();
        }
        // Nothing would happen before its deadline; what is on its way comes with the next event.
        if self.coordinator.next_deadline().is_some_and(|at| at <= self.now.instant) {
            self.coordinator.on_tick(self.now);
            let next = self.coordinator.next_deadline();
            assert!(next.is_none_or(|at| at > self.now.instant), "after a tick nothing is due");
        }
        self.settle(None);
    }

    /// Members that have heard nothing for a session give up what they have, as clients do.
    fn give_up(&mut self) {
        let (now, session) = (self.now.instant.0, 45 * SECOND);
        self.silence_at = now + session;
        for m in &mut self.members {
            if !m.is_awake() || m.classic.waiting.is_some() {
                continue;
            }
            if now - m.last_answer >= session {
                m.owned.clear();
                m.epoch = 0;
                m.classic.phase = classic::Phase::Join;
                m.last_answer = now;
            }
            self.silence_at = self.silence_at.min(m.last_answer + session);
        }
    }

    /// A member listens again, who did not for a time: it may have been without an answer for long.
    fn listens(&mut self) {
        self.silence_at = 0;
    }

    /// No partition is used by two.
    fn check(&mut self) {
        for (at, group) in self.groups().iter().enumerate() {
            let is_consumers = self.coordinator.describe_consumer_group(group).is_some();
            let has_members =
                self.coordinator.describe_group(group).is_some_and(|g| !g.members.is_empty());
            if is_consumers || has_members {
                let changed = self.was_consumers[at] != is_consumers;
                self.tally.migrations += u64::from(changed);
                self.was_consumers[at] = is_consumers;
            }
            let mut used: BTreeMap<PartitionId, &str> = BTreeMap::new();
            for m in self.members_of(at).filter(|m| m.is_awake()) {
                for p in &m.owned {
                    let other = used.insert(*p, &m.id);
                    assert!(other.is_none(), "{p} of {group} is used by {} and {other:?}", m.id);
                }
            }
        }
    }

    /// Nobody else uses what this member uses. Only what a member hears can break that, so in a crowd it is enough to look
    /// at who heard something.
    fn check_alone(&self, n: usize) {
        let m = &self.members[n];
        if !self.scale.is_crowd() || !m.is_awake() || m.owned.is_empty() {
            return;
        }
        for other in self.members_of(n % self.scale.groups).filter(|o| o.is_awake()) {
            let shared = other.owned.intersection(&m.owned).next();
            let alone = std::ptr::eq(other, m) || shared.is_none();
            assert!(alone, "{shared:?} is used by {} and {}", m.id, other.id);
        }
    }

    fn run(mut self) -> Tally {
        if self.scale.is_crowd() {
            // All of them at once.
            for n in 0..self.members.len() {
                self.born(n);
                self.beat(n);
                self.pass(SECOND / 1_000);
            }
        }
        for _ in 0..self.scale.events {
            self.event();
            let nanos = self.random.below(self.scale.pause_nanos());
            self.pass(nanos);
        }
        self.chaos = false;
        self.settle(None);
        for m in self.members.iter_mut().filter(|m| m.asleep.is_some()) {
            m.asleep = Some(0);
        }
        self.listens();
        for group in 0..self.scale.groups {
            if self.members_of(group).all(|m| !m.alive) {
                self.next_id += 1;
                let id = format!("m{}", self.next_id);
                self.members[group] = Member { id, alive: true, ..Member::default() };
            }
        }
        // Sessions and revocations of those that died end first.
        let mut at_rest = 0;
        for _ in 0..80 {
            for n in 0..self.members.len() {
                self.beat(n);
                if !self.scale.is_crowd() {
                    self.check();
                }
            }
            self.check();
            // Members of a crowd say no more than they must: a fifth of a session passes between two words.
            let round = if self.scale.is_crowd() { 9 } else { 3 };
            self.pass(round * SECOND);
            // A crowd that rests, and still does after a few rounds more, rests: they cost as much as all the bad weather.
            let rests =
                self.scale.is_crowd() && (0..self.scale.groups).all(|at| self.is_at_rest(at));
            at_rest = if rests { at_rest + 1 } else { 0 };
            if at_rest > 3 {
                break;
            }
        }
        for at in 0..self.scale.groups {
            self.check_rest(at);
        }
        self.tally
    }

    /// Whether all living members of a group are its members and have what they shall have.
    fn is_at_rest(&self, at: usize) -> bool {
        let living = || self.members_of(at).filter(|m| m.alive);
        if let Some(group) = self.coordinator.describe_consumer_group(GROUPS[at]) {
            return group.state.name() == "Stable"
                && group.members.len() == living().count()
                && living().all(|m| m.epoch == group.epoch);
        }
        let group = self.coordinator.describe_group(GROUPS[at]);
        group.is_some_and(|group| {
            group.state.name() == "Stable"
                && group.members.len() == living().count()
                && living().all(|m| m.classic.phase == classic::Phase::Beat)
        })
    }

    /// A group has come to rest.
    fn check_rest(&self, at: usize) {
        let name = GROUPS[at];
        let wanted: i32 = ["a", "b-1", "b-2"]
            .into_iter()
            .filter_map(|name| self.topics.borrow().named(name).map(|(_, n)| n))
            .sum();
        let living: Vec<&Member> = self.members_of(at).filter(|m| m.alive).collect();
        let used: usize = living.iter().map(|m| m.owned.len()).sum();
        if living.iter().all(|m| m.kind != Kind::Consumer) {
            let group = self.coordinator.describe_group(name).unwrap();
            assert_eq!(group.state.name(), "Stable", "{group:#?}");
            assert_eq!(group.members.len(), living.len(), "{group:#?}");
            assert_eq!(used, usize::try_from(wanted).unwrap(), "a stuck group: {group:#?}");
        } else {
            let group = self.coordinator.describe_consumer_group(name).unwrap();
            assert_eq!(used, usize::try_from(wanted).unwrap(), "a stuck group: {group:#?}");
            assert_eq!(group.state.name(), "Stable", "{group:#?}");
            assert_eq!(group.members.len(), living.len(), "{group:#?}");
            assert!(living.iter().all(|m| m.epoch == group.epoch), "{group:#?}");
        }
        let sizes: BTreeSet<usize> = living.iter().map(|m| m.owned.len()).collect();
        assert!(sizes.last().unwrap() - sizes.first().unwrap() <= 1, "not even: {sizes:?}");
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|n| n.parse().ok())
}

#[expect(clippy::print_stdout, reason = "cargo prints it where a storm fails")]
fn storms(default: u64, scale: impl Fn(u64) -> Scale, kinds: impl Fn(u64) -> [Kind; 2]) -> Tally {
    let first = number("CONSUMERS_FIRST").unwrap_or(0);
    let seeds = number("CONSUMERS_SEEDS").unwrap_or(default);
    let one = number("CONSUMERS_SEED").map(|one| one..one + 1);
    let mut sum = Tally::default();
    for seed in one.unwrap_or(first..first + seeds) {
        println!("seed {seed}");
        sum.add(World::new(seed, scale(seed), kinds(seed)).run());
    }
    for (name, n) in sum.each() {
        println!("count {n} {name}");
    }
    sum
}

fn assert_eventful(sum: &mut Tally) {
    let migrates = |name: &str| name == "migrations";
    let quiet = sum.each().into_iter().find(|(name, n)| **n <= 10 && !migrates(name));
    assert!(quiet.is_none(), "nothing happened: {quiet:?}");
}

/// The smallest groups, and some of up to ten.
fn few(seed: u64) -> Scale {
    Scale::few(2 + usize::try_from(seed % 9).unwrap())
}

fn both(seed: u64) -> [Kind; 2] {
    [Kind::Consumer, if seed.is_multiple_of(2) { Kind::Eager } else { Kind::Cooperative }]
}

#[test]
fn members_share_partitions_in_bad_weather() {
    assert_eventful(&mut storms(100, few, |_| [Kind::Consumer; 2]));
}

#[test]
fn members_of_both_protocols_share_partitions_in_bad_weather() {
    let mut sum = storms(100, few, both);
    assert_eventful(&mut sum);
    assert!(sum.migrations > 100, "the group kept its protocol: {sum:?}");
}

/// Every third crowd has members of both protocols.
#[test]
fn crowds_share_partitions_in_bad_weather() {
    let members = usize::try_from(number("CONSUMERS_MEMBERS").unwrap_or(160)).unwrap();
    let kinds = |seed: u64| {
        if seed.is_multiple_of(3) { both(seed / 3) } else { [Kind::Consumer; 2] }
    };
    let sum = storms(4, |_| Scale::crowd(members), kinds);
    assert!(sum.crashes > 0 && sum.fenced > 0 && sum.assigned > 0 && sum.commits > 0, "{sum:?}");
}

/// Members that come within the interval wait for it together, and those that stay go on meanwhile.
#[test]
fn an_assignment_waits_for_its_interval() {
    let mut world = World::new(0, Scale::few(3), [Kind::Consumer; 2]);
    world.chaos = false;
    let has = |world: &World| world.members.iter().map(|m| m.owned.len()).collect::<Vec<_>>();
    let state =
        |world: &World| world.coordinator.describe_consumer_group("g").unwrap().state.name();
    world.born(0);
    world.beat(0);
    // Whoever comes first waits for nobody.
    assert_eq!((has(&world), state(&world)), (vec![10, 0, 0], "Stable"));
    world.pass(SECOND / 2);
    world.born(1);
    world.born(2);
    (0..3).for_each(|n| world.beat(n));
    assert_eq!((has(&world), state(&world)), (vec![10, 0, 0], "Assigning"));
    world.pass(SECOND / 2 - 1);
    (0..3).for_each(|n| world.beat(n));
    assert_eq!((has(&world), state(&world)), (vec![10, 0, 0], "Assigning"));
    world.pass(1);
    for _ in 0..3 {
        (0..3).for_each(|n| world.beat(n));
    }
    assert_eq!((has(&world), state(&world)), (vec![4, 3, 3], "Stable"));

    // One that changes what it reads does not wait.
    world.pass(SECOND);
    let epoch = world.members[1].epoch;
    let id = world.members[1].id.clone();
    let request = ConsumerGroupHeartbeat {
        group_id: "g",
        member_id: &id,
        member_epoch: epoch,
        rebalance_timeout_ms: -1,
        subscribed_topic_names: Some(vec!["b-1"]),
        subscribed_topic_regex: Some(""),
        brings_member_id: true,
        ..ConsumerGroupHeartbeat::default()
    };
    for _ in 0..2 {
        let _ = world.coordinator.consumer_group_heartbeat(&request, "", world.now);
        world.settle(None);
    }
    let group = world.coordinator.describe_consumer_group("g").unwrap();
    assert_eq!(group.epoch, group.assignment_epoch);
    let own = group.members.iter().find(|m| m.member_id == id).unwrap();
    assert!(own.target.iter().all(|t| t.topic == "b-1"), "{own:?}");
}

#[test]
fn a_member_whose_record_has_no_room_does_not_hold_up_the_others() {
    let mut world = World::new(1, Scale::few(1), [Kind::Consumer; 2]);
    world.chaos = false;
    let config = Config { batch_bytes_max: 4_096, ..Config::default() };
    world.coordinator.configure(config);
    let names: Vec<String> = (0..1_000).map(|n| format!("topic-{n}")).collect();
    let mut joins = |id: &str, names: Vec<&str>| {
        let request = ConsumerGroupHeartbeat {
            group_id: "g",
            member_id: id,
            rebalance_timeout_ms: 60_000,
            subscribed_topic_names: Some(names),
            topic_partitions: Some(Vec::new()),
            brings_member_id: true,
            ..ConsumerGroupHeartbeat::default()
        };
        match world.coordinator.consumer_group_heartbeat(&request, "", world.now) {
            Outcome::Ready(r) => r,
            Outcome::Parked(ticket) => world.settle(Some(ticket)).unwrap().try_into().unwrap(),
        }
    };
    let large = joins("large", names.iter().map(String::as_str).collect());
    assert_eq!(large.error_code, ErrorCode::UNKNOWN_SERVER_ERROR);
    let small = joins("small", vec!["a"]);
    assert_eq!((small.error_code, small.member_epoch > 0), (ErrorCode::NONE, true));
    assert_eq!(small.assignment.map(|a| a.len()), Some(7));
    let group = world.coordinator.describe_consumer_group("g").unwrap();
    assert_eq!(group.members.len(), 1);
}
