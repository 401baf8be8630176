//! Batches to append, partitions to append them to, and how to read everything back.

use ids::{
    LeaderEpoch, Offset, PartitionId, PartitionIndex, ProducerEpoch, ProducerId, Timestamp, TopicId,
};
use log::{Appended, BatchMeta};
use ringwood_store::{PartitionConfig, Store};

pub(crate) const EPOCH: LeaderEpoch = LeaderEpoch(3);

/// A batch of `count` records whose body is `body`; its CRC is right.
pub(crate) fn batch(count: i32, body: &[u8]) -> (Vec<u8>, BatchMeta) {
    batch_of(ProducerId::NONE, -1, count, body)
}

/// A batch of an idempotent producer (epoch 0), unless that is none.
pub(crate) fn batch_of(
    producer: ProducerId,
    sequence: i32,
    count: i32,
    body: &[u8],
) -> (Vec<u8>, BatchMeta) {
    let epoch = if producer == ProducerId::NONE { ProducerEpoch::NONE } else { ProducerEpoch(0) };
    let len = 61 + body.len();
    let mut b = vec![0; len];
    b[8..12].copy_from_slice(&i32::try_from(len - 12).unwrap().to_be_bytes());
    b[16] = 2;
    b[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    b[35..43].copy_from_slice(&1_700_000_000_000i64.to_be_bytes());
    b[43..51].copy_from_slice(&producer.0.to_be_bytes());
    b[51..53].copy_from_slice(&epoch.0.to_be_bytes());
    b[53..57].copy_from_slice(&sequence.to_be_bytes());
    b[57..61].copy_from_slice(&count.to_be_bytes());
    b[61..].copy_from_slice(body);
    let crc = crc32c::crc32c(&b[21..]);
    b[17..21].copy_from_slice(&crc.to_be_bytes());
    let meta = BatchMeta {
        len: u32::try_from(len).unwrap(),
        offsets: count,
        max_timestamp: Timestamp(1_700_000_000_000),
        producer_id: producer,
        producer_epoch: epoch,
        base_sequence: sequence,
        transactional: false,
        control: false,
    };
    (b, meta)
}

pub(crate) fn partition(n: i32) -> PartitionId {
    PartitionId { topic: TopicId([9; 16]), index: PartitionIndex(n) }
}

/// Segments of 100,000 bytes, so that they roll.
pub(crate) fn small() -> PartitionConfig {
    let log = log::Config { segment_bytes: 100_000, ..log::Config::default() };
    PartitionConfig { log, fsync: true }
}

/// Appends one batch; its bytes as they are stored.
pub(crate) async fn append(
    store: &Store,
    id: PartitionId,
    (bytes, meta): (Vec<u8>, BatchMeta),
) -> Vec<u8> {
    store.admit(bytes.len()).await;
    let appended = store.append(id, &bytes, &meta, EPOCH, Timestamp(1)).unwrap();
    let Appended::New { base_offset, .. } = appended else { panic!("a duplicate") };
    let mut stored = bytes;
    stored[..8].copy_from_slice(&base_offset.0.to_be_bytes());
    stored[12..16].copy_from_slice(&EPOCH.0.to_be_bytes());
    stored
}

/// Everything from the log's start to its end; offsets must continue.
pub(crate) async fn read_all(store: &Store, id: PartitionId) -> Vec<u8> {
    let (mut at, end) = store.with_log(id, |l| (l.start(), l.end())).unwrap();
    let mut all = Vec::new();
    while at < end {
        let read = store.read(id, at, end, 30_000, true).await.unwrap();
        assert!(read.bytes > 0, "nothing at {at} of {end}");
        let bytes: Vec<u8> = read.slices.iter().flat_map(|s| s.to_vec()).collect();
        assert_eq!(bytes.len(), read.bytes);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let base = i64::from_be_bytes(rest[..8].try_into().unwrap());
            let len = 12 + i32::from_be_bytes(rest[8..12].try_into().unwrap()) as usize;
            let delta = i32::from_be_bytes(rest[23..27].try_into().unwrap());
            let last = Offset(base + i64::from(delta));
            assert!(base <= at.0 && at <= last, "offset {at} is not in {base} to {last}");
            at = last.next();
            rest = &rest[len..];
        }
        all.extend(bytes);
    }
    all
}
