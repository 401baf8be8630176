use super::*;
use crate::config::{BrokerSettings, Cleanup, Compression, Durability, TimestampType};
use crate::record::Record;
use ids::TopicId;

struct Scene {
    image: ClusterImage,
    fixed: StaticConfig,
}

impl Scene {
    fn new(file: &str) -> Self {
        let mut image = ClusterImage::new();
        image.apply(&Record::Format { cluster_id: "c".into(), version: 1 }).unwrap();
        let id = TopicId([1; 16]);
        image.apply(&Record::Topic { name: "t".into(), id }).unwrap();
        let (fixed, _) =
            StaticConfig::load(crate::config::parse_properties(file).unwrap()).unwrap();
        Self { image, fixed }
    }

    fn set(mut self, resource: Resource, key: &str, value: &str) -> Self {
        let (key, value) = (key.into(), Some(value.into()));
        self.image.apply(&Record::ConfigSet { resource, key, value }).unwrap();
        self
    }

    fn topic(self, key: &str, value: &str) -> Self {
        self.set(Resource::topic("t"), key, value)
    }

    fn layers(&self) -> Layers<'_> {
        Layers { image: &self.image, broker: BrokerId(1), fixed: &self.fixed }
    }

    fn described(&self, key: &str) -> DescribedConfig {
        let keys = [key.to_owned()];
        let mut found = self.layers().describe_topic("t", Some(&keys)).unwrap();
        assert_eq!(found.len(), 1, "{key}");
        found.remove(0)
    }
}

fn chain(config: &DescribedConfig) -> Vec<(Source, &str, &str)> {
    let synonyms = config.synonyms.iter();
    synonyms.map(|s| (s.source, s.name.as_str(), s.value.as_deref().unwrap_or("-"))).collect()
}

#[test]
fn defaults_are_kafkas() {
    let scene = Scene::new("");
    let config = scene.layers().topic("t");
    assert_eq!(config, TopicConfig::defaults());
    assert_eq!(config.cleanup, Cleanup { delete: true, compact: false });
    assert_eq!(config.compression, Compression::Producer);
    assert_eq!(config.timestamp_type, TimestampType::CreateTime);
    assert_eq!((config.retention_ms, config.retention_bytes), (604_800_000, -1));
    assert_eq!((config.segment_bytes, config.segment_ms), (1 << 30, 604_800_000));
    assert_eq!((config.max_message_bytes, config.min_insync_replicas), (1_048_588, 1));
    assert_eq!(config.timestamp_after_max_ms, 3_600_000);
    assert_eq!(config.durability, Durability::Fsync);
}

#[test]
fn the_first_layer_that_has_a_value_wins() {
    let scene = Scene::new("log.retention.hours=2\n");
    assert_eq!(scene.layers().topic("t").retention_ms, 7_200_000);
    let scene = scene.set(Resource::all_brokers(), "log.retention.ms", "3000");
    assert_eq!(scene.layers().topic("t").retention_ms, 3000);
    let scene = scene.set(Resource::broker(BrokerId(2)), "log.retention.ms", "99");
    assert_eq!(scene.layers().topic("t").retention_ms, 3000, "another broker's");
    let scene = scene.set(Resource::broker(BrokerId(1)), "log.retention.ms", "4000");
    assert_eq!(scene.layers().topic("t").retention_ms, 4000);
    let scene = scene.topic("retention.ms", "5000");
    assert_eq!(scene.layers().topic("t").retention_ms, 5000);
    assert_eq!(scene.layers().topic("other").retention_ms, 4000);
    let config = scene.described("retention.ms");
    assert_eq!(config.source, Source::DynamicTopic);
    assert_eq!(
        chain(&config),
        [
            (Source::DynamicTopic, "retention.ms", "5000"),
            (Source::DynamicBroker, "log.retention.ms", "4000"),
            (Source::DynamicDefaultBroker, "log.retention.ms", "3000"),
            (Source::StaticBroker, "log.retention.hours", "2"),
            (Source::Default, "log.retention.hours", "168"),
        ]
    );
}

#[test]
fn within_a_layer_the_finest_unit_wins_and_no_limit_has_no_unit() {
    let scene = Scene::new("log.retention.hours=2\nlog.retention.minutes=3\n");
    assert_eq!(scene.layers().topic("t").retention_ms, 180_000);
    let scene = Scene::new("log.retention.hours=-1\n");
    assert_eq!(scene.layers().topic("t").retention_ms, -1);
    let scene = Scene::new("log.roll.hours=1\nlog.roll.jitter.hours=2\n");
    let config = scene.layers().topic("t");
    assert_eq!((config.segment_ms, config.segment_jitter_ms), (3_600_000, 7_200_000));
}

#[test]
fn a_described_default_says_so() {
    let scene = Scene::new("");
    let config = scene.described("segment.bytes");
    assert!(config.is_default() && !config.read_only && !config.sensitive);
    assert_eq!(config.value.as_deref(), Some("1073741824"));
    assert_eq!(chain(&config), [(Source::Default, "log.segment.bytes", "1073741824")]);
    assert!(config.doc.is_some());
    let all = scene.layers().describe_topic("t", None).unwrap();
    assert_eq!(all.len(), TOPIC_KEYS.len());
    assert_eq!(scene.layers().describe_topic("t", Some(&[])).unwrap(), all, "empty means all");
    assert!(all.iter().all(|c| c.value.is_some() && c.is_default()));
}

#[test]
fn connect_finds_the_cleanup_policy_that_it_set() {
    let config = Scene::new("").topic("cleanup.policy", "compact").described("cleanup.policy");
    assert_eq!(config.value.as_deref(), Some("compact"));
    assert_eq!(config.source.wire(), 1);
    assert_eq!(config.value_type.wire(), 7);
}

#[test]
fn unknown_topics_and_bad_names_are_refused() {
    let scene = Scene::new("");
    let code = |name: &str| scene.layers().describe_topic(name, None).unwrap_err().code.wire();
    assert_eq!((code("u"), code("a/b")), (3, 17));
}

#[test]
fn durability_is_raised_by_flush_messages_1_and_lowered_by_nothing_but_itself() {
    let durability = |scene: &Scene| scene.layers().topic("t").durability;
    let written = || Scene::new("").topic("ringwood.durability", "written");
    assert_eq!(durability(&written()), Durability::Written);
    assert_eq!(durability(&written().topic("flush.messages", "1")), Durability::Fsync);
    assert_eq!(durability(&written().topic("flush.messages", "2")), Durability::Written);
    let file = Scene::new("log.flush.interval.messages=1\nringwood.durability=written\n");
    assert_eq!(durability(&file), Durability::Fsync);
    for (key, value) in
        [("flush.messages", "9223372036854775807"), ("flush.ms", "9223372036854775807")]
    {
        assert_eq!(durability(&Scene::new("").topic(key, value)), Durability::Fsync);
    }
    let file = Scene::new("ringwood.durability=written\n");
    assert_eq!(durability(&file), Durability::Written);
    assert_eq!(durability(&file.topic("ringwood.durability", "fsync")), Durability::Fsync);
}

#[test]
fn internal_topics_are_always_fsync() {
    let scene = Scene::new("ringwood.durability=written\n");
    for name in
        ["__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata"]
    {
        assert_eq!(scene.layers().topic(name).durability, Durability::Fsync, "{name}");
    }
}

#[test]
fn a_written_topic_flushes_every_second_unless_told_otherwise() {
    assert_eq!(TopicConfig::defaults().written_flush_ms(), 1000);
    let scene = Scene::new("").topic("flush.ms", "60000");
    assert_eq!(scene.layers().topic("t").written_flush_ms(), 60_000);
}

#[test]
fn a_stored_text_that_is_no_longer_legal_is_passed_over() {
    let scene = Scene::new("log.segment.bytes=2097152\n").topic("segment.bytes", "14");
    assert_eq!(scene.layers().topic("t").segment_bytes, 2_097_152);
    let config = scene.described("segment.bytes");
    assert_eq!((config.value.as_deref(), config.source), (Some("2097152"), Source::StaticBroker));
}

#[test]
fn overrides_are_checked_one_by_one_and_together() {
    let scene = Scene::new("");
    let check = |pairs: &[(&str, &str)]| {
        let overrides = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        scene.layers().check_topic("t", &overrides).map_err(|e| e.message)
    };
    let streams =
        [("segment.bytes", "52428800"), ("retention.ms", "-1"), ("cleanup.policy", "delete")];
    assert!(check(&streams).is_ok());
    assert!(check(&[("segment.ms", "500"), ("segment.bytes", "1048576")]).is_ok());
    assert_eq!(check(&[("cleanup.policy", "")]).unwrap().cleanup, Cleanup::default());
    assert_eq!(
        check(&[("retention.mss", "1")]).unwrap_err(),
        "Unknown topic config name: retention.mss; did you mean retention.ms?"
    );
    for (key, value, why) in [
        ("segment.bytes", "1048575", "at least 1048576"),
        ("cleanup.policy", "keep", "compact, delete"),
        ("min.insync.replicas", "0", "at least 1"),
        ("compression.type", "brotli", "zstd"),
        ("remote.storage.enable", "true", "tiered storage"),
        ("ringwood.durability", "maybe", "fsync, written"),
    ] {
        let message = check(&[(key, value)]).unwrap_err();
        assert!(message.contains(key) && message.contains(why), "{message}");
    }
    let lags = check(&[("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "9")]);
    assert!(lags.unwrap_err().contains("must not be larger"));
    let long = "x".repeat(STRING_BYTES_MAX + 1);
    assert!(check(&[("leader.replication.throttled.replicas", &long)]).is_err());
}

#[test]
fn a_broker_describes_itself() {
    let scene = Scene::new(
        "num.partitions=3\nzookeeper.connect=z:1\nlistener.name.x.ssl.keystore.password=p\n",
    )
    .set(Resource::broker(BrokerId(1)), "max.connections", "7");
    let all = scene.layers().describe_broker("1", None).unwrap();
    let find = |name: &str| all.iter().find(|c| c.name == name);
    let partitions = find("num.partitions").unwrap();
    assert_eq!(partitions.value.as_deref(), Some("3"));
    assert_eq!((partitions.source, partitions.read_only), (Source::StaticBroker, true));
    let connections = find("max.connections").unwrap();
    assert_eq!((connections.source, connections.read_only), (Source::DynamicBroker, false));
    assert_eq!(find("log.retention.hours").unwrap().value.as_deref(), Some("168"));
    assert_eq!(find("log.retention.ms").unwrap().value, None);
    assert_eq!(find("zookeeper.connect").unwrap().value.as_deref(), Some("z:1"));
    assert!(find("zookeeper.set.acl").is_none(), "of a past Kafka and not set");
    let threads = find("num.io.threads").unwrap();
    assert_eq!((threads.value.as_deref(), threads.source), (Some("8"), Source::Default));
    assert_eq!(threads.doc, None, "it says that it does nothing here by saying nothing");
    let secret = find("listener.name.x.ssl.keystore.password").unwrap();
    assert_eq!((secret.value.as_deref(), secret.sensitive), (None, true));
    assert!(secret.synonyms.iter().all(|s| s.value.is_none()));
    let asked = scene.layers().describe_broker("1", Some(&["zookeeper.set.acl".into()])).unwrap();
    assert_eq!(asked[0].value.as_deref(), Some("false"));
    for other in ["2", "x", "-1"] {
        assert_eq!(scene.layers().describe_broker(other, None).unwrap_err().code.wire(), 42);
    }
}

#[test]
fn the_default_of_all_brokers_describes_only_what_is_set() {
    let scene = Scene::new("").set(Resource::all_brokers(), "log.retention.ms", "5");
    let all = scene.layers().describe_broker("", None).unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(
        (all[0].name.as_str(), all[0].source),
        ("log.retention.ms", Source::DynamicDefaultBroker)
    );
    assert_eq!((all[0].read_only, all[0].value_type), (false, ValueType::Long));
}

#[test]
fn a_group_falls_back_to_its_broker() {
    let scene = Scene::new("group.consumer.session.timeout.ms=50000\n").set(
        Resource::group("g"),
        "consumer.heartbeat.interval.ms",
        "7000",
    );
    let all = scene.layers().describe_group("g", None).unwrap();
    let find = |name: &str| all.iter().find(|c| c.name == name).unwrap();
    let session = find("consumer.session.timeout.ms");
    assert_eq!((session.value.as_deref(), session.source), (Some("50000"), Source::StaticBroker));
    let heartbeat = find("consumer.heartbeat.interval.ms");
    assert_eq!((heartbeat.value.as_deref(), heartbeat.source), (Some("7000"), Source::Group));
    assert_eq!(scene.layers().describe_group("", None).unwrap_err().code.wire(), 42);
}

#[test]
fn broker_settings_are_kafkas_defaults() {
    let scene = Scene::new("broker.rack=r1\n");
    let s = BrokerSettings::read(&scene.layers());
    assert!(s.auto_create_topics && s.delete_topics);
    assert_eq!((s.num_partitions, s.default_replication_factor), (1, 1));
    assert_eq!((s.fetch_max_bytes, s.socket_request_max_bytes), (57_671_680, 104_857_600));
    assert_eq!((s.group_min_session_timeout_ms, s.group_max_session_timeout_ms), (6000, 1_800_000));
    assert_eq!((s.offsets_topic.partitions, s.offsets_topic.replication_factor), (50, 3));
    assert_eq!((s.transaction_topic.min_insync_replicas, s.offsets_retention_ms), (2, 604_800_000));
    assert_eq!((s.transaction_max_timeout_ms, s.producer_id_expiration_ms), (900_000, 86_400_000));
    assert_eq!((s.rack.as_deref(), s.fetch_session_slots), (Some("r1"), 1000));
}

#[test]
fn an_old_id_stands_for_the_new_one() {
    assert_eq!(
        Scene::new("broker.id=7\n").layers().broker_value("node.id"),
        Some(Value::Integer(7))
    );
    let both = Scene::new("broker.id=7\nnode.id=8\n");
    assert_eq!(both.layers().broker_value("node.id"), Some(Value::Integer(8)));
}
