//! Brokers: their registrations and producer ids, and the cluster that they are formatted for.

use super::*;

#[test]
fn producer_ids_never_repeat() {
    let mut controller = one();
    let first = controller.allocate_producer_ids(BrokerId(1)).unwrap();
    let second = controller.allocate_producer_ids(BrokerId(1)).unwrap();
    assert_eq!(first.response, ProducerIds { first: ProducerId(0), count: 1000 });
    assert_eq!(second.response.first, ProducerId(1000));
    assert_eq!((first.records.len(), second.records.len()), (1, 1));
    assert_eq!(code(&controller.allocate_producer_ids(BrokerId(9))), 42);
}

#[test]
fn a_start_raises_epochs_and_wants_a_newer_incarnation() {
    let mut controller = one();
    create(&mut controller, vec![sized("a", 2, 1)]);
    let decision = controller.start(registration(1, 2)).unwrap();
    assert_eq!(decision.records.len(), 2);
    let id = PartitionId { topic: TopicId([1; 16]), index: PartitionIndex(1) };
    assert_eq!(controller.image().partition(id).unwrap().leader_epoch, LeaderEpoch(1));
    for incarnation in [0, 2] {
        assert_eq!(code(&controller.start(registration(1, incarnation))), 101);
    }
}

#[test]
fn impossible_registrations_are_refused() {
    let good = registration(1, 9);
    let endpoint = |listener: &str, host: &str, port| Endpoint {
        listener: listener.into(),
        host: host.into(),
        port,
    };
    for bad in [
        BrokerRegistered { broker: BrokerId(-1), ..good.clone() },
        BrokerRegistered { cores: 0, ..good.clone() },
        BrokerRegistered { endpoints: vec![], ..good.clone() },
        BrokerRegistered { endpoints: vec![endpoint("A", "", 1)], ..good.clone() },
        BrokerRegistered { endpoints: vec![endpoint("A", "h", 0)], ..good.clone() },
        BrokerRegistered {
            endpoints: vec![endpoint("A", "h", 1), endpoint("A", "h", 2)],
            ..good.clone()
        },
        BrokerRegistered { rack: Some("x".repeat(40_000)), ..good.clone() },
    ] {
        assert_eq!(code(&one().start(bad.clone())), 42, "{bad:?}");
    }
    let mut unformatted = Controller::new(BrokerId(1), StaticConfig::default());
    assert_eq!(code(&unformatted.start(good)), 42);
}

#[test]
fn a_cluster_is_formatted_once() {
    let mut controller = Controller::new(BrokerId(1), StaticConfig::default());
    assert_eq!(code(&controller.format("")), 42);
    assert_eq!(code(&controller.format(&"x".repeat(129))), 42);
    assert_eq!(code(&controller.format("abc")), 0);
    assert_eq!(code(&controller.format("abc")), 42);
}
