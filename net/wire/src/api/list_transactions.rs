//! ListTransactions (key 66): the transactional ids that a broker coordinates (KIP-664, KIP-994).

use crate::ErrorCode;
use ids::ProducerId;

schema! {
    /// What the caller asks.
    request ListTransactionsRequest<'a> for ListTransactions {
        /// Only transactions in these states; empty: all.
        state_filters: Vec<&'a str>, 0..;
        /// Only these producers; empty: all.
        producer_id_filters: Vec<ProducerId>, 0..;
        /// Only transactions open for longer than this, in milliseconds; -1: all.
        duration_filter: i64 = -1, 1..;
        /// Only ids that match this RE2J pattern; `None`: all.
        transactional_id_pattern: Option<&'a str>, 2..;
    }

    /// The answer.
    response ListTransactionsResponse<'a> for ListTransactions {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// Filters that name no state.
        unknown_state_filters: Vec<&'a str>, 0..;
        /// One entry for each transactional id.
        transaction_states: Vec<TransactionState<'a>>, 0..;
    }

    /// A transactional id.
    part TransactionState<'a> {
        /// The transactional id.
        transactional_id: &'a str, 0..;
        /// The producer, or -1.
        producer_id: ProducerId, 0..;
        /// The transaction's state, as text.
        transaction_state: &'a str, 0..;
    }
}
