//! What is refused, and with which code: clients and tools phrase their messages by it.

use crate::asking::{ask, i16_at, name, ringwood};
use crate::broker::{Broker, fresh};
use std::net::TcpStream;

const NONE: i16 = 0;
const INVALID_GROUP_ID: i16 = 24;
const INVALID_REQUEST: i16 = 42;
const MISMATCHED_ENDPOINT_TYPE: i16 = 114;
const UNSUPPORTED_ENDPOINT_TYPE: i16 = 115;

/// DescribeCluster 1: the error, and what it says the client may do.
fn describe_cluster(to: &mut TcpStream, endpoint_type: u8) -> (i16, i32) {
    let answer = ask(to, 60, 1, &[1, endpoint_type, 0]);
    let operations = answer[answer.len() - 5..answer.len() - 1].try_into().unwrap();
    (i16_at(&answer, 4), i32::from_be_bytes(operations))
}

/// InitProducerId 4 without a transactional id.
fn init_producer_id(to: &mut TcpStream, id: i64, epoch: i16) -> i16 {
    let mut body = vec![0, 0, 0, 0x27, 0x10];
    body.extend(id.to_be_bytes());
    body.extend(epoch.to_be_bytes());
    body.push(0);
    i16_at(&ask(to, 22, 4, &body), 4)
}

/// DescribeTopicPartitions 0 from a cursor on: how many topics come, and the first one's error.
fn describe_from(to: &mut TcpStream, topics: &[&str], at: &str, partition: i32) -> (u8, i16) {
    let mut body = vec![u8::try_from(topics.len() + 1).unwrap()];
    for topic in topics {
        body.extend([name(topic), vec![0]].concat());
    }
    body.extend([0, 0, 0, 100, 1]);
    body.extend(name(at));
    body.extend(partition.to_be_bytes());
    body.extend([0, 0]);
    let answer = ask(to, 75, 0, &body);
    let count = answer[4] - 1;
    (count, if count == 0 { NONE } else { i16_at(&answer, 5) })
}

/// DescribeLogDirs 2 of some partitions of one topic: whether the answer names the topic.
fn log_dirs_name(to: &mut TcpStream, topic: &str, partitions: &[i32]) -> bool {
    let mut body = vec![2];
    body.extend(name(topic));
    body.push(u8::try_from(partitions.len() + 1).unwrap());
    body.extend(partitions.iter().flat_map(|p| p.to_be_bytes()));
    body.extend([0, 0]);
    let answer = ask(to, 35, 2, &body);
    answer.windows(topic.len()).any(|part| part == topic.as_bytes())
}

#[test]
fn refusals_have_kafkas_codes() {
    let broker = Broker::serving(&fresh("answers-refusals"));
    let mut to = broker.connect();
    let address = to.peer_addr().unwrap().to_string();
    ringwood(&address, &["topic", "create", "walnut", "yew", "--partitions", "2"]);
    let to = &mut to;

    let unasked = i32::MIN;
    assert_eq!(describe_cluster(to, 1), (NONE, 8096));
    assert_eq!(describe_cluster(to, 2), (MISMATCHED_ENDPOINT_TYPE, unasked));
    assert_eq!(describe_cluster(to, 3), (UNSUPPORTED_ENDPOINT_TYPE, unasked));

    assert_eq!(init_producer_id(to, -1, -1), NONE);
    assert_eq!(init_producer_id(to, 7, 0), NONE);
    assert_eq!(init_producer_id(to, 7, -1), INVALID_REQUEST);
    assert_eq!(init_producer_id(to, -1, 0), INVALID_REQUEST);

    assert_eq!(describe_from(to, &[], "walnut", 1), (2, NONE));
    assert_eq!(describe_from(to, &["walnut", "yew"], "yew", 1), (1, NONE));
    assert_eq!(describe_from(to, &[], "walnut", -1), (0, NONE));
    assert_eq!(describe_from(to, &["walnut", "yew"], "yew", -1), (2, INVALID_REQUEST));
    assert_eq!(describe_from(to, &["walnut", "yew"], "x", 0), (2, INVALID_REQUEST));
    // A topic that has gone meanwhile is no reason to refuse the others.
    assert_eq!(describe_from(to, &[], "x", 0), (1, NONE));

    assert!(log_dirs_name(to, "walnut", &[0, 1]));
    assert!(!log_dirs_name(to, "walnut", &[]));
    assert!(!log_dirs_name(to, "walnut", &[2]));

    // One group, its id empty.
    assert_eq!(i16_at(&ask(to, 69, 0, &[2, 1, 0, 0]), 5), INVALID_GROUP_ID);
}
