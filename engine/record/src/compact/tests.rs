use super::*;
use crate::{BatchBuilder, Header, TimestampType};
use ids::{LeaderEpoch, ProducerEpoch, ProducerId};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const MAX: usize = 1 << 20;

fn rules(now: i64) -> CompactRules {
    CompactRules {
        now: Timestamp(now),
        delete_retention_ms: 1_000,
        below: Offset(i64::MAX),
        keep_empty: false,
        bytes_max: MAX,
    }
}

/// What a reader sees of a record.
type Seen = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

fn seen(bytes: &[u8]) -> Vec<Seen> {
    let batch = BatchView::first(bytes).unwrap();
    batch.check_crc().unwrap();
    assert_eq!(batch.bytes().len(), bytes.len());
    let h = *batch.header();
    let mut d = Decompressor::new();
    let records = batch.records_with(&mut d, MAX).unwrap();
    let own = |b: &[u8]| b.to_vec();
    records
        .map(|r| {
            let r = r.unwrap();
            (
                h.base_offset.0 + i64::from(r.offset_delta),
                h.timestamp_of(r.timestamp_delta).0,
                r.key.map(own),
                r.value.map(own),
                r.headers.map(|h| (own(h.key), h.value.map(own))).collect(),
            )
        })
        .collect()
}

fn run(
    bytes: &[u8],
    rules: &CompactRules,
    latest: impl FnMut(Offset, &[u8]) -> bool,
) -> (CompactOutcome, Vec<u8>) {
    let batch = BatchView::first(bytes).unwrap();
    let (mut d, mut c, mut out) = (Decompressor::new(), Compressor::new(), Vec::new());
    let outcome = compact(&batch, rules, latest, &mut d, &mut c, &mut out).unwrap();
    (outcome, out)
}

/// Offsets 100 to 104: a, b, a tombstone of c, a record without a key, and d with two headers of one key.
fn five(codec: Codec) -> Vec<u8> {
    let mut b = BatchBuilder::new()
        .codec(codec)
        .producer(ProducerId(7), ProducerEpoch(2), 40)
        .placed(Offset(100), LeaderEpoch(3));
    b.push(Timestamp(5_000), Some(b"a"), Some(b"1"), &[]);
    b.push(Timestamp(5_300), Some(b"b"), Some(b"2"), &[]);
    b.push(Timestamp(4_900), Some(b"c"), None, &[]);
    b.push(Timestamp(5_100), None, Some(b"no key"), &[]);
    let twice = [
        Header { key: b"h", value: Some(b"x") },
        Header { key: b"h", value: None },
        Header { key: b"", value: Some(b"") },
    ];
    b.push(Timestamp(5_200), Some(b"d"), Some(b"4"), &twice);
    b.build().unwrap()
}

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

#[test]
fn what_stays_keeps_offset_time_and_headers_and_the_batch_its_ends() {
    for codec in CODECS {
        let bytes = five(codec);
        let before = seen(&bytes);
        let (outcome, out) = run(&bytes, &rules(0), |o, _| o.0 != 101 && o.0 != 102);
        let max = CompactOutcome::Rewritten { max_timestamp: Timestamp(5_200), records: 2 };
        assert_eq!(outcome, max);
        assert_eq!(seen(&out), [before[0].clone(), before[4].clone()], "{codec}");
        let (old, new) = (BatchHeader::read(&bytes).unwrap(), BatchHeader::read(&out).unwrap());
        assert_eq!((new.base_offset, new.last_offset()), (Offset(100), Offset(104)));
        assert_eq!(
            (new.producer_id, new.producer_epoch, new.base_sequence),
            (old.producer_id, old.producer_epoch, 40)
        );
        assert_eq!((new.leader_epoch, new.attributes), (old.leader_epoch, old.attributes));
        assert_eq!((new.count, new.max_timestamp), (2, Timestamp(5_200)));
    }
}

#[test]
fn a_batch_that_loses_nothing_is_not_touched() {
    let mut b = BatchBuilder::new().codec(Codec::Gzip);
    b.push(Timestamp(1), Some(b"a"), Some(b"1"), &[]);
    let (outcome, out) = run(&b.build().unwrap(), &rules(0), |_, _| true);
    assert_eq!((outcome, out.len()), (CompactOutcome::Whole, 0));
}

#[test]
fn a_tombstone_gets_a_horizon_first_and_goes_when_that_has_passed() {
    for codec in CODECS {
        let bytes = five(codec);
        let before = seen(&bytes);
        let (_, first) = run(&bytes, &rules(10_000), |_, _| true);
        let h = BatchHeader::read(&first).unwrap();
        assert!(h.attributes.has_delete_horizon());
        assert_eq!(h.base_timestamp, Timestamp(11_000), "now and delete.retention.ms");
        let keyed: Vec<_> = before.iter().filter(|r| r.2.is_some()).cloned().collect();
        assert_eq!(seen(&first), keyed, "timestamps are as they were");
        // Before the horizon nothing changes, at the horizon the tombstone goes and the horizon stays as it was.
        assert_eq!(run(&first, &rules(10_999), |_, _| true).0, CompactOutcome::Whole);
        let (_, second) = run(&first, &rules(11_000), |_, _| true);
        let with_values: Vec<_> = keyed.iter().filter(|r| r.3.is_some()).cloned().collect();
        assert_eq!(seen(&second), with_values);
        assert_eq!(BatchHeader::read(&second).unwrap().base_timestamp, Timestamp(11_000));
    }
}

#[test]
fn a_tombstone_that_is_not_the_newest_goes_at_once() {
    let (_, out) = run(&five(Codec::None), &rules(0), |o, _| o.0 != 102);
    assert!(!BatchHeader::read(&out).unwrap().attributes.has_delete_horizon());
}

#[test]
fn an_empty_batch_stays_where_it_is_needed() {
    let bytes = five(Codec::Zstd);
    assert_eq!(run(&bytes, &rules(0), |_, _| false).0, CompactOutcome::Dropped);
    let keep = CompactRules { keep_empty: true, ..rules(0) };
    let (outcome, out) = run(&bytes, &keep, |_, _| false);
    let empty = CompactOutcome::Rewritten { max_timestamp: Timestamp(-1), records: 0 };
    assert_eq!((outcome, out.len()), (empty, crate::HEADER_LEN));
    let h = BatchHeader::read(&out).unwrap();
    assert_eq!((h.base_offset, h.last_offset(), h.count), (Offset(100), Offset(104), 0));
    assert_eq!((h.producer_id, h.base_sequence, h.offsets()), (ProducerId(7), 40, 5));
    assert_eq!(seen(&out), []);
    // Later it stays as it is, or goes.
    assert_eq!(run(&out, &keep, |_, _| false).0, CompactOutcome::Whole);
    assert_eq!(run(&out, &rules(0), |_, _| false).0, CompactOutcome::Dropped);
}

#[test]
fn what_is_not_mapped_is_not_touched() {
    let part = CompactRules { below: Offset(102), ..rules(0) };
    let (_, out) = run(&five(Codec::Lz4), &part, |_, _| false);
    let offsets: Vec<i64> = seen(&out).iter().map(|r| r.0).collect();
    assert_eq!(offsets, [102, 103, 104]);
    assert!(!BatchHeader::read(&out).unwrap().attributes.has_delete_horizon());
}

#[test]
fn the_brokers_timestamp_stays() {
    let mut b = BatchBuilder::new().log_append_time(Some(Timestamp(9_000)));
    b.push(Timestamp(1), Some(b"a"), None, &[]);
    b.push(Timestamp(2), Some(b"b"), Some(b"2"), &[]);
    let (_, out) = run(&b.build().unwrap(), &rules(0), |_, _| true);
    let h = BatchHeader::read(&out).unwrap();
    assert_eq!(h.attributes.timestamp_type(), TimestampType::LogAppendTime);
    assert!(h.attributes.has_delete_horizon());
    assert!(seen(&out).iter().all(|r| r.1 == 9_000));
}

#[test]
fn damaged_records_are_an_error_and_leave_no_output() {
    let bytes = five(Codec::None);
    let mut found = 0;
    for at in crate::HEADER_LEN..bytes.len() {
        for bit in 0..8 {
            let mut broken = bytes.clone();
            broken[at] ^= 1 << bit;
            let batch = BatchView::first(&broken).unwrap();
            let (mut d, mut c, mut out) = (Decompressor::new(), Compressor::new(), Vec::new());
            let latest = |o: Offset, _: &[u8]| o.0 == 104;
            let result = compact(&batch, &rules(0), latest, &mut d, &mut c, &mut out);
            if result.is_err() {
                assert!(out.is_empty());
                found += 1;
            }
        }
    }
    assert!(found > 50, "{found} of the flips were noticed without the checksum");
}

#[derive(Clone, Debug)]
struct Write {
    key: Option<u8>,
    value: Option<u8>,
    header: bool,
}

fn writes() -> impl Strategy<Value = Vec<(Vec<Write>, usize)>> {
    let write = (
        prop::option::weighted(0.95, 0u8..8),
        prop::option::weighted(0.7, any::<u8>()),
        any::<bool>(),
    )
        .prop_map(|(key, value, header)| Write { key, value, header });
    prop::collection::vec((prop::collection::vec(write, 1..8), 0usize..5), 1..12)
}

proptest! {
    /// Random logs, random passes over growing prefixes at random times, against the rule itself: below the end of the last
    /// pass each key has its newest record and no other, unless that is a tombstone whose horizon had passed; above it
    /// everything is there. What is there is as it was written.
    #[test]
    fn any_passes_leave_the_newest_record_of_each_key(
        log in writes(),
        passes in prop::collection::vec((0usize..100, 0i64..3_000, any::<bool>()), 1..5),
    ) {
        let mut batches = Vec::new();
        let mut offset = 0;
        for (n, (records, codec)) in log.iter().enumerate() {
            let mut b = BatchBuilder::new()
                .codec(CODECS[*codec])
                .placed(Offset(offset), LeaderEpoch(0));
            for w in records {
                let key = w.key.map(|k| vec![k; 1 + usize::from(k)]);
                let value = w.value.map(|v| vec![v; 20]);
                let headers = [Header { key: b"h", value: None }, Header { key: b"h", value: Some(b"1") }];
                let headers = if w.header { &headers[..] } else { &[] };
                let time = Timestamp(1_000 * i64::try_from(n).unwrap() - offset);
                b.push(time, key.as_deref(), value.as_deref(), headers);
                offset += 1;
            }
            batches.push(b.build().unwrap());
        }
        let original: Vec<Seen> = batches.iter().flat_map(|b| seen(b)).collect();
        let (mut end, mut now) = (0, 0);
        // When the horizon of a key's newest tombstone passes, by its offset.
        let mut horizons: BTreeMap<i64, i64> = BTreeMap::new();
        let mut gone: BTreeSet<i64> = BTreeSet::new();
        for (percent, later, keep_empty) in passes {
            end = end.max(offset * i64::try_from(percent).unwrap() / 100);
            now += later;
            let mut newest: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
            for r in original.iter().filter(|r| r.0 < end) {
                if let Some(key) = &r.2 {
                    newest.insert(key.clone(), r.0);
                }
            }
            let rules = CompactRules { below: Offset(end), keep_empty, ..rules(now) };
            let mut after = Vec::new();
            for b in &batches {
                let had = BatchHeader::read(b).unwrap();
                if had.attributes.has_delete_horizon() && now >= had.base_timestamp.0 {
                    for r in seen(b).iter().filter(|r| r.3.is_none() && r.0 < end) {
                        gone.insert(r.0);
                    }
                }
                let is_latest = |o: Offset, key: &[u8]| newest.get(key).is_none_or(|n| o.0 >= *n);
                let (outcome, out) = run(b, &rules, is_latest);
                let out = match outcome {
                    CompactOutcome::Whole => b.clone(),
                    CompactOutcome::Rewritten { max_timestamp, records } => {
                        let h = BatchHeader::read(&out).unwrap();
                        prop_assert_eq!(h.count, records);
                        prop_assert_eq!(seen(&out).iter().map(|r| r.1).max().unwrap_or(-1), max_timestamp.0);
                        out
                    }
                    CompactOutcome::Dropped => continue,
                };
                let h = BatchHeader::read(&out).unwrap();
                prop_assert_eq!((h.base_offset, h.last_offset()), (had.base_offset, had.last_offset()));
                if h.attributes.has_delete_horizon() && !had.attributes.has_delete_horizon() {
                    prop_assert_eq!(h.base_timestamp.0, now + 1_000);
                    horizons.extend(seen(&out).iter().filter(|r| r.3.is_none()).map(|r| (r.0, now + 1_000)));
                }
                after.push(out);
            }
            batches = after;
            let expected: Vec<Seen> = original
                .iter()
                .filter(|r| {
                    let latest = r.2.as_ref().is_some_and(|k| newest.get(k) == Some(&r.0));
                    r.0 >= end || (latest && !gone.contains(&r.0))
                })
                .cloned()
                .collect();
            let found: Vec<Seen> = batches.iter().flat_map(|b| seen(b)).collect();
            prop_assert_eq!(found, expected);
            for o in &gone {
                prop_assert!(horizons.get(o).is_some_and(|h| now >= *h), "{} went before its time", o);
            }
        }
    }
}

fn run_control(bytes: &[u8], rules: &CompactRules, is_over: bool) -> (CompactOutcome, Vec<u8>) {
    let batch = BatchView::first(bytes).unwrap();
    let (mut d, mut c, mut out) = (Decompressor::new(), Compressor::new(), Vec::new());
    let outcome = compact_control(&batch, rules, is_over, &mut d, &mut c, &mut out).unwrap();
    (outcome, out)
}

#[test]
fn a_marker_stays_while_its_transaction_has_records_and_then_until_its_horizon() {
    let (id, epoch) = (ProducerId(7), ProducerEpoch(2));
    for end in [crate::EndTxn::Commit, crate::EndTxn::Abort] {
        let marker = crate::end_txn_marker(id, epoch, end, 5, Timestamp(400)).unwrap();
        let says = |bytes: &[u8]| {
            let batch = BatchView::first(bytes).unwrap();
            batch.check_crc().unwrap();
            assert!(batch.header().attributes.is_control());
            let record = batch.records().unwrap().next().unwrap().unwrap();
            let time = batch.header().timestamp_of(record.timestamp_delta);
            (crate::ControlRecord::read(&record).unwrap(), time)
        };
        assert_eq!(run_control(&marker, &rules(500), false).0, CompactOutcome::Whole);
        let (outcome, aged) = run_control(&marker, &rules(500), true);
        assert_eq!(
            outcome,
            CompactOutcome::Rewritten { max_timestamp: Timestamp(400), records: 1 }
        );
        assert_eq!(says(&aged), says(&marker));
        let h = *BatchView::first(&aged).unwrap().header();
        assert!(h.attributes.has_delete_horizon() && h.attributes.is_transactional());
        assert_eq!((h.base_timestamp, h.base_sequence), (Timestamp(1_500), -1));
        // One millisecond before it, and at it.
        assert_eq!(run_control(&aged, &rules(1_499), true).0, CompactOutcome::Whole);
        assert_eq!(run_control(&aged, &rules(1_500), true).0, CompactOutcome::Dropped);
        assert_eq!(run_control(&aged, &rules(1_500), false).0, CompactOutcome::Whole);
        let keep = CompactRules { keep_empty: true, ..rules(1_500) };
        let (outcome, empty) = run_control(&aged, &keep, true);
        assert!(matches!(outcome, CompactOutcome::Rewritten { records: 0, .. }));
        let h = *BatchView::first(&empty).unwrap().header();
        assert_eq!((h.count, h.producer_id, h.producer_epoch), (0, id, epoch));
        assert!(h.attributes.is_control());
        assert_eq!(run_control(&empty, &rules(9_000), true).0, CompactOutcome::Dropped);
    }
}

#[test]
fn a_marker_at_or_above_the_bound_is_not_touched() {
    let (id, epoch) = (ProducerId(7), ProducerEpoch(2));
    let marker = crate::end_txn_marker(id, epoch, crate::EndTxn::Abort, 5, Timestamp(400)).unwrap();
    let bound = CompactRules { below: Offset(0), ..rules(9_000) };
    assert_eq!(run_control(&marker, &bound, true).0, CompactOutcome::Whole);
}
