//! `__consumer_offsets` gets smaller while the broker runs, and keeps what counts.

use super::broker::Broker;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Commits of one group, each with almost 4 KiB of metadata: more than two segments of 1 MiB.
const COMMITS: i64 = 700;

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Sends one request by hand, and gives the body of the answer.
fn ask(stream: &mut TcpStream, key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut request = Vec::new();
    request.extend_from_slice(&key.to_be_bytes());
    request.extend_from_slice(&version.to_be_bytes());
    request.extend_from_slice(&7_i32.to_be_bytes());
    string(&mut request, "compaction");
    request.extend_from_slice(body);
    let length = u32::try_from(request.len()).unwrap();
    stream.write_all(&length.to_be_bytes()).unwrap();
    stream.write_all(&request).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..4], 7_i32.to_be_bytes(), "correlation id");
    answer.split_off(4)
}

/// FindCoordinator 0, until there is one.
fn find_coordinator(stream: &mut TcpStream) {
    let mut body = Vec::new();
    string(&mut body, "g");
    let deadline = Instant::now() + Duration::from_secs(30);
    while ask(stream, 10, 0, &body)[..2] != [0, 0] {
        assert!(Instant::now() < deadline, "there is no coordinator");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// OffsetCommit 2, of a group without members; the error code.
fn commit(stream: &mut TcpStream, offset: i64) -> i16 {
    let mut body = Vec::new();
    string(&mut body, "g");
    body.extend_from_slice(&(-1_i32).to_be_bytes());
    string(&mut body, "");
    body.extend_from_slice(&(-1_i64).to_be_bytes());
    body.extend_from_slice(&1_i32.to_be_bytes());
    string(&mut body, "t");
    body.extend_from_slice(&1_i32.to_be_bytes());
    body.extend_from_slice(&0_i32.to_be_bytes());
    body.extend_from_slice(&offset.to_be_bytes());
    string(&mut body, &"m".repeat(4_000));
    let answer = ask(stream, 8, 2, &body);
    i16::from_be_bytes([answer[answer.len() - 2], answer[answer.len() - 1]])
}

/// OffsetFetch 1: the committed offset.
fn committed(stream: &mut TcpStream) -> i64 {
    let mut body = Vec::new();
    string(&mut body, "g");
    body.extend_from_slice(&1_i32.to_be_bytes());
    string(&mut body, "t");
    body.extend_from_slice(&1_i32.to_be_bytes());
    body.extend_from_slice(&0_i32.to_be_bytes());
    let answer = ask(stream, 9, 1, &body);
    // Topics, the name "t", partitions, index; then the offset.
    let at = 4 + 3 + 4 + 4;
    i64::from_be_bytes(answer[at..at + 8].try_into().unwrap())
}

/// Bytes of all segments.
fn segment_bytes(dir: &Path) -> u64 {
    let mut bytes = 0;
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            bytes += segment_bytes(&path);
        } else if path.extension().is_some_and(|e| e == "log") {
            // It may be unlinked meanwhile.
            bytes += fs::metadata(&path).map_or(0, |m| m.len());
        }
    }
    bytes
}

#[test]
fn the_offsets_topic_gets_smaller_and_keeps_what_counts() {
    let mut broker = Broker::start();
    broker.run(&["topic", "create", "t"]).ok();
    broker.run(&["config", "set", "broker", "log.cleaner.backoff.ms=100"]).ok();
    let mut stream = broker.connect();
    find_coordinator(&mut stream);
    broker.run(&["config", "set", "topic/__consumer_offsets", "segment.bytes=1048576"]).ok();
    for offset in 0..COMMITS {
        assert_eq!(commit(&mut stream, offset), 0, "commit {offset}");
    }
    let written = u64::try_from(COMMITS).unwrap() * 4_000;
    let topics = broker.data().join("topics");
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let bytes = segment_bytes(&topics);
        // Of two sealed segments one record is left; the active one stays.
        if bytes > 0 && bytes < written / 2 {
            break;
        }
        assert!(Instant::now() < deadline, "{bytes} bytes of {written} are still there");
        std::thread::sleep(Duration::from_millis(100));
    }
    let metrics = broker.metrics();
    let dropped: f64 = metrics
        .lines()
        .filter(|l| l.starts_with("ringwood_cleaner_dropped_records_total{"))
        .map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum();
    assert!(dropped > 400.0, "{dropped} records dropped");
    assert_eq!(committed(&mut stream), COMMITS - 1);
    broker.kill();
    broker.restart();
    let mut stream = broker.connect();
    find_coordinator(&mut stream);
    assert_eq!(committed(&mut stream), COMMITS - 1);
}
