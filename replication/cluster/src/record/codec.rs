//! Bytes of metadata records.

use super::{BrokerRegistered, DirectoryId, Endpoint, Partition, Record, Resource, ResourceKind};
use ids::{BrokerId, LeaderEpoch, PartitionId, PartitionIndex, ProducerId, TopicId};
use std::fmt;

/// Longest string in a record, in bytes. Kafka's limit for config values is the same.
pub const STRING_BYTES_MAX: usize = 32_767;

/// Version of every body so far.
const VERSION: u8 = 1;

mod kind {
    pub(super) const FORMAT: u8 = 1;
    pub(super) const BROKER_REGISTERED: u8 = 2;
    pub(super) const START_EPOCHS: u8 = 3;
    pub(super) const TOPIC: u8 = 4;
    pub(super) const PARTITION: u8 = 5;
    pub(super) const TOPIC_DELETED: u8 = 6;
    pub(super) const CONFIG_SET: u8 = 7;
    pub(super) const PRODUCER_ID_BLOCK: u8 = 8;
}

/// Why bytes are not a metadata record of this build.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// The bytes end inside a field.
    Truncated,
    /// Bytes follow the last field.
    TrailingBytes {
        /// How many.
        count: usize,
    },
    /// A record type of a newer build, or damage.
    UnknownType(u8),
    /// A newer version of a known type, or damage.
    UnknownVersion {
        /// The record type.
        kind: u8,
        /// Its version.
        version: u8,
    },
    /// A string over [`STRING_BYTES_MAX`].
    StringTooLong(usize),
    /// A string that is not UTF-8.
    NotUtf8,
    /// A field whose value no encoder writes.
    BadValue {
        /// The field.
        field: &'static str,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => write!(f, "metadata record ends inside a field"),
            Self::TrailingBytes { count } => {
                write!(f, "metadata record has {count} bytes after its last field")
            }
            Self::UnknownType(kind) => write!(
                f,
                "metadata record of type {kind} is unknown to this version; start the newer version that wrote it"
            ),
            Self::UnknownVersion { kind, version } => write!(
                f,
                "metadata record of type {kind} has version {version}, unknown to this version; start the newer version that wrote it"
            ),
            Self::StringTooLong(len) => write!(f, "metadata record has a string of {len} bytes"),
            Self::NotUtf8 => write!(f, "metadata record has a string that is not UTF-8"),
            Self::BadValue { field } => {
                write!(f, "metadata record has an impossible value in {field}")
            }
        }
    }
}

impl std::error::Error for DecodeError {}

impl Record {
    /// Appends the record's bytes to `out`.
    ///
    /// # Panics
    /// If a string is longer than [`STRING_BYTES_MAX`] or a list longer than 65,535: the controller refuses such
    /// requests before it makes a record of them.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut w = Writer { out };
        match self {
            Self::Format { cluster_id, version } => {
                w.head(kind::FORMAT);
                w.string(cluster_id);
                w.u16(*version);
            }
            Self::BrokerRegistered(b) => {
                w.head(kind::BROKER_REGISTERED);
                w.i32(b.broker.0);
                w.u64(b.incarnation);
                w.count(b.endpoints.len());
                for e in &b.endpoints {
                    w.string(&e.listener);
                    w.string(&e.host);
                    w.u16(e.port);
                }
                w.optional_string(b.rack.as_deref());
                w.u16(b.cores);
                w.out.extend_from_slice(&b.directory.0);
            }
            Self::StartEpochs { broker } => {
                w.head(kind::START_EPOCHS);
                w.i32(broker.0);
            }
            Self::Topic { name, id } => {
                w.head(kind::TOPIC);
                w.string(name);
                w.out.extend_from_slice(&id.0);
            }
            Self::Partition(p) => {
                w.head(kind::PARTITION);
                w.out.extend_from_slice(&p.id.to_bytes());
                for list in [&p.replicas, &p.isr, &p.elr, &p.adding, &p.removing] {
                    w.brokers(list);
                }
                w.i32(p.leader.0);
                w.i32(p.leader_epoch.0);
                w.i32(p.partition_epoch);
                w.i32(p.last_unclean_epoch.0);
                w.u8(u8::from(p.recovering));
            }
            Self::TopicDeleted { id } => {
                w.head(kind::TOPIC_DELETED);
                w.out.extend_from_slice(&id.0);
            }
            Self::ConfigSet { resource, key, value } => {
                w.head(kind::CONFIG_SET);
                w.u8(resource.kind as u8);
                w.string(&resource.name);
                w.string(key);
                w.optional_string(value.as_deref());
            }
            Self::ProducerIdBlock { first, count, broker } => {
                w.head(kind::PRODUCER_ID_BLOCK);
                w.u64(first.0.cast_unsigned());
                w.u32(*count);
                w.i32(broker.0);
            }
        }
    }

    /// The record's bytes alone.
    ///
    /// # Panics
    /// As [`Record::encode`].
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }

    /// Reads exactly one record from exactly `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader { rest: bytes };
        let kind = r.u8()?;
        if !(kind::FORMAT..=kind::PRODUCER_ID_BLOCK).contains(&kind) {
            return Err(DecodeError::UnknownType(kind));
        }
        let version = r.u8()?;
        if version != VERSION {
            return Err(DecodeError::UnknownVersion { kind, version });
        }
        let record = match kind {
            kind::FORMAT => Self::Format { cluster_id: r.string()?, version: r.u16()? },
            kind::BROKER_REGISTERED => Self::BrokerRegistered(r.broker_registered()?),
            kind::START_EPOCHS => Self::StartEpochs { broker: BrokerId(r.i32()?) },
            kind::TOPIC => Self::Topic { name: r.string()?, id: TopicId(r.array()?) },
            kind::PARTITION => Self::Partition(r.partition()?),
            kind::TOPIC_DELETED => Self::TopicDeleted { id: TopicId(r.array()?) },
            kind::CONFIG_SET => {
                let kind = i8::try_from(r.u8()?).ok().and_then(ResourceKind::from_wire);
                let kind = kind.ok_or(DecodeError::BadValue { field: "resource kind" })?;
                let resource = Resource { kind, name: r.string()? };
                Self::ConfigSet { resource, key: r.string()?, value: r.optional_string()? }
            }
            kind::PRODUCER_ID_BLOCK => Self::ProducerIdBlock {
                first: ProducerId(r.u64()?.cast_signed()),
                count: r.u32()?,
                broker: BrokerId(r.i32()?),
            },
            other => return Err(DecodeError::UnknownType(other)),
        };
        if r.rest.is_empty() {
            Ok(record)
        } else {
            Err(DecodeError::TrailingBytes { count: r.rest.len() })
        }
    }
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn head(&mut self, kind: u8) {
        self.out.extend_from_slice(&[kind, VERSION]);
    }
    fn u8(&mut self, v: u8) {
        self.out.push(v);
    }
    fn u16(&mut self, v: u16) {
        self.out.extend_from_slice(&v.to_be_bytes());
    }
    fn u32(&mut self, v: u32) {
        self.out.extend_from_slice(&v.to_be_bytes());
    }
    fn i32(&mut self, v: i32) {
        self.out.extend_from_slice(&v.to_be_bytes());
    }
    fn u64(&mut self, v: u64) {
        self.out.extend_from_slice(&v.to_be_bytes());
    }
    fn count(&mut self, n: usize) {
        let n = u16::try_from(n);
        self.u16(n.expect("the controller bounds lists before it makes a record of them"));
    }
    fn string(&mut self, s: &str) {
        assert!(s.len() <= STRING_BYTES_MAX, "a metadata string of {} bytes", s.len());
        self.count(s.len());
        self.out.extend_from_slice(s.as_bytes());
    }
    fn optional_string(&mut self, s: Option<&str>) {
        self.u8(u8::from(s.is_some()));
        if let Some(s) = s {
            self.string(s);
        }
    }
    fn brokers(&mut self, list: &[BrokerId]) {
        self.count(list.len());
        for b in list {
            self.i32(b.0);
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }
    fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[b]| b)
    }
    fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }
    fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }
    fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }
    fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }
    fn bool(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::BadValue { field }),
        }
    }
    /// A list's count, refused at once if the rest cannot hold that many elements of at least `element` bytes: so the
    /// allocation that follows is bounded by the input.
    fn count(&mut self, element: usize) -> Result<usize, DecodeError> {
        let n = usize::from(self.u16()?);
        if n * element > self.rest.len() { Err(DecodeError::Truncated) } else { Ok(n) }
    }
    fn string(&mut self) -> Result<String, DecodeError> {
        let len = usize::from(self.u16()?);
        if len > STRING_BYTES_MAX {
            return Err(DecodeError::StringTooLong(len));
        }
        let text = std::str::from_utf8(self.take(len)?).map_err(|_| DecodeError::NotUtf8)?;
        Ok(text.to_owned())
    }
    fn optional_string(&mut self) -> Result<Option<String>, DecodeError> {
        if self.bool("presence of a string")? { self.string().map(Some) } else { Ok(None) }
    }
    fn brokers(&mut self) -> Result<Vec<BrokerId>, DecodeError> {
        let n = self.count(4)?;
        (0..n).map(|_| self.i32().map(BrokerId)).collect()
    }
    fn broker_registered(&mut self) -> Result<BrokerRegistered, DecodeError> {
        let broker = BrokerId(self.i32()?);
        let incarnation = self.u64()?;
        // Two empty strings and a port.
        let n = self.count(6)?;
        let mut endpoints = Vec::with_capacity(n);
        for _ in 0..n {
            let (listener, host) = (self.string()?, self.string()?);
            endpoints.push(Endpoint { listener, host, port: self.u16()? });
        }
        Ok(BrokerRegistered {
            broker,
            incarnation,
            endpoints,
            rack: self.optional_string()?,
            cores: self.u16()?,
            directory: DirectoryId(self.array()?),
        })
    }
    fn partition(&mut self) -> Result<Partition, DecodeError> {
        let topic = TopicId(self.array()?);
        let index = PartitionIndex(self.i32()?);
        Ok(Partition {
            id: PartitionId { topic, index },
            replicas: self.brokers()?,
            isr: self.brokers()?,
            elr: self.brokers()?,
            adding: self.brokers()?,
            removing: self.brokers()?,
            leader: BrokerId(self.i32()?),
            leader_epoch: LeaderEpoch(self.i32()?),
            partition_epoch: self.i32()?,
            last_unclean_epoch: LeaderEpoch(self.i32()?),
            recovering: self.bool("recovering")?,
        })
    }
}

#[cfg(test)]
mod tests;
