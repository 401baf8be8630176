//! A member of a classic group.

use crate::config::millis;
use crate::coordinator::JoinGroup;
use crate::memory::OVERHEAD;
use crate::response::Ticket;
use ids::Instant;
use std::time::Duration;

/// A protocol that a member speaks, and what it says about itself in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Protocol {
    pub(crate) name: String,
    pub(crate) metadata: Vec<u8>,
}

/// Where it stands what a member has. Only a change of the group's protocol asks (KIP-848): a rebalance that is cut short
/// forgets what was assigned, and members of the cooperative kind have it still.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Holding {
    /// In what it said when it joined: it was not told of an assignment since.
    Claimed,
    /// In this assignment or, where the answer did not arrive, in what it said.
    Told(Vec<u8>),
}

/// A member. Static if it has a `group_instance_id` (KIP-345): it may be away for as long as its session lasts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Member {
    pub(crate) group_instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout_ms: i32,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) protocol_type: String,
    /// The best first; names are distinct.
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) assignment: Vec<u8>,
    pub(crate) holding: Holding,
    /// It has never had an answer to JoinGroup, so it cannot send heartbeats.
    pub(crate) is_new: bool,
    /// It waits in JoinGroup.
    pub(crate) joining: Option<Ticket>,
    /// It waits in SyncGroup.
    pub(crate) syncing: Option<Ticket>,
    pub(crate) expires_at: Instant,
    /// What the group's weight has of it.
    pub(crate) weighed: usize,
}

impl Member {
    /// The bytes that it takes in memory, about.
    pub(crate) fn weight(&self) -> usize {
        let texts = self.group_instance_id.as_ref().map_or(0, String::len)
            + self.client_id.len()
            + self.client_host.len()
            + self.protocol_type.len();
        let told = match &self.holding {
            Holding::Claimed => 0,
            Holding::Told(bytes) => bytes.len(),
        };
        OVERHEAD + texts + weight_of(&self.protocols) + self.assignment.len() + told
    }

    pub(crate) fn new(request: &JoinGroup<'_>, expires_at: Instant) -> Self {
        Self {
            group_instance_id: request.group_instance_id.map(str::to_owned),
            client_id: request.client_id.to_owned(),
            client_host: request.client_host.to_owned(),
            session_timeout_ms: request.session_timeout_ms,
            rebalance_timeout_ms: request.rebalance_timeout_ms(),
            protocol_type: request.protocol_type.to_owned(),
            protocols: protocols(request),
            assignment: Vec::new(),
            holding: Holding::Claimed,
            is_new: true,
            joining: None,
            syncing: None,
            expires_at,
            weighed: 0,
        }
    }

    /// It is told of its assignment.
    pub(crate) fn is_told(&mut self) {
        self.holding = Holding::Told(self.assignment.clone());
    }

    pub(crate) fn is_static(&self) -> bool {
        self.group_instance_id.is_some()
    }

    pub(crate) fn session_timeout(&self) -> Duration {
        millis(self.session_timeout_ms)
    }

    pub(crate) fn rebalance_timeout(&self) -> Duration {
        millis(self.rebalance_timeout_ms)
    }

    /// What it says about itself in a protocol; nothing in one that it does not speak.
    pub(crate) fn metadata(&self, protocol: &str) -> &[u8] {
        self.protocols.iter().find(|p| p.name == protocol).map_or(&[], |p| &p.metadata)
    }

    /// Whether it may be taken for dead. One that waits for an answer cannot send heartbeats; a new one is given up all the
    /// same when its long first timeout ends.
    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        let waits = self.joining.is_some() || self.syncing.is_some();
        self.expires_at <= now && (self.is_new || !waits)
    }
}

/// The bytes that protocols take in memory, about.
pub(crate) fn weight_of(protocols: &[Protocol]) -> usize {
    protocols.iter().map(|p| 64 + p.name.len() + p.metadata.len()).sum()
}

/// The protocols of a request; of a name that stands there twice the first counts.
pub(crate) fn protocols(request: &JoinGroup<'_>) -> Vec<Protocol> {
    let mut seen = std::collections::BTreeSet::new();
    let distinct = request.protocols.iter().filter(|(name, _)| seen.insert(*name));
    distinct
        .map(|(name, metadata)| Protocol {
            name: (*name).to_owned(),
            metadata: (*metadata).to_vec(),
        })
        .collect()
}
