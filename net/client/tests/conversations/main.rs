//! The client against a broker that breaks when it is told to.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of tests fail like tests"
)]

mod fake;

use fake::{Fake, Fault};
use ids::{Offset, ProducerEpoch, ProducerId, Timestamp};
use record::{BatchBuilder, Codec, EndTxn, end_txn_marker};
use ringwood_client::{
    Acks, Client, ClientConfig, ClientError, ConfigResource, ConfigSource, FetchConfig, Fetcher,
    Isolation, NewTopic, OffsetQuery, OnOutOfRange, Producer, ProducerConfig, SendError,
};
use std::net::TcpListener;
use std::time::{Duration, Instant};
use wire::ErrorCode;
use wire::api::fetch::AbortedTransaction;

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

#[test]
fn versions_are_agreed_with_brokers_of_any_age() {
    for (newest, asked) in [(4, 1), (3, 2), (2, 2), (0, 2)] {
        let fake = Fake::start();
        fake.state().api_versions_max = newest;
        let client = client(&fake);
        assert_eq!(client.metadata().cluster_id.as_deref(), Some("fake"));
        assert_eq!(fake.state().requests["api_versions"], asked, "newest {newest}");
    }
}

#[test]
fn an_address_where_nobody_listens_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    match Client::connect(std::slice::from_ref(&address), config()) {
        Err(ClientError::Connect { address: named, .. }) => assert_eq!(named, address),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_second_bootstrap_address_serves_when_the_first_does_not() {
    let fake = Fake::start();
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    Client::connect(&[dead.to_string(), fake.address()], config()).unwrap();
}

#[test]
fn a_broker_that_says_nothing_is_given_up_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let config = ClientConfig { request_timeout: Duration::from_millis(100), ..config() };
    match Client::connect(&[address], config) {
        Err(ClientError::TimedOut { .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_broker_is_found_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        use std::io::Write;
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        // The client hangs up.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    match Client::connect(&[address], config()) {
        Err(ClientError::Protocol { error, .. }) => {
            assert!(error.to_string().contains("the limit is"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

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
fn a_fetch_tells_of_trouble_and_that_it_has_passed() {
    let fake = Fake::start();
    fake.create("t", 1);
    let mut fetcher = Fetcher::new(client(&fake), FetchConfig::default());
    fetcher.assign("t", 0, Offset(0));
    fetcher.poll(Duration::from_millis(5)).unwrap();
    assert_eq!(fetcher.trouble(), None);
    fetcher.disconnect(ids::BrokerId(7));
    assert!(fetcher.trouble().is_some());
    send_numbers(&mut producer(&fake, small_batches()), 1);
    assert_eq!(fetcher.poll(Duration::from_secs(10)).unwrap().len(), 1);
    assert_eq!(fetcher.trouble(), None);
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
    let short = ClientConfig { operation_timeout: Duration::from_millis(50), ..self::config() };
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

#[test]
fn a_fetch_waits_for_what_comes_and_survives_a_lost_connection() {
    let fake = Fake::start();
    fake.create("t", 1);
    let mut fetcher = Fetcher::new(client(&fake), FetchConfig::default());
    fetcher.assign("t", 0, Offset(0));
    assert_eq!(fetcher.poll(Duration::from_millis(30)).unwrap(), []);
    let mut producer = producer(&fake, small_batches());
    send_numbers(&mut producer, 3);
    let mut got = Vec::new();
    while got.len() < 3 {
        for f in fetcher.poll(Duration::from_secs(10)).unwrap() {
            got.extend(f.records.into_iter().map(|r| r.offset.0));
        }
        fetcher.disconnect(ids::BrokerId(7));
    }
    assert_eq!(got, [0, 1, 2]);
    assert_eq!(fetcher.position("t", 0), Some((Offset(3), Offset(3))));
}

#[test]
fn a_batch_cut_off_by_the_limit_is_fetched_again_and_records_below_the_offset_are_left_out() {
    let fake = Fake::start();
    fake.create("t", 1);
    let mut producer = producer(&fake, ProducerConfig { batch_bytes: 300, ..small_batches() });
    let sent = send_numbers(&mut producer, 100);
    let config = FetchConfig { partition_bytes_max: 500, ..FetchConfig::default() };
    let got = fetch_all(&fake, config, 100);
    assert_eq!(got.into_iter().map(|(_, _, v)| v).collect::<Vec<_>>(), sent);

    let mut fetcher = Fetcher::new(client(&fake), FetchConfig::default());
    fetcher.assign("t", 0, Offset(7));
    let fetched = fetcher.poll(Duration::from_secs(10)).unwrap();
    assert_eq!(fetched[0].records[0].offset, Offset(7));
}

#[test]
fn an_offset_out_of_range_is_an_error_or_goes_where_it_shall() {
    let fake = Fake::start();
    fake.create("t", 1);
    send_numbers(&mut producer(&fake, small_batches()), 5);
    for (policy, first) in [
        (OnOutOfRange::Fail, None),
        (OnOutOfRange::Earliest, Some(0)),
        (OnOutOfRange::Latest, None),
    ] {
        let config = FetchConfig { on_out_of_range: policy, ..FetchConfig::default() };
        let mut fetcher = Fetcher::new(client(&fake), config);
        fetcher.assign("t", 0, Offset(99));
        let wait = Duration::from_millis(if first.is_some() { 10_000 } else { 100 });
        match (policy, fetcher.poll(wait)) {
            (OnOutOfRange::Fail, Err(e)) => {
                assert_eq!(e.code(), Some(ErrorCode::OFFSET_OUT_OF_RANGE));
            }
            (_, Ok(got)) => {
                let got = got.first().map(|f| f.records[0].offset.0);
                assert_eq!(got, first, "{policy:?}");
                assert_eq!(fetcher.position("t", 0).unwrap().0, Offset(5));
            }
            (policy, other) => panic!("{policy:?} {other:?}"),
        }
    }
}

#[test]
fn only_committed_records_are_read_when_asked_for() {
    let fake = Fake::start();
    fake.create("t", 1);
    let data = |producer: i64, value: &str| {
        let mut b = BatchBuilder::new().transactional(true).producer(
            ProducerId(producer),
            ProducerEpoch(0),
            0,
        );
        b.push(Timestamp(1), None, Some(value.as_bytes()), &[]);
        b.build().unwrap()
    };
    let end = |producer: i64, end| {
        end_txn_marker(ProducerId(producer), ProducerEpoch(0), end, 0, Timestamp(1)).unwrap()
    };
    for batch in [
        data(1, "aborted"),
        data(2, "committed"),
        end(1, EndTxn::Abort),
        data(1, "later"),
        end(2, EndTxn::Commit),
        end(1, EndTxn::Commit),
    ] {
        fake.append("t", 0, batch);
    }
    fake.state().aborted =
        vec![AbortedTransaction { producer_id: ProducerId(1), first_offset: Offset(0) }];
    let read = |isolation, n| {
        let config = FetchConfig { isolation, ..FetchConfig::default() };
        fetch_all(&fake, config, n).into_iter().map(|(_, o, v)| (o, v)).collect::<Vec<_>>()
    };
    let v = |o: i64, v: &str| (o, v.to_owned());
    assert_eq!(
        read(Isolation::ReadUncommitted, 3),
        [v(0, "aborted"), v(1, "committed"), v(3, "later")]
    );
    assert_eq!(read(Isolation::ReadCommitted, 2), [v(1, "committed"), v(3, "later")]);
}

#[test]
fn bytes_that_are_no_records_are_an_error_that_names_the_partition() {
    let fake = Fake::start();
    fake.create("t", 1);
    let mut b = BatchBuilder::new();
    b.push(Timestamp(1), None, Some(b"v"), &[]);
    let mut batch = b.build().unwrap();
    *batch.last_mut().unwrap() ^= 1;
    fake.append("t", 0, batch);
    let mut fetcher = Fetcher::new(client(&fake), FetchConfig::default());
    fetcher.assign("t", 0, Offset(0));
    match fetcher.poll(Duration::from_secs(10)) {
        Err(ClientError::Records { topic, partition: 0, why }) => {
            assert_eq!(topic, "t");
            assert!(why.contains("checksum"), "{why}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn topics_are_made_described_and_deleted() {
    let fake = Fake::start();
    let mut client = client(&fake);
    let new = NewTopic {
        name: "t".to_owned(),
        partitions: Some(3),
        replication_factor: None,
        configs: vec![("retention.ms".to_owned(), "5".to_owned())],
    };
    let made = client.create_topics(std::slice::from_ref(&new), false).unwrap();
    assert_eq!(made[0].result.as_ref().unwrap().partitions, 3);
    let again = client.create_topics(std::slice::from_ref(&new), false).unwrap();
    let refusal = again[0].result.as_ref().unwrap_err();
    assert_eq!(refusal.code, ErrorCode::TOPIC_ALREADY_EXISTS);
    assert_eq!(refusal.message.as_deref(), Some("it is there"));

    assert_eq!(client.refresh_all().unwrap().topics["t"].partitions.len(), 3);
    let config = client.describe_config(&ConfigResource::topic("t"), None).unwrap();
    assert_eq!(config[1].value.as_deref(), Some("5"));
    assert_eq!(config[1].source, ConfigSource::Topic);
    let queries = [(0, OffsetQuery::Earliest), (2, OffsetQuery::Latest)];
    let offsets = client.list_offsets("t", &queries, Isolation::default()).unwrap();
    assert!(offsets.values().all(|o| o.as_ref().unwrap().offset == Offset(0)));

    let gone = client.delete_topics(&["t", "t2"]).unwrap();
    assert!(gone[0].result.is_ok() && gone[1].result.is_err());
    let error = client.list_offsets("t", &queries, Isolation::default()).unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
}

#[test]
fn an_api_that_the_broker_lacks_is_named() {
    let fake = Fake::start();
    let mut client = client(&fake);
    let error = client.alter_config(&ConfigResource::topic("t"), &[], false).unwrap_err();
    assert!(error.to_string().contains("IncrementalAlterConfigs"), "{error}");
    // The cluster is described from the metadata then.
    let cluster = client.describe_cluster().unwrap();
    assert_eq!(cluster.brokers.len(), 1);
}
