//! Requests that are in flight together share a flush, and each is answered by itself.

use crate::broker::{Broker, fresh};
use crate::line::Line;
use crate::requests::{PRODUCE, batch, produce, produced};
use std::thread::sleep;
use std::time::Duration;
use wire::ErrorCode;

const ROUNDS: u64 = 40;
/// As many as an idempotent producer sends.
const IN_FLIGHT: u64 = 5;

/// The page is a second old at most.
fn flushes(broker: &Broker) -> u64 {
    sleep(Duration::from_millis(1_200));
    broker.counter("ringwood_journal_flushes_total")
}

#[test]
fn five_in_flight_share_flushes_and_one_by_one_do_not() {
    let options = ["--ring", "8MiB", "--memory", "64MiB", "--cores", "1"];
    let broker = Broker::serving_with(&fresh("sharing"), &options);
    broker.command(&["topic", "create", "t"]);
    let mut line = Line::to(&broker);
    let record = batch(b"some value");

    let before = flushes(&broker);
    for _ in 0..ROUNDS * IN_FLIGHT {
        assert_eq!(produced(&line.ask(PRODUCE, &produce("t", &record))), ErrorCode::NONE);
    }
    let alone = flushes(&broker) - before;
    let batches = ROUNDS * IN_FLIGHT;
    // Each was flushed before its answer, and nobody else was there.
    assert!(alone >= batches, "{alone} flushes of {batches} batches, one after the other");

    let before = flushes(&broker);
    for _ in 0..ROUNDS {
        for _ in 0..IN_FLIGHT {
            line.put(PRODUCE, &produce("t", &record));
        }
        line.send();
        for _ in 0..IN_FLIGHT {
            assert_eq!(produced(&line.answer()), ErrorCode::NONE);
        }
    }
    let together = flushes(&broker) - before;
    println!(
        "{batches} batches: {alone} flushes one by one, {together} with {IN_FLIGHT} in flight"
    );
    assert!(together >= ROUNDS, "{together} flushes in {ROUNDS} rounds: something was not flushed");
    assert!(together < batches, "{together} flushes of {batches} batches");
}
