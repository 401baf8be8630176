//! A consumer group: the coordinator assigns, members follow (KIP-848).
//!
//! ```text
//!   members, subscriptions, topics --> group epoch --> target assignment --> what each member has
//! ```
//! Whatever changes what members may read raises the group's epoch; for each epoch there is one target assignment, made by
//! an assignor of this broker. Each member then moves to it on its own, heartbeat by heartbeat: first it gives up what it
//! shall not have, and says so; then it gets what is free. A partition belongs to whoever has it or still has to give it
//! up, so it has one owner at any time.
//!
//! What is changed is marked, and at the end of an operation everything that is marked is written ([`log`]).

mod assignor;
mod checks;
mod classic;
mod heartbeat;
mod log;
mod member;
mod reconcile;
mod replay;
mod subscription;
mod time;

pub(crate) use classic::ClassicFace;
pub(crate) use log::ConsumerKey;
pub(crate) use member::{ConsumerMember, MemberState, STATIC_MEMBER_AWAY, TOPIC_BYTES};

use crate::turn::Turn;
use ids::{Instant, PartitionId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use subscription::Pattern;

/// Partitions, in order.
pub(crate) type Partitions = BTreeSet<PartitionId>;

pub(crate) use assignor::{is_known as is_known_assignor, named as assignor_named};
pub(crate) use subscription::check_pattern;

/// A consumer group. Members may also be of the classic protocol ([`ClassicFace`]).
///
/// What must hold: `owners` names, for each partition that a member has or has to give up, that member; no two members have
/// the same; `static_members` names the members that have an instance id.
#[derive(Debug)]
pub(crate) struct ConsumerGroup {
    pub(crate) id: String,
    pub(crate) epoch: i32,
    /// The epoch that `target` of the members is of.
    pub(crate) target_epoch: i32,
    /// Changes with the topics that members read.
    metadata_hash: i64,
    /// Members have changed since the hash was made.
    hash_is_old: bool,
    pub(crate) members: BTreeMap<String, ConsumerMember>,
    static_members: BTreeMap<String, String>,
    /// Members of the classic protocol.
    classics: usize,
    /// The bytes that its members take.
    weight: usize,
    owners: BTreeMap<PartitionId, String>,
    patterns: BTreeMap<String, Pattern>,
    /// Topics have changed since they were looked at.
    stale: bool,
    /// When the target assignment was made, by this coordinator and for members that it still has.
    assigned_at: Option<Instant>,
    /// Since when it has no members; for the expiry of its offsets.
    pub(crate) empty_since: Timestamp,
    /// It shall not be in the log: it has no members yet, or is deleted.
    deleted: bool,
    log: log::Written,
    /// The earliest moment at which something may be due, or earlier.
    wake: Option<Instant>,
}

/// The state of a consumer group, by the name that tools know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConsumerState {
    /// No members.
    Empty,
    /// The epoch has no target assignment yet.
    Assigning,
    /// Members move to the target assignment.
    Reconciling,
    /// All members have what they shall have.
    Stable,
}

impl ConsumerState {
    /// The name in ConsumerGroupDescribe and ListGroups.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        }
    }
}

impl ConsumerGroup {
    pub(crate) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            epoch: 0,
            target_epoch: 0,
            metadata_hash: 0,
            hash_is_old: false,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            classics: 0,
            weight: 0,
            owners: BTreeMap::new(),
            patterns: BTreeMap::new(),
            stale: true,
            assigned_at: None,
            empty_since: Timestamp::NONE,
            deleted: true,
            log: log::Written::default(),
            wake: None,
        }
    }

    /// Whether it is a group, and not only what is left of one in the log.
    pub(crate) fn is_there(&self) -> bool {
        !self.deleted
    }

    pub(crate) fn state(&self) -> ConsumerState {
        if self.members.is_empty() {
            ConsumerState::Empty
        } else if self.target_epoch != self.epoch {
            ConsumerState::Assigning
        } else if self.members.values().all(|m| {
            m.state == MemberState::Stable && (m.is_away() || m.epoch == self.target_epoch)
        }) {
            ConsumerState::Stable
        } else {
            ConsumerState::Reconciling
        }
    }

    /// Whether a member reads `topic`, or may.
    pub(crate) fn is_subscribed(&self, topic: &str) -> bool {
        self.members.values().any(|m| {
            m.topics.contains(topic)
                || m.pattern
                    .as_ref()
                    .and_then(|p| self.patterns.get(p))
                    .is_some_and(|p| p.may_match(topic))
        })
    }

    /// Topics have changed: at the next heartbeat they are looked at.
    pub(crate) fn on_topics_changed(&mut self) {
        self.stale = true;
    }

    /// The group shall go; it has no members.
    pub(crate) fn delete(&mut self) {
        self.deleted = true;
        self.epoch = 0;
        self.target_epoch = 0;
        self.assigned_at = None;
        self.metadata_hash = 0;
        self.log.rewrite_all();
    }

    /// Whether nothing would be lost with it.
    pub(crate) fn is_vacant(&self) -> bool {
        self.members.is_empty() && (self.deleted || self.epoch == 0) && self.log.is_void()
    }

    pub(crate) fn wake(&self) -> Option<Instant> {
        self.wake
    }

    fn wake_at(&mut self, at: Instant) {
        self.wake = Some(self.wake.map_or(at, |w| w.min(at)));
    }

    pub(crate) fn metadata_hash(&self) -> i64 {
        self.metadata_hash
    }

    /// Members or what they read have changed.
    fn bump(&mut self) {
        self.epoch = self.epoch.saturating_add(1);
        self.log.mark(ConsumerKey::Epoch);
    }

    /// Makes the target assignment of the epoch, if there is none yet. Unless it is to come at once, it comes no sooner than
    /// `consumer.assignment.interval.ms` after the last one (KIP-1263): members that come and go in crowds are then assigned
    /// together, and until then everyone follows the last assignment.
    fn assign(&mut self, turn: &Turn<'_>, at_once: bool) {
        if self.target_epoch == self.epoch || (!at_once && self.may_wait(turn)) {
            return;
        }
        if self.hash_is_old && self.rehash(turn.topics) {
            // The epoch is in the log with what was read before.
            self.log.mark(ConsumerKey::Epoch);
        }
        let name = self.assignor(turn.config.default_assignor());
        let targets = assignor::assign(name, &self.question(turn.topics));
        for ((id, member), target) in self.members.iter_mut().zip(targets) {
            if !member.target.iter().eq(&target) {
                member.target = target.into_iter().collect();
                let weight = id.len() + member.weight();
                self.weight = self.weight + weight - std::mem::replace(&mut member.weighed, weight);
                self.log.mark(ConsumerKey::Target(id.clone()));
            }
        }
        self.target_epoch = self.epoch;
        self.assigned_at = Some(turn.now.instant);
        self.log.mark(ConsumerKey::TargetEpoch);
    }

    /// Whether the last assignment is too young for another one. Members of the classic protocol are called back as soon as
    /// the epoch rises and would ask again and again, so with them nothing waits.
    fn may_wait(&self, turn: &Turn<'_>) -> bool {
        let interval = turn.config.assignment_interval(&self.id);
        self.target_epoch > 0
            && self.assigned_at.is_some_and(|at| turn.now.instant < at + interval)
            && self.classics == 0
    }

    /// The assignor that most members prefer; of equals the first by name; the default if nobody has a preference.
    pub(crate) fn assignor<'a>(&'a self, default: &'a str) -> &'a str {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for name in self.members.values().filter_map(|m| m.assignor.as_deref()) {
            *votes.entry(name).or_default() += 1;
        }
        let most = votes.values().max().copied();
        votes.iter().find(|(_, n)| Some(**n) == most).map_or(default, |(name, _)| name)
    }

    /// A member takes another room than before.
    fn weigh(&mut self, member_id: &str) {
        if let Some(member) = self.members.get_mut(member_id) {
            let weight = member_id.len() + member.weight();
            self.weight = self.weight + weight - member.weighed;
            member.weighed = weight;
        }
    }

    /// All of them do.
    fn weigh_all(&mut self) {
        self.weight = 0;
        for (id, member) in &mut self.members {
            member.weighed = id.len() + member.weight();
            self.weight += member.weighed;
        }
    }

    /// The bytes that its members take in memory, about.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    /// What a member adds that says so much, if it is new or says more than before.
    pub(crate) fn more_than_before(&self, member_id: &str, bytes: usize) -> usize {
        bytes.saturating_sub(self.members.get(member_id).map_or(0, |m| m.weighed))
    }

    /// Takes a member out of all books.
    fn take(&mut self, member_id: &str) -> Option<ConsumerMember> {
        let mut member = self.members.remove(member_id)?;
        self.weight -= std::mem::take(&mut member.weighed);
        self.classics -= usize::from(member.classic.is_some());
        if let Some(instance) = &member.instance_id
            && self.static_members.get(instance).is_some_and(|id| id == member_id)
        {
            self.static_members.remove(instance);
        }
        for partition in member.assigned.union(&member.pending_revocation) {
            if self.owners.get(partition).is_some_and(|id| id == member_id) {
                self.owners.remove(partition);
            }
        }
        self.log.mark_member(member_id);
        Some(member)
    }

    /// Members are out; the others share what they had.
    pub(crate) fn remove_all(&mut self, members: &[String], now: Timestamp) {
        let mut any = false;
        for id in members {
            any |= self.take(id).is_some();
        }
        if any {
            self.forget_patterns();
            self.hash_is_old = true;
            self.bump();
            if self.members.is_empty() {
                self.empty_since = now;
                // Whoever comes first to an empty group waits for nobody.
                self.assigned_at = None;
                // Nothing is left to be assigned.
                self.target_epoch = self.epoch;
                self.log.mark(ConsumerKey::TargetEpoch);
            }
        }
    }
}
