//! ListGroups 0 to 5: the groups of this coordinator (KIP-518, KIP-848).

use super::Coordinator;
use crate::classic::ClassicState;
use crate::consumer::ConsumerState;
use crate::group::Group;

/// A group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedGroup {
    /// The group.
    pub group_id: String,
    /// `consumer`, `connect` or another; empty for a group that only commits.
    pub protocol_type: String,
    /// Its state.
    pub state: GroupState,
}

/// The state of a group of any type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupState {
    /// Of a group of the classic protocol.
    Classic(ClassicState),
    /// Of a group of the consumer protocol (KIP-848).
    Consumer(ConsumerState),
}

impl GroupState {
    /// The name in ListGroups.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classic(state) => state.name(),
            Self::Consumer(state) => state.name(),
        }
    }

    /// The type, as ListGroups names it (version 5).
    #[must_use]
    pub const fn group_type(self) -> &'static str {
        match self {
            Self::Classic(_) => "classic",
            Self::Consumer(_) => "consumer",
        }
    }
}

impl Coordinator {
    /// ListGroups. An empty filter lets everything through; names are compared without regard to case, and unknown ones
    /// match nothing.
    #[must_use]
    pub fn list_groups(&self, states: &[&str], types: &[&str]) -> Vec<ListedGroup> {
        let one_of = |filter: &[&str], name: &str| {
            filter.is_empty() || filter.iter().any(|f| f.eq_ignore_ascii_case(name))
        };
        let listed = |(id, group): (&String, &Group)| {
            let (state, protocol_type) = match group.consumers() {
                Some(consumers) => (GroupState::Consumer(consumers.state()), "consumer".to_owned()),
                None => (
                    GroupState::Classic(group.classic.state),
                    group.classic.protocol_type.clone().unwrap_or_default(),
                ),
            };
            let wanted = one_of(states, state.name()) && one_of(types, state.group_type());
            wanted.then(|| ListedGroup { group_id: id.clone(), protocol_type, state })
        };
        self.groups.iter().filter(|(_, group)| group.exists()).filter_map(listed).collect()
    }
}
