//! Records that are read.

use crate::fake::Fake;
use crate::{client, fetch_all, producer, send_numbers, small_batches};
use ids::{Offset, ProducerEpoch, ProducerId, Timestamp};
use record::{BatchBuilder, EndTxn, end_txn_marker};
use ringwood_client::{ClientError, FetchConfig, Fetcher, Isolation, OnOutOfRange, ProducerConfig};
use std::time::Duration;
use wire::ErrorCode;
use wire::api::fetch::AbortedTransaction;

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
