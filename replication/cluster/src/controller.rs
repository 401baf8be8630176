//! The controller: requests in, `(records, response)` out, one file per operation.
//!
//! The controller's image already contains every record that it handed out, flushed or not. The images that answer
//! clients get the same records when they are flushed, and the response waits for that; a decision without records may be
//! answered at once. If the records cannot be written the process stops, so the two never part for good.
//!
//! Lives on core 0 of the node that is the controller; born when the metadata log has been replayed, ends with the process.

mod allocate_producer_ids;
mod alter_configs;
mod assignment;
mod batch;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod format;
mod start;

pub use allocate_producer_ids::{PRODUCER_IDS_PER_BLOCK, ProducerIds};
pub use alter_configs::{AlterConfigs, AlterConfigsResource, AlterConfigsResult};
pub use alter_configs::{AlterOp, IncrementalAlterConfigs, IncrementalResource};
pub use batch::DECISION_BYTES_MAX;
pub use create_partitions::{CreatePartitions, CreatePartitionsResult, MorePartitions};
pub use create_topics::{
    CreateTopicResult, CreateTopics, CreatedTopic, InternalTopic, NewTopic, PartitionAssignment,
};
pub use delete_topics::{DeleteTopicResult, DeleteTopics, TopicRef};

use crate::config::{BrokerSettings, Layers, StaticConfig};
use crate::image::{ApplyError, ClusterImage, Delta};
use crate::record::Record;
use crate::{ErrorCode, Refusal};
use ids::BrokerId;

/// Most partitions that one request creates: Kafka's bound on records of one operation. More is POLICY_VIOLATION.
pub const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;

/// Most topics or resources of one request that are looked at; the rest is POLICY_VIOLATION at once, so that a frame full of
/// tiny items cannot hold the core for long.
pub const ITEMS_PER_REQUEST_MAX: usize = 10_000;

/// Refuses what is beyond [`ITEMS_PER_REQUEST_MAX`].
fn within_items(index: usize) -> Result<(), Refusal> {
    if index < ITEMS_PER_REQUEST_MAX {
        return Ok(());
    }
    let why = format!("A request changes at most {ITEMS_PER_REQUEST_MAX} things.");
    Err(Refusal::new(ErrorCode::PolicyViolation, why))
}

/// What an operation decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision<R> {
    /// To be appended to the metadata log, in this order and in one batch of at most [`DECISION_BYTES_MAX`]. Empty if
    /// nothing changes.
    pub records: Vec<Record>,
    /// To be answered when the records are flushed.
    pub response: R,
}

/// Decides about topics, configs, brokers and producer ids.
#[derive(Clone, Debug)]
pub struct Controller {
    image: ClusterImage,
    broker: BrokerId,
    fixed: StaticConfig,
}

impl Controller {
    /// A controller on `broker` before the first record.
    #[must_use]
    pub fn new(broker: BrokerId, fixed: StaticConfig) -> Self {
        Self { image: ClusterImage::new(), broker, fixed }
    }

    /// Takes in the next record of the log at start.
    pub fn replay(&mut self, record: &Record) -> Result<Delta, ApplyError> {
        self.image.apply(record)
    }

    /// Records of the log are lost, `count` at most. See [`ClusterImage::pass_over`].
    pub fn pass_over(&mut self, count: u32) {
        self.image.pass_over(count);
    }

    /// The image with everything that was decided, flushed or not. Clone it after replay for the cores.
    #[must_use]
    pub fn image(&self) -> &ClusterImage {
        &self.image
    }

    /// Which value counts for each key, by the controller's image.
    #[must_use]
    pub fn layers(&self) -> Layers<'_> {
        Layers { image: &self.image, broker: self.broker, fixed: &self.fixed }
    }

    fn settings(&self) -> BrokerSettings {
        BrokerSettings::read(&self.layers())
    }

    /// Applies what was decided to the controller's own image.
    fn decide<R>(&mut self, records: Vec<Record>, response: R) -> Decision<R> {
        for record in &records {
            if let Err(error) = self.image.apply(record) {
                // Going on would write a log that no one can replay.
                panic!("the controller decided a record that does not follow: {error}: {record:?}");
            }
        }
        Decision { records, response }
    }
}

#[cfg(test)]
mod tests;
