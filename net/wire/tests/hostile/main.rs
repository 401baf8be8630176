//! Bytes from strangers: decoding never panics and never takes more memory than the frame's size justifies.

extern crate ringwood_wire as wire;

mod any;
mod seeds;
// Random samples and the list of messages are the differential test's.
#[path = "../bytes/every.rs"]
#[expect(dead_code, reason = "only the way in is of interest here")]
mod every;
#[path = "../bytes/random.rs"]
mod random;

use every::{Case, cases};
use random::{Random, body};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use wire::reader::{BUDGET_BASE, BUDGET_PER_BYTE};
use wire::{Malformed, Reader, RequestHeader};

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

/// Counts the bytes that this thread asks for.
struct Counting;

fn count(bytes: usize) {
    // A thread that is ending has no counter any more; it decodes nothing either.
    let _ = ALLOCATED.try_with(|allocated| allocated.set(allocated.get() + bytes));
}

// SAFETY: every call is passed on to the system allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Decodes, and checks what it cost.
fn decode(case: &Case, version: i16, frame: &[u8]) -> bool {
    let before = ALLOCATED.get();
    let result = (case.decode)(frame, version);
    let cost = ALLOCATED.get() - before;
    let limit = BUDGET_BASE + BUDGET_PER_BYTE * frame.len();
    assert!(cost <= limit, "{} v{version}: {cost} bytes for {}", case.name, frame.len());
    result.is_ok()
}

fn every_version(mut check: impl FnMut(&Case, i16)) {
    for case in cases() {
        let versions = case.key.entry().versions;
        for version in versions.min..=versions.max {
            check(&case, version);
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    every_version(|case, version| {
        for seed in 0..6 {
            let sample = body(case.key, case.shape, version, &mut Random::new(seed));
            assert!(decode(case, version, &sample), "{} v{version}", case.name);
            for cut in 0..sample.len() {
                let at = format!("{} v{version} cut to {cut} of {}", case.name, sample.len());
                assert!(!decode(case, version, &sample[..cut]), "{at}");
            }
        }
    });
}

#[test]
fn no_corruption_panics_or_costs_more_than_its_frame() {
    let words: [&[u8]; 9] = [
        &[0x00],
        &[0x01],
        &[0x7f],
        &[0x80],
        &[0xff],
        &[0x7f, 0xff],
        &[0x7f, 0xff, 0xff, 0xff],
        &[0x80, 0x00, 0x00, 0x00],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
    ];
    every_version(|case, version| {
        let mut random = Random::new(3);
        for _ in 0..3 {
            let sample = body(case.key, case.shape, version, &mut random);
            for at in 0..sample.len() {
                for word in words {
                    let mut frame = sample.clone();
                    let end = (at + word.len()).min(frame.len());
                    frame[at..end].copy_from_slice(&word[..end - at]);
                    decode(case, version, &frame);
                }
                let mut flipped = sample.clone();
                flipped[at] ^= 1 << random.below(8);
                decode(case, version, &flipped);
            }
        }
    });
}

#[test]
fn large_frames_of_one_byte_cost_no_more_than_their_size() {
    every_version(|case, version| {
        for byte in [0x00, 0x01, 0x02, 0x03, 0x7f, 0x80, 0xff] {
            decode(case, version, &vec![byte; 256 * 1024]);
        }
    });
}

#[test]
fn the_densest_arrays_stay_within_the_budget() {
    every_version(|case, version| {
        // A count that fits the frame at the smallest element, wherever a count may stand, then emptiness.
        for at in 0..24 {
            let mut frame = vec![0; 128 * 1024];
            let count: &[u8] =
                if case.key.is_flexible(version) { &[0x80, 0x80, 0x03] } else { &[0, 0, 0x20, 0] };
            frame[at..at + count.len()].copy_from_slice(count);
            decode(case, version, &frame);
        }
    });
}

#[test]
fn random_bytes_are_harmless() {
    let mut random = Random::new(2026);
    every_version(|case, version| {
        for _ in 0..200 {
            let len = random.below(120) as usize;
            let frame: Vec<u8> =
                (0..len)
                    .map(|_| {
                        if random.below(2) == 0 {
                            random.below(4) as u8
                        } else {
                            random.next() as u8
                        }
                    })
                    .collect();
            decode(case, version, &frame);
        }
    });
}

#[test]
fn headers_from_strangers_are_harmless() {
    let mut random = Random::new(11);
    for _ in 0..200_000 {
        let len = random.below(40) as usize;
        let mut frame: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
        if len > 2 {
            frame[0] = 0;
            frame[1] %= 80;
        }
        let before = ALLOCATED.get();
        let result = RequestHeader::decode(&mut Reader::new(&frame));
        assert_eq!(ALLOCATED.get(), before, "a header allocates nothing");
        if len < 8 {
            assert_eq!(result.map_err(|error| error.reason), Err(Malformed::Truncated));
        }
    }
}
