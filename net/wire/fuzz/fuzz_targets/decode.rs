//! Any bytes as any message: see `tests/hostile/any.rs`, which says how an input is read. The seeds also run under `cargo test`.
#![no_main]

extern crate ringwood_wire as wire;

#[path = "../../tests/hostile/any.rs"]
mod any;
#[path = "../../tests/bytes/every.rs"]
#[allow(dead_code, reason = "only the way in and out is of interest here")]
mod every;

use every::{Case, cases};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static CASES: LazyLock<Vec<Case>> = LazyLock::new(cases);

fuzz_target!(|data: &[u8]| {
    any::attempt(&CASES, data);
});
