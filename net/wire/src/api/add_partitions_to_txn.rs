//! AddPartitionsToTxn (key 24): adds partitions to a transaction; versions 4 and up are for brokers (KIP-98,
//! KIP-890).

use crate::ErrorCode;
use ids::{PartitionIndex, ProducerEpoch, ProducerId};

schema! {
    /// What the caller asks.
    request AddPartitionsToTxnRequest<'a> for AddPartitionsToTxn {
        /// The transactions.
        transactions: Vec<AddPartitionsToTxnTransaction<'a>>, 4..;
        /// The transactional id.
        v3_and_below_transactional_id: &'a str, 0..=3;
        /// The producer.
        v3_and_below_producer_id: ProducerId, 0..=3;
        /// The producer's epoch.
        v3_and_below_producer_epoch: ProducerEpoch, 0..=3;
        /// The partitions to add.
        v3_and_below_topics: Vec<AddPartitionsToTxnTopic<'a>>, 0..=3;
    }

    /// A transaction and the partitions that it shall have.
    part AddPartitionsToTxnTransaction<'a> {
        /// The transactional id.
        transactional_id: &'a str, 4..;
        /// The producer, or -1.
        producer_id: ProducerId, 4..;
        /// The producer's epoch, or -1.
        producer_epoch: ProducerEpoch, 4..;
        /// Whether only to check that the partitions are part of the transaction.
        verify_only: bool, 4..;
        /// The topics.
        topics: Vec<AddPartitionsToTxnTopic<'a>>, 4..;
    }

    /// A topic and its partitions.
    part AddPartitionsToTxnTopic<'a> {
        /// The topic.
        name: &'a str, 0..;
        /// The partitions.
        partitions: Vec<PartitionIndex>, 0..;
    }

    /// The answer.
    response AddPartitionsToTxnResponse<'a> for AddPartitionsToTxn {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 4..;
        /// One answer for each transaction.
        results_by_transaction: Vec<AddPartitionsToTxnResult<'a>>, 4..;
        /// One answer for each topic.
        results_by_topic_v3_and_below: Vec<AddPartitionsToTxnTopicResult<'a>>, 0..=3;
    }

    /// What became of one transaction.
    part AddPartitionsToTxnResult<'a> {
        /// The transactional id.
        transactional_id: &'a str, 4..;
        /// One answer for each topic.
        topic_results: Vec<AddPartitionsToTxnTopicResult<'a>>, 4..;
    }

    /// What became of one topic.
    part AddPartitionsToTxnTopicResult<'a> {
        /// The topic.
        name: &'a str, 0..;
        /// One answer for each partition.
        results_by_partition: Vec<AddPartitionsToTxnPartitionResult>, 0..;
    }

    /// What became of one partition.
    part AddPartitionsToTxnPartitionResult {
        /// The partition.
        partition_index: PartitionIndex, 0..;
        /// What went wrong, or `NONE`.
        partition_error_code: ErrorCode, 0..;
    }
}
