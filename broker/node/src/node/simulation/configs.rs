//! Configurations of a whole node: what one decision changes, however much that is, every core reads anew once, and then it counts.

use super::caller::Caller;
use super::full::Scene;
use super::load::{find_coordinator, make_topic};
use super::machine::Machine;
use crate::metadata::Walks;
use ids::{CoreId, PartitionIndex};
use runtime::sim::{SimConfig, World};
use std::time::Duration;
use wire::api::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use wire::{ErrorCode, Message};

const TOPICS: [&str; 3] = ["a", "b", "c"];
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const GROUP: i8 = 32;

/// Kind and name of a resource, and what its keys are set to.
type Change = (i8, String, Vec<(String, &'static str)>);

fn change(kind: i8, name: impl Into<String>, keys: &[(&str, &'static str)]) -> Change {
    let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
    (kind, name.into(), keys)
}

/// One IncrementalAlterConfigs, which is one decision.
async fn alter(caller: &mut Caller, changes: &[Change]) -> Option<()> {
    let resources = changes
        .iter()
        .map(|(kind, name, keys)| AlterConfigsResource {
            resource_type: *kind,
            resource_name: name,
            configs: keys
                .iter()
                .map(|(key, value)| AlterableConfig {
                    name: key,
                    config_operation: 0,
                    value: Some(*value),
                })
                .collect(),
        })
        .collect();
    let request = IncrementalAlterConfigsRequest { resources, validate_only: false };
    let body = caller.call(1, &request).await?;
    let answer = IncrementalAlterConfigsResponse::decode(&body, 1).expect("an answer");
    assert_eq!(answer.responses.len(), changes.len());
    for r in &answer.responses {
        assert_eq!(r.error_code, ErrorCode::NONE, "{:?}", r.error_message);
    }
    Some(())
}

fn play(cores: u16) {
    let world = World::new(7, SimConfig { memory_limit: 64 << 20, ..SimConfig::default() });
    let (here, there) = (world.add_node(), world.add_node());
    let scene = Scene { world, here, there };
    let machine = Machine::start(&scene.world, here, cores).expect("a start");
    for topic in TOPICS {
        let made = scene.ask(async move |caller| make_topic(caller, topic, 2).await);
        assert_eq!(made, ErrorCode::NONE);
    }
    let rt = scene.world.core(there, CoreId(0));
    scene.ask(async move |caller| find_coordinator(&rt, caller).await);

    let costs = |what: &str, changes: Vec<Change>, expected: Walks| {
        let before = machine.walks();
        scene.ask(async move |caller| alter(caller, &changes).await);
        for (core, (before, after)) in before.iter().zip(machine.walks()).enumerate() {
            let spent = Walks {
                topics: after.topics - before.topics,
                groups: after.groups - before.groups,
                coordinators: after.coordinators - before.coordinators,
            };
            assert_eq!(spent, expected, "{what}, core {core} of {cores}");
        }
    };
    let groups = (0..300).map(|n| {
        let keys =
            [("consumer.heartbeat.interval.ms", "7000"), ("consumer.session.timeout.ms", "50000")];
        change(GROUP, format!("group-{n}"), &keys)
    });
    let once = Walks { topics: 0, groups: 1, coordinators: 1 };
    costs("many groups", groups.collect(), once);

    let defaults = [
        ("log.retention.ms", "3600000"),
        ("log.segment.bytes", "2097152"),
        ("message.max.bytes", "2000000"),
        ("log.flush.interval.ms", "1000"),
    ];
    let every_topic = Walks { topics: TOPICS.len() as u64 + 1, ..once };
    costs("defaults of topics", vec![change(BROKER, "", &defaults)], every_topic);
    costs("the same again", vec![change(BROKER, "", &defaults)], Walks::default());

    let names: Vec<String> = (0..300).map(|n| format!("listener.name.x.key-{n}")).collect();
    let unread: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "y")).collect();
    costs("keys that no topic has", vec![change(BROKER, "1", &unread)], once);

    let own = [("retention.bytes", "5000000"), ("segment.ms", "60000"), ("flush.ms", "500")];
    let topics = TOPICS.iter().map(|topic| change(TOPIC, *topic, &own));
    let each_topic = Walks { topics: TOPICS.len() as u64, groups: 0, coordinators: 0 };
    costs("keys of topics", topics.collect(), each_topic);

    let batches = [("max.message.bytes", "3000000"), ("segment.ms", "600000")];
    let offsets = vec![change(TOPIC, "__consumer_offsets", &batches)];
    costs("the topic of offsets", offsets, Walks { topics: 1, groups: 0, coordinators: 1 });

    // All of it counts, also for partitions that were led before.
    for topic in TOPICS {
        for index in [0, 1].map(PartitionIndex) {
            let config = machine.config_of(topic, index).expect("a leader");
            assert_eq!((config.retention_ms, config.segment_bytes), (3_600_000, 2_097_152));
            assert_eq!((config.max_message_bytes, config.flush_ms), (2_000_000, 500));
            assert_eq!((config.retention_bytes, config.segment_ms), (5_000_000, 60_000));
        }
    }
    let offsets = machine.config_of("__consumer_offsets", PartitionIndex(3)).expect("a leader");
    assert_eq!((offsets.max_message_bytes, offsets.segment_ms), (3_000_000, 600_000));

    // The coordinators of a core share what a start reads.
    assert_eq!(scene.world.fault_of(here), None);
    scene.world.kill(here);
    drop(machine);
    let machine = Machine::start(&scene.world, here, cores).expect("another start");
    for (core, walks) in machine.walks().into_iter().enumerate() {
        assert_eq!(walks, Walks { topics: 0, groups: 1, coordinators: 0 }, "core {core}");
    }
    scene.world.kill(here);
    scene.world.kill(there);
    scene.world.run_for(Duration::from_secs(1));
}

#[test]
fn a_decision_is_read_once_whatever_it_changes() {
    (1..=3).for_each(play);
}
