//! Where groups belong, and what a log with transactions says of them.

use super::*;
use coordinator::{CommitPartition, CommitTopic, OffsetCommit, OffsetFetch, TxnOffsetCommit};
use ids::{LeaderEpoch, Timestamp};

const PRODUCER: (ProducerId, ProducerEpoch) = (ProducerId(7), ProducerEpoch(0));

/// The batch in which a transaction commits offset 5 of t-0 for the group g.
fn offsets_of_a_transaction() -> Vec<u8> {
    let now = Now { instant: Instant(1), wall: Timestamp(1_000) };
    let mut coordinator = Coordinator::new(Config::default());
    coordinator.start(now);
    let partition = CommitPartition {
        partition: PartitionIndex(0),
        offset: Offset(5),
        leader_epoch: LeaderEpoch::UNKNOWN,
        metadata: "",
    };
    let commit = OffsetCommit {
        group_id: "g",
        generation_id: -1,
        topics: vec![CommitTopic { name: "t", partitions: vec![partition] }],
        ..OffsetCommit::default()
    };
    let (producer_id, producer_epoch) = PRODUCER;
    let request = TxnOffsetCommit { commit, producer_id, producer_epoch };
    assert!(matches!(coordinator.txn_offset_commit(&request, now), Outcome::Parked(_)));
    let append = coordinator.poll_append().expect("a batch");
    let mut builder =
        BatchBuilder::new().transactional(true).producer(producer_id, producer_epoch, -1);
    for r in &append.records {
        builder.push(now.wall, Some(&r.key), r.value.as_deref(), &[]);
    }
    builder.build().expect("a small batch")
}

/// What a coordinator that reads these batches, at offsets 0, 1 and so on, says of t-0.
fn read_back(batches: &[Vec<u8>]) -> Option<(Offset, ErrorCode)> {
    let mut coordinator = Coordinator::new(Config::default());
    for (at, bytes) in (0_i64..).zip(batches) {
        let mut bytes = bytes.clone();
        // The base offset is not in the checksum.
        bytes[..8].copy_from_slice(&at.to_be_bytes());
        for batch in Batches::new(&bytes) {
            let batch = batch.expect("a batch");
            replay(&mut coordinator, &batch, &mut Decompressor::new()).expect("can be read");
        }
    }
    coordinator.start(Now { instant: Instant(1), wall: Timestamp(2_000) });
    let topics = Some(vec![("t", vec![PartitionIndex(0)])]);
    let request =
        OffsetFetch { group_id: "g", topics, require_stable: true, ..OffsetFetch::default() };
    let topics = coordinator.offset_fetch(&request);
    topics.first().and_then(|t| t.partitions.first()).map(|p| (p.offset, p.error_code))
}

#[test]
fn a_transaction_that_has_ended_has_ended_after_a_restart() {
    let marker = |end| {
        let (id, epoch) = PRODUCER;
        record::end_txn_marker(id, epoch, end, 0, Timestamp(1_000)).expect("a small batch")
    };
    let offsets = offsets_of_a_transaction();
    let open = read_back(std::slice::from_ref(&offsets));
    assert_eq!(open.map(|(_, code)| code), Some(ErrorCode::UNSTABLE_OFFSET_COMMIT));
    let committed = read_back(&[offsets.clone(), marker(EndTxn::Commit)]);
    assert_eq!(committed, Some((Offset(5), ErrorCode::NONE)));
    let aborted = read_back(&[offsets, marker(EndTxn::Abort)]);
    assert_eq!(aborted, Some((Offset::NONE, ErrorCode::NONE)));
}

#[test]
fn a_group_belongs_where_kafka_puts_it() {
    // "abc".hashCode() is 96354; "polygenelubricants".hashCode() is the smallest number.
    assert_eq!(partition_of("abc", 50), PartitionIndex(96_354 % 50));
    assert_eq!(partition_of("polygenelubricants", 50), PartitionIndex(0));
    assert_eq!(partition_of("", 50), PartitionIndex(0));
    assert_eq!(partition_of("\u{1f980}", 1), PartitionIndex(0));
}
