//! Creates topics (CreateTopics, and the broker's own topics on first use).

use super::assignment::new_partition;
use super::batch::Batch;
use super::{Controller, Decision, PARTITIONS_PER_REQUEST_MAX, within_items};
use crate::config::{BrokerSettings, DescribedConfig, InternalTopicSettings};
use crate::image::Overrides;
use crate::record::{Record, Resource};
use crate::{ErrorCode, Refusal, name};
use ids::{BrokerId, TopicId};
use std::collections::{BTreeMap, BTreeSet};

/// Replicas that a client chose for one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionAssignment {
    /// The partition.
    pub index: i32,
    /// Its replicas, the preferred leader first.
    pub replicas: Vec<BrokerId>,
}

/// A topic to be created, as the request says it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; -1 for the broker's default, and with assignments.
    pub partitions: i32,
    /// How many replicas of each; -1 for the broker's default, and with assignments.
    pub replication_factor: i16,
    /// Chosen replicas, or empty.
    pub assignments: Vec<PartitionAssignment>,
    /// Configs; a null value is refused.
    pub configs: Vec<(String, Option<String>)>,
}

/// Topics to be created.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreateTopics {
    /// The topics.
    pub topics: Vec<NewTopic>,
    /// Whether to check only.
    pub validate_only: bool,
}

/// A topic as it was created.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatedTopic {
    /// Its id; zero if it was only checked.
    pub id: TopicId,
    /// How many partitions.
    pub partitions: i32,
    /// How many replicas of each.
    pub replication_factor: i16,
    /// All its effective configs (KIP-525), for clients that may see them.
    pub configs: Vec<DescribedConfig>,
}

/// The answer for one name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreateTopicResult {
    /// The name.
    pub name: String,
    /// What came of it.
    pub result: Result<CreatedTopic, Refusal>,
}

/// The topics that the broker makes for itself on first use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InternalTopic {
    /// `__consumer_offsets`
    ConsumerOffsets,
    /// `__transaction_state`
    TransactionState,
    /// `__share_group_state`
    ShareGroupState,
}

impl InternalTopic {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ConsumerOffsets => name::CONSUMER_OFFSETS,
            Self::TransactionState => name::TRANSACTION_STATE,
            Self::ShareGroupState => name::SHARE_GROUP_STATE,
        }
    }
}

/// What the topics before this one in the request took.
#[derive(Default)]
struct Taken {
    forms: BTreeMap<String, String>,
    ids: BTreeSet<TopicId>,
    partitions: usize,
}

impl Controller {
    /// Creates topics. One result for each distinct name, in the order of the request; `fresh` makes random topic ids.
    ///
    /// Errors per name, first that applies: INVALID_REQUEST (name twice in the request, or the metadata log's),
    /// TOPIC_ALREADY_EXISTS, INVALID_TOPIC_EXCEPTION, INVALID_CONFIG, INVALID_REQUEST (assignments together with counts),
    /// INVALID_REPLICA_ASSIGNMENT, INVALID_REPLICATION_FACTOR, INVALID_PARTITIONS, POLICY_VIOLATION (over 10,000 topics, 10,000 partitions
    /// or 1 MB of records in one request).
    pub fn create_topics(
        &mut self,
        request: &CreateTopics,
        fresh: &mut dyn FnMut() -> TopicId,
    ) -> Decision<Vec<CreateTopicResult>> {
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for topic in &request.topics {
            *times.entry(&topic.name).or_default() += 1;
        }
        let settings = self.settings();
        let mut taken = Taken::default();
        let (mut batch, mut results) = (Batch::default(), Vec::new());
        for (index, topic) in request.topics.iter().enumerate() {
            let result = match times.remove(topic.name.as_str()) {
                None => continue,
                Some(1) => within_items(index).and_then(|()| {
                    self.create_one(topic, &settings, &mut taken, fresh, &mut batch)
                }),
                Some(_) => Err(Refusal::new(ErrorCode::InvalidRequest, "Duplicate topic name.")),
            };
            let forget_id = |created| CreatedTopic { id: TopicId::ZERO, ..created };
            let result = if request.validate_only { result.map(forget_id) } else { result };
            results.push(CreateTopicResult { name: topic.name.clone(), result });
        }
        self.decide(batch.into_records(request.validate_only), results)
    }

    /// Creates one of the broker's own topics, with the settings of the broker keys made for it and no more replicas than
    /// there are brokers: a single node works with the defaults of three. Errors: TOPIC_ALREADY_EXISTS, and
    /// INVALID_REPLICATION_FACTOR while no broker is registered.
    pub fn create_internal_topic(
        &mut self,
        topic: InternalTopic,
        fresh: &mut dyn FnMut() -> TopicId,
    ) -> Result<Decision<CreatedTopic>, Refusal> {
        let settings = self.settings();
        let (kind, own): (InternalTopicSettings, &[(&str, &str)]) = match topic {
            InternalTopic::ConsumerOffsets => (
                settings.offsets_topic,
                &[("cleanup.policy", "compact"), ("compression.type", "producer")],
            ),
            InternalTopic::TransactionState => (
                settings.transaction_topic,
                &[
                    ("cleanup.policy", "compact"),
                    ("compression.type", "uncompressed"),
                    ("unclean.leader.election.enable", "false"),
                ],
            ),
            InternalTopic::ShareGroupState => (
                settings.share_state_topic,
                &[
                    ("cleanup.policy", "delete"),
                    ("compression.type", "uncompressed"),
                    ("retention.ms", "-1"),
                ],
            ),
        };
        let set = |key: &str, value: String| (key.to_owned(), Some(value));
        let mut configs: Vec<_> = own.iter().map(|(k, v)| set(k, (*v).to_owned())).collect();
        // Kafka lets these keys go below what a topic may have since 4.0.
        configs.push(set("segment.bytes", kind.segment_bytes.max(1_048_576).to_string()));
        if topic != InternalTopic::ConsumerOffsets {
            configs.push(set("min.insync.replicas", kind.min_insync_replicas.to_string()));
        }
        let brokers = i16::try_from(self.image.brokers().len()).unwrap_or(i16::MAX);
        let new = NewTopic {
            name: topic.name().to_owned(),
            partitions: kind.partitions,
            replication_factor: kind.replication_factor.min(brokers.max(1)),
            assignments: Vec::new(),
            configs,
        };
        let mut batch = Batch::default();
        let mut taken = Taken::default();
        let created = self.create_one(&new, &settings, &mut taken, fresh, &mut batch)?;
        Ok(self.decide(batch.into_records(false), created))
    }

    fn create_one(
        &self,
        topic: &NewTopic,
        settings: &BrokerSettings,
        taken: &mut Taken,
        fresh: &mut dyn FnMut() -> TopicId,
        batch: &mut Batch,
    ) -> Result<CreatedTopic, Refusal> {
        self.check_name(&topic.name, taken)?;
        let overrides = self.check_configs(topic)?;
        let id = self.fresh_id(taken, fresh)?;
        let replicas = self.replicas_of(topic, settings, id)?;
        let total = taken.partitions + replicas.len();
        if total > PARTITIONS_PER_REQUEST_MAX {
            return Err(too_many());
        }
        let created = CreatedTopic {
            id,
            partitions: i32::try_from(replicas.len()).expect("bounded above"),
            replication_factor: i16::try_from(replicas.first().map_or(0, Vec::len))
                .unwrap_or(i16::MAX),
            configs: self.layers().describe_overrides(&overrides),
        };
        let mut records = vec![Record::Topic { name: topic.name.clone(), id }];
        records.extend(overrides.into_iter().map(|(key, value)| Record::ConfigSet {
            resource: Resource::topic(&topic.name),
            key,
            value: Some(value),
        }));
        let partitions = replicas.into_iter().enumerate();
        records.extend(partitions.map(|(index, replicas)| new_partition(id, index, replicas)));
        batch.admit(records)?;
        taken.partitions = total;
        taken.ids.insert(id);
        taken.forms.insert(name::collision_form(&topic.name), topic.name.clone());
        Ok(created)
    }

    fn check_name(&self, topic: &str, taken: &Taken) -> Result<(), Refusal> {
        if topic == name::CLUSTER_METADATA {
            let why = format!("Creation of internal topic {topic} is prohibited.");
            return Err(Refusal::new(ErrorCode::InvalidRequest, why));
        }
        if self.image.topic_named(topic).is_some() {
            let why = format!("Topic '{topic}' already exists.");
            return Err(Refusal::new(ErrorCode::TopicAlreadyExists, why));
        }
        name::check(topic)?;
        let collides = self.image.topic_colliding(topic).map(|t| t.name.to_string());
        let collides = collides.or_else(|| taken.forms.get(&name::collision_form(topic)).cloned());
        match collides {
            Some(other) => Err(Refusal::new(
                ErrorCode::InvalidTopic,
                format!("Topic '{topic}' collides with existing topic: {other}"),
            )),
            None => Ok(()),
        }
    }

    fn check_configs(&self, topic: &NewTopic) -> Result<Overrides, Refusal> {
        let nulls = topic.configs.iter().filter(|(_, value)| value.is_none());
        let nulls: Vec<_> = nulls.map(|(key, _)| key.as_str()).take(20).collect();
        if !nulls.is_empty() {
            let why = format!("Null value not supported for topic configs: {}", nulls.join(","));
            return Err(Refusal::new(ErrorCode::InvalidConfig, why));
        }
        let set = topic.configs.iter().filter_map(|(k, v)| Some((k.clone(), v.clone()?)));
        let overrides: Overrides = set.collect();
        let checked = self.layers().check_topic(&topic.name, &overrides);
        checked.map_err(|e| Refusal::new(ErrorCode::InvalidConfig, e.message))?;
        Ok(overrides)
    }

    fn replicas_of(
        &self,
        topic: &NewTopic,
        settings: &BrokerSettings,
        id: TopicId,
    ) -> Result<Vec<Vec<BrokerId>>, Refusal> {
        if !topic.assignments.is_empty() {
            return self.assigned(topic);
        }
        let factor = match topic.replication_factor {
            -1 => settings.default_replication_factor,
            given if given > 0 => given,
            _ => {
                let why =
                    "Replication factor must be larger than 0, or -1 to use the default value.";
                return Err(Refusal::new(ErrorCode::InvalidReplicationFactor, why));
            }
        };
        let count = match topic.partitions {
            -1 => settings.num_partitions,
            given if given > 0 => given,
            _ => {
                let why = "Number of partitions was set to an invalid non-positive value.";
                return Err(Refusal::new(ErrorCode::InvalidPartitions, why));
            }
        };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > PARTITIONS_PER_REQUEST_MAX {
            return Err(too_many());
        }
        self.place(id, 0, count, usize::try_from(factor).unwrap_or(0))
    }

    fn assigned(&self, topic: &NewTopic) -> Result<Vec<Vec<BrokerId>>, Refusal> {
        let both = |what: &str| {
            let why = format!(
                "A manual partition assignment was specified, but {what} was not set to -1."
            );
            Err(Refusal::new(ErrorCode::InvalidRequest, why))
        };
        if topic.replication_factor != -1 {
            return both("replication factor");
        }
        if topic.partitions != -1 {
            return both("numPartitions");
        }
        if topic.assignments.len() > PARTITIONS_PER_REQUEST_MAX {
            return Err(too_many());
        }
        let refuse = |why: String| Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, why));
        let mut by_index = BTreeMap::new();
        let mut factor = None;
        for PartitionAssignment { index, replicas } in &topic.assignments {
            if by_index.insert(*index, replicas).is_some() {
                return refuse(format!(
                    "Found multiple manual partition assignments for partition {index}"
                ));
            }
            self.check_assignment(replicas, factor)?;
            factor = Some(replicas.len());
        }
        if !by_index.keys().copied().eq((0i32..).take(by_index.len())) {
            return refuse("partitions should be a consecutive 0-based integer sequence".into());
        }
        Ok(by_index.into_values().cloned().collect())
    }

    /// An id that no topic ever had, and whose text does not begin with `-`, which command lines take for an option.
    fn fresh_id(
        &self,
        taken: &Taken,
        fresh: &mut dyn FnMut() -> TopicId,
    ) -> Result<TopicId, Refusal> {
        // One id in 64 begins with '-': 50 in a row do not happen with a working source.
        for _ in 0..50 {
            let id = fresh();
            let reserved = id == TopicId::ZERO || id == TopicId::METADATA;
            let known = self.image.topic(id).is_some() || taken.ids.contains(&id);
            if !reserved && !known && !id.to_string().starts_with('-') {
                return Ok(id);
            }
        }
        Err(Refusal::new(ErrorCode::UnknownServerError, "No fresh topic id could be made."))
    }
}

fn too_many() -> Refusal {
    let why = format!("A request creates at most {PARTITIONS_PER_REQUEST_MAX} partitions.");
    Refusal::new(ErrorCode::PolicyViolation, why)
}
