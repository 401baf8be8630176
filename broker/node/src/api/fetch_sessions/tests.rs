use super::*;
use ids::{LeaderEpoch, Offset, PartitionIndex, TopicId};

const SLOTS: usize = 1000;

fn wanted(partition: i32) -> Wanted {
    Wanted { topic: TopicRef::Name("t".into()), partition: PartitionIndex(partition) }
}

fn from(offset: i64) -> From {
    From {
        current_leader_epoch: LeaderEpoch::UNKNOWN,
        last_fetched_epoch: LeaderEpoch::UNKNOWN,
        offset: Offset(offset),
        max_bytes: 1,
    }
}

fn asked(session_id: i32, epoch: i32, wanted: Vec<(Wanted, From)>) -> Asked {
    Asked { session_id, epoch, by_id: false, wanted, forgotten: Vec::new() }
}

fn open(s: &mut FetchSessions, asked: Asked) -> Result<Opened, ErrorCode> {
    s.open(asked, Instant(0), || 7, 1)
}

fn found(bytes: usize, high_watermark: i64, asleep: bool) -> Findings {
    Findings {
        error: false,
        bytes,
        high_watermark: Offset(high_watermark),
        log_start: Offset(0),
        asleep,
    }
}

fn with_session(partitions: i32) -> FetchSessions {
    let mut s = FetchSessions::new(SLOTS);
    let all: Vec<_> = (0..partitions).map(|p| (wanted(p), from(0))).collect();
    let opened = open(&mut s, asked(0, 0, all)).unwrap();
    assert_eq!(opened.kind, Kind::Full(7));
    assert_eq!(order(&opened), (0..partitions).collect::<Vec<i32>>());
    assert!(s.settle(7));
    s
}

fn order(opened: &Opened) -> Vec<i32> {
    opened.named.iter().map(|n| n.wanted.partition.0).collect()
}

#[test]
fn a_session_does_not_grow_beyond_what_all_may_hold() {
    let mut s = with_session(2);
    s.partitions = PARTITIONS_MAX - 1;
    assert!(open(&mut s, asked(7, 1, vec![(wanted(2), from(0))])).is_ok());
    let refused = open(&mut s, asked(7, 2, vec![(wanted(3), from(0))])).unwrap_err();
    assert_eq!(refused, ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
    assert_eq!((s.len(), s.partitions), (0, PARTITIONS_MAX - 3));
}

#[test]
fn an_unknown_session_a_wrong_epoch_and_a_mix_of_ids_are_refused() {
    let mut s = with_session(1);
    let refused = |s: &mut FetchSessions, a| open(s, a).unwrap_err();
    let unknown = refused(&mut s, asked(8, 1, vec![]));
    assert_eq!(unknown, ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
    let epoch = refused(&mut s, asked(7, 2, vec![]));
    assert_eq!(epoch, ErrorCode::INVALID_FETCH_SESSION_EPOCH);
    let mixed = refused(&mut s, Asked { by_id: true, ..asked(7, 1, vec![]) });
    assert_eq!(mixed, ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
    assert_eq!(next_epoch(i32::MAX), 1);
}

#[test]
fn only_news_are_told_and_everything_again_after_an_error() {
    let mut s = with_session(1);
    let mut tell = |error, bytes, hw| s.tell(7, 0, Findings { error, ..found(bytes, hw, false) });
    assert!(tell(false, 0, 5));
    assert!(!tell(false, 0, 5));
    assert!(tell(false, 0, 6));
    assert!(tell(false, 9, 6));
    assert!(tell(true, 0, 6));
    assert!(tell(false, 0, 6));
    assert!(!tell(false, 0, 6));
    let later = Findings { log_start: Offset(3), ..found(0, 6, true) };
    assert!(s.tell(7, 0, later), "a start that moved is news");
    assert!(!s.tell(7, 0, later));
}

#[test]
fn who_got_data_goes_to_the_back() {
    let mut s = with_session(3);
    s.tell(7, 0, found(10, 1, false));
    assert_eq!(order(&open(&mut s, asked(7, 1, vec![])).unwrap()), [1, 2, 0]);
}

#[test]
fn forgotten_partitions_are_not_read_and_changed_ones_are() {
    let mut s = with_session(2);
    let id = PartitionId { topic: TopicId([1; 16]), index: PartitionIndex(0) };
    assert_eq!(s.resolved(7, 0, id, CoreId(1)), None);
    let change = Asked { forgotten: vec![wanted(0)], ..asked(7, 1, vec![(wanted(1), from(9))]) };
    let opened = open(&mut s, change).unwrap();
    assert_eq!(opened.kind, Kind::Incremental(7));
    assert_eq!(order(&opened), [1]);
    assert_eq!(opened.named[0].from, from(9));
    assert_eq!(opened.forgotten, [(0, id)]);
    assert_eq!(s.partitions, 1);
    assert_eq!(s.called(7, 0, id), None);
}

#[test]
fn who_sleeps_is_not_read_until_the_client_asks_for_something_else() {
    let mut s = with_session(3);
    (0..3).for_each(|n| _ = s.tell(7, n, found(0, 5, n != 1)));
    assert!(s.settle(7));
    assert_eq!(order(&open(&mut s, asked(7, 1, vec![])).unwrap()), [1]);
    assert!(!s.tell(7, 1, found(0, 5, true)));
    s.settle(7);
    let change = asked(7, 2, vec![(wanted(2), from(5))]);
    assert_eq!(order(&open(&mut s, change).unwrap()), [2]);
    // One that a part has read although it slept.
    assert!(s.tell(7, 0, found(0, 6, false)));
    assert!(!s.tell(7, 2, found(0, 5, true)));
    s.settle(7);
    assert_eq!(order(&open(&mut s, asked(7, 3, vec![])).unwrap()), [0]);
}

#[test]
fn after_a_fetch_that_was_given_up_all_are_awake() {
    let mut s = with_session(3);
    (0..3).for_each(|n| _ = s.tell(7, n, found(0, 5, true)));
    s.settle(7);
    assert_eq!(order(&open(&mut s, asked(7, 1, vec![])).unwrap()), [0; 0]);
    assert_eq!(order(&open(&mut s, asked(7, 2, vec![])).unwrap()), [0, 1, 2]);
}

#[test]
fn a_number_that_is_free_serves_another_partition() {
    let mut s = with_session(2);
    let id = |index| PartitionId { topic: TopicId([1; 16]), index: PartitionIndex(index) };
    s.resolved(7, 0, id(0), CoreId(0));
    assert_eq!(s.called(7, 0, id(0)), Some(wanted(0)));
    let change = Asked { forgotten: vec![wanted(0)], ..asked(7, 1, vec![(wanted(5), from(0))]) };
    assert_eq!(order(&open(&mut s, change).unwrap()), [1, 5]);
    assert_eq!(s.called(7, 0, id(0)), None, "what comes late of the old one is dropped");
    s.resolved(7, 0, id(5), CoreId(0));
    assert_eq!(s.called(7, 0, id(5)), Some(wanted(5)));
    assert_eq!(s.resolved(7, 0, id(6), CoreId(1)), Some(id(5)), "the topic is another one");
}

#[test]
fn only_a_full_request_draws_an_id() {
    let mut s = with_session(1);
    let drawn = std::cell::Cell::new(0);
    let mut ask = |session_id, epoch| {
        let draw = || {
            drawn.set(drawn.get() + 1);
            8
        };
        let one = asked(session_id, epoch, vec![(wanted(0), from(0))]);
        let kind = s.open(one, Instant(0), draw, 2).map(|o| o.kind);
        (kind, drawn.get())
    };
    assert_eq!(ask(7, 1), (Ok(Kind::Incremental(7)), 0));
    assert_eq!(ask(7, 9), (Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH), 0));
    assert_eq!(ask(0, -1), (Ok(Kind::Sessionless), 0));
    assert_eq!(ask(7, 0), (Ok(Kind::Full(8)), 1));
}

#[test]
fn a_full_cache_gives_way_only_to_the_patient() {
    let mut s = FetchSessions::new(SLOTS);
    let one = || asked(0, 0, vec![(wanted(0), from(0))]);
    for i in 0..SLOTS {
        let id = i32::try_from(i).unwrap() + 1;
        let opened = s.open(one(), Instant(0), || id, u64::from(id.unsigned_abs())).unwrap();
        assert_eq!(opened.kind, Kind::Full(id));
    }
    assert_eq!(s.open(one(), Instant(0), || 5000, 5000).unwrap().kind, Kind::Full(0));
    assert!(s.take_ended().is_empty());
    let later = Instant(0) + STALE;
    assert_eq!(s.open(one(), later, || 5000, 5000).unwrap().kind, Kind::Full(5000));
    assert_eq!(s.len(), SLOTS);
    assert_eq!(s.take_ended().len(), 1, "its parts are to go");
}
