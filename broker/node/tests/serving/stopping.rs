//! SIGTERM while requests are in flight: what was begun is answered, what was written was acknowledged, who waits for what does
//! not come is not waited for, and the data directory is as after a clean stop.

use crate::broker::{BINARY, Broker, fresh};
use crate::line::Line;
use crate::requests::{PRODUCE, batch, produce, produced};
use ids::{Offset, PartitionIndex};
use std::process::Command;
use std::time::{Duration, Instant};
use wire::ErrorCode;
use wire::api::fetch::{FetchPartition, FetchRequest, FetchTopic};

const SENT: i64 = 300;
/// Longer than anybody waits for a broker to stop.
const FOREVER_MS: i32 = 600_000;

/// A fetch at the end of an empty topic, which waits.
fn waiting(topic: &str) -> FetchRequest<'_> {
    let partition = FetchPartition {
        partition: PartitionIndex(0),
        fetch_offset: Offset(0),
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    let topic = FetchTopic { topic, partitions: vec![partition], ..FetchTopic::default() };
    FetchRequest {
        max_wait_ms: FOREVER_MS,
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: vec![topic],
        ..FetchRequest::default()
    }
}

#[test]
fn what_is_in_flight_at_a_sigterm_is_answered_and_nothing_else_is_written() {
    let data = fresh("stopping");
    let mut broker = Broker::serving(&data);
    broker.command(&["topic", "create", "t", "quiet", "--partitions", "1"]);
    let mut reader = Line::to(&broker);
    reader.put(12, &waiting("quiet"));
    reader.send();
    let mut line = Line::to(&broker);
    let record = batch(b"some value");
    for _ in 0..SENT {
        line.put(PRODUCE, &produce("t", &record));
    }
    line.send();
    assert_eq!(produced(&line.answer()), ErrorCode::NONE);
    let begun = Instant::now();
    broker.terminate();
    let mut acknowledged = 1;
    while let Some(answer) = line.answer_or_end() {
        assert_eq!(produced(&answer), ErrorCode::NONE);
        acknowledged += 1;
    }
    let status = broker.ended_within(Duration::from_secs(30)).expect("the broker does not end");
    println!("{acknowledged} of {SENT} were answered; it ended after {:?}", begun.elapsed());
    assert!(status.success(), "{status}");

    // Nothing is left to replay, and the log is what was acknowledged.
    let words = ["storage", "info", "--json", "--data", data.to_str().unwrap()];
    let said = Command::new(BINARY).args(words).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let info: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    for core in info["cores"].as_array().unwrap() {
        assert!(core["clean"] == true && core["damage"].is_null(), "{core}");
    }
    let partitions = info["partitions"].as_array().unwrap();
    let log = partitions.iter().find(|p| p["topic"] == "t").unwrap();
    assert_eq!(log["end"].as_i64(), Some(acknowledged), "{log}");
    Broker::serving(&data).command(&["consume", "t"]);
}
