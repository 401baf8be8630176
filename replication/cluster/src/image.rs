//! The cluster image: what the records say, ready for look-ups.
//!
//! Every data core has one, fed with the same records in the same order; core 0's controller has one more that runs ahead
//! of the disk. An image never holds anything that is not in a record, so [`ClusterImage::records`] can write it out
//! again, and replaying that gives an equal image.
//!
//! What must always hold: living topic names are unique, also across the `.` and `_` collision; partition indexes of a
//! topic are 0 to n-1; epochs only rise; producer id blocks never overlap. A record that would break one of these is
//! refused with [`ApplyError`] and changes nothing: that is damage or a bug, and the node must stop.

mod delta;
mod replay;

pub use delta::{Change, Delta};
pub use replay::ApplyError;

use crate::record::{
    BrokerRegistered, DirectoryId, Endpoint, Partition, Record, Resource, ResourceKind,
};
use ids::{BrokerId, LeaderEpoch, PartitionId, PartitionIndex, ProducerId, TopicId};
use std::collections::BTreeMap;

/// A broker that has registered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broker {
    /// Its id.
    pub id: BrokerId,
    /// The incarnation that registered last.
    pub incarnation: u64,
    /// Where clients reach it.
    pub endpoints: Vec<Endpoint>,
    /// Its failure domain.
    pub rack: Option<String>,
    /// Its data cores.
    pub cores: u16,
    /// The directory that holds its data.
    pub directory: DirectoryId,
}

impl Broker {
    /// The endpoint of a listener by name. KIP-951 hints and Metadata answers name a broker only if it has one.
    #[must_use]
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|e| e.listener == listener)
    }
}

/// A living topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topic {
    /// Its id.
    pub id: TopicId,
    /// Its name.
    pub name: Box<str>,
    /// Its partitions by index.
    pub partitions: Vec<PartitionState>,
}

impl Topic {
    /// One partition.
    #[must_use]
    pub fn partition(&self, index: PartitionIndex) -> Option<&PartitionState> {
        self.partitions.get(usize::try_from(index.0).ok()?)
    }

    /// Replicas of a partition that no reassignment is changing: what answers call the replication factor.
    #[must_use]
    pub fn replication_factor(&self) -> usize {
        self.partitions.first().map_or(0, PartitionState::replication_factor)
    }

    /// The ids of its partitions.
    pub fn partition_ids(&self) -> impl Iterator<Item = PartitionId> {
        (0i32..)
            .take(self.partitions.len())
            .map(|i| PartitionId { topic: self.id, index: PartitionIndex(i) })
    }
}

/// One partition of a living topic. Fields as in [`Partition`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionState {
    /// Assigned brokers, the preferred leader first.
    pub replicas: Box<[BrokerId]>,
    /// In-sync replicas.
    pub isr: Box<[BrokerId]>,
    /// Eligible leader replicas.
    pub elr: Box<[BrokerId]>,
    /// Replicas that a reassignment adds.
    pub adding: Box<[BrokerId]>,
    /// Replicas that a reassignment removes.
    pub removing: Box<[BrokerId]>,
    /// The leader, or [`BrokerId::NONE`].
    pub leader: BrokerId,
    /// The leader's reign.
    pub leader_epoch: LeaderEpoch,
    /// The count of changes.
    pub partition_epoch: i32,
    /// The last unclean election.
    pub last_unclean_epoch: LeaderEpoch,
    /// Whether an unclean election is not healed yet.
    pub recovering: bool,
}

impl PartitionState {
    /// The replication factor: the adding set does not count, on the leader as in the controller.
    #[must_use]
    pub fn replication_factor(&self) -> usize {
        self.replicas.len().saturating_sub(self.adding.len())
    }

    /// How many in-sync replicas acks=all and the high watermark need: min(`min.insync.replicas`, replication factor),
    /// at least one.
    #[must_use]
    pub fn in_sync_needed(&self, min_insync_replicas: u32) -> usize {
        let wanted = usize::try_from(min_insync_replicas).unwrap_or(usize::MAX);
        wanted.min(self.replication_factor()).max(1)
    }

    fn from_record(p: &Partition) -> Self {
        Self {
            replicas: p.replicas.as_slice().into(),
            isr: p.isr.as_slice().into(),
            elr: p.elr.as_slice().into(),
            adding: p.adding.as_slice().into(),
            removing: p.removing.as_slice().into(),
            leader: p.leader,
            leader_epoch: p.leader_epoch,
            partition_epoch: p.partition_epoch,
            last_unclean_epoch: p.last_unclean_epoch,
            recovering: p.recovering,
        }
    }

    /// The record that says this state.
    #[must_use]
    pub fn to_record(&self, id: PartitionId) -> Partition {
        Partition {
            id,
            replicas: self.replicas.to_vec(),
            isr: self.isr.to_vec(),
            elr: self.elr.to_vec(),
            adding: self.adding.to_vec(),
            removing: self.removing.to_vec(),
            leader: self.leader,
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            last_unclean_epoch: self.last_unclean_epoch,
            recovering: self.recovering,
        }
    }
}

/// The overrides of one resource: key to text, as it was given.
pub type Overrides = BTreeMap<String, String>;

/// The replayed records. Owned by one core; clone it to give another core its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterImage {
    format: Option<(String, u16)>,
    brokers: BTreeMap<BrokerId, Broker>,
    topics: BTreeMap<TopicId, Topic>,
    names: BTreeMap<Box<str>, TopicId>,
    /// Collision form to id, for names with `.` or `_` only.
    collisions: BTreeMap<Box<str>, TopicId>,
    configs: BTreeMap<Resource, Overrides>,
    partitions: usize,
    next_producer_id: ProducerId,
    last_producer_block: Option<(ProducerId, u32, BrokerId)>,
}

impl Default for ClusterImage {
    fn default() -> Self {
        Self::new()
    }
}

impl ClusterImage {
    /// The image of no records.
    #[must_use]
    pub fn new() -> Self {
        Self {
            format: None,
            brokers: BTreeMap::new(),
            topics: BTreeMap::new(),
            names: BTreeMap::new(),
            collisions: BTreeMap::new(),
            configs: BTreeMap::new(),
            partitions: 0,
            next_producer_id: ProducerId(0),
            last_producer_block: None,
        }
    }

    /// The cluster's id; `None` before the first record.
    #[must_use]
    pub fn cluster_id(&self) -> Option<&str> {
        self.format.as_ref().map(|(id, _)| id.as_str())
    }

    /// The metadata version that the cluster was formatted with; `None` before the first record.
    #[must_use]
    pub fn format_version(&self) -> Option<u16> {
        self.format.as_ref().map(|(_, version)| *version)
    }

    /// Registered brokers, by id.
    pub fn brokers(&self) -> impl ExactSizeIterator<Item = &Broker> {
        self.brokers.values()
    }

    /// One broker.
    #[must_use]
    pub fn broker(&self, id: BrokerId) -> Option<&Broker> {
        self.brokers.get(&id)
    }

    /// Living topics, by name.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.names.values().filter_map(|id| self.topics.get(id))
    }

    /// How many topics live.
    #[must_use]
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// How many partitions all living topics have.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.partitions
    }

    /// A topic by id.
    #[must_use]
    pub fn topic(&self, id: TopicId) -> Option<&Topic> {
        self.topics.get(&id)
    }

    /// A topic by name.
    #[must_use]
    pub fn topic_named(&self, name: &str) -> Option<&Topic> {
        self.topics.get(self.names.get(name)?)
    }

    /// The living topic whose name equals `name`, or collides with it because `.` and `_` are one in metric names.
    #[must_use]
    pub fn topic_colliding(&self, name: &str) -> Option<&Topic> {
        self.topic_named(name).or_else(|| {
            let form = crate::name::collision_form(name);
            self.topics.get(self.collisions.get(form.as_str())?)
        })
    }

    /// A partition by id.
    #[must_use]
    pub fn partition(&self, id: PartitionId) -> Option<&PartitionState> {
        self.topic(id.topic)?.partition(id.index)
    }

    /// The overrides of a resource, if it has any.
    #[must_use]
    pub fn overrides(&self, resource: &Resource) -> Option<&Overrides> {
        self.configs.get(resource)
    }

    /// Resources of a kind that have overrides, by name (ListConfigResources, KIP-1142).
    pub fn resources_with_overrides(&self, kind: ResourceKind) -> impl Iterator<Item = &str> {
        self.configs.keys().filter(move |r| r.kind == kind).map(|r| r.name.as_str())
    }

    /// The first producer id that no block holds yet.
    #[must_use]
    pub fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id
    }

    /// The image as records: replaying them into a new image gives an equal one. For snapshots of the metadata log.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let mut out = Vec::new();
        if let Some((cluster_id, version)) = &self.format {
            out.push(Record::Format { cluster_id: cluster_id.clone(), version: *version });
        }
        for b in self.brokers.values() {
            out.push(Record::BrokerRegistered(BrokerRegistered {
                broker: b.id,
                incarnation: b.incarnation,
                endpoints: b.endpoints.clone(),
                rack: b.rack.clone(),
                cores: b.cores,
                directory: b.directory,
            }));
        }
        for t in self.topics.values() {
            out.push(Record::Topic { name: t.name.to_string(), id: t.id });
            let states = t.partition_ids().zip(&t.partitions);
            out.extend(states.map(|(id, p)| Record::Partition(p.to_record(id))));
        }
        for (resource, overrides) in &self.configs {
            out.extend(overrides.iter().map(|(key, value)| Record::ConfigSet {
                resource: resource.clone(),
                key: key.clone(),
                value: Some(value.clone()),
            }));
        }
        if let Some((first, count, broker)) = self.last_producer_block {
            out.push(Record::ProducerIdBlock { first, count, broker });
        }
        out
    }
}

#[cfg(test)]
mod tests;
