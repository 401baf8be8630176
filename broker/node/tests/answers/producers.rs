//! What a partition knows of its idempotent producers: DescribeProducers, and what a crash and retention leave of it.

use crate::broker::{Broker, fresh};
use crate::line::Line;
use crate::requests::{PRODUCE, produce};
use ids::{BrokerId, Offset, PartitionIndex, ProducerEpoch, ProducerId, Timestamp};
use record::BatchBuilder;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wire::ErrorCode;
use wire::api::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, TopicRequest,
};
use wire::api::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use wire::api::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use wire::api::produce::ProduceResponse;

fn init(line: &mut Line) -> ProducerId {
    let request = InitProducerIdRequest { transaction_timeout_ms: 1, ..Default::default() };
    let reply = line.ask(4, &request);
    let answer: InitProducerIdResponse = reply.decode().unwrap();
    assert_eq!((answer.error_code, answer.producer_epoch), (ErrorCode::NONE, ProducerEpoch(0)));
    answer.producer_id
}

/// Sends two records from this sequence number on: the error and the first offset.
fn send(line: &mut Line, id: ProducerId, sequence: i32, time: i64) -> (ErrorCode, i64) {
    let mut batch = BatchBuilder::new().producer(id, ProducerEpoch(0), sequence);
    for _ in 0..2 {
        batch.push(Timestamp(time), None, Some(b"value"), &[]);
    }
    let batch = batch.build().unwrap();
    let reply = line.ask(PRODUCE, &produce("t", &batch));
    let answer: ProduceResponse<'_> = reply.decode().unwrap();
    let partition = &answer.responses[0].partition_responses[0];
    (partition.error_code, partition.base_offset.0)
}

/// Id, epoch, last sequence and last time of each producer that partition `index` knows, or the error.
fn described(line: &mut Line, index: i32) -> Result<Vec<(ProducerId, i32, i32, i64)>, ErrorCode> {
    let topic = TopicRequest { name: "t", partition_indexes: vec![PartitionIndex(index)] };
    let reply = line.ask(0, &DescribeProducersRequest { topics: vec![topic] });
    let answer: DescribeProducersResponse<'_> = reply.decode().unwrap();
    let partition = &answer.topics[0].partitions[0];
    if partition.error_code != ErrorCode::NONE {
        return Err(partition.error_code);
    }
    let known = partition.active_producers.iter().map(|p| {
        assert_eq!(p.current_txn_start_offset, Offset::NONE);
        (p.producer_id, p.producer_epoch, p.last_sequence, p.last_timestamp)
    });
    Ok(known.collect())
}

/// Where the log of partition 0 begins.
fn start(line: &mut Line) -> i64 {
    let partition = ListOffsetsPartition {
        partition_index: PartitionIndex(0),
        timestamp: -2,
        ..ListOffsetsPartition::default()
    };
    let topic = ListOffsetsTopic { name: "t", partitions: vec![partition] };
    let request = ListOffsetsRequest {
        replica_id: BrokerId::NONE,
        topics: vec![topic],
        ..ListOffsetsRequest::default()
    };
    let reply = line.ask(6, &request);
    let answer: ListOffsetsResponse<'_> = reply.decode().unwrap();
    answer.topics[0].partitions[0].offset.0
}

#[test]
fn producers_are_known_across_crashes_and_when_retention_has_taken_their_records() {
    let data = fresh("answers-producers");
    let options =
        ["--ring", "1MiB", "--memory", "32MiB", "--set", "log.retention.check.interval.ms=100"];
    let first = Broker::serving_with(&data, &options);
    first.command(&["topic", "create", "t", "--partitions", "1"]);
    let mut line = Line::to(&first);
    assert_eq!(described(&mut line, 0), Ok(Vec::new()));
    assert_eq!(described(&mut line, 1), Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let time = i64::try_from(now.as_millis()).unwrap() - 3_600_000;
    let (one, other) = (init(&mut line), init(&mut line));
    assert!(other > one);
    assert_eq!(send(&mut line, one, 0, time), (ErrorCode::NONE, 0));
    assert_eq!(send(&mut line, other, 0, time + 5), (ErrorCode::NONE, 2));
    assert_eq!(send(&mut line, one, 2, time + 7), (ErrorCode::NONE, 4));
    let known = Ok(vec![(one, 0, 3, time + 7), (other, 0, 1, time + 5)]);
    assert_eq!(described(&mut line, 0), known);
    first.kill();

    let second = Broker::serving_with(&data, &options);
    let mut line = Line::to(&second);
    assert_eq!(described(&mut line, 0), known, "after a crash");
    // Everything is an hour old, and may be a minute old from now on.
    second.command(&["topic", "alter", "t", "--set", "retention.ms=60000"]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while start(&mut line) != 6 {
        assert!(Instant::now() < deadline, "the log begins at {}", start(&mut line));
        sleep(Duration::from_millis(50));
    }
    assert_eq!(described(&mut line, 0), known, "after retention");
    second.kill();

    let third = Broker::serving_with(&data, &options);
    let mut line = Line::to(&third);
    assert_eq!((start(&mut line), described(&mut line, 0)), (6, known), "after both");
    // What was sent before is known, what comes next is taken, and what leaves a gap is not.
    assert_eq!(send(&mut line, one, 2, time + 7), (ErrorCode::NONE, 4));
    assert_eq!(send(&mut line, one, 0, time), (ErrorCode::NONE, 0));
    let gap = (ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
    assert_eq!(send(&mut line, one, 6, time), gap);
    assert_eq!(send(&mut line, other, 3, time), gap);
    assert_eq!(send(&mut line, one, 4, time + 9), (ErrorCode::NONE, 6));
    // And nobody gets their ids.
    assert!(init(&mut line) > other);
}
