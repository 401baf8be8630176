//! Incremental fetch sessions (KIP-227): the client names only what changed, and so does the answer.
//!
//! A session belongs to the broker, not to a connection. Slots are bounded; a full cache gives way to the session that has
//! been silent the longest, if that is at least two minutes, and otherwise the client goes on without a session.

use ids::{Instant, LeaderEpoch, Offset, PartitionIndex, TopicId};
use std::collections::BTreeMap;
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
    from: From,
    told: Told,
    /// Partitions are served in the order of this number; one that returned data goes to the back.
    turn: u64,
}

#[derive(Debug)]
struct FetchSession {
    epoch: i32,
    by_id: bool,
    used: Instant,
    partitions: BTreeMap<Wanted, Cached>,
    next_turn: u64,
}

/// The sessions of one core.
#[derive(Debug)]
pub(crate) struct FetchSessions {
    /// The most sessions: this core's share of `max.incremental.fetch.session.cache.slots`.
    slots: usize,
    sessions: BTreeMap<i32, FetchSession>,
    partitions: usize,
}

/// What a request turns out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No session: everything asked for is answered.
    Sessionless,
    /// All partitions are answered, and the client gets this session, if there is room for one.
    Full,
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

impl FetchSessions {
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots, sessions: BTreeMap::new(), partitions: 0 }
    }

    /// Applies a request to its session and says which partitions to read, in order.
    pub(crate) fn open(
        &mut self,
        asked: Asked,
        now: Instant,
    ) -> Result<(Kind, Vec<(Wanted, From)>), ErrorCode> {
        match asked.epoch {
            -1 | 0 => {
                self.close(asked.session_id);
                let kind = if asked.epoch == 0 { Kind::Full } else { Kind::Sessionless };
                Ok((kind, asked.wanted))
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
                for wanted in &asked.forgotten {
                    if session.partitions.remove(wanted).is_some() {
                        self.partitions -= 1;
                    }
                }
                for (wanted, from) in asked.wanted {
                    let turn = session.next_turn;
                    if let Some(cached) = session.partitions.get_mut(&wanted) {
                        cached.from = from;
                    } else {
                        session.next_turn += 1;
                        let told = NOTHING_TOLD;
                        session.partitions.insert(wanted, Cached { from, told, turn });
                        self.partitions += 1;
                    }
                }
                let mut order: Vec<(u64, Wanted, From)> =
                    session.partitions.iter().map(|(w, c)| (c.turn, w.clone(), c.from)).collect();
                order.sort_by_key(|(turn, ..)| *turn);
                let order = order.into_iter().map(|(_, w, f)| (w, f)).collect();
                Ok((Kind::Incremental(asked.session_id), order))
            }
        }
    }

    /// Makes a session for a full request that has been read; 0 if there is no room.
    pub(crate) fn make(
        &mut self,
        id: i32,
        by_id: bool,
        partitions: &[(Wanted, From)],
        now: Instant,
    ) -> i32 {
        if self.sessions.len() >= self.slots {
            let oldest =
                self.sessions.iter().min_by_key(|(_, s)| s.used).map(|(i, s)| (*i, s.used));
            match oldest {
                Some((oldest, used)) if now.since(used) >= STALE => self.close(oldest),
                _ => return 0,
            }
        }
        let taken = id <= 0 || self.sessions.contains_key(&id);
        if partitions.is_empty() || taken || self.partitions + partitions.len() > PARTITIONS_MAX {
            return 0;
        }
        let cached: BTreeMap<Wanted, Cached> = partitions
            .iter()
            .zip(0..)
            .map(|((w, from), turn)| (w.clone(), Cached { from: *from, told: NOTHING_TOLD, turn }))
            .collect();
        self.partitions += cached.len();
        let next_turn = partitions.len() as u64;
        let session = FetchSession { epoch: 1, by_id, used: now, partitions: cached, next_turn };
        self.sessions.insert(id, session);
        id
    }

    /// Whether a partition belongs into an incremental answer; notes what the client is told by it.
    pub(crate) fn tell(
        &mut self,
        id: i32,
        wanted: &Wanted,
        error: bool,
        bytes: usize,
        high_watermark: Offset,
        log_start: Offset,
    ) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else { return true };
        let Some(cached) = session.partitions.get_mut(wanted) else { return true };
        let now = Told { high_watermark, log_start };
        let news = error || bytes > 0 || cached.told != now;
        // After an error everything is said again.
        cached.told = if error { NOTHING_TOLD } else { now };
        if bytes > 0 {
            cached.turn = session.next_turn;
            session.next_turn += 1;
        }
        news
    }

    fn close(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions -= session.partitions.len();
        }
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
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

    fn with_session(partitions: i32) -> FetchSessions {
        let mut s = FetchSessions::new(SLOTS);
        let all: Vec<_> = (0..partitions).map(|p| (wanted(p), from(0))).collect();
        let (kind, _) = s.open(asked(0, 0, all.clone()), Instant(0)).unwrap();
        assert_eq!(kind, Kind::Full);
        assert_eq!(s.make(7, false, &all, Instant(0)), 7);
        s
    }

    #[test]
    fn an_unknown_session_a_wrong_epoch_and_a_mix_of_ids_are_refused() {
        let mut s = with_session(1);
        let refused = |s: &mut FetchSessions, a| s.open(a, Instant(0)).unwrap_err();
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
            |error, bytes, hw| s.tell(7, &wanted(0), error, bytes, Offset(hw), Offset(0));
        assert!(tell(false, 0, 5));
        assert!(!tell(false, 0, 5));
        assert!(tell(false, 0, 6));
        assert!(tell(false, 9, 6));
        assert!(tell(true, 0, 6));
        assert!(tell(false, 0, 6));
        assert!(!tell(false, 0, 6));
    }

    #[test]
    fn who_got_data_goes_to_the_back() {
        let mut s = with_session(3);
        s.tell(7, &wanted(0), false, 10, Offset(1), Offset(0));
        let (_, order) = s.open(asked(7, 1, vec![]), Instant(0)).unwrap();
        let order: Vec<i32> = order.iter().map(|(w, _)| w.partition.0).collect();
        assert_eq!(order, [1, 2, 0]);
    }

    #[test]
    fn forgotten_partitions_are_not_read_and_changed_ones_are() {
        let mut s = with_session(2);
        let change =
            Asked { forgotten: vec![wanted(0)], ..asked(7, 1, vec![(wanted(1), from(9))]) };
        let (kind, order) = s.open(change, Instant(0)).unwrap();
        assert_eq!(kind, Kind::Incremental(7));
        assert_eq!(order, vec![(wanted(1), from(9))]);
        assert_eq!(s.partitions, 1);
    }

    #[test]
    fn a_full_cache_gives_way_only_to_the_patient() {
        let mut s = FetchSessions::new(SLOTS);
        for i in 0..SLOTS {
            let id = i32::try_from(i).unwrap() + 1;
            assert_eq!(s.make(id, false, &[(wanted(0), from(0))], Instant(0)), id);
        }
        let one = [(wanted(0), from(0))];
        assert_eq!(s.make(5000, false, &one, Instant(0)), 0);
        let later = Instant(0) + STALE;
        assert_eq!(s.make(5000, false, &one, later), 5000);
        assert_eq!(s.len(), SLOTS);
    }
}
