use super::*;
use proptest::prelude::*;

fn id(n: u8) -> TopicId {
    TopicId([n; 16])
}

fn topic(n: u8, name: &str) -> Record {
    Record::Topic { name: name.into(), id: id(n) }
}

fn partition(n: u8, index: i32) -> Partition {
    Partition {
        id: PartitionId { topic: id(n), index: PartitionIndex(index) },
        replicas: vec![BrokerId(1)],
        isr: vec![BrokerId(1)],
        elr: vec![],
        adding: vec![],
        removing: vec![],
        leader: BrokerId(1),
        leader_epoch: LeaderEpoch(0),
        partition_epoch: 0,
        last_unclean_epoch: LeaderEpoch::UNKNOWN,
        recovering: false,
    }
}

fn registered(broker: i32, incarnation: u64) -> Record {
    Record::BrokerRegistered(BrokerRegistered {
        broker: BrokerId(broker),
        incarnation,
        endpoints: vec![Endpoint { listener: "PLAINTEXT".into(), host: "h".into(), port: 9092 }],
        rack: None,
        cores: 2,
        directory: DirectoryId([3; 16]),
    })
}

fn formatted() -> ClusterImage {
    let mut image = ClusterImage::new();
    image.apply(&Record::Format { cluster_id: "c".into(), version: 1 }).unwrap();
    image.apply(&registered(1, 5)).unwrap();
    image
}

fn set(resource: Resource, key: &str, value: Option<&str>) -> Record {
    Record::ConfigSet { resource, key: key.into(), value: value.map(Into::into) }
}

#[test]
fn nothing_comes_before_the_format_and_it_comes_once() {
    let mut image = ClusterImage::new();
    assert_eq!(image.apply(&topic(1, "a")), Err(ApplyError::NotFormatted));
    let format = Record::Format { cluster_id: "c".into(), version: 1 };
    assert_eq!(image.apply(&format).unwrap().changes, [Change::Formatted]);
    assert_eq!(image.apply(&format), Err(ApplyError::FormattedTwice));
    assert_eq!((image.cluster_id(), image.format_version()), (Some("c"), Some(1)));
}

#[test]
fn a_topic_is_found_by_name_and_by_id() {
    let mut image = formatted();
    assert_eq!(image.apply(&topic(1, "orders")).unwrap().changes, [Change::TopicCreated(id(1))]);
    for index in 0..3 {
        let p = partition(1, index);
        let delta = image.apply(&Record::Partition(p.clone())).unwrap();
        assert_eq!(delta.changes, [Change::PartitionCreated(p.id)]);
    }
    let found = image.topic_named("orders").unwrap();
    assert_eq!((found.id, found.partitions.len(), found.replication_factor()), (id(1), 3, 1));
    assert_eq!(image.topic(id(1)), Some(found));
    assert_eq!((image.topic_count(), image.partition_count()), (1, 3));
    let last = PartitionId { topic: id(1), index: PartitionIndex(2) };
    assert_eq!(image.partition(last).unwrap().leader, BrokerId(1));
    for index in [-1, 3] {
        let none = PartitionId { topic: id(1), index: PartitionIndex(index) };
        assert_eq!(image.partition(none), None);
    }
}

#[test]
fn names_ids_and_collisions_are_taken_until_deletion() {
    let mut image = formatted();
    image.apply(&topic(1, "a.b")).unwrap();
    let taken = |name: &str| Err(ApplyError::TopicNameTaken(name.into()));
    assert_eq!(image.apply(&topic(1, "x")), Err(ApplyError::TopicIdTaken(id(1))));
    assert_eq!(image.apply(&topic(2, "a.b")), taken("a.b"));
    assert_eq!(image.apply(&topic(2, "a_b")), taken("a_b"));
    assert_eq!(image.apply(&topic(2, "a/b")), taken("a/b"));
    assert_eq!(image.apply(&topic(2, "__cluster_metadata")), taken("__cluster_metadata"));
    assert_eq!(image.topic_colliding("a_b").map(|t| t.id), Some(id(1)));
    for reserved in [TopicId::ZERO, TopicId::METADATA] {
        let record = Record::Topic { name: "x".into(), id: reserved };
        assert_eq!(image.apply(&record), Err(ApplyError::TopicIdTaken(reserved)));
    }
    image.apply(&Record::TopicDeleted { id: id(1) }).unwrap();
    image.apply(&topic(2, "a_b")).unwrap();
    assert_eq!(image.topic_colliding("a.b").map(|t| t.id), Some(id(2)));
}

#[test]
fn a_deleted_topic_takes_its_configs_along() {
    let mut image = formatted();
    image.apply(&topic(1, "orders")).unwrap();
    image.apply(&Record::Partition(partition(1, 0))).unwrap();
    image.apply(&set(Resource::topic("orders"), "retention.ms", Some("1"))).unwrap();
    let delta = image.apply(&Record::TopicDeleted { id: id(1) }).unwrap();
    let gone: Vec<_> = delta.deleted_partitions().collect();
    assert_eq!(gone, [PartitionId { topic: id(1), index: PartitionIndex(0) }]);
    assert_eq!(image, formatted());
    let again = image.apply(&Record::TopicDeleted { id: id(1) });
    assert_eq!(again, Err(ApplyError::UnknownTopic(id(1))));
}

#[test]
fn partitions_come_in_order_and_epochs_only_rise() {
    let mut image = formatted();
    image.apply(&topic(1, "orders")).unwrap();
    let p = |index, epoch| Partition { leader_epoch: LeaderEpoch(epoch), ..partition(1, index) };
    let unknown = Record::Partition(partition(9, 0));
    assert_eq!(image.apply(&unknown), Err(ApplyError::UnknownTopic(id(9))));
    for index in [1, -1] {
        let gap = ApplyError::PartitionGap { id: p(index, 0).id, partitions: 0 };
        assert_eq!(image.apply(&Record::Partition(p(index, 0))), Err(gap));
    }
    image.apply(&Record::Partition(p(0, 3))).unwrap();
    assert_eq!(image.apply(&Record::Partition(p(0, 3))).unwrap(), Delta::default());
    assert_eq!(image.apply(&Record::Partition(p(0, 2))), Err(ApplyError::EpochFell(p(0, 0).id)));
    let changed = Change::PartitionChanged(p(0, 0).id);
    assert_eq!(image.apply(&Record::Partition(p(0, 4))).unwrap().changes, [changed]);
}

#[test]
fn impossible_assignments_are_refused() {
    let mut image = formatted();
    image.apply(&topic(1, "orders")).unwrap();
    let good = partition(1, 0);
    let b2 = vec![BrokerId(2)];
    for bad in [
        Partition { replicas: vec![], isr: vec![], leader: BrokerId::NONE, ..good.clone() },
        Partition { replicas: vec![BrokerId(1), BrokerId(1)], ..good.clone() },
        Partition { isr: b2.clone(), leader: BrokerId(2), ..good.clone() },
        Partition { elr: b2.clone(), ..good.clone() },
        Partition { adding: b2.clone(), ..good.clone() },
        Partition { removing: b2, ..good.clone() },
        Partition { isr: vec![], ..good.clone() },
        Partition { leader_epoch: LeaderEpoch(-1), ..good.clone() },
        Partition { partition_epoch: -1, ..good.clone() },
    ] {
        assert_eq!(image.apply(&Record::Partition(bad)), Err(ApplyError::BadAssignment(good.id)));
    }
    let leaderless = Partition { isr: vec![], leader: BrokerId::NONE, ..good };
    assert!(image.apply(&Record::Partition(leaderless)).is_ok());
}

#[test]
fn a_start_raises_the_epochs_of_what_the_broker_leads() {
    let mut image = formatted();
    image.apply(&topic(1, "orders")).unwrap();
    let two = vec![BrokerId(1), BrokerId(2)];
    let mine = Partition { replicas: two.clone(), isr: two.clone(), ..partition(1, 0) };
    let other =
        Partition { leader: BrokerId(2), replicas: two.clone(), isr: two, ..partition(1, 1) };
    image.apply(&Record::Partition(mine.clone())).unwrap();
    image.apply(&Record::Partition(other.clone())).unwrap();
    let delta = image.apply(&Record::StartEpochs { broker: BrokerId(1) }).unwrap();
    assert_eq!(delta.changes, [Change::PartitionChanged(mine.id)]);
    let now = image.partition(mine.id).unwrap();
    assert_eq!((now.leader_epoch, now.partition_epoch, now.isr.len()), (LeaderEpoch(1), 1, 2));
    assert_eq!(image.partition(other.id).unwrap().leader_epoch, LeaderEpoch(0));
}

#[test]
fn an_old_incarnation_is_refused() {
    let mut image = formatted();
    image.apply(&registered(1, 6)).unwrap();
    let old = ApplyError::OldIncarnation { broker: BrokerId(1), known: 6, got: 5 };
    assert_eq!(image.apply(&registered(1, 5)), Err(old));
    assert_eq!(image.broker(BrokerId(1)).unwrap().incarnation, 6);
    let endpoint = image.broker(BrokerId(1)).unwrap().endpoint("PLAINTEXT").unwrap();
    assert_eq!(endpoint.port, 9092);
}

#[test]
fn configs_come_and_go_and_a_repeat_changes_nothing() {
    let mut image = formatted();
    let topic = Resource::topic("orders");
    let changed = Change::Config { resource: topic.clone(), key: "k".into() };
    let put = set(topic.clone(), "k", Some("1"));
    assert_eq!(image.apply(&put).unwrap().changes.as_slice(), std::slice::from_ref(&changed));
    assert_eq!(image.apply(&put).unwrap(), Delta::default());
    let named: Vec<_> = image.resources_with_overrides(ResourceKind::Topic).collect();
    assert_eq!(named, ["orders"]);
    let unset = set(topic.clone(), "k", None);
    assert_eq!(image.apply(&unset).unwrap().changes, [changed]);
    assert_eq!(image.apply(&unset).unwrap(), Delta::default());
    assert_eq!(image.overrides(&topic), None);
}

#[test]
fn producer_ids_are_given_once() {
    let mut image = formatted();
    let block = |first, count| Record::ProducerIdBlock {
        first: ProducerId(first),
        count,
        broker: BrokerId(1),
    };
    image.apply(&block(0, 1000)).unwrap();
    assert_eq!(image.next_producer_id(), ProducerId(1000));
    for bad in [block(999, 1), block(-1, 1), block(1000, 0), block(i64::MAX, 1)] {
        assert!(matches!(image.apply(&bad), Err(ApplyError::ProducerIdsTaken { .. })));
    }
    image.apply(&block(5000, 1)).unwrap();
    assert_eq!(image.next_producer_id(), ProducerId(5001));
}

#[test]
fn what_lost_records_may_have_said_is_not_said_again() {
    let mut image = formatted();
    image.apply(&Record::Topic { name: "t".into(), id: id(1) }).unwrap();
    image.apply(&Record::Partition(partition(1, 0))).unwrap();
    let of = |image: &ClusterImage| {
        let p = image.topic(id(1)).unwrap().partition(PartitionIndex(0)).unwrap();
        (p.leader_epoch.0, image.next_producer_id().0)
    };
    let (epoch, ids) = of(&image);
    image.pass_over(7);
    assert_eq!(of(&image), (epoch + 7, ids + 7_000));
    // A loss of unknown length takes 2^30 offsets; epochs must not come to their end by it.
    image.pass_over(1 << 30);
    assert_eq!(of(&image), (epoch + 7 + 65_536, ids + 65_543_000));
}

#[test]
fn the_adding_set_does_not_count_towards_the_factor() {
    let b: Vec<_> = (1..=3).map(BrokerId).collect();
    let growing = Partition { replicas: b.clone(), adding: vec![b[2]], ..partition(1, 0) };
    let state = PartitionState::from_record(&growing);
    assert_eq!(state.replication_factor(), 2);
    let needed: Vec<_> = [0, 1, 2, 3, u32::MAX].map(|min| state.in_sync_needed(min)).into();
    assert_eq!(needed, [1, 1, 2, 2, 2]);
}

fn any_record() -> impl Strategy<Value = Record> {
    let name = prop_oneof![Just("a.b"), Just("a_b"), Just("c"), Just("d"), Just("__x"), Just("..")];
    let partition = (0..4u8, 0..3i32, 0..3i32, 0..3i32, any::<bool>()).prop_map(
        |(n, index, epoch, other, led)| {
            let brokers = vec![BrokerId(1), BrokerId(2)];
            Record::Partition(Partition {
                leader: if led { BrokerId(1) } else { BrokerId::NONE },
                replicas: brokers.clone(),
                isr: brokers,
                leader_epoch: LeaderEpoch(epoch),
                partition_epoch: other,
                ..partition(n, index)
            })
        },
    );
    prop_oneof![
        (1..3i32, 0..4u64).prop_map(|(b, i)| registered(b, i)),
        (1..3i32).prop_map(|b| Record::StartEpochs { broker: BrokerId(b) }),
        (0..4u8, name.clone()).prop_map(|(n, name)| topic(n, name)),
        partition,
        (0..4u8).prop_map(|n| Record::TopicDeleted { id: id(n) }),
        (name, proptest::option::of("[0-9]{1,2}")).prop_map(|(name, v)| set(
            Resource::topic(name),
            "k",
            v.as_deref()
        )),
        (0..30i64, 0..10u32).prop_map(|(first, count)| Record::ProducerIdBlock {
            first: ProducerId(first),
            count,
            broker: BrokerId(1),
        }),
    ]
}

proptest! {
    #[test]
    fn whatever_the_records_the_image_stays_sound(records in proptest::collection::vec(any_record(), 0..120)) {
        let mut image = formatted();
        for record in &records {
            let before = image.clone();
            match image.apply(record) {
                Err(_) => prop_assert_eq!(&image, &before, "a refused record changes nothing"),
                Ok(delta) => {
                    if delta.changes.is_empty() {
                        // A registration always is a change, whatever it says.
                        prop_assert_eq!(&image, &before, "no change in the delta, none in the image");
                    }
                    for change in &delta.changes {
                        if let Change::PartitionCreated(id) | Change::PartitionChanged(id) = change {
                            prop_assert!(image.partition(*id) != before.partition(*id));
                        }
                    }
                }
            }
            let mut forms = std::collections::BTreeSet::new();
            let mut partitions = 0;
            for topic in image.topics() {
                prop_assert!(forms.insert(crate::name::collision_form(&topic.name)));
                prop_assert_eq!(image.topic_named(&topic.name).map(|t| t.id), Some(topic.id));
                partitions += topic.partitions.len();
                if let Some(old) = before.topic(topic.id) {
                    for (old, new) in old.partitions.iter().zip(&topic.partitions) {
                        prop_assert!(old.leader_epoch <= new.leader_epoch);
                        prop_assert!(old.partition_epoch <= new.partition_epoch);
                    }
                }
            }
            prop_assert_eq!(forms.len(), image.topic_count());
            prop_assert_eq!(partitions, image.partition_count());
            prop_assert!(image.next_producer_id() >= before.next_producer_id());
        }
        let mut again = ClusterImage::new();
        for record in image.records() {
            let bytes = record.to_bytes();
            prop_assert!(again.apply(&Record::decode(&bytes).unwrap()).is_ok());
        }
        prop_assert_eq!(again, image, "an image written out and replayed is the same");
    }
}
