//! Who may speak for a group.

use super::{ClassicGroup, ClassicState};
use wire::ErrorCode;

/// Who says that it is a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Asker<'a> {
    pub(crate) member_id: &'a str,
    pub(crate) group_instance_id: Option<&'a str>,
}

/// Why it is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MemberError {
    /// The group does not know it.
    Unknown,
    /// Another member id has taken over its instance id (KIP-345).
    Fenced,
}

impl MemberError {
    pub(crate) fn code(self) -> ErrorCode {
        match self {
            Self::Unknown => ErrorCode::UNKNOWN_MEMBER_ID,
            Self::Fenced => ErrorCode::FENCED_INSTANCE_ID,
        }
    }
}

impl ClassicGroup {
    /// Whether `asker` is a member.
    pub(crate) fn check_member(&self, asker: Asker<'_>) -> Result<(), MemberError> {
        if let Some(instance) = asker.group_instance_id {
            match self.static_members.get(instance) {
                None => return Err(MemberError::Unknown),
                Some(id) if id != asker.member_id => return Err(MemberError::Fenced),
                Some(_) => {}
            }
        }
        if self.members.contains_key(asker.member_id) { Ok(()) } else { Err(MemberError::Unknown) }
    }

    /// Whether `asker` is a member of `generation`.
    pub(crate) fn check_generation(
        &self,
        asker: Asker<'_>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        self.check_member(asker).map_err(MemberError::code)?;
        if generation == self.generation { Ok(()) } else { Err(ErrorCode::ILLEGAL_GENERATION) }
    }

    /// Whether `asker` may commit offsets. Whoever is no member may do so only while there are none: it assigns its
    /// partitions itself, or is an administrator.
    pub(crate) fn check_commit(&self, asker: Asker<'_>, generation: i32) -> Result<(), ErrorCode> {
        let empty = self.state == ClassicState::Empty;
        if generation < 0 && empty {
            return Ok(());
        }
        if generation >= 0 || !asker.member_id.is_empty() || asker.group_instance_id.is_some() {
            self.check_generation(asker, generation)?;
        } else {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        match self.state {
            // The member knows of the generation, but not yet what is its own in it.
            ClassicState::CompletingRebalance => Err(ErrorCode::REBALANCE_IN_PROGRESS),
            ClassicState::Empty | ClassicState::PreparingRebalance | ClassicState::Stable => Ok(()),
        }
    }

    /// Whether `asker` may commit offsets in a transaction: as a member of the generation, if it says that it is one.
    pub(crate) fn check_txn_commit(
        &self,
        asker: Asker<'_>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        let empty = self.state == ClassicState::Empty && generation < 0;
        let nobody = asker.member_id.is_empty() && asker.group_instance_id.is_none();
        if empty || (generation < 0 && nobody) {
            return Ok(());
        }
        self.check_generation(asker, generation)
    }

    /// Heartbeat: refreshes the session, also while the member is asked to join again.
    pub(crate) fn heartbeat(
        &mut self,
        asker: Asker<'_>,
        generation: i32,
        now: ids::Instant,
    ) -> ErrorCode {
        if let Err(code) = self.check_generation(asker, generation) {
            return code;
        }
        match self.state {
            ClassicState::Empty => ErrorCode::UNKNOWN_MEMBER_ID,
            ClassicState::PreparingRebalance => {
                self.refresh_session(asker.member_id, now);
                ErrorCode::REBALANCE_IN_PROGRESS
            }
            ClassicState::CompletingRebalance | ClassicState::Stable => {
                self.refresh_session(asker.member_id, now);
                ErrorCode::NONE
            }
        }
    }

    /// A commit shows that the member lives.
    pub(crate) fn on_commit(&mut self, member_id: &str, now: ids::Instant) {
        self.refresh_session(member_id, now);
    }

    /// Whether a member that speaks these protocols fits in: any type and list where there are no members; otherwise the
    /// group's type, and at least one protocol that all members speak.
    pub(crate) fn fits<'a>(
        &self,
        protocol_type: &str,
        mut protocols: impl Iterator<Item = &'a str>,
    ) -> bool {
        if self.members.is_empty() {
            return !protocol_type.is_empty() && protocols.next().is_some();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.any(|name| self.supported.get(name) == Some(&self.members.len()))
    }
}
