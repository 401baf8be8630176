//! Incremental fetch sessions (KIP-227): the client names only what changed, and so does the answer.
//!
//! A session belongs to the broker, not to a connection. Slots are bounded; a full cache gives way to the session that has
//! been silent the longest, if that is at least two minutes, and otherwise the client goes on without a session.
//!
//! A partition of a session is awake or asleep. It falls asleep when a read of it has found nothing, and only then: no error, no
//! bytes, and its reader at the high watermark. From then on the part of the session on the core that owns the partition says
//! when it has moved. A fetch costs what is awake, not what the session holds. Of a fetch that was given up nobody knows what it
//! has found: then all wake up.

mod asked;
mod session;
#[cfg(test)]
mod tests;

pub(crate) use asked::{Asked, Findings, From, Kind, Named, Opened, TopicRef, Wanted};

use ids::{CoreId, Instant, PartitionId};
use session::{FetchSession, NOTHING_TOLD, Told};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use wire::ErrorCode;

/// A session this silent may lose its slot.
const STALE: Duration = Duration::from_secs(120);
/// Partitions of all sessions together; beyond it new sessions are not made.
const PARTITIONS_MAX: usize = 1_000_000;

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

impl FetchSessions {
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots, sessions: BTreeMap::new(), partitions: 0, ended: Vec::new() }
    }

    /// Applies a request to its session, and says what is to be read. A full request gets a session of the id that `new_id`
    /// draws, if there is room for one, whose parts have the name `key`; other requests draw none.
    pub(crate) fn open(
        &mut self,
        asked: Asked,
        now: Instant,
        new_id: impl FnOnce() -> i32,
        key: u64,
    ) -> Result<Opened, ErrorCode> {
        match asked.epoch {
            -1 => {
                self.close(asked.session_id);
                Ok(Opened { kind: Kind::Sessionless, ..Opened::of_all(asked.wanted) })
            }
            0 => {
                self.close(asked.session_id);
                let new_id = new_id();
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
                if self.partitions + asked.wanted.len() > PARTITIONS_MAX {
                    // The client begins again, and is served without a session.
                    self.close(asked.session_id);
                    return Err(ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
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

fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}
