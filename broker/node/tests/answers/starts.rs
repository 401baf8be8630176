//! Where a log begins, right after DeleteRecords: every answer that says it must say the same at once.

use crate::asking::{ask, i16_at, name, produce, ringwood};
use crate::broker::{Broker, fresh};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

const NONE: i16 = 0;
const OFFSET_OUT_OF_RANGE: i16 = 1;

fn i64_at(answer: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(answer[at..at + 8].try_into().unwrap())
}

/// Fetch 12 of partition 0 at an offset, outside of sessions: the error, the high watermark, and the start of the log.
fn fetch(to: &mut TcpStream, topic: &str, offset: i64) -> (i16, i64, i64) {
    // No replica; no wait; at least nothing, at most a mebibyte; uncommitted too; no session.
    let mut body = vec![0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0];
    body.extend([0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 2]);
    body.extend(name(topic));
    // Partition 0, no epoch known.
    body.extend([2, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    body.extend(offset.to_be_bytes());
    body.extend([0xff; 12]);
    body.extend([0, 0x10, 0, 0, 0, 0, 1, 1, 0]);
    let answer = ask(to, 1, 12, &body);
    // Throttle time, error, session; then the one topic with its one partition.
    let at = 4 + 2 + 4 + 1 + name(topic).len() + 1 + 4;
    (i16_at(&answer, at), i64_at(&answer, at + 2), i64_at(&answer, at + 2 + 16))
}

/// ListOffsets 6 of the first offset of partition 0.
fn earliest(to: &mut TcpStream, topic: &str) -> (i16, i64) {
    let mut body = vec![0xff, 0xff, 0xff, 0xff, 0, 2];
    body.extend(name(topic));
    body.extend([2, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    body.extend((-2_i64).to_be_bytes());
    body.extend([0, 0, 0]);
    let answer = ask(to, 2, 6, &body);
    let at = 4 + 1 + name(topic).len() + 1 + 4;
    (i16_at(&answer, at), i64_at(&answer, at + 2 + 8))
}

/// What `/metrics` says of the start; nothing before it has been gathered.
fn told(broker: &Broker) -> Option<i64> {
    let mut stream = broker.connect_to_admin();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    let row = page.lines().find(|row| row.starts_with("ringwood_kafka_start_offset{"))?;
    assert!(row.contains("topic=\"log\"") && row.contains("partition=\"0\""), "{row}");
    Some(row.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as i64)
}

/// What the page says is gathered once in a while; it comes to say this.
fn until_metrics_say(broker: &Broker, start: i64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while told(broker) != Some(start) {
        assert!(Instant::now() < deadline, "{:?}, not {start}", told(broker));
        sleep(Duration::from_millis(100));
    }
}

/// All of them, of a log of 100 records whose first ones are gone; the record that Produce is asked with is the 101st.
fn look(broker: &Broker, to: &mut TcpStream, topic: &str, (start, end): (i64, i64)) {
    assert_eq!(earliest(to, topic), (NONE, start));
    assert_eq!(fetch(to, topic, start), (NONE, end, start));
    assert_eq!(fetch(to, topic, end), (NONE, end, start), "at the end nothing is read");
    if start > 0 {
        // Kafka says nothing of the log there.
        assert_eq!(fetch(to, topic, start - 1).0, OFFSET_OUT_OF_RANGE);
    }
    assert_eq!(produce(to, topic, &[1000]), (end, start));
    until_metrics_say(broker, start);
}

#[test]
fn where_a_log_begins_is_the_same_everywhere_at_once() {
    let data = fresh("answers-starts");
    let broker = Broker::serving(&data);
    let mut to = broker.connect();
    let address = to.peer_addr().unwrap().to_string();
    ringwood(&address, &["topic", "create", "log", "--partitions", "1"]);
    assert_eq!(produce(&mut to, "log", &[1000; 100]), (0, 0));
    look(&broker, &mut to, "log", (0, 100));
    ringwood(&address, &["topic", "trim", "log", "--before", "60"]);
    look(&broker, &mut to, "log", (60, 101));
    ringwood(&address, &["topic", "trim", "log", "--before", "end"]);
    assert_eq!(earliest(&mut to, "log"), (NONE, 102));
    assert_eq!(fetch(&mut to, "log", 101).0, OFFSET_OUT_OF_RANGE);
    look(&broker, &mut to, "log", (102, 102));
    // As it is after a crash.
    broker.kill();
    let again = Broker::serving(&data);
    look(&again, &mut again.connect(), "log", (102, 103));
}
