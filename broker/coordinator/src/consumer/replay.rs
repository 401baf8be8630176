//! A consumer group as the log tells it. Each record stands for itself: compaction keeps them in no special order.

use super::{ClassicFace, ConsumerGroup, ConsumerKey, ConsumerMember, MemberState, Partitions};
use crate::classic::Protocol;
use ids::PartitionId;
use wire::internal::consumer_group::{
    ConsumerGroupCurrentMemberAssignmentValue as Current,
    ConsumerGroupMemberMetadataValue as Metadata, ConsumerGroupMetadataValue as Epoch,
    ConsumerGroupTargetAssignmentMemberValue as Target, TopicPartitions,
};

fn partitions(topics: &[TopicPartitions]) -> Partitions {
    let of = |t: &TopicPartitions| {
        let topic = t.topic_id;
        t.partitions
            .iter()
            .map(move |index| PartitionId { topic, index: *index })
            .collect::<Vec<_>>()
    };
    topics.iter().flat_map(of).collect()
}

impl ConsumerGroup {
    pub(crate) fn replay_epoch(&mut self, value: Option<&Epoch>) {
        self.log.replayed(ConsumerKey::Epoch, value.is_some());
        self.deleted = value.is_none();
        self.epoch = value.map_or(0, |v| v.epoch);
        self.metadata_hash = value.map_or(0, |v| v.metadata_hash);
    }

    pub(crate) fn replay_target_epoch(&mut self, epoch: Option<i32>) {
        self.log.replayed(ConsumerKey::TargetEpoch, epoch.is_some());
        self.target_epoch = epoch.unwrap_or(0);
    }

    fn member(&mut self, id: &str) -> &mut ConsumerMember {
        self.members.entry(id.to_owned()).or_insert_with(ConsumerMember::new)
    }

    pub(crate) fn replay_member(&mut self, id: &str, value: Option<&Metadata<'_>>) {
        self.log.replayed(ConsumerKey::Member(id.to_owned()), value.is_some());
        let Some(value) = value else {
            self.members.remove(id);
            return;
        };
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let member = self.member(id);
        member.is_known = true;
        member.instance_id = owned(value.instance_id);
        member.rack_id = owned(value.rack_id);
        value.client_id.clone_into(&mut member.client_id);
        value.client_host.clone_into(&mut member.client_host);
        member.rebalance_timeout_ms = value.rebalance_timeout;
        member.topics = value.subscribed_topic_names.iter().map(|t| (*t).to_owned()).collect();
        member.pattern = owned(value.subscribed_topic_regex).filter(|p| !p.is_empty());
        member.assignor = owned(value.server_assignor);
        member.classic = value.classic_member_metadata.as_ref().map(|classic| ClassicFace {
            session_timeout_ms: classic.session_timeout_ms,
            protocols: classic
                .supported_protocols
                .iter()
                .map(|p| Protocol { name: p.name.to_owned(), metadata: p.metadata.to_vec() })
                .collect(),
        });
    }

    pub(crate) fn replay_target(&mut self, id: &str, value: Option<&Target>) {
        self.log.replayed(ConsumerKey::Target(id.to_owned()), value.is_some());
        if value.is_some() || self.members.contains_key(id) {
            self.member(id).target =
                value.map_or_else(Partitions::new, |v| partitions(&v.topic_partitions));
        }
    }

    pub(crate) fn replay_current(&mut self, id: &str, value: Option<&Current>) {
        self.log.replayed(ConsumerKey::Current(id.to_owned()), value.is_some());
        if value.is_none() && !self.members.contains_key(id) {
            return;
        }
        let member = self.member(id);
        member.epoch = value.map_or(0, |v| v.member_epoch);
        member.previous_epoch = value.map_or(0, |v| v.previous_member_epoch);
        member.state = match value.map_or(0, |v| v.state) {
            1 => MemberState::Unrevoked,
            2 => MemberState::Unreleased,
            _ => MemberState::Stable,
        };
        member.assigned =
            value.map_or_else(Partitions::new, |v| partitions(&v.assigned_partitions));
        member.pending_revocation =
            value.map_or_else(Partitions::new, |v| partitions(&v.partitions_pending_revocation));
    }

    /// Makes the books that follow from the members. Where a damaged log gives a partition to two, the first has it.
    pub(super) fn rebuild(&mut self) {
        self.static_members.clear();
        self.classics = self.members.values().filter(|m| m.classic.is_some()).count();
        self.owners.clear();
        for (id, member) in &mut self.members {
            if let Some(instance) = &member.instance_id {
                self.static_members.insert(instance.clone(), id.clone());
            }
            let owners = &mut self.owners;
            let mut own = |p: &PartitionId| owners.entry(*p).or_insert_with(|| id.clone()) == id;
            let before = member.assigned.len();
            member.assigned.retain(&mut own);
            member.pending_revocation.retain(own);
            if member.assigned.len() < before && member.state == MemberState::Stable {
                // It gets what the other one lets go.
                member.state = MemberState::Unreleased;
            }
        }
        self.weigh_all();
        for key in self.log.members_in_log() {
            if !self.members.contains_key(&key) {
                self.log.mark_member(&key);
            }
        }
    }
}
