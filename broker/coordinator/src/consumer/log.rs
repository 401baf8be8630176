//! What of a consumer group is in the log, and what has still to be written.
//!
//! Operations mark what they change. At their end each marked key is written as it is then; a key whose batch fails is marked
//! again, so that the log comes to agree with the state, whatever happens in between. Answers wait for all batches of the
//! group that are on their way: nobody learns what the log may forget.

use super::ConsumerGroup;
use crate::outbox::{AppendFailure, Key};
use crate::records;
use crate::turn::Turn;
use ids::Instant;
use std::collections::BTreeSet;
use std::time::Duration;

/// A record of a consumer group. In the order in which they are written: the target's epoch comes last, so that a target
/// that is only partly in the log belongs to an epoch that has none, and is made again.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum ConsumerKey {
    /// The group.
    Epoch,
    /// What a member said about itself.
    Member(String),
    /// What a member shall have.
    Target(String),
    /// What a member has.
    Current(String),
    /// The epoch of the target.
    TargetEpoch,
}

/// When to try again to write what could not be written.
pub(super) const WRITE_AGAIN: Duration = Duration::from_secs(1);

/// The keys of one group.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// The log has a value, or may have.
    live: BTreeSet<ConsumerKey>,
    /// The log does not have the value that counts.
    marked: BTreeSet<ConsumerKey>,
    /// Records whose batches are not settled.
    in_flight: usize,
}

impl Written {
    pub(super) fn mark(&mut self, key: ConsumerKey) {
        self.marked.insert(key);
    }

    pub(super) fn mark_member(&mut self, id: &str) {
        self.mark(ConsumerKey::Member(id.to_owned()));
        self.mark(ConsumerKey::Target(id.to_owned()));
        self.mark(ConsumerKey::Current(id.to_owned()));
    }

    pub(super) fn rewrite_all(&mut self) {
        self.marked.extend(self.live.iter().cloned());
    }

    pub(super) fn is_marked(&self) -> bool {
        !self.marked.is_empty()
    }

    /// Whether the log holds nothing, and nothing is on its way.
    pub(super) fn is_void(&self) -> bool {
        self.live.is_empty() && self.marked.is_empty() && self.in_flight == 0
    }

    /// The members of which the log holds something.
    pub(super) fn members_in_log(&self) -> BTreeSet<String> {
        let member = |key: &ConsumerKey| match key {
            ConsumerKey::Member(id) | ConsumerKey::Target(id) | ConsumerKey::Current(id) => {
                Some(id.clone())
            }
            ConsumerKey::Epoch | ConsumerKey::TargetEpoch => None,
        };
        self.live.iter().filter_map(member).collect()
    }

    /// The log was replayed up to a value of this key, or its deletion.
    pub(super) fn replayed(&mut self, key: ConsumerKey, is_value: bool) {
        if is_value {
            self.live.insert(key);
        } else {
            self.live.remove(&key);
        }
    }
}

impl ConsumerGroup {
    /// Writes everything that is marked.
    pub(super) fn push_marked(&mut self, turn: &mut Turn<'_>) -> Result<(), AppendFailure> {
        let marked: Vec<ConsumerKey> = self.log.marked.iter().cloned().collect();
        for key in marked {
            let record = records::consumer(self, &key).map_err(|_| AppendFailure::TooLarge)?;
            let is_value = record.value.is_some();
            if is_value || self.log.live.contains(&key) {
                turn.out.push(&self.id, Key::Consumer(key.clone()), record)?;
                self.log.in_flight += 1;
            }
            self.log.marked.remove(&key);
            self.log.replayed(key, is_value);
        }
        Ok(())
    }

    /// A record is in the log.
    pub(crate) fn on_committed(&mut self) {
        self.log.in_flight = self.log.in_flight.saturating_sub(1);
    }

    /// A record will never be in the log: what counts is written again.
    pub(crate) fn on_failed(&mut self, key: &ConsumerKey, now: Instant) {
        self.wake_at(now + WRITE_AGAIN);
        self.log.in_flight = self.log.in_flight.saturating_sub(1);
        // What was in the log before is still there.
        self.log.live.insert(key.clone());
        self.log.mark(key.clone());
        if let ConsumerKey::Current(id) = key
            && let Some(member) = self.members.get_mut(id)
        {
            member.resend = true;
        }
    }
}
