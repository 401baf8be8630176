use super::*;
use crate::{BatchBuilder, rewrite_max_timestamp};
use ids::{LeaderEpoch, ProducerEpoch, ProducerId};

const T: i64 = 1_000_000;

fn builder(n: usize) -> BatchBuilder {
    let mut b = BatchBuilder::new();
    for i in 0..n {
        b.push(Timestamp(T + i64::try_from(i).unwrap()), Some(b"k"), Some(b"v"), &[]);
    }
    b
}

fn three() -> Vec<u8> {
    builder(3).build().unwrap()
}

fn judge(bytes: &[u8], limits: &Limits) -> Result<(), Invalid> {
    validate(bytes, limits, &mut Decompressor::new()).map(drop)
}

/// The batch with a field overwritten and the checksum made right again.
fn with(mut batch: Vec<u8>, at: usize, field: &[u8]) -> Vec<u8> {
    batch[at..at + field.len()].copy_from_slice(field);
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

#[test]
fn a_sound_batch_passes_at_both_depths() {
    for depth in [Depth::Header, Depth::Records] {
        let limits = Limits { depth, ..Limits::default() };
        let bytes = three();
        let valid = validate(&bytes[..], &limits, &mut Decompressor::new()).unwrap();
        assert_eq!(valid.depth(), depth);
        assert_eq!(valid.bytes(), bytes);
        let placed = valid.to_owned().place(Offset(100), LeaderEpoch(4));
        assert_eq!(placed.header().last_offset(), Offset(102));
        let mut buffer = [0xee; 512];
        let copied = valid.place_into(Offset(100), LeaderEpoch(4), &mut buffer);
        assert_eq!(copied.bytes(), placed.bytes());
        assert_eq!(BatchHeader::read(placed.bytes()), Some(*placed.header()));
    }
}

#[test]
fn exactly_one_batch() {
    let two = [three(), three()].concat();
    let extra = three().len();
    assert_eq!(judge(&two, &Limits::default()), Err(Invalid::NotOneBatch { extra }));
    assert_eq!(
        judge(&[], &Limits::default()),
        Err(Invalid::Batch(BatchError::Partial { have: 0, need: 61 }))
    );
    let one = three();
    assert_eq!(
        judge(&one[..one.len() - 1], &Limits::default()),
        Err(Invalid::Batch(BatchError::Partial { have: one.len() - 1, need: one.len() }))
    );
}

#[test]
fn old_formats_are_refused_by_name() {
    let mut b = three();
    b[16] = 1;
    assert_eq!(judge(&b, &Limits::default()), Err(Invalid::Batch(BatchError::Magic(1))));
}

#[test]
fn the_size_comes_before_the_checksum() {
    let mut b = three();
    let bytes = b.len();
    b[30] ^= 1;
    let limits = Limits { batch_bytes_max: bytes - 1, ..Limits::default() };
    assert_eq!(judge(&b, &limits), Err(Invalid::TooLarge { bytes, limit: bytes - 1 }));
    let limits = Limits { batch_bytes_max: bytes, ..Limits::default() };
    assert!(matches!(judge(&b, &limits), Err(Invalid::Batch(BatchError::Crc { .. }))));
}

#[test]
fn a_producers_base_offset_is_zero() {
    let b = builder(1).placed(Offset(5), LeaderEpoch::UNKNOWN).build().unwrap();
    assert_eq!(judge(&b, &Limits::default()), Err(Invalid::BaseOffset(Offset(5))));
}

#[test]
fn counts_agree() {
    for (count, last_offset_delta) in
        [(0, 2), (4, 2), (3, 3), (-1, -2), (0, -1), (i32::MIN, i32::MAX)]
    {
        let b = with(three(), 57, &i32::to_be_bytes(count));
        let b = with(b, 23, &i32::to_be_bytes(last_offset_delta));
        assert_eq!(
            judge(&b, &Limits { depth: Depth::Header, ..Limits::default() }),
            Err(Invalid::Count { count, last_offset_delta })
        );
    }
    // The header agrees with itself and not with the records.
    let b = with(with(three(), 57, &[0, 0, 0, 4]), 23, &[0, 0, 0, 3]);
    let why = RecordError::Truncated;
    assert_eq!(judge(&b, &Limits::default()), Err(Invalid::Record { record: 3, why }));
    let b = with(with(three(), 57, &[0, 0, 0, 2]), 23, &[0, 0, 0, 1]);
    assert!(matches!(judge(&b, &Limits::default()), Err(Invalid::BytesLeft(n)) if n > 0));
}

#[test]
fn flags_that_are_not_a_clients() {
    let control = builder(1).control(true).build().unwrap();
    assert_eq!(judge(&control, &Limits::default()), Err(Invalid::Control));
    assert_eq!(judge(&control, &Limits { control_allowed: true, ..Limits::default() }), Ok(()));
    let timed = builder(1).log_append_time(Some(Timestamp(T))).build().unwrap();
    assert_eq!(judge(&timed, &Limits::default()), Err(Invalid::LogAppendTime));
    let transactional =
        builder(1).transactional(true).producer(ProducerId(1), ProducerEpoch(0), 0).build();
    assert_eq!(judge(&transactional.unwrap(), &Limits::default()), Ok(()));
}

#[test]
fn an_idempotent_producer_counts() {
    for (epoch, base_sequence) in [(0, -1), (-1, 0), (-1, -1)] {
        let b = builder(1).producer(ProducerId(1), ProducerEpoch(epoch), base_sequence).build();
        assert_eq!(
            judge(&b.unwrap(), &Limits::default()),
            Err(Invalid::Sequence { epoch, base_sequence })
        );
    }
}

#[test]
fn codecs_that_nobody_defined() {
    for n in 5..8 {
        let b = with(three(), 21, &[0, n]);
        assert_eq!(judge(&b, &Limits::default()), Err(Invalid::Codec(n)));
    }
    let b = with(three(), 21, &[0, 4]);
    assert_eq!(
        judge(&b, &Limits::default()),
        Err(Invalid::Decompress(DecompressError::Corrupt(Codec::Zstd)))
    );
}

#[test]
fn a_bomb_is_too_large_inside() {
    let mut b = BatchBuilder::new().codec(Codec::Gzip);
    b.push(Timestamp(T), None, Some(&vec![0; 1 << 20]), &[]);
    let limits = Limits { decompressed_bytes_max: 1 << 20, ..Limits::default() };
    assert_eq!(
        judge(&b.build().unwrap(), &limits),
        Err(Invalid::Decompress(DecompressError::TooLarge { limit: 1 << 20 }))
    );
}

#[test]
fn offset_deltas_are_places() {
    // The second record's offset delta is the byte behind length, attributes and timestamp delta.
    let second = 61 + 9 + 3;
    let b = with(three(), second, &[4]);
    assert_eq!(judge(&b, &Limits::default()), Err(Invalid::OffsetDelta { record: 1, delta: 2 }));
}

#[test]
fn compacted_topics_need_keys() {
    let mut b = builder(2);
    b.push(Timestamp(T), None, Some(b"v"), &[]);
    let b = b.build().unwrap();
    assert_eq!(judge(&b, &Limits::default()), Ok(()));
    let limits = Limits { keys_required: true, ..Limits::default() };
    assert_eq!(judge(&b, &limits), Err(Invalid::NoKey { record: 2 }));
    let mut empty = BatchBuilder::new();
    empty.push(Timestamp(T), Some(b""), None, &[]);
    assert_eq!(judge(&empty.build().unwrap(), &limits), Ok(()), "empty is not null");
}

#[test]
fn timestamps_keep_to_their_range() {
    let limits = |before, after| Limits {
        timestamps: Some(TimestampRange::around(Timestamp(T), before, after)),
        ..Limits::default()
    };
    assert_eq!(judge(&three(), &limits(0, 2)), Ok(()));
    assert_eq!(
        judge(&three(), &limits(0, 1)),
        Err(Invalid::Timestamp { record: 2, timestamp: Timestamp(T + 2) })
    );
    assert_eq!(judge(&three(), &limits(i64::MAX, i64::MAX)), Ok(()));
    let shallow = Limits { depth: Depth::Header, ..limits(0, 1) };
    assert_eq!(
        judge(&three(), &shallow),
        Err(Invalid::Timestamp { record: -1, timestamp: Timestamp(T + 2) })
    );
    let mut b = BatchBuilder::new();
    b.push(Timestamp(T - 10), None, None, &[]);
    assert_eq!(
        judge(&b.build().unwrap(), &limits(9, 0)),
        Err(Invalid::Timestamp { record: 0, timestamp: Timestamp(T - 10) })
    );
    b.push(Timestamp::NONE, None, None, &[]);
    assert_eq!(judge(&b.build().unwrap(), &limits(9, 0)), Ok(()), "none is allowed");
}

#[test]
fn a_wrong_max_timestamp_is_named_and_can_be_rewritten() {
    let mut b = with(three(), 35, &i64::to_be_bytes(T + 77));
    let (stated, actual) = (Timestamp(T + 77), Timestamp(T + 2));
    assert_eq!(judge(&b, &Limits::default()), Err(Invalid::MaxTimestamp { stated, actual }));
    rewrite_max_timestamp(&mut b, actual);
    assert_eq!(judge(&b, &Limits::default()), Ok(()));
    assert_eq!(b, three());
}

#[test]
fn the_brokers_time_may_be_set_on_a_proof() {
    let mut valid = validate(three(), &Limits::default(), &mut Decompressor::new()).unwrap();
    valid.set_log_append_time(Timestamp(5));
    assert_eq!(valid.header().max_timestamp, Timestamp(5));
    let placed = valid.place(Offset(9), LeaderEpoch(1));
    let view = BatchView::first(placed.bytes()).unwrap();
    view.check_crc().unwrap();
    assert_eq!(view.header(), placed.header());
}
