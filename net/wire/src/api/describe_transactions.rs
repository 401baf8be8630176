//! DescribeTransactions (key 65): the state of transactional ids (KIP-664).

use crate::ErrorCode;
use ids::{PartitionIndex, ProducerEpoch, ProducerId};

schema! {
    /// What the caller asks.
    request DescribeTransactionsRequest<'a> for DescribeTransactions {
        /// The transactional ids.
        transactional_ids: Vec<&'a str>, 0..;
    }

    /// The answer.
    response DescribeTransactionsResponse<'a> for DescribeTransactions {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// One entry for each transactional id.
        transaction_states: Vec<TransactionState<'a>>, 0..;
    }

    /// A transactional id.
    part TransactionState<'a> {
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// The transactional id.
        transactional_id: &'a str, 0..;
        /// The transaction's state, as text.
        transaction_state: &'a str, 0..;
        /// How long a transaction may stay open.
        transaction_timeout_ms: i32, 0..;
        /// When the transaction began, in milliseconds, or -1.
        transaction_start_time_ms: i64, 0..;
        /// The producer, or -1.
        producer_id: ProducerId, 0..;
        /// The producer's epoch, or -1.
        producer_epoch: ProducerEpoch, 0..;
        /// The topics.
        topics: Vec<TopicData<'a>>, 0..;
    }

    /// A topic and its partitions.
    part TopicData<'a> {
        /// The topic.
        topic: &'a str, 0..;
        /// The partitions.
        partitions: Vec<PartitionIndex>, 0..;
    }
}
