//! Whose configuration is meant: `--entity-type topics --entity-name t`, or `--topic t` for short.

use crate::faces::end::End;
use crate::faces::grammar::Words;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Topics,
    Brokers,
    Groups,
}

impl Kind {
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Topics => "topics",
            Self::Brokers => "brokers",
            Self::Groups => "groups",
        }
    }

    pub(super) fn singular(self) -> &'static str {
        match self {
            Self::Topics => "topic",
            Self::Brokers => "broker",
            Self::Groups => "group",
        }
    }
}

/// One of a kind, or all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entity {
    pub(super) kind: Kind,
    /// Empty: the default of all; none: each one.
    pub(super) name: Option<String>,
}

impl Entity {
    pub(super) fn read(line: &Words) -> Result<Self, End> {
        let long = ["entity-type", "entity-name", "entity-default"].iter().any(|f| line.has(f));
        let short: Vec<_> = ["topic", "broker", "broker-defaults", "group"]
            .into_iter()
            .filter(|f| line.has(f))
            .collect();
        let entity = match (long, short.as_slice()) {
            (false, []) => {
                return Err(End::Error("At least one entity type must be specified".into()));
            }
            (true, []) => Self::long(line)?,
            (false, ["topic"]) => Self::of(Kind::Topics, line.value("topic")?),
            (false, ["broker"]) => Self::of(Kind::Brokers, line.value("broker")?),
            (false, ["broker-defaults"]) => Self::of(Kind::Brokers, Some("")),
            (false, ["group"]) => Self::of(Kind::Groups, line.value("group")?),
            (true, _) => {
                return Err(End::Error("--entity-{type,name,default} should not be used in conjunction with specific entity flags".into()));
            }
            (false, _) => {
                return Err(End::Error("Exactly one entity type must be specified".into()));
            }
        };
        entity.check()
    }

    fn of(kind: Kind, name: Option<&str>) -> Self {
        Self { kind, name: name.map(str::to_owned) }
    }

    fn long(line: &Words) -> Result<Self, End> {
        let kind = match line.value("entity-type")? {
            None => return Err(End::Error("At least one entity type must be specified".into())),
            Some("topics") => Kind::Topics,
            Some("brokers") => Kind::Brokers,
            Some("groups") => Kind::Groups,
            Some(other @ ("clients" | "users" | "ips" | "broker-loggers" | "client-metrics")) => {
                return Err(End::Error(format!(
                    "not supported by ringwood: --entity-type {other}"
                )));
            }
            Some(other) => {
                return Err(End::Error(format!(
                    "Invalid entity type {other}, the entity type must be one of topics, brokers, groups with a --bootstrap-server or --bootstrap-controller argument"
                )));
            }
        };
        let name = match (line.value("entity-name")?, line.has("entity-default")) {
            (Some(_), true) => {
                return Err(End::Error("More entity names specified than entity types".into()));
            }
            (name, false) => name,
            (None, true) if kind == Kind::Brokers => Some(""),
            (None, true) => {
                return Err(End::Error(format!(
                    "--entity-default must not be specified with {}",
                    kind.plural()
                )));
            }
        };
        Ok(Self::of(kind, name))
    }

    fn check(self) -> Result<Self, End> {
        match (self.kind, self.name.as_deref()) {
            (Kind::Brokers, Some(name)) if !name.is_empty() && name.parse::<i32>().is_err() => {
                Err(End::Error(format!(
                    "The entity name for brokers must be a valid integer broker id, but it is: {name}"
                )))
            }
            _ => Ok(self),
        }
    }
}
