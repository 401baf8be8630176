//! ListOffsets as Apache Kafka 4.3.0 answers it: every special timestamp and some times, of an empty topic, of one with records,
//! after DeleteRecords, and of records without timestamps.
//!
//! The tables are what a single Kafka node said to the same requests. One row differs on purpose and says so.

use crate::asking::{ask, name, produce};
use crate::broker::{Broker, fresh};
use std::net::TcpStream;

/// Error, timestamp, offset, leader epoch.
type Answer = (i16, i64, i64, i32);

const NOTHING: Answer = (0, -1, -1, -1);
const UNSUPPORTED_VERSION: Answer = (35, -1, -1, -1);

/// ListOffsets from 6 on, of partition 0.
fn offset(to: &mut TcpStream, topic: &str, time: i64, version: i16, isolation: u8) -> Answer {
    let mut body = vec![0xff, 0xff, 0xff, 0xff, isolation, 2];
    body.extend(name(topic));
    body.extend([2, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    body.extend(time.to_be_bytes());
    body.extend([0, 0]);
    if version >= 10 {
        body.extend([0, 0, 0x27, 0x10]);
    }
    body.push(0);
    let answer = ask(to, 2, version, &body);
    let at = 4 + 1 + name(topic).len() + 1 + 4;
    let a = &answer[at..];
    let i64_at = |at: usize| i64::from_be_bytes(a[at..at + 8].try_into().unwrap());
    (
        i16::from_be_bytes([a[0], a[1]]),
        i64_at(2),
        i64_at(10),
        i32::from_be_bytes(a[18..22].try_into().unwrap()),
    )
}

/// The version from which Kafka knows a special timestamp.
fn known_from(time: i64) -> i16 {
    match time {
        -3 => 7,
        -4 => 8,
        -5 => 9,
        -6 => 11,
        -1 | -2 | 0.. => 0,
        _ => i16::MAX,
    }
}

fn compare(to: &mut TcpStream, topic: &str, scene: &str, expected: &[(i64, Answer)]) {
    for (time, answer) in expected {
        for version in 6..=11 {
            let answer = if version < known_from(*time) { UNSUPPORTED_VERSION } else { *answer };
            for isolation in [0, 1] {
                let got = offset(to, topic, *time, version, isolation);
                assert_eq!(got, answer, "{scene}, {time}, version {version}");
            }
        }
    }
}

#[test]
fn every_special_timestamp_is_answered_as_kafka_does() {
    let broker = Broker::serving(&fresh("list-offsets"));
    let mut to = broker.connect();
    let create = ["topic", "create", "empty", "some", "none", "late", "--partitions", "1"];
    broker.command(&create);

    let empty = [
        (-1, (0, -1, 0, 0)),
        (-2, (0, -1, 0, 0)),
        (-3, NOTHING),
        (-4, (0, -1, 0, 0)),
        (-5, NOTHING),
        (-6, NOTHING),
        (-7, UNSUPPORTED_VERSION),
        (0, NOTHING),
        (1000, NOTHING),
    ];
    compare(&mut to, "empty", "empty", &empty);

    for batch in [&[1000, 1010, 1020][..], &[5000, 4000], &[1050], &[2000]] {
        produce(&mut to, "some", batch);
    }
    let some = [
        (-1, (0, -1, 7, 0)),
        (-2, (0, -1, 0, 0)),
        (-3, (0, 5000, 3, 0)),
        (-4, (0, -1, 0, 0)),
        (-5, NOTHING),
        (-6, NOTHING),
        (-7, UNSUPPORTED_VERSION),
        (0, (0, 1000, 0, 0)),
        (1010, (0, 1010, 1, 0)),
        (1050, (0, 5000, 3, 0)),
        (5000, (0, 5000, 3, 0)),
        (5001, NOTHING),
    ];
    compare(&mut to, "some", "records", &some);

    broker.command(&["topic", "trim", "some", "--before", "4"]);
    let trimmed = [
        (-1, (0, -1, 7, 0)),
        (-2, (0, -1, 4, 0)),
        // Below the start of the log: its batch is still there.
        (-3, (0, 5000, 3, 0)),
        (-4, (0, -1, 4, 0)),
        (-5, NOTHING),
        (-6, NOTHING),
        (1000, (0, 4000, 4, 0)),
        (5000, NOTHING),
    ];
    compare(&mut to, "some", "after DeleteRecords to 4", &trimmed);

    broker.command(&["topic", "trim", "some", "--before", "end"]);
    let bare = [
        (-1, (0, -1, 7, 0)),
        (-2, (0, -1, 7, 0)),
        // Kafka keeps the segment and names a record that is deleted: (0, 5000, 3, 0).
        (-3, NOTHING),
        (-4, (0, -1, 7, 0)),
        (-5, NOTHING),
        (-6, NOTHING),
        (0, NOTHING),
    ];
    compare(&mut to, "some", "after DeleteRecords of all", &bare);

    // The batch at the start of the log is late only by a record that is deleted: the search goes on behind it.
    for batch in [&[5000, 1000][..], &[1500, 1600], &[6000, 2000]] {
        produce(&mut to, "late", batch);
    }
    broker.command(&["topic", "trim", "late", "--before", "1"]);
    let late = [
        (1000, (0, 1000, 1, 0)),
        (1001, (0, 1500, 2, 0)),
        (2000, (0, 6000, 4, 0)),
        (6000, (0, 6000, 4, 0)),
        (6001, NOTHING),
    ];
    compare(&mut to, "late", "a late record below the start of the log", &late);

    produce(&mut to, "none", &[-1, -1]);
    let without = [
        (-1, (0, -1, 2, 0)),
        (-2, (0, -1, 0, 0)),
        (-3, (0, -1, 0, 0)),
        (-4, (0, -1, 0, 0)),
        (-5, NOTHING),
        (-6, NOTHING),
        (0, NOTHING),
    ];
    compare(&mut to, "none", "without timestamps", &without);
}
