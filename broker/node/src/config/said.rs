//! What flags, the environment and files say.

use super::listeners::Listeners;
use super::{ConfigError, error};
use cluster::config::parse_properties;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What may be said by flag, environment or file; `None` is "not said here".
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) data: Option<PathBuf>,
    pub(crate) listen: Option<String>,
    pub(crate) advertise: Option<String>,
    pub(crate) admin: Option<String>,
    pub(crate) durability: Option<String>,
    pub(crate) io: Option<String>,
    pub(crate) cores: Option<String>,
    pub(crate) pin: Option<String>,
    pub(crate) memory: Option<String>,
    pub(crate) ring: Option<String>,
    pub(crate) reserve: Option<String>,
    pub(crate) metrics_series: Option<String>,
    pub(crate) node_id: Option<i32>,
    /// Kafka's keys.
    pub(crate) kafka: BTreeMap<String, String>,
}

const KEYS: [&str; 13] = [
    "node.id",
    "data.dir",
    "data.reserve",
    "engine.io",
    "engine.cores",
    "engine.pin",
    "engine.memory",
    "engine.ring",
    "engine.durability",
    "listener.listen",
    "listener.advertise",
    "admin.listen",
    "admin.metrics_series",
];

impl Said {
    /// Reads a configuration file: TOML, or Kafka's `server.properties` by its ending.
    pub(crate) fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|e| {
            error(
                format!("cannot read the configuration {shown}"),
                e.to_string(),
                "check the path and its permissions",
            )
        })?;
        if path.extension().is_some_and(|e| e == "properties") {
            let kafka = parse_properties(&text).map_err(|e| {
                error(
                    format!("cannot read the configuration {shown}"),
                    format!("{e:?}"),
                    "mend that line",
                )
            })?;
            let mut said = Self { kafka, ..Self::default() };
            said.take_kafka_places()?;
            return Ok(said);
        }
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
            error(
                format!("cannot read the configuration {shown}"),
                e.to_string(),
                "it is TOML with the sections [node] [data] [engine] [listener] [admin] [defaults]",
            )
        })?;
        let mut said = Self::default();
        for (section, values) in table {
            let Some(values) = values.as_table() else {
                return Err(unknown_key(&section));
            };
            for (key, value) in values {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                if section == "defaults" {
                    said.kafka.insert(key.clone(), text);
                } else {
                    said.set(&format!("{section}.{key}"), text)?;
                }
            }
        }
        Ok(said)
    }

    /// Reads `RINGWOOD_SECTION__KEY`.
    pub(crate) fn from_environment(
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut said = Self::default();
        for (name, value) in variables {
            let Some(rest) = name.strip_prefix("RINGWOOD_") else { continue };
            let Some((section, key)) = rest.split_once("__") else { continue };
            let (section, key) = (section.to_lowercase(), key.to_lowercase());
            if section == "defaults" {
                said.kafka.insert(key.replace('_', "."), value);
            } else {
                said.set(&format!("{section}.{key}"), value)?;
            }
        }
        Ok(said)
    }

    pub(super) fn set(&mut self, key: &str, value: String) -> Result<(), ConfigError> {
        match key {
            "node.id" => {
                let id = value.parse().map_err(|_| {
                    error("node.id is not a number", value.clone(), "give a number from 0 up")
                })?;
                self.node_id = Some(id);
            }
            "data.dir" => self.data = Some(PathBuf::from(value)),
            "data.reserve" => self.reserve = Some(value),
            "engine.io" => self.io = Some(value),
            "engine.cores" => self.cores = Some(value),
            "engine.pin" => self.pin = Some(value),
            "engine.memory" => self.memory = Some(value),
            "engine.ring" => self.ring = Some(value),
            "engine.durability" => self.durability = Some(value),
            "listener.listen" => self.listen = Some(value),
            "listener.advertise" => self.advertise = Some(value),
            "admin.listen" => self.admin = Some(value),
            "admin.metrics_series" => self.metrics_series = Some(value),
            other => return Err(unknown_key(other)),
        }
        Ok(())
    }

    /// Kafka keys that say where the node lives.
    fn take_kafka_places(&mut self) -> Result<(), ConfigError> {
        if let Some(id) = self.kafka.get("node.id").or_else(|| self.kafka.get("broker.id")) {
            self.node_id = id.parse().ok();
        }
        if let Some(dirs) = self.kafka.get("log.dirs").or_else(|| self.kafka.get("log.dir")) {
            if dirs.contains(',') {
                return Err(error(
                    "log.dirs names several directories",
                    dirs.clone(),
                    "name one: a node has one data directory",
                ));
            }
            self.data = Some(PathBuf::from(dirs));
        }
        let listeners = Listeners::of(&self.kafka);
        let opened = listeners.one("listeners", None)?;
        let name = opened.as_ref().map(|l| l.name.clone());
        self.advertise = listeners.one("advertised.listeners", name.as_deref())?.map(|l| l.address);
        self.listen = opened.map(|l| l.address);
        Ok(())
    }

    /// What `self` says, and where it is silent what `below` says.
    pub(crate) fn over(self, below: Self) -> Self {
        let mut kafka = below.kafka;
        kafka.extend(self.kafka);
        Self {
            data: self.data.or(below.data),
            listen: self.listen.or(below.listen),
            advertise: self.advertise.or(below.advertise),
            admin: self.admin.or(below.admin),
            durability: self.durability.or(below.durability),
            io: self.io.or(below.io),
            cores: self.cores.or(below.cores),
            pin: self.pin.or(below.pin),
            memory: self.memory.or(below.memory),
            ring: self.ring.or(below.ring),
            reserve: self.reserve.or(below.reserve),
            metrics_series: self.metrics_series.or(below.metrics_series),
            node_id: self.node_id.or(below.node_id),
            kafka,
        }
    }
}

fn unknown_key(key: &str) -> ConfigError {
    let near = KEYS.iter().min_by_key(|k| distance(k, key)).copied().unwrap_or("");
    error(
        format!("unknown configuration key {key}"),
        "Ringwood does not know it",
        format!("did you mean {near}? Kafka's keys go under [defaults]"),
    )
}

/// How many letters two words differ in, roughly: enough for a suggestion.
fn distance(a: &str, b: &str) -> usize {
    let common = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    a.len().max(b.len()) - common
}
