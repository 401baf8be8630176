use super::*;
use crate::{Aligned, GROUP_BYTES, LogConfig, create_ring_file, read_back};
use ids::{Offset, PartitionIndex, ProducerEpoch, ProducerId, Timestamp};
use record::BatchBuilder;
use std::rc::Rc;
use wire::api::fetch::{FetchPartition, FetchTopic};
use wire::api::produce::{PartitionProduceData, TopicProduceData};
use wire::{Response, ResponseHeader};

type Piece = Rc<[u8]>;
type TestLog = Log<Aligned, Piece>;

fn block() -> Aligned {
    Aligned::new(GROUP_BYTES)
}

fn batch(value: &[u8]) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.push(Timestamp(1_000), None, Some(value), &[]);
    builder.build().unwrap()
}

fn produce(correlation: i32, partition: i32, records: &[u8]) -> Vec<u8> {
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 1_000,
        topic_data: vec![TopicProduceData {
            name: TOPIC,
            partition_data: vec![PartitionProduceData {
                index: PartitionIndex(partition),
                records: Records::Slice(records),
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut encoder = Encoder::new();
    encoder.request(correlation, Some("test"), 9, &request).unwrap();
    encoder.bytes()[4..].to_vec()
}

fn fetch(correlation: i32, partition: i32, offset: i64, max: i32) -> Vec<u8> {
    let request = FetchRequest {
        topics: vec![FetchTopic {
            topic: TOPIC,
            partitions: vec![FetchPartition {
                partition: PartitionIndex(partition),
                fetch_offset: Offset(offset),
                partition_max_bytes: max,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut encoder = Encoder::new();
    encoder.request(correlation, None, 12, &request).unwrap();
    encoder.bytes()[4..].to_vec()
}

fn sent(connection: &mut Connection<Piece>, durable: u64) -> Vec<u8> {
    let mut parts = Vec::new();
    connection.release(durable, &mut parts);
    let mut all = Vec::new();
    for part in parts {
        match part {
            Part::Bytes(bytes) => all.extend(bytes),
            Part::Records(piece) => all.extend_from_slice(&piece),
        }
    }
    all
}

/// The first answer in `bytes`, and what follows it.
fn answer<'a, R: Response<'a>>(bytes: &'a [u8], version: i16) -> (i32, R, &'a [u8]) {
    let len = u32::from_be_bytes(*bytes.first_chunk().unwrap()) as usize;
    let mut r = Reader::new(&bytes[4..4 + len]);
    let header = ResponseHeader::decode(&mut r, R::KEY.response_header_version(version)).unwrap();
    (header.correlation_id, R::decode_from(&mut r, version).unwrap(), &bytes[4 + len..])
}

fn flush(log: &mut TestLog, file: &mut Vec<u8>) {
    let group = log.next_group().expect("there is a group");
    let at = usize::try_from(group.position()).unwrap();
    let bytes = group.block().filled();
    assert!(bytes.len().is_multiple_of(4096));
    file.resize(file.len().max(at + bytes.len()), 0);
    file[at..at + bytes.len()].copy_from_slice(bytes);
    log.on_durable(group);
}

#[test]
fn an_answer_waits_for_its_group_and_for_those_before_it() {
    let (mut log, mut file) = (TestLog::new(LogConfig::default()), Vec::new());
    let mut connection = Connection::new(0);
    let (a, b) = (batch(b"a"), batch(b"b"));
    connection.execute(&produce(1, 3, &a), &mut log, block).unwrap();
    let first = log.next_group().unwrap();
    connection.execute(&produce(2, 3, &b), &mut log, block).unwrap();
    // Answered at once by itself, but two others come first.
    connection.execute(&fetch(3, 3, 0, 1000), &mut log, block).unwrap();
    assert!(sent(&mut connection, log.durable()).is_empty());
    assert!(log.next_group().is_none(), "one group is out");
    log.on_durable(first);

    let bytes = sent(&mut connection, log.durable());
    let (correlation, response, rest) = answer::<ProduceResponse<'_>>(&bytes, 9);
    let partition = &response.responses[0].partition_responses[0];
    assert_eq!((correlation, partition.base_offset, rest.len()), (1, Offset(0), 0));
    assert_eq!(partition.error_code, ErrorCode::NONE);

    flush(&mut log, &mut file);
    let bytes = sent(&mut connection, log.durable());
    let (correlation, response, rest) = answer::<ProduceResponse<'_>>(&bytes, 9);
    assert_eq!(correlation, 2);
    assert_eq!(response.responses[0].partition_responses[0].base_offset, Offset(1));
    // The fetch was executed before anything was durable.
    let (correlation, response, _) = answer::<FetchResponse<'_>>(rest, 12);
    let partition = &response.responses[0].partitions[0];
    assert_eq!((correlation, partition.high_watermark, partition.records.len()), (3, Offset(0), 0));

    connection.execute(&fetch(4, 3, 1, 1000), &mut log, block).unwrap();
    let bytes = sent(&mut connection, log.durable());
    let (_, response, _) = answer::<FetchResponse<'_>>(&bytes, 12);
    let partition = &response.responses[0].partitions[0];
    let mut expected = b.clone();
    expected[7] = 1;
    expected[12..16].fill(0);
    assert_eq!(partition.records.bytes(), Some(&expected[..]));
    assert_eq!(partition.high_watermark, Offset(2));
}

#[test]
fn a_fetch_keeps_to_its_bytes_but_the_first_batch_comes_whole() {
    let (mut log, mut file) = (TestLog::new(LogConfig::default()), Vec::new());
    let mut connection = Connection::new(0);
    let one = batch(&[7; 500]);
    for i in 0..4 {
        connection.execute(&produce(i, 0, &one), &mut log, block).unwrap();
    }
    flush(&mut log, &mut file);
    sent(&mut connection, log.durable());
    let len = one.len();
    for (max, batches) in [(1, 1), (len, 1), (2 * len, 2), (3 * len - 1, 2), (99 * len, 4)] {
        let request = fetch(9, 0, 0, i32::try_from(max).unwrap());
        connection.execute(&request, &mut log, block).unwrap();
        let bytes = sent(&mut connection, log.durable());
        let (_, response, _) = answer::<FetchResponse<'_>>(&bytes, 12);
        assert_eq!(response.responses[0].partitions[0].records.len(), batches * len, "max {max}");
    }
    for (partition, offset, code) in [
        (0, 5, ErrorCode::OFFSET_OUT_OF_RANGE),
        (0, -1, ErrorCode::OFFSET_OUT_OF_RANGE),
        (64, 0, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        (-1, 0, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
    ] {
        connection.execute(&fetch(9, partition, offset, 100), &mut log, block).unwrap();
        let bytes = sent(&mut connection, log.durable());
        let (_, response, _) = answer::<FetchResponse<'_>>(&bytes, 12);
        assert_eq!(response.responses[0].partitions[0].error_code, code);
    }
}

#[test]
fn bad_batches_are_refused_and_bad_frames_end_the_connection() {
    let mut log = TestLog::new(LogConfig::default());
    let mut connection = Connection::new(0);
    let good = batch(b"value");
    let mut damaged = good.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let large = batch(&vec![1; GROUP_BYTES]);
    for (partition, records, code) in [
        (0, &damaged[..], ErrorCode::CORRUPT_MESSAGE),
        (0, &good[..20], ErrorCode::CORRUPT_MESSAGE),
        (0, &large[..], ErrorCode::MESSAGE_TOO_LARGE),
        (99, &good[..], ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
    ] {
        connection.execute(&produce(1, partition, records), &mut log, block).unwrap();
        let bytes = sent(&mut connection, 0);
        let (_, response, _) = answer::<ProduceResponse<'_>>(&bytes, 9);
        assert_eq!(response.responses[0].partition_responses[0].error_code, code);
    }
    assert!(log.next_group().is_none(), "nothing was appended");

    let whole = produce(1, 0, &good);
    for len in 0..whole.len() {
        let cut = connection.execute(&whole[..len], &mut log, block);
        assert!(cut.is_err(), "a request cut at {len} was taken");
    }
    let mut old = whole.clone();
    old[3] = 8;
    let refused = connection.execute(&old, &mut log, block);
    assert_eq!(refused, Err(Refused::Unsupported { api: 0, version: 8 }));
    for _ in 0..UNANSWERED_MAX {
        connection.execute(&whole, &mut log, block).unwrap();
    }
    let refused = connection.execute(&whole, &mut log, block);
    assert_eq!(refused, Err(Refused::TooManyUnanswered));
}

#[test]
fn a_repeated_batch_of_an_idempotent_producer_keeps_its_offset_and_waits() {
    let mut log = TestLog::new(LogConfig::default());
    let mut connection = Connection::new(0);
    let mut builder = BatchBuilder::new().producer(ProducerId(7), ProducerEpoch(0), 0);
    builder.push(Timestamp(1), None, Some(b"once"), &[]);
    let once = builder.build().unwrap();
    connection.execute(&produce(1, 0, &once), &mut log, block).unwrap();
    connection.execute(&produce(2, 0, &once), &mut log, block).unwrap();
    assert!(!connection.is_releasable(log.durable()), "not before the original is durable");
    flush(&mut log, &mut Vec::new());
    let bytes = sent(&mut connection, log.durable());
    let (_, first, rest) = answer::<ProduceResponse<'_>>(&bytes, 9);
    let (_, second, _) = answer::<ProduceResponse<'_>>(rest, 9);
    assert_eq!(first.responses, second.responses);
    assert!(log.next_group().is_none());
}

#[test]
fn what_was_written_is_read_back_and_the_ring_goes_round() {
    let ring_bytes = 2 * GROUP_BYTES as u64;
    let config = LogConfig { ring_bytes, ..LogConfig::default() };
    let (mut log, mut file) = (TestLog::new(config), Vec::new());
    let mut connection = Connection::new(0);
    let mut expected = 0;
    for i in 0..6i32 {
        let value = vec![i as u8; 300_000];
        connection.execute(&produce(i, i % 2, &batch(&value)), &mut log, block).unwrap();
        flush(&mut log, &mut file);
        expected += 1;
    }
    let found = read_back(&file).unwrap();
    assert_eq!(found.values().map(std::collections::BTreeMap::len).sum::<usize>(), expected);
    assert_eq!(found[&1][&2][12..16], [0; 4], "the leader epoch is placed");
    for at in [8, 200_000] {
        let mut damaged = file.clone();
        damaged[at] ^= 1;
        assert!(read_back(&damaged).is_err(), "damage at {at} is not seen");
    }
    connection.execute(&produce(7, 0, &batch(&[9; 300_000])), &mut log, block).unwrap();
    flush(&mut log, &mut file);
    assert!(file.len() as u64 <= ring_bytes, "the seventh begins again at 0");
    assert!(read_back(&file).is_err(), "the older lap is not taken for the newer one");
}

#[test]
fn a_group_that_is_full_makes_room_for_the_next() {
    let (mut log, mut file) = (TestLog::new(LogConfig::default()), Vec::new());
    let mut connection = Connection::new(0);
    let large = batch(&vec![5; 400_000]);
    for i in 0..5 {
        connection.execute(&produce(i, 0, &large), &mut log, block).unwrap();
    }
    let mut answers = Vec::new();
    for _ in 0..3 {
        flush(&mut log, &mut file);
        answers.push(connection.unanswered());
        sent(&mut connection, log.durable());
    }
    assert_eq!(answers, [5, 3, 1]);
    assert_eq!(connection.unanswered(), 0);
    assert_eq!(read_back(&file).unwrap()[&0].len(), 5);
}

#[test]
fn the_tail_is_bounded() {
    let tail_bytes = 4 * GROUP_BYTES;
    let config = LogConfig { tail_bytes, ..LogConfig::default() };
    let mut log = TestLog::new(config);
    let mut connection = Connection::new(0);
    let large = batch(&vec![5; 500_000]);
    for i in 0..20 {
        connection.execute(&produce(i, 0, &large), &mut log, block).unwrap();
        flush(&mut log, &mut Vec::new());
        sent(&mut connection, log.durable());
    }
    assert_eq!(log.read(0, Offset(0), 1).err(), Some(ReadRefusal::OutOfRange));
    let read = log.read(0, Offset(19), 1).unwrap();
    assert_eq!((read.start, read.durable_end), (Offset(12), Offset(20)));
}

#[test]
fn a_ring_file_is_zeros_of_the_right_length() {
    let path = std::env::temp_dir().join(format!("ringwood-bench-{}", std::process::id()));
    create_ring_file(&path, (1 << 20) + 4096).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(bytes.len(), (1 << 20) + 4096);
    assert!(bytes.iter().all(|b| *b == 0));
}
