//! Scenes of one connection.

use super::*;
use runtime::Slice;
use std::rc::Rc;

const MS: u64 = 1_000_000;

const FRAMES: Shortage = Shortage { frames: true, answers: false };
const ANSWERS: Shortage = Shortage { frames: false, answers: true };

fn at(ms: u64) -> Instant {
    Instant(ms * MS)
}

fn memory() -> FrameMemory {
    FrameMemory {
        room: Room::new(16 << 20, 1 << 20),
        pins: Pins::new(4),
        memory: None,
        in_place_bytes_min: 0,
        copied: Rc::default(),
    }
}

fn config() -> Config {
    Config { request_bytes_max: 1 << 20, ..Config::default() }
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut bytes = i32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

fn request(c: &mut Connection, now: Instant, memory: &FrameMemory) -> Seq {
    match c.step(now, usize::MAX, memory) {
        Ok(Step::Request(seq, _)) => seq,
        other => panic!("{other:?} instead of a request"),
    }
}

#[test]
fn a_frame_arrives_with_its_first_bytes() {
    let memory = memory();
    let mut c = Connection::new(&config(), at(0));
    let bytes = [framed(b"one"), framed(b"two"), framed(b"three")].concat();
    let mut arrived = Vec::new();
    // One ends in the second piece, in which two begins and ends; three begins there and ends in the last one.
    for (from, to, ms) in [(0, 3, 10), (3, 16, 20), (16, 18, 30), (18, 23, 40)] {
        c.on_received(bytes[from..to].to_vec().into(), at(ms), &memory);
        while let Ok(Step::Request(..)) = c.step(at(ms), 100, &memory) {
            arrived.push(c.arrived());
        }
    }
    assert_eq!(arrived, [at(10), at(20), at(20)]);
    c.on_received(framed(b"four").into(), at(50), &memory);
    request(&mut c, at(51), &memory);
    assert_eq!(c.arrived(), at(50));
}

#[test]
fn a_request_comes_in_and_its_answer_goes_out() {
    let memory = memory();
    let mut c = Connection::new(&config(), at(0));
    assert!(matches!(c.step(at(0), 100, &memory), Ok(Step::Receive)));
    c.on_received(framed(b"hello").into(), at(1), &memory);
    let Ok(Step::Request(seq, frame)) = c.step(at(1), 100, &memory) else { panic!("no request") };
    assert_eq!(&*frame, b"hello");
    assert!(c.next_batch(at(1), || at(1)).is_none());
    c.on_reply(seq, Reply::Send(vec![Slice::from_static(b"world")]), Laps::begin(at(0)), at(2));
    let batch = c.next_batch(at(2), || at(2)).unwrap();
    assert_eq!(&*batch.parts[0], b"world");
    c.on_sent(batch.bytes, at(3));
    assert!(matches!(c.step(at(3), 100, &memory), Ok(Step::Receive)));
}

#[test]
fn before_authentication_the_handler_s_limit_counts() {
    let memory = memory();
    let mut c = Connection::new(&config(), at(0));
    c.on_received(framed(&[0; 101]).into(), at(0), &memory);
    assert_eq!(c.step(at(0), 100, &memory).err(), Some(CloseReason::FrameTooLarge));
}

#[test]
fn a_throttled_client_is_answered_at_once_and_then_muted() {
    let memory = memory();
    let mut c = Connection::new(&config(), at(0));
    c.on_received([framed(b"a"), framed(b"b")].concat().into(), at(0), &memory);
    let seq = request(&mut c, at(0), &memory);
    let answer = vec![Slice::from_static(b"A")];
    c.on_reply(
        seq,
        Reply::SendThenMute(answer, Duration::from_millis(50)),
        Laps::begin(at(0)),
        at(10),
    );
    assert!(c.next_batch(at(10), || at(10)).is_some());
    assert!(matches!(c.step(at(59), 100, &memory), Ok(Step::Mute(until)) if until == at(60)));
    request(&mut c, at(60), &memory);
}

#[test]
fn a_trickle_is_idle_but_a_slow_upload_is_not() {
    let memory = memory();
    let mut c = Connection::new(&config(), at(0));
    let minute = 60_000;
    let bytes = framed(&[0; 100_000]);
    for m in 0..9u64 {
        let i = usize::try_from(m).unwrap();
        assert_eq!(c.on_tick(at(m * minute), Shortage::default()), None);
        c.on_received(bytes[i..=i].to_vec().into(), at(m * minute), &memory);
        assert!(matches!(c.step(at(m * minute), usize::MAX, &memory), Ok(Step::Receive)));
    }
    assert_eq!(c.on_tick(at(10 * minute), Shortage::default()), Some(CloseReason::Idle));
    let mut c = Connection::new(&config(), at(0));
    for m in 0..20u64 {
        let i = usize::try_from(m).unwrap() * 4096;
        c.on_received(bytes[i..i + 4096].to_vec().into(), at(m * minute), &memory);
        assert!(matches!(c.step(at(m * minute), usize::MAX, &memory), Ok(Step::Receive)));
        assert_eq!(c.on_tick(at(m * minute + 599_999), Shortage::default()), None);
    }
}

#[test]
fn without_a_limit_nobody_is_idle() {
    let c = Connection::new(&Config { idle_max: None, ..config() }, at(0));
    assert_eq!(c.on_tick(at(1 << 40), Shortage::default()), None);
}

#[test]
fn a_half_sent_frame_goes_only_when_memory_is_short() {
    let memory = memory();
    let mut c = Connection::new(&config(), at(0));
    c.on_received(framed(&[0; 600_000])[..10_000].to_vec().into(), at(0), &memory);
    assert!(matches!(c.step(at(0), usize::MAX, &memory), Ok(Step::Receive)));
    assert_eq!(memory.room.used(), 600_000);
    assert_eq!(c.on_tick(at(4_999), FRAMES), None, "within its grace");
    assert_eq!(c.on_tick(at(300_000), Shortage::default()), None, "nobody needs the memory");
    assert_eq!(c.on_tick(at(300_000), ANSWERS), None, "nor is it what is short");
    assert_eq!(c.on_tick(at(5_000), FRAMES), Some(CloseReason::FrameSlow));
    // At an even pace it may stay: a tenth of the frame in a tenth of the minute.
    c.on_received(vec![0; 55_000].into(), at(5_500), &memory);
    assert!(matches!(c.step(at(5_500), usize::MAX, &memory), Ok(Step::Receive)));
    assert_eq!(c.on_tick(at(6_000), FRAMES), None);
    c.abandon(CloseReason::PeerLost);
    assert_eq!(memory.room.used(), 0);
}

#[test]
fn a_client_that_does_not_read_goes_when_memory_is_short() {
    let memory = memory();
    let mut c = Connection::new(&config(), at(0));
    c.on_received(framed(b"a").into(), at(0), &memory);
    let seq = request(&mut c, at(0), &memory);
    c.on_reply(seq, Reply::Send(vec![Slice::from(vec![0; 3 << 20])]), Laps::begin(at(0)), at(0));
    let first = c.next_batch(at(0), || at(0)).unwrap();
    assert_eq!(first.bytes, BATCH_BYTES_MAX);
    assert_eq!(c.on_tick(at(10_000), Shortage::default()), None);
    c.on_sent(first.bytes, at(9_000));
    let second = c.next_batch(at(9_000), || at(9_000)).unwrap();
    assert_eq!(c.on_tick(at(13_999), FRAMES), None, "it reads slowly, but it reads");
    assert_eq!(c.on_tick(at(14_000), FRAMES), Some(CloseReason::ReaderSlow));
    assert_eq!(c.on_tick(at(14_000), ANSWERS), Some(CloseReason::ReaderSlow));
    drop(second);
}

#[test]
fn a_drained_connection_starts_nothing_and_answers_the_rest() {
    let memory = memory();
    let mut c = Connection::new(&config(), at(0));
    c.on_received([framed(b"a"), framed(b"b")].concat().into(), at(0), &memory);
    let seq = request(&mut c, at(0), &memory);
    c.drain();
    assert!(matches!(c.step(at(0), usize::MAX, &memory), Ok(Step::Wait)));
    assert_eq!(c.finished(), None);
    c.on_reply(seq, Reply::Send(vec![Slice::from_static(b"A")]), Laps::begin(at(0)), at(1));
    let batch = c.next_batch(at(1), || at(1)).unwrap();
    c.on_sent(batch.bytes, at(1));
    assert_eq!(c.finished(), Some(CloseReason::Drained));
}
