//! The configuration file's keys, checked once at start.

use super::broker_keys::{all_broker_keys, broker_key, is_of_a_family};
use super::{Effect, Layers, nearest};
use crate::image::{ClusterImage, Overrides};
use ids::BrokerId;
use std::collections::BTreeMap;
use std::fmt;

/// The broker keys that the operator's file, environment or flags set. Every key is known and every value legal.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StaticConfig {
    values: BTreeMap<String, String>,
}

/// Something the operator should hear once at start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// The key.
    pub key: String,
    /// What about it.
    pub message: String,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

/// Why a configuration cannot be used. Each says what is wrong and what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LoadError {
    /// A key that no version of Kafka had.
    Unknown {
        /// The key.
        key: String,
        /// The known key that it resembles.
        suggestion: Option<&'static str>,
    },
    /// A value that its key does not take.
    Value(super::ConfigError),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { key, suggestion: Some(known) } => {
                write!(f, "unknown key {key}; did you mean {known}?")
            }
            Self::Unknown { key, suggestion: None } => {
                write!(f, "unknown key {key}; remove it, no version of Kafka knows it")
            }
            Self::Value(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LoadError {}

impl StaticConfig {
    /// Checks the keys and values of a file. Known keys that this broker does not act on are kept, and each gives one
    /// notice. All errors are returned, not only the first.
    pub fn load(values: BTreeMap<String, String>) -> Result<(Self, Vec<Notice>), Vec<LoadError>> {
        let mut notices = Vec::new();
        let mut errors = Vec::new();
        for (name, value) in &values {
            let inert = match broker_key(name) {
                Some(key) => {
                    // An inert value is checked too: a typo in it would surprise on the day it matters.
                    if let Err(error) = key.parse(value) {
                        errors.push(LoadError::Value(error));
                    }
                    key.effect == Effect::Inert
                }
                None if is_of_a_family(name) => true,
                None => {
                    let known = all_broker_keys().into_iter().map(|k| k.name);
                    let suggestion = nearest(name, known);
                    errors.push(LoadError::Unknown { key: name.clone(), suggestion });
                    false
                }
            };
            if inert {
                let message = "known, but without effect on this broker".to_owned();
                notices.push(Notice { key: name.clone(), message });
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let fixed = Self { values };
        let image = ClusterImage::new();
        let layers = Layers { image: &image, broker: BrokerId::NONE, fixed: &fixed };
        match layers.check_topic("", &Overrides::new()) {
            Ok(_) => Ok((fixed, notices)),
            Err(error) => Err(vec![LoadError::Value(error)]),
        }
    }

    /// The text of a key, if it is set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// All keys that are set, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_properties;

    #[test]
    fn a_real_file_of_the_zookeeper_era_loads() {
        let text = "broker.id=0\nlisteners=PLAINTEXT://:9092\nnum.network.threads=3\nnum.io.threads=8\n\
            socket.send.buffer.bytes=102400\nsocket.receive.buffer.bytes=102400\n\
            socket.request.max.bytes=104857600\nlog.dirs=/var/lib/data\nnum.partitions=1\n\
            num.recovery.threads.per.data.dir=1\noffsets.topic.replication.factor=1\n\
            transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
            log.retention.hours=168\n#log.retention.bytes=1073741824\nlog.segment.bytes=1073741824\n\
            log.retention.check.interval.ms=300000\nzookeeper.connect=localhost:2181\n\
            zookeeper.connection.timeout.ms=18000\ngroup.initial.rebalance.delay.ms=0\n\
            listener.name.internal.ssl.keystore.location=/x\n";
        let (config, notices) = StaticConfig::load(parse_properties(text).unwrap()).unwrap();
        assert_eq!(config.get("log.retention.hours"), Some("168"));
        let inert: Vec<_> = notices.iter().map(|n| n.key.as_str()).collect();
        assert!(inert.contains(&"zookeeper.connect") && inert.contains(&"num.io.threads"));
        assert!(inert.contains(&"listener.name.internal.ssl.keystore.location"));
        assert!(!inert.contains(&"num.partitions"));
    }

    #[test]
    fn values_that_contradict_each_other_are_an_error() {
        let text = "log.cleaner.min.compaction.lag.ms=9\nlog.cleaner.max.compaction.lag.ms=8\n";
        let errors = StaticConfig::load(parse_properties(text).unwrap()).unwrap_err();
        assert!(errors[0].to_string().contains("must not be larger"));
    }

    #[test]
    fn all_errors_come_at_once_with_suggestions() {
        let text = "log.retention.hour=1\nnum.partitions=0\nno.such.thing.at.all=1\n";
        let errors = StaticConfig::load(parse_properties(text).unwrap()).unwrap_err();
        let said: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 3);
        assert!(
            said.contains(
                &"unknown key log.retention.hour; did you mean log.retention.hours?".into()
            )
        );
        assert!(said.iter().any(|s| s.contains("num.partitions") && s.contains("at least 1")));
        assert!(said.iter().any(|s| s.contains("no.such.thing.at.all; remove it")));
    }
}
