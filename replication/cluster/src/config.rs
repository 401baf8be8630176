//! Configuration: every key that Kafka knows, what its values mean, and which value counts.
//!
//! A topic's value comes from the first layer that has one: the topic's own override, the dynamic config of this broker,
//! the dynamic config of all brokers, the config file, the default ([`Layers`]). Broker keys that mean the same as a topic
//! key (its *synonyms*, `log.retention.hours` for `retention.ms`) take part in every layer but the first.
//!
//! Every broker key of Kafka 4.3 and of the ZooKeeper era is known, so that real `server.properties` files load: it is
//! either used or reported as without effect ([`StaticConfig::load`]). Only a key that nobody ever knew is an error, with
//! the nearest known one as a suggestion.

pub mod broker_keys;
mod broker_settings;
mod described;
pub mod group_keys;
mod key;
mod layers;
mod properties;
mod static_config;
mod suggestion;
mod topic_config;
pub mod topic_keys;

pub use broker_settings::{BrokerSettings, CleanerSettings, InternalTopicSettings};
pub use described::{DescribedConfig, DescribedSynonym};
pub use key::{Check, ConfigError, Effect, Key, Synonym, Update, Value, ValueType};
pub use layers::{Layers, Setting, Source};
pub(crate) use layers::{check_length, unknown};
pub use properties::{PropertiesError, parse as parse_properties};
pub use static_config::{LoadError, Notice, StaticConfig};
pub use suggestion::nearest;
pub use topic_config::{
    Cleanup, Compression, Durability, TimestampType, TopicConfig, TopicDefaults,
};
