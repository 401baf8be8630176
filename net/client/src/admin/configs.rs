//! Reading and changing configurations.

use super::Outcome;
use crate::client::{Client, To};
use crate::error::ClientError;
use ids::BrokerId;
use std::fmt;
use wire::ErrorCode;
use wire::api::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResponse,
};
use wire::api::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};

/// What has a configuration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ResourceKind {
    /// A topic, by name.
    Topic,
    /// A broker, by id; the empty name is the default of all brokers.
    Broker,
    /// A broker's log levels, by id.
    BrokerLogger,
    /// Client metrics, by subscription.
    ClientMetrics,
    /// A consumer group, by name.
    Group,
}

impl ResourceKind {
    fn number(self) -> i8 {
        match self {
            Self::Topic => 2,
            Self::Broker => 4,
            Self::BrokerLogger => 8,
            Self::ClientMetrics => 16,
            Self::Group => 32,
        }
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Topic => "topic",
            Self::Broker => "broker",
            Self::BrokerLogger => "broker logger",
            Self::ClientMetrics => "client metrics",
            Self::Group => "group",
        })
    }
}

/// One thing that has a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigResource {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ConfigResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

impl ConfigResource {
    /// A topic's configuration.
    #[must_use]
    pub fn topic(name: &str) -> Self {
        Self { kind: ResourceKind::Topic, name: name.to_owned() }
    }

    /// A broker's configuration; the empty name is the default of all brokers.
    #[must_use]
    pub fn broker(name: &str) -> Self {
        Self { kind: ResourceKind::Broker, name: name.to_owned() }
    }

    /// Who answers for it: a broker speaks for itself only.
    fn whom(&self) -> To {
        match (self.kind, self.name.parse()) {
            (ResourceKind::Broker | ResourceKind::BrokerLogger, Ok(id)) => To::Broker(BrokerId(id)),
            _ => To::Any,
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigSource {
    /// Set on the topic.
    Topic,
    /// Set on this broker at run time.
    Broker,
    /// Set on all brokers at run time.
    AllBrokers,
    /// The broker's configuration file.
    File,
    /// The built-in default.
    Default,
    /// A log level set at run time.
    BrokerLogger,
    /// Set on the client metrics subscription.
    ClientMetrics,
    /// Set on the group.
    Group,
    /// Something newer than this client, by number.
    Other(i8),
}

impl From<i8> for ConfigSource {
    fn from(number: i8) -> Self {
        match number {
            1 => Self::Topic,
            2 => Self::Broker,
            3 => Self::AllBrokers,
            4 => Self::File,
            5 => Self::Default,
            6 => Self::BrokerLogger,
            7 => Self::ClientMetrics,
            8 => Self::Group,
            n => Self::Other(n),
        }
    }
}

impl fmt::Display for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Topic => "topic",
            Self::Broker => "broker",
            Self::AllBrokers => "all-brokers",
            Self::File => "file",
            Self::Default => "default",
            Self::BrokerLogger => "logger",
            Self::ClientMetrics => "client-metrics",
            Self::Group => "group",
            Self::Other(n) => return write!(f, "source-{n}"),
        })
    }
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its key, Kafka's name.
    pub name: String,
    /// Its value; `None` when it is secret or not set.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// It cannot be changed at run time.
    pub read_only: bool,
    /// It is secret.
    pub is_sensitive: bool,
}

/// What to do with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigOperation {
    /// Give it this value.
    Set(String),
    /// Take its own value away, so that the default counts again.
    Unset,
    /// Add to a list.
    Append(String),
    /// Take from a list.
    Subtract(String),
}

/// A key and what to do with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    /// The key.
    pub name: String,
    /// What to do with it.
    pub operation: ConfigOperation,
}

impl Client {
    /// The configuration of one resource; only `keys`, if any are given.
    ///
    /// # Errors
    /// The broker's refusal, or no answer.
    pub fn describe_config(
        &mut self,
        resource: &ConfigResource,
        keys: Option<&[&str]>,
    ) -> Result<Vec<ConfigEntry>, ClientError> {
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: resource.kind.number(),
                resource_name: &resource.name,
                configuration_keys: keys.map(<[&str]>::to_vec),
            }],
            include_synonyms: false,
            include_documentation: false,
        };
        let deadline = self.deadline();
        let answer = self.retrying(deadline, |client| {
            let reply = client.call(resource.whom(), i16::MAX, &request)?;
            let response: DescribeConfigsResponse<'_> = client.decode(&reply)?;
            let what = || format!("configuration of {resource}");
            let result = response.results.first().ok_or_else(|| {
                ClientError::refused(what(), ErrorCode::UNKNOWN_SERVER_ERROR, Some("no answer"))
            })?;
            match result.error_code {
                ErrorCode::NONE => {}
                // What does not exist is not waited for: nobody who asks for its configuration has just made it.
                code if code.is_retriable() && code != ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
                    return Err(ClientError::refused(what(), code, result.error_message));
                }
                code => {
                    return Ok(Err(ClientError::refused(what(), code, result.error_message)));
                }
            }
            let mut entries: Vec<_> = result
                .configs
                .iter()
                .map(|c| ConfigEntry {
                    name: c.name.to_owned(),
                    value: c.value.map(str::to_owned),
                    source: c.config_source.into(),
                    read_only: c.read_only,
                    is_sensitive: c.is_sensitive,
                })
                .collect();
            entries.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(Ok(entries))
        });
        answer?
    }

    /// Changes single keys of one resource; the others stay (KIP-339).
    ///
    /// # Errors
    /// The broker's refusal, or no answer.
    pub fn alter_config(
        &mut self,
        resource: &ConfigResource,
        changes: &[ConfigChange],
        validate_only: bool,
    ) -> Result<(), ClientError> {
        let configs = changes
            .iter()
            .map(|c| {
                let (config_operation, value) = match &c.operation {
                    ConfigOperation::Set(v) => (0, Some(v.as_str())),
                    ConfigOperation::Unset => (1, None),
                    ConfigOperation::Append(v) => (2, Some(v.as_str())),
                    ConfigOperation::Subtract(v) => (3, Some(v.as_str())),
                };
                AlterableConfig { name: &c.name, config_operation, value }
            })
            .collect();
        let request = IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: resource.kind.number(),
                resource_name: &resource.name,
                configs,
            }],
            validate_only,
        };
        let whom = resource.whom();
        let whom = if whom == To::Any { To::Controller } else { whom };
        let reply = self.call(whom, i16::MAX, &request)?;
        let response: IncrementalAlterConfigsResponse<'_> = self.decode(&reply)?;
        for r in &response.responses {
            let name = resource.to_string();
            Outcome::of("configuration of", &name, r.error_code, r.error_message, ())
                .result
                .map_err(ClientError::Refused)?;
        }
        Ok(())
    }
}
