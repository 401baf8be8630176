//! A small Kafka client for people who already know what they want: the command line, the load harness, tests, and brokers that
//! talk to each other.
//!
//! Two floors. [`Pipeline`] is one connection as a pure machine: requests in, bytes out; bytes in, replies out, in order, with
//! frame sizes bounded. Above it stands a blocking driver on plain sockets, without a runtime, with a deadline on every
//! operation: [`Connection`], [`Client`] (which brokers there are, who leads what, and the admin calls), [`Producer`] and
//! [`Fetcher`].
//!
//! What it does not do: consumer groups, transactions, TLS and SASL. Host names are resolved by the system's resolver,
//! which has its own time limit.
#![forbid(unsafe_code)]

mod admin;
mod client;
mod config;
mod connection;
mod error;
mod fetcher;
mod metadata;
mod offsets;
mod partitioner;
mod pipeline;
mod producer;
mod ready;
mod versions;

pub use admin::{
    ClusterDescription, ConfigChange, ConfigEntry, ConfigOperation, ConfigResource, ConfigSource,
    NewPartitions, NewTopic, Outcome, ResourceKind, TopicCreated,
};
pub use client::{Client, To};
pub use config::ClientConfig;
pub use connection::Connection;
pub use error::{ClientError, ProtocolError, Refusal};
pub use fetcher::{FetchConfig, Fetched, FetchedRecord, Fetcher, Isolation, OnOutOfRange, Trouble};
pub use metadata::{BrokerAddress, MetadataView, PartitionView, TopicView};
pub use offsets::{FoundOffset, OffsetQuery};
pub use partitioner::{murmur2, partition_of_key};
pub use pipeline::{Pipeline, Reply};
pub use producer::{Acks, Delivery, Producer, ProducerConfig, SendError};
pub use versions::{Negotiation, Versions};
