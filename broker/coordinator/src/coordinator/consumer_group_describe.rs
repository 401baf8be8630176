//! ConsumerGroupDescribe 0 to 1: epochs, members and assignments of consumer groups (KIP-848, KIP-1099).

use super::Coordinator;
use crate::consumer::{ConsumerState, Partitions};
use crate::topics::Topics;
use ids::{PartitionIndex, TopicId};

/// A consumer group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedConsumerGroup {
    /// Its state.
    pub state: ConsumerState,
    /// The epoch of members, subscriptions and topics.
    pub epoch: i32,
    /// The epoch of the target assignment.
    pub assignment_epoch: i32,
    /// The assignor.
    pub assignor: String,
    /// Its members.
    pub members: Vec<DescribedConsumer>,
}

/// A member of a consumer group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedConsumer {
    /// The member.
    pub member_id: String,
    /// The member's fixed name, of a static member.
    pub instance_id: Option<String>,
    /// The client's rack.
    pub rack_id: Option<String>,
    /// The member's epoch.
    pub epoch: i32,
    /// Its client id.
    pub client_id: String,
    /// Its address.
    pub client_host: String,
    /// The topics wanted.
    pub topics: Vec<String>,
    /// The topics wanted, as a pattern.
    pub pattern: Option<String>,
    /// Whether it speaks the classic protocol.
    pub is_classic: bool,
    /// What it may use.
    pub assigned: Vec<DescribedPartitions>,
    /// What it shall have.
    pub target: Vec<DescribedPartitions>,
}

/// A topic and partitions of it. Topics that are gone are left out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedPartitions {
    /// The topic's id.
    pub topic_id: TopicId,
    /// The topic.
    pub topic: String,
    /// The partitions.
    pub partitions: Vec<PartitionIndex>,
}

impl Coordinator {
    /// ConsumerGroupDescribe, of one group. `None`, also for a group of another type, is GROUP_ID_NOT_FOUND: tools ask with
    /// DescribeGroups then.
    #[must_use]
    pub fn describe_consumer_group(&self, group_id: &str) -> Option<DescribedConsumerGroup> {
        let group = self.groups.get(group_id)?.consumers()?;
        let topics = &self.topics.borrow();
        let members = group.members.iter().map(|(id, m)| DescribedConsumer {
            member_id: id.clone(),
            instance_id: m.instance_id.clone(),
            rack_id: m.rack_id.clone(),
            epoch: m.epoch,
            client_id: m.client_id.clone(),
            client_host: m.client_host.clone(),
            topics: m.topics.iter().cloned().collect(),
            pattern: m.pattern.clone(),
            is_classic: m.classic.is_some(),
            assigned: named(&m.assigned, topics),
            target: named(&m.target, topics),
        });
        Some(DescribedConsumerGroup {
            state: group.state(),
            epoch: group.epoch,
            assignment_epoch: group.target_epoch,
            assignor: group.assignor(self.config.default_assignor()).to_owned(),
            members: members.collect(),
        })
    }
}

fn named(partitions: &Partitions, topics: &Topics) -> Vec<DescribedPartitions> {
    let mut all: Vec<DescribedPartitions> = Vec::new();
    for p in partitions {
        match all.last_mut() {
            Some(last) if last.topic_id == p.topic => last.partitions.push(p.index),
            _ => {
                let Some(topic) = topics.name(p.topic).map(str::to_owned) else { continue };
                let (topic_id, partitions) = (p.topic, vec![p.index]);
                all.push(DescribedPartitions { topic_id, topic, partitions });
            }
        }
    }
    all
}
