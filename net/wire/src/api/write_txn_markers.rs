//! WriteTxnMarkers (key 27): the coordinator tells leaders to write the end of a transaction into their logs
//! (KIP-98).

use crate::ErrorCode;
use ids::{PartitionIndex, ProducerEpoch, ProducerId};

schema! {
    /// What the caller asks.
    request WriteTxnMarkersRequest<'a> for WriteTxnMarkers {
        /// One entry for each producer.
        markers: Vec<WritableTxnMarker<'a>>, 0..;
    }

    /// A transaction that ended.
    part WritableTxnMarker<'a> {
        /// The producer, or -1.
        producer_id: ProducerId, 0..;
        /// The producer's epoch, or -1.
        producer_epoch: ProducerEpoch, 0..;
        /// Whether the transaction committed; else it aborted.
        transaction_result: bool, 0..;
        /// The topics.
        topics: Vec<WritableTxnMarkerTopic<'a>>, 0..;
        /// The epoch of the transaction coordinator, or -1.
        coordinator_epoch: i32, 0..;
        /// The level of `transaction.version` of this transaction (KIP-1228).
        transaction_version: i8, 2..;
    }

    /// A topic of the transaction.
    part WritableTxnMarkerTopic<'a> {
        /// The topic.
        name: &'a str, 0..;
        /// The partitions.
        partition_indexes: Vec<PartitionIndex>, 0..;
    }

    /// The answer.
    response WriteTxnMarkersResponse<'a> for WriteTxnMarkers {
        /// One entry for each producer.
        markers: Vec<WritableTxnMarkerResult<'a>>, 0..;
    }

    /// What became of one transaction.
    part WritableTxnMarkerResult<'a> {
        /// The producer, or -1.
        producer_id: ProducerId, 0..;
        /// The topics.
        topics: Vec<WritableTxnMarkerTopicResult<'a>>, 0..;
    }

    /// What became of one topic.
    part WritableTxnMarkerTopicResult<'a> {
        /// The topic.
        name: &'a str, 0..;
        /// The partitions.
        partitions: Vec<WritableTxnMarkerPartitionResult>, 0..;
    }

    /// What became of one partition.
    part WritableTxnMarkerPartitionResult {
        /// The partition.
        partition_index: PartitionIndex, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
    }
}
