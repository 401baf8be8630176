//! Which layer's value counts.

use super::broker_keys::broker_key;
use super::described::{self, DescribedConfig};
use super::key::{ConfigError, Key, Synonym, Value, ValueType};
use super::topic_keys::{TOPIC_KEYS, topic_key};
use super::{StaticConfig, TopicConfig, TopicDefaults, nearest};
use crate::Refusal;
use crate::image::{ClusterImage, Overrides};
use crate::record::{Resource, STRING_BYTES_MAX};
use ids::BrokerId;

/// Where a value came from. The numbers are those of DescribeConfigs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Source {
    /// The topic's own override.
    DynamicTopic = 1,
    /// Set on this broker while it ran.
    DynamicBroker = 2,
    /// Set on all brokers while they ran.
    DynamicDefaultBroker = 3,
    /// The configuration file, the environment or a flag.
    StaticBroker = 4,
    /// Nobody set it.
    Default = 5,
    /// A log level.
    DynamicBrokerLogger = 6,
    /// A client metrics subscription.
    ClientMetrics = 7,
    /// The group's own override.
    Group = 8,
}

impl Source {
    /// The number on the wire.
    #[must_use]
    pub fn wire(self) -> i8 {
        self as i8
    }
}

/// One place that sets a value: a synonym of DescribeConfigs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The key under which it is set there.
    pub name: String,
    /// The text, as it was given.
    pub value: String,
    /// The place.
    pub source: Source,
    /// What one unit of it is worth in the unit of the key that was asked for.
    pub(super) scale: i64,
}

/// The layers of one broker, from which every effective value is read.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    /// The dynamic layers.
    pub image: &'a ClusterImage,
    /// Whose dynamic configs count.
    pub broker: BrokerId,
    /// The static layer.
    pub fixed: &'a StaticConfig,
}

impl<'a> Layers<'a> {
    /// A topic's effective configuration. Works for topics that do not exist (yet) too: they have no overrides.
    #[must_use]
    pub fn topic(&self, topic: &str) -> TopicConfig {
        self.topic_with(topic, self.image.overrides(&Resource::topic(topic)))
    }

    /// A topic's effective configuration if its overrides were these.
    #[must_use]
    pub fn topic_with(&self, topic: &str, overrides: Option<&Overrides>) -> TopicConfig {
        self.topic_defaults().topic(topic, overrides)
    }

    /// What topics without overrides get; read it once when many topics are to be read.
    #[must_use]
    pub fn topic_defaults(&self) -> TopicDefaults {
        let dynamic = self.dynamic();
        TopicDefaults::read(|key| {
            let settings = self.broker_settings_of(&dynamic, key.synonyms);
            settings.iter().find_map(|s| self.read_broker(s)).unwrap_or_else(|| default_of(key))
        })
    }

    /// Checks a topic's overrides as a whole: every key known, every value legal, and what they give together legal too.
    pub fn check_topic(
        &self,
        topic: &str,
        overrides: &Overrides,
    ) -> Result<TopicConfig, ConfigError> {
        for (name, value) in overrides {
            let key = topic_key(name).ok_or_else(|| unknown("topic", name, TOPIC_KEYS))?;
            check_length(name, value)?;
            key.parse(value)?;
        }
        let config = self.topic_with(topic, Some(overrides));
        config.check()?;
        Ok(config)
    }

    /// The value of a broker key that counts on this broker.
    ///
    /// # Panics
    /// If no such key exists: callers name keys that are in the table.
    #[must_use]
    pub fn broker_value(&self, name: &'static str) -> Option<Value> {
        let key = broker_key(name).expect("a broker key of the table");
        let own = [Synonym { name: key.name, scale: 1 }];
        let names = if key.synonyms.is_empty() { &own[..] } else { key.synonyms };
        let settings = self.broker_settings_of(&self.dynamic(), names);
        settings.iter().find_map(|s| self.read_broker(s))
    }

    /// Every config of a topic as DescribeConfigs shows it, or of those `keys`. Errors: INVALID_TOPIC_EXCEPTION,
    /// UNKNOWN_TOPIC_OR_PARTITION.
    pub fn describe_topic(
        &self,
        topic: &str,
        keys: Option<&[String]>,
    ) -> Result<Vec<DescribedConfig>, Refusal> {
        described::topic(self, topic, keys)
    }

    /// The effective configs that CreateTopics answers for a topic with these overrides (KIP-525).
    #[must_use]
    pub fn describe_overrides(&self, overrides: &Overrides) -> Vec<DescribedConfig> {
        described::overrides(self, overrides)
    }

    /// Every config of this broker, or for the name `""` those set for all brokers. Errors: INVALID_REQUEST if the name is
    /// another broker's.
    pub fn describe_broker(
        &self,
        name: &str,
        keys: Option<&[String]>,
    ) -> Result<Vec<DescribedConfig>, Refusal> {
        described::broker(self, name, keys)
    }

    /// Every config of a group. Errors: INVALID_REQUEST if the name is empty.
    pub fn describe_group(
        &self,
        group: &str,
        keys: Option<&[String]>,
    ) -> Result<Vec<DescribedConfig>, Refusal> {
        described::group(self, group, keys)
    }

    pub(super) fn dynamic(&self) -> Dynamic<'a> {
        Dynamic {
            own: self.image.overrides(&Resource::broker(self.broker)),
            all: self.image.overrides(&Resource::all_brokers()),
        }
    }

    /// The settings of a topic or group key, the one that counts first.
    pub(super) fn settings(
        &self,
        dynamic: &Dynamic<'_>,
        key: &Key,
        overrides: Option<&Overrides>,
        own: Source,
    ) -> Vec<Setting> {
        let mut out = Vec::new();
        if let Some(value) = overrides.and_then(|o| o.get(key.name)) {
            let (name, value) = (key.name.to_owned(), value.clone());
            out.push(Setting { name, value, source: own, scale: 1 });
        }
        out.extend(self.broker_settings_of(dynamic, key.synonyms));
        out
    }

    /// The settings of broker keys that mean one thing: layer by layer, and within a layer in the order of `names`.
    pub(super) fn broker_settings_of(
        &self,
        dynamic: &Dynamic<'_>,
        names: &[Synonym],
    ) -> Vec<Setting> {
        let mut out = Vec::new();
        for source in [
            Source::DynamicBroker,
            Source::DynamicDefaultBroker,
            Source::StaticBroker,
            Source::Default,
        ] {
            for synonym in names {
                let text = match source {
                    Source::DynamicBroker => text_of(dynamic.own, synonym.name),
                    Source::DynamicDefaultBroker => text_of(dynamic.all, synonym.name),
                    Source::StaticBroker => self.fixed.get(synonym.name),
                    Source::Default
                    | Source::DynamicTopic
                    | Source::DynamicBrokerLogger
                    | Source::ClientMetrics
                    | Source::Group => broker_key(synonym.name).and_then(|k| k.default),
                };
                if let Some(text) = text {
                    let (name, value) = (synonym.name.to_owned(), text.to_owned());
                    out.push(Setting { name, value, source, scale: synonym.scale });
                }
            }
        }
        out
    }

    /// Reads one setting. `None` if this build no longer accepts the text, which is then passed over as if it had not been
    /// set: every text was checked when it was set, so this is the day after an upgrade.
    pub(super) fn read(&self, key: &Key, setting: &Setting) -> Option<Value> {
        if matches!(setting.source, Source::DynamicTopic | Source::Group) {
            key.parse(&setting.value).ok()
        } else {
            self.read_broker(setting)
        }
    }

    fn read_broker(&self, setting: &Setting) -> Option<Value> {
        match broker_key(&setting.name)?.parse(&setting.value).ok()? {
            // "No limit" is -1 in every unit.
            Value::Integer(v) if v < 0 => Some(Value::Integer(v)),
            Value::Integer(v) => Some(Value::Integer(v.saturating_mul(setting.scale))),
            other @ (Value::Boolean(_) | Value::Double(_) | Value::Text(_) | Value::List(_)) => {
                Some(other)
            }
        }
    }
}

/// The dynamic broker layers, looked up once.
pub(super) struct Dynamic<'a> {
    pub(super) own: Option<&'a Overrides>,
    pub(super) all: Option<&'a Overrides>,
}

fn text_of<'o>(overrides: Option<&'o Overrides>, name: &str) -> Option<&'o str> {
    overrides?.get(name).map(String::as_str)
}

pub(super) fn default_of(key: &Key) -> Value {
    let empty = match key.kind {
        ValueType::Boolean => Value::Boolean(false),
        ValueType::Int | ValueType::Short | ValueType::Long => Value::Integer(0),
        ValueType::Double => Value::Double(0.0),
        ValueType::List => Value::List(Vec::new()),
        ValueType::String | ValueType::Class | ValueType::Password => Value::Text(String::new()),
    };
    key.default.and_then(|text| key.parse(text).ok()).unwrap_or(empty)
}

pub(crate) fn unknown(what: &str, name: &str, known: &'static [Key]) -> ConfigError {
    let quoted: String = name.chars().take(200).collect();
    let hint = match nearest(name, known.iter().map(|k| k.name)) {
        Some(near) => format!("; did you mean {near}?"),
        None => String::new(),
    };
    ConfigError::new(name, format!("Unknown {what} config name: {quoted}{hint}"))
}

pub(crate) fn check_length(name: &str, value: &str) -> Result<(), ConfigError> {
    let (bytes, max) = (name.len().max(value.len()), STRING_BYTES_MAX);
    if bytes > max {
        let message = format!("A config of {bytes} bytes is too long, at most {max} are stored");
        return Err(ConfigError::new(name, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
