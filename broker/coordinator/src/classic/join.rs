//! JoinGroup: how a member comes in, comes back, or comes back under another id.

use super::member::{Holding, protocols};
use super::{Asker, ClassicGroup, ClassicState, Member};
use crate::config::NEW_MEMBER_TIMEOUT;
use crate::coordinator::{JoinGroup, JoinGroupResponse, JoinedMember};
use crate::outbox::{Action, Key};
use crate::records;
use crate::response::Ticket;
use crate::turn::Turn;
use wire::ErrorCode;

/// A static member that came back under a new member id while the group was stable; the record of it is on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StaticReplaced {
    pub(crate) generation: i32,
    pub(crate) old_id: String,
    /// What it was, to be put back if the record cannot be written.
    pub(crate) old: Member,
    pub(crate) new_id: String,
    /// Who waits for it.
    pub(crate) ticket: Ticket,
    /// What it is told.
    pub(crate) response: JoinGroupResponse,
}

impl ClassicGroup {
    /// A member asks to join; `fresh` makes its id distinct if it needs one.
    pub(crate) fn join(
        &mut self,
        request: &JoinGroup<'_>,
        fresh: &str,
        ticket: Ticket,
        turn: &mut Turn<'_>,
    ) {
        let refuse = |turn: &mut Turn<'_>, code| {
            turn.out.answer(ticket, JoinGroupResponse::error(request.member_id, code));
        };
        // A static member that comes back without its id takes its own place.
        let place = request.group_instance_id.and_then(|i| self.static_members.get(i));
        let place = place.filter(|_| request.member_id.is_empty());
        let place = place.map_or(request.member_id, String::as_str);
        if !self.has_room_for(place, turn.config.group_max_size) {
            refuse(turn, ErrorCode::GROUP_MAX_SIZE_REACHED);
            self.pending_members.remove(request.member_id);
            self.remove_all(&[request.member_id.to_owned()], turn);
            return;
        }
        if !self.fits(request.protocol_type, request.protocols.iter().map(|(name, _)| *name)) {
            return refuse(turn, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        if request.member_id.is_empty() {
            self.join_new(request, fresh, ticket, turn);
        } else if self.pending_members.contains_key(request.member_id) {
            // Member ids are not handed out ahead to static members.
            if request.group_instance_id.is_some() {
                return refuse(turn, ErrorCode::UNKNOWN_MEMBER_ID);
            }
            self.join_first_time(request, request.member_id, ticket, turn);
        } else {
            self.join_again(request, ticket, turn);
        }
    }

    /// Whether the group takes this member. While members join again, those that are back count: so the last to come go
    /// when the limit was lowered.
    fn has_room_for(&self, member_id: &str, max: usize) -> bool {
        match self.state {
            ClassicState::Empty => true,
            ClassicState::PreparingRebalance => {
                self.members.get(member_id).is_some_and(|m| m.joining.is_some())
                    || self.joined < max
            }
            ClassicState::CompletingRebalance | ClassicState::Stable => {
                self.members.contains_key(member_id) || self.members.len() < max
            }
        }
    }

    fn join_new(
        &mut self,
        request: &JoinGroup<'_>,
        fresh: &str,
        ticket: Ticket,
        turn: &mut Turn<'_>,
    ) {
        let member_id = request.new_member_id(fresh);
        if let Some(instance) = request.group_instance_id {
            match self.static_members.get(instance).cloned() {
                Some(old_id) => self.replace_static(request, &old_id, member_id, ticket, turn),
                None => self.join_first_time(request, &member_id, ticket, turn),
            }
        } else if request.needs_member_id {
            self.expect(&member_id, request, turn);
            let code = ErrorCode::MEMBER_ID_REQUIRED;
            turn.out.answer(ticket, JoinGroupResponse::error(&member_id, code));
        } else {
            self.join_first_time(request, &member_id, ticket, turn);
        }
    }

    /// Gives out a member id and waits for it to come back for one session timeout (KIP-394).
    pub(crate) fn expect(&mut self, member_id: &str, request: &JoinGroup<'_>, turn: &Turn<'_>) {
        if self.pending_members.len() >= turn.config.pending_members_max.max(1) {
            let first = self.pending_members.iter().min_by_key(|(_, at)| **at);
            if let Some(first) = first.map(|(id, _)| id.clone()) {
                self.pending_members.remove(&first);
            }
        }
        let at = turn.now.instant + request.session_timeout();
        self.pending_members.insert(member_id.to_owned(), at);
        self.wake_at(at);
    }

    fn join_first_time(
        &mut self,
        request: &JoinGroup<'_>,
        member_id: &str,
        ticket: Ticket,
        turn: &mut Turn<'_>,
    ) {
        self.pending_members.remove(member_id);
        let mut member = Member::new(request, turn.now.instant + NEW_MEMBER_TIMEOUT);
        member.joining = Some(ticket);
        self.arrived |= self.is_in_initial_delay();
        self.add(member_id, member);
        self.rebalance_or_complete(turn);
    }

    fn join_again(&mut self, request: &JoinGroup<'_>, ticket: Ticket, turn: &mut Turn<'_>) {
        let member_id = request.member_id;
        let asker = Asker { member_id, group_instance_id: request.group_instance_id };
        if let Err(e) = self.check_member(asker) {
            turn.out.answer(ticket, JoinGroupResponse::error(member_id, e.code()));
            return;
        }
        let unchanged = self.speaks_the_same(request);
        match self.state {
            // It missed the answer: the generation stands, it may sync.
            ClassicState::CompletingRebalance if unchanged => {
                turn.out.answer(ticket, self.joined_response(member_id));
                self.refresh_session(member_id, turn.now.instant);
            }
            // The same; but the leader asks again when what it assigns has changed, such as a topic's partitions.
            ClassicState::Stable if unchanged && !self.is_leader(member_id) => {
                turn.out.answer(ticket, self.joined_response(member_id));
                self.refresh_session(member_id, turn.now.instant);
            }
            ClassicState::PreparingRebalance
            | ClassicState::CompletingRebalance
            | ClassicState::Stable => {
                self.update(request, ticket, turn);
                self.rebalance_or_complete(turn);
            }
            ClassicState::Empty => {
                let code = ErrorCode::UNKNOWN_MEMBER_ID;
                turn.out.answer(ticket, JoinGroupResponse::error(member_id, code));
            }
        }
    }

    fn speaks_the_same(&self, request: &JoinGroup<'_>) -> bool {
        self.members.get(request.member_id).is_some_and(|m| m.protocols == protocols(request))
    }

    /// A known member joins with what it now says about itself.
    fn update(&mut self, request: &JoinGroup<'_>, ticket: Ticket, turn: &mut Turn<'_>) {
        let fresh = protocols(request);
        let Some(member) = self.members.get_mut(request.member_id) else { return };
        let old = std::mem::replace(&mut member.protocols, fresh.clone());
        member.holding = Holding::Claimed;
        member.session_timeout_ms = request.session_timeout_ms;
        member.rebalance_timeout_ms = request.rebalance_timeout_ms();
        request.client_id.clone_into(&mut member.client_id);
        request.client_host.clone_into(&mut member.client_host);
        self.discount_protocols(&old);
        self.count_protocols(&fresh);
        self.weigh(request.member_id);
        if let Some(earlier) = self.wait_for_join(request.member_id, ticket) {
            // The same member asks on two connections; only one of them can be alive.
            let code = ErrorCode::REBALANCE_IN_PROGRESS;
            turn.out.answer(earlier, JoinGroupResponse::error(request.member_id, code));
        }
    }

    /// A static member is back without its member id: it takes over its old self's place and assignment (KIP-345).
    fn replace_static(
        &mut self,
        request: &JoinGroup<'_>,
        old_id: &str,
        new_id: String,
        ticket: Ticket,
        turn: &mut Turn<'_>,
    ) {
        let old_leader = self.leader.clone();
        let was_leader = self.is_leader(old_id);
        let was_pending_sync = self.pending_sync.contains(old_id);
        let Some(mut old) = self.take(old_id) else { return };
        let fenced = ErrorCode::FENCED_INSTANCE_ID;
        if let Some(earlier) = old.joining.take() {
            turn.out.answer(earlier, JoinGroupResponse::error(old_id, fenced));
        }
        if let Some(earlier) = old.syncing.take() {
            turn.out.answer(earlier, crate::SyncGroupResponse::error(fenced));
        }
        let expires_at = turn.now.instant + request.session_timeout();
        let mut member = Member::new(request, expires_at);
        member.assignment = old.assignment.clone();
        member.is_new = false;
        member.joining = Some(ticket);
        self.add(&new_id, member);
        if was_leader {
            self.leader = Some(new_id.clone());
        }
        if was_pending_sync {
            self.pending_sync.insert(new_id.clone());
        }
        if self.state != ClassicState::Stable || self.vote() != self.protocol_name {
            // The leader may know the old id already, and would assign to nobody.
            self.rebalance_or_complete(turn);
            return;
        }
        let mut response = self.joined_response(&new_id);
        if request.can_skip_assignment {
            response.skip_assignment = was_leader;
        } else {
            // It must not take itself for the leader, or it would assign (KIP-814).
            response.members.clear();
            response.leader = old_leader.unwrap_or_default();
        }
        let generation = self.generation;
        let old_id = old_id.to_owned();
        let replaced = StaticReplaced { generation, old_id, old, new_id, ticket, response };
        match self.push_metadata(turn) {
            Ok(()) => {
                let (group, replaced) = (self.id.clone(), Box::new(replaced));
                turn.out.when_settled(Action::StaticReplaced { group, replaced });
            }
            Err(_) => self.on_static_replaced(replaced, false, turn),
        }
    }

    /// The record of a replaced static member is in the log, or is not.
    pub(crate) fn on_static_replaced(
        &mut self,
        replaced: StaticReplaced,
        committed: bool,
        turn: &mut Turn<'_>,
    ) {
        let StaticReplaced { generation, old_id, old, new_id, ticket, response } = replaced;
        let waits = self.members.get(&new_id).is_some_and(|m| m.joining == Some(ticket));
        if !waits || self.state != ClassicState::Stable || self.generation != generation {
            // Answered already, or a rebalance has begun and answers.
            return;
        }
        let was_leader = self.is_leader(&new_id);
        self.take_joining(&new_id);
        if committed {
            self.refresh_session(&new_id, turn.now.instant);
            turn.out.answer(ticket, response);
            return;
        }
        self.take(&new_id);
        self.add(&old_id, old);
        if was_leader {
            self.leader = Some(old_id.clone());
        }
        self.refresh_session(&old_id, turn.now.instant);
        let code = ErrorCode::UNKNOWN_MEMBER_ID;
        turn.out.answer(ticket, JoinGroupResponse::error(&new_id, code));
    }

    /// What a member of the current generation is told.
    pub(super) fn joined_response(&self, member_id: &str) -> JoinGroupResponse {
        let protocol = self.protocol_name.as_deref().unwrap_or("");
        let joined = |(id, m): (&String, &Member)| JoinedMember {
            member_id: id.clone(),
            group_instance_id: m.group_instance_id.clone(),
            metadata: m.metadata(protocol).to_vec(),
        };
        // Followers are told nothing of the others, and must not cost a walk over them either.
        let for_leader = self.is_leader(member_id).then_some(&self.members).into_iter().flatten();
        JoinGroupResponse {
            error_code: ErrorCode::NONE,
            generation_id: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member_id: member_id.to_owned(),
            members: for_leader.map(joined).collect(),
        }
    }

    /// Puts the group as it is into the log.
    pub(crate) fn push_metadata(
        &mut self,
        turn: &mut Turn<'_>,
    ) -> Result<(), crate::outbox::AppendFailure> {
        // Names of any length that a request can carry fit into a record.
        let record = records::group(self).map_err(|_| crate::outbox::AppendFailure::TooLarge)?;
        let batch = turn.out.push(&self.id, Key::Group, record)?;
        self.metadata.push(batch, Some(()));
        Ok(())
    }
}
