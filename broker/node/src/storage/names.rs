//! Names of topics, from the metadata log of the directory itself.

use super::{Failed, Only};
use crate::config::NodeConfig;
use crate::metadata::METADATA_TOPIC;
use crate::metadata_log;
use cluster::Controller;
use ids::{BrokerId, CoreId, PartitionId, PartitionIndex, TopicId};
use std::collections::BTreeMap;
use store::inspect::Inspector;

/// Names by id. Where the metadata log cannot be read there are none, and ids are shown instead.
#[derive(Default)]
pub(super) struct Names(BTreeMap<TopicId, String>);

impl Names {
    pub(super) async fn read(inspector: &Inspector, config: &NodeConfig) -> Self {
        let mut names = BTreeMap::from([(TopicId::METADATA, METADATA_TOPIC.to_owned())]);
        let mut controller = Controller::new(BrokerId(config.node_id), config.fixed.clone());
        match inspector.store(CoreId(0)) {
            Some(store) => {
                if let Err(e) = metadata_log::replay(store, &mut controller).await {
                    runtime::tell!("the metadata log cannot be read, so topics have no names: {e}");
                }
            }
            None => runtime::tell!("core 0 cannot be read, so topics have no names"),
        }
        names.extend(controller.image().topics().map(|t| (t.id, t.name.to_string())));
        Self(names)
    }

    /// The topic's name, or its id in Kafka's text form.
    pub(super) fn of(&self, topic: TopicId) -> String {
        self.0.get(&topic).cloned().unwrap_or_else(|| topic.to_string())
    }

    /// TOPIC:PARTITION.
    pub(super) fn partition(&self, id: PartitionId) -> String {
        format!("{}:{}", self.of(id.topic), id.index)
    }

    /// The partitions of the directory that `TOPIC` or `TOPIC:PARTITION` names.
    pub(super) fn partitions(
        &self,
        inspector: &Inspector,
        text: &str,
    ) -> Result<Vec<PartitionId>, Failed> {
        let (topic, index) = match text.rsplit_once(':') {
            Some((topic, index)) => match index.parse::<i32>() {
                Ok(n) => (topic, Some(PartitionIndex(n))),
                Err(_) => {
                    let cause = format!("{index} is not the number of a partition");
                    return Err(Failed::not_found(format!("there is no {text}"), cause));
                }
            },
            None => (text, None),
        };
        let named = |id: TopicId| {
            self.0.get(&id).is_some_and(|n| n == topic) || TopicId::parse(topic) == Some(id)
        };
        let found: Vec<PartitionId> = inspector
            .info()
            .partitions
            .iter()
            .map(|p| p.id)
            .filter(|id| named(id.topic) && index.is_none_or(|i| i == id.index))
            .collect();
        if found.is_empty() {
            let cause = "the directory has no data of it";
            return Err(Failed::not_found(format!("there is no {text}"), cause));
        }
        Ok(found)
    }

    pub(super) fn filter(&self, inspector: &Inspector, topics: &[String]) -> Result<Only, Failed> {
        if topics.is_empty() {
            return Ok(Only(None));
        }
        let mut all = Vec::new();
        for t in topics {
            all.extend(self.partitions(inspector, t)?);
        }
        Ok(Only(Some(all)))
    }
}
