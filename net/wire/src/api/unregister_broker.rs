//! UnregisterBroker (key 64): forgets a broker that is gone for good (KIP-500).

use crate::ErrorCode;
use ids::BrokerId;

schema! {
    /// What the caller asks.
    request UnregisterBrokerRequest for UnregisterBroker {
        /// The broker.
        broker_id: BrokerId, 0..;
    }

    /// The answer.
    response UnregisterBrokerResponse<'a> for UnregisterBroker {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 0..;
    }
}
