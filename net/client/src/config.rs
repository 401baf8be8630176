//! How a client connects.

use std::time::Duration;

/// What a [`crate::Client`] reads.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// What the client calls itself in request headers; shows in the broker's logs and quotas.
    pub client_id: String,
    /// The longest that opening a connection may take, per address.
    pub connect_timeout: Duration,
    /// The longest that one request may take, from its first byte sent to the last byte of its answer.
    pub request_timeout: Duration,
    /// The longest that a call which retries may take in all.
    pub operation_timeout: Duration,
    /// The pause before a retry.
    pub retry_backoff: Duration,
    /// The largest answer that is accepted, in bytes.
    pub frame_bytes_max: usize,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            client_id: "ringwood".to_owned(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            operation_timeout: Duration::from_secs(60),
            retry_backoff: Duration::from_millis(100),
            frame_bytes_max: wire::frame::MAX_DEFAULT,
        }
    }
}
