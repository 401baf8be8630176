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

/// A table in segments of 1 MiB: `rounds` times all of `keys`, each value of 20 KB.
fn fill(broker: &Broker, keys: usize, rounds: usize) {
    let value = "x".repeat(20_000);
    for round in 0..rounds {
        let lines: String = (0..keys).map(|k| format!("k{k}:{round} {value}\n")).collect();
        broker.feed(&["produce", "table", "--key-delim", ":", "-q"], lines.as_bytes()).ok();
    }
}

fn make_table(broker: &Broker, more: &[&str]) {
    broker.run(&["config", "set", "broker", "log.cleaner.backoff.ms=100"]).ok();
    let mut create = vec!["topic", "create", "table", "-c", "segment.bytes=1048576"];
    for config in more {
        create.extend(["-c", config]);
    }
    broker.run(&create).ok();
}

/// Start and end of the table's only partition.
fn offsets(broker: &Broker) -> (i64, i64) {
    let line = broker.run(&["topic", "offsets", "table"]).ok();
    let fields: Vec<&str> = line.trim().split('\t').collect();
    (fields[2].parse().unwrap(), fields[3].parse().unwrap())
}

/// Offset, key and number of each record that our client reads from the start.
fn table(broker: &Broker) -> Vec<(i64, String, usize)> {
    let read = broker.run(&["consume", "table", "-f", "%o %k %v\\n"]).ok();
    let record = |line: &str| {
        let mut fields = line.split(' ');
        let mut next = || fields.next().unwrap().to_owned();
        (next().parse().unwrap(), next(), next().parse().unwrap())
    };
    read.lines().map(record).collect()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "never {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn dropped(broker: &Broker) -> f64 {
    let metrics = broker.metrics();
    let of = metrics.lines().filter(|l| l.starts_with("ringwood_cleaner_dropped_records_total{"));
    of.map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[test]
fn our_client_reads_over_what_compaction_has_emptied() {
    let mut broker = Broker::start();
    make_table(&broker, &["cleanup.policy=compact", "min.cleanable.dirty.ratio=0.01"]);
    // Each call is a producer of its own, whose last batch stays as an empty one.
    fill(&broker, 5, 60);
    let (start, end) = offsets(&broker);
    assert_eq!((start, end), (0, 300));
    // Five of those below the active segment are left, and that holds 52 at most.
    until("compacted", || dropped(&broker) >= 240.0);
    let read = table(&broker);
    assert!(read.len() <= 60, "{} records", read.len());
    assert!(read[0].0 > 100, "the first that is left is {}", read[0].0);
    for k in 0..5 {
        let newest = read.iter().rfind(|r| r.1 == format!("k{k}")).unwrap();
        assert_eq!(newest.2, 59, "{newest:?}");
    }
    assert!(read.is_sorted_by_key(|r| r.0));
    // From any offset, also from those that are gone.
    for from in [0, 1, 57, 133, 200] {
        let at = from.to_string();
        let first = broker.run(&["consume", "table", "-o", &at, "-n", "1", "-f", "%o\n"]).ok();
        let wanted = read.iter().find(|r| r.0 >= from).unwrap().0;
        assert_eq!(first.trim().parse::<i64>().unwrap(), wanted, "from {from}");
    }
    broker.kill();
    broker.restart();
    assert_eq!(table(&broker).last(), read.last());
}

#[test]
fn compact_delete_compacts_and_lets_go_of_what_is_old() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("both-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let port = super::broker::free_port();
    let file = dir.join("server.properties");
    let data = dir.join("data");
    let text = format!(
        "listeners=PLAINTEXT://127.0.0.1:{port}\nlog.dirs={}\nlog.retention.check.interval.ms=200\n",
        data.display()
    );
    fs::write(&file, text).unwrap();
    let broker = Broker::with_file(&file, port);
    let config = ["cleanup.policy=compact,delete", "min.cleanable.dirty.ratio=0.01"];
    make_table(&broker, &config);
    // Two of each key, which compaction halves; what is left is more than retention will keep.
    fill(&broker, 150, 2);
    until("compacted", || dropped(&broker) >= 50.0);
    let before = table(&broker);
    assert_eq!(offsets(&broker).0, 0, "nothing is old enough");
    assert!(before.len() < 250, "{} records", before.len());
    broker.run(&["config", "set", "topic/table", "retention.bytes=1500000"]).ok();
    until("moved", || offsets(&broker).0 > 0);
    let (start, end) = offsets(&broker);
    assert_eq!(end, 300);
    let kept: Vec<_> = table(&broker);
    assert!(kept.iter().all(|r| r.0 >= start) && kept.len() < before.len());
    assert_eq!(kept.last(), before.last());
    // Offsets go on, and so does compaction.
    fill(&broker, 150, 1);
    assert_eq!(offsets(&broker).1, 450);
    drop(broker);
    fs::remove_dir_all(&dir).unwrap();
}
