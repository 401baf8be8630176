//! The client against a broker that breaks when it is told to.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of tests fail like tests"
)]

mod connecting;
mod fake;
mod fetching;
mod producing;
mod topics;

use fake::Fake;
use ids::{Offset, Timestamp};
use ringwood_client::{Client, ClientConfig, FetchConfig, Fetcher, Producer, ProducerConfig};
use std::time::{Duration, Instant};

fn config() -> ClientConfig {
    ClientConfig {
        request_timeout: Duration::from_secs(5),
        operation_timeout: Duration::from_secs(5),
        retry_backoff: Duration::from_millis(5),
        ..ClientConfig::default()
    }
}

fn client(fake: &Fake) -> Client {
    Client::connect(&[fake.address()], config()).unwrap()
}

fn producer(fake: &Fake, config: ProducerConfig) -> Producer {
    Producer::new(client(fake), config).unwrap()
}

/// Many small batches: every second record closes one.
fn small_batches() -> ProducerConfig {
    ProducerConfig { batch_bytes: 90, idempotent: true, ..ProducerConfig::default() }
}

fn send_numbers(producer: &mut Producer, n: i32) -> Vec<String> {
    let mut sent = Vec::new();
    for i in 0..n {
        let value = format!("value-{i:04}");
        producer
            .send("t", Some(0), Timestamp(i64::from(i)), None, Some(value.as_bytes()), &[])
            .unwrap();
        sent.push(value);
    }
    producer.flush().unwrap();
    sent
}

fn fetch_all(fake: &Fake, config: FetchConfig, n: usize) -> Vec<(i32, i64, String)> {
    let mut fetcher = Fetcher::new(client(fake), config);
    let partitions = fake.state().topics["t"].len();
    for p in 0..partitions {
        fetcher.assign("t", i32::try_from(p).unwrap(), Offset(0));
    }
    let mut got = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(20);
    while got.len() < n && Instant::now() < deadline {
        for fetched in fetcher.poll(Duration::from_secs(5)).unwrap() {
            for r in fetched.records {
                let value = String::from_utf8(r.value.unwrap()).unwrap();
                got.push((fetched.partition, r.offset.0, value));
            }
        }
    }
    got
}
