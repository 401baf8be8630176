//! Random requests: who replays the records of the decisions has the controller's image.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Create(Vec<(u8, i32, i16)>, bool),
    Delete(Vec<(Option<u8>, u8)>),
    Grow(u8, i32),
    Alter(u8, u8, i8, u8),
    Restart(u64),
    Ids,
}

const NAMES: [&str; 6] = ["a.b", "a_b", "c", "d", "__consumer_offsets", ".."];
const KEYS: [(&str, &str); 4] =
    [("retention.ms", "7"), ("cleanup.policy", "compact"), ("nope", "1"), ("segment.bytes", "1")];

fn step() -> impl Strategy<Value = Step> {
    let topic = (0..6u8, -2..4i32, -2..4i16);
    prop_oneof![
        (proptest::collection::vec(topic, 0..4), any::<bool>())
            .prop_map(|(t, v)| Step::Create(t, v)),
        proptest::collection::vec((proptest::option::of(0..6u8), 0..30u8), 0..3)
            .prop_map(Step::Delete),
        (0..6u8, -1..9i32).prop_map(|(n, c)| Step::Grow(n, c)),
        (0..6u8, 0..4u8, -1..5i8, 0..4u8).prop_map(|(n, k, op, v)| Step::Alter(n, k, op, v)),
        (0..20u64).prop_map(Step::Restart),
        Just(Step::Ids),
    ]
}

proptest! {
    /// Whatever is asked: the records of every decision follow from those before, a follower that replays them (through
    /// their bytes) has the controller's image, and ids and epochs never come again.
    #[test]
    fn a_replica_of_the_records_is_the_controllers_image(steps in proptest::collection::vec(step(), 0..40)) {
        let mut controller = Controller::new(BrokerId(1), StaticConfig::default());
        let mut replica = ClusterImage::new();
        let mut log = controller.format("c").unwrap().records;
        log.extend(controller.start(registration(1, 1)).unwrap().records);
        log.extend(controller.start(registration(2, 1)).unwrap().records);
        let mut n = 0u8;
        let mut used = std::collections::BTreeSet::new();
        let mut next_id = 0;
        for step in steps {
            let records = match step {
                Step::Create(topics, validate_only) => {
                    let topics = topics.iter().map(|(n, p, rf)| sized(NAMES[usize::from(*n)], *p, *rf)).collect();
                    let mut fresh = || { n = n.wrapping_add(1); TopicId([n; 16]) };
                    controller.create_topics(&CreateTopics { topics, validate_only }, &mut fresh).records
                }
                Step::Delete(topics) => {
                    let topics = topics.iter().map(|(name, id)| TopicRef {
                        name: name.map(|n| NAMES[usize::from(n)].into()),
                        id: TopicId([*id; 16]),
                    }).collect();
                    controller.delete_topics(&DeleteTopics { topics, version: 6 }).records
                }
                Step::Grow(n, count) => {
                    let name = NAMES[usize::from(n)].into();
                    let topics = vec![MorePartitions { name, count, assignments: None }];
                    controller.create_partitions(&CreatePartitions { topics, validate_only: false }).records
                }
                Step::Alter(n, k, op, v) => {
                    let (key, _) = KEYS[usize::from(k)];
                    let (_, value) = KEYS[usize::from(v)];
                    let configs = vec![(key.to_owned(), op, Some(value.to_owned()))];
                    let name = NAMES[usize::from(n)].into();
                    let resources = vec![IncrementalResource { kind: TOPIC, name, configs }];
                    let request = IncrementalAlterConfigs { resources, validate_only: false };
                    controller.incremental_alter_configs(&request).records
                }
                Step::Restart(i) => controller.start(registration(1, i)).map_or(vec![], |d| d.records),
                Step::Ids => {
                    let block = controller.allocate_producer_ids(BrokerId(1)).unwrap();
                    prop_assert!(block.response.first.0 >= next_id);
                    next_id = block.response.first.0 + i64::from(block.response.count);
                    block.records
                }
            };
            for record in &records {
                if let Record::Topic { id, .. } = record {
                    prop_assert!(used.insert(*id), "topic id used again");
                }
            }
            log.extend(records);
            for record in log.drain(..) {
                let record = Record::decode(&record.to_bytes()).unwrap();
                prop_assert!(replica.apply(&record).is_ok(), "{:?}", record);
            }
            prop_assert_eq!(&replica, controller.image());
            for topic in replica.topics() {
                prop_assert!(!topic.partitions.is_empty());
                prop_assert!(topic.partitions.iter().all(|p| p.leader != BrokerId::NONE));
                let overrides = replica.overrides(&Resource::topic(&topic.name));
                if let Some(overrides) = overrides {
                    prop_assert!(controller.layers().check_topic(&topic.name, overrides).is_ok());
                }
            }
        }
    }
}
