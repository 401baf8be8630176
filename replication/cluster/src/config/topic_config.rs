//! A topic's effective configuration, typed.

use super::key::{ConfigError, Key, Value};
use super::topic_keys::{DURABILITY, TOPIC_KEYS, topic_key};
use crate::image::Overrides;
use crate::name;

/// When a record counts as acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Durability {
    /// When its bytes are handed to the disk.
    Written,
    /// When its bytes are flushed to the disk.
    Fsync,
}

/// What happens to old records. Neither: everything is kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Cleanup {
    /// Whole segments go by age and size.
    pub delete: bool,
    /// The newest record of each key stays.
    pub compact: bool,
}

/// The codec of stored batches.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Compression {
    /// As the producer sent them.
    Producer,
    /// None.
    Uncompressed,
    /// gzip.
    Gzip,
    /// snappy.
    Snappy,
    /// lz4.
    Lz4,
    /// zstd.
    Zstd,
}

/// Whose clock stamps records.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's.
    LogAppendTime,
}

/// Everything about a topic that the log, the store and the replica act on. Times are in milliseconds, sizes in bytes;
/// `i64::MAX` means "never" and -1 "no limit", as in Kafka.
#[derive(Clone, PartialEq, Debug)]
pub struct TopicConfig {
    /// `cleanup.policy`
    pub cleanup: Cleanup,
    /// `compression.type`
    pub compression: Compression,
    /// `compression.gzip.level`, -1 or 1 to 9.
    pub compression_gzip_level: i32,
    /// `compression.lz4.level`, 1 to 17.
    pub compression_lz4_level: i32,
    /// `compression.zstd.level`, up to 22.
    pub compression_zstd_level: i32,
    /// `delete.retention.ms`
    pub delete_retention_ms: i64,
    /// `ringwood.durability`, raised by `flush.messages=1` and for internal topics.
    pub durability: Durability,
    /// `file.delete.delay.ms`
    pub file_delete_delay_ms: i64,
    /// `flush.messages`, at least 1.
    pub flush_messages: i64,
    /// `flush.ms`
    pub flush_ms: i64,
    /// `index.interval.bytes`
    pub index_interval_bytes: u32,
    /// `max.compaction.lag.ms`
    pub max_compaction_lag_ms: i64,
    /// `max.message.bytes`
    pub max_message_bytes: u32,
    /// `message.timestamp.after.max.ms`
    pub timestamp_after_max_ms: i64,
    /// `message.timestamp.before.max.ms`
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.type`
    pub timestamp_type: TimestampType,
    /// `min.cleanable.dirty.ratio`, 0 to 1.
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`
    pub min_compaction_lag_ms: i64,
    /// `min.insync.replicas`, at least 1. What acks=all needs is never more than the replication factor.
    pub min_insync_replicas: u32,
    /// `retention.bytes`, negative for no limit.
    pub retention_bytes: i64,
    /// `retention.ms`, -1 for no limit.
    pub retention_ms: i64,
    /// `segment.bytes`, at least 1 MiB.
    pub segment_bytes: u32,
    /// `segment.index.bytes`
    pub segment_index_bytes: u32,
    /// `segment.jitter.ms`
    pub segment_jitter_ms: i64,
    /// `segment.ms`
    pub segment_ms: i64,
    /// `unclean.leader.election.enable`
    pub unclean_leader_election: bool,
}

/// How long a written topic may go without a flush when `flush.ms` has Kafka's default: 1 s, also when a tool wrote that
/// default down.
const WRITTEN_FLUSH_MS: i64 = 1_000;

impl TopicConfig {
    /// Kafka's defaults, durability fsync.
    #[must_use]
    pub fn defaults() -> Self {
        TopicDefaults::read(super::layers::default_of).topic("", None)
    }

    /// The longest time between flushes on a written topic, in milliseconds.
    #[must_use]
    pub fn written_flush_ms(&self) -> i64 {
        if self.flush_ms == i64::MAX { WRITTEN_FLUSH_MS } else { self.flush_ms }
    }

    /// What single values cannot say.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let (min, max) = (self.min_compaction_lag_ms, self.max_compaction_lag_ms);
        if min > max {
            let key = "min.compaction.lag.ms";
            let message = format!(
                "Conflict of min.compaction.lag.ms ({min}) and max.compaction.lag.ms ({max}): the first must not be larger"
            );
            return Err(ConfigError::new(key, message));
        }
        Ok(())
    }
}

/// What a topic without overrides gets on one broker, read once: a change that concerns every topic (a broker's config, or
/// a start) then costs each topic its own overrides only.
#[derive(Clone, PartialEq, Debug)]
pub struct TopicDefaults {
    /// With the durability as it is set, before anything raises it.
    base: TopicConfig,
}

impl TopicDefaults {
    pub(super) fn read(value: impl Fn(&Key) -> Value) -> Self {
        let mut base = TopicConfig::ZERO;
        for key in TOPIC_KEYS {
            base.set(key.name, &value(key));
        }
        Self { base }
    }

    /// The effective configuration of a topic with these overrides. One that this build no longer accepts is passed over.
    #[must_use]
    pub fn topic(&self, topic: &str, overrides: Option<&Overrides>) -> TopicConfig {
        let mut config = self.base.clone();
        for (name, text) in overrides.into_iter().flatten() {
            if let Some(Ok(value)) = topic_key(name).map(|key| key.parse(text)) {
                config.set(name, &value);
            }
        }
        // flush.messages=1 raises; no value of flush.messages or flush.ms ever lowers (Terraform writes the defaults down).
        if name::is_always_fsync(topic) || config.flush_messages == 1 {
            config.durability = Durability::Fsync;
        }
        config
    }
}

impl TopicConfig {
    /// Before the first value is set; every field has a key.
    const ZERO: Self = Self {
        cleanup: Cleanup { delete: false, compact: false },
        compression: Compression::Producer,
        compression_gzip_level: 0,
        compression_lz4_level: 0,
        compression_zstd_level: 0,
        delete_retention_ms: 0,
        durability: Durability::Fsync,
        file_delete_delay_ms: 0,
        flush_messages: 0,
        flush_ms: 0,
        index_interval_bytes: 0,
        max_compaction_lag_ms: 0,
        max_message_bytes: 0,
        timestamp_after_max_ms: 0,
        timestamp_before_max_ms: 0,
        timestamp_type: TimestampType::CreateTime,
        min_cleanable_dirty_ratio: 0.0,
        min_compaction_lag_ms: 0,
        min_insync_replicas: 1,
        retention_bytes: 0,
        retention_ms: 0,
        segment_bytes: 0,
        segment_index_bytes: 0,
        segment_jitter_ms: 0,
        segment_ms: 0,
        unclean_leader_election: false,
    };

    /// Takes the checked value of a topic key; keys without effect have no field.
    fn set(&mut self, name: &str, value: &Value) {
        match (name, value) {
            ("cleanup.policy", Value::List(v)) => {
                let has = |policy: &str| v.iter().any(|p| p == policy);
                self.cleanup = Cleanup { delete: has("delete"), compact: has("compact") };
            }
            ("compression.type", Value::Text(v)) => {
                self.compression = match v.as_str() {
                    "uncompressed" => Compression::Uncompressed,
                    "gzip" => Compression::Gzip,
                    "snappy" => Compression::Snappy,
                    "lz4" => Compression::Lz4,
                    "zstd" => Compression::Zstd,
                    _ => Compression::Producer,
                };
            }
            ("message.timestamp.type", Value::Text(v)) => {
                let log_append = v == "LogAppendTime";
                self.timestamp_type = if log_append {
                    TimestampType::LogAppendTime
                } else {
                    TimestampType::CreateTime
                };
            }
            (DURABILITY, Value::Text(v)) => {
                self.durability =
                    if v == "written" { Durability::Written } else { Durability::Fsync };
            }
            ("min.cleanable.dirty.ratio", Value::Double(v)) => self.min_cleanable_dirty_ratio = *v,
            ("unclean.leader.election.enable", Value::Boolean(v)) => {
                self.unclean_leader_election = *v;
            }
            (_, Value::Integer(v)) => self.set_integer(name, *v),
            (_, Value::Boolean(_) | Value::Double(_) | Value::Text(_) | Value::List(_)) => {}
        }
    }

    fn set_integer(&mut self, name: &str, v: i64) {
        // Int keys hold 32 bits, and their checks keep sizes from being negative.
        let int = i32::try_from(v).unwrap_or(i32::MAX);
        let size = u32::try_from(v).unwrap_or(0);
        match name {
            "compression.gzip.level" => self.compression_gzip_level = int,
            "compression.lz4.level" => self.compression_lz4_level = int,
            "compression.zstd.level" => self.compression_zstd_level = int,
            "delete.retention.ms" => self.delete_retention_ms = v,
            "file.delete.delay.ms" => self.file_delete_delay_ms = v,
            "flush.messages" => self.flush_messages = v,
            "flush.ms" => self.flush_ms = v,
            "index.interval.bytes" => self.index_interval_bytes = size,
            "max.compaction.lag.ms" => self.max_compaction_lag_ms = v,
            "max.message.bytes" => self.max_message_bytes = size,
            "message.timestamp.after.max.ms" => self.timestamp_after_max_ms = v,
            "message.timestamp.before.max.ms" => self.timestamp_before_max_ms = v,
            "min.compaction.lag.ms" => self.min_compaction_lag_ms = v,
            "min.insync.replicas" => self.min_insync_replicas = size.max(1),
            "retention.bytes" => self.retention_bytes = v,
            "retention.ms" => self.retention_ms = v,
            "segment.bytes" => self.segment_bytes = size,
            "segment.index.bytes" => self.segment_index_bytes = size,
            "segment.jitter.ms" => self.segment_jitter_ms = v,
            "segment.ms" => self.segment_ms = v,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Effect;

    #[test]
    fn every_key_that_is_used_has_a_field() {
        // Another legal value for each key must show in the configuration.
        for key in TOPIC_KEYS {
            let other = match key.name {
                "cleanup.policy" => "compact",
                "compression.type" => "zstd",
                "message.timestamp.type" => "LogAppendTime",
                DURABILITY => "written",
                "unclean.leader.election.enable" => "true",
                "min.cleanable.dirty.ratio" => "0.25",
                "segment.bytes" => "2000000",
                _ if key.effect == Effect::Used => "7",
                _ => continue,
            };
            let overrides = [(key.name.to_owned(), other.to_owned())].into();
            let defaults = TopicDefaults::read(crate::config::layers::default_of);
            let config = defaults.topic("t", Some(&overrides));
            assert_eq!(
                config != TopicConfig::defaults(),
                key.effect == Effect::Used,
                "{}",
                key.name
            );
        }
    }
}
