use super::*;
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z._-]{1,12}", "\\PC{0,8}"]
}

fn brokers() -> impl Strategy<Value = Vec<BrokerId>> {
    proptest::collection::vec(any::<i32>().prop_map(BrokerId), 0..5)
}

fn broker_registered() -> impl Strategy<Value = Record> {
    let endpoint = (text(), text(), any::<u16>()).prop_map(|(listener, host, port)| Endpoint {
        listener,
        host,
        port,
    });
    let endpoints = proptest::collection::vec(endpoint, 0..4);
    let rack = proptest::option::of(text());
    (any::<i32>(), any::<u64>(), endpoints, rack, any::<u16>(), any::<[u8; 16]>()).prop_map(
        |(broker, incarnation, endpoints, rack, cores, directory)| {
            Record::BrokerRegistered(BrokerRegistered {
                broker: BrokerId(broker),
                incarnation,
                endpoints,
                rack,
                cores,
                directory: DirectoryId(directory),
            })
        },
    )
}

fn partition() -> impl Strategy<Value = Record> {
    let sets = (brokers(), brokers(), brokers(), brokers(), brokers());
    (any::<[u8; 16]>(), any::<[i32; 5]>(), sets, any::<bool>()).prop_map(|(topic, n, sets, r)| {
        Record::Partition(Partition {
            id: PartitionId { topic: TopicId(topic), index: PartitionIndex(n[0]) },
            replicas: sets.0,
            isr: sets.1,
            elr: sets.2,
            adding: sets.3,
            removing: sets.4,
            leader: BrokerId(n[1]),
            leader_epoch: LeaderEpoch(n[2]),
            partition_epoch: n[3],
            last_unclean_epoch: LeaderEpoch(n[4]),
            recovering: r,
        })
    })
}

fn config_set() -> impl Strategy<Value = Record> {
    let kind = prop_oneof![
        Just(ResourceKind::Topic),
        Just(ResourceKind::Broker),
        Just(ResourceKind::BrokerLogger),
        Just(ResourceKind::ClientMetrics),
        Just(ResourceKind::Group),
    ];
    (kind, text(), text(), proptest::option::of(text())).prop_map(|(kind, name, key, value)| {
        Record::ConfigSet { resource: Resource { kind, name }, key, value }
    })
}

fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        (text(), any::<u16>())
            .prop_map(|(cluster_id, version)| Record::Format { cluster_id, version }),
        broker_registered(),
        any::<i32>().prop_map(|b| Record::StartEpochs { broker: BrokerId(b) }),
        (text(), any::<[u8; 16]>()).prop_map(|(name, id)| Record::Topic { name, id: TopicId(id) }),
        partition(),
        any::<[u8; 16]>().prop_map(|id| Record::TopicDeleted { id: TopicId(id) }),
        config_set(),
        (any::<i64>(), any::<u32>(), any::<i32>()).prop_map(|(first, count, broker)| {
            Record::ProducerIdBlock { first: ProducerId(first), count, broker: BrokerId(broker) }
        }),
    ]
}

proptest! {
    #[test]
    fn a_record_survives_its_bytes(record in record()) {
        prop_assert_eq!(Record::decode(&record.to_bytes()), Ok(record));
    }

    #[test]
    fn any_bytes_are_a_record_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(record) = Record::decode(&bytes) {
            prop_assert_eq!(record.to_bytes(), bytes, "one record has one encoding");
        }
    }

    #[test]
    fn damaged_records_never_panic(
        record in record(), at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let mut bytes = record.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(record) = Record::decode(&bytes) {
            prop_assert_eq!(record.to_bytes(), bytes);
        }
    }

    #[test]
    fn every_cut_is_truncated_and_every_tail_is_noticed(record in record()) {
        let mut bytes = record.to_bytes();
        for end in 0..bytes.len() {
            prop_assert!(Record::decode(&bytes[..end]).is_err());
        }
        bytes.extend([0, 0, 0]);
        prop_assert_eq!(Record::decode(&bytes), Err(DecodeError::TrailingBytes { count: 3 }));
    }
}

#[test]
fn golden_bytes_never_change() {
    let record = Record::ConfigSet {
        resource: Resource::topic("t"),
        key: "k".into(),
        value: Some("v".into()),
    };
    assert_eq!(record.to_bytes(), [7, 1, 2, 0, 1, b't', 0, 1, b'k', 1, 0, 1, b'v']);
    let record = Record::Topic { name: "ab".into(), id: TopicId([9; 16]) };
    let mut expected = vec![4, 1, 0, 2, b'a', b'b'];
    expected.extend([9; 16]);
    assert_eq!(record.to_bytes(), expected);
    let record =
        Record::ProducerIdBlock { first: ProducerId(1000), count: 1000, broker: BrokerId(1) };
    assert_eq!(record.to_bytes(), [8, 1, 0, 0, 0, 0, 0, 0, 3, 232, 0, 0, 3, 232, 0, 0, 0, 1]);
    let record = Record::Partition(Partition {
        id: PartitionId { topic: TopicId([1; 16]), index: PartitionIndex(2) },
        replicas: vec![BrokerId(1), BrokerId(2)],
        isr: vec![BrokerId(1)],
        elr: vec![BrokerId(2)],
        adding: vec![],
        removing: vec![],
        leader: BrokerId(1),
        leader_epoch: LeaderEpoch(3),
        partition_epoch: 4,
        last_unclean_epoch: LeaderEpoch::UNKNOWN,
        recovering: true,
    });
    let mut expected = vec![5, 1];
    expected.extend([1; 16]);
    expected.extend([0, 0, 0, 2]);
    expected.extend([0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
    expected.extend([0, 1, 0, 0, 0, 1]);
    expected.extend([0, 1, 0, 0, 0, 2]);
    expected.extend([0, 0, 0, 0]);
    expected.extend([0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 4, 255, 255, 255, 255, 1]);
    assert_eq!(record.to_bytes(), expected);
}

#[test]
fn what_a_newer_build_wrote_is_an_error() {
    assert_eq!(Record::decode(&[9, 1, 0]), Err(DecodeError::UnknownType(9)));
    assert_eq!(Record::decode(&[0]), Err(DecodeError::UnknownType(0)));
    let newer = DecodeError::UnknownVersion { kind: 3, version: 2 };
    assert_eq!(Record::decode(&[3, 2, 0, 0, 0, 1]), Err(newer));
}

#[test]
fn impossible_fields_are_errors() {
    let bad = |field| Err(DecodeError::BadValue { field });
    assert_eq!(Record::decode(&[7, 1, 3, 0, 0, 0, 0, 0]), bad("resource kind"));
    assert_eq!(Record::decode(&[7, 1, 2, 0, 0, 0, 0, 2]), bad("presence of a string"));
    assert_eq!(Record::decode(&[4, 1, 0x80, 0]), Err(DecodeError::StringTooLong(32_768)));
    assert_eq!(Record::decode(&[4, 1, 0, 1, 0xff]), Err(DecodeError::NotUtf8));
    // A count that the rest cannot hold is refused before anything is allocated for it.
    let mut bytes = vec![5, 1];
    bytes.extend([0; 20]);
    bytes.extend([0xff, 0xff, 0, 0]);
    assert_eq!(Record::decode(&bytes), Err(DecodeError::Truncated));
}
