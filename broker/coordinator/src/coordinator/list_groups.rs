//! ListGroups 0 to 5: the groups of this coordinator (KIP-518, KIP-848).

use super::Coordinator;
use crate::classic::ClassicState;

/// A group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedGroup {
    /// The group.
    pub group_id: String,
    /// `consumer`, `connect` or another; empty for a group that only commits.
    pub protocol_type: String,
    /// Its state.
    pub state: ClassicState,
}

/// The type of all groups here, as ListGroups names it (version 5).
const CLASSIC: &str = "classic";

impl Coordinator {
    /// ListGroups. An empty filter lets everything through; names are compared without regard to case, and unknown ones
    /// match nothing.
    #[must_use]
    pub fn list_groups(&self, states: &[&str], types: &[&str]) -> Vec<ListedGroup> {
        let one_of = |filter: &[&str], name: &str| {
            filter.is_empty() || filter.iter().any(|f| f.eq_ignore_ascii_case(name))
        };
        if !one_of(types, CLASSIC) {
            return Vec::new();
        }
        self.groups
            .iter()
            .filter(|(_, group)| group.exists() && one_of(states, group.classic.state.name()))
            .map(|(id, group)| ListedGroup {
                group_id: id.clone(),
                protocol_type: group.classic.protocol_type.clone().unwrap_or_default(),
                state: group.classic.state,
            })
            .collect()
    }
}
