//! `ringwood config`: configurations of topics and brokers, by Kafka's names.

use crate::changes;
use crate::connect::{ClusterArgs, near, topic};
use crate::failure::{Done, Failure};
use crate::output::{Column, Output, say};
use clap::{Args, Subcommand};
use client::{
    Client, ConfigChange, ConfigEntry, ConfigOperation, ConfigResource, ConfigSource, ResourceKind,
};
use serde::Serialize;
use wire::ErrorCode;

/// Look at configurations and change them.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct ConfigArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the values of some keys
    Get {
        #[command(flatten)]
        of: Of,
        /// The keys
        #[arg(required = true, value_name = "KEY", value_parser = changes::key)]
        keys: Vec<String>,
    },
    /// Give keys a value
    Set {
        #[command(flatten)]
        of: Of,
        /// The keys and their values
        #[arg(required = true, value_name = "KEY=VALUE", value_parser = changes::pair)]
        pairs: Vec<(String, String)>,
        /// Only check whether it would work
        #[arg(long)]
        dry_run: bool,
    },
    /// Take values away, so that the default counts again
    Unset {
        #[command(flatten)]
        of: Of,
        /// The keys
        #[arg(required = true, value_name = "KEY", value_parser = changes::key)]
        keys: Vec<String>,
        /// Only check whether it would work
        #[arg(long)]
        dry_run: bool,
    },
    /// List what has been set; with --all the defaults too
    List {
        #[command(flatten)]
        of: Of,
        /// The defaults too
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, Args)]
struct Of {
    /// What has the configuration: topic/NAME, broker/ID, broker for the default of all brokers, or group/NAME
    #[arg(value_name = "RESOURCE", value_parser = resource)]
    resource: ConfigResource,
}

fn resource(text: &str) -> Result<ConfigResource, String> {
    let (kind, name) = text.split_once('/').unwrap_or((text, ""));
    match kind {
        "topic" | "topics" if !name.is_empty() => Ok(ConfigResource::topic(name)),
        "broker" | "brokers" if name.is_empty() || name == "default" => {
            Ok(ConfigResource::broker(""))
        }
        "broker" | "brokers" if name.parse::<i32>().is_ok_and(|id| id >= 0) => {
            Ok(ConfigResource::broker(name))
        }
        "group" | "groups" if !name.is_empty() => {
            Ok(ConfigResource { kind: ResourceKind::Group, name: name.to_owned() })
        }
        _ => Err(format!("`{text}` is none of topic/NAME, broker/ID, broker, and group/NAME")),
    }
}

pub(crate) fn run(args: ConfigArgs) -> Done {
    let mut client = args.cluster.connect()?;
    let output = args.cluster.output();
    match args.command {
        ConfigCommand::Get { of, keys } => get(&mut client, output, &of.resource, &keys),
        ConfigCommand::Set { of, pairs, dry_run } => {
            exists(&mut client, &of.resource)?;
            let changes = changes::changes(&pairs, &[], &[], &[]);
            alter(&mut client, output, &of.resource, &changes, dry_run)
        }
        ConfigCommand::Unset { of, keys, dry_run } => {
            exists(&mut client, &of.resource)?;
            let changes = changes::changes(&[], &keys, &[], &[]);
            alter(&mut client, output, &of.resource, &changes, dry_run)
        }
        ConfigCommand::List { of, all } => list(&mut client, output, &of.resource, all),
    }
}

/// Refuses what does not exist, with a suggestion.
fn exists(client: &mut Client, resource: &ConfigResource) -> Result<(), Failure> {
    let name = &resource.name;
    match resource.kind {
        ResourceKind::Topic => {
            topic(client, name, &format!("cannot find topic {name}"))?;
        }
        ResourceKind::Broker if !name.is_empty() => {
            let known = &client.metadata().brokers;
            if name.parse().is_ok_and(|id: i32| !known.contains_key(&id)) {
                let ids: Vec<_> = known.keys().map(i32::to_string).collect();
                return Err(Failure {
                    area: "config",
                    what: format!("there is no broker {name}"),
                    cause: format!(
                        "{}: the brokers are {}",
                        ErrorCode::BROKER_ID_NOT_REGISTERED,
                        ids.join(", ")
                    ),
                    remedy: "see them with `ringwood cluster brokers`".into(),
                    code: crate::exit::NOT_FOUND_OR_EXISTS,
                });
            }
        }
        ResourceKind::Broker
        | ResourceKind::BrokerLogger
        | ResourceKind::ClientMetrics
        | ResourceKind::Group => {}
    }
    Ok(())
}

fn describe(client: &mut Client, resource: &ConfigResource) -> Result<Vec<ConfigEntry>, Failure> {
    exists(client, resource)?;
    let what = format!("cannot read the configuration of {}", shown(resource));
    client.describe_config(resource, None).map_err(|e| Failure::client("config", what, &e))
}

fn shown(resource: &ConfigResource) -> String {
    if resource.name.is_empty() { "all brokers".to_owned() } else { resource.to_string() }
}

#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    value: Option<&'a str>,
    source: String,
    read_only: bool,
    sensitive: bool,
}

impl<'a> Entry<'a> {
    fn of(entry: &'a ConfigEntry) -> Self {
        Self {
            name: &entry.name,
            value: entry.value.as_deref(),
            source: entry.source.to_string(),
            read_only: entry.read_only,
            sensitive: entry.is_sensitive,
        }
    }

    fn value(&self) -> String {
        let unknown = if self.sensitive { "(secret)" } else { "" };
        self.value.unwrap_or(unknown).to_owned()
    }
}

fn get(client: &mut Client, output: Output, resource: &ConfigResource, keys: &[String]) -> Done {
    let entries = describe(client, resource)?;
    let mut found = Vec::new();
    for key in keys {
        let Some(entry) = entries.iter().find(|e| e.name == *key) else {
            let names = entries.iter().map(|e| e.name.as_str());
            let near = near(key, names).map_or_else(
                || "see the keys with `ringwood config list RESOURCE --all`".to_owned(),
                |near| format!("did you mean {near}?"),
            );
            return Err(Failure {
                area: "config",
                what: format!("there is no key {key}"),
                cause: format!("{} does not have it", shown(resource)),
                remedy: near,
                code: crate::exit::NOT_FOUND_OR_EXISTS,
            }
            .into());
        };
        found.push(Entry::of(entry));
    }
    if output.json {
        return output.json(&found);
    }
    // One key: its value and nothing else, for $(...).
    if let [only] = found.as_slice() {
        return crate::output::write(format!("{}\n", only.value()).as_bytes());
    }
    show(output, &found)
}

fn list(client: &mut Client, output: Output, resource: &ConfigResource, all: bool) -> Done {
    let entries = describe(client, resource)?;
    let shown: Vec<_> =
        entries.iter().filter(|e| all || is_own(e.source, resource.kind)).map(Entry::of).collect();
    if output.json {
        return output.json(&shown);
    }
    if shown.is_empty() {
        say("nothing has been set; --all shows the defaults");
        return Ok(());
    }
    show(output, &shown)
}

/// Set here, and not inherited.
fn is_own(source: ConfigSource, kind: ResourceKind) -> bool {
    match source {
        ConfigSource::Default => false,
        ConfigSource::Broker | ConfigSource::AllBrokers | ConfigSource::File => {
            kind != ResourceKind::Topic
        }
        ConfigSource::Topic
        | ConfigSource::BrokerLogger
        | ConfigSource::ClientMetrics
        | ConfigSource::Group
        | ConfigSource::Other(_) => true,
    }
}

fn show(output: Output, entries: &[Entry<'_>]) -> Done {
    let rows: Vec<_> =
        entries.iter().map(|e| [e.name.to_owned(), e.value(), e.source.clone()]).collect();
    output.table([Column::Left("KEY"), Column::Left("VALUE"), Column::Left("SOURCE")], &rows)
}

#[derive(Serialize)]
struct Changed<'a> {
    name: &'a str,
    operation: &'static str,
    value: Option<&'a str>,
    applied: bool,
}

/// Changes keys of a resource, and says what has changed.
pub(crate) fn alter(
    client: &mut Client,
    output: Output,
    resource: &ConfigResource,
    changes: &[ConfigChange],
    dry_run: bool,
) -> Done {
    let shown = shown(resource);
    if let Err(e) = client.alter_config(resource, changes, dry_run) {
        let what = format!("cannot change the configuration of {shown}");
        return Err(refused_change(client, resource, changes, what, &e).into());
    }
    let changed: Vec<_> = changes
        .iter()
        .map(|c| {
            let (operation, value) = match &c.operation {
                ConfigOperation::Set(v) => ("set", Some(v.as_str())),
                ConfigOperation::Unset => ("unset", None),
                ConfigOperation::Append(v) => ("append", Some(v.as_str())),
                ConfigOperation::Subtract(v) => ("subtract", Some(v.as_str())),
            };
            Changed { name: &c.name, operation, value, applied: !dry_run }
        })
        .collect();
    for c in &changed {
        let verb = match (c.operation, dry_run) {
            ("unset", false) => "default again",
            (_, false) => "changed",
            (_, true) => "would change",
        };
        let value = c.value.map_or_else(String::new, |v| format!("={v}"));
        say(format_args!("{shown}: {verb} {}{value}", c.name));
    }
    if output.json { output.json(&changed) } else { Ok(()) }
}

/// A key with a typing error is the likeliest reason: names that exist are near at hand.
fn refused_change(
    client: &mut Client,
    resource: &ConfigResource,
    changes: &[ConfigChange],
    what: String,
    error: &client::ClientError,
) -> Failure {
    let mut failure = Failure::client("config", what, error);
    if error.code() != Some(ErrorCode::INVALID_CONFIG) {
        return failure;
    }
    let Ok(entries) = client.describe_config(resource, None) else { return failure };
    let unknown = changes.iter().find(|c| entries.iter().all(|e| e.name != c.name));
    if let Some(unknown) = unknown
        && let Some(near) = near(&unknown.name, entries.iter().map(|e| e.name.as_str()))
    {
        failure.remedy = format!("write {near}, if that is what is meant");
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_a_kind_and_a_name() {
        assert_eq!(resource("topic/a/b"), Ok(ConfigResource::topic("a/b")));
        assert_eq!(resource("broker/1"), Ok(ConfigResource::broker("1")));
        assert_eq!(resource("broker"), Ok(ConfigResource::broker("")));
        let group = resource("group/g").map(|r| (r.kind, r.name));
        assert_eq!(group, Ok((ResourceKind::Group, "g".into())));
        for bad in ["", "topic", "topic/", "broker/x", "broker/-1", "tpoic/a"] {
            assert!(resource(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_topic_inherits_is_not_its_own() {
        assert!(!is_own(ConfigSource::File, ResourceKind::Topic));
        assert!(is_own(ConfigSource::File, ResourceKind::Broker));
        assert!(!is_own(ConfigSource::Default, ResourceKind::Broker));
    }
}
