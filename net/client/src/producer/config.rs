//! How a producer sends.

use record::Codec;
use std::time::Duration;

/// Who must have a record before it counts as sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Acks {
    /// Nobody: it has left, more is not known.
    None,
    /// The leader.
    Leader,
    /// All replicas that are in sync.
    #[default]
    All,
}

impl Acks {
    pub(super) fn number(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// How a [`Producer`](super::Producer) sends.
#[derive(Clone, Debug)]
pub struct ProducerConfig {
    /// Who must have a record.
    pub acks: Acks,
    /// Ask for an id and number the batches, so that retries do not duplicate. Needs [`Acks::All`].
    pub idempotent: bool,
    /// How batches are compressed.
    pub codec: Codec,
    /// The codec's level, if it has any.
    pub level: Option<i32>,
    /// A batch is closed when it has this many bytes, uncompressed. One larger record makes a batch of its own.
    pub batch_bytes: usize,
    /// A batch is closed when it is this old.
    pub linger: Duration,
    /// The most bytes of one request.
    pub request_bytes_max: usize,
    /// Requests in flight at one broker, 1 to 5 with idempotence: the broker remembers five batches.
    pub in_flight_max: usize,
    /// The most bytes that wait or are in flight; [`Producer::send`](super::Producer::send) blocks above it.
    pub buffer_bytes_max: usize,
    /// How long a batch may take, retries included.
    pub delivery_timeout: Duration,
    /// Whether an unknown topic may be created by the broker.
    pub create_topics: bool,
    /// How long an unknown topic is waited for: one that was made a moment ago may not be known everywhere.
    pub topic_timeout: Duration,
    /// Which partition keyless records go to first, modulo their number: many short-lived producers should not all choose
    /// the same.
    pub first_partition: u32,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            acks: Acks::All,
            idempotent: false,
            codec: Codec::None,
            level: None,
            batch_bytes: 128 << 10,
            linger: Duration::from_millis(5),
            request_bytes_max: 1 << 20,
            in_flight_max: 5,
            buffer_bytes_max: 32 << 20,
            delivery_timeout: Duration::from_secs(120),
            create_topics: true,
            topic_timeout: Duration::from_secs(5),
            first_partition: 0,
        }
    }
}
