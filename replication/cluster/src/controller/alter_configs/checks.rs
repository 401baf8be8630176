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

/// Between which two keys of the broker a key of a group must lie; without the first there is no lower bound.
static GROUP_BOUNDS: &[(&str, Option<&str>, &str)] = &[
    (
        "consumer.assignment.interval.ms",
        Some("group.consumer.min.assignment.interval.ms"),
        "group.consumer.max.assignment.interval.ms",
    ),
    (
        "consumer.heartbeat.interval.ms",
        Some("group.consumer.min.heartbeat.interval.ms"),
        "group.consumer.max.heartbeat.interval.ms",
    ),
    (
        "consumer.session.timeout.ms",
        Some("group.consumer.min.session.timeout.ms"),
        "group.consumer.max.session.timeout.ms",
    ),
    (
        "share.assignment.interval.ms",
        Some("group.share.min.assignment.interval.ms"),
        "group.share.max.assignment.interval.ms",
    ),
    (
        "share.delivery.count.limit",
        Some("group.share.min.delivery.count.limit"),
        "group.share.max.delivery.count.limit",
    ),
    (
        "share.heartbeat.interval.ms",
        Some("group.share.min.heartbeat.interval.ms"),
        "group.share.max.heartbeat.interval.ms",
    ),
    (
        "share.partition.max.record.locks",
        Some("group.share.min.partition.max.record.locks"),
        "group.share.max.partition.max.record.locks",
    ),
    (
        "share.record.lock.duration.ms",
        Some("group.share.min.record.lock.duration.ms"),
        "group.share.max.record.lock.duration.ms",
    ),
    (
        "share.session.timeout.ms",
        Some("group.share.min.session.timeout.ms"),
        "group.share.max.session.timeout.ms",
    ),
    (
        "streams.assignment.interval.ms",
        Some("group.streams.min.assignment.interval.ms"),
        "group.streams.max.assignment.interval.ms",
    ),
    (
        "streams.heartbeat.interval.ms",
        Some("group.streams.min.heartbeat.interval.ms"),
        "group.streams.max.heartbeat.interval.ms",
    ),
    ("streams.num.standby.replicas", None, "group.streams.max.standby.replicas"),
    (
        "streams.session.timeout.ms",
        Some("group.streams.min.session.timeout.ms"),
        "group.streams.max.session.timeout.ms",
    ),
];

/// Session timeout and heartbeat interval of each kind of group: the first must be the longer one. What a group does not set is
/// the broker's, under the second name.
static GROUP_SESSIONS: &[[(&str, &str); 2]] = &[
    [
        ("consumer.session.timeout.ms", "group.consumer.session.timeout.ms"),
        ("consumer.heartbeat.interval.ms", "group.consumer.heartbeat.interval.ms"),
    ],
    [
        ("share.session.timeout.ms", "group.share.session.timeout.ms"),
        ("share.heartbeat.interval.ms", "group.share.heartbeat.interval.ms"),
    ],
    [
        ("streams.session.timeout.ms", "group.streams.session.timeout.ms"),
        ("streams.heartbeat.interval.ms", "group.streams.heartbeat.interval.ms"),
    ],
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
        let of_broker = |name| match self.layers().broker_value(name) {
            Some(Value::Integer(v)) => Some(v),
            Some(_) | None => None,
        };
        for (name, value) in new {
            let key = group_key(name).ok_or_else(|| unknown("group", name, GROUP_KEYS))?;
            check_length(name, value)?;
            let value = key.parse(value)?;
            let bounds = GROUP_BOUNDS.iter().find(|bounds| bounds.0 == key.name);
            let (Value::Integer(v), Some((name, min, max))) = (&value, bounds) else { continue };
            if let Some((min, bound)) = min.and_then(|min| Some((min, of_broker(min)?)))
                && *v < bound
            {
                let why = format!("{name} must be at least {bound}, the broker's {min}, not {v}");
                return Err(ConfigError::new(name, why));
            }
            if let Some(bound) = of_broker(max)
                && *v > bound
            {
                let why = format!("{name} must be at most {bound}, the broker's {max}, not {v}");
                return Err(ConfigError::new(name, why));
            }
        }
        let effective = |(own, broker): (&str, &'static str)| {
            let own = new.get(own).and_then(|value| group_key(own)?.parse(value).ok());
            match own {
                Some(Value::Integer(v)) => Some(v),
                Some(_) | None => of_broker(broker),
            }
        };
        for [session, heartbeat] in GROUP_SESSIONS {
            // Members would be put out between two of their heartbeats.
            let set = new.contains_key(session.0) || new.contains_key(heartbeat.0);
            if set
                && let (Some(timeout), Some(interval)) =
                    (effective(*session), effective(*heartbeat))
                && timeout <= interval
            {
                let (session, heartbeat) = (session.0, heartbeat.0);
                let why = format!(
                    "{session} must be greater than {heartbeat}, but they are {timeout} and {interval}"
                );
                return Err(ConfigError::new(session, why));
            }
        }
        Ok(())
    }
}
