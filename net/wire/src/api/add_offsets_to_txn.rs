//! AddOffsetsToTxn (key 25): adds a group's offsets to a transaction (KIP-98).

use crate::ErrorCode;
use ids::{ProducerEpoch, ProducerId};

schema! {
    /// What the caller asks.
    request AddOffsetsToTxnRequest<'a> for AddOffsetsToTxn {
        /// The transactional id.
        transactional_id: &'a str, 0..;
        /// The producer, or -1.
        producer_id: ProducerId, 0..;
        /// The producer's epoch, or -1.
        producer_epoch: ProducerEpoch, 0..;
        /// The group.
        group_id: &'a str, 0..;
    }

    /// The answer.
    response AddOffsetsToTxnResponse for AddOffsetsToTxn {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
    }
}
