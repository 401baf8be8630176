//! OffsetDelete: a mistyped topic is no success.

use crate::asking::{ask, ask_plainly, i16_at, name, ringwood};
use crate::broker::{Broker, fresh};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

const NONE: i16 = 0;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const GROUP_ID_NOT_FOUND: i16 = 69;

/// A string with two bytes of length.
fn plain(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

/// Commits offset 0 of `topic`, partition 0, as a group without members; waits until there is a coordinator.
fn commit(to: &mut TcpStream, group: &str, topic: &str) {
    let find = [name(group), vec![0, 0]].concat();
    let mut body = name(group);
    // Generation -1, no member, no instance.
    body.extend([0xff, 0xff, 0xff, 0xff, 1, 0, 2]);
    body.extend(name(topic));
    body.extend([2, 0, 0, 0, 0]);
    body.extend([0; 8]);
    body.extend([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if i16_at(&ask(to, 10, 3, &find), 4) == NONE {
            let answer = ask(to, 8, 8, &body);
            let code = i16_at(&answer, 4 + 1 + name(topic).len() + 1 + 4);
            if code == NONE {
                return;
            }
        }
        assert!(Instant::now() < deadline, "no coordinator takes the offset");
        sleep(Duration::from_millis(50));
    }
}

/// OffsetDelete 0 of partitions: the error of the whole, and each one's.
fn delete_offsets(
    to: &mut TcpStream,
    group: &str,
    topics: &[(&str, &[i32])],
) -> (i16, Vec<(i32, i16)>) {
    let mut body = plain(group);
    body.extend(u32::try_from(topics.len()).unwrap().to_be_bytes());
    for (topic, partitions) in topics {
        body.extend(plain(topic));
        body.extend(u32::try_from(partitions.len()).unwrap().to_be_bytes());
        body.extend(partitions.iter().flat_map(|p| p.to_be_bytes()));
    }
    let answer = ask_plainly(to, 47, 0, &body);
    let i32_at = |at: usize| i32::from_be_bytes(answer[at..at + 4].try_into().unwrap());
    let mut at = 2 + 4 + 4;
    let mut codes = Vec::new();
    for _ in 0..i32_at(6) {
        at += 2 + usize::from(i16_at(&answer, at).unsigned_abs());
        let partitions = i32_at(at);
        at += 4;
        for _ in 0..partitions {
            codes.push((i32_at(at), i16_at(&answer, at + 4)));
            at += 6;
        }
    }
    assert_eq!(at, answer.len(), "nothing is left over");
    (i16_at(&answer, 0), codes)
}

#[test]
fn offsets_of_what_does_not_exist_are_not_deleted() {
    let broker = Broker::serving(&fresh("answers-offsets"));
    let mut to = broker.connect();
    let address = to.peer_addr().unwrap().to_string();
    ringwood(&address, &["topic", "create", "walnut", "yew", "--partitions", "2"]);
    let to = &mut to;

    commit(to, "g", "walnut");
    let deleted = delete_offsets(to, "g", &[("nowhere", &[0]), ("walnut", &[99, 0]), ("yew", &[])]);
    let codes = vec![(0, UNKNOWN_TOPIC_OR_PARTITION), (99, UNKNOWN_TOPIC_OR_PARTITION), (0, NONE)];
    assert_eq!(deleted, (NONE, codes));
    // The group's own error stands for everything.
    let deleted = delete_offsets(to, "h", &[("nowhere", &[0])]);
    assert_eq!(deleted, (GROUP_ID_NOT_FOUND, vec![]));
}
