//! Members of the classic protocol in a consumer group (KIP-848).
//!
//! They join, sync and send heartbeats as ever, and never lead: JoinGroup is a full heartbeat that says what the member has,
//! SyncGroup tells it what it may use, Heartbeat calls it back when there is something new. A generation is the member's
//! epoch. What members of the eager kind have to give up they have given up when they join; those of the cooperative kind
//! give it up when they sync, and join again.

use super::{ConsumerGroup, ConsumerMember, MemberState, Partitions};
use crate::classic::{Asker, CONSUMER, ClassicGroup, Holding, Member, Protocol, protocols};
use crate::config::millis;
use crate::coordinator::{Heartbeat, JoinGroup, JoinGroupResponse, SyncGroup, SyncGroupResponse};
use crate::topics::Topics;
use crate::turn::Turn;
use ids::PartitionId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use wire::ErrorCode;
use wire::internal::Prefixed;
use wire::internal::consumer_protocol::{
    ConsumerPartitions, ConsumerProtocolAssignment, ConsumerProtocolSubscription,
};

/// The newest version of an assignment that we write.
const ASSIGNMENT_VERSION_MAX: i16 = 3;

/// What a member of the classic protocol is beyond a member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ClassicFace {
    pub(crate) session_timeout_ms: i32,
    /// The best first.
    pub(crate) protocols: Vec<Protocol>,
}

impl ClassicFace {
    pub(super) fn session_timeout(&self) -> Duration {
        millis(self.session_timeout_ms)
    }

    /// The version of its subscription: it reads assignments of the same one.
    fn version(&self) -> i16 {
        let metadata = self.protocols.first().map_or(&[][..], |p| &p.metadata);
        let version = ConsumerProtocolSubscription::decode_lenient(metadata).map_or(0, |(v, _)| v);
        version.clamp(0, ASSIGNMENT_VERSION_MAX)
    }
}

/// The partitions that a member names, as far as the topics are there.
fn known(named: &[ConsumerPartitions<'_>], topics: &Topics) -> Partitions {
    let of = |t: &ConsumerPartitions<'_>| {
        let found = topics.named(t.topic);
        let (topic, count) = found.unwrap_or_default();
        let there = t.partitions.iter().copied().filter(move |i| (0..count).contains(&i.0));
        there.map(move |index| PartitionId { topic, index }).collect::<Vec<_>>()
    };
    named.iter().flat_map(of).collect()
}

/// An assignment as members of the classic protocol read it. Topics that are gone are left out.
fn assignment(partitions: &Partitions, version: i16, topics: &Topics) -> Vec<u8> {
    let mut named: Vec<ConsumerPartitions<'_>> = Vec::new();
    for p in partitions {
        let Some(topic) = topics.name(p.topic) else { continue };
        match named.last_mut() {
            Some(last) if last.topic == topic => last.partitions.push(p.index),
            _ => named.push(ConsumerPartitions { topic, partitions: vec![p.index] }),
        }
    }
    let value = ConsumerProtocolAssignment { assigned_partitions: named, user_data: None };
    let mut bytes = Vec::new();
    // Names of topics fit: they are shorter than a string of any message may be.
    value.encode_prefixed(version, &mut bytes).map_or_else(|_| Vec::new(), |()| bytes)
}

impl ConsumerGroup {
    /// Whether it has members, and all of them speak the classic protocol.
    pub(crate) fn has_only_classic(&self) -> bool {
        !self.members.is_empty() && self.classics == self.members.len()
    }

    /// No fewer bytes than the record of the same group takes as a classic one, with the deletion of these records.
    pub(crate) fn bytes_as_classic(&self) -> usize {
        let of = |(id, m): (&String, &ConsumerMember)| {
            let said = m.classic.iter().flat_map(|c| &c.protocols);
            let said: usize = said.map(|p| p.name.len() + p.metadata.len()).sum();
            let names = id.len() + self.id.len() + m.client_id.len() + m.client_host.len();
            let has = || m.assigned.iter().chain(&m.pending_revocation);
            let topics = has().map(|p| p.topic).collect::<BTreeSet<_>>().len();
            // Names of topics have up to 249 bytes.
            said + 4 * has().count() + 260 * topics + 5 * names + 300
        };
        self.members.iter().map(of).sum::<usize>() + 1_000
    }

    /// Whether the log has to be told that something is gone.
    pub(crate) fn owes_deletions(&self) -> bool {
        self.log.is_marked()
    }

    /// Tries later.
    pub(crate) fn write_again(&mut self, turn: &Turn<'_>) {
        self.wake_at(turn.now.instant + super::log::WRITE_AGAIN);
    }

    /// Takes over a classic group: its members, each with what it has. Those that wait for an answer join again.
    pub(crate) fn adopt(&mut self, classic: ClassicGroup, turn: &mut Turn<'_>) {
        self.deleted = false;
        self.stale = true;
        self.epoch = classic.generation;
        self.target_epoch = classic.generation;
        self.log.mark(super::ConsumerKey::Epoch);
        self.log.mark(super::ConsumerKey::TargetEpoch);
        let protocol = classic.protocol_name.clone();
        let mut claims = Vec::new();
        for (id, member) in classic.members {
            let code = ErrorCode::REBALANCE_IN_PROGRESS;
            if let Some(ticket) = member.joining {
                turn.out.answer(ticket, JoinGroupResponse::error(&id, code));
            }
            if let Some(ticket) = member.syncing {
                turn.out.answer(ticket, SyncGroupResponse::error(code));
            }
            let (generation, claimed) = self.adopt_member(&id, member, protocol.as_deref(), turn);
            claims.extend(claimed.into_iter().map(|p| (generation, id.clone(), p)));
        }
        // What was assigned counts before what is claimed, and newer claims before older ones.
        claims.sort_by(|a, b| b.cmp(a));
        for (_, id, p) in claims {
            if let Some(member) = self.members.get_mut(&id)
                && !self.owners.contains_key(&p)
            {
                member.assigned.insert(p);
                self.owners.insert(p, id);
            }
        }
    }

    /// The generation in which the member got what it claims, if it says so, and what it claims.
    fn adopt_member(
        &mut self,
        id: &str,
        member: Member,
        protocol: Option<&str>,
        turn: &Turn<'_>,
    ) -> (i32, Partitions) {
        let protocols = member.protocols;
        let chosen = protocols.iter().find(|p| Some(p.name.as_str()) == protocol);
        let said = chosen.or_else(|| protocols.first()).map_or(&[][..], |p| &p.metadata);
        let said = ConsumerProtocolSubscription::decode_lenient(said);
        let said = said.map_or_else(|_| ConsumerProtocolSubscription::default(), |(_, s)| s);
        let told = match &member.holding {
            Holding::Claimed => &[][..],
            Holding::Told(bytes) => &bytes[..],
        };
        let assigned = ConsumerProtocolAssignment::decode_lenient(told).ok();
        let assigned = assigned.map(|(_, a)| known(&a.assigned_partitions, turn.topics));
        let mut assigned = assigned.unwrap_or_default();
        // Assignors of the classic protocol are not ours: whatever they did, a partition has one owner.
        assigned.retain(|p| !self.owners.contains_key(p));
        for p in &assigned {
            self.owners.insert(*p, id.to_owned());
        }
        let expires_at = turn.now.instant + millis(member.session_timeout_ms);
        self.wake_at(expires_at);
        let claimed = known(&said.owned_partitions, turn.topics);
        let generation = said.generation_id;
        let topics = said.topics.iter().map(|t| (*t).to_owned()).collect();
        let rack_id = said.rack_id.map(str::to_owned);
        let adopted = ConsumerMember {
            instance_id: member.group_instance_id,
            rack_id,
            client_id: member.client_id,
            client_host: member.client_host,
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            topics,
            epoch: self.epoch,
            previous_epoch: self.epoch,
            target: assigned.clone(),
            assigned,
            expires_at,
            classic: Some(ClassicFace { session_timeout_ms: member.session_timeout_ms, protocols }),
            ..ConsumerMember::new()
        };
        self.put(id, adopted);
        (generation, claimed)
    }

    /// Gives its members, all of the classic protocol, to a classic group, and is deleted. The generation, and the members
    /// with what they have.
    pub(crate) fn dissolve(&mut self, topics: &Topics) -> (i32, BTreeMap<String, Member>) {
        // The epoch of those that are up to date, so that they are called back and not sent away.
        let generation = self.members.values().map(|m| m.epoch).max().unwrap_or(self.epoch);
        let members = std::mem::take(&mut self.members);
        self.forget_all();
        let classic = |(id, m): (String, ConsumerMember)| {
            let has: Partitions = m.assigned.union(&m.pending_revocation).copied().collect();
            let face = m.classic?;
            let assignment = assignment(&has, face.version(), topics);
            let member = Member {
                holding: Holding::Told(assignment.clone()),
                assignment,
                group_instance_id: m.instance_id,
                client_id: m.client_id,
                client_host: m.client_host,
                session_timeout_ms: face.session_timeout_ms,
                rebalance_timeout_ms: m.rebalance_timeout_ms,
                protocol_type: CONSUMER.to_owned(),
                protocols: face.protocols,
                is_new: false,
                joining: None,
                syncing: None,
                expires_at: m.expires_at,
                weighed: 0,
            };
            Some((id, member))
        };
        (generation.max(0), members.into_iter().filter_map(classic).collect())
    }

    fn forget_all(&mut self) {
        self.members.clear();
        self.classics = 0;
        self.weight = 0;
        self.static_members.clear();
        self.owners.clear();
        self.patterns.clear();
        self.delete();
    }

    /// It is none after all: what the log holds of it goes.
    pub(crate) fn forget(&mut self, turn: &Turn<'_>) {
        self.forget_all();
        self.wake_at(turn.now.instant);
    }

    /// JoinGroup by a member of the classic protocol. `member_id` is the one of the request or, where there is none, a new
    /// one; `is_new` if it is to be a member.
    pub(crate) fn join_classic(
        &mut self,
        request: &JoinGroup<'_>,
        member_id: &str,
        is_new: bool,
        turn: &mut Turn<'_>,
    ) -> Result<JoinGroupResponse, ErrorCode> {
        let protocols = protocols(request);
        let said = protocols.first().map_or(&[][..], |p| &p.metadata);
        let said = ConsumerProtocolSubscription::decode_lenient(said);
        let inconsistent = ErrorCode::INCONSISTENT_GROUP_PROTOCOL;
        let said = said.map(|(_, said)| said).map_err(|_| inconsistent)?;
        if request.protocol_type != CONSUMER || !self.shares_protocol(member_id, &protocols) {
            return Err(inconsistent);
        }
        let place = request.group_instance_id.and_then(|i| self.static_members.get(i)).cloned();
        if is_new {
            if place.is_none() && self.members.len() >= turn.config.consumer_max_size {
                return Err(ErrorCode::GROUP_MAX_SIZE_REACHED);
            }
        } else {
            let asker = Asker { member_id, group_instance_id: request.group_instance_id };
            self.check_classic(asker)?;
        }
        let came = is_new && self.come(request.group_instance_id, member_id);
        let owned = known(&said.owned_partitions, turn.topics);
        let topics = said.topics.iter().map(|t| (*t).to_owned()).collect::<BTreeSet<_>>();
        let rack_id = said.rack_id.map(str::to_owned);
        let session = millis(request.session_timeout_ms);
        let expires_at = turn.now.instant + session;
        let Some(before) = self.members.get(member_id).cloned() else {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        };
        let session_timeout_ms = request.session_timeout_ms;
        self.set_face(member_id, Some(ClassicFace { session_timeout_ms, protocols }));
        let Some(member) = self.members.get_mut(member_id) else {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        };
        member.topics = topics;
        member.pattern = None;
        member.assignor = None;
        member.rack_id = rack_id;
        request.client_id.clone_into(&mut member.client_id);
        request.client_host.clone_into(&mut member.client_host);
        member.rebalance_timeout_ms = request.rebalance_timeout_ms();
        if member.state != MemberState::Unrevoked {
            member.revoke_until = None;
        }
        let said_more = member.topics != before.topics
            || member.pattern != before.pattern
            || member.assignor != before.assignor;
        if *member != before {
            self.log.mark(super::ConsumerKey::Member(member_id.to_owned()));
        }
        self.weigh(member_id);
        self.forget_pattern(before.pattern.as_deref());
        if self.refresh(turn.topics, came || said_more) || came || said_more {
            self.bump();
        }
        self.assign(turn, true);
        self.reconcile(member_id, Some(&owned), turn.now.instant);
        self.wake_at(expires_at);
        let Some(member) = self.members.get_mut(member_id) else {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        };
        member.expires_at = expires_at;
        // What it got nobody reads until it syncs; it has as long as it would have to give something up.
        let patience = member.rebalance_timeout().max(session);
        let until = *member.revoke_until.get_or_insert(turn.now.instant + patience);
        self.wake_at(until);
        let Some(member) = self.members.get(member_id) else {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        };
        Ok(JoinGroupResponse {
            generation_id: member.epoch,
            protocol_type: Some(CONSUMER.to_owned()),
            protocol_name: self.protocol_of(member_id),
            member_id: member_id.to_owned(),
            ..JoinGroupResponse::default()
        })
    }

    /// SyncGroup by a member of the classic protocol: what it may use.
    pub(crate) fn sync_classic(
        &mut self,
        request: &SyncGroup<'_>,
        turn: &Turn<'_>,
    ) -> Result<SyncGroupResponse, ErrorCode> {
        let member_id = request.member_id;
        let asker = Asker { member_id, group_instance_id: request.group_instance_id };
        self.check_generation(asker, request.generation_id)?;
        let protocol = self.protocol_of(member_id);
        let differs =
            |asked: Option<&str>, own: Option<&str>| asked.is_some_and(|asked| own != Some(asked));
        if differs(request.protocol_type, Some(CONSUMER))
            || differs(request.protocol_name, protocol.as_deref())
        {
            return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        let behind = self.epoch;
        let Some(member) = self.members.get_mut(member_id) else {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        };
        let Some(face) = &member.classic else { return Err(ErrorCode::UNKNOWN_MEMBER_ID) };
        member.expires_at = turn.now.instant + face.session_timeout();
        if member.epoch < behind && member.state != MemberState::Unrevoked {
            return Err(ErrorCode::REBALANCE_IN_PROGRESS);
        }
        if member.state != MemberState::Unrevoked {
            member.revoke_until = None;
        }
        let assignment = assignment(&member.assigned, face.version(), turn.topics);
        Ok(SyncGroupResponse {
            error_code: ErrorCode::NONE,
            protocol_type: Some(CONSUMER.to_owned()),
            protocol_name: protocol,
            assignment,
        })
    }

    /// Heartbeat by a member of the classic protocol. It is called back where it has to join again to get on, and has the
    /// rebalance timeout to do so.
    pub(crate) fn heartbeat_classic(
        &mut self,
        request: Heartbeat<'_>,
        now: ids::Instant,
    ) -> ErrorCode {
        let Heartbeat { generation_id, member_id, group_instance_id, .. } = request;
        let asker = Asker { member_id, group_instance_id };
        if let Err(code) = self.check_generation(asker, generation_id) {
            return code;
        }
        let epoch = self.epoch;
        let waits = self.members.get(member_id).is_some_and(|m| {
            m.target.iter().any(|p| self.owners.get(p).is_some_and(|owner| owner != member_id))
        });
        let Some(member) = self.members.get_mut(member_id) else {
            return ErrorCode::UNKNOWN_MEMBER_ID;
        };
        let session = member.classic.as_ref().map_or(Duration::ZERO, ClassicFace::session_timeout);
        member.expires_at = now + session;
        let is_called = member.epoch < epoch
            || match member.state {
                MemberState::Stable => false,
                MemberState::Unrevoked => true,
                MemberState::Unreleased => !waits,
            };
        if !is_called {
            return ErrorCode::NONE;
        }
        let until = *member.revoke_until.get_or_insert(now + member.rebalance_timeout());
        self.wake_at(until);
        ErrorCode::REBALANCE_IN_PROGRESS
    }

    /// Whether `asker` is a member of the classic protocol.
    fn check_classic(&self, asker: Asker<'_>) -> Result<(), ErrorCode> {
        self.check_member(asker)?;
        let classic = self.members.get(asker.member_id).is_some_and(|m| m.classic.is_some());
        if classic { Ok(()) } else { Err(ErrorCode::UNKNOWN_MEMBER_ID) }
    }

    fn check_generation(&self, asker: Asker<'_>, generation: i32) -> Result<(), ErrorCode> {
        self.check_classic(asker)?;
        let epoch = self.members.get(asker.member_id).map(|m| m.epoch);
        if epoch == Some(generation) { Ok(()) } else { Err(ErrorCode::ILLEGAL_GENERATION) }
    }

    /// Whether one of these protocols is spoken by all other members of the classic kind.
    fn shares_protocol(&self, member_id: &str, protocols: &[Protocol]) -> bool {
        let others = || self.members.iter().filter(|(id, _)| *id != member_id);
        let mut faces = others().filter_map(|(_, m)| m.classic.as_ref()).peekable();
        if self.classics == 0 || faces.peek().is_none() {
            return true;
        }
        // Sets of names would cost an allocation for each member, at each join.
        let speak = |face: &ClassicFace, name: &str| face.protocols.iter().any(|p| p.name == name);
        protocols.iter().any(|p| {
            let mut faces = others().filter_map(|(_, m)| m.classic.as_ref());
            faces.all(|face| speak(face, &p.name))
        })
    }

    /// The protocol that a member of the classic kind is told: its best one. Nobody reads what it says there but this broker,
    /// so it need not be that of the others; a protocol that all speak counts when the group is a classic one again.
    fn protocol_of(&self, member_id: &str) -> Option<String> {
        let face = self.members.get(member_id)?.classic.as_ref()?;
        face.protocols.first().map(|p| p.name.clone())
    }
}
