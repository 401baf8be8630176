//! `kafka-configs --describe`.

use super::entity::{Entity, Kind};
use crate::faces::end::{Done, End, print, print_text};
use crate::faces::{groups, session};
use client::{Client, To};
use ids::BrokerId;
use std::fmt::Write as _;
use wire::ErrorCode;
use wire::api::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse,
};

pub(super) fn run(client: &mut Client, entity: &Entity, all: bool) -> Done {
    for name in names(client, entity)? {
        print(&if name.is_empty() {
            format!("Default configs for {} in the cluster are:", entity.kind.plural())
        } else {
            let which = if all { "All" } else { "Dynamic" };
            format!("{which} configs for {} {name} are:", entity.kind.singular())
        })?;
        one(client, entity.kind, &name, all)?;
    }
    Ok(())
}

/// The one that was named, which must exist, or all there are; of brokers the default last.
fn names(client: &mut Client, entity: &Entity) -> Result<Vec<String>, End> {
    let missing = |name: &str| {
        End::Complaint(format!(
            "The {} '{name}' doesn't exist and doesn't have dynamic config.",
            entity.kind.singular()
        ))
    };
    match (entity.kind, &entity.name) {
        (Kind::Topics, Some(name)) => {
            let there = session::topics(client)?.into_iter().any(|t| t.name == *name);
            if there { Ok(vec![name.clone()]) } else { Err(missing(name)) }
        }
        (Kind::Topics, None) => Ok(session::topics(client)?.into_iter().map(|t| t.name).collect()),
        (Kind::Brokers | Kind::Groups, Some(name)) => Ok(vec![name.clone()]),
        (Kind::Brokers, None) => {
            let ids = client.metadata().brokers.keys().map(i32::to_string);
            Ok(ids.chain([String::new()]).collect())
        }
        (Kind::Groups, None) => {
            Ok(groups::list(client, &[], &[])?.into_iter().map(|g| g.id).collect())
        }
    }
}

/// The source that makes a value the entity's own.
fn own_source(kind: Kind, name: &str) -> i8 {
    match kind {
        Kind::Topics => 1,
        Kind::Brokers if name.is_empty() => 3,
        Kind::Brokers => 2,
        Kind::Groups => 8,
    }
}

fn source(number: i8) -> &'static str {
    match number {
        1 => "DYNAMIC_TOPIC_CONFIG",
        2 => "DYNAMIC_BROKER_CONFIG",
        3 => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        4 => "STATIC_BROKER_CONFIG",
        5 => "DEFAULT_CONFIG",
        6 => "DYNAMIC_BROKER_LOGGER_CONFIG",
        7 => "DYNAMIC_CLIENT_METRICS_CONFIG",
        8 => "DYNAMIC_GROUP_CONFIG",
        _ => "UNKNOWN",
    }
}

fn one(client: &mut Client, kind: Kind, name: &str, all: bool) -> Done {
    let resource_type = match kind {
        Kind::Topics => 2,
        Kind::Brokers => 4,
        Kind::Groups => 32,
    };
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type,
            resource_name: name,
            configuration_keys: None,
        }],
        include_synonyms: true,
        include_documentation: false,
    };
    let to = match (kind, name.parse()) {
        (Kind::Brokers, Ok(id)) => To::Broker(BrokerId(id)),
        _ => To::Any,
    };
    let reply = client.call(to, i16::MAX, &request)?;
    let response: DescribeConfigsResponse<'_> = reply.decode().map_err(End::malformed)?;
    let mut text = String::new();
    for result in &response.results {
        if result.error_code != ErrorCode::NONE {
            let why = result.error_message.unwrap_or(result.error_code.message());
            return Err(End::Error(format!("Error while executing config command: {why}")));
        }
        let own = own_source(kind, name);
        let mut shown: Vec<_> =
            result.configs.iter().filter(|c| all || c.config_source == own).collect();
        shown.sort_by_key(|c| c.name);
        for c in shown {
            entry(c, &mut text);
        }
    }
    print_text(&text)
}

fn entry(c: &DescribeConfigsResourceResult<'_>, text: &mut String) {
    let synonyms: Vec<_> = c
        .synonyms
        .iter()
        .map(|s| format!("{}:{}={}", source(s.source), s.name, s.value.unwrap_or("null")))
        .collect();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "  {}={} sensitive={} synonyms={{{}}}",
        c.name,
        c.value.unwrap_or("null"),
        c.is_sensitive,
        synonyms.join(", ")
    );
}
