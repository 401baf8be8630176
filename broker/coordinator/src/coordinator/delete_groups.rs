//! DeleteGroups 0 to 2: deletes groups without members, and their offsets (KIP-229).

use super::Coordinator;
use super::offset_delete::delete_offset;
use crate::classic::ClassicState;
use crate::group::Group;
use crate::now::Now;
use crate::outbox::{AppendFailure, Key};
use crate::records;
use crate::response::Outcome;
use crate::turn::Turn;
use wire::ErrorCode;

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DeleteGroupsResponse {
    /// What became of each group, in the order of the request.
    pub groups: Vec<DeletedGroup>,
}

/// What became of one group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeletedGroup {
    /// The group.
    pub group_id: String,
    /// NONE, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, NON_EMPTY_GROUP or GROUP_ID_NOT_FOUND.
    pub error_code: ErrorCode,
}

impl Coordinator {
    /// DeleteGroups. Answered when the deletions are in the log.
    pub fn delete_groups(&mut self, groups: &[&str], now: Now) -> Outcome<DeleteGroupsResponse> {
        let ticket = self.out.ticket();
        let mut deleted = Vec::with_capacity(groups.len());
        for id in groups {
            let error_code = match self.groups.get(*id).filter(|group| group.exists()) {
                None => ErrorCode::GROUP_ID_NOT_FOUND,
                Some(group)
                    if group.classic.state != ClassicState::Empty
                        || group.consumers().is_some_and(|c| !c.members.is_empty()) =>
                {
                    ErrorCode::NON_EMPTY_GROUP
                }
                Some(_) => self
                    .with_group(id, now, |group, turn| delete(group, id, turn))
                    .map_or_else(AppendFailure::code, |()| ErrorCode::NONE),
            };
            deleted.push(DeletedGroup { group_id: (*id).to_owned(), error_code });
        }
        self.out.answer_when_committed(ticket, DeleteGroupsResponse { groups: deleted });
        self.outcome(ticket)
    }
}

/// Puts the deletion of an empty group on its way: its offsets first, so that a deletion that is cut short by a restart
/// leaves a group that can be deleted again.
fn delete(group: &mut Group, group_id: &str, turn: &mut Turn<'_>) -> Result<(), AppendFailure> {
    for (topic, partition) in group.offsets.partitions(None) {
        delete_offset(group, group_id, &topic, partition, turn)?;
    }
    if let Some(consumers) = group.consumers_mut() {
        consumers.delete();
        consumers.write(turn)?;
    }
    delete_metadata(group, group_id, turn)
}

/// Puts the deletion of the group's own record on its way.
pub(crate) fn delete_metadata(
    group: &mut Group,
    group_id: &str,
    turn: &mut Turn<'_>,
) -> Result<(), AppendFailure> {
    if !group.classic.metadata.is_void() {
        let tombstone = records::group_tombstone(group_id);
        let tombstone = tombstone.map_err(|_| AppendFailure::TooLarge)?;
        let batch = turn.out.push(group_id, Key::Group, tombstone)?;
        group.classic.metadata.push(batch, None);
    }
    Ok(())
}
