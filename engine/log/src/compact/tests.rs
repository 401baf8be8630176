use super::*;
use crate::{Appended, BatchMeta};
use ids::{LeaderEpoch, ProducerEpoch, ProducerId};

/// Twelve batches of ten records, two to a segment, at 1000, 2000, ... ms; the last segment is active.
fn six_segments() -> Log {
    let mut log = Log::default();
    for n in 1..=12 {
        let batch = BatchMeta {
            len: 100,
            offsets: 10,
            max_timestamp: Timestamp(n * 1_000),
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: -1,
            transactional: false,
            control: false,
        };
        let config = Config { segment_bytes: 200, ..Config::default() };
        let at = Timestamp(n * 1_000);
        let appended = log.append(&batch, LeaderEpoch(1), at, &config).unwrap();
        assert!(matches!(appended, Appended::New { .. }));
    }
    log
}

const NOW: Timestamp = Timestamp(20_000);

#[test]
fn everything_but_the_active_segment_is_cleanable() {
    let log = six_segments();
    let found = Compaction::default().look(&log, log.end(), NOW).unwrap();
    assert_eq!((found.from, found.end), (Offset(0), Offset(100)));
    assert_eq!((found.dirty_bytes, found.clean_bytes, found.due), (1_000, 0, true));
}

#[test]
fn nothing_at_or_above_the_last_stable_offset_is() {
    let log = six_segments();
    let end = |stable| Compaction::default().look(&log, Offset(stable), NOW).map(|c| c.end);
    assert_eq!(end(99), Some(Offset(80)));
    assert_eq!(end(20), Some(Offset(20)));
    assert_eq!(end(19), None);
}

#[test]
fn a_young_segment_and_all_behind_it_wait() {
    let log = six_segments();
    let end = |min_lag_ms| {
        let compaction = Compaction { min_lag_ms, ..Compaction::default() };
        compaction.look(&log, log.end(), NOW).map(|c| c.end)
    };
    // The newest records of the segments are of 2, 4, 6, 8 and 10 seconds.
    assert_eq!(end(10_000), Some(Offset(100)));
    assert_eq!(end(10_001), Some(Offset(80)));
    assert_eq!(end(18_001), None);
}

#[test]
fn the_dirty_ratio_decides_unless_a_record_is_overdue() {
    let mut log = six_segments();
    log.set_clean_end(Offset(60));
    let found = Compaction::default().look(&log, log.end(), NOW).unwrap();
    assert_eq!((found.from, found.clean_bytes, found.dirty_bytes), (Offset(60), 600, 400));
    assert!((found.ratio() - 0.4).abs() < 1e-9 && !found.due);
    let lower = Compaction { min_dirty_ratio: 0.39, ..Compaction::default() };
    assert!(lower.look(&log, log.end(), NOW).unwrap().due);
    // The oldest dirty record is of 7 seconds.
    let lag = |max_lag_ms| Compaction { max_lag_ms, ..Compaction::default() };
    assert!(lag(12_999).look(&log, log.end(), NOW).unwrap().overdue);
    assert!(!lag(13_000).look(&log, log.end(), NOW).unwrap().due);
}

#[test]
fn a_clean_log_has_nothing_to_do() {
    let mut log = six_segments();
    log.set_clean_end(Offset(100));
    assert_eq!(Compaction::default().look(&log, log.end(), NOW), None);
    assert_eq!(Compaction::default().look(&Log::default(), Offset(0), NOW), None);
}

#[test]
fn only_sealed_segments_are_written_anew() {
    let log = six_segments();
    let count = |end| sealed_below(&log, Offset(end)).len();
    assert_eq!(count(120), 5, "never the active one");
    assert_eq!(count(41), 3, "a segment that is mapped in part goes along");
    assert_eq!(count(0), 0);
}

#[test]
fn what_stays_decides_how_much_a_new_segment_takes_in() {
    let mut next = six_segments().segments()[1].clone();
    next.len = 1000;
    let takes = |written, segment_bytes, next: &Segment| {
        takes_in(Offset(0), written, next, &Config { segment_bytes, ..Config::default() })
    };
    assert!(takes(61, 1000, &next), "a full segment goes behind one that has shrunk to nothing");
    assert!(takes(499, 1000, &next) && !takes(500, 1000, &next));
    assert!(!takes(1000, i32::MAX as u32, &Segment { len: i32::MAX as u32, ..next.clone() }));
    let far = Segment { end: Offset(i64::from(i32::MAX) + 1), ..next };
    assert!(!takes(61, 1000, &far), "offsets in an index have 32 bits");
}

fn compacted(log: &mut Log, of: &[SegmentName], end: i64) -> Segment {
    let name = SegmentName { base: of[0].base, creation: log.reserve_creation() };
    let mut s = Segment::new(name, NOW);
    s.compacted = true;
    s.len = 61;
    s.end = Offset(end);
    s
}

#[test]
fn a_group_is_replaced_as_a_whole_or_not_at_all() {
    let mut log = six_segments();
    let names: Vec<_> = log.segments().iter().map(|s| s.name).collect();
    let with = compacted(&mut log, &names[..2], 40);
    assert!(log.replace(&names[..2], with.clone()));
    assert_eq!(log.segments().len(), 5);
    assert_eq!(log.segment(with.name), Some(&with));
    assert_eq!(log.segment_of(Offset(39)).unwrap().name, with.name);
    let before = log.clone();
    assert!(!log.replace(&names[..2], with), "they are gone");
    let last = compacted(&mut log, &names[4..], 120);
    assert!(!log.replace(&names[4..], last), "one of them is active");
    assert_eq!(log.segments(), before.segments());
}

#[test]
fn a_compacted_log_survives_its_bytes_and_goes_on() {
    let mut log = six_segments();
    let names: Vec<_> = log.segments().iter().map(|s| s.name).collect();
    let with = compacted(&mut log, &names[1..3], 60);
    assert!(log.replace(&names[1..3], with));
    log.set_clean_end(Offset(55));
    let mut bytes = Vec::new();
    log.encode(&mut bytes);
    let mut again = Log::decode(&mut crate::Cursor::new(&bytes)).unwrap();
    let mut bare = log.without_index();
    assert_eq!(again, bare);
    assert_eq!(again.clean_end(), Offset(55));
    again.advance_start(Offset(70));
    bare.advance_start(Offset(70));
    assert_eq!((again.clean_end(), again.segments().len()), (Offset(70), 3));
}
