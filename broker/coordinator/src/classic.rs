//! A classic group: members that rebalance by joining and syncing (the protocol before KIP-848).
//!
//! ```text
//!            first member                    all are back, or time is up
//!   Empty ---------------> PreparingRebalance -------------------------> CompletingRebalance
//!     ^                      |        ^   ^                                |     | the leader's assignment
//!     +----- nobody left ----+        |   +---- a member comes, goes or ---+     v is in the log
//!                                     |         changes                        Stable
//!                                     +--------------------------------------------+
//! ```
//! A generation begins when the group leaves PreparingRebalance. What members say about themselves and what the leader
//! assigns are bytes that only they understand.

mod checks;
mod join;
mod leave;
mod member;
mod migration;
mod rebalance;
mod replay;
mod sync;
mod time;

pub(crate) use checks::{Asker, MemberError};
pub(crate) use join::StaticReplaced;
pub(crate) use member::{Holding, Member, Protocol, protocols, weight_of};
pub use state::ClassicState;

mod state;

use crate::coordinator::MEMBER_NAME_MAX;
use crate::memory::OVERHEAD;
use crate::response::Ticket;
use crate::slot::Slot;
use ids::{Instant, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use wire::internal::Prefixed;
use wire::internal::consumer_protocol::ConsumerProtocolSubscription;

/// The protocol type of consumers. Only their metadata is looked into, for the topics that they read.
pub(crate) const CONSUMER: &str = "consumer";

/// When PreparingRebalance ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum JoinTimer {
    /// The group was empty: it waits for more members, again and again while some arrive, `remaining` in all.
    Initial { at: Instant, step: Duration, remaining: Duration },
    /// Known members have until then to join again.
    Rebalance { at: Instant },
}

impl JoinTimer {
    pub(crate) fn at(self) -> Instant {
        match self {
            Self::Initial { at, .. } | Self::Rebalance { at } => at,
        }
    }
}

/// A classic group.
///
/// What must hold: outside of PreparingRebalance no dynamic member waits in JoinGroup; outside of CompletingRebalance
/// nobody waits in SyncGroup; `joined` counts the members that wait in JoinGroup; `supported` counts, for each protocol,
/// the members that speak it.
#[derive(Debug)]
pub(crate) struct ClassicGroup {
    pub(crate) id: String,
    pub(crate) state: ClassicState,
    /// Since when it is in its state; none where an old record did not say.
    pub(crate) since: Timestamp,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol_name: Option<String>,
    pub(crate) generation: i32,
    pub(crate) leader: Option<String>,
    pub(crate) members: BTreeMap<String, Member>,
    static_members: BTreeMap<String, String>,
    /// Member ids that were given out and did not come back yet (KIP-394), and when they end.
    pub(crate) pending_members: BTreeMap<String, Instant>,
    supported: BTreeMap<String, usize>,
    /// The bytes that its members take.
    weight: usize,
    joined: usize,
    /// Members of this generation that have not asked for their assignment.
    pending_sync: BTreeSet<String>,
    join_timer: Option<JoinTimer>,
    sync_deadline: Option<Instant>,
    /// A member arrived during the initial delay.
    arrived: bool,
    /// The leader has assigned, and the record is on its way.
    storing: bool,
    /// The topics that the members read; `None`: not known, or they are no consumers.
    pub(crate) subscribed: Option<BTreeSet<String>>,
    /// The group's own record.
    pub(crate) metadata: Slot<()>,
    /// The earliest moment at which something may be due, or earlier.
    wake: Option<Instant>,
}

impl ClassicGroup {
    pub(crate) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            state: ClassicState::Empty,
            since: Timestamp::NONE,
            protocol_type: None,
            protocol_name: None,
            generation: 0,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_members: BTreeMap::new(),
            supported: BTreeMap::new(),
            weight: 0,
            joined: 0,
            pending_sync: BTreeSet::new(),
            join_timer: None,
            sync_deadline: None,
            arrived: false,
            storing: false,
            subscribed: None,
            metadata: Slot::default(),
            wake: None,
        }
    }

    pub(crate) fn is_vacant(&self) -> bool {
        self.members.is_empty()
            && self.pending_members.is_empty()
            && self.state == ClassicState::Empty
            && self.metadata.is_void()
    }

    /// Whether its members are consumers, whose metadata the coordinator understands.
    pub(crate) fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// Whether a member reads `topic`. Of consumers whose metadata cannot be read, any topic may be.
    pub(crate) fn is_subscribed(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.uses_consumer_protocol(),
        }
    }

    pub(crate) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    /// The group was deleted: should it come back, it begins anew. One that was joined meanwhile goes on.
    pub(crate) fn on_deleted(&mut self) {
        if self.state != ClassicState::Empty || !self.pending_members.is_empty() {
            return;
        }
        self.generation = 0;
        self.protocol_type = None;
        self.protocol_name = None;
        self.leader = None;
        self.subscribed = None;
    }

    fn enter(&mut self, state: ClassicState, now: Timestamp) {
        self.state = state;
        self.since = now;
    }

    /// Something is due at `at`.
    fn wake_at(&mut self, at: Instant) {
        self.wake = Some(self.wake.map_or(at, |w| w.min(at)));
    }

    /// When the group wants to be looked at.
    pub(crate) fn wake(&self) -> Option<Instant> {
        self.wake
    }

    fn add(&mut self, member_id: &str, member: Member) {
        if self.members.is_empty() {
            self.protocol_type = Some(member.protocol_type.clone());
        }
        if self.leader.is_none() {
            self.leader = Some(member_id.to_owned());
        }
        if let Some(instance) = &member.group_instance_id {
            self.static_members.insert(instance.clone(), member_id.to_owned());
        }
        self.count_protocols(&member.protocols);
        self.joined += usize::from(member.joining.is_some());
        self.wake_at(member.expires_at);
        self.members.insert(member_id.to_owned(), member);
        self.weigh(member_id);
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

    /// The bytes that its members take in memory, and the ids that were given out, about.
    pub(crate) fn weight(&self) -> usize {
        self.weight + self.pending_members.len() * (MEMBER_NAME_MAX + OVERHEAD)
    }

    /// What a member adds that says so much, if it is new or says more than before.
    pub(crate) fn more_than_before(&self, member_id: &str, bytes: usize) -> usize {
        bytes.saturating_sub(self.members.get(member_id).map_or(0, |m| m.weighed))
    }

    /// Takes a member out of all books. Whoever calls this answers what the member waits for, and goes on with the group.
    fn take(&mut self, member_id: &str) -> Option<Member> {
        let mut member = self.members.remove(member_id)?;
        self.weight -= std::mem::take(&mut member.weighed);
        if let Some(instance) = &member.group_instance_id
            && self.static_members.get(instance).is_some_and(|id| id == member_id)
        {
            self.static_members.remove(instance);
        }
        self.discount_protocols(&member.protocols);
        self.joined -= usize::from(member.joining.is_some());
        self.forget_sync(member_id);
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    fn count_protocols(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            *self.supported.entry(protocol.name.clone()).or_default() += 1;
        }
    }

    fn discount_protocols(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            if let Some(count) = self.supported.get_mut(&protocol.name) {
                *count -= 1;
                if *count == 0 {
                    self.supported.remove(&protocol.name);
                }
            }
        }
    }

    /// The member has asked for its assignment, or will not.
    fn forget_sync(&mut self, member_id: &str) {
        if self.pending_sync.remove(member_id) && self.pending_sync.is_empty() {
            self.sync_deadline = None;
        }
    }

    /// Lets `member_id` wait in JoinGroup; gives back the ticket of an earlier try.
    fn wait_for_join(&mut self, member_id: &str, ticket: Ticket) -> Option<Ticket> {
        let earlier = self.members.get_mut(member_id)?.joining.replace(ticket);
        self.joined += usize::from(earlier.is_none());
        earlier
    }

    /// The ticket of a member that waits in JoinGroup; it does not wait any more.
    fn take_joining(&mut self, member_id: &str) -> Option<Ticket> {
        let ticket = self.members.get_mut(member_id)?.joining.take();
        self.joined -= usize::from(ticket.is_some());
        ticket
    }

    /// The member has shown that it lives.
    fn refresh_session(&mut self, member_id: &str, now: Instant) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.expires_at = now + member.session_timeout();
            let at = member.expires_at;
            self.wake_at(at);
        }
    }

    /// The longest time that a member may need to join again.
    fn rebalance_timeout(&self) -> Duration {
        self.members.values().map(Member::rebalance_timeout).max().unwrap_or_default()
    }

    /// The topics in the members' metadata, if all of them can be read (KIP-496).
    fn find_subscribed(&self) -> Option<BTreeSet<String>> {
        if !self.uses_consumer_protocol() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol_name.as_deref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            let metadata = member.metadata(protocol);
            let (_, said) = ConsumerProtocolSubscription::decode_lenient(metadata).ok()?;
            topics.extend(said.topics.into_iter().map(str::to_owned));
        }
        Some(topics)
    }
}
