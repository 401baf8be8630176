//! Adds partitions to topics (CreatePartitions, KIP-195).

use super::assignment::new_partition;
use super::batch::Batch;
use super::{Controller, Decision, PARTITIONS_PER_REQUEST_MAX, within_items};
use crate::{ErrorCode, Refusal};
use ids::BrokerId;
use std::collections::BTreeMap;

/// A topic that is to have more partitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MorePartitions {
    /// The topic's name.
    pub name: String,
    /// How many partitions it shall have.
    pub count: i32,
    /// Chosen replicas of each new partition, or `None`.
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}

/// Partitions to be added.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatePartitions {
    /// The topics.
    pub topics: Vec<MorePartitions>,
    /// Whether to check only.
    pub validate_only: bool,
}

/// The answer for one topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatePartitionsResult {
    /// Its name.
    pub name: String,
    /// What came of it.
    pub result: Result<(), Refusal>,
}

impl Controller {
    /// Adds partitions; one result for each distinct name, in the order of the request.
    ///
    /// Errors: INVALID_REQUEST (name twice, an internal topic), UNKNOWN_TOPIC_OR_PARTITION, INVALID_PARTITIONS (not more than now),
    /// INVALID_REPLICA_ASSIGNMENT, INVALID_REPLICATION_FACTOR (fewer brokers than the topic's factor), POLICY_VIOLATION (over
    /// 10,000 new partitions in one request).
    pub fn create_partitions(
        &mut self,
        request: &CreatePartitions,
    ) -> Decision<Vec<CreatePartitionsResult>> {
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for topic in &request.topics {
            *times.entry(&topic.name).or_default() += 1;
        }
        let (mut batch, mut added, mut results) = (Batch::default(), 0, Vec::new());
        for (index, topic) in request.topics.iter().enumerate() {
            let result = match times.remove(topic.name.as_str()) {
                None => continue,
                Some(1) => {
                    within_items(index).and_then(|()| self.grow(topic, &mut added, &mut batch))
                }
                Some(_) => Err(Refusal::new(ErrorCode::InvalidRequest, "Duplicate topic name.")),
            };
            results.push(CreatePartitionsResult { name: topic.name.clone(), result });
        }
        self.decide(batch.into_records(request.validate_only), results)
    }

    fn grow(
        &self,
        request: &MorePartitions,
        added: &mut usize,
        batch: &mut Batch,
    ) -> Result<(), Refusal> {
        let name = &request.name;
        let topic = self.image.topic_named(name).ok_or_else(|| {
            let why = "This server does not host this topic-partition.";
            Refusal::new(ErrorCode::UnknownTopicOrPartition, why)
        })?;
        if crate::name::is_internal(name) {
            // A group is found by a hash over the count: with another one it begins anew, without its committed offsets. Kafka
            // accepts the request and loses them at the next restart.
            let why = "The number of partitions of an internal topic cannot be changed.";
            return Err(Refusal::new(ErrorCode::InvalidRequest, why));
        }
        let now = topic.partitions.len();
        let wanted = usize::try_from(request.count).unwrap_or(0);
        if wanted <= now {
            let why = if wanted == now {
                format!("Topic already has {now} partition(s).")
            } else {
                let count = request.count;
                format!(
                    "The topic {name} currently has {now} partition(s); {count} would not be an increase."
                )
            };
            return Err(Refusal::new(ErrorCode::InvalidPartitions, why));
        }
        let more = wanted - now;
        if let Some(given) = request.assignments.as_ref().map(Vec::len)
            && given != more
        {
            let why = format!(
                "Attempted to add {more} additional partition(s), but only {given} assignment(s) were specified."
            );
            return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, why));
        }
        if *added + more > PARTITIONS_PER_REQUEST_MAX {
            let why = format!("A request creates at most {PARTITIONS_PER_REQUEST_MAX} partitions.");
            return Err(Refusal::new(ErrorCode::PolicyViolation, why));
        }
        let factor = topic.replication_factor();
        let replicas = match &request.assignments {
            Some(assignments) => {
                for replicas in assignments {
                    self.check_assignment(replicas, Some(factor))?;
                }
                assignments.clone()
            }
            None => self.place(topic.id, now, more, factor)?,
        };
        let new = replicas.into_iter().enumerate();
        batch
            .admit(new.map(|(i, replicas)| new_partition(topic.id, now + i, replicas)).collect())?;
        *added += more;
        Ok(())
    }
}
