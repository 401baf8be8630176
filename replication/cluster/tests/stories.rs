//! Scripted dialogues with the controller, and what it answered.
//!
//! Each file in `tests/stories` is a conversation: commands, a line `----`, and the golden trace of their answers and
//! records. `UPDATE_STORIES=1 cargo test -p ringwood-cluster --test stories` writes the traces anew; read the difference
//! before keeping it.
#![expect(clippy::unwrap_used, reason = "a broken story should stop here and say where")]

use cluster::config::{StaticConfig, parse_properties};
use cluster::controller::{
    AlterConfigs, AlterConfigsResource, CreatePartitions, CreateTopics, DeleteTopics,
    IncrementalAlterConfigs, IncrementalResource, InternalTopic, MorePartitions, NewTopic,
    PartitionAssignment, TopicRef,
};
use cluster::{
    BrokerRegistered, Change, ClusterImage, Controller, DirectoryId, Endpoint, Record, Refusal,
    ResourceKind,
};
use ids::{BrokerId, TopicId};
use ringwood_cluster as cluster;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[test]
#[expect(clippy::disallowed_methods, reason = "the traces are files of this test")]
fn stories() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let update = std::env::var_os("UPDATE_STORIES").is_some();
    let mut wrong = Vec::new();
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let told = tell(&text);
        if told == text {
            continue;
        }
        if update {
            std::fs::write(file, told).unwrap();
        } else {
            wrong.push(format!("{}: now told as\n{told}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Tells a story again: the same commands, with what is answered now.
fn tell(text: &str) -> String {
    let mut scene = Scene::new();
    let mut out = String::new();
    for block in text.split_inclusive("\n\n") {
        let (commands, _) = block.split_once("----\n").unwrap_or((block, ""));
        if commands.lines().all(|line| line.is_empty() || line.starts_with('#')) {
            out.push_str(block);
            continue;
        }
        let commands = commands.trim_end();
        out.push_str(commands);
        out.push_str("\n----\n");
        for command in commands.lines().filter(|line| !line.starts_with('#')) {
            scene.act(command);
        }
        out.push_str(&std::mem::take(&mut scene.trace));
        out.push('\n');
    }
    // The last block has no empty line after it.
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

struct Scene {
    controller: Controller,
    /// What a core sees: the records, one by one, when they are flushed.
    core: ClusterImage,
    next_id: u8,
    trace: String,
}

impl Scene {
    fn new() -> Self {
        Self {
            controller: Controller::new(BrokerId(1), StaticConfig::default()),
            core: ClusterImage::new(),
            next_id: 0,
            trace: String::new(),
        }
    }

    fn act(&mut self, command: &str) {
        let mut words = command.split(' ');
        let (verb, words): (_, Vec<&str>) = (words.next().unwrap(), words.collect());
        let validate_only = words.contains(&"validate_only");
        let settings: Vec<(&str, &str)> =
            words.iter().filter_map(|word| word.split_once('=')).collect();
        let get = |key: &str| settings.iter().find(|(k, _)| *k == key).map(|(_, value)| *value);
        let names: Vec<&str> = words
            .iter()
            .copied()
            .filter(|word| !word.contains('=') && *word != "validate_only")
            .collect();
        let configs = |except: &[&str]| {
            let configs = settings.iter().filter(|(k, _)| !except.contains(k));
            configs.map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect::<Vec<_>>()
        };
        let mut next = self.next_id;
        let mut fresh = || {
            next += 1;
            TopicId([next; 16])
        };
        let records = match verb {
            "file" => {
                let text = words.join("\n");
                let fixed = StaticConfig::load(parse_properties(&text).unwrap()).unwrap().0;
                self.controller = Controller::new(BrokerId(1), fixed);
                Vec::new()
            }
            "format" => self.controller.format(names[0]).unwrap().records,
            "start" => match self.controller.start(registration(&get)) {
                Ok(decision) => decision.records,
                Err(refusal) => self.refused(names.first().unwrap_or(&"start"), &refusal),
            },
            "create" => {
                let topic = |name: &&str| NewTopic {
                    name: (*name).to_owned(),
                    partitions: get("partitions").map_or(-1, |v| v.parse().unwrap()),
                    replication_factor: get("replicas").map_or(-1, |v| v.parse().unwrap()),
                    assignments: get("assign").map_or(Vec::new(), assignments),
                    configs: configs(&["partitions", "replicas", "assign"]),
                };
                let topics = names.iter().map(topic).collect();
                let request = CreateTopics { topics, validate_only };
                let decision = self.controller.create_topics(&request, &mut fresh);
                for answer in &decision.response {
                    match &answer.result {
                        Ok(t) => self.say(&format!(
                            "{}: {} partitions, {} replicas",
                            answer.name, t.partitions, t.replication_factor
                        )),
                        Err(refusal) => drop(self.refused(&answer.name, refusal)),
                    }
                }
                decision.records
            }
            "internal" => {
                let topic = match names[0] {
                    "offsets" => InternalTopic::ConsumerOffsets,
                    "transactions" => InternalTopic::TransactionState,
                    other => panic!("no internal topic {other}"),
                };
                match self.controller.create_internal_topic(topic, &mut fresh) {
                    Ok(decision) => {
                        // Fifty partitions make a long story.
                        let records = decision.records;
                        let short = records.iter().take(5).cloned().collect::<Vec<_>>();
                        self.say(&format!("{} records, of which", records.len()));
                        self.say_records(&short);
                        for record in &records {
                            self.core.apply(record).unwrap();
                        }
                        Vec::new()
                    }
                    Err(refusal) => self.refused(topic.name(), &refusal),
                }
            }
            "delete" => {
                let reference = |word: &&str| match word.strip_prefix("id:") {
                    Some(n) => TopicRef { name: None, id: TopicId([n.parse().unwrap(); 16]) },
                    None => TopicRef { name: Some((*word).to_owned()), id: TopicId::ZERO },
                };
                let topics = names.iter().map(reference).collect();
                let decision = self.controller.delete_topics(&DeleteTopics { topics, version: 6 });
                for answer in &decision.response {
                    let name = answer.name.clone().unwrap_or_else(|| answer.id.to_string());
                    self.answer(&name, &answer.result);
                }
                decision.records
            }
            "grow" => {
                let count = get("partitions").unwrap().parse().unwrap();
                let more = |name: &&str| MorePartitions {
                    name: (*name).to_owned(),
                    count,
                    assignments: None,
                };
                let topics = names.iter().map(more).collect();
                let request = CreatePartitions { topics, validate_only };
                let decision = self.controller.create_partitions(&request);
                for answer in &decision.response {
                    self.answer(&answer.name, &answer.result);
                }
                decision.records
            }
            "replace" => {
                let (kind, name) = resource(names[0]);
                let resources = vec![AlterConfigsResource { kind, name, configs: configs(&[]) }];
                let decision =
                    self.controller.alter_configs(&AlterConfigs { resources, validate_only });
                for answer in &decision.response {
                    self.answer(&answer.name, &answer.result);
                }
                decision.records
            }
            "set" | "unset" | "append" | "subtract" => {
                let (kind, name) = resource(names[0]);
                let op = match verb {
                    "set" => 0,
                    "unset" => 1,
                    "append" => 2,
                    _ => 3,
                };
                let with = configs(&[]).into_iter().map(|(k, v)| (k, op, v));
                let without = names[1..].iter().map(|key| ((*key).to_owned(), op, None));
                let configs = with.chain(without).collect();
                let resources = vec![IncrementalResource { kind, name, configs }];
                let request = IncrementalAlterConfigs { resources, validate_only };
                let decision = self.controller.incremental_alter_configs(&request);
                for answer in &decision.response {
                    self.answer(&answer.name, &answer.result);
                }
                decision.records
            }
            "ids" => self.controller.allocate_producer_ids(BrokerId(1)).unwrap().records,
            "describe" => {
                let keys: Vec<String> = names[1..].iter().map(|k| (*k).to_owned()).collect();
                let (kind, name) = resource(names[0]);
                let layers = self.controller.layers();
                let found = if kind == ResourceKind::Topic.wire() {
                    layers.describe_topic(&name, Some(&keys))
                } else {
                    layers.describe_broker(&name, Some(&keys))
                };
                match found {
                    Ok(configs) => {
                        for c in configs {
                            let value = c.value.as_deref().unwrap_or("null");
                            let mut line = format!("{}={value} {:?}", c.name, c.source);
                            for s in &c.synonyms {
                                let value = s.value.as_deref().unwrap_or("null");
                                write!(line, ", {:?} {}={value}", s.source, s.name).unwrap();
                            }
                            self.say(&line);
                        }
                        Vec::new()
                    }
                    Err(refusal) => self.refused(&name, &refusal),
                }
            }
            other => panic!("no verb {other}"),
        };
        self.next_id = next;
        self.say_records(&records);
        for record in &records {
            let delta = self.core.apply(record).unwrap();
            for change in delta.changes {
                let told =
                    matches!(change, Change::PartitionChanged(_) | Change::TopicDeleted { .. });
                if told {
                    self.say(&format!("    core sees {change:?}"));
                }
            }
        }
        assert_eq!(&self.core, self.controller.image(), "after {command}");
    }

    fn say(&mut self, line: &str) {
        self.trace.push_str(line);
        self.trace.push('\n');
    }

    fn answer(&mut self, name: &str, result: &Result<(), Refusal>) {
        match result {
            Ok(()) => self.say(&format!("{name}: ok")),
            Err(refusal) => drop(self.refused(name, refusal)),
        }
    }

    fn refused(&mut self, name: &str, refusal: &Refusal) -> Vec<Record> {
        self.say(&format!("{name}: {} {}", refusal.code.wire(), refusal.message));
        Vec::new()
    }

    fn say_records(&mut self, records: &[Record]) {
        for record in records {
            let line = match record {
                Record::Format { cluster_id, version } => format!("Format {cluster_id} v{version}"),
                Record::BrokerRegistered(b) => {
                    format!("BrokerRegistered {} incarnation {}", b.broker, b.incarnation)
                }
                Record::StartEpochs { broker } => format!("StartEpochs {broker}"),
                Record::Topic { name, id } => format!("Topic {name} {}", id.0[0]),
                Record::Partition(p) => format!(
                    "Partition {}/{} {:?} leader {} epoch {}",
                    p.id.topic.0[0],
                    p.id.index,
                    p.replicas.iter().map(|b| b.0).collect::<Vec<_>>(),
                    p.leader,
                    p.leader_epoch
                ),
                Record::TopicDeleted { id } => format!("TopicDeleted {}", id.0[0]),
                Record::ConfigSet { resource, key, value } => {
                    let value = value.as_deref().map_or("null".into(), |v| format!("{v:?}"));
                    format!("ConfigSet {:?} {:?} {key}={value}", resource.kind, resource.name)
                }
                Record::ProducerIdBlock { first, count, broker } => {
                    format!("ProducerIdBlock {first} +{count} to {broker}")
                }
            };
            self.say(&format!("  {line}"));
        }
    }
}

fn registration<'a>(get: &impl Fn(&str) -> Option<&'a str>) -> BrokerRegistered {
    BrokerRegistered {
        broker: BrokerId(get("broker").unwrap().parse().unwrap()),
        incarnation: get("incarnation").unwrap().parse().unwrap(),
        endpoints: vec![Endpoint { listener: "PLAINTEXT".into(), host: "h".into(), port: 9092 }],
        rack: None,
        cores: 2,
        directory: DirectoryId([1; 16]),
    }
}

/// `0:1+2,1:2+1`: partition and its brokers.
fn assignments(text: &str) -> Vec<PartitionAssignment> {
    let one = |part: &str| {
        let (index, brokers) = part.split_once(':').unwrap();
        let replicas = brokers.split('+').map(|b| BrokerId(b.parse().unwrap())).collect();
        PartitionAssignment { index: index.parse().unwrap(), replicas }
    };
    text.split(',').map(one).collect()
}

/// `topic:a`, `broker:1`, `brokers`, `group:g`.
fn resource(word: &str) -> (i8, String) {
    match word.split_once(':') {
        Some(("topic", name)) => (ResourceKind::Topic.wire(), name.to_owned()),
        Some(("broker", name)) => (ResourceKind::Broker.wire(), name.to_owned()),
        Some(("group", name)) => (ResourceKind::Group.wire(), name.to_owned()),
        _ => (ResourceKind::Broker.wire(), String::new()),
    }
}
