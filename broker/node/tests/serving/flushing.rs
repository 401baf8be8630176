//! When the journal is flushed for topics that are acknowledged when they are written: `flush.ms` and `flush.messages`.
//!
//! A flush is seen in the broker's own counter, which core 0 leaves for the page of metrics once a second.

use crate::broker::{Broker, fresh};
use crate::line::Line;
use crate::requests::{PRODUCE, batch, produce, produced};
use std::thread::sleep;
use std::time::{Duration, Instant};
use wire::ErrorCode;

const FLUSHES: &str = "ringwood_journal_flushes_total";
/// Longer than a topic without `flush.ms` may stay unflushed (1 s), and than the counter takes to be seen (1 s).
const LONG: Duration = Duration::from_millis(2_600);
const AN_HOUR: &str = "flush.ms=3600000";

fn append(line: &mut Line, records: usize) {
    let record = batch(b"value");
    for _ in 0..records {
        assert_eq!(produced(&line.ask(PRODUCE, &produce("t", &record))), ErrorCode::NONE);
    }
}

/// The counter when it has come to rest.
fn settled(broker: &Broker) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut before = broker.counter(FLUSHES);
    loop {
        sleep(LONG);
        let now = broker.counter(FLUSHES);
        if now == before {
            return now;
        }
        assert!(Instant::now() < deadline, "flushes go on though nothing is written");
        before = now;
    }
}

fn rises_above(broker: &Broker, flushes: u64) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while broker.counter(FLUSHES) <= flushes {
        assert!(Instant::now() < deadline, "nothing was flushed");
        sleep(Duration::from_millis(100));
    }
}

fn started(name: &str, configs: &[&str]) -> (Broker, Line) {
    let broker = Broker::serving_with(
        &fresh(name),
        &["--ring", "8MiB", "--memory", "32MiB", "--cores", "1"],
    );
    let mut create = vec!["topic", "create", "t", "-c", "ringwood.durability=written"];
    for config in configs {
        create.extend(["-c", config]);
    }
    broker.command(&create);
    let line = Line::to(&broker);
    (broker, line)
}

#[test]
fn a_written_topic_is_flushed_after_flush_messages() {
    let (broker, mut line) = started("flush-messages", &[AN_HOUR, "flush.messages=5"]);
    let mut before = settled(&broker);
    for _ in 0..2 {
        append(&mut line, 4);
        assert_eq!(settled(&broker), before, "four records ask for no flush");
        append(&mut line, 1);
        rises_above(&broker, before);
        before = settled(&broker);
    }
}

#[test]
fn a_written_topic_is_flushed_after_flush_ms_and_no_sooner() {
    let (broker, mut line) = started("flush-ms", &[AN_HOUR]);
    let before = settled(&broker);
    append(&mut line, 1);
    assert_eq!(settled(&broker), before, "the hour is not over");
    // The timer of the hour still runs: nothing that comes may wait for it.
    broker.command(&["config", "set", "topic/t", "flush.ms=100"]);
    let altered = settled(&broker);
    append(&mut line, 1);
    rises_above(&broker, altered);
}
