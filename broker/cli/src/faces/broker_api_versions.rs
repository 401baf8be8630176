//! `kafka-broker-api-versions`.

use super::end::{Done, End, print_text, words};
use super::grammar::Words;
use super::session;
use client::{To, Versions};
use std::collections::BTreeMap;

/// Number, name, lowest and highest version of each API that Kafka's clients know.
const APIS: &str = include_str!("apis.txt");

struct Api {
    name: &'static str,
    min: i16,
    max: i16,
}

pub(super) fn run(line: &Words) -> Done {
    line.required("bootstrap-server")?;
    let mut client = session::admin(line, "admin-1")?;
    let brokers: Vec<_> = client.metadata().brokers.values().cloned().collect();
    for b in brokers {
        let rack = b.rack.as_deref().unwrap_or("null");
        let head =
            format!("{}:{} (id: {} rack: {rack} isFenced: false) -> ", b.host, b.port, b.id.0);
        let text = match client.connection(To::Broker(b.id)) {
            Ok(connection) => listed(connection.versions())?,
            Err(e) => format!("ERROR: {}", words(&e)),
        };
        print_text(&format!("{head}{text}\n"))?;
    }
    Ok(())
}

fn known() -> Option<BTreeMap<i16, Api>> {
    let lines = APIS.lines().filter(|l| !l.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.split(' ');
            let key = words.next()?.parse().ok()?;
            let name = words.next()?;
            let (min, max) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            Some((key, Api { name, min, max }))
        })
        .collect()
}

fn listed(versions: &Versions) -> Result<String, End> {
    let known = known().ok_or_else(|| End::Error("the table of APIs cannot be read".into()))?;
    let theirs: BTreeMap<i16, (i16, i16)> =
        versions.iter().map(|(key, min, max)| (key, (min, max))).collect();
    let mut keys: Vec<i16> = known.keys().chain(theirs.keys()).copied().collect();
    keys.sort_unstable();
    keys.dedup();
    let lines: Vec<_> = keys
        .into_iter()
        .map(|key| match (known.get(&key), theirs.get(&key)) {
            (Some(api), Some((min, max))) => {
                let usable = api.max.min(*max);
                let usable = if api.max < *min {
                    "unusable: node too new".to_owned()
                } else if *max < api.min {
                    "unusable: node too old".to_owned()
                } else {
                    format!("usable: {usable}")
                };
                format!("{}({key}): {} [{usable}]", api.name, range(*min, *max))
            }
            (Some(api), None) => format!("{}({key}): UNSUPPORTED", api.name),
            (None, Some((min, max))) => format!("UNKNOWN({key}): {}", range(*min, *max)),
            (None, None) => String::new(),
        })
        .collect();
    Ok(format!("(\n\t{}\n)", lines.join(",\n\t")))
}

fn range(min: i16, max: i16) -> String {
    if min == max { min.to_string() } else { format!("{min} to {max}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::api::ApiKey;

    #[test]
    fn the_table_has_the_names_of_the_protocol() {
        let known = known().unwrap();
        assert!(known.len() > 60);
        for (key, api) in known {
            assert!(api.min <= api.max, "{}", api.name);
            if let Some(ours) = ApiKey::from_code(key) {
                assert_eq!(ours.name(), api.name);
            }
        }
    }
}
