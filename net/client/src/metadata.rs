//! The cluster as the client last saw it.

use crate::error::ClientError;
use ids::{BrokerId, LeaderEpoch, TopicId};
use std::collections::BTreeMap;
use wire::ErrorCode;
use wire::api::metadata::{MetadataResponse, MetadataResponseTopic};

/// Where a broker listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerAddress {
    /// Its id.
    pub id: BrokerId,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: i32,
    /// Its rack, if it has one.
    pub rack: Option<String>,
}

impl BrokerAddress {
    /// `host:port`, with brackets around an IPv6 address.
    #[must_use]
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionView {
    /// Its number.
    pub index: i32,
    /// Its own error, for example LEADER_NOT_AVAILABLE.
    pub error: ErrorCode,
    /// Its leader; [`BrokerId::NONE`] if it has none.
    pub leader: BrokerId,
    /// The leader's epoch, or unknown.
    pub leader_epoch: LeaderEpoch,
    /// Who holds it, the preferred leader first.
    pub replicas: Vec<BrokerId>,
    /// Who has all of it.
    pub in_sync: Vec<BrokerId>,
    /// Who should hold it and is not there.
    pub offline: Vec<BrokerId>,
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicView {
    /// Its name.
    pub name: String,
    /// Its id; zero from a broker without ids.
    pub id: TopicId,
    /// Its own error, for example UNKNOWN_TOPIC_OR_PARTITION.
    pub error: ErrorCode,
    /// One of Kafka's own topics.
    pub is_internal: bool,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionView>,
}

impl TopicView {
    fn of(topic: &MetadataResponseTopic<'_>) -> Self {
        let mut partitions: Vec<_> = topic
            .partitions
            .iter()
            .map(|p| PartitionView {
                index: p.partition_index.0,
                error: p.error_code,
                leader: p.leader_id,
                leader_epoch: p.leader_epoch,
                replicas: p.replica_nodes.clone(),
                in_sync: p.isr_nodes.clone(),
                offline: p.offline_replicas.clone(),
            })
            .collect();
        partitions.sort_by_key(|p| p.index);
        Self {
            name: topic.name.unwrap_or_default().to_owned(),
            id: topic.topic_id,
            error: topic.error_code,
            is_internal: topic.is_internal,
            partitions,
        }
    }

    /// The topic, unless it carries an error.
    ///
    /// # Errors
    /// The broker's refusal of this topic.
    pub fn check(&self) -> Result<&Self, ClientError> {
        if self.error == ErrorCode::NONE {
            Ok(self)
        } else {
            Err(ClientError::refused(format!("topic {}", self.name), self.error, None))
        }
    }

    /// The partition with this number.
    #[must_use]
    pub fn partition(&self, index: i32) -> Option<&PartitionView> {
        let at = self.partitions.binary_search_by_key(&index, |p| p.index).ok()?;
        self.partitions.get(at)
    }
}

/// Brokers, and the topics that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataView {
    /// The cluster's id, if the broker tells.
    pub cluster_id: Option<String>,
    /// The broker to which admin requests go; with KRaft any broker will do.
    pub controller: Option<BrokerId>,
    /// The brokers that are alive.
    pub brokers: BTreeMap<i32, BrokerAddress>,
    /// The topics, by name. Only those that some call asked for.
    pub topics: BTreeMap<String, TopicView>,
}

impl MetadataView {
    /// Takes in an answer: brokers are replaced, topics are added or replaced.
    pub(crate) fn update(&mut self, response: &MetadataResponse<'_>) {
        self.cluster_id = response.cluster_id.map(str::to_owned).or_else(|| self.cluster_id.take());
        self.controller = Some(response.controller_id).filter(|id| *id != BrokerId::NONE);
        self.brokers = response
            .brokers
            .iter()
            .map(|b| {
                let address = BrokerAddress {
                    id: b.node_id,
                    host: b.host.to_owned(),
                    port: b.port,
                    rack: b.rack.map(str::to_owned),
                };
                (b.node_id.0, address)
            })
            .collect();
        for topic in &response.topics {
            let view = TopicView::of(topic);
            self.topics.insert(view.name.clone(), view);
        }
    }

    /// The leader of a partition, if both are known.
    #[must_use]
    pub fn leader(&self, topic: &str, partition: i32) -> Option<BrokerId> {
        let leader = self.topics.get(topic)?.partition(partition)?.leader;
        (leader != BrokerId::NONE).then_some(leader)
    }
}
