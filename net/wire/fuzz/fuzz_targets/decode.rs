//! Any bytes as any message: decoding never panics, and what was decoded survives being encoded and decoded again.
//!
//! The first byte picks the message, the second the version, the rest is the body.
#![no_main]

extern crate ringwood_wire as wire;

#[path = "../../tests/bytes/every.rs"]
#[allow(dead_code, reason = "only the way in and out is of interest here")]
mod every;

use every::{Case, cases};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static CASES: LazyLock<Vec<Case>> = LazyLock::new(cases);

fuzz_target!(|data: &[u8]| {
    let [message, version, body @ ..] = data else { return };
    let case = &CASES[usize::from(*message) % CASES.len()];
    let known = case.key.entry().versions;
    let version = known.min + i16::from(*version) % (known.max - known.min + 1);
    if let Ok(once) = (case.again)(body, version) {
        assert_eq!((case.again)(&once, version), Ok(once));
    }
});
