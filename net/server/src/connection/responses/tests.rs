//! Any order of completion gives the answers in request order, and the bounds hold.

use super::*;
use proptest::prelude::*;

const LIMITS: ResponseLimits =
    ResponseLimits { requests_max: 32, request_bytes_max: 1000, send_bytes_max: 10_000 };

fn answer(bytes: &[u8]) -> Reply {
    Reply::Send(vec![Slice::from(bytes.to_vec())])
}

fn clock() -> Instant {
    Instant(64_000)
}

fn laps() -> Laps {
    Laps::begin(Instant(0))
}

/// Sends everything that is ready.
fn sent(responses: &mut Responses) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(batch) = responses.next_batch(1024, 1 << 20, clock) {
        for p in &batch.parts {
            out.extend_from_slice(p);
        }
        responses.on_sent(batch.bytes);
    }
    out
}

#[test]
fn an_answer_waits_for_those_before_it() {
    let mut r = Responses::new(LIMITS);
    let (a, b, c) = (r.start(1), r.start(1), r.start(1));
    r.complete(c, answer(b"c"), laps());
    r.complete(b, answer(b"b"), laps());
    assert_eq!(sent(&mut r), b"");
    r.complete(a, answer(b"a"), laps());
    assert_eq!(sent(&mut r), b"abc");
    assert_eq!((r.executing(), r.unanswered(), r.send_bytes()), (0, 0, 0));
}

#[test]
fn an_answers_stopwatch_stops_with_its_last_byte() {
    let mut r = Responses::new(LIMITS);
    let (a, b) = (r.start(1), r.start(1));
    r.complete(b, answer(b"bb"), laps());
    assert!(r.next_batch(8, 3, clock).is_none());
    r.complete(a, answer(b"aa"), laps());
    let batch = r.next_batch(8, 3, clock).unwrap();
    assert_eq!(r.pop_sent(), None, "still being sent");
    r.on_sent(batch.bytes);
    let first = r.pop_sent().unwrap();
    assert_eq!(first.ticks(Stage::Order), 1000, "64 microseconds");
    assert_eq!(r.pop_sent(), None, "half of the second is left");
    let batch = r.next_batch(8, 3, clock).unwrap();
    r.on_sent(batch.bytes);
    assert!(r.pop_sent().is_some() && r.pop_sent().is_none());
}

#[test]
fn a_request_without_response_keeps_its_place() {
    let mut r = Responses::new(LIMITS);
    let (a, b, c) = (r.start(1), r.start(1), r.start(1));
    r.complete(a, answer(b"a"), laps());
    r.complete(c, answer(b"c"), laps());
    assert_eq!(sent(&mut r), b"a");
    r.complete(b, Reply::Nothing, laps());
    assert_eq!(sent(&mut r), b"c");
}

#[test]
fn a_close_comes_after_the_answers_before_it_and_instead_of_those_behind() {
    let mut r = Responses::new(LIMITS);
    let (a, b, c) = (r.start(1), r.start(1), r.start(1));
    r.complete(c, answer(b"c"), laps());
    r.complete(b, Reply::Close("acks=0 failed"), laps());
    assert!(!r.may_start());
    assert_eq!((r.finished(), r.send_bytes()), (None, 0), "the answer behind is dropped at once");
    r.complete(a, answer(b"a"), laps());
    let batch = r.next_batch(8, 100, clock).unwrap();
    assert_eq!(r.finished(), None, "still being sent");
    r.on_sent(batch.bytes);
    assert_eq!(r.finished(), Some(CloseReason::Handler("acks=0 failed")));
    assert_eq!(sent(&mut r), b"");
}

#[test]
fn the_earliest_close_counts() {
    let mut r = Responses::new(LIMITS);
    let (a, b, c) = (r.start(1), r.start(1), r.start(1));
    r.complete(c, Reply::SendThenClose(vec![Slice::from_static(b"c")], "late"), laps());
    r.complete(b, Reply::SendThenClose(vec![Slice::from_static(b"b")], "early"), laps());
    r.complete(a, answer(b"a"), laps());
    assert_eq!(sent(&mut r), b"ab");
    assert_eq!(r.finished(), Some(CloseReason::Handler("early")));
}

#[test]
fn draining_answers_what_has_been_started() {
    let mut r = Responses::new(LIMITS);
    assert_eq!(Responses::new(LIMITS).finished(), None);
    let a = r.start(1);
    r.finish(CloseReason::Drained);
    assert!(!r.may_start());
    assert_eq!(r.finished(), None);
    r.complete(a, answer(b"a"), laps());
    assert_eq!(sent(&mut r), b"a");
    assert_eq!(r.finished(), Some(CloseReason::Drained));
}

#[test]
fn the_window_grows_with_answers_up_to_its_bound() {
    let mut r = Responses::new(LIMITS);
    let starts = |r: &mut Responses| {
        let mut seqs = Vec::new();
        while r.may_start() {
            seqs.push(r.start(1));
        }
        seqs
    };
    let mut windows = Vec::new();
    for _ in 0..4 {
        let seqs = starts(&mut r);
        windows.push(seqs.len());
        for s in seqs {
            r.complete(s, answer(b"x"), laps());
        }
        sent(&mut r);
    }
    assert_eq!(windows, [8, 16, 32, 32]);
}

#[test]
fn the_bytes_of_requests_are_bounded_but_one_may_always_run() {
    let mut r = Responses::new(LIMITS);
    assert!(r.may_start());
    let a = r.start(5000);
    assert!(!r.may_start());
    r.complete(a, answer(b"a"), laps());
    assert!(r.may_start());
}

#[test]
fn a_slow_reader_stops_its_own_requests() {
    let mut r = Responses::new(LIMITS);
    let a = r.start(1);
    r.complete(a, Reply::Send(vec![Slice::from(vec![0; 10_000])]), laps());
    assert!(!r.may_start());
    let batch = r.next_batch(1024, 6000, clock).unwrap();
    assert_eq!(batch.bytes, 6000);
    assert!(r.next_batch(1024, 6000, clock).is_none(), "one batch at a time");
    assert!(!r.may_start(), "what is being sent counts");
    r.on_sent(6000);
    assert_eq!(r.send_bytes(), 4000);
    // The next answer is expected to be as large, but nothing else is in progress once this one is handed over.
    let rest = r.next_batch(1024, 6000, clock).unwrap();
    assert_eq!(rest.bytes, 4000);
    assert!(r.may_start());
}

#[test]
fn few_large_answers_are_made_ahead() {
    let mut r = Responses::new(LIMITS);
    let a = r.start(1);
    r.complete(a, Reply::Send(vec![Slice::from(vec![0; 4000])]), laps());
    sent(&mut r);
    let mut started = 0;
    while r.may_start() {
        r.start(1);
        started += 1;
    }
    assert_eq!(started, 2, "two answers of 4,000 fit into 10,000, three do not");
}

#[test]
fn a_batch_keeps_to_its_vectors_and_bytes() {
    let mut r = Responses::new(LIMITS);
    let a = r.start(1);
    let parts: Vec<Slice> = (0..10u8).map(|i| Slice::from(vec![i; 10])).collect();
    r.complete(a, Reply::Send(parts), laps());
    let mut out = Vec::new();
    let mut shapes = Vec::new();
    for (vectors, bytes) in [(3, 1000), (100, 15), (100, 1000)] {
        let batch = r.next_batch(vectors, bytes, clock).unwrap();
        shapes.push((batch.parts.len(), batch.bytes));
        out.extend(batch.parts.iter().flat_map(|p| p.to_vec()));
        r.on_sent(batch.bytes);
    }
    assert_eq!(shapes, [(3, 30), (2, 15), (6, 55)]);
    assert_eq!(out, (0..10u8).flat_map(|i| [i; 10]).collect::<Vec<_>>());
    assert!(r.next_batch(100, 100, clock).is_none());
}

#[test]
fn a_dead_connection_holds_nothing_and_ignores_late_answers() {
    let mut r = Responses::new(LIMITS);
    let (a, b) = (r.start(1), r.start(1));
    r.complete(b, answer(b"b"), laps());
    assert_eq!(r.abandon(CloseReason::PeerLost).len(), 1, "the answer that waited");
    assert_eq!((r.executing(), r.send_bytes(), r.unanswered()), (0, 0, 0));
    r.complete(a, answer(b"a"), laps());
    assert_eq!((r.send_bytes(), r.finished()), (0, Some(CloseReason::PeerLost)));
}

#[test]
fn the_stopwatch_of_an_answer_that_was_being_sent_is_not_lost() {
    for arrives in [true, false] {
        let mut r = Responses::new(LIMITS);
        let seq = r.start(1);
        r.complete(seq, answer(b"a"), laps());
        let batch = r.next_batch(100, 100, clock).expect("an answer");
        assert!(r.abandon(CloseReason::PeerLost).is_empty(), "it is on its way");
        if arrives {
            r.on_sent(batch.bytes);
            assert!(r.pop_sent().is_some());
        } else {
            assert!(r.pop_sent().is_none());
            assert!(r.pop_leaving().is_some());
        }
        assert!(r.pop_sent().is_none() && r.pop_leaving().is_none(), "once");
    }
}

#[derive(Debug, Clone)]
enum Kind {
    Send(usize),
    Nothing,
    Close,
    Last,
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        20 => (0..5usize).prop_map(Kind::Send),
        5 => Just(Kind::Nothing),
        1 => Just(Kind::Close),
        1 => Just(Kind::Last),
    ]
}

proptest! {
    #[test]
    fn any_order_of_completion_gives_the_answers_in_request_order(
        requests in proptest::collection::vec((kind(), any::<u32>(), 0..50usize), 1..100),
        vectors in 1..10usize,
        bytes in 1..40usize,
    ) {
        // The model: everything up to the first close, in order.
        let mut expected = Vec::new();
        let mut closes = false;
        let text = |i: usize, parts: usize| -> Vec<Vec<u8>> {
            (0..parts).map(|p| format!("<{i}.{p}>").into_bytes()).collect()
        };
        for (i, (kind, ..)) in requests.iter().enumerate() {
            match kind {
                Kind::Send(parts) => expected.extend(text(i, *parts).concat()),
                Kind::Nothing => {}
                Kind::Last => {
                    expected.extend(text(i, 2).concat());
                    closes = true;
                    break;
                }
                Kind::Close => {
                    closes = true;
                    break;
                }
            }
        }
        let limits = ResponseLimits { requests_max: 16, request_bytes_max: 200, send_bytes_max: 100 };
        let mut r = Responses::new(limits);
        let mut waiting: Vec<(Seq, usize)> = Vec::new();
        let mut next = 0;
        let mut out = Vec::new();
        let mut random = 0u32;
        loop {
            let mut progress = false;
            while next < requests.len() && r.may_start() {
                waiting.push((r.start(requests[next].2), next));
                next += 1;
                prop_assert!(r.unanswered() <= 16);
            }
            if !waiting.is_empty() {
                let at = (random % u32::try_from(waiting.len()).unwrap()) as usize;
                let (seq, i) = waiting.swap_remove(at);
                random = random.rotate_left(7) ^ requests[i].1;
                let slices = |n| text(i, n).into_iter().map(Slice::from).collect();
                r.complete(seq, match requests[i].0 {
                    Kind::Send(parts) => Reply::Send(slices(parts)),
                    Kind::Nothing => Reply::Nothing,
                    Kind::Close => Reply::Close("close"),
                    Kind::Last => Reply::SendThenClose(slices(2), "close"),
                }, laps());
                progress = true;
            }
            if let Some(batch) = r.next_batch(vectors, bytes, clock) {
                prop_assert!(batch.parts.len() <= vectors && batch.bytes <= bytes);
                out.extend(batch.parts.iter().flat_map(|p| p.to_vec()));
                r.on_sent(batch.bytes);
                progress = true;
            }
            if !progress {
                break;
            }
        }
        prop_assert_eq!(String::from_utf8(out), String::from_utf8(expected));
        prop_assert_eq!(r.finished().is_some(), closes);
        prop_assert_eq!((r.send_bytes(), r.executing()), (0, 0));
        if !closes {
            prop_assert_eq!(next, requests.len());
        }
    }
}
