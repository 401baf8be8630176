//! Which brokers get the replicas of new partitions.

use super::Controller;
use crate::placement::stripe;
use crate::record::{Partition, Record};
use crate::{ErrorCode, Refusal};
use ids::{BrokerId, LeaderEpoch, PartitionId, PartitionIndex, TopicId};

impl Controller {
    /// Checks replicas that a client chose for one partition. `factor` is what the topic's other partitions have. Errors:
    /// INVALID_REPLICA_ASSIGNMENT.
    pub(super) fn check_assignment(
        &self,
        replicas: &[BrokerId],
        factor: Option<usize>,
    ) -> Result<(), Refusal> {
        let refuse = |why: String| Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, why));
        if replicas.is_empty() {
            return refuse(
                "The manual partition assignment includes an empty replica list.".into(),
            );
        }
        // Known and distinct first: then the list is no longer than there are brokers.
        for (i, broker) in replicas.iter().enumerate() {
            if self.image.broker(*broker).is_none() {
                return refuse(format!(
                    "The manual partition assignment includes broker {broker}, but no such broker is registered."
                ));
            }
            if replicas[..i].contains(broker) {
                return refuse(format!(
                    "The manual partition assignment includes the broker {broker} more than once."
                ));
            }
        }
        match factor {
            Some(factor) if factor != replicas.len() => refuse(format!(
                "The manual partition assignment includes a partition with {} replica(s), but the other partitions have {factor}.",
                replicas.len()
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// Replicas for partitions `first..first + count` of a topic, striped over all brokers. Where a topic begins depends on
    /// its id only, so growth continues what creation began. Errors: INVALID_REPLICATION_FACTOR.
    pub(super) fn place(
        &self,
        topic: TopicId,
        first: usize,
        count: usize,
        factor: usize,
    ) -> Result<Vec<Vec<BrokerId>>, Refusal> {
        let brokers: Vec<BrokerId> = self.image.brokers().map(|b| b.id).collect();
        if factor > brokers.len() {
            let n = brokers.len();
            return Err(Refusal::new(
                ErrorCode::InvalidReplicationFactor,
                format!(
                    "Unable to replicate the partition {factor} time(s): only {n} broker(s) are registered."
                ),
            ));
        }
        let start = u32::from_be_bytes([0, 0, topic.0[14], topic.0[15]]);
        let number = |n: usize| u32::try_from(n).expect("partitions are bounded");
        Ok(stripe(&brokers, number(first), number(count), factor, start))
    }
}

/// The record of a new partition: all replicas in sync, the first one leads.
pub(super) fn new_partition(topic: TopicId, index: usize, replicas: Vec<BrokerId>) -> Record {
    let index = i32::try_from(index).expect("partitions are bounded");
    Record::Partition(Partition {
        id: PartitionId { topic, index: PartitionIndex(index) },
        isr: replicas.clone(),
        elr: Vec::new(),
        adding: Vec::new(),
        removing: Vec::new(),
        leader: replicas.first().copied().unwrap_or(BrokerId::NONE),
        leader_epoch: LeaderEpoch(0),
        partition_epoch: 0,
        last_unclean_epoch: LeaderEpoch::UNKNOWN,
        recovering: false,
        replicas,
    })
}
