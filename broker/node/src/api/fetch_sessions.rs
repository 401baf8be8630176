//! Incremental fetch sessions (KIP-227): the client names only what changed, and so does the answer.
//!
//! A session belongs to the broker, not to a connection. Slots are bounded; a full cache gives way to the session that has
//! been silent the longest, if that is at least two minutes, and otherwise the client goes on without a session.
//!
//! A partition of a session is awake or asleep. It falls asleep when a read of it has found nothing, and only then: no error, no
//! bytes, and its reader at the high watermark. From then on the part of the session on the core that owns the partition says
//! when it has moved. A fetch costs what is awake, not what the session holds. Of a fetch that was given up nobody knows what it
//! has found: then all wake up.

use ids::{CoreId, Instant, LeaderEpoch, Offset, PartitionId, PartitionIndex, TopicId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use wire::ErrorCode;

/// A session this silent may lose its slot.
const STALE: Duration = Duration::from_secs(120);
/// Partitions of all sessions together; beyond it new sessions are not made.
const PARTITIONS_MAX: usize = 1_000_000;

/// Which partition, as the client names it: by id, or by name before version 13.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wanted {
    pub(crate) topic: TopicRef,
    pub(crate) partition: PartitionIndex,
}

/// A topic by name or by id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TopicRef {
    Name(String),
    Id(TopicId),
}

/// From where and how much of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct From {
    pub(crate) current_leader_epoch: LeaderEpoch,
    pub(crate) last_fetched_epoch: LeaderEpoch,
    pub(crate) offset: Offset,
    pub(crate) max_bytes: i32,
}

/// What the client was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    high_watermark: Offset,
    log_start: Offset,
}

const NOTHING_TOLD: Told = Told { high_watermark: Offset::NONE, log_start: Offset::NONE };

#[derive(Debug)]
struct Cached {
    wanted: Wanted,
    from: From,
    told: Told,
    /// Partitions are served in the order of this number; one that returned data goes to the back.
    turn: u64,
    /// What it was when it was asked for last.
    id: Option<PartitionId>,
    awake: bool,
}

#[derive(Debug)]
struct FetchSession {
    epoch: i32,
    by_id: bool,
    used: Instant,
    /// The name of its parts on the cores that own its partitions, and which cores these are.
    key: u64,
    cores: BTreeSet<CoreId>,
    /// By number.
    partitions: Vec<Option<Cached>>,
    free: Vec<u32>,
    numbers: BTreeMap<Wanted, u32>,
    /// All that are awake; after a fetch that was given up this is not known.
    awake: Vec<u32>,
    next_turn: u64,
    /// A fetch has begun and not told what it has found.
    unsettled: bool,
}

/// The sessions of one core.
#[derive(Debug)]
pub(crate) struct FetchSessions {
    /// The most sessions: this core's share of `max.incremental.fetch.session.cache.slots`.
    slots: usize,
    sessions: BTreeMap<i32, FetchSession>,
    partitions: usize,
    /// Parts of sessions that have ended.
    ended: Vec<(u64, BTreeSet<CoreId>)>,
}

/// What a request turns out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No session: everything asked for is answered.
    Sessionless,
    /// All partitions are answered, and the client gets this session; 0 if there is no room for one.
    Full(i32),
    /// Only what changed is answered.
    Incremental(i32),
}

/// A request's part that concerns sessions.
pub(crate) struct Asked {
    pub(crate) session_id: i32,
    pub(crate) epoch: i32,
    pub(crate) by_id: bool,
    pub(crate) wanted: Vec<(Wanted, From)>,
    pub(crate) forgotten: Vec<Wanted>,
}

/// A partition that is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) number: u32,
    pub(crate) turn: u64,
    pub(crate) wanted: Wanted,
    pub(crate) from: From,
    /// What it was when it was asked for last.
    pub(crate) id: Option<PartitionId>,
}

/// What a request asks for.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) kind: Kind,
    /// How many partitions it is about.
    pub(crate) holds: usize,
    /// What is awake, in turn.
    pub(crate) named: Vec<Named>,
    /// What its parts may forget.
    pub(crate) forgotten: Vec<(u32, PartitionId)>,
    /// The name of the session's parts, and the cores that have one.
    pub(crate) parts: Option<(u64, BTreeSet<CoreId>)>,
}

/// What was found of a partition, for its session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Findings {
    pub(crate) error: bool,
    pub(crate) bytes: usize,
    pub(crate) high_watermark: Offset,
    pub(crate) log_start: Offset,
    /// There is nothing to read before something moves.
    pub(crate) asleep: bool,
}

impl FetchSessions {
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots, sessions: BTreeMap::new(), partitions: 0, ended: Vec::new() }
    }

    /// Applies a request to its session, and says what is to be read. A full request gets the session `new_id`, if there is
    /// room for one, whose parts have the name `key`.
    pub(crate) fn open(
        &mut self,
        asked: Asked,
        now: Instant,
        new_id: i32,
        key: u64,
    ) -> Result<Opened, ErrorCode> {
        match asked.epoch {
            -1 => {
                self.close(asked.session_id);
                Ok(Opened { kind: Kind::Sessionless, ..Opened::of_all(asked.wanted) })
            }
            0 => {
                self.close(asked.session_id);
                match self.make(new_id, asked.by_id, &asked.wanted, now, key) {
                    true => self.go_on(new_id, Kind::Full(new_id)),
                    false => Ok(Opened { kind: Kind::Full(0), ..Opened::of_all(asked.wanted) }),
                }
            }
            epoch => {
                let Some(session) = self.sessions.get_mut(&asked.session_id) else {
                    return Err(ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
                };
                if session.epoch != epoch {
                    return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
                }
                if session.by_id != asked.by_id {
                    return Err(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
                }
                session.epoch = next_epoch(epoch);
                session.used = now;
                let mut forgotten = Vec::new();
                for wanted in &asked.forgotten {
                    if let Some(number) = session.numbers.remove(wanted) {
                        self.partitions -= 1;
                        session.free.push(number);
                        let cached = session.partitions[number as usize].take();
                        forgotten.extend(cached.and_then(|c| c.id).map(|id| (number, id)));
                    }
                }
                for (wanted, from) in asked.wanted {
                    self.partitions += usize::from(session.want(wanted, from));
                }
                let opened = self.go_on(asked.session_id, Kind::Incremental(asked.session_id));
                opened.map(|opened| Opened { forgotten, ..opened })
            }
        }
    }

    fn go_on(&mut self, id: i32, kind: Kind) -> Result<Opened, ErrorCode> {
        let Some(session) = self.sessions.get_mut(&id) else {
            return Err(ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
        };
        let named = session.named();
        let (holds, parts) = (session.numbers.len(), (session.key, session.cores.clone()));
        Ok(Opened { kind, holds, named, forgotten: Vec::new(), parts: Some(parts) })
    }

    /// Makes a session, if there is room.
    fn make(
        &mut self,
        id: i32,
        by_id: bool,
        partitions: &[(Wanted, From)],
        now: Instant,
        key: u64,
    ) -> bool {
        if self.sessions.len() >= self.slots {
            let oldest =
                self.sessions.iter().min_by_key(|(_, s)| s.used).map(|(i, s)| (*i, s.used));
            match oldest {
                Some((oldest, used)) if now.since(used) >= STALE => self.close(oldest),
                _ => return false,
            }
        }
        let taken = id <= 0 || self.sessions.contains_key(&id);
        if partitions.is_empty() || taken || self.partitions + partitions.len() > PARTITIONS_MAX {
            return false;
        }
        let mut session = FetchSession {
            epoch: 1,
            by_id,
            used: now,
            key,
            cores: BTreeSet::new(),
            partitions: Vec::with_capacity(partitions.len()),
            free: Vec::new(),
            numbers: BTreeMap::new(),
            awake: Vec::new(),
            next_turn: 0,
            unsettled: false,
        };
        for (wanted, from) in partitions {
            self.partitions += usize::from(session.want(wanted.clone(), *from));
        }
        self.sessions.insert(id, session);
        true
    }

    /// A partition of a session is on this core now; what it was before, if that was something else.
    pub(crate) fn resolved(
        &mut self,
        session: i32,
        number: u32,
        id: PartitionId,
        core: CoreId,
    ) -> Option<PartitionId> {
        let session = self.sessions.get_mut(&session)?;
        session.cores.insert(core);
        let cached = session.partitions.get_mut(number as usize)?.as_mut()?;
        cached.id.replace(id).filter(|before| *before != id)
    }

    /// What a session calls the partition that a part has read although it was not named: nothing if it is not that partition
    /// any more.
    pub(crate) fn called(&self, session: i32, number: u32, id: PartitionId) -> Option<Wanted> {
        let cached = self.sessions.get(&session)?.partitions.get(number as usize)?.as_ref()?;
        (cached.id == Some(id)).then(|| cached.wanted.clone())
    }

    /// Whether a partition belongs into an incremental answer; notes what the client is told by it, and whether it sleeps.
    pub(crate) fn tell(&mut self, id: i32, number: u32, found: Findings) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else { return true };
        let Some(Some(cached)) = session.partitions.get_mut(number as usize) else { return true };
        let now = Told { high_watermark: found.high_watermark, log_start: found.log_start };
        let news = found.error || found.bytes > 0 || cached.told != now;
        // After an error everything is said again.
        cached.told = if found.error { NOTHING_TOLD } else { now };
        if found.bytes > 0 {
            cached.turn = session.next_turn;
            session.next_turn += 1;
        }
        if found.asleep {
            cached.awake = false;
        } else if !std::mem::replace(&mut cached.awake, true) {
            session.awake.push(number);
        }
        news
    }

    /// All that a fetch has found was told; whether the session is still there.
    pub(crate) fn settle(&mut self, id: i32) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else { return false };
        session.unsettled = false;
        let FetchSession { awake, partitions, .. } = session;
        awake.sort_unstable();
        awake.dedup();
        let is_awake = |n: &u32| matches!(partitions.get(*n as usize), Some(Some(c)) if c.awake);
        awake.retain(is_awake);
        true
    }

    pub(crate) fn close(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions -= session.numbers.len();
            self.ended.push((session.key, session.cores));
        }
    }

    /// The parts of sessions that have ended since this was last asked.
    pub(crate) fn take_ended(&mut self) -> Vec<(u64, BTreeSet<CoreId>)> {
        std::mem::take(&mut self.ended)
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }
}

impl Opened {
    /// Of a request without a session: everything in the order of the request.
    fn of_all(wanted: Vec<(Wanted, From)>) -> Self {
        let named = (0u32..).zip(wanted).map(|(number, (wanted, from))| Named {
            number,
            turn: u64::from(number),
            wanted,
            from,
            id: None,
        });
        let named: Vec<Named> = named.collect();
        Self {
            kind: Kind::Sessionless,
            holds: named.len(),
            named,
            forgotten: Vec::new(),
            parts: None,
        }
    }
}

impl FetchSession {
    /// The client wants a partition, or wants it from elsewhere; whether it is new.
    fn want(&mut self, wanted: Wanted, from: From) -> bool {
        if let Some(number) = self.numbers.get(&wanted) {
            if let Some(Some(cached)) = self.partitions.get_mut(*number as usize) {
                cached.from = from;
                if !std::mem::replace(&mut cached.awake, true) {
                    self.awake.push(*number);
                }
            }
            return false;
        }
        let turn = self.next_turn;
        self.next_turn += 1;
        let cached = Cached {
            wanted: wanted.clone(),
            from,
            told: NOTHING_TOLD,
            turn,
            id: None,
            awake: true,
        };
        let number = self.free.pop().unwrap_or_else(|| {
            self.partitions.push(None);
            // Far below 2^32: each takes a hundred bytes.
            u32::try_from(self.partitions.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(place) = self.partitions.get_mut(number as usize) {
            *place = Some(cached);
        }
        self.numbers.insert(wanted, number);
        self.awake.push(number);
        true
    }

    /// What is awake, in turn. A fetch begins.
    fn named(&mut self) -> Vec<Named> {
        if std::mem::replace(&mut self.unsettled, true) {
            let all = (0u32..).zip(&mut self.partitions);
            self.awake = all
                .filter_map(|(number, place)| {
                    place.as_mut().map(|cached| {
                        cached.awake = true;
                        number
                    })
                })
                .collect();
        }
        let mut named: Vec<Named> = self
            .awake
            .iter()
            .filter_map(|number| {
                let cached = self.partitions.get(*number as usize)?.as_ref()?;
                let Cached { turn, wanted, from, id, .. } = cached;
                let (wanted, from) = (wanted.clone(), *from);
                Some(Named { number: *number, turn: *turn, wanted, from, id: *id })
            })
            .collect();
        named.sort_by_key(|n| (n.turn, n.number));
        // A number may have been given back and taken again.
        named.dedup_by_key(|n| n.number);
        named
    }
}

fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOTS: usize = 1000;

    fn wanted(partition: i32) -> Wanted {
        Wanted { topic: TopicRef::Name("t".into()), partition: PartitionIndex(partition) }
    }

    fn from(offset: i64) -> From {
        From {
            current_leader_epoch: LeaderEpoch::UNKNOWN,
            last_fetched_epoch: LeaderEpoch::UNKNOWN,
            offset: Offset(offset),
            max_bytes: 1,
        }
    }

    fn asked(session_id: i32, epoch: i32, wanted: Vec<(Wanted, From)>) -> Asked {
        Asked { session_id, epoch, by_id: false, wanted, forgotten: Vec::new() }
    }

    fn open(s: &mut FetchSessions, asked: Asked) -> Result<Opened, ErrorCode> {
        s.open(asked, Instant(0), 7, 1)
    }

    fn found(bytes: usize, high_watermark: i64, asleep: bool) -> Findings {
        Findings {
            error: false,
            bytes,
            high_watermark: Offset(high_watermark),
            log_start: Offset(0),
            asleep,
        }
    }

    fn with_session(partitions: i32) -> FetchSessions {
        let mut s = FetchSessions::new(SLOTS);
        let all: Vec<_> = (0..partitions).map(|p| (wanted(p), from(0))).collect();
        let opened = open(&mut s, asked(0, 0, all)).unwrap();
        assert_eq!(opened.kind, Kind::Full(7));
        assert_eq!(order(&opened), (0..partitions).collect::<Vec<i32>>());
        assert!(s.settle(7));
        s
    }

    fn order(opened: &Opened) -> Vec<i32> {
        opened.named.iter().map(|n| n.wanted.partition.0).collect()
    }

    #[test]
    fn an_unknown_session_a_wrong_epoch_and_a_mix_of_ids_are_refused() {
        let mut s = with_session(1);
        let refused = |s: &mut FetchSessions, a| open(s, a).unwrap_err();
        let unknown = refused(&mut s, asked(8, 1, vec![]));
        assert_eq!(unknown, ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
        let epoch = refused(&mut s, asked(7, 2, vec![]));
        assert_eq!(epoch, ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        let mixed = refused(&mut s, Asked { by_id: true, ..asked(7, 1, vec![]) });
        assert_eq!(mixed, ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
        assert_eq!(next_epoch(i32::MAX), 1);
    }

    #[test]
    fn only_news_are_told_and_everything_again_after_an_error() {
        let mut s = with_session(1);
        let mut tell =
            |error, bytes, hw| s.tell(7, 0, Findings { error, ..found(bytes, hw, false) });
        assert!(tell(false, 0, 5));
        assert!(!tell(false, 0, 5));
        assert!(tell(false, 0, 6));
        assert!(tell(false, 9, 6));
        assert!(tell(true, 0, 6));
        assert!(tell(false, 0, 6));
        assert!(!tell(false, 0, 6));
        let later = Findings { log_start: Offset(3), ..found(0, 6, true) };
        assert!(s.tell(7, 0, later), "a start that moved is news");
        assert!(!s.tell(7, 0, later));
    }

    #[test]
    fn who_got_data_goes_to_the_back() {
        let mut s = with_session(3);
        s.tell(7, 0, found(10, 1, false));
        assert_eq!(order(&open(&mut s, asked(7, 1, vec![])).unwrap()), [1, 2, 0]);
    }

    #[test]
    fn forgotten_partitions_are_not_read_and_changed_ones_are() {
        let mut s = with_session(2);
        let id = PartitionId { topic: TopicId([1; 16]), index: PartitionIndex(0) };
        assert_eq!(s.resolved(7, 0, id, CoreId(1)), None);
        let change =
            Asked { forgotten: vec![wanted(0)], ..asked(7, 1, vec![(wanted(1), from(9))]) };
        let opened = open(&mut s, change).unwrap();
        assert_eq!(opened.kind, Kind::Incremental(7));
        assert_eq!(order(&opened), [1]);
        assert_eq!(opened.named[0].from, from(9));
        assert_eq!(opened.forgotten, [(0, id)]);
        assert_eq!(s.partitions, 1);
        assert_eq!(s.called(7, 0, id), None);
    }

    #[test]
    fn who_sleeps_is_not_read_until_the_client_asks_for_something_else() {
        let mut s = with_session(3);
        (0..3).for_each(|n| _ = s.tell(7, n, found(0, 5, n != 1)));
        assert!(s.settle(7));
        assert_eq!(order(&open(&mut s, asked(7, 1, vec![])).unwrap()), [1]);
        assert!(!s.tell(7, 1, found(0, 5, true)));
        s.settle(7);
        let change = asked(7, 2, vec![(wanted(2), from(5))]);
        assert_eq!(order(&open(&mut s, change).unwrap()), [2]);
        // One that a part has read although it slept.
        assert!(s.tell(7, 0, found(0, 6, false)));
        assert!(!s.tell(7, 2, found(0, 5, true)));
        s.settle(7);
        assert_eq!(order(&open(&mut s, asked(7, 3, vec![])).unwrap()), [0]);
    }

    #[test]
    fn after_a_fetch_that_was_given_up_all_are_awake() {
        let mut s = with_session(3);
        (0..3).for_each(|n| _ = s.tell(7, n, found(0, 5, true)));
        s.settle(7);
        assert_eq!(order(&open(&mut s, asked(7, 1, vec![])).unwrap()), [0; 0]);
        assert_eq!(order(&open(&mut s, asked(7, 2, vec![])).unwrap()), [0, 1, 2]);
    }

    #[test]
    fn a_number_that_is_free_serves_another_partition() {
        let mut s = with_session(2);
        let id = |index| PartitionId { topic: TopicId([1; 16]), index: PartitionIndex(index) };
        s.resolved(7, 0, id(0), CoreId(0));
        assert_eq!(s.called(7, 0, id(0)), Some(wanted(0)));
        let change =
            Asked { forgotten: vec![wanted(0)], ..asked(7, 1, vec![(wanted(5), from(0))]) };
        assert_eq!(order(&open(&mut s, change).unwrap()), [1, 5]);
        assert_eq!(s.called(7, 0, id(0)), None, "what comes late of the old one is dropped");
        s.resolved(7, 0, id(5), CoreId(0));
        assert_eq!(s.called(7, 0, id(5)), Some(wanted(5)));
        assert_eq!(s.resolved(7, 0, id(6), CoreId(1)), Some(id(5)), "the topic is another one");
    }

    #[test]
    fn a_full_cache_gives_way_only_to_the_patient() {
        let mut s = FetchSessions::new(SLOTS);
        let one = || asked(0, 0, vec![(wanted(0), from(0))]);
        for i in 0..SLOTS {
            let id = i32::try_from(i).unwrap() + 1;
            let opened = s.open(one(), Instant(0), id, u64::from(id.unsigned_abs())).unwrap();
            assert_eq!(opened.kind, Kind::Full(id));
        }
        assert_eq!(s.open(one(), Instant(0), 5000, 5000).unwrap().kind, Kind::Full(0));
        assert!(s.take_ended().is_empty());
        let later = Instant(0) + STALE;
        assert_eq!(s.open(one(), later, 5000, 5000).unwrap().kind, Kind::Full(5000));
        assert_eq!(s.len(), SLOTS);
        assert_eq!(s.take_ended().len(), 1, "its parts are to go");
    }
}
