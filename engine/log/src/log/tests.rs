use super::*;
use crate::Retention;
use ids::{ProducerEpoch, ProducerId};

const E0: LeaderEpoch = LeaderEpoch(0);
const T0: Timestamp = Timestamp(1_000_000);

fn batch(records: i32, len: u32) -> BatchMeta {
    BatchMeta {
        len,
        offsets: records,
        max_timestamp: T0,
        producer_id: ProducerId::NONE,
        producer_epoch: ProducerEpoch::NONE,
        base_sequence: -1,
        transactional: false,
        control: false,
    }
}

fn small_segments() -> Config {
    Config { segment_bytes: 1000, segment_ms: 10_000, ..Config::default() }
}

fn base(appended: Result<Appended, AppendError>) -> Offset {
    match appended {
        Ok(Appended::New { base_offset, .. }) => base_offset,
        other => panic!("not new: {other:?}"),
    }
}

/// Three segments: 0..10, 10..20, 20..25.
fn three_segments() -> Log {
    let mut log = Log::default();
    for (records, len) in [(10, 900), (10, 900), (5, 500)] {
        log.append(&batch(records, len), E0, T0, &small_segments()).unwrap();
    }
    assert_eq!(log.segments().len(), 3);
    log
}

#[test]
fn offsets_are_dense_and_segments_roll_by_size() {
    let mut log = Log::default();
    let c = small_segments();
    assert_eq!(base(log.append(&batch(3, 600), E0, T0, &c)), Offset(0));
    assert_eq!(base(log.append(&batch(1, 400), E0, T0, &c)), Offset(3));
    let Ok(Appended::New { place, sealed, .. }) = log.append(&batch(2, 1), E0, T0, &c) else {
        panic!("refused");
    };
    assert_eq!(place, Place { segment: SegmentName { base: Offset(4), creation: 1 }, position: 0 });
    assert_eq!(sealed, Some(SegmentName { base: Offset(0), creation: 0 }));
    assert_eq!(log.end(), Offset(6));
}

#[test]
fn segments_roll_by_record_time_not_by_the_clock() {
    let mut log = Log::default();
    let c = small_segments();
    let at = |ms| BatchMeta { max_timestamp: Timestamp(ms), ..batch(1, 10) };
    log.append(&at(5_000), E0, T0, &c).unwrap();
    log.append(&at(15_000), E0, T0 + 1_000_000, &c).unwrap();
    assert_eq!(log.segments().len(), 1);
    log.append(&at(15_001), E0, T0, &c).unwrap();
    assert_eq!(log.segments().len(), 2);
}

#[test]
fn a_batch_larger_than_a_segment_is_refused() {
    let refused = Log::default().append(&batch(1, 1001), E0, T0, &small_segments());
    assert_eq!(refused, Err(AppendError::LargerThanSegment { max: 1000 }));
}

#[test]
fn a_duplicate_changes_nothing() {
    let mut log = Log::default();
    let c = Config::default();
    let b = BatchMeta {
        producer_id: ProducerId(1),
        producer_epoch: ProducerEpoch(0),
        base_sequence: 0,
        ..batch(4, 100)
    };
    log.append(&batch(2, 50), E0, T0, &c).unwrap();
    log.append(&b, E0, T0, &c).unwrap();
    let before = log.clone();
    let Ok(Appended::Duplicate(original)) = log.append(&b, E0, T0, &c) else { panic!("appended") };
    assert_eq!(original.base_offset(), Offset(2));
    assert_eq!(log, before);
}

#[test]
fn replay_rebuilds_the_same_log() {
    let c = small_segments();
    let mut log = Log::default();
    let mut again = Log::default();
    for i in 0..20 {
        let b = BatchMeta {
            max_timestamp: T0 + i * 900,
            producer_id: ProducerId(i % 3),
            producer_epoch: ProducerEpoch(0),
            base_sequence: i32::try_from(i / 3).unwrap() * 2,
            ..batch(2, 210)
        };
        let epoch = LeaderEpoch(i32::try_from(i / 7).unwrap());
        let Ok(Appended::New { base_offset, place, .. }) = log.append(&b, epoch, T0, &c) else {
            panic!("refused");
        };
        again.replay(&b, epoch, base_offset, place, T0, c.index_interval_bytes).unwrap();
    }
    assert_eq!(log, again);
}

#[test]
fn replay_refuses_a_hole() {
    let mut log = three_segments();
    let place = Place { segment: log.segments()[2].name, position: 600 };
    let hole = log.replay(&batch(1, 10), E0, Offset(25), place, T0, 4096);
    assert!(matches!(hole, Err(ReplayError::Place { .. })));
    let gap = log.replay(&batch(1, 10), E0, Offset(26), place, T0, 4096);
    assert_eq!(gap, Err(ReplayError::Offset { expected: Offset(25), got: Offset(26) }));
}

#[test]
fn log_start_drops_whole_segments_only() {
    let mut log = three_segments();
    assert!(log.advance_start(Offset(9)).segments.is_empty());
    assert_eq!(log.start(), Offset(9));
    let dropped = log.advance_start(Offset(21));
    assert_eq!(dropped.segments.len(), 2);
    assert_eq!(log.segments().len(), 1);
}

#[test]
fn offsets_go_on_when_the_whole_log_is_gone() {
    let mut log = three_segments();
    assert_eq!(log.advance_start(Offset(25)).segments.len(), 3);
    assert!(log.is_empty());
    assert_eq!(base(log.append(&batch(1, 10), E0, T0, &small_segments())), Offset(25));
    assert_eq!(log.segments()[0].name, SegmentName { base: Offset(25), creation: 3 });
}

#[test]
fn truncation_starts_a_new_segment_and_raises_the_generation() {
    let mut log = three_segments();
    let mut cut = log.segments()[1].clone();
    cut.len = 450;
    cut.end = Offset(15);
    let dropped = log.truncate(Offset(15), Some(cut), Producers::default());
    assert_eq!(dropped.segments, vec![SegmentName { base: Offset(20), creation: 2 }]);
    assert_eq!((log.end(), log.generation()), (Offset(15), 1));
    let Ok(Appended::New { place, .. }) = log.append(&batch(1, 10), E0, T0, &small_segments())
    else {
        panic!("refused");
    };
    assert_eq!(place.segment, SegmentName { base: Offset(15), creation: 3 });
    assert_eq!(place.position, 0);
}

#[test]
fn truncating_twice_at_the_same_base_never_reuses_a_name() {
    let mut log = three_segments();
    log.truncate(Offset(20), None, Producers::default());
    log.append(&batch(1, 10), E0, T0, &small_segments()).unwrap();
    log.truncate(Offset(20), None, Producers::default());
    log.append(&batch(1, 10), E0, T0, &small_segments()).unwrap();
    assert_eq!(log.segments().last().unwrap().name, SegmentName { base: Offset(20), creation: 4 });
}

#[test]
fn retention_by_time_may_take_the_active_segment() {
    let log = three_segments();
    let r = Retention { ms: Some(1000), bytes: None };
    assert_eq!(r.new_start(&log, Offset(25), T0 + 1000), None);
    assert_eq!(r.new_start(&log, Offset(25), T0 + 1001), Some(Offset(25)));
    assert_eq!(r.new_start(&log, Offset(24), T0 + 1001), Some(Offset(20)));
}

#[test]
fn retention_by_size_keeps_at_least_the_limit() {
    let log = three_segments();
    let keep = |bytes| Retention { ms: None, bytes: Some(bytes) }.new_start(&log, Offset(25), T0);
    assert_eq!(keep(1401), None);
    assert_eq!(keep(1400), Some(Offset(10)));
    assert_eq!(keep(500), Some(Offset(20)));
    assert_eq!(keep(0), Some(Offset(25)));
    assert_eq!(Retention::default().new_start(&log, Offset(25), T0 + i64::MAX / 2), None);
}

#[test]
fn a_future_timestamp_pins_the_log() {
    let mut log = Log::default();
    let c = Config { segment_bytes: 20, ..Config::default() };
    let at = |ts| BatchMeta { max_timestamp: ts, ..batch(1, 20) };
    log.append(&at(T0 + 3_600_000), E0, T0, &c).unwrap();
    log.append(&at(T0), E0, T0, &c).unwrap();
    let r = Retention { ms: Some(1000), bytes: None };
    assert_eq!(r.new_start(&log, Offset(2), T0 + 2000), None);
}

#[test]
fn one_segment_and_one_producer_take_little_before_and_after_a_start() {
    let heap = |log: &Log| {
        let indexes: usize = log.segments.iter().map(|s| s.index.heap_bytes()).sum();
        let segments = log.segments.capacity() * size_of::<Segment>();
        segments + indexes + log.epochs.heap_bytes() + log.producers.heap_bytes()
    };
    let mut log = Log::default();
    let b = BatchMeta { transactional: false, ..of_transaction(1, 0) };
    log.append(&b, E0, T0, &small_segments()).unwrap();
    let one = size_of::<Segment>() + size_of::<IndexEntry>() + size_of::<(LeaderEpoch, Offset)>();
    assert_eq!(heap(&log), one + log.producers.heap_bytes());
    assert!(heap(&log) <= 256, "{}", heap(&log));
    let mut bytes = Vec::new();
    log.encode(&mut bytes);
    let read = Log::decode(&mut crate::Cursor::new(&bytes)).unwrap();
    assert_eq!(heap(&read), heap(&log) - size_of::<IndexEntry>(), "the index has its own file");
}

fn of_transaction(producer: i64, sequence: i32) -> BatchMeta {
    BatchMeta {
        producer_id: ProducerId(producer),
        producer_epoch: ProducerEpoch(0),
        base_sequence: sequence,
        transactional: true,
        ..batch(1, 300)
    }
}

fn marker_of(producer: i64) -> BatchMeta {
    BatchMeta { control: true, ..of_transaction(producer, -1) }
}

/// Producer 1 at 0, 2 at 1, commit of 1 at 2, plain at 3; abort of 2 at 4, 3 at 5, plain at 6.
fn with_transactions() -> Log {
    let mut log = Log::default();
    let c = small_segments();
    let all = [
        of_transaction(1, 0),
        of_transaction(2, 0),
        marker_of(1),
        batch(1, 300),
        marker_of(2),
        of_transaction(3, 0),
        batch(1, 300),
    ];
    for (at, b) in (0..).zip(all) {
        assert_eq!(base(log.append(&b, E0, T0, &c)), Offset(at));
        if at == 4 {
            log.abort(Offset(4));
        }
    }
    log
}

#[test]
fn the_last_stable_offset_is_below_what_may_still_end_either_way() {
    let log = with_transactions();
    let stable = |log: &Log, high| log.last_stable(Offset(high)).0;
    assert_eq!(stable(&log, 7), 5, "3 is open");
    assert_eq!(stable(&log, 5), 5);
    assert_eq!(stable(&log, 4), 1, "the end of 2 is not committed");
    assert_eq!(stable(&log, 2), 0, "nor is that of 1");
    assert_eq!(stable(&log, 0), 0);
    let mut later = log.clone();
    later.on_committed(Offset(5));
    assert!(later.ended.is_empty());
    assert_eq!(stable(&later, 7), 5);
    // A log that begins within the open transaction.
    later.append(&of_transaction(3, 1), E0, T0, &small_segments()).unwrap();
    later.advance_start(Offset(7));
    assert_eq!(stable(&later, 8), 7);
}

#[test]
fn a_segment_knows_what_was_aborted_in_it_and_what_was_open_before_it() {
    let log = with_transactions();
    let of = |n: usize| {
        let s = &log.segments()[n];
        (s.name.base.0, s.unstable_from.0, s.transactional)
    };
    assert_eq!([of(0), of(1), of(2)], [(0, 0, true), (3, 1, true), (6, 5, true)]);
    let aborted = AbortedTxn {
        producer_id: ProducerId(2),
        first: Offset(1),
        last: Offset(4),
        last_stable: Offset(5),
    };
    assert_eq!(log.segments()[1].aborted.tail(), &[aborted]);
    assert_eq!(log.segments().iter().map(|s| s.aborted.len()).sum::<usize>(), 1);
    // The state knows it after a start.
    let mut bytes = Vec::new();
    log.encode(&mut bytes);
    let again = Log::decode(&mut crate::Cursor::new(&bytes)).unwrap();
    assert_eq!(again.segments()[1].aborted, log.segments()[1].aborted);
    assert_eq!(again.last_stable(Offset(7)), Offset(5));
    assert_eq!(again.segments()[2].unstable_from, Offset(5));
    for n in 0..bytes.len() {
        assert!(Log::decode(&mut crate::Cursor::new(&bytes[..n])).is_err(), "cut at {n}");
    }
}

#[test]
fn a_marker_that_ends_nothing_aborts_nothing() {
    let mut log = Log::default();
    let c = small_segments();
    log.append(&marker_of(1), E0, T0, &c).unwrap();
    log.abort(Offset(0));
    assert!(log.segments()[0].aborted.is_empty());
    assert_eq!(log.last_stable(Offset(1)), Offset(1));
}

/// The log would not take it for an end, and nobody who reads the log would know why.
#[test]
fn a_marker_of_an_older_epoch_is_refused() {
    let (mut log, c) = (Log::default(), Config::default());
    let of = |epoch, control| BatchMeta {
        producer_id: ProducerId(7),
        producer_epoch: ProducerEpoch(epoch),
        base_sequence: if control { -1 } else { 0 },
        transactional: true,
        control,
        ..batch(1, 100)
    };
    log.append(&of(5, false), E0, T0, &c).unwrap();
    let before = log.clone();
    let stale = SequenceError::StaleEpoch { current: ProducerEpoch(5), got: ProducerEpoch(4) };
    assert_eq!(log.append(&of(4, true), E0, T0, &c), Err(AppendError::Sequence(stale)));
    assert_eq!(log, before);
    log.append(&of(5, true), E0, T0, &c).unwrap();
    assert_eq!(log.producers().first_open_transaction(), None);
    // One that fences with a new epoch is taken, of a producer that nobody knows too.
    log.append(&of(6, true), E0, T0, &c).unwrap();
    Log::default().append(&of(6, true), E0, T0, &c).unwrap();
}
