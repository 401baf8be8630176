//! A classic group as the log tells it.

use super::member::Holding;
use super::{ClassicGroup, ClassicState, Member, Protocol};
use crate::turn::Turn;
use ids::{Instant, Timestamp};
use wire::internal::group_metadata::GroupMetadataValue;

impl ClassicGroup {
    /// The group's record: replaces what earlier ones said.
    pub(crate) fn replay(&mut self, value: Option<&GroupMetadataValue<'_>>) {
        let id = std::mem::take(&mut self.id);
        let mut metadata = std::mem::take(&mut self.metadata);
        metadata.replay(value.map(|_| ()));
        *self = Self::new(&id);
        self.metadata = metadata;
        let Some(value) = value else { return };
        for m in &value.members {
            // Version 0 has no rebalance timeout: it is the session timeout.
            let rebalance =
                if m.rebalance_timeout < 0 { m.session_timeout } else { m.rebalance_timeout };
            let protocol = value
                .protocol
                .map(|name| Protocol { name: name.to_owned(), metadata: m.subscription.to_vec() });
            let member = Member {
                group_instance_id: m.group_instance_id.map(str::to_owned),
                client_id: m.client_id.to_owned(),
                client_host: m.client_host.to_owned(),
                session_timeout_ms: m.session_timeout,
                rebalance_timeout_ms: rebalance,
                protocol_type: value.protocol_type.to_owned(),
                protocols: protocol.into_iter().collect(),
                assignment: m.assignment.to_vec(),
                holding: Holding::Told(m.assignment.to_vec()),
                is_new: false,
                joining: None,
                syncing: None,
                expires_at: Instant(u64::MAX),
                weighed: 0,
            };
            // A record that names a member twice would count its protocols twice.
            self.take(m.member_id);
            self.add(m.member_id, member);
        }
        let stable = !self.members.is_empty();
        self.state = if stable { ClassicState::Stable } else { ClassicState::Empty };
        self.since = Timestamp(value.current_state_timestamp);
        self.protocol_type = Some(value.protocol_type.to_owned()).filter(|t| !t.is_empty());
        self.protocol_name = value.protocol.map(str::to_owned);
        self.generation = value.generation;
        self.leader = value.leader.map(str::to_owned);
        self.subscribed = self.find_subscribed();
    }

    /// The log is read: sessions begin anew, for nobody knows how long the members were waiting. A group that has grown
    /// past the limit is called back, so that the last to come go.
    pub(crate) fn start(&mut self, turn: &mut Turn<'_>) {
        for member in self.members.values_mut() {
            member.expires_at = turn.now.instant + member.session_timeout();
        }
        self.wake = self.next_wake();
        if self.members.len() > turn.config.group_max_size {
            self.rebalance(turn);
        }
    }
}
