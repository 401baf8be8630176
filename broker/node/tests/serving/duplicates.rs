//! Requests about groups that name one many times are answered once for each: an answer must not grow with what is asked
//! twice.

use crate::asking::ask;
use crate::broker::{Broker, fresh};
use std::time::{Duration, Instant};

/// A compact array of names of one letter, each with `after` behind it.
fn names(groups: &str, after: &[u8]) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(groups.len() + 1).unwrap()];
    for name in groups.bytes() {
        bytes.extend([2, name]);
        bytes.extend(after);
    }
    bytes
}

fn find_coordinator(groups: &str) -> Vec<u8> {
    [&[0][..], &names(groups, &[]), &[0]].concat()
}

fn described(groups: &str) -> Vec<u8> {
    [names(groups, &[]), vec![0, 0]].concat()
}

fn deleted(groups: &str) -> Vec<u8> {
    [names(groups, &[]), vec![0]].concat()
}

/// All topics of each group.
fn offsets(groups: &str) -> Vec<u8> {
    [names(groups, &[0, 0]), vec![0, 0]].concat()
}

#[test]
fn a_group_that_is_named_twice_is_answered_once() {
    let broker = Broker::serving(&fresh("duplicates"));
    let mut to = broker.connect();
    type Asked = (&'static str, i16, i16, fn(&str) -> Vec<u8>);
    let all: [Asked; 5] = [
        ("FindCoordinator", 10, 4, find_coordinator),
        ("DescribeGroups", 15, 5, described),
        ("ConsumerGroupDescribe", 69, 0, described),
        ("OffsetFetch", 9, 8, offsets),
        ("DeleteGroups", 42, 2, deleted),
    ];
    for (api, key, version, body) in all {
        // Until the coordinators have read their logs, answers are not always the same.
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let once = ask(&mut to, key, version, &body("hg"));
            let often = ask(&mut to, key, version, &body("hghhg"));
            if once == often {
                let one = ask(&mut to, key, version, &body("h"));
                assert!(one.len() < once.len(), "{api} answers both groups");
                break;
            }
            assert!(Instant::now() < deadline, "{api}: {often:?}, for {once:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
