//! EndTxn (key 26): commits or aborts a transaction; from version 5 with a new epoch each time (KIP-98, KIP-890).

use crate::ErrorCode;
use ids::{ProducerEpoch, ProducerId};

schema! {
    /// What the caller asks.
    request EndTxnRequest<'a> for EndTxn {
        /// The transactional id.
        transactional_id: &'a str, 0..;
        /// The producer, or -1.
        producer_id: ProducerId, 0..;
        /// The producer's epoch, or -1.
        producer_epoch: ProducerEpoch, 0..;
        /// Whether to commit; else abort.
        committed: bool, 0..;
    }

    /// The answer.
    response EndTxnResponse for EndTxn {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// The producer, or -1.
        producer_id: ProducerId = ProducerId::NONE, 5..;
        /// The producer's epoch, or -1.
        producer_epoch: ProducerEpoch = ProducerEpoch::NONE, 5..;
    }
}
