//! A broker that is killed in mid-stream: what waits for it goes on, and what is too patient for nothing ends.

use super::broker::{Broker, run};
use std::io::{Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

const RECORDS: usize = 60_000;

#[test]
fn a_restart_in_mid_stream_costs_neither_records_nor_doubles() {
    let mut broker = Broker::start();
    broker.run(&["topic", "create", "t", "-p", "3"]).ok();
    let mut producer = broker
        .command(&["produce", "t", "-z", "lz4", "--key-delim", " "])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let count = RECORDS.to_string();
    let consumer = broker
        .command(&["consume", "t", "--follow", "-n", &count])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = producer.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        for part in 0..60 {
            let lines: String =
                (part * 1000..(part + 1) * 1000).map(|i| format!("k{} {i}\n", i % 17)).collect();
            input.write_all(lines.as_bytes()).unwrap();
            std::thread::sleep(Duration::from_millis(25));
        }
    });
    let reader = std::thread::spawn(move || consumer.wait_with_output().unwrap());
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(400));
        broker.kill();
        std::thread::sleep(Duration::from_millis(200));
        broker.restart();
    }
    writer.join().unwrap();
    let produced = producer.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&produced.stderr);
    assert_eq!(produced.status.code(), Some(0), "{said}");
    assert!(said.contains("60000 records to t"), "{said}");
    let consumed = reader.join().unwrap();
    assert_eq!(consumed.status.code(), Some(0));
    let mut got: Vec<usize> =
        String::from_utf8(consumed.stdout).unwrap().lines().map(|l| l.parse().unwrap()).collect();
    // A key's records keep their order.
    for key in 0..17 {
        assert!(got.iter().filter(|n| **n % 17 == key).is_sorted(), "key {key}");
    }
    got.sort_unstable();
    assert!(got.into_iter().eq(0..RECORDS));
}

#[test]
fn a_broker_that_stays_away_ends_the_stream_in_time() {
    let mut broker = Broker::start();
    broker.run(&["topic", "create", "t", "-p", "3"]).ok();
    let mut producer = broker
        .command(&["produce", "t", "--timeout", "2s", "--key-delim", " "])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut consumer = broker
        .command(&["consume", "t", "--follow", "--timeout", "2s"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = producer.stdin.take().unwrap();
    input.write_all(b"a first\n").unwrap();
    // Both have met the broker by then: a consumer that comes to none at all says something else.
    let mut first = [0; 6];
    consumer.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"first\n");
    // Long enough for the producer to have its answer, too.
    assert_eq!(run(&mut broker.command(&["consume", "t"]), b"").out, "first\n");
    broker.kill();
    let begun = Instant::now();
    let lines: String = (0..5000).map(|i| format!("k{} {i}\n", i % 17)).collect();
    input.write_all(lines.as_bytes()).unwrap();
    let produced = producer.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&produced.stderr);
    assert_eq!(produced.status.code(), Some(6), "{said}");
    assert!(said.contains("records not acknowledged in time"), "{said}");
    assert!(said.contains("1 record to t"), "{said}");
    let consumed = consumer.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&consumed.stderr);
    assert_eq!(consumed.status.code(), Some(4), "{said}");
    assert!(said.contains("no broker has answered for 2 s"), "{said}");
    assert!(consumed.stdout.is_empty(), "{:?}", consumed.stdout);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}
