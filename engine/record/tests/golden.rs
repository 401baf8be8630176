//! Batches worked out by hand from the format, byte by byte; the checksums come from a bit-at-a-time CRC-32C.
use ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use ringwood_record::{
    BatchBuilder, Batches, ControlRecord, EndTxn, Header, Limits, TimestampType, end_txn_marker,
    patch_base_offset, patch_leader_epoch, rewrite_log_append_time, validate,
};

#[rustfmt::skip]
const ONE_RECORD: [u8; 70] = [
    0, 0, 0, 0, 0, 0, 0, 0,             // base offset 0
    0, 0, 0, 58,                        // 58 bytes follow
    0xff, 0xff, 0xff, 0xff,             // leader epoch unknown
    2,                                  // magic
    0x71, 0x6a, 0x61, 0x89,             // CRC-32C of the rest
    0, 0,                               // no codec, no flags
    0, 0, 0, 0,                         // last offset delta 0
    0, 0, 0, 0, 0, 0, 3, 0xe8,          // base timestamp 1000
    0, 0, 0, 0, 0, 0, 3, 0xe8,          // max timestamp 1000
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // no producer id
    0xff, 0xff,                         // no producer epoch
    0xff, 0xff, 0xff, 0xff,             // no sequence
    0, 0, 0, 1,                         // one record
    16,                                 // of 8 bytes
    0,                                  // no attributes
    0, 0,                               // at the base timestamp and the base offset
    2, b'k', 2, b'v',                   // one byte of key, one of value
    0,                                  // no headers
];

#[rustfmt::skip]
const THREE_RECORDS: [u8; 99] = [
    0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 87,
    0xff, 0xff, 0xff, 0xff,
    2,
    0x4b, 0x77, 0x9c, 0xae,
    0, 0x10,                            // transactional
    0, 0, 0, 2,
    0, 0, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00, // 1_700_000_000_000
    0, 0, 0x01, 0x8b, 0xcf, 0xe5, 0x69, 0x2c, // 300 later
    0, 0, 0, 0, 0, 0, 0x10, 0x92,       // producer 4242
    0, 7,                               // epoch 7
    0, 0, 0, 100,                       // sequence 100
    0, 0, 0, 3,
    36, 0, 0, 0,                        // 18 bytes, at the base
    1, 10, b'h', b'e', b'l', b'l', b'o', // null key, 5 bytes of value
    4,                                  // two headers with the same key
    2, b'h', 1,                         // null value
    2, b'h', 2, b'x',
    20, 0, 0xe7, 0x07, 2,               // 10 bytes, 500 ms before the base, offset delta 1
    6, b'k', b'e', b'y', 1, 0,          // a tombstone
    14, 0, 0xd8, 0x04, 4,               // 7 bytes, 300 ms after, offset delta 2
    0, 0, 0,                            // empty key, empty value: neither is null
];

#[rustfmt::skip]
const COMMIT_MARKER: [u8; 78] = [
    0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 66,
    0xff, 0xff, 0xff, 0xff,
    2,
    0x14, 0x93, 0xb0, 0xba,
    0, 0x30,                            // transactional, control
    0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 3, 0xe8,
    0, 0, 0, 0, 0, 0, 3, 0xe8,
    0, 0, 0, 0, 0, 0, 0, 9,             // producer 9
    0, 3,                               // epoch 3
    0xff, 0xff, 0xff, 0xff,             // markers have no sequence
    0, 0, 0, 1,
    32, 0, 0, 0,
    8, 0, 0, 0, 1,                      // key: version 0, type 1 (commit)
    12, 0, 0, 0, 0, 0, 5,               // value: version 0, coordinator epoch 5
    0,
];

const T: i64 = 1_700_000_000_000;

#[test]
fn one_record_is_written_and_read() {
    let mut builder = BatchBuilder::new();
    builder.push(Timestamp(1000), Some(b"k"), Some(b"v"), &[]);
    assert_eq!(builder.build().unwrap(), ONE_RECORD);

    let valid = validate(&ONE_RECORD[..], &Limits::default(), &mut Default::default()).unwrap();
    assert_eq!(valid.header().count, 1);
    assert_eq!(valid.header().crc, 0x716a_6189);
}

#[test]
fn three_records_are_written_and_read() {
    let mut builder =
        BatchBuilder::new().transactional(true).producer(ProducerId(4242), ProducerEpoch(7), 100);
    let h = |value| Header { key: b"h", value };
    builder.push(Timestamp(T), None, Some(b"hello"), &[h(None), h(Some(b"x"))]);
    builder.push(Timestamp(T - 500), Some(b"key"), None, &[]);
    builder.push(Timestamp(T + 300), Some(b""), Some(b""), &[]);
    assert_eq!(builder.build().unwrap(), THREE_RECORDS);

    let batch = Batches::new(&THREE_RECORDS).next().unwrap().unwrap();
    batch.check_crc().unwrap();
    let header = batch.header();
    assert!(header.attributes.is_transactional() && !header.attributes.is_control());
    assert_eq!(header.producer_id, ProducerId(4242));
    assert_eq!(header.producer_epoch, ProducerEpoch(7));
    assert_eq!(header.base_sequence, 100);
    assert_eq!(header.last_offset(), Offset(2));
    let records: Vec<_> = batch.records().unwrap().map(Result::unwrap).collect();
    assert_eq!(records.len(), 3);
    assert_eq!((records[0].key, records[0].value), (None, Some(&b"hello"[..])));
    assert_eq!(records[0].headers.clone().collect::<Vec<_>>(), [h(None), h(Some(b"x"))]);
    assert_eq!((records[1].key, records[1].value), (Some(&b"key"[..]), None));
    assert_eq!(header.timestamp_of(records[1].timestamp_delta), Timestamp(T - 500));
    assert_eq!((records[2].key, records[2].value), (Some(&b""[..]), Some(&b""[..])));
    assert_eq!(records[2].offset_delta, 2);
}

#[test]
fn a_commit_marker_is_written_and_read() {
    let marker =
        end_txn_marker(ProducerId(9), ProducerEpoch(3), EndTxn::Commit, 5, Timestamp(1000));
    assert_eq!(marker.unwrap(), COMMIT_MARKER);
    let batch = Batches::new(&COMMIT_MARKER).next().unwrap().unwrap();
    batch.check_crc().unwrap();
    assert!(batch.header().attributes.is_control());
    let record = batch.records().unwrap().next().unwrap().unwrap();
    assert_eq!(
        ControlRecord::read(&record),
        Some(ControlRecord::EndTxn { end: EndTxn::Commit, coordinator_epoch: 5 })
    );
}

#[test]
fn placing_a_batch_leaves_its_checksum_right() {
    let mut bytes = ONE_RECORD;
    patch_base_offset(&mut bytes, Offset(0x0102_0304_0506_0708));
    patch_leader_epoch(&mut bytes, LeaderEpoch(9));
    assert_eq!(bytes[..8], [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(bytes[12..16], [0, 0, 0, 9]);
    assert_eq!(bytes[16..], ONE_RECORD[16..]);
    let batch = Batches::new(&bytes).next().unwrap().unwrap();
    batch.check_crc().unwrap();
    assert_eq!(batch.header().last_offset(), Offset(0x0102_0304_0506_0708));
}

#[test]
fn the_brokers_time_replaces_the_records_time() {
    let mut bytes = THREE_RECORDS;
    rewrite_log_append_time(&mut bytes, Timestamp(T + 5_000));
    let batch = Batches::new(&bytes).next().unwrap().unwrap();
    batch.check_crc().unwrap();
    assert_eq!(bytes[61..], THREE_RECORDS[61..], "the records stay");
    let header = batch.header();
    assert_eq!(header.attributes.timestamp_type(), TimestampType::LogAppendTime);
    assert!(header.attributes.is_transactional());
    assert_eq!(header.timestamp_of(-500), Timestamp(T + 5_000));
}
