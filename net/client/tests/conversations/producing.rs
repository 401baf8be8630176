//! Records that are sent, through whatever happens.

use crate::fake::{Fake, Fault};
use crate::{fetch_all, producer, send_numbers, small_batches};
use ids::{Offset, Timestamp};
use record::Codec;
use ringwood_client::{
    Acks, Client, ClientConfig, FetchConfig, Producer, ProducerConfig, SendError,
};
use std::time::{Duration, Instant};
use wire::ErrorCode;

#[test]
fn records_arrive_and_come_back_with_every_codec() {
    let fake = Fake::start();
    fake.create("t", 3);
    for codec in Codec::ALL {
        let config = ProducerConfig { codec, batch_bytes: 2_000, ..ProducerConfig::default() };
        let mut producer = producer(&fake, config);
        for i in 0..300 {
            let (key, value) = (format!("k{}", i % 10), format!("{codec} {i}"));
            let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
            producer.send("t", None, Timestamp(1), key, value, &[]).unwrap();
        }
        producer.flush().unwrap();
        let deliveries = producer.deliveries();
        assert_eq!(deliveries.iter().map(|d| d.records).sum::<i32>(), 300);
        assert!(deliveries.iter().all(|d| d.result.is_ok()));
    }
    let got = fetch_all(&fake, FetchConfig::default(), 1500);
    assert_eq!(got.len(), 1500);
    // Offsets are dense in every partition, and a key's records keep their order.
    for p in 0..3 {
        let mine: Vec<_> = got.iter().filter(|(q, ..)| *q == p).collect();
        assert!((0..).zip(&mine).all(|(i, (_, offset, _))| i == *offset));
    }
    assert!((0..3).all(|p| got.iter().any(|(q, ..)| *q == p)));
}

#[test]
fn keyless_records_are_spread_over_partitions_batch_by_batch() {
    let fake = Fake::start();
    fake.create("t", 3);
    let mut producer = producer(&fake, ProducerConfig { batch_bytes: 200, ..small_batches() });
    for _ in 0..60 {
        producer.send("t", None, Timestamp(1), None, Some(b"0123456789"), &[]).unwrap();
    }
    producer.flush().unwrap();
    assert!((0..3).all(|p| fake.values("t", p).len() >= 10));
}

#[test]
fn trouble_costs_neither_records_nor_order_nor_doubles() {
    use Fault::{BreakAfterAppend, BreakBefore, None, Refuse};
    let script = [
        vec![BreakAfterAppend],
        vec![None, BreakBefore],
        vec![Refuse(ErrorCode::NOT_LEADER_OR_FOLLOWER)],
        vec![None, None, Refuse(ErrorCode::REQUEST_TIMED_OUT), None, BreakAfterAppend],
        vec![
            BreakAfterAppend,
            BreakBefore,
            Refuse(ErrorCode::NOT_ENOUGH_REPLICAS),
            BreakAfterAppend,
        ],
    ];
    for faults in script {
        let fake = Fake::start();
        fake.create("t", 1);
        fake.state().faults.extend(&faults);
        let mut producer = producer(&fake, small_batches());
        let sent = send_numbers(&mut producer, 100);
        assert_eq!(fake.values("t", 0), sent, "{faults:?}");
        let deliveries = producer.deliveries();
        assert!(deliveries.iter().all(|d| d.result.is_ok()), "{faults:?}");
        assert_eq!(deliveries.iter().map(|d| d.records).sum::<i32>(), 100);
    }
}

#[test]
fn requests_are_in_flight_together() {
    let fake = Fake::start();
    fake.create("t", 1);
    fake.state().answer_late = Duration::from_millis(1);
    let config = ProducerConfig { in_flight_max: 5, ..small_batches() };
    let mut producer = producer(&fake, config);
    let sent = send_numbers(&mut producer, 200);
    assert_eq!(fake.values("t", 0), sent);
}

#[test]
fn a_batch_that_is_too_large_is_split() {
    let fake = Fake::start();
    fake.create("t", 1);
    fake.state().batch_bytes_max = 300;
    let config = ProducerConfig { batch_bytes: 4_000, codec: Codec::None, ..small_batches() };
    let mut producer = producer(&fake, config);
    let sent = send_numbers(&mut producer, 150);
    assert_eq!(fake.values("t", 0), sent);
    producer.send("t", Some(0), Timestamp(1), None, Some(&[b'x'; 400]), &[]).unwrap();
    producer.flush().unwrap();
    let last = producer.deliveries().pop().unwrap();
    assert_eq!(last.result, Err(SendError::Refused(ErrorCode::MESSAGE_TOO_LARGE, None)));
}

#[test]
fn a_refusal_for_good_costs_its_batch_and_nothing_else() {
    let refuse = Fault::Refuse(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    for (before, in_flight_max) in [(0, 1), (0, 5), (3, 1), (3, 5)] {
        let fake = Fake::start();
        fake.create("t", 1);
        fake.state().faults.extend(vec![Fault::None; before]);
        fake.state().faults.push_back(refuse);
        let config = ProducerConfig { in_flight_max, ..small_batches() };
        let mut producer = producer(&fake, config);
        let sent = send_numbers(&mut producer, 20);
        let deliveries = producer.deliveries();
        assert_eq!(deliveries.iter().map(|d| d.records).sum::<i32>(), 20);
        let refused = SendError::Refused(ErrorCode::TOPIC_AUTHORIZATION_FAILED, None);
        let failed: Vec<_> = deliveries.iter().filter(|d| d.result.is_err()).collect();
        assert_eq!(failed.len(), 1, "{failed:?}");
        assert_eq!(failed[0].result, Err(refused));
        let lost = usize::try_from(failed[0].first).unwrap();
        let lost = lost..lost + usize::try_from(failed[0].records).unwrap();
        let left = sent.iter().enumerate().filter(|(i, _)| !lost.contains(i)).map(|(_, v)| v);
        assert_eq!(fake.values("t", 0), left.cloned().collect::<Vec<_>>());
    }
}

/// The refused batch leaves a gap in the numbers; the one behind it, whose answer is lost, must be neither lost nor doubled.
#[test]
fn what_was_in_flight_behind_a_refused_batch_is_settled_under_the_old_numbers() {
    use Fault::{BreakAfterAppend, BreakBefore, None, Refuse};
    let refuse = Refuse(ErrorCode::INVALID_RECORD);
    for faults in [
        vec![refuse, BreakAfterAppend],
        vec![refuse, BreakBefore, None, BreakAfterAppend],
        vec![None, refuse, None, refuse, BreakBefore, BreakAfterAppend],
        vec![BreakAfterAppend, None, refuse, BreakAfterAppend],
        vec![BreakBefore, None, refuse, None, None, BreakBefore],
    ] {
        let fake = Fake::start();
        fake.create("t", 1);
        fake.state().faults.extend(&faults);
        let mut producer = producer(&fake, small_batches());
        let sent = send_numbers(&mut producer, 60);
        let deliveries = producer.deliveries();
        assert_eq!(deliveries.iter().map(|d| d.records).sum::<i32>(), 60, "{faults:?}");
        let mut acknowledged = Vec::new();
        let mut sorted = deliveries.clone();
        sorted.sort_by_key(|d| d.first);
        for d in sorted.iter().filter(|d| d.result.is_ok()) {
            let first = usize::try_from(d.first).unwrap();
            acknowledged.extend_from_slice(&sent[first..][..usize::try_from(d.records).unwrap()]);
        }
        assert_eq!(fake.values("t", 0), acknowledged, "{faults:?}");
        let refusals = faults.iter().filter(|f| **f == refuse).count();
        // Fewer, when the refusal itself is lost with the connection: the batch is sent again then.
        let failed = deliveries.iter().filter(|d| d.result.is_err()).count();
        assert!(failed <= refusals, "{faults:?}: {failed}");
    }
}

#[test]
fn a_record_that_is_too_large_does_not_take_its_neighbours_along() {
    let fake = Fake::start();
    fake.create("t", 1);
    fake.state().batch_bytes_max = 300;
    let mut producer = producer(&fake, ProducerConfig { idempotent: true, ..small_batches() });
    let large = "x".repeat(400);
    for value in ["one", &large, "two", "three", &large, "four"] {
        producer.send("t", Some(0), Timestamp(1), None, Some(value.as_bytes()), &[]).unwrap();
    }
    producer.flush().unwrap();
    assert_eq!(fake.values("t", 0), ["one", "two", "three", "four"]);
    let deliveries = producer.deliveries();
    let mut failed: Vec<_> =
        deliveries.iter().filter(|d| d.result.is_err()).map(|d| (d.first, d.records)).collect();
    failed.sort_unstable();
    assert_eq!(failed, [(1, 1), (4, 1)]);
}

#[test]
fn a_cluster_that_went_away_ends_the_delivery_in_time() {
    let fake = Fake::start();
    fake.create("t", 1);
    let config = ProducerConfig {
        delivery_timeout: Duration::from_millis(200),
        topic_timeout: Duration::from_millis(200),
        ..small_batches()
    };
    let short = ClientConfig { operation_timeout: Duration::from_millis(50), ..crate::config() };
    let client = Client::connect(&[fake.address()], short).unwrap();
    let mut producer = Producer::new(client, config).unwrap();
    send_numbers(&mut producer, 1);
    drop(fake);
    producer.send("t", Some(0), Timestamp(1), None, Some(b"v"), &[]).unwrap();
    producer.flush().unwrap();
    let last = producer.deliveries().pop().unwrap();
    assert!(matches!(last.result, Err(SendError::TimedOut(_))), "{last:?}");
}

/// Many records after the cluster has gone: none of them may cost the time of a reconnection that retries.
#[test]
fn a_cluster_that_went_away_does_not_hold_up_every_record() {
    let fake = Fake::start();
    fake.create("t", 4);
    let config = ProducerConfig {
        delivery_timeout: Duration::from_millis(300),
        buffer_bytes_max: 6_000,
        ..small_batches()
    };
    let mut producer = producer(&fake, config);
    producer.send("t", Some(0), Timestamp(1), None, Some(b"v"), &[]).unwrap();
    producer.flush().unwrap();
    drop(fake);
    let begun = Instant::now();
    for i in 0..200 {
        let key = i.to_string();
        let (key, value) = (Some(key.as_bytes()), Some(&[b'x'; 50][..]));
        producer.send("t", None, Timestamp(1), key, value, &[]).unwrap();
    }
    producer.flush().unwrap();
    // The operation timeout is 5 s: one reconnection with retries would take that long.
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let deliveries = producer.deliveries();
    let lost: i32 = deliveries.iter().filter(|d| d.result.is_err()).map(|d| d.records).sum();
    assert_eq!(lost, 200);
}

#[test]
fn acks_none_is_not_answered_and_acks_leader_is() {
    let fake = Fake::start();
    fake.create("t", 1);
    for (acks, offset) in [(Acks::None, -1), (Acks::Leader, 1)] {
        let config = ProducerConfig { acks, ..ProducerConfig::default() };
        let mut producer = producer(&fake, config);
        send_numbers(&mut producer, 1);
        assert_eq!(producer.deliveries().pop().unwrap().result, Ok(Offset(offset)));
        // Metadata comes over another connection: the bytes are there when the fake says so.
        let deadline = Instant::now() + Duration::from_secs(10);
        while fake.values("t", 0).is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    assert_eq!(fake.values("t", 0).len(), 2);
}

#[test]
fn a_topic_may_be_created_by_the_first_record() {
    let fake = Fake::start();
    fake.state().auto_create = Some(2);
    let mut producer = producer(&fake, small_batches());
    producer.send("t", None, Timestamp(1), Some(b"k"), Some(b"v"), &[]).unwrap();
    producer.flush().unwrap();
    assert_eq!(fake.state().topics["t"].len(), 2);
}

#[test]
fn an_unknown_topic_and_an_unknown_partition_are_named() {
    let fake = Fake::start();
    fake.create("t", 1);
    let config = ProducerConfig { topic_timeout: Duration::from_millis(20), ..small_batches() };
    let mut producer = producer(&fake, config);
    let error = producer.send("none", None, Timestamp(1), None, Some(b"v"), &[]).unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION), "{error}");
    producer.send("t", Some(9), Timestamp(1), None, Some(b"v"), &[]).unwrap();
    producer.flush().unwrap();
    let last = producer.deliveries().pop().unwrap();
    let refused = SendError::Refused(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, None);
    assert_eq!((last.partition, last.result), (9, Err(refused)));
}
