//! `kafka-configs`.

mod describe;
mod entity;
mod pairs;

use super::end::{Done, End, print, words};
use super::grammar::Words;
use super::properties;
use super::session;
use crate::output::say;
use client::{Client, ConfigChange, ConfigOperation, ConfigResource, ResourceKind};
use entity::{Entity, Kind};

pub(super) fn run(line: &Words) -> Done {
    let actions = [line.has("alter"), line.has("describe")];
    if actions.iter().filter(|a| **a).count() != 1 {
        return Err(End::Usage(
            "Command must include exactly one action: --describe, --alter".into(),
        ));
    }
    if !line.has("bootstrap-server") {
        let missing = "Either --bootstrap-server or --bootstrap-controller must be specified.";
        return Err(End::Error(missing.into()));
    }
    let entity = Entity::read(line)?;
    let mut client = session::admin(line, "kafka-configs")?;
    if line.has("alter") {
        alter(&mut client, line, &entity)
    } else {
        describe::run(&mut client, &entity, line.has("all"))
    }
}

fn alter(client: &mut Client, line: &Words, entity: &Entity) -> Done {
    let Some(name) = &entity.name else {
        return Err(End::Error(match entity.kind {
            Kind::Brokers => "An entity-name or default entity must be specified with --alter of users, clients, brokers or ips".into(),
            Kind::Topics | Kind::Groups => {
                format!("An entity name must be specified with --alter of {}", entity.kind.plural())
            }
        }));
    };
    if line.has("add-config") && line.has("add-config-file") {
        let both = "Only one of --add-config or --add-config-file must be specified";
        return Err(End::Error(both.into()));
    }
    let changes = changes(line)?;
    if changes.is_empty() {
        return Err(End::Error("At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter".into()));
    }
    let resource = ConfigResource { kind: entity.kind.resource(), name: name.clone() };
    if let Err(e) = client.alter_config(&resource, &changes, false) {
        say(format_args!("Error while executing config command: {}", words(&e)));
        return Err(End::Said);
    }
    print(&if name.is_empty() {
        format!("Completed updating default config for {} in the cluster.", entity.kind.plural())
    } else {
        format!("Completed updating config for {} {name}.", entity.kind.singular())
    })
}

fn changes(line: &Words) -> Result<Vec<ConfigChange>, End> {
    let mut changes = Vec::new();
    let mut set = |name: &str, value: &str| {
        let operation = ConfigOperation::Set(value.to_owned());
        changes.push(ConfigChange { name: name.to_owned(), operation });
    };
    if let Some(text) = line.value("add-config")? {
        for (name, value) in pairs::read(text)? {
            set(&name, &value);
        }
    }
    if let Some(path) = line.value("add-config-file")? {
        for (name, value) in properties::load(path)?.iter() {
            set(name, value);
        }
    }
    for name in line.values("delete-config").flat_map(|list| list.split(',')) {
        let operation = ConfigOperation::Unset;
        changes.push(ConfigChange { name: name.trim().to_owned(), operation });
    }
    Ok(changes)
}

impl Kind {
    fn resource(self) -> ResourceKind {
        match self {
            Self::Topics => ResourceKind::Topic,
            Self::Brokers => ResourceKind::Broker,
            Self::Groups => ResourceKind::Group,
        }
    }
}
