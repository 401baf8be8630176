//! The state of a transactional id in `__transaction_state` (KIP-98, KIP-890). A null value deletes.

use crate::internal::Prefixed;
use ids::{PartitionIndex, ProducerEpoch, ProducerId};

schema! {
    /// Whose state it is.
    message TransactionLogKey<'a> versions 0 to 0 {
        /// The transactional id.
        transactional_id: &'a str, 0..;
    }

    /// The state.
    message TransactionLogValue<'a> versions 0 to 1 flexible 1 {
        /// The producer.
        producer_id: ProducerId, 0..;
        /// The producer's epoch.
        producer_epoch: ProducerEpoch, 0..;
        /// How long a transaction may stay open, in milliseconds.
        transaction_timeout_ms: i32, 0..;
        /// 0 empty, 1 ongoing, 2 prepare commit, 3 prepare abort, 4 complete commit, 5 complete abort, 6 dead,
        /// 7 prepare epoch fence.
        transaction_status: i8, 0..;
        /// The partitions of the transaction.
        transaction_partitions: Option<Vec<TransactionPartitions<'a>>>, 0..;
        /// When the state last changed, in milliseconds.
        transaction_last_update_timestamp_ms: i64, 0..;
        /// When the transaction began, in milliseconds.
        transaction_start_timestamp_ms: i64, 0..;
        /// The producer of the last transaction that committed, or -1.
        previous_producer_id: ProducerId = ProducerId::NONE, 1.., tag 0;
        /// The producer that the client was last told to be, or -1.
        next_producer_id: ProducerId = ProducerId::NONE, 1.., tag 1;
        /// The level of `transaction.version` that the client works with.
        client_transaction_version: i16, 1.., tag 2;
    }

    /// A topic and partitions of it.
    part TransactionPartitions<'a> {
        /// The topic.
        topic: &'a str, 0..;
        /// The partitions.
        partition_ids: Vec<PartitionIndex>, 0..;
    }
}

impl<'a> Prefixed<'a> for TransactionLogKey<'a> {}
impl<'a> Prefixed<'a> for TransactionLogValue<'a> {}
