//! `ringwood config`.

use super::broker::Broker;

#[test]
fn configurations_are_read_set_and_unset() {
    let broker = Broker::start();
    broker.run(&["topic", "create", "t"]).ok();
    assert_eq!(broker.run(&["config", "list", "topic/t"]).ok(), "");
    broker.run(&["config", "set", "topic/t", "retention.ms=60000", "cleanup.policy=compact"]).ok();
    assert_eq!(
        broker.run(&["config", "list", "topic/t"]).ok(),
        "cleanup.policy\tcompact\ttopic\nretention.ms\t60000\ttopic\n"
    );
    let json = broker.run(&["config", "get", "topic/t", "retention.ms", "--json"]).ok();
    assert_eq!(
        json,
        "[{\"name\":\"retention.ms\",\"value\":\"60000\",\"source\":\"topic\",\"read_only\":false,\
         \"sensitive\":false}]\n"
    );
    assert_eq!(broker.run(&["config", "get", "topic/t", "retention.ms"]).ok(), "60000\n");
    let two = broker.run(&["config", "get", "topic/t", "retention.ms", "cleanup.policy"]).ok();
    assert_eq!(two.lines().count(), 2);
    let dry = ["config", "set", "topic/t", "retention.ms=1", "--dry-run"];
    broker.run(&dry).ok();
    assert_eq!(broker.run(&["config", "get", "topic/t", "retention.ms"]).ok(), "60000\n");
    broker.run(&["config", "unset", "topic/t", "retention.ms", "cleanup.policy"]).ok();
    assert_eq!(broker.run(&["config", "list", "topic/t"]).ok(), "");
    assert!(broker.run(&["config", "list", "topic/t", "--all"]).ok().lines().count() > 20);
}

#[test]
fn a_broker_says_what_it_is() {
    let broker = Broker::start();
    let version = broker.run(&["config", "get", "broker/1", "ringwood.version"]).ok();
    assert_eq!(version, format!("{}\n", env!("CARGO_PKG_VERSION")));
    let revision = broker.run(&["config", "get", "broker/1", "ringwood.revision"]).ok();
    assert_eq!(revision, format!("{}\n", perf::run::revision()));
    let backend = broker.run(&["config", "get", "broker/1", "ringwood.backend"]).ok();
    assert!(["uring\n", "portable\n"].contains(&backend.as_str()), "{backend}");
}

#[test]
fn keys_and_resources_that_do_not_exist_are_named() {
    let broker = Broker::start();
    broker.run(&["topic", "create", "t"]).ok();
    broker
        .run(&["config", "get", "topic/t", "retention.sm"])
        .fails(7, &["retention.sm", "did you mean retention.ms?"]);
    broker
        .run(&["config", "set", "topic/t", "retention.sm=1"])
        .fails(1, &["INVALID_CONFIG", "retention.ms"]);
    broker.run(&["config", "set", "topic/t", "retention.ms=soon"]).fails(1, &["INVALID_CONFIG"]);
    broker.run(&["config", "list", "topic/nope"]).fails(7, &["UNKNOWN_TOPIC_OR_PARTITION"]);
    broker.run(&["config", "set", "topic/nope", "retention.ms=1"]).fails(7, &["nope"]);
    broker.run(&["config", "list", "broker/77"]).fails(7, &["there is no broker 77"]);
    assert!(broker.run(&["config", "list", "broker/1", "--all"]).ok().contains("num.partitions"));
}
