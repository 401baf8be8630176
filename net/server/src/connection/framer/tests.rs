//! Any cut of the stream gives the same frames, and memory is bounded and comes back.

use super::*;
use crate::connection::{Pins, Room};
use proptest::prelude::*;
use runtime::Memory;
use std::rc::Rc;

const MAX: usize = 100 << 20;

fn memory(in_place_bytes_min: usize) -> FrameMemory {
    FrameMemory {
        room: Room::new(256 << 20, MAX),
        pins: Pins::new(4),
        memory: None,
        in_place_bytes_min,
        copied: Rc::default(),
    }
}

fn stream(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for f in frames {
        bytes.extend_from_slice(&i32::try_from(f.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(f);
    }
    bytes
}

/// All frames that `chunks` give.
fn cut(chunks: &[&[u8]], memory: &FrameMemory) -> Result<Vec<Frame>, CloseReason> {
    let mut framer = Framer::new();
    let mut frames = Vec::new();
    for chunk in chunks {
        framer.receive(Chunk::from(chunk.to_vec()), memory);
        loop {
            match framer.next(MAX, memory)? {
                Next::Frame(f) => frames.push(f),
                Next::More => break,
                Next::Room(n) => {
                    framer.admit(memory.room.charge_beyond(n).ok_or(CloseReason::Memory)?)
                }
            }
        }
    }
    Ok(frames)
}

#[test]
fn frames_in_one_chunk_are_handed_out_in_place() {
    let memory = memory(0);
    let bytes = stream(&[b"one".to_vec(), b"two!".to_vec()]);
    let frames = cut(&[&bytes], &memory).unwrap();
    assert_eq!(frames.iter().map(|f| &**f).collect::<Vec<_>>(), [&b"one"[..], b"two!"]);
    assert!(frames.iter().all(Frame::is_in_place));
    assert_eq!((memory.room.used(), memory.pins.held()), (0, 1));
    assert_eq!(memory.copied.get(), 0);
    let part = frames[1].slice(1..3);
    drop(frames);
    assert_eq!((&*part, memory.pins.held()), (&b"wo"[..], 1), "a part keeps the buffer");
    drop(part);
    assert_eq!(memory.pins.held(), 0);
}

#[test]
fn a_spanning_frame_is_charged_until_its_last_part_is_gone() {
    let memory = memory(0);
    let bytes = stream(&[vec![7; 1000]]);
    let frames = cut(&[&bytes[..500], &bytes[500..]], &memory).unwrap();
    assert_eq!((memory.room.used(), memory.pins.held()), (1000, 0));
    assert_eq!(memory.copied.get(), 1000, "each byte once");
    let part = frames[0].slice(10..);
    drop(frames);
    assert_eq!(memory.room.used(), 1000);
    drop(part);
    assert_eq!(memory.room.used(), 0);
}

#[test]
fn short_frames_and_frames_in_scarce_buffers_are_copied() {
    let memory = memory(10);
    let bytes = stream(&[vec![1; 9], vec![2; 10]]);
    let frames = cut(&[&bytes], &memory).unwrap();
    assert_eq!(frames.iter().map(Frame::is_in_place).collect::<Vec<_>>(), [false, true]);
    // Four receive buffers may be kept; the fifth frame's is not.
    let more: Vec<_> = (0..4).map(|_| cut(&[&bytes], &memory).unwrap()).collect();
    let in_place: Vec<bool> = more.iter().map(|f| f[1].is_in_place()).collect();
    assert_eq!(in_place, [true, true, true, false]);
    assert_eq!(memory.copied.get(), 5 * 9 + 10);
    assert_eq!(memory.pins.held(), 4);
}

#[test]
fn sizes_are_judged_before_anything_is_allocated() {
    let memory = memory(0);
    let size = |n: i32| cut(&[&n.to_be_bytes()], &memory).err();
    assert_eq!(size(-1), Some(CloseReason::FrameNegative));
    assert_eq!(size(i32::MIN), Some(CloseReason::FrameNegative));
    assert_eq!(size(i32::MAX), Some(CloseReason::FrameTooLarge));
    assert_eq!(size((100 << 20) + 1), Some(CloseReason::FrameTooLarge));
    assert_eq!(size(0x4854_5450), Some(CloseReason::FrameTooLarge), "an HTTP client");
    assert_eq!(memory.room.highest(), 0);
    assert_eq!(size(100 << 20), None);
    assert_eq!(memory.room.highest(), 100 << 20);
}

#[test]
fn an_early_limit_holds_for_the_next_frame_only() {
    let memory = memory(0);
    let bytes = stream(&[vec![0; 10], vec![0; 100]]);
    let mut framer = Framer::new();
    framer.receive(Chunk::from(bytes), &memory);
    assert!(matches!(framer.next(10, &memory), Ok(Next::Frame(f)) if f.len() == 10));
    assert!(matches!(framer.next(100, &memory), Ok(Next::Frame(f)) if f.len() == 100));
}

#[test]
fn an_empty_frame_is_a_frame() {
    let frames = cut(&[&[0, 0, 0], &[0]], &memory(0)).unwrap();
    assert_eq!(frames.len(), 1);
    assert!(frames[0].is_empty());
}

#[test]
fn half_sent_frames_stop_at_the_limit_and_wait() {
    let memory = memory(0);
    let mut begun = Vec::new();
    for _ in 0..50 {
        let mut framer = Framer::new();
        framer.receive(Chunk::from((100i32 << 20).to_be_bytes().to_vec()), &memory);
        let next = framer.next(MAX, &memory).unwrap();
        begun.push((framer, next));
    }
    let collecting = begun.iter().filter(|(f, _)| f.is_collecting()).count();
    assert_eq!(collecting, 1, "three quarters of 256 MiB hold one");
    assert!(begun.iter().skip(1).all(|(_, n)| matches!(n, Next::Room(b) if *b == 100 << 20)));
    assert!(memory.room.used() <= memory.room.limit());
    drop(begun);
    assert_eq!(memory.room.used(), 0);
}

#[test]
fn a_frame_that_is_there_does_not_wait_behind_half_sent_ones() {
    let memory = memory(1000);
    let _all = memory.room.charge_beyond(256 << 20).unwrap();
    let mut half = Framer::new();
    half.receive(Chunk::from(vec![0, 0, 100, 0, 1]), &memory);
    assert!(matches!(half.next(MAX, &memory), Ok(Next::Room(25_600))));
    let frames = cut(&[&stream(&[b"small".to_vec()])], &memory).unwrap();
    assert_eq!(&*frames[0], b"small");
    assert_eq!(memory.room.used(), (256 << 20) + 5);
}

#[test]
fn a_connection_that_waits_gives_a_scarce_receive_buffer_back() {
    let memory = memory(0);
    let bytes = stream(&[b"first".to_vec(), b"second".to_vec()]);
    let others: Vec<_> = (0..4).map(|_| cut(&[&bytes], &memory).unwrap()).collect();
    let mut framer = Framer::new();
    framer.receive(Chunk::from(bytes), &memory);
    assert_eq!(memory.pins.held(), 5);
    assert!(matches!(framer.next(MAX, &memory), Ok(Next::Frame(f)) if !f.is_in_place()));
    let before = memory.copied.get();
    framer.step_aside(&memory).unwrap();
    assert_eq!(memory.copied.get() - before, 4 + 6, "the length and the bytes of the second");
    assert_eq!(memory.pins.held(), 4);
    assert_eq!(memory.room.used(), 4 + 6);
    assert!(matches!(framer.next(MAX, &memory), Ok(Next::Frame(f)) if &*f == b"second"));
    drop((others, framer));
    assert_eq!((memory.pins.held(), memory.room.used()), (0, 0));
}

#[test]
fn a_large_frame_is_received_straight_into_its_buffer() {
    let mut memory = memory(0);
    let core = Memory::new(64 << 20);
    memory.memory = Some(core.clone());
    let body: Vec<u8> = (0..900_000u32).map(|i| i.to_le_bytes()[0]).collect();
    let bytes = stream(&[body.clone(), b"next".to_vec()]);
    let (mut at, mut framer) = (1000, Framer::new());
    framer.receive(Chunk::from(bytes[..at].to_vec()), &memory);
    assert!(matches!(framer.next(MAX, &memory), Ok(Next::More)));
    assert_eq!(memory.room.used(), Memory::rounded(900_000), "the buffer's whole capacity");
    let mut direct = 0;
    while let Some((mut buffer, n)) = framer.take_direct() {
        assert!(n <= DIRECT_BYTES_MAX);
        buffer.append(&bytes[at..at + n]);
        at += n;
        direct += n;
        framer.return_direct(buffer);
        if let Next::Frame(frame) = framer.next(MAX, &memory).unwrap() {
            assert_eq!(&*frame, &body[..]);
            assert_eq!(direct, body.len() + 4 - 1000);
            drop(frame);
            assert_eq!((memory.room.used(), core.used()), (0, 0));
            return;
        }
    }
    // The last piece is too short for a direct receive.
    framer.receive(Chunk::from(bytes[at..].to_vec()), &memory);
    assert!(matches!(framer.next(MAX, &memory), Ok(Next::Frame(f)) if *f == body[..]));
    assert!(matches!(framer.next(MAX, &memory), Ok(Next::Frame(f)) if &*f == b"next"));
    assert!(direct > body.len() / 2);
    assert_eq!((memory.room.used(), core.used()), (0, 0));
}

#[test]
fn without_memory_of_the_core_a_frame_is_collected_all_the_same() {
    let mut memory = memory(0);
    memory.memory = Some(Memory::new(4096));
    let body = vec![3; 200_000];
    let bytes = stream(std::slice::from_ref(&body));
    let frames = cut(&[&bytes[..9], &bytes[9..]], &memory).unwrap();
    assert_eq!(&*frames[0], &body[..]);
}

proptest! {
    #[test]
    fn any_cut_of_the_stream_gives_the_same_frames(
        bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..20),
        cuts in proptest::collection::vec(0..6000usize, 0..40),
        in_place_bytes_min in 0..400usize,
    ) {
        let bytes = stream(&bodies);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
        let memory = memory(in_place_bytes_min);
        let frames = cut(&chunks, &memory).unwrap();
        let got: Vec<&[u8]> = frames.iter().map(|f| &**f).collect();
        prop_assert_eq!(got, bodies.iter().map(|b| &b[..]).collect::<Vec<_>>());
        drop(frames);
        prop_assert_eq!((memory.room.used(), memory.pins.held()), (0, 0));
    }

    #[test]
    fn garbage_gives_frames_or_a_reason_and_all_memory_comes_back(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 0..20),
    ) {
        let memory = memory(0);
        let chunks: Vec<&[u8]> = chunks.iter().map(|c| &c[..]).collect();
        match cut(&chunks, &memory) {
            Ok(frames) => {
                let total: usize = chunks.iter().map(|c| c.len()).sum();
                prop_assert!(frames.iter().map(|f| f.len() + 4).sum::<usize>() <= total);
            }
            Err(why) => prop_assert!(
                matches!(why, CloseReason::FrameNegative | CloseReason::FrameTooLarge)
            ),
        }
        prop_assert_eq!((memory.room.used(), memory.pins.held()), (0, 0));
    }
}
