//! Who may speak for a consumer group.

use super::{ConsumerGroup, Partitions};
use crate::classic::Asker;
use ids::PartitionId;
use wire::ErrorCode;

impl ConsumerGroup {
    /// Whether `asker` is a member.
    pub(crate) fn check_member(&self, asker: Asker<'_>) -> Result<(), ErrorCode> {
        if let Some(instance) = asker.group_instance_id {
            match self.static_members.get(instance) {
                None => return Err(ErrorCode::UNKNOWN_MEMBER_ID),
                Some(id) if id != asker.member_id => return Err(ErrorCode::FENCED_INSTANCE_ID),
                Some(_) => {}
            }
        }
        let known = self.members.contains_key(asker.member_id);
        if known { Ok(()) } else { Err(ErrorCode::UNKNOWN_MEMBER_ID) }
    }

    /// Whether a heartbeat comes from the member's epoch, or from the one before by a member that did not hear of the new
    /// one: that one has nothing but what is assigned to it.
    pub(super) fn check_epoch(
        &self,
        member_id: &str,
        epoch: i32,
        owned: Option<&Partitions>,
    ) -> Result<(), ErrorCode> {
        let member = self.members.get(member_id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        let unheard = epoch == member.previous_epoch
            && epoch < member.epoch
            && owned.is_some_and(|owned| owned.is_subset(&member.assigned));
        if epoch == member.epoch || unheard { Ok(()) } else { Err(ErrorCode::FENCED_MEMBER_EPOCH) }
    }

    /// Whether `asker` may commit offsets. Whoever is no member may do so only while there are none.
    pub(crate) fn check_commit(&self, asker: Asker<'_>, epoch: i32) -> Result<(), ErrorCode> {
        if epoch < 0 && self.members.is_empty() {
            return Ok(());
        }
        self.check_fetch(asker.member_id, epoch)
    }

    /// Whether a member that has not heard of its new epoch may commit an offset of the partition in the one before: it still
    /// has it, so nobody else does (KIP-1251).
    pub(crate) fn may_commit_late(&self, member_id: &str, epoch: i32, p: &PartitionId) -> bool {
        self.members.get(member_id).is_some_and(|m| {
            m.classic.is_none()
                && epoch > 0
                && epoch == m.previous_epoch
                && (m.assigned.contains(p) || m.pending_revocation.contains(p))
        })
    }

    /// Whether the asker is the member that it says, of the epoch that it says.
    pub(crate) fn check_fetch(&self, member_id: &str, epoch: i32) -> Result<(), ErrorCode> {
        let member = self.members.get(member_id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        match (epoch == member.epoch, &member.classic) {
            (true, _) => Ok(()),
            (false, None) => Err(ErrorCode::STALE_MEMBER_EPOCH),
            (false, Some(_)) => Err(ErrorCode::ILLEGAL_GENERATION),
        }
    }

    /// Which member leaves by LeaveGroup: itself, or a static one that an administrator names (KIP-345).
    fn who_leaves(&self, asker: Asker<'_>) -> Result<String, ErrorCode> {
        if let (true, Some(instance)) = (asker.member_id.is_empty(), asker.group_instance_id) {
            return self.static_members.get(instance).cloned().ok_or(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        self.check_member(asker)?;
        Ok(asker.member_id.to_owned())
    }

    /// LeaveGroup, of one member.
    pub(crate) fn leave(&mut self, asker: Asker<'_>, turn: &crate::turn::Turn<'_>) -> ErrorCode {
        match self.who_leaves(asker) {
            Ok(id) => {
                self.remove_all(&[id], turn.now.wall);
                ErrorCode::NONE
            }
            Err(code) => code,
        }
    }
}
