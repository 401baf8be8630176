//! What DescribeConfigs shows (KIP-226, KIP-569).

use super::broker_keys::{all_broker_keys, broker_key, is_listed, looks_secret};
use super::group_keys::GROUP_KEYS;
use super::key::{Key, Synonym, Update, ValueType};
use super::layers::{Layers, Setting, Source};
use super::topic_keys::TOPIC_KEYS;
use crate::image::Overrides;
use crate::record::Resource;
use crate::{ErrorCode, Refusal, name};
use std::collections::BTreeSet;

/// One place that sets the value, as a client sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedSynonym {
    /// The key there.
    pub name: String,
    /// The text there; `None` if it is secret.
    pub value: Option<String>,
    /// The place.
    pub source: Source,
}

/// One config, as a client sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedConfig {
    /// The key.
    pub name: String,
    /// The effective value; `None` if it is secret or there is none.
    pub value: Option<String>,
    /// Where the value came from.
    pub source: Source,
    /// Whether it can change only in the file.
    pub read_only: bool,
    /// Whether it is secret.
    pub sensitive: bool,
    /// The type of its values.
    pub value_type: ValueType,
    /// All places that set it, the one that counts first. Answer them only if the client asked.
    pub synonyms: Vec<DescribedSynonym>,
    /// What it is for; `None` for keys that have no effect here.
    pub doc: Option<&'static str>,
}

impl DescribedConfig {
    /// Whether nobody set it.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.source == Source::Default
    }
}

pub(super) fn topic(
    layers: &Layers<'_>,
    topic: &str,
    keys: Option<&[String]>,
) -> Result<Vec<DescribedConfig>, Refusal> {
    name::check(topic)?;
    if layers.image.topic_named(topic).is_none() {
        let message = format!("Topic {topic} does not exist.");
        return Err(Refusal::new(ErrorCode::UnknownTopicOrPartition, message));
    }
    let overrides = layers.image.overrides(&Resource::topic(topic));
    Ok(of_table(layers, TOPIC_KEYS, overrides, Source::DynamicTopic, keys))
}

pub(super) fn overrides(layers: &Layers<'_>, overrides: &Overrides) -> Vec<DescribedConfig> {
    of_table(layers, TOPIC_KEYS, Some(overrides), Source::DynamicTopic, None)
}

pub(super) fn group(
    layers: &Layers<'_>,
    group: &str,
    keys: Option<&[String]>,
) -> Result<Vec<DescribedConfig>, Refusal> {
    if group.is_empty() {
        return Err(Refusal::new(ErrorCode::InvalidRequest, "Group name must not be empty"));
    }
    let overrides = layers.image.overrides(&Resource::group(group));
    Ok(of_table(layers, GROUP_KEYS, overrides, Source::Group, keys))
}

pub(super) fn broker(
    layers: &Layers<'_>,
    name: &str,
    keys: Option<&[String]>,
) -> Result<Vec<DescribedConfig>, Refusal> {
    let (dynamic, wanted) = (layers.dynamic(), Wanted::new(keys));
    if name.is_empty() {
        let set = dynamic.all.into_iter().flatten();
        let set = set.filter(|(key, _)| wanted.has(key));
        return Ok(set.map(|(key, text)| set_for_all(key, text)).collect());
    }
    if name.parse() != Ok(layers.broker.0) {
        let (quoted, me): (String, _) = (name.chars().take(50).collect(), layers.broker);
        let message =
            format!("Unexpected broker id, expected {me} or empty string, but received {quoted}");
        return Err(Refusal::new(ErrorCode::InvalidRequest, message));
    }
    let mut out = Vec::new();
    for key in all_broker_keys() {
        // Of several names for one thing, each shows its own value: hours in hours.
        let own = [Synonym { name: key.name, scale: 1 }];
        let settings = layers.broker_settings_of(&dynamic, &own);
        let set = settings.iter().any(|s| s.source != Source::Default);
        let shown = is_listed(key.name) || set || wanted.is_by_name();
        if shown && wanted.has(key.name) {
            let read_only = key.update == Update::ReadOnly;
            out.push(describe(layers, key, settings, read_only));
        }
    }
    let family = layers.fixed.iter().filter(|(k, _)| broker_key(k).is_none() && wanted.has(k));
    out.extend(family.map(|(key, text)| of_a_family(key, text, Source::StaticBroker)));
    out.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(out)
}

/// The keys that were asked for. A set, because a request may name as many as its frame holds.
struct Wanted<'k>(Option<BTreeSet<&'k str>>);

impl<'k> Wanted<'k> {
    /// Null and empty both mean "all".
    fn new(keys: Option<&'k [String]>) -> Self {
        let named = keys.filter(|keys| !keys.is_empty());
        Self(named.map(|keys| keys.iter().map(String::as_str).collect()))
    }

    fn has(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|keys| keys.contains(name))
    }

    fn is_by_name(&self) -> bool {
        self.0.is_some()
    }
}

fn of_table(
    layers: &Layers<'_>,
    table: &'static [Key],
    overrides: Option<&Overrides>,
    own: Source,
    keys: Option<&[String]>,
) -> Vec<DescribedConfig> {
    let (dynamic, wanted) = (layers.dynamic(), Wanted::new(keys));
    let shown = table.iter().filter(|key| wanted.has(key.name));
    shown
        .map(|key| describe(layers, key, layers.settings(&dynamic, key, overrides, own), false))
        .collect()
}

fn describe(
    layers: &Layers<'_>,
    key: &'static Key,
    settings: Vec<Setting>,
    read_only: bool,
) -> DescribedConfig {
    let sensitive = key.is_sensitive();
    let effective = settings.iter().find_map(|s| layers.read(key, s).map(|v| (v, s.source)));
    let (value, source) = match effective {
        Some((value, source)) => (Some(value.to_string()), source),
        None => (key.default.map(ToOwned::to_owned), Source::Default),
    };
    let show = |s: Setting| DescribedSynonym {
        name: s.name,
        value: if sensitive { None } else { Some(s.value) },
        source: s.source,
    };
    DescribedConfig {
        name: key.name.to_owned(),
        value: value.filter(|_| !sensitive),
        source,
        read_only,
        sensitive,
        value_type: key.kind,
        synonyms: settings.into_iter().map(show).collect(),
        doc: if key.doc.is_empty() { None } else { Some(key.doc) },
    }
}

fn set_for_all(name: &str, text: &str) -> DescribedConfig {
    let mut config = of_a_family(name, text, Source::DynamicDefaultBroker);
    config.read_only = false;
    if let Some(key) = broker_key(name) {
        config.value_type = key.kind;
        config.sensitive = key.is_sensitive();
        config.doc = if key.doc.is_empty() { None } else { Some(key.doc) };
        let shown = if key.is_sensitive() { None } else { Some(text.to_owned()) };
        config.value.clone_from(&shown);
        config.synonyms[0].value = shown;
    }
    config
}

/// A key without an entry of its own.
fn of_a_family(name: &str, text: &str, source: Source) -> DescribedConfig {
    let sensitive = looks_secret(name);
    let value = if sensitive { None } else { Some(text.to_owned()) };
    DescribedConfig {
        name: name.to_owned(),
        value: value.clone(),
        source,
        read_only: true,
        sensitive,
        value_type: if sensitive { ValueType::Password } else { ValueType::String },
        synonyms: vec![DescribedSynonym { name: name.to_owned(), value, source }],
        doc: None,
    }
}
