//! Time, events, and what the members do.

use crate::broker::{Log, PARTITIONS, REBALANCE_MS, SESSION_MS};
use crate::calendar::Calendar;
use crate::checks::{Checks, GROUPS, Tally};
use crate::member::{Member, Phase};
use crate::network::{Ask, Message, Random, Reply};
use coordinator::{ClassicState, Config, Coordinator, JoinGroupResponse, Now, Ticket};
use ids::{Instant, Timestamp};
use ringwood_coordinator as coordinator;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use wire::ErrorCode;

/// How large a storm is.
pub(crate) struct Scale {
    pub(crate) members: usize,
    pub(crate) chaos_ms: u64,
    /// No faults at all.
    pub(crate) calm: bool,
}

pub(crate) enum Event {
    Ask(u64, Rc<Message>),
    Reply(usize, u32, u64, Box<Reply>),
    /// A member's request has taken too long.
    Overdue(usize, u32, u64),
    /// A member sends what it regularly sends.
    Pulse(usize, u32),
    Birth(usize),
    Death(usize, u32),
    Rejoin(usize, u32),
    Flushed(u64, usize),
    Inspect,
    /// At once or, if it is to be so, as soon as records are on their way.
    Crash(bool),
    Restart,
}

pub(crate) struct World {
    seed: u64,
    scale: Scale,
    pub(crate) random: Random,
    pub(crate) time: u64,
    pub(crate) events: Calendar<Event>,
    pub(crate) config: Config,
    pub(crate) coordinator: Option<Coordinator>,
    pub(crate) incarnation: u64,
    pub(crate) log: Log,
    pub(crate) tickets: BTreeMap<Ticket, Rc<Message>>,
    pub(crate) members: Vec<Member>,
    pub(crate) fresh: u64,
    pub(crate) tags: u64,
    pub(crate) doubled: BTreeSet<u64>,
    pub(crate) chaos: bool,
    pub(crate) checks: Checks,
}

/// The first moment, in milliseconds.
const START: u64 = 1_000_000;
const REQUEST_TIMEOUT_MS: u64 = 5_000;
/// A zombie that joins last is given up after five minutes; after that a rebalance, and a session.
const SETTLE_MS: u64 = 300_000 + 4 * (REBALANCE_MS + SESSION_MS) as u64;
/// Groups that rest do so for as long as this: everyone who is gone has been found out, and called back.
const REST_MS: u64 = (REBALANCE_MS + SESSION_MS) as u64;
/// Storms of more members than these end as soon as all groups have rested for [`REST_MS`], and not after [`SETTLE_MS`]:
/// fair weather would be four fifths of their work.
const CROWD: usize = 500;
/// In a crowd members come and go in gusts, one in each wave.
const WAVE_MS: u64 = 45_000;
const GUST_MS: u64 = 10_000;

impl World {
    pub(crate) fn new(seed: u64, scale: Scale) -> Self {
        let config = Config {
            offsets_retention_check_interval_ms: 24 * 3_600_000,
            group_max_size: scale.members,
            ..Config::default()
        };
        Self {
            seed,
            random: Random(seed),
            time: START,
            events: Calendar::new(START),
            config,
            coordinator: None,
            incarnation: 0,
            log: Log::default(),
            tickets: BTreeMap::new(),
            members: Vec::new(),
            fresh: 0,
            tags: 0,
            doubled: BTreeSet::new(),
            chaos: !scale.calm,
            checks: Checks::default(),
            scale,
        }
    }

    pub(crate) fn run(mut self) -> Tally {
        let seed = self.seed;
        // Says which seed it was if a check fails.
        let _guard = OnPanic(seed);
        self.restart();
        for n in 0..self.scale.members {
            let (group, instance) = match n % 3 {
                0 => ("readers", None),
                1 => ("statics", Some(format!("s{n}"))),
                _ => ("workers", None),
            };
            self.members.push(Member {
                group,
                instance: instance.map(Rc::from),
                client_id: format!("c{n}").into(),
                modern: self.scale.calm || n % 4 != 0,
                phase: Phase::Dead,
                life: 0,
                member_id: String::new(),
                generation: -1,
                metadata: Vec::new(),
                waits_for: None,
                beat: None,
                commit: None,
                next_number: 0,
            });
            let delay = self.random.between(0, 5_000);
            self.schedule(delay, Event::Birth(n));
        }
        self.schedule(500, Event::Inspect);
        if self.chaos {
            self.schedule(20_000, Event::Crash(true));
        }
        self.run_until(self.time + self.scale.chaos_ms);
        self.chaos = false;
        self.settle();
        self.check_rest();
        for n in 0..self.members.len() {
            self.members[n].phase = Phase::Dead;
            self.members[n].life += 1;
        }
        self.run_until(self.time + 2 * (SESSION_MS + REBALANCE_MS) as u64);
        self.check_silence();
        self.checks.on_end();
        self.checks.tally.runs = 1;
        self.checks.tally
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            instant: Instant(self.time * 1_000_000),
            wall: Timestamp(i64::try_from(self.time).unwrap()),
        }
    }

    pub(crate) fn schedule(&mut self, delay: u64, event: Event) {
        self.events.enter(self.time + delay, event);
    }

    /// Whether bad weather of `percent` hits a member just now.
    pub(crate) fn weather(&mut self, _member: usize, percent: u64) -> bool {
        self.chaos && self.random.percent(percent)
    }

    pub(crate) fn delay(&mut self) -> u64 {
        let late = self.chaos && self.random.percent(2);
        self.checks.tally.messages_late += u64::from(late);
        if late { self.random.between(50, 6_000) } else { self.random.between(1, 20) }
    }

    fn run_until(&mut self, end: u64) {
        loop {
            let deadline = self.coordinator.as_ref().and_then(Coordinator::next_deadline);
            let due = deadline.map(|at| at.0.div_ceil(1_000_000).max(self.time));
            let due = due.filter(|at| *at <= end);
            // What is due at the same moment comes before what happens then.
            if let Some(at) = self.events.next(due.unwrap_or(end)).filter(|at| Some(*at) != due) {
                self.time = at;
                if let Some(event) = self.events.pop() {
                    self.happen(event);
                }
            } else if let Some(at) = due {
                self.time = at;
                self.tick();
            } else {
                self.time = end;
                return;
            }
        }
    }

    /// Fair weather, until everyone is where it belongs.
    fn settle(&mut self) {
        let end = self.time + SETTLE_MS;
        let mut rested = self.time;
        while self.time < end {
            self.run_until(self.time + 1_000);
            if !self.is_at_rest() {
                rested = self.time;
            } else if self.members.len() > CROWD && self.time - rested >= REST_MS {
                return;
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Ask(incarnation, message) => {
                // Connections do not survive a crash.
                if incarnation == self.incarnation {
                    self.deliver(message);
                }
            }
            Event::Reply(n, life, number, reply) => self.receive(n, life, number, *reply),
            Event::Overdue(n, life, number) => self.overdue(n, life, number),
            Event::Pulse(n, life) => self.pulse(n, life),
            Event::Birth(n) => self.birth(n),
            Event::Death(n, life) => self.death(n, life),
            Event::Rejoin(n, life) => {
                if self.lives(n, life) && self.members[n].waits_for.is_none() {
                    self.join(n);
                }
            }
            Event::Flushed(incarnation, end) => self.flushed(incarnation, end),
            Event::Inspect => {
                self.inspect();
                self.schedule(500, Event::Inspect);
            }
            // The moments at which records are on their way are short, and the ones that matter most.
            Event::Crash(true) if self.chaos && self.log.ends.is_empty() => {
                self.schedule(1, Event::Crash(true));
            }
            Event::Crash(_) => {
                if self.chaos {
                    self.crash();
                    let next = self.random.between(5_000, 60_000);
                    let busy = self.random.percent(80);
                    self.schedule(next, Event::Crash(busy));
                }
            }
            Event::Restart => self.restart(),
        }
    }

    fn lives(&self, n: usize, life: u32) -> bool {
        self.members[n].life == life && self.members[n].phase != Phase::Dead
    }

    fn birth(&mut self, n: usize) {
        let member = &mut self.members[n];
        if member.phase != Phase::Dead {
            return;
        }
        member.life += 1;
        member.member_id.clear();
        member.generation = -1;
        member.metadata = format!("{}.{}", member.client_id, member.life % 2).into_bytes();
        (member.beat, member.commit) = (None, None);
        let life = member.life;
        self.join(n);
        let pulse = self.random.between(500, 3_000);
        self.schedule(pulse, Event::Pulse(n, life));
        if self.chaos {
            let death = self.random.between(1_000, 120_000);
            let death = death + self.lull(death);
            self.schedule(death, Event::Death(n, life));
        }
    }

    /// How long to put off what would happen after `delay`. Among thousands somebody dies all the time and no group would ever
    /// be stable, so the storm comes in gusts of [`GUST_MS`] out of [`WAVE_MS`]; messages are lost in between all the same.
    fn lull(&self, delay: u64) -> u64 {
        let at = (self.time - START + delay) % WAVE_MS;
        if self.members.len() > CROWD && at > GUST_MS { WAVE_MS - at } else { 0 }
    }

    fn death(&mut self, n: usize, life: u32) {
        if !self.chaos || !self.lives(n, life) {
            return;
        }
        if self.random.percent(50) && !self.members[n].member_id.is_empty() {
            let member_id = self.members[n].member_id.clone();
            self.send(n, Ask::Leave { member_id });
        }
        self.members[n].phase = Phase::Dead;
        self.members[n].life += 1;
        self.members[n].waits_for = None;
        let rest = self.random.between(100, 25_000);
        let rest = rest + self.lull(rest);
        self.schedule(rest, Event::Birth(n));
    }

    fn join(&mut self, n: usize) {
        let member = &mut self.members[n];
        member.phase = Phase::Joining;
        let ask = Ask::Join {
            member_id: member.member_id.clone(),
            metadata: member.metadata.clone(),
            needs_member_id: member.modern,
        };
        self.call(n, Rc::new(ask), REBALANCE_MS as u64 + 5_000);
    }

    /// Sends a JoinGroup or SyncGroup and waits for it.
    fn call(&mut self, n: usize, ask: Rc<Ask>, timeout: u64) {
        let number = self.send_again(n, Rc::clone(&ask));
        self.members[n].waits_for = Some((number, ask));
        let life = self.members[n].life;
        self.schedule(timeout, Event::Overdue(n, life, number));
    }

    fn send(&mut self, n: usize, ask: Ask) -> u64 {
        self.send_again(n, Rc::new(ask))
    }

    fn send_again(&mut self, n: usize, ask: Rc<Ask>) -> u64 {
        let number = self.members[n].number();
        let message = Rc::new(Message { member: n, life: self.members[n].life, number, ask });
        let copies = if self.weather(n, 4) { 2 } else { 1 };
        self.checks.tally.messages_doubled += copies - 1;
        if copies == 2
            && let Ask::Commit { tag, .. } = &*message.ask
        {
            self.doubled.insert(*tag);
        }
        for _ in 0..copies {
            if !self.weather(n, 4) {
                let delay = self.delay();
                self.schedule(delay, Event::Ask(self.incarnation, Rc::clone(&message)));
            } else {
                self.checks.tally.messages_lost += 1;
            }
        }
        number
    }

    fn overdue(&mut self, n: usize, life: u32, number: u64) {
        if !self.lives(n, life) {
            return;
        }
        let Some((waited, ask)) = self.members[n].waits_for.clone() else { return };
        if waited == number {
            self.checks.tally.timeouts += 1;
            self.call(n, ask, REBALANCE_MS as u64 + 5_000);
        }
    }

    /// The coordinator is gone: members notice soon, and ask again.
    pub(crate) fn break_connections(&mut self) {
        for n in 0..self.members.len() {
            if let Some((number, _)) = self.members[n].waits_for {
                let delay = self.random.between(50, 2_000);
                let life = self.members[n].life;
                self.schedule(delay, Event::Overdue(n, life, number));
            }
        }
    }

    fn pulse(&mut self, n: usize, life: u32) {
        if !self.lives(n, life) {
            return;
        }
        let time = self.time;
        if self.members[n].phase != Phase::Joining {
            let member = &mut self.members[n];
            if member.beat.is_none_or(|(_, until)| until <= time) {
                let (member_id, generation) = (member.member_id.clone(), member.generation);
                let number = self.send(n, Ask::Beat { member_id, generation });
                self.members[n].beat = Some((number, time + REQUEST_TIMEOUT_MS));
            }
        }
        if self.members[n].phase == Phase::Stable {
            let member = &self.members[n];
            if member.commit.is_none_or(|(_, until)| until <= time) {
                let (member_id, generation) = (member.member_id.clone(), member.generation);
                self.tags += 1;
                let partition = self.random.between(0, PARTITIONS as u64 - 1);
                let ask = Ask::Commit {
                    member_id,
                    generation,
                    partition: i32::try_from(partition).unwrap(),
                    offset: i64::try_from(self.tags).unwrap(),
                    tag: self.tags,
                };
                let number = self.send(n, ask);
                self.members[n].commit = Some((number, time + REQUEST_TIMEOUT_MS));
            }
        }
        // In fair weather nothing but sessions has to go on.
        let (from, to) =
            if self.chaos || self.scale.calm { (1_000, 3_000) } else { (2_000, 6_000) };
        let pulse = self.random.between(from, to);
        self.schedule(pulse, Event::Pulse(n, life));
    }

    fn receive(&mut self, n: usize, life: u32, number: u64, reply: Reply) {
        if !self.lives(n, life) {
            return;
        }
        let is = |waited: Option<u64>| waited == Some(number);
        match reply {
            Reply::Join(r) if is(self.members[n].waits_for.as_ref().map(|w| w.0)) => {
                self.joined(n, r);
            }
            Reply::Sync(r) if is(self.members[n].waits_for.as_ref().map(|w| w.0)) => {
                self.members[n].waits_for = None;
                if r.error_code.is_none() {
                    self.members[n].phase = Phase::Stable;
                } else {
                    self.stumble(n, r.error_code);
                }
            }
            Reply::Beat(code) if is(self.members[n].beat.map(|b| b.0)) => {
                self.members[n].beat = None;
                if code.is_error() && self.members[n].phase != Phase::Joining {
                    self.stumble(n, code);
                }
            }
            Reply::Commit(r) if is(self.members[n].commit.map(|c| c.0)) => {
                self.members[n].commit = None;
                let code = r.topics[0].partitions[0].error_code;
                let lost = matches!(
                    code,
                    ErrorCode::ILLEGAL_GENERATION
                        | ErrorCode::UNKNOWN_MEMBER_ID
                        | ErrorCode::FENCED_INSTANCE_ID
                );
                if lost && self.members[n].phase == Phase::Stable {
                    self.stumble(n, code);
                }
            }
            Reply::Join(_) | Reply::Sync(_) | Reply::Beat(_) | Reply::Commit(_) => {}
            Reply::Leave(_) => {}
        }
    }

    fn joined(&mut self, n: usize, r: JoinGroupResponse) {
        self.members[n].waits_for = None;
        if r.error_code == ErrorCode::MEMBER_ID_REQUIRED {
            self.members[n].member_id = r.member_id;
            return self.join(n);
        }
        if r.error_code.is_error() {
            return self.stumble(n, r.error_code);
        }
        let member = &mut self.members[n];
        member.member_id = r.member_id.clone();
        member.generation = r.generation_id;
        member.phase = Phase::Syncing;
        let mut assignments = Vec::new();
        if r.leader == r.member_id && !r.skip_assignment {
            self.tags += 1;
            let mark = format!("{}#{}@{}", r.member_id, self.tags, r.generation_id);
            let mut names = BTreeSet::new();
            for m in &r.members {
                let name = m.group_instance_id.as_ref().unwrap_or(&m.member_id).clone();
                assignments.push((m.member_id.clone(), format!("{mark}/{name}").into_bytes()));
                names.insert(name);
            }
            self.checks.on_assigning(&mark, names);
        } else {
            let told = r.members.is_empty() || r.skip_assignment;
            assert!(told, "a follower was told the members");
        }
        let (member_id, generation) = (r.member_id, r.generation_id);
        let ask = Ask::Sync { member_id, generation, assignments };
        self.call(n, Rc::new(ask), REBALANCE_MS as u64 + 5_000);
    }

    /// A member was told no.
    fn stumble(&mut self, n: usize, code: ErrorCode) {
        self.members[n].waits_for = None;
        let life = self.members[n].life;
        match code {
            ErrorCode::REBALANCE_IN_PROGRESS | ErrorCode::ILLEGAL_GENERATION => self.join(n),
            ErrorCode::UNKNOWN_MEMBER_ID => {
                self.checks.tally.unknown_members += 1;
                self.members[n].member_id.clear();
                self.join(n);
            }
            ErrorCode::FENCED_INSTANCE_ID => {
                self.checks.tally.fenced += 1;
                self.members[n].phase = Phase::Dead;
                self.members[n].life += 1;
                let rest = self.random.between(100, 5_000);
                self.schedule(rest, Event::Birth(n));
            }
            ErrorCode::COORDINATOR_NOT_AVAILABLE
            | ErrorCode::NOT_COORDINATOR
            | ErrorCode::GROUP_MAX_SIZE_REACHED => {
                self.members[n].phase = Phase::Joining;
                let rest = self.random.between(100, 1_000);
                self.schedule(rest, Event::Rejoin(n, life));
            }
            other => panic!("member {n} of seed {} was told {other}", self.seed),
        }
    }

    /// Whether everyone is where it belongs, as far as one can see without a look at every member of every group.
    fn is_at_rest(&self) -> bool {
        let Some(coordinator) = &self.coordinator else { return false };
        self.members.iter().all(|m| m.phase == Phase::Stable)
            && GROUPS.iter().all(|name| {
                let mut mine = self.members.iter().filter(|m| m.group == *name);
                let generation = mine.next().map(|m| m.generation);
                let others = mine.filter(|m| Some(m.generation) == generation).count();
                coordinator.describe_group(name).is_some_and(|group| {
                    group.state == ClassicState::Stable && group.members.len() == others + 1
                })
            })
    }

    /// The weather has been fair for long: everyone is where it belongs.
    fn check_rest(&mut self) {
        self.inspect();
        let coordinator = self.coordinator.as_ref().unwrap();
        for group in GROUPS {
            let mine: Vec<&Member> = self.members.iter().filter(|m| m.group == group).collect();
            let generations: BTreeSet<i32> = mine.iter().map(|m| m.generation).collect();
            let told: Vec<_> = mine.iter().map(|m| (m.phase, m.generation)).collect();
            assert!(mine.iter().all(|m| m.phase == Phase::Stable), "{group}: {told:?}");
            assert_eq!(generations.len(), 1, "{group}: {told:?}");
            let seen = coordinator.describe_group(group).unwrap();
            assert_eq!(seen.state, ClassicState::Stable, "{group}");
            let ids: BTreeSet<&str> = seen.members.iter().map(|m| m.member_id.as_str()).collect();
            let alive: BTreeSet<&str> = mine.iter().map(|m| m.member_id.as_str()).collect();
            assert_eq!(ids, alive, "{group}");
        }
        let waiting = self.tickets.values().filter(|m| !matches!(*m.ask, Ask::Commit { .. }));
        assert_eq!(waiting.count(), 0, "nobody waits");
    }

    fn check_silence(&self) {
        let coordinator = self.coordinator.as_ref().unwrap();
        for group in GROUPS {
            let seen = coordinator.describe_group(group).unwrap();
            assert_eq!((seen.state, seen.members.len()), (ClassicState::Empty, 0), "{group}");
        }
        assert!(self.tickets.is_empty(), "{:?}", self.tickets);
        assert_eq!(coordinator.batches_in_flight(), 0);
    }
}

struct OnPanic(u64);

impl Drop for OnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "the storm of seed {} (run it alone with STORM_FIRST and STORM_SEEDS=1)",
                self.0
            );
        }
    }
}
