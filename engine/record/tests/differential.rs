//! Another implementation of the format reads what we write, and we read what it writes.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use bytes::Bytes;
use ids::{ProducerEpoch, ProducerId, Timestamp};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records as other;
use ringwood_record::{BatchBuilder, BatchView, Codec, Decompressor, Header, Limits, validate};

const PAIRS: [(Codec, other::Compression); 5] = [
    (Codec::None, other::Compression::None),
    (Codec::Gzip, other::Compression::Gzip),
    (Codec::Snappy, other::Compression::Snappy),
    (Codec::Lz4, other::Compression::Lz4),
    (Codec::Zstd, other::Compression::Zstd),
];

fn value(i: i64) -> Vec<u8> {
    format!("value {i} ").repeat(usize::try_from(i).unwrap() * 20).into_bytes()
}

#[test]
fn it_reads_what_we_write() {
    for (ours, _) in PAIRS {
        let mut builder = BatchBuilder::new().codec(ours).transactional(true).producer(
            ProducerId(11),
            ProducerEpoch(2),
            30,
        );
        for i in 0..100 {
            let header = Header { key: b"n", value: Some(b"1") };
            builder.push(Timestamp(1_000 + i), Some(b"key"), Some(&value(i)), &[header]);
        }
        let mut bytes = Bytes::from(builder.build().unwrap());
        let set = other::RecordBatchDecoder::decode(&mut bytes).unwrap();
        assert_eq!(set.records.len(), 100, "{ours}");
        for (i, r) in (0..).zip(&set.records) {
            assert_eq!((r.offset, r.timestamp, i64::from(r.sequence)), (i, 1_000 + i, 30 + i));
            assert!(r.transactional && r.producer_id == 11 && r.producer_epoch == 2);
            assert_eq!(r.key.as_deref(), Some(&b"key"[..]));
            assert_eq!(r.value.as_deref(), Some(&value(i)[..]));
            assert_eq!(r.headers.get(&b"n"[..]).cloned(), Some(Some(Bytes::from("1"))));
        }
    }
}

#[test]
fn we_read_what_it_writes() {
    for (ours, theirs) in PAIRS {
        let headers: IndexMap<_, _> = [(StrBytes::from_static_str("n"), None)].into();
        let records: Vec<_> = (0..100)
            .map(|i| other::Record {
                transactional: false,
                control: false,
                delete_horizon: false,
                partition_leader_epoch: -1,
                producer_id: 11,
                producer_epoch: 2,
                timestamp_type: other::TimestampType::Creation,
                offset: i,
                sequence: i32::try_from(i).unwrap(),
                timestamp: 5_000 - i,
                key: (i % 2 == 0).then(|| Bytes::from("key")),
                value: Some(value(i).into()),
                headers: headers.clone(),
            })
            .collect();
        let mut bytes = Vec::new();
        let options = other::RecordEncodeOptions { version: 2, compression: theirs };
        other::RecordBatchEncoder::encode(&mut bytes, &records, &options).unwrap();

        let mut d = Decompressor::new();
        let valid = validate(&bytes[..], &Limits::default(), &mut d).unwrap();
        assert_eq!(valid.header().attributes.codec(), Ok(ours));
        let view = BatchView::first(&bytes).unwrap();
        for (i, r) in (0..).zip(view.records_with(&mut d, 64 << 20).unwrap()) {
            let r = r.unwrap();
            assert_eq!(view.header().timestamp_of(r.timestamp_delta), Timestamp(5_000 - i));
            assert_eq!(r.key, (i % 2 == 0).then_some(&b"key"[..]));
            assert_eq!(r.value, Some(&value(i)[..]));
            assert_eq!(r.headers.collect::<Vec<_>>(), [Header { key: b"n", value: None }]);
        }
    }
}
