//! Any bytes as a run of batches, with everything that a reader does with them: see `tests/hostile/exercise.rs`. The seeds also run
//! under `cargo test`.
#![no_main]

extern crate ringwood_ids as ids;

#[path = "../../tests/hostile/exercise.rs"]
mod exercise;

use libfuzzer_sys::fuzz_target;
use ringwood_record::Decompressor;

fuzz_target!(|data: &[u8]| {
    exercise::exercise(data, &mut Decompressor::new());
});
