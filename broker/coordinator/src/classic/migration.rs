//! A classic group that becomes a consumer group with its members, or was one (KIP-848).

use super::{ClassicGroup, ClassicState, Member};
use crate::outbox::AppendFailure;
use crate::turn::Turn;
use std::collections::BTreeMap;
use wire::internal::Prefixed;
use wire::internal::consumer_protocol::ConsumerProtocolSubscription;

impl ClassicGroup {
    /// Whether an assignment is on its way into the log.
    pub(crate) fn is_storing(&self) -> bool {
        self.storing
    }

    /// No fewer bytes than the records of the same group take as one of the consumer protocol.
    pub(crate) fn bytes_as_consumers(&self) -> usize {
        let of = |(id, m): (&String, &Member)| {
            let said: usize = m.protocols.iter().map(|p| p.name.len() + p.metadata.len()).sum();
            // Three records; partitions are named twice, by ids that may be longer than names.
            let names = id.len() + self.id.len() + m.client_id.len() + m.client_host.len();
            6 * said + 8 * m.assignment.len() + 4 * names + 300
        };
        self.members.iter().map(of).sum::<usize>() + 1_000
    }

    /// Whether what its members want can be read of all of them.
    pub(crate) fn is_understood(&self) -> bool {
        self.members.values().all(|member| {
            let chosen = self.protocol_name.as_deref().map(|name| member.metadata(name));
            let first = member.protocols.first().map(|p| &p.metadata[..]);
            let metadata = chosen.filter(|m| !m.is_empty()).or(first).unwrap_or_default();
            ConsumerProtocolSubscription::decode_lenient(metadata).is_ok()
        })
    }

    /// A group without members in its place: it knows what is in the log, and which member ids were given out.
    pub(crate) fn successor(&mut self) -> Self {
        let mut next = Self::new(&self.id);
        next.metadata = std::mem::take(&mut self.metadata);
        next.pending_members = std::mem::take(&mut self.pending_members);
        if let Some(first) = next.pending_members.values().min().copied() {
            next.wake_at(first);
        }
        next
    }

    /// Takes members with their assignments. They are the members of `generation`.
    pub(crate) fn adopt(&mut self, generation: i32, members: BTreeMap<String, Member>) {
        for (id, member) in members {
            self.add(&id, member);
        }
        self.generation = generation;
        self.state = ClassicState::Stable;
        self.protocol_name = self.vote();
        self.subscribed = self.find_subscribed();
    }

    /// Writes the group as it is, and calls its members back: one of them has to lead.
    ///
    /// # Errors
    /// The record has no room in a batch. The next assignment tries again.
    pub(crate) fn call_back(&mut self, turn: &mut Turn<'_>) -> Result<(), AppendFailure> {
        self.since = turn.now.wall;
        let written = self.push_metadata(turn);
        self.rebalance(turn);
        written
    }
}
