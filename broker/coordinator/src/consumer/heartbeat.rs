//! ConsumerGroupHeartbeat, once the request itself is sound: how a member comes in, goes on and goes away.

use super::{ClassicFace, ConsumerGroup, ConsumerMember, Partitions, STATIC_MEMBER_AWAY};
use crate::classic::Asker;
use crate::coordinator::{ConsumerGroupHeartbeat, ConsumerGroupHeartbeatResponse as Response};
use crate::turn::Turn;
use std::collections::BTreeSet;
use wire::ErrorCode;

/// Why a heartbeat is refused.
type Refusal = (ErrorCode, String);

impl ConsumerGroup {
    /// A member reports. Nothing has changed where it is refused.
    pub(crate) fn heartbeat(
        &mut self,
        request: &ConsumerGroupHeartbeat<'_>,
        fresh: &str,
        turn: &mut Turn<'_>,
    ) -> Result<Response, Refusal> {
        let member_id = if request.member_id.is_empty() { fresh } else { request.member_id };
        if request.member_epoch < 0 {
            return self.go(request, member_id, turn);
        }
        let owned: Option<Partitions> =
            request.topic_partitions.as_ref().map(|owned| owned.iter().copied().collect());
        let joins = request.member_epoch == 0;
        if joins {
            self.check_join(request, member_id, turn)?;
        } else {
            let asker = Asker { member_id, group_instance_id: request.instance_id };
            self.check_member(asker).map_err(|code| because(code, "not a member"))?;
            let checked = self.check_epoch(member_id, request.member_epoch, owned.as_ref());
            checked.map_err(|code| because(code, "not the member's epoch"))?;
        }
        if let Some(pattern) = request.subscribed_topic_regex.filter(|p| !p.is_empty()) {
            let used = self.use_pattern(pattern, member_id, turn.topics);
            used.map_err(|why| (ErrorCode::INVALID_REGULAR_EXPRESSION, why))?;
        }
        self.deleted = false;
        let joins_again =
            joins && self.members.get(member_id).is_some_and(|member| member.epoch > 0);
        let came = joins && self.come(request.instance_id, member_id);
        let said = self.listen(request, member_id);
        let topics_changed = self.refresh(turn.topics, came || said);
        if came || said || topics_changed {
            self.bump();
        }
        // Nobody shall be kept reading what it no longer wants.
        self.assign(turn, said && !came);
        let session = turn.config.session_timeout(&self.id);
        let expires_at = turn.now.instant + session;
        // A join that comes twice, as after a broken connection, must not give up for a member what it got in between: its
        // next heartbeat says what it has. Where nothing is left for it there is nothing that it would answer to.
        let asks = joins_again
            && self.members.get(member_id).is_some_and(|m| !m.assigned.is_disjoint(&m.target));
        let has = owned.as_ref().filter(|_| !asks);
        let changed = self.reconcile(member_id, has, turn.now.instant);
        self.wake_at(expires_at);
        let Some(member) = self.members.get_mut(member_id) else {
            return Err(because(ErrorCode::UNKNOWN_MEMBER_ID, "not a member"));
        };
        member.expires_at = expires_at;
        let is_full = joins
            || (owned.is_some()
                && request.rebalance_timeout_ms >= 0
                && (request.subscribed_topic_names.is_some()
                    || request.subscribed_topic_regex.is_some()));
        let tell = is_full || member.resend || changed;
        member.resend = false;
        Ok(Response {
            error_code: ErrorCode::NONE,
            error_message: None,
            member_id: Some(member_id.to_owned()),
            member_epoch: member.epoch,
            heartbeat_interval_ms: turn.config.heartbeat_interval_ms(&self.id),
            assignment: tell.then(|| member.assigned.iter().copied().collect()),
        })
    }

    fn check_join(
        &self,
        request: &ConsumerGroupHeartbeat<'_>,
        member_id: &str,
        turn: &Turn<'_>,
    ) -> Result<(), Refusal> {
        let place = request.instance_id.and_then(|instance| self.static_members.get(instance));
        if let Some(id) = place
            && id != member_id
            // One of the classic protocol never says that it goes: it is replaced, and fenced should it still be there.
            && self.members.get(id).is_some_and(|m| !m.is_away() && m.classic.is_none())
        {
            let why = "a member that has not left has this instance id";
            return Err(because(ErrorCode::UNRELEASED_INSTANCE_ID, why));
        }
        let has_place = place.is_some() || self.members.contains_key(member_id);
        if !has_place && self.members.len() >= turn.config.consumer_max_size {
            return Err(because(ErrorCode::GROUP_MAX_SIZE_REACHED, "the group is full"));
        }
        Ok(())
    }

    /// A member joins: anew, again, or in the place of a static member that is away. Whether the group has other members than
    /// before: one more, or one less.
    pub(super) fn come(&mut self, instance_id: Option<&str>, member_id: &str) -> bool {
        let place = instance_id.and_then(|instance| self.static_members.get(instance));
        let place = place.filter(|id| *id != member_id).cloned();
        if let Some(mut member) = place.and_then(|id| self.take(&id)) {
            // Whoever had this member id is a member no longer: what it had is free.
            let replaced = self.take(member_id).is_some();
            // It comes back with nothing in its hands: what it had is kept for it.
            for partition in &member.assigned {
                self.owners.insert(*partition, member_id.to_owned());
            }
            member.pending_revocation.clear();
            self.put(member_id, ConsumerMember { epoch: 0, previous_epoch: 0, ..member });
            return replaced;
        }
        if let Some(member) = self.members.get_mut(member_id) {
            if member.is_away() {
                member.epoch = 0;
                member.previous_epoch = 0;
                self.log.mark_member(member_id);
            }
            self.name(member_id, instance_id);
            return false;
        }
        let mut member = ConsumerMember::new();
        member.instance_id = instance_id.map(str::to_owned);
        self.put(member_id, member);
        true
    }

    /// A member that is there already joins with an instance id: from now on it has this one, and no other.
    fn name(&mut self, member_id: &str, instance_id: Option<&str>) {
        let Some(instance) = instance_id else { return };
        let Some(member) = self.members.get_mut(member_id) else { return };
        if member.instance_id.as_deref() == Some(instance) {
            return;
        }
        if let Some(before) = member.instance_id.replace(instance.to_owned()) {
            self.static_members.remove(&before);
        }
        self.static_members.insert(instance.to_owned(), member_id.to_owned());
        self.log.mark(super::ConsumerKey::Member(member_id.to_owned()));
    }

    pub(super) fn put(&mut self, member_id: &str, mut member: ConsumerMember) {
        if let Some(instance) = &member.instance_id {
            self.static_members.insert(instance.clone(), member_id.to_owned());
        }
        member.is_known = true;
        member.state = super::MemberState::Stable;
        member.revoke_until = None;
        self.classics += usize::from(member.classic.is_some());
        let before = self.members.insert(member_id.to_owned(), member);
        debug_assert!(before.is_none(), "whoever had this id was taken out");
        self.weigh(member_id);
        self.log.mark_member(member_id);
    }

    /// From now on the member speaks the classic protocol, or does not. What it was in it until now.
    pub(super) fn set_face(
        &mut self,
        member_id: &str,
        face: Option<ClassicFace>,
    ) -> Option<ClassicFace> {
        let member = self.members.get_mut(member_id)?;
        self.classics += usize::from(face.is_some());
        self.classics -= usize::from(member.classic.is_some());
        std::mem::replace(&mut member.classic, face)
    }

    /// Takes up what a member says about itself; whether that changes what anyone shall have.
    fn listen(&mut self, request: &ConsumerGroupHeartbeat<'_>, member_id: &str) -> bool {
        let joins = request.member_epoch == 0;
        // It speaks the consumer protocol, whatever the one in whose place it comes spoke.
        let had_face = joins && self.set_face(member_id, None).is_some();
        let Some(member) = self.members.get_mut(member_id) else { return false };
        let mut matters = false;
        if let Some(names) = &request.subscribed_topic_names {
            let names: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
            matters |= change(&mut member.topics, names);
        }
        let mut dropped = None;
        if let Some(pattern) = request.subscribed_topic_regex {
            let pattern = Some(pattern.to_owned()).filter(|p| !p.is_empty());
            if member.pattern != pattern {
                dropped = std::mem::replace(&mut member.pattern, pattern);
                matters = true;
            }
        }
        if let Some(assignor) = request.server_assignor {
            matters |= change(&mut member.assignor, Some(assignor.to_owned()));
        }
        let mut said = matters;
        if let Some(rack) = request.rack_id {
            said |= change(&mut member.rack_id, Some(rack.to_owned()));
        }
        if request.rebalance_timeout_ms >= 0 {
            said |= change(&mut member.rebalance_timeout_ms, request.rebalance_timeout_ms);
        }
        if joins {
            said |= change(&mut member.client_id, request.client_id.to_owned());
            said |= change(&mut member.client_host, request.client_host.to_owned());
        }
        if said || had_face {
            self.log.mark(super::ConsumerKey::Member(member_id.to_owned()));
            self.weigh(member_id);
        }
        self.forget_pattern(dropped.as_deref());
        matters
    }

    /// A member leaves, for good or for a while.
    fn go(
        &mut self,
        request: &ConsumerGroupHeartbeat<'_>,
        member_id: &str,
        turn: &Turn<'_>,
    ) -> Result<Response, Refusal> {
        let asker = Asker { member_id, group_instance_id: request.instance_id };
        self.check_member(asker).map_err(|code| because(code, "not a member"))?;
        if request.member_epoch == STATIC_MEMBER_AWAY {
            if let Some(member) = self.members.get_mut(member_id) {
                member.epoch = STATIC_MEMBER_AWAY;
                member.state = super::MemberState::Stable;
                member.revoke_until = None;
                for partition in std::mem::take(&mut member.pending_revocation) {
                    self.owners.remove(&partition);
                }
                self.log.mark(super::ConsumerKey::Current(member_id.to_owned()));
            }
        } else {
            self.remove_all(&[member_id.to_owned()], turn.now.wall);
        }
        Ok(Response {
            member_id: Some(member_id.to_owned()),
            member_epoch: request.member_epoch,
            ..Response::default()
        })
    }
}

/// Takes up a value; whether it is another one.
fn change<T: PartialEq>(place: &mut T, value: T) -> bool {
    let differs = *place != value;
    *place = value;
    differs
}

fn because(code: ErrorCode, why: &str) -> Refusal {
    (code, why.to_owned())
}
