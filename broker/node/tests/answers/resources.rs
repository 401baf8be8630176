//! ListConfigResources: `kafka-configs` and admin clients learn from it what has a configuration (KIP-714, KIP-1142).

use crate::broker::{Broker, fresh};
use crate::line::Line;
use wire::ErrorCode;
use wire::api::list_config_resources::{ListConfigResourcesRequest, ListConfigResourcesResponse};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

/// The names of these types and what each is of, in order.
fn list(line: &mut Line, version: i16, types: &[i8]) -> Result<Vec<(i8, String)>, ErrorCode> {
    let request = ListConfigResourcesRequest { resource_types: types.to_vec() };
    let reply = line.ask(version, &request);
    let response: ListConfigResourcesResponse<'_> = reply.decode().unwrap();
    let named = response.config_resources.iter();
    let mut all: Vec<_> = named.map(|r| (r.resource_type, r.resource_name.to_owned())).collect();
    all.sort();
    if response.error_code == ErrorCode::NONE {
        return Ok(all);
    }
    assert!(all.is_empty(), "an answer that says no lists nothing");
    Err(response.error_code)
}

fn named(of: i8, names: &[&str]) -> Vec<(i8, String)> {
    names.iter().map(|name| (of, (*name).to_owned())).collect()
}

#[test]
fn resources_are_listed_by_type() {
    let broker = Broker::serving(&fresh("answers-resources"));
    broker.command(&["topic", "create", "walnut", "yew", "--partitions", "1"]);
    // It has offsets, but no configuration of its own.
    broker.command(&["group", "reset", "bare", "-t", "yew", "--to-earliest", "--execute"]);
    let line = &mut Line::to(&broker);
    let topics = named(TOPIC, &["__consumer_offsets", "walnut", "yew"]);
    let brokers = named(BROKER, &["1"]);
    let loggers = named(BROKER_LOGGER, &["1"]);
    let of_cluster = || [topics.clone(), brokers.clone(), loggers.clone()].concat();
    assert_eq!(list(line, 1, &[]).unwrap(), of_cluster());
    assert_eq!(list(line, 1, &[GROUP]), Ok(vec![]));

    broker.command(&["config", "set", "group/own", "consumer.heartbeat.interval.ms=7000"]);
    let groups = named(GROUP, &["own"]);
    let all = || [of_cluster(), groups.clone()].concat();
    assert_eq!(list(line, 1, &[]).unwrap(), all());
    assert_eq!(list(line, 1, &[GROUP]).unwrap(), groups);
    assert_eq!(list(line, 1, &[TOPIC]).unwrap(), topics);
    assert_eq!(list(line, 1, &[BROKER]).unwrap(), brokers);
    assert_eq!(list(line, 1, &[BROKER_LOGGER]).unwrap(), loggers);
    assert_eq!(list(line, 1, &[CLIENT_METRICS]), Ok(vec![]));
    assert_eq!(list(line, 1, &[GROUP, BROKER]).unwrap(), [&brokers[..], &groups].concat());
    assert_eq!(list(line, 1, &[GROUP, GROUP]).unwrap(), groups, "each once");
    // Version 0 is the one that only lists the resources of client metrics; there are none.
    assert_eq!(list(line, 0, &[]), Ok(vec![]));

    // Types that are none, and one that there is beside one that is none.
    for types in [&[0][..], &[1], &[3], &[64], &[-1], &[TOPIC, 3]] {
        assert_eq!(list(line, 1, types), Err(ErrorCode::UNSUPPORTED_VERSION), "{types:?}");
    }

    broker.command(&["config", "unset", "group/own", "consumer.heartbeat.interval.ms"]);
    assert_eq!(list(line, 1, &[]).unwrap(), of_cluster());
}
