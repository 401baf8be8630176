//! Metadata records: what the cluster agrees on, one fact each.
//!
//! A record is the value of one Kafka record in `__cluster_metadata`. Its bytes are ours: `type u8, version u8, body`,
//! integers big-endian, strings with a u16 length, lists with a u16 count. There is exactly one encoding of a record, and
//! decoding is total: any bytes give a record or a [`DecodeError`], allocating no more than the input's size allows.
//! A type or version that this build does not know is an error, never skipped: skipping a fact would make this broker's
//! image differ from the others'.

mod codec;

pub use codec::{DecodeError, STRING_BYTES_MAX};

use ids::{BrokerId, LeaderEpoch, PartitionId, ProducerId, TopicId};

/// A data directory's identity, written into it when it is formatted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct DirectoryId(pub [u8; 16]);

/// One listener of a broker, as clients should reach it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// The listener's name, for example `PLAINTEXT`. Clients learn the endpoints of the listener that they came by.
    pub listener: String,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// A broker that may hold replicas (KIP-631).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokerRegistered {
    /// Its id.
    pub broker: BrokerId,
    /// Rises at every start of the process; a lower one is refused, so a late message of a dead process changes nothing.
    pub incarnation: u64,
    /// Where clients reach it, at least one.
    pub endpoints: Vec<Endpoint>,
    /// Its failure domain, Kafka's `broker.rack`.
    pub rack: Option<String>,
    /// Its data cores; partitions map to cores by [`crate::placement::core_of`].
    pub cores: u16,
    /// The directory that holds its data.
    pub directory: DirectoryId,
}

/// Everything that the controller knows of one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partition {
    /// Which partition.
    pub id: PartitionId,
    /// Assigned brokers; the first is the preferred leader.
    pub replicas: Vec<BrokerId>,
    /// In-sync replicas, those that the leader waits for.
    pub isr: Vec<BrokerId>,
    /// Eligible leader replicas (KIP-966): outside the ISR, but known to hold everything acknowledged.
    pub elr: Vec<BrokerId>,
    /// Replicas that a reassignment adds.
    pub adding: Vec<BrokerId>,
    /// Replicas that a reassignment removes.
    pub removing: Vec<BrokerId>,
    /// The leader, or [`BrokerId::NONE`].
    pub leader: BrokerId,
    /// Rises on every leader change and every restart of the leader.
    pub leader_epoch: LeaderEpoch,
    /// Rises on every change.
    pub partition_epoch: i32,
    /// The epoch of the last unclean election, [`LeaderEpoch::UNKNOWN`] if there never was one; never cleared.
    pub last_unclean_epoch: LeaderEpoch,
    /// True from an unclean election until the leader has an in-sync set again.
    pub recovering: bool,
}

/// What a config is set on. The numbers are Kafka's (`ConfigResource.Type`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum ResourceKind {
    /// A topic, by name.
    Topic = 2,
    /// A broker by id in decimal, or `""` for the default of all brokers.
    Broker = 4,
    /// Log levels of a broker; never stored.
    BrokerLogger = 8,
    /// A client metrics subscription (KIP-714).
    ClientMetrics = 16,
    /// A consumer or share group (KIP-848).
    Group = 32,
}

impl ResourceKind {
    /// From the number on the wire.
    #[must_use]
    pub fn from_wire(kind: i8) -> Option<Self> {
        match kind {
            2 => Some(Self::Topic),
            4 => Some(Self::Broker),
            8 => Some(Self::BrokerLogger),
            16 => Some(Self::ClientMetrics),
            32 => Some(Self::Group),
            _ => None,
        }
    }

    /// The number on the wire.
    #[must_use]
    pub fn wire(self) -> i8 {
        self as i8
    }
}

/// A thing that has configs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Resource {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its name within the kind.
    pub name: String,
}

impl Resource {
    /// A topic's configs.
    #[must_use]
    pub fn topic(name: &str) -> Self {
        Self { kind: ResourceKind::Topic, name: name.to_owned() }
    }

    /// One broker's configs.
    #[must_use]
    pub fn broker(id: BrokerId) -> Self {
        Self { kind: ResourceKind::Broker, name: id.0.to_string() }
    }

    /// The configs of all brokers.
    #[must_use]
    pub fn all_brokers() -> Self {
        Self { kind: ResourceKind::Broker, name: String::new() }
    }

    /// A group's configs.
    #[must_use]
    pub fn group(name: &str) -> Self {
        Self { kind: ResourceKind::Group, name: name.to_owned() }
    }
}

/// One fact. Type numbers are never reused; 9 to 63 are kept for ACLs, quotas, SCRAM credentials, features and fencing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// The first record of a cluster: who it is, and the version of the metadata format that it began with.
    Format {
        /// Kafka's cluster id, 22 characters of base64.
        cluster_id: String,
        /// The metadata version at formatting, from 1.
        version: u16,
    },
    /// A broker came, or came back with a new incarnation.
    BrokerRegistered(BrokerRegistered),
    /// A broker's process started: the leader epoch of everything that it leads rises by one.
    StartEpochs {
        /// The broker.
        broker: BrokerId,
    },
    /// A topic exists. Its partitions follow, index 0 first.
    Topic {
        /// Its name, unique among the living.
        name: String,
        /// Its id, unique for ever.
        id: TopicId,
    },
    /// A partition exists, or changed.
    Partition(Partition),
    /// A topic, its partitions and its configs are gone.
    TopicDeleted {
        /// The topic.
        id: TopicId,
    },
    /// A config was set, or with `None` returned to its default.
    ConfigSet {
        /// On what.
        resource: Resource,
        /// Which key.
        key: String,
        /// The text as it was given.
        value: Option<String>,
    },
    /// Producer ids `first..first + count` belong to a broker, which hands them out at will; nobody ever gets them again.
    ProducerIdBlock {
        /// The first id.
        first: ProducerId,
        /// How many.
        count: u32,
        /// The owner.
        broker: BrokerId,
    },
}
