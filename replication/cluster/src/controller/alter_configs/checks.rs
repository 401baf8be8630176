//! What the configs of each kind of resource may be.

use super::Controller;
use crate::config::broker_keys::{BROKER_KEYS, broker_key, is_of_a_family};
use crate::config::group_keys::{GROUP_KEYS, group_key};
use crate::config::topic_keys::topic_key;
use crate::config::{
    Check, ConfigError, Key, Layers, Update, Value, ValueType, check_length, unknown,
};
use crate::image::{ClusterImage, Overrides};
use crate::record::{Resource, ResourceKind, STRING_BYTES_MAX};
use crate::{ErrorCode, Refusal, name};
use ids::BrokerId;

/// Keys of a client metrics subscription (KIP-714), by name.
static CLIENT_METRICS_KEYS: &[Key] = &[
    Key::new(
        "interval.ms",
        ValueType::Int,
        Some("300000"),
        Check::Between(100, 3_600_000),
        "How often clients push.",
    ),
    Key::new("match", ValueType::List, Some(""), Check::Any, "Which clients push."),
    Key::new("metrics", ValueType::List, Some(""), Check::Any, "Which metrics they push."),
];

fn client_metrics_key(name: &str) -> Option<&'static Key> {
    CLIENT_METRICS_KEYS.iter().find(|k| k.name == name)
}

/// A key of a kind of resource.
pub(super) fn key_of(kind: ResourceKind, name: &str) -> Option<&'static Key> {
    match kind {
        ResourceKind::Topic => topic_key(name),
        ResourceKind::Broker => broker_key(name),
        ResourceKind::ClientMetrics => client_metrics_key(name),
        ResourceKind::Group => group_key(name),
        ResourceKind::BrokerLogger => None,
    }
}

/// Reads kind and name of a resource whose configs are stored. Errors: INVALID_REQUEST, INVALID_TOPIC_EXCEPTION.
pub(super) fn resource(kind: i8, name: &str) -> Result<Resource, Refusal> {
    let refuse = |why: String| Err(Refusal::new(ErrorCode::InvalidRequest, why));
    let Some(kind) = ResourceKind::from_wire(kind) else {
        return refuse(format!("Unknown resource type {kind}"));
    };
    match kind {
        ResourceKind::Topic if name.is_empty() => {
            return refuse("Default topic resources are not allowed.".into());
        }
        ResourceKind::Topic => name::check(name)?,
        ResourceKind::Broker if name.is_empty() => {}
        ResourceKind::Broker => {
            // "+1" and "01" would be two names for one broker.
            let id: Option<i32> = name.parse().ok();
            if id.is_none_or(|id| id < 0 || id.to_string() != name) {
                let quoted: String = name.chars().take(50).collect();
                return refuse(format!(
                    "Node id must be a non-negative integer, but it is: {quoted}"
                ));
            }
        }
        ResourceKind::BrokerLogger => {
            return refuse("Log levels are not changed through the controller.".into());
        }
        ResourceKind::ClientMetrics if name.is_empty() => {
            return refuse("Default client metrics resources are not allowed.".into());
        }
        ResourceKind::Group if name.is_empty() => {
            return refuse("Default group resources are not allowed.".into());
        }
        ResourceKind::ClientMetrics | ResourceKind::Group => {
            if name.len() > STRING_BYTES_MAX {
                return refuse("The resource name is too long.".into());
            }
        }
    }
    Ok(Resource { kind, name: name.to_owned() })
}

impl Controller {
    /// Checks what the overrides of a resource would be. `old` are those of now: of a broker only what differs is checked.
    pub(super) fn check_overrides(
        &self,
        resource: &Resource,
        old: &Overrides,
        new: &Overrides,
    ) -> Result<(), Refusal> {
        let invalid = |e: ConfigError| Refusal::new(ErrorCode::InvalidConfig, e.message);
        match resource.kind {
            ResourceKind::Topic => {
                self.layers().check_topic(&resource.name, new).map_err(invalid)?;
                if self.image.topic_named(&resource.name).is_none() {
                    let why = format!("The topic '{}' does not exist.", resource.name);
                    return Err(Refusal::new(ErrorCode::UnknownTopicOrPartition, why));
                }
                Ok(())
            }
            ResourceKind::Broker => self.check_broker(resource, old, new),
            ResourceKind::Group => self.check_group(new).map_err(invalid),
            ResourceKind::ClientMetrics => {
                for (name, value) in new {
                    let key = client_metrics_key(name)
                        .ok_or_else(|| unknown("client metrics", name, CLIENT_METRICS_KEYS));
                    let checked = key.and_then(|k| {
                        check_length(name, value)?;
                        k.parse(value)
                    });
                    checked.map_err(|e| Refusal::new(ErrorCode::InvalidRequest, e.message))?;
                }
                Ok(())
            }
            ResourceKind::BrokerLogger => {
                let why = "Log levels are not changed through the controller.";
                Err(Refusal::new(ErrorCode::InvalidRequest, why))
            }
        }
    }

    fn check_broker(
        &self,
        resource: &Resource,
        old: &Overrides,
        new: &Overrides,
    ) -> Result<(), Refusal> {
        let refuse = |why: String| Err(Refusal::new(ErrorCode::InvalidRequest, why));
        let all = resource.name.is_empty();
        let id = resource.name.parse().map_or(BrokerId::NONE, BrokerId);
        if !all && self.image.broker(id).is_none() {
            return refuse(format!("Unexpected broker id {id}: no such broker is registered."));
        }
        for (name, value) in new.iter().filter(|(name, value)| old.get(*name) != Some(value)) {
            let too_long = |e: ConfigError| Refusal::new(ErrorCode::InvalidRequest, e.message);
            check_length(name, value).map_err(too_long)?;
            let update = match broker_key(name) {
                Some(key) => {
                    if let Err(error) = key.parse(value) {
                        return refuse(error.message);
                    }
                    key.update
                }
                None if is_of_a_family(name) => Update::PerBroker,
                None => {
                    let error = unknown("broker", name, BROKER_KEYS);
                    return Err(Refusal::new(ErrorCode::InvalidConfig, error.message));
                }
            };
            match update {
                Update::ReadOnly => {
                    return refuse(format!("Cannot update these configs dynamically: {name}"));
                }
                Update::PerBroker if all => {
                    return refuse(format!(
                        "Cannot update these configs at default cluster level, broker id must be specified: {name}"
                    ));
                }
                Update::PerBroker | Update::ClusterWide => {}
            }
        }
        // What topics without overrides would get must be legal as a whole too.
        let mut after = ClusterImage::new();
        after.set_overrides(resource, new);
        let other = if all { Resource::broker(self.broker) } else { Resource::all_brokers() };
        if let Some(overrides) = self.image.overrides(&other) {
            after.set_overrides(&other, overrides);
        }
        let broker = if all { self.broker } else { id };
        let layers = Layers { image: &after, broker, fixed: &self.fixed };
        match layers.check_topic("", &Overrides::new()) {
            Ok(_) => Ok(()),
            Err(error) => refuse(error.message),
        }
    }

    fn check_group(&self, new: &Overrides) -> Result<(), ConfigError> {
        for (name, value) in new {
            let key = group_key(name).ok_or_else(|| unknown("group", name, GROUP_KEYS))?;
            check_length(name, value)?;
            let value = key.parse(value)?;
            let bounds = match key.name {
                "consumer.session.timeout.ms" => (
                    "group.consumer.min.session.timeout.ms",
                    "group.consumer.max.session.timeout.ms",
                ),
                "consumer.heartbeat.interval.ms" => (
                    "group.consumer.min.heartbeat.interval.ms",
                    "group.consumer.max.heartbeat.interval.ms",
                ),
                _ => continue,
            };
            let bound = |name| match self.layers().broker_value(name) {
                Some(Value::Integer(v)) => Some(v),
                Some(_) | None => None,
            };
            if let (Value::Integer(v), Some(min), Some(max)) =
                (&value, bound(bounds.0), bound(bounds.1))
                && !(min..=max).contains(v)
            {
                let name = key.name;
                let why = format!(
                    "{name} must be from {min} ({}) to {max} ({}), not {v}",
                    bounds.0, bounds.1
                );
                return Err(ConfigError::new(name, why));
            }
        }
        Ok(())
    }
}
