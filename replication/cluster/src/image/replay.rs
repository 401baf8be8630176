//! Applying records to the image.

use super::{Broker, Change, ClusterImage, Delta, Overrides, PartitionState, Topic};
use crate::controller::PRODUCER_IDS_PER_BLOCK;
use crate::name;
use crate::record::{BrokerRegistered, Partition, Record, Resource};
use ids::{BrokerId, PartitionId, PartitionIndex, ProducerId, TopicId};
use std::fmt;

/// More starts, or blocks of producer ids, than any lost stretch of a metadata log holds.
const LOST_RECORDS_MAX: u32 = 1 << 16;

/// Why a record does not follow from the records before it. The image is unchanged; the metadata log is damaged or was
/// written by something else, and serving from it would be worse than stopping.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ApplyError {
    /// A second `Format` record.
    FormattedTwice,
    /// A record before the `Format` record.
    NotFormatted,
    /// A registration with a lower incarnation than the known one.
    OldIncarnation {
        /// The broker.
        broker: BrokerId,
        /// The incarnation in the image.
        known: u64,
        /// The one in the record.
        got: u64,
    },
    /// An id that is zero, reserved or taken.
    TopicIdTaken(TopicId),
    /// A name that is illegal, taken, or collides.
    TopicNameTaken(String),
    /// The topic does not live.
    UnknownTopic(TopicId),
    /// A partition whose index is neither known nor the next.
    PartitionGap {
        /// The partition in the record.
        id: PartitionId,
        /// How many partitions the topic has.
        partitions: usize,
    },
    /// A leader or partition epoch below the known one.
    EpochFell(PartitionId),
    /// A partition without replicas, with a leader or set that is not among its replicas, or with an impossible epoch.
    BadAssignment(PartitionId),
    /// A block that starts below the first free id, or ends beyond the last possible one.
    ProducerIdsTaken {
        /// The block's first id.
        first: ProducerId,
        /// The first free id.
        free: ProducerId,
    },
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FormattedTwice => write!(f, "metadata log is formatted twice"),
            Self::NotFormatted => write!(f, "metadata log does not begin with its format record"),
            Self::OldIncarnation { broker, known, got } => {
                write!(f, "broker {broker} registers incarnation {got} after {known}")
            }
            Self::TopicIdTaken(id) => write!(f, "topic id {id} is taken or reserved"),
            Self::TopicNameTaken(name) => write!(f, "topic name {name:?} is taken or illegal"),
            Self::UnknownTopic(id) => write!(f, "topic {id} does not exist"),
            Self::PartitionGap { id, partitions } => {
                write!(f, "partition {id} appears while its topic has {partitions} partitions")
            }
            Self::EpochFell(id) => write!(f, "an epoch of partition {id} falls"),
            Self::BadAssignment(id) => write!(f, "partition {id} has an impossible assignment"),
            Self::ProducerIdsTaken { first, free } => {
                write!(f, "producer ids from {first} are given away, the first free one is {free}")
            }
        }
    }
}

impl std::error::Error for ApplyError {}

impl ClusterImage {
    /// Replays the next record and says what it changed. On an error the image is unchanged.
    pub fn apply(&mut self, record: &Record) -> Result<Delta, ApplyError> {
        if let Record::Format { cluster_id, version } = record {
            if self.format.is_some() {
                return Err(ApplyError::FormattedTwice);
            }
            self.format = Some((cluster_id.clone(), *version));
            return Ok(Delta::one(Change::Formatted));
        }
        if self.format.is_none() {
            return Err(ApplyError::NotFormatted);
        }
        match record {
            Record::Format { .. } => Err(ApplyError::FormattedTwice),
            Record::BrokerRegistered(registration) => self.apply_registration(registration),
            Record::StartEpochs { broker } => Ok(self.apply_start(*broker)),
            Record::Topic { name, id } => self.apply_topic(name, *id),
            Record::Partition(partition) => self.apply_partition(partition),
            Record::TopicDeleted { id } => self.apply_deletion(*id),
            Record::ConfigSet { resource, key, value } => {
                Ok(self.apply_config(resource, key, value.as_deref()))
            }
            Record::ProducerIdBlock { first, count, broker } => {
                self.apply_producer_ids(*first, *count, *broker)
            }
        }
    }

    fn apply_registration(&mut self, r: &BrokerRegistered) -> Result<Delta, ApplyError> {
        if let Some(known) = self.brokers.get(&r.broker)
            && r.incarnation < known.incarnation
        {
            return Err(ApplyError::OldIncarnation {
                broker: r.broker,
                known: known.incarnation,
                got: r.incarnation,
            });
        }
        let broker = Broker {
            id: r.broker,
            incarnation: r.incarnation,
            endpoints: r.endpoints.clone(),
            rack: r.rack.clone(),
            cores: r.cores,
            directory: r.directory,
        };
        self.brokers.insert(r.broker, broker);
        Ok(Delta::one(Change::Broker(r.broker)))
    }

    fn apply_start(&mut self, broker: BrokerId) -> Delta {
        let mut delta = Delta::default();
        for topic in self.topics.values_mut() {
            let id = topic.id;
            for (index, p) in (0i32..).zip(&mut topic.partitions) {
                if p.leader == broker {
                    // At one restart a second, 68 years to the end of an i32.
                    p.leader_epoch.0 = p.leader_epoch.0.saturating_add(1);
                    p.partition_epoch = p.partition_epoch.saturating_add(1);
                    let id = PartitionId { topic: id, index: PartitionIndex(index) };
                    delta.changes.push(Change::PartitionChanged(id));
                }
            }
        }
        delta
    }

    /// Records of the log are lost, `count` at most: whatever they said must not be said a second time. Leader epochs rise by as
    /// many starts as there may have been, and producer ids go on behind as many blocks.
    pub fn pass_over(&mut self, count: u32) {
        let count = count.min(LOST_RECORDS_MAX);
        let starts = i32::try_from(count).unwrap_or(i32::MAX);
        for p in self.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
            p.leader_epoch.0 = p.leader_epoch.0.saturating_add(starts);
            p.partition_epoch = p.partition_epoch.saturating_add(starts);
        }
        let ids = i64::from(count) * i64::from(PRODUCER_IDS_PER_BLOCK);
        self.next_producer_id.0 = self.next_producer_id.0.saturating_add(ids);
    }

    fn apply_topic(&mut self, name: &str, id: TopicId) -> Result<Delta, ApplyError> {
        if id == TopicId::ZERO || id == TopicId::METADATA || self.topics.contains_key(&id) {
            return Err(ApplyError::TopicIdTaken(id));
        }
        if name::check(name).is_err()
            || name == name::CLUSTER_METADATA
            || self.topic_colliding(name).is_some()
        {
            return Err(ApplyError::TopicNameTaken(name.to_owned()));
        }
        if name.contains(['.', '_']) {
            self.collisions.insert(name::collision_form(name).into(), id);
        }
        self.names.insert(name.into(), id);
        self.topics.insert(id, Topic { id, name: name.into(), partitions: Vec::new() });
        Ok(Delta::one(Change::TopicCreated(id)))
    }

    fn apply_partition(&mut self, record: &Partition) -> Result<Delta, ApplyError> {
        let id = record.id;
        check_assignment(record)?;
        let topic = self.topics.get_mut(&id.topic).ok_or(ApplyError::UnknownTopic(id.topic))?;
        let partitions = topic.partitions.len();
        let gap = ApplyError::PartitionGap { id, partitions };
        let Ok(index) = usize::try_from(id.index.0) else { return Err(gap) };
        let state = PartitionState::from_record(record);
        if let Some(known) = topic.partitions.get_mut(index) {
            if record.leader_epoch < known.leader_epoch
                || record.partition_epoch < known.partition_epoch
                || record.last_unclean_epoch < known.last_unclean_epoch
            {
                return Err(ApplyError::EpochFell(id));
            }
            if *known == state {
                return Ok(Delta::default());
            }
            *known = state;
            Ok(Delta::one(Change::PartitionChanged(id)))
        } else if index == partitions {
            topic.partitions.push(state);
            self.partitions += 1;
            Ok(Delta::one(Change::PartitionCreated(id)))
        } else {
            Err(gap)
        }
    }

    fn apply_deletion(&mut self, id: TopicId) -> Result<Delta, ApplyError> {
        let topic = self.topics.remove(&id).ok_or(ApplyError::UnknownTopic(id))?;
        self.partitions -= topic.partitions.len();
        self.names.remove(&topic.name);
        if topic.name.contains(['.', '_']) {
            self.collisions.remove(name::collision_form(&topic.name).as_str());
        }
        self.configs.remove(&Resource::topic(&topic.name));
        let partitions = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
        Ok(Delta::one(Change::TopicDeleted { id, name: topic.name, partitions }))
    }

    fn apply_config(&mut self, resource: &Resource, key: &str, value: Option<&str>) -> Delta {
        let changed = match value {
            Some(value) => {
                let overrides = self.configs.entry(resource.clone()).or_default();
                overrides.insert(key.to_owned(), value.to_owned()).as_deref() != Some(value)
            }
            None => match self.configs.get_mut(resource) {
                Some(overrides) => {
                    let removed = overrides.remove(key).is_some();
                    if overrides.is_empty() {
                        self.configs.remove(resource);
                    }
                    removed
                }
                None => false,
            },
        };
        if !changed {
            return Delta::default();
        }
        Delta::one(Change::Config { resource: resource.clone(), key: key.to_owned() })
    }

    /// Replaces all overrides of a resource: for trying out what a change would give.
    pub(crate) fn set_overrides(&mut self, resource: &Resource, overrides: &Overrides) {
        self.configs.insert(resource.clone(), overrides.clone());
    }

    fn apply_producer_ids(
        &mut self,
        first: ProducerId,
        count: u32,
        broker: BrokerId,
    ) -> Result<Delta, ApplyError> {
        let free = self.next_producer_id;
        let end = first.0.checked_add(i64::from(count));
        let Some(end) = end.filter(|_| first.0 >= free.0 && count > 0) else {
            return Err(ApplyError::ProducerIdsTaken { first, free });
        };
        self.next_producer_id = ProducerId(end);
        self.last_producer_block = Some((first, count, broker));
        Ok(Delta::one(Change::ProducerIds))
    }
}

fn check_assignment(p: &Partition) -> Result<(), ApplyError> {
    let distinct = |list: &[BrokerId]| list.iter().enumerate().all(|(i, b)| !list[..i].contains(b));
    let within = |list: &[BrokerId]| distinct(list) && list.iter().all(|b| p.replicas.contains(b));
    let sound = !p.replicas.is_empty()
        && within(&p.replicas)
        && within(&p.isr)
        && within(&p.elr)
        && within(&p.adding)
        && within(&p.removing)
        && (p.leader == BrokerId::NONE || p.isr.contains(&p.leader))
        && p.leader_epoch.0 >= 0
        && p.partition_epoch >= 0;
    if sound { Ok(()) } else { Err(ApplyError::BadAssignment(p.id)) }
}
