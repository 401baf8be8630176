//! COMPAT.md against the binary and against the keys that the broker knows.

use crate::broker::{Broker, fresh};
use crate::table::rows;
use crate::tree::section;
use crate::{Complaints, named, none, tree};
use cluster::config::broker_keys::{BROKER_KEYS, INERT_BROKER_KEYS};
use cluster::config::group_keys::GROUP_KEYS;
use cluster::config::topic_keys::TOPIC_KEYS;
use cluster::config::{Effect, Key};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use wire::api::ApiKey;

/// What is advertised: lowest and highest version by key.
type Served = BTreeMap<i16, (i16, i16)>;

/// Asks as a client would that knows nothing yet: ApiVersions version 0, by hand.
fn ask(broker: &Broker) -> Served {
    let mut stream = broker.connect();
    // Key 18, version 0, correlation id 7, no client id.
    let request = [0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];
    stream.write_all(&10_i32.to_be_bytes()).unwrap();
    stream.write_all(&request).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..6], [0, 0, 0, 7, 0, 0], "correlation id, no error");
    let count = i32::from_be_bytes(answer[6..10].try_into().unwrap());
    let entries = answer[10..].chunks_exact(6);
    assert_eq!(entries.len(), usize::try_from(count).unwrap());
    let number = |b: &[u8]| i16::from_be_bytes([b[0], b[1]]);
    entries.map(|e| (number(e), (number(&e[2..]), number(&e[4..])))).collect()
}

/// `3-13`, or `0` alone; `-` is nothing.
fn versions(text: &str) -> Option<(i16, i16)> {
    let (min, max) = text.split_once('-').unwrap_or((text, text));
    Some((min.parse().ok()?, max.parse().ok()?))
}

/// The APIs of Kafka 4.3.0 on a broker's listener, by its message definitions: a row for each, served or not.
const KAFKA_APIS: [i16; 77] = [
    0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
    29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 55,
    57, 60, 61, 64, 65, 66, 68, 69, 71, 72, 74, 75, 76, 77, 78, 79, 80, 81, 83, 84, 85, 86, 87, 88,
    89, 90, 91, 92,
];

fn apis(document: &str, served: &Served, kafka: &[i16]) -> Complaints {
    let mut complaints = Complaints::new();
    let mut listed = BTreeSet::new();
    for row in rows(section(document, "apis")) {
        let [key, name, kafka, ours, state, _notes] = &row[..] else {
            complaints.push(format!("not six cells: {row:?}"));
            continue;
        };
        let code: i16 = key.parse().unwrap_or(-1);
        if !listed.insert(code) {
            complaints.push(format!("{name} is listed twice"));
        }
        if let Some(known) = ApiKey::from_code(code)
            && known.name() != name
        {
            complaints.push(format!("API {code} is {}, not {name}", known.name()));
        }
        if versions(kafka).is_none() {
            complaints.push(format!("{name}: Kafka's versions are not versions: {kafka}"));
        }
        let said = versions(ours);
        if said != served.get(&code).copied() {
            complaints
                .push(format!("{name}: {ours} is written, {:?} is served", served.get(&code)));
        }
        if said.is_some() != ["served", "partly"].contains(&state.as_str()) {
            complaints.push(format!("{name}: {ours} is not {state}"));
        }
    }
    for code in kafka.iter().filter(|code| !listed.contains(code)) {
        complaints.push(format!("API {code} is Kafka's and not listed"));
    }
    for code in listed.iter().filter(|code| !kafka.contains(code)) {
        complaints.push(format!("API {code} is not Kafka's"));
    }
    for code in served.keys().filter(|code| !listed.contains(code)) {
        complaints.push(format!("API {code} is served and not listed"));
    }
    complaints
}

/// The states of a configuration key that the broker may act on, and of one that it never does.
const STATES: [&str; 3] = ["effective", "partly", "stored"];
const INERT: &str = "no effect";

/// A default as the table writes it.
fn shown(default: Option<&str>) -> &str {
    match default {
        None => "none",
        Some("9223372036854775807") => "no limit",
        Some("") => "empty",
        Some(other) => other,
    }
}

/// A table with a row for each key: its name, its default, its state.
fn configs(table: &str, keys: &[Key]) -> Complaints {
    let mut complaints = Complaints::new();
    let rows = rows(table);
    let names: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    for key in keys.iter().filter(|key| !names.contains(&key.name)) {
        complaints.push(format!("{} is missing", key.name));
    }
    for row in &rows {
        let Some(key) = keys.iter().find(|key| key.name == row[0]) else {
            complaints.push(format!("{} is not a key", row[0]));
            continue;
        };
        let cell = |n: usize| row.get(n).map_or("", String::as_str);
        let (default, state) = (shown(key.default), cell(2));
        if cell(1) != default {
            complaints.push(format!("{}: the default is {default}, not {}", key.name, cell(1)));
        }
        let fits = match key.effect {
            Effect::Used => STATES.contains(&state),
            Effect::Inert => state == INERT,
        };
        if !fits {
            complaints.push(format!("{}: {state} does not fit {:?}", key.name, key.effect));
        }
    }
    complaints
}

/// A plain list of names.
fn list(text: &str, keys: &[Key]) -> Complaints {
    let said: BTreeSet<&str> = text
        .split(|c: char| c.is_whitespace() || c == ',')
        .map(|word| word.trim_matches('`'))
        .filter(|word| !word.is_empty())
        .collect();
    let known: BTreeSet<&str> = keys.iter().map(|key| key.name).collect();
    said.symmetric_difference(&known).map(|name| format!("{name} is only on one side")).collect()
}

#[test]
fn the_api_table_is_what_the_binary_answers() {
    let broker = Broker::serving(&fresh("tidy-apis"));
    let served = ask(&broker);
    assert!(served.len() > 10, "{served:?}");
    none(&apis(&tree::read("COMPAT.md"), &served, &KAFKA_APIS));
}

#[test]
fn the_configuration_tables_are_the_keys_that_are_known() {
    let document = tree::read("COMPAT.md");
    none(&configs(section(&document, "topic configs"), TOPIC_KEYS));
    none(&configs(section(&document, "broker configs"), BROKER_KEYS));
    none(&list(section(&document, "inert broker configs"), INERT_BROKER_KEYS));
    none(&configs(section(&document, "group configs"), GROUP_KEYS));
}

#[test]
fn a_wrong_api_line_is_named() {
    let document = "<!-- apis: begin -->
| key | API | Kafka 4.3 | Ringwood | state | notes |
|--:|---|---|---|---|---|
| 0 | Produce | 3-13 | 0-11 | served | |
| 1 | Fetch | 4-18 | 4-18 | served | |
| 2 | ListOffsets | 1-11 | 1-11 | not yet | |
| 3 | Medatata | 0-13 | - | not yet | |
| 8 | OffsetCommit | 2-10 | 2-9 | served | |
<!-- apis: end -->";
    let served = [(0, (0, 11)), (1, (4, 17)), (2, (1, 11)), (18, (0, 4))].into();
    named(
        &apis(document, &served, &[0, 1, 2, 3, 9, 18]),
        &[
            "Fetch: 4-18 is written",
            "ListOffsets: 1-11 is not not yet",
            "API 3 is Metadata",
            "OffsetCommit: 2-9 is written, None",
            "API 8 is not Kafka's",
            "API 9 is Kafka's and not listed",
            "API 18 is Kafka's and not listed",
            "API 18 is served and not listed",
        ],
    );
}

#[test]
fn a_wrong_configuration_line_is_named() {
    let keys = &TOPIC_KEYS[..3];
    assert_eq!(keys[1].name, "compression.gzip.level");
    let table = "| key | default | state | notes |\n|---|---|---|---|
| `cleanup.policy` | `compact` | effective | |
| `compression.gzip.level` | `-1` | no effect | |
| `compression.lz5.level` | `9` | stored | |\n";
    named(
        &configs(table, keys),
        &[
            "compression.lz4.level is missing",
            "the default is delete",
            "no effect does not fit",
            "lz5",
        ],
    );
    let names = "cleanup.policy\n`compression.gzip.level`, compression.lz5.level";
    named(&list(names, keys), &["compression.lz4.level", "compression.lz5.level"]);
}
