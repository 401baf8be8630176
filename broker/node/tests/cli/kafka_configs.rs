//! The configuration of Kafka, as facts in `kafka_configs.txt`, against what DescribeConfigs answers; and what changes at run time.

use super::broker::Broker;
use client::{Client, ClientConfig, To};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use wire::ErrorCode;
use wire::api::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResponse,
};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const GROUP: i8 = 32;
const OF_TOPIC: i8 = 1;
const OF_BROKER: i8 = 2;
const DEFAULT: i8 = 5;

/// A line of the facts.
struct Fact {
    kind: &'static str,
    key: &'static str,
    value_type: &'static str,
    default: Option<&'static str>,
    /// Kafka has no default: the file has to set it.
    required: bool,
    read_only: bool,
    /// A broker key with a value to try, and what the topic key then is.
    like: Option<(&'static str, &'static str)>,
}

fn facts() -> Vec<Fact> {
    let lines = include_str!("kafka_configs.txt").lines().filter(|l| !l.starts_with('#'));
    let facts: Vec<Fact> = lines
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let default = match words[3] {
                "-" | "?" => None,
                "\"\"" => Some(""),
                other => Some(other),
            };
            let like = words.get(4).copied().zip(words.get(5).copied());
            let read_only = words.get(4) == Some(&"read-only");
            let required = words[3] == "?";
            let (kind, key, value_type) = (words[0], words[1], words[2]);
            Fact { kind, key, value_type, default, required, read_only, like }
        })
        .collect();
    assert!(facts.len() > 380, "{}", facts.len());
    facts
}

/// What is said of one key.
#[derive(Debug)]
struct Said {
    value: Option<String>,
    value_type: &'static str,
    source: i8,
    read_only: bool,
    documented: bool,
    /// Name, value and source of everything that sets it.
    synonyms: Vec<(String, Option<String>, i8)>,
}

fn describe(broker: &Broker, resource_type: i8, resource_name: &str) -> BTreeMap<String, Said> {
    let mut client = Client::connect(&[broker.address()], ClientConfig::default()).unwrap();
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type,
            resource_name,
            configuration_keys: None,
        }],
        include_synonyms: true,
        include_documentation: true,
    };
    let reply = client.call(To::Any, i16::MAX, &request).unwrap();
    let response: DescribeConfigsResponse<'_> = reply.decode().unwrap();
    assert_eq!(response.results[0].error_code, ErrorCode::NONE);
    let types =
        ["", "boolean", "string", "int", "short", "long", "double", "list", "class", "password"];
    let configs = response.results[0].configs.iter().map(|c| {
        let said = Said {
            value: c.value.map(str::to_owned),
            value_type: types[usize::try_from(c.config_type).unwrap()],
            source: c.config_source,
            read_only: c.read_only,
            documented: c.documentation.is_some_and(|d| d.len() > 10),
            synonyms: c
                .synonyms
                .iter()
                .map(|s| (s.name.to_owned(), s.value.map(str::to_owned), s.source))
                .collect(),
        };
        (c.name.to_owned(), said)
    });
    let by_name: BTreeMap<_, _> = configs.collect();
    assert_eq!(by_name.len(), response.results[0].configs.len(), "a key is told twice");
    by_name
}

/// Where the node lives: our default is a flag's.
const OF_FLAGS: [&str; 3] = ["listeners", "log.dir", "node.id"];

#[test]
fn every_key_has_kafkas_type_default_and_mode() {
    let broker = Broker::start();
    broker.run(&["topic", "create", "t"]).ok();
    let (topic, this) = (describe(&broker, TOPIC, "t"), describe(&broker, BROKER, "1"));
    let group = describe(&broker, GROUP, "g");
    let mut wrong = Vec::new();
    for fact in facts() {
        let all = match fact.kind {
            "topic" => &topic,
            "group" => &group,
            _ => &this,
        };
        let Some(said) = all.get(fact.key) else {
            wrong.push(format!("{} {} is not described", fact.kind, fact.key));
            continue;
        };
        if said.value_type != fact.value_type {
            wrong.push(format!("{} is a {}, not {}", fact.key, said.value_type, fact.value_type));
        }
        let free = fact.required || (fact.kind == "broker" && OF_FLAGS.contains(&fact.key));
        if !free && said.value.as_deref() != fact.default {
            wrong.push(format!("{} is {:?}, not {:?}", fact.key, said.value, fact.default));
        }
        if said.source != DEFAULT {
            wrong.push(format!("{}: {said:?}", fact.key));
        }
        if fact.kind == "broker" && said.read_only != fact.read_only {
            wrong.push(format!("{}: read-only {}", fact.key, said.read_only));
        }
        if fact.kind != "broker" && said.read_only {
            wrong.push(format!("{} cannot be changed", fact.key));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A broker's full list is Kafka's, and ours.
#[test]
fn a_broker_lists_what_kafka_lists() {
    let broker = Broker::start();
    let facts = facts();
    let kafka = facts.iter().filter(|f| f.kind == "broker").map(|f| f.key);
    let ours = ["durability", "scrub.bytes.per.second", "backend", "revision", "version"];
    let mut expected: BTreeSet<String> = ours.iter().map(|key| format!("ringwood.{key}")).collect();
    expected.extend(kafka.map(str::to_owned));
    let listed: BTreeSet<String> = describe(&broker, BROKER, "1").into_keys().collect();
    let on_one_side: Vec<_> = listed.symmetric_difference(&expected).collect();
    assert!(on_one_side.is_empty(), "{on_one_side:?}");
}

/// The rows of a table of COMPAT.md: key and default.
fn compat(table: &str) -> BTreeMap<String, String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../COMPAT.md");
    let document = fs::read_to_string(path).unwrap();
    let begin = format!("<!-- {table}: begin -->");
    let table = document.split_once(&begin).unwrap().1.split_once("<!-- ").unwrap().0;
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(|c| c.trim().trim_matches('`')).collect();
        (cells[1].to_owned(), cells[2].to_owned())
    })
    .collect()
}

#[test]
fn compat_says_what_a_running_broker_answers() {
    let broker = Broker::start();
    broker.run(&["topic", "create", "t"]).ok();
    for (table, kind, name, rows_min) in [
        ("topic configs", TOPIC, "t", 36),
        ("broker configs", BROKER, "1", 91),
        ("group configs", GROUP, "g", 17),
    ] {
        let (said, rows) = (describe(&broker, kind, name), compat(table));
        assert!(rows.len() >= rows_min, "{table}: {} rows", rows.len());
        let mut wrong = Vec::new();
        for (key, default) in &rows {
            let Some(said) = said.get(key) else {
                wrong.push(format!("{key} is not described"));
                continue;
            };
            let value = match said.value.as_deref() {
                None => "none",
                Some("9223372036854775807") => "no limit",
                Some("") => "empty",
                Some(value) => value,
            };
            if value != default {
                wrong.push(format!("{key} is {value}, and {default} is written"));
            }
            if !said.documented {
                wrong.push(format!("{key} has no documentation"));
            }
        }
        // What is described with words does something here, and has a row.
        let facts = ["ringwood.backend", "ringwood.revision", "ringwood.version"];
        let acted_on =
            said.iter().filter(|(key, s)| s.documented && !facts.contains(&key.as_str()));
        for (key, _) in acted_on.filter(|(key, _)| !rows.contains_key(*key)) {
            wrong.push(format!("{key} has no row"));
        }
        assert!(wrong.is_empty(), "{table}: {wrong:#?}");
    }
}

#[test]
fn a_topic_has_what_its_broker_is_told_at_run_time_and_its_own_before_that() {
    let broker = Broker::start();
    broker.run(&["topic", "create", "t", "-c", "retention.ms=99"]).ok();
    let facts = facts();
    let pairs: Vec<&str> = facts.iter().filter_map(|f| f.like.map(|(pair, _)| pair)).collect();
    let set = [&["config", "set", "broker/1"], &pairs[..]].concat();
    broker.run(&set).ok();
    let topic = describe(&broker, TOPIC, "t");
    for fact in &facts {
        let Some((pair, expected)) = fact.like else { continue };
        let (name, value) = pair.split_once('=').unwrap();
        let said = &topic[fact.key];
        let from_broker = (name.to_owned(), Some(value.to_owned()), OF_BROKER);
        assert!(said.synonyms.contains(&from_broker), "{}: {said:?}", fact.key);
        if fact.key == "retention.ms" {
            assert_eq!((said.value.as_deref(), said.source), (Some("99"), OF_TOPIC));
            assert_eq!(said.synonyms[0], ("retention.ms".into(), Some("99".into()), OF_TOPIC));
        } else {
            let got = (said.value.as_deref(), said.source);
            assert_eq!(got, (Some(expected), OF_BROKER), "{}", fact.key);
        }
    }
    let keys: Vec<&str> = pairs.iter().map(|p| p.split_once('=').unwrap().0).collect();
    broker.run(&[&["config", "unset", "broker/1"], &keys[..]].concat()).ok();
    let topic = describe(&broker, TOPIC, "t");
    for fact in facts.iter().filter(|f| f.kind == "topic" && f.key != "retention.ms") {
        assert_eq!(topic[fact.key].source, DEFAULT, "{}", fact.key);
    }
}

#[test]
fn values_that_kafka_refuses_are_refused() {
    let broker = Broker::start();
    broker.run(&["topic", "create", "t"]).ok();
    for bad in [
        "cleanup.policy=shred",
        "compression.type=rar",
        "compression.gzip.level=0",
        "compression.gzip.level=10",
        "compression.lz4.level=18",
        "compression.zstd.level=23",
        "delete.retention.ms=-1",
        "flush.messages=0",
        "index.interval.bytes=-1",
        "max.message.bytes=-1",
        "max.compaction.lag.ms=0",
        "message.timestamp.type=Noon",
        "min.cleanable.dirty.ratio=1.5",
        "min.insync.replicas=0",
        "preallocate=maybe",
        "remote.storage.enable=true",
        "retention.ms=-2",
        "segment.bytes=14",
        "segment.index.bytes=3",
        "segment.ms=0",
        "leader.replication.throttled.replicas=one",
    ] {
        let ran = broker.run(&["config", "set", "topic/t", bad]);
        ran.fails(1, &["INVALID_CONFIG"]);
    }
    let both = ["config", "set", "topic/t", "min.compaction.lag.ms=9", "max.compaction.lag.ms=8"];
    broker.run(&both).fails(1, &["INVALID_CONFIG"]);
    assert_eq!(broker.run(&["config", "list", "topic/t"]).ok(), "");
    for fixed in ["auto.create.topics.enable=false", "socket.request.max.bytes=1000"] {
        broker.run(&["config", "set", "broker/1", fixed]).fails(1, &["INVALID_REQUEST"]);
    }
}

fn set(broker: &Broker, resource: &str, pair: &str) {
    broker.run(&["config", "set", resource, pair]).ok();
}

#[test]
fn a_topics_changes_take_effect_at_once() {
    let broker = Broker::start();
    broker.run(&["topic", "create", "t", "-p", "1"]).ok();
    let big = "x".repeat(2000) + "\n";
    let write = |record: &str| broker.feed(&["produce", "t"], record.as_bytes());

    write(&big).ok();
    set(&broker, "topic/t", "max.message.bytes=1000");
    write(&big).fails(1, &["MESSAGE_TOO_LARGE"]);
    write("small\n").ok();
    set(&broker, "topic/t", "max.message.bytes=1000000");
    write(&big).ok();

    // Records without keys do not go into a compacted topic, and it is not cleaned by deletion.
    set(&broker, "topic/t", "cleanup.policy=compact");
    write("a\n").fails(1, &["INVALID_RECORD"]);
    broker.run(&["topic", "trim", "t", "--before", "end"]).fails(1, &["POLICY_VIOLATION"]);
    set(&broker, "topic/t", "cleanup.policy=delete");
    write("a\n").ok();
    broker.run(&["topic", "trim", "t", "--before", "end"]).ok();
    assert_eq!(broker.run(&["consume", "t"]).ok(), "");

    let types = |n: &str| {
        let json = broker.run(&["consume", "t", "-n", n, "--json"]).ok();
        let last = json.lines().last().unwrap().to_owned();
        let record: serde_json::Value = serde_json::from_str(&last).unwrap();
        record["timestamp_type"].clone()
    };
    write("b\n").ok();
    assert_eq!(types("1"), "create_time");
    set(&broker, "topic/t", "message.timestamp.type=LogAppendTime");
    write("c\n").ok();
    assert_eq!(types("2"), "log_append_time");
}

#[test]
fn a_brokers_changes_take_effect_without_a_restart() {
    let broker = Broker::start();
    broker.run(&["topic", "create", "t"]).ok();
    // All brokers, then this one.
    let big = "x".repeat(2000) + "\n";
    set(&broker, "broker/default", "message.max.bytes=1000");
    broker.feed(&["produce", "t"], big.as_bytes()).fails(1, &["MESSAGE_TOO_LARGE"]);
    set(&broker, "broker/1", "message.max.bytes=100000");
    broker.feed(&["produce", "t"], big.as_bytes()).ok();

    let refused = || broker.run(&["cluster", "info", "--timeout", "2s"]).code != 0;
    let until = |wanted: bool| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while refused() != wanted {
            assert!(Instant::now() < deadline, "connections refused: {}", !wanted);
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    // One connection stays, and changes it back: what is open is not closed.
    let mut client = Client::connect(&[broker.address()], ClientConfig::default()).unwrap();
    let this = client::ConfigResource { kind: client::ResourceKind::Broker, name: "1".into() };
    let change = |operation| client::ConfigChange { name: "max.connections".into(), operation };
    // The client may need one connection for metadata and one for the broker.
    client.alter_config(&this, &[change(client::ConfigOperation::Set("2".into()))], false).unwrap();
    until(true);
    client.alter_config(&this, &[change(client::ConfigOperation::Unset)], false).unwrap();
    until(false);
}

/// Files in the shapes that are in use, by name: the node's number, hours of retention, a key without effect with its value.
const FILES: [(&str, &str, &str, &str, &str, &str); 5] = [
    ("server", include_str!("properties/server.properties"), "1", "168", "num.io.threads", "8"),
    ("broker", include_str!("properties/broker.properties"), "2", "48", "num.io.threads", "8"),
    (
        "docker",
        include_str!("properties/docker.properties"),
        "1",
        "72",
        "controller.quorum.voters",
        "1@broker:29093",
    ),
    (
        "strimzi",
        include_str!("properties/strimzi.properties"),
        "5",
        "24",
        "inter.broker.protocol.version",
        "3.9",
    ),
    ("zookeeper", OF_ZOOKEEPER, "0", "24", "num.io.threads", "8"),
];
/// Keys and values of the file that Kafka 3.9 comes with, for ZooKeeper.
const OF_ZOOKEEPER: &str = "broker.id=0
listeners=PLAINTEXT://localhost:9092
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=DATA
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.flush.interval.messages=10000
log.flush.interval.ms=1000
log.retention.hours=24
log.retention.bytes=1073741824
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
zookeeper.connect=localhost:2181
zookeeper.connection.timeout.ms=18000
group.initial.rebalance.delay.ms=0
";

/// A place of its own for a file whose port and data directory are replaced as people replace them.
fn placed(name: &str, text: &str, port: u16) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let data = dir.join("data");
    let text = text
        .replace("DATA", data.to_str().unwrap())
        .replace("://:9092", &format!("://127.0.0.1:{port}"))
        .replace("localhost:9092", &format!("127.0.0.1:{port}"))
        .replace(":9092", &format!(":{port}"));
    let file = dir.join("server.properties");
    fs::write(&file, text).unwrap();
    file
}

#[test]
fn files_in_use_run_a_broker() {
    for (name, text, id, hours, inert, value) in FILES {
        let port = super::broker::free_port();
        let file = placed(name, text, port);
        let broker = Broker::with_file(&file, port);
        let get = |key: &str| {
            let resource = format!("broker/{id}");
            broker.run(&["config", "get", &resource, key]).ok()
        };
        assert_eq!(get("log.retention.hours"), format!("{hours}\n"), "{name}");
        // Known, without effect, and shown.
        assert_eq!(get(inert), format!("{value}\n"), "{name}");
        assert!(
            broker.said().contains(&format!("{inert}: known, but without effect")),
            "{name}: {}",
            broker.said()
        );
        broker.run(&["topic", "create", "t", "-r", "1"]).ok();
        broker.feed(&["produce", "t"], b"a\n").ok();
        assert_eq!(broker.run(&["consume", "t"]).ok(), "a\n", "{name}");
        let retention = broker.run(&["config", "get", "topic/t", "retention.ms"]).ok();
        let expected = hours.parse::<u64>().unwrap() * 3_600_000;
        assert_eq!(retention, format!("{expected}\n"), "{name}");
        drop(broker);
        fs::remove_dir_all(file.parent().unwrap()).unwrap();
    }
}

#[test]
fn a_file_that_asks_for_what_is_not_there_is_refused_by_key() {
    let port = super::broker::free_port();
    let ssl = include_str!("properties/ssl.properties");
    let server = include_str!("properties/server.properties");
    let typo = server.replace("log.retention.hours", "log.retention.hour");
    let dirs = server.replace("log.dirs=DATA", "log.dirs=/data/a,/data/b");
    for (name, text, words) in [
        ("ssl", ssl, ["listeners names no listener without TLS and SASL", "CLIENTS://"]),
        ("typo", typo.as_str(), ["log.retention.hour", "did you mean log.retention.hours?"]),
        ("dirs", dirs.as_str(), ["log.dirs names several directories", "/data/a,/data/b"]),
    ] {
        let file = placed(name, text, port);
        let mut start = Command::new(super::broker::BINARY);
        start.args(["start", "--config"]).arg(&file);
        super::broker::run(&mut start, b"").fails(2, &words);
        fs::remove_dir_all(file.parent().unwrap()).unwrap();
    }
}
