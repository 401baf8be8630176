//! What a server is configured with.

use std::time::Duration;

/// Limits of one core's connections. Kafka's key is named where Kafka has one.
#[derive(Clone, Debug)]
pub struct Config {
    /// `socket.request.max.bytes`: a frame may not be longer. At most `i32::MAX`.
    pub request_bytes_max: usize,
    /// `connections.max.idle.ms`: a connection without progress goes after this. `None`: never.
    pub idle_max: Option<Duration>,
    /// Requests of one connection that may be unanswered at the same time.
    pub requests_in_flight_max: usize,
    /// Bytes of requests of one connection that may be in progress; one request may always be.
    pub request_bytes_in_flight_max: usize,
    /// Bytes of answers of one connection that may wait for a slow reader before no further request is started.
    pub send_bytes_max: usize,
    /// Bytes of answers of all the core's connections that may wait. Beyond it, clients that do not read are closed. What
    /// makes the answers has a budget of its own; this is the last resort.
    pub send_bytes_total_max: usize,
    /// Bytes of requests that the core keeps in its own buffers for all connections together. At least four thirds of
    /// `request_bytes_max`, so that the largest frame always has its turn.
    pub frame_bytes_max: usize,
    /// Receive buffers that frames may keep in use. Beyond it they are copied, so that the core never runs out of buffers
    /// to receive into: keep this well below what the runtime has.
    pub in_place_chunks_max: usize,
    /// Frames shorter than this are copied out of the receive buffer: a parked request of 200 bytes must not keep 64 KiB.
    pub in_place_bytes_min: usize,
    /// While memory is short, a frame has to arrive within this time, evenly.
    pub frame_time_max: Duration,
    /// Nobody is called slow before this time.
    pub slow_grace: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            request_bytes_max: 100 << 20,
            idle_max: Some(Duration::from_secs(600)),
            requests_in_flight_max: 128,
            request_bytes_in_flight_max: 32 << 20,
            send_bytes_max: 8 << 20,
            send_bytes_total_max: 1 << 30,
            frame_bytes_max: 256 << 20,
            in_place_chunks_max: 48,
            in_place_bytes_min: 4096,
            frame_time_max: Duration::from_secs(60),
            slow_grace: Duration::from_secs(5),
        }
    }
}
