//! Everything that a load is made of, decided before the first byte.

use std::{collections::BTreeMap, time::Duration};

use record::Codec;

use crate::{
    schedule::Arrival,
    spec::{KeySpec, Quantile, RateSpec, SizeSpec, format_bytes},
    stamp,
};

/// Which acknowledgement a producer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Acks {
    /// Of all in-sync replicas.
    All,
    /// Of the leader.
    #[value(name = "1")]
    Leader,
    /// Of nobody: a record counts as acknowledged when its bytes are with the kernel.
    #[value(name = "0")]
    None,
}

impl Acks {
    /// As the protocol has it.
    #[must_use]
    pub fn code(self) -> i16 {
        match self {
            Self::All => -1,
            Self::Leader => 1,
            Self::None => 0,
        }
    }

    /// As people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Leader => "1",
            Self::None => "0",
        }
    }
}

/// A load.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Offered records a second.
    pub rate: RateSpec,
    /// Sizes of the values.
    pub size: SizeSpec,
    /// Keys.
    pub keys: KeySpec,
    /// Compression of the batches.
    pub codec: Codec,
    /// How many topics.
    pub topics: u32,
    /// How many partitions each.
    pub partitions: u32,
    /// Which acknowledgement.
    pub acks: Acks,
    /// With producer identity and sequence numbers.
    pub idempotent: bool,
    /// How many producers, each with its own connections.
    pub producers: u32,
    /// How many consumers in each group.
    pub consumers: u32,
    /// How many groups; each reads everything.
    pub groups: u32,
    /// How long a batch may wait to fill.
    pub linger: Duration,
    /// Bytes of a batch, at most (a larger record goes alone).
    pub batch_bytes: usize,
    /// Bytes of a produce request, at most (a larger batch goes alone).
    pub request_bytes: usize,
    /// Produce requests in flight on each connection, at most.
    pub inflight_max: usize,
    /// Bytes of batches that a producer may hold while the in-flight bound stops it.
    pub buffer_bytes: usize,
    /// Load before the measurement.
    pub warmup: Duration,
    /// The measurement: all stages together.
    pub duration: Duration,
    /// How long acknowledgements and receipts are waited for after the schedule's end.
    pub drain: Duration,
    /// After this a request is given up.
    pub timeout: Duration,
    /// How due times are spread.
    pub arrival: Arrival,
    /// Names all random choices.
    pub seed: u64,
    /// Stamp and check every record.
    pub verify: bool,
    /// Where the generator's lateness may have made this percentile, a repeat is INVALID.
    pub judged: Quantile,
    /// Threads for the producers, and as many for the consumers.
    pub threads: usize,
    /// Bytes to write before the run, which the consumers then read under load; 0 is none.
    pub backlog_bytes: u64,
    /// Consumers begin at the first record that lies there, and what lies there is the backlog.
    pub from_start: bool,
    /// Bytes of records a second that each consumer asks for, at most; `None`: as fast as they come.
    pub read_bytes_per_second: Option<u64>,
    /// Bytes of a fetch answer, at most.
    pub fetch_bytes: i32,
    /// Fewer bytes than this are waited for.
    pub fetch_min_bytes: i32,
    /// Between two attempts to reach a broker again that has gone.
    pub reconnect_pause: Duration,
    /// The writing of the backlog is given up when no broker could be reached for so long.
    pub backlog_patience: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            rate: RateSpec::constant(100_000),
            size: SizeSpec::Fixed(1024),
            keys: KeySpec::None,
            codec: Codec::None,
            topics: 1,
            partitions: 16,
            acks: Acks::All,
            idempotent: false,
            producers: 4,
            consumers: 0,
            groups: 1,
            linger: Duration::from_millis(1),
            batch_bytes: 128 << 10,
            request_bytes: 1 << 20,
            inflight_max: 5,
            buffer_bytes: 32 << 20,
            warmup: Duration::from_secs(10),
            duration: Duration::from_secs(60),
            drain: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            arrival: Arrival::Constant,
            seed: 1,
            verify: false,
            judged: Quantile::P99,
            threads: 1,
            backlog_bytes: 0,
            from_start: false,
            read_bytes_per_second: None,
            fetch_bytes: 8 << 20,
            fetch_min_bytes: 1,
            reconnect_pause: Duration::from_millis(100),
            backlog_patience: Duration::from_secs(60),
        }
    }
}

impl Plan {
    /// Partitions of all topics together.
    #[must_use]
    pub fn partitions_all(&self) -> usize {
        self.topics as usize * self.partitions as usize
    }

    /// Whether every value has room for the time at which it was due, so that each one that is received is timed.
    #[must_use]
    pub fn is_timed(&self) -> bool {
        match &self.size {
            SizeSpec::Fixed(size) | SizeSpec::Uniform(size, _) => *size >= stamp::SHORT_BYTES,
            SizeSpec::File(_) => false,
        }
    }

    /// The load in words, for the run's facts.
    #[must_use]
    pub fn facts(&self) -> BTreeMap<String, String> {
        let mut facts = BTreeMap::from([
            ("rate", self.rate.to_string()),
            ("size", self.size.to_string()),
            ("key", self.keys.to_string()),
            ("compress", self.codec.to_string()),
            ("topics", self.topics.to_string()),
            ("partitions", self.partitions.to_string()),
            ("acks", self.acks.name().to_owned()),
            ("idempotent", self.idempotent.to_string()),
            ("producers", self.producers.to_string()),
            ("consumers", self.consumers.to_string()),
            ("groups", self.groups.to_string()),
            ("linger", format!("{:?}", self.linger)),
            ("batch", format_bytes(self.batch_bytes as f64)),
            ("max-inflight", self.inflight_max.to_string()),
            ("warmup", format!("{:?}", self.warmup)),
            ("duration", format!("{:?}", self.duration)),
            ("arrival", format!("{:?}", self.arrival).to_lowercase()),
            ("seed", self.seed.to_string()),
            ("verify", self.verify.to_string()),
            ("threads", self.threads.to_string()),
        ]);
        if self.backlog_bytes > 0 {
            facts.insert("backlog", format_bytes(self.backlog_bytes as f64));
        }
        if self.from_start {
            facts.insert("read", "from the first record".to_owned());
        }
        facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
