//! Changes configs: the whole set of a resource (AlterConfigs), or single keys (IncrementalAlterConfigs, KIP-339).
//!
//! A resource changes as a whole or not at all. What a change gives is checked together with what was set before. A change
//! that changes nothing makes no record.

mod checks;

use super::batch::Batch;
use super::{Controller, Decision, within_items};
use crate::config::ValueType;
use crate::image::Overrides;
use crate::record::{Record, Resource, ResourceKind};
use crate::{ErrorCode, Refusal};
use std::collections::{BTreeMap, BTreeSet};

/// What to do with one key. The numbers are Kafka's (`AlterConfigOp.OpType`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum AlterOp {
    /// Set it.
    Set = 0,
    /// Return it to its default.
    Delete = 1,
    /// Add items to a list.
    Append = 2,
    /// Take items from a list.
    Subtract = 3,
}

impl AlterOp {
    /// From the number on the wire.
    #[must_use]
    pub fn from_wire(op: i8) -> Option<Self> {
        match op {
            0 => Some(Self::Set),
            1 => Some(Self::Delete),
            2 => Some(Self::Append),
            3 => Some(Self::Subtract),
            _ => None,
        }
    }
}

/// A resource and the whole set of its new configs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlterConfigsResource {
    /// The resource's kind, as on the wire.
    pub kind: i8,
    /// Its name.
    pub name: String,
    /// The configs; a null value is refused.
    pub configs: Vec<(String, Option<String>)>,
}

/// AlterConfigs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlterConfigs {
    /// The resources.
    pub resources: Vec<AlterConfigsResource>,
    /// Whether to check only.
    pub validate_only: bool,
}

/// A resource and the changes of its configs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IncrementalResource {
    /// The resource's kind, as on the wire.
    pub kind: i8,
    /// Its name.
    pub name: String,
    /// Key, operation as on the wire, value: null is refused unless the operation is a deletion.
    pub configs: Vec<(String, i8, Option<String>)>,
}

/// IncrementalAlterConfigs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IncrementalAlterConfigs {
    /// The resources.
    pub resources: Vec<IncrementalResource>,
    /// Whether to check only.
    pub validate_only: bool,
}

/// The answer for one resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlterConfigsResult {
    /// Its kind, as on the wire.
    pub kind: i8,
    /// Its name.
    pub name: String,
    /// What came of it.
    pub result: Result<(), Refusal>,
}

impl Controller {
    /// Replaces the whole set of configs of resources: keys that are not named return to their defaults. One result for
    /// each resource, in the order of the request.
    ///
    /// Errors: INVALID_REQUEST (resource or key twice, null value, unknown kind, a broker key that needs a restart or that is
    /// illegal, a broker that is not registered), INVALID_CONFIG (unknown key, bad value), INVALID_TOPIC_EXCEPTION,
    /// UNKNOWN_TOPIC_OR_PARTITION, POLICY_VIOLATION (over 1 MB of records in one request).
    pub fn alter_configs(&mut self, request: &AlterConfigs) -> Decision<Vec<AlterConfigsResult>> {
        let twice = twice(request.resources.iter().map(|r| (r.kind, r.name.as_str())));
        let (mut batch, mut results) = (Batch::default(), Vec::new());
        for (index, r) in request.resources.iter().enumerate() {
            let result = within_items(index)
                .and_then(|()| once(&twice, r.kind, &r.name))
                .and_then(|()| no_key_twice(r.configs.iter().map(|(key, _)| key)))
                .and_then(|()| no_null(r.configs.iter().map(|(key, v)| (key, v.is_none()))))
                .and_then(|()| checks::resource(r.kind, &r.name))
                .and_then(|resource| {
                    let set = r.configs.iter().filter_map(|(k, v)| Some((k.clone(), v.clone()?)));
                    self.change(resource, set.collect(), &mut batch)
                });
            results.push(AlterConfigsResult { kind: r.kind, name: r.name.clone(), result });
        }
        self.decide(batch.into_records(request.validate_only), results)
    }

    /// Changes single configs of resources. One result for each resource, in the order of the request.
    ///
    /// Errors: as [`Controller::alter_configs`]; INVALID_REQUEST too for an unknown operation, INVALID_CONFIG too for Append and
    /// Subtract on a key that is not a list.
    pub fn incremental_alter_configs(
        &mut self,
        request: &IncrementalAlterConfigs,
    ) -> Decision<Vec<AlterConfigsResult>> {
        let twice = twice(request.resources.iter().map(|r| (r.kind, r.name.as_str())));
        let (mut batch, mut results) = (Batch::default(), Vec::new());
        for (index, r) in request.resources.iter().enumerate() {
            let delete = AlterOp::Delete as i8;
            let nulls = r.configs.iter().map(|(k, op, v)| (k, *op != delete && v.is_none()));
            let result = within_items(index)
                .and_then(|()| once(&twice, r.kind, &r.name))
                .and_then(|()| no_key_twice(r.configs.iter().map(|(key, ..)| key)))
                .and_then(|()| no_null(nulls))
                .and_then(|()| checks::resource(r.kind, &r.name))
                .and_then(|resource| {
                    let old = self.image.overrides(&resource);
                    let mut new = old.cloned().unwrap_or_default();
                    for (key, op, value) in &r.configs {
                        alter(&mut new, resource.kind, key, *op, value.as_deref())?;
                    }
                    self.change(resource, new, &mut batch)
                });
            results.push(AlterConfigsResult { kind: r.kind, name: r.name.clone(), result });
        }
        self.decide(batch.into_records(request.validate_only), results)
    }

    /// Checks the new overrides of a resource and adds the records that lead to them from the old ones.
    fn change(&self, resource: Resource, new: Overrides, batch: &mut Batch) -> Result<(), Refusal> {
        let empty = Overrides::new();
        let old = self.image.overrides(&resource).unwrap_or(&empty);
        self.check_overrides(&resource, old, &new)?;
        let record = |key: &String, value: Option<&String>| Record::ConfigSet {
            resource: resource.clone(),
            key: key.clone(),
            value: value.cloned(),
        };
        let set = new.iter().filter(|(key, value)| old.get(*key) != Some(value));
        let mut records: Vec<_> = set.map(|(key, value)| record(key, Some(value))).collect();
        let unset = old.keys().filter(|key| !new.contains_key(*key));
        records.extend(unset.map(|key| record(key, None)));
        batch.admit(records)
    }
}

/// Does one operation on the overrides of a resource.
fn alter(
    overrides: &mut Overrides,
    kind: ResourceKind,
    name: &str,
    op: i8,
    value: Option<&str>,
) -> Result<(), Refusal> {
    let Some(op) = AlterOp::from_wire(op) else {
        let why = format!("Unknown operations type {op}");
        return Err(Refusal::new(ErrorCode::InvalidRequest, why));
    };
    let value = value.unwrap_or("");
    match op {
        AlterOp::Set => {
            overrides.insert(name.to_owned(), value.to_owned());
        }
        AlterOp::Delete => {
            overrides.remove(name);
        }
        AlterOp::Append | AlterOp::Subtract => {
            let key = checks::key_of(kind, name).filter(|k| k.kind == ValueType::List);
            let Some(key) = key else {
                let verb = if op == AlterOp::Append { "APPEND" } else { "SUBTRACT" };
                let quoted: String = name.chars().take(200).collect();
                let why = format!("Can't {verb} to key {quoted} because its type is not LIST.");
                return Err(Refusal::new(ErrorCode::InvalidConfig, why));
            };
            let old = overrides.get(name).map_or(key.default.unwrap_or(""), String::as_str);
            let parts = |text: &str| -> Vec<String> {
                let parts = text.split(',').map(str::trim).filter(|p| !p.is_empty());
                parts.map(ToOwned::to_owned).collect()
            };
            let (mut list, items) = (parts(old), parts(value));
            let known: BTreeSet<String> = list.iter().cloned().collect();
            if op == AlterOp::Append {
                let mut known = known;
                list.extend(items.into_iter().filter(|item| known.insert(item.clone())));
            } else {
                let gone: BTreeSet<String> = items.into_iter().collect();
                list.retain(|item| !gone.contains(item));
            }
            overrides.insert(name.to_owned(), list.join(","));
        }
    }
    Ok(())
}

fn twice<'a>(resources: impl Iterator<Item = (i8, &'a str)>) -> BTreeSet<(i8, &'a str)> {
    let mut times: BTreeMap<_, usize> = BTreeMap::new();
    for resource in resources {
        *times.entry(resource).or_default() += 1;
    }
    times.into_iter().filter(|(_, n)| *n > 1).map(|(resource, _)| resource).collect()
}

fn once(twice: &BTreeSet<(i8, &str)>, kind: i8, name: &str) -> Result<(), Refusal> {
    if twice.contains(&(kind, name)) {
        let why = "Each resource must appear at most once.";
        return Err(Refusal::new(ErrorCode::InvalidRequest, why));
    }
    Ok(())
}

fn no_key_twice<'a>(keys: impl Iterator<Item = &'a String>) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for key in keys {
        if !seen.insert(key) {
            let why = "Error due to duplicate config keys";
            return Err(Refusal::new(ErrorCode::InvalidRequest, why));
        }
    }
    Ok(())
}

fn no_null<'a>(keys: impl Iterator<Item = (&'a String, bool)>) -> Result<(), Refusal> {
    let nulls: Vec<_> = keys.filter(|(_, null)| *null).map(|(k, _)| k.as_str()).take(20).collect();
    if nulls.is_empty() {
        return Ok(());
    }
    let why = format!("Null value not supported for : {}", nulls.join(", "));
    Err(Refusal::new(ErrorCode::InvalidRequest, why))
}
