//! InitProducerId (key 22): gives an idempotent or transactional producer its id and epoch (KIP-98, KIP-360,
//! KIP-939).

use crate::ErrorCode;
use ids::{ProducerEpoch, ProducerId};

schema! {
    /// What the caller asks.
    request InitProducerIdRequest<'a> for InitProducerId {
        /// The transactional id; `None`: the producer is only idempotent.
        transactional_id: Option<&'a str>, 0..;
        /// How long a transaction may stay open.
        transaction_timeout_ms: i32, 0..;
        /// The producer, or -1.
        producer_id: ProducerId = ProducerId::NONE, 3..;
        /// The producer's epoch, or -1.
        producer_epoch: ProducerEpoch = ProducerEpoch::NONE, 3..;
        /// Whether the transaction belongs to an outer two-phase commit (KIP-939).
        enable_two_phase: bool, 6..;
        /// Whether a prepared transaction stays open (KIP-939).
        keep_prepared_txn: bool, 6..;
    }

    /// The answer.
    response InitProducerIdResponse for InitProducerId {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// The producer, or -1.
        producer_id: ProducerId = ProducerId::NONE, 0..;
        /// The producer's epoch, or -1.
        producer_epoch: ProducerEpoch, 0..;
        /// The producer of the transaction that was kept, or -1.
        ongoing_txn_producer_id: ProducerId = ProducerId::NONE, 6..;
        /// The epoch of the transaction that was kept, or -1.
        ongoing_txn_producer_epoch: ProducerEpoch = ProducerEpoch::NONE, 6..;
    }
}
