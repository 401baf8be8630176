//! DescribeGroups 0 to 6: the state and the members of classic groups.

use super::Coordinator;
use crate::classic::ClassicState;

/// A classic group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedGroup {
    /// Its state.
    pub state: ClassicState,
    /// `consumer`, `connect` or another; empty for a group that only commits.
    pub protocol_type: String,
    /// The protocol that the group chose; empty unless it is stable.
    pub protocol: String,
    /// Its members.
    pub members: Vec<DescribedMember>,
}

/// A member of a classic group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedMember {
    /// The member.
    pub member_id: String,
    /// The member's fixed name, of a static member.
    pub group_instance_id: Option<String>,
    /// Its client id.
    pub client_id: String,
    /// Its address.
    pub client_host: String,
    /// What it says about itself; empty unless the group is stable.
    pub metadata: Vec<u8>,
    /// What is assigned to it; while the group rebalances, what it had in the last generation.
    pub assignment: Vec<u8>,
}

impl Coordinator {
    /// DescribeGroups, of one group. `None` is the state "Dead" without error up to version 5, and GROUP_ID_NOT_FOUND from
    /// version 6.
    #[must_use]
    pub fn describe_group(&self, group_id: &str) -> Option<DescribedGroup> {
        let group = self.groups.get(group_id).filter(|group| group.exists())?;
        if group.consumers().is_some() {
            // It is described in another way.
            return None;
        }
        let classic = &group.classic;
        let stable = classic.state == ClassicState::Stable;
        let protocol = classic.protocol_name.clone().filter(|_| stable).unwrap_or_default();
        let members = classic.members.iter().map(|(id, m)| DescribedMember {
            member_id: id.clone(),
            group_instance_id: m.group_instance_id.clone(),
            client_id: m.client_id.clone(),
            client_host: m.client_host.clone(),
            metadata: if stable { m.metadata(&protocol).to_vec() } else { Vec::new() },
            assignment: m.assignment.clone(),
        });
        Some(DescribedGroup {
            state: classic.state,
            protocol_type: classic.protocol_type.clone().unwrap_or_default(),
            members: members.collect(),
            protocol,
        })
    }
}
