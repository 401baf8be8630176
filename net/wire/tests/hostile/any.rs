//! Any bytes as any message: what the fuzz target does with each input, and the tests with its corpus and with what proptest
//! makes.
//!
//! The first byte is the API's number, the lowest bit of the second says whether it is the response, its others are the version
//! above the lowest that is known; the rest is the body. So an input means the same when an API is added.

use crate::every::Case;

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It names no message of the table.
    Nothing,
    /// The body was refused.
    Refused,
    /// The body was read, and survives being written and read again.
    Read,
}

/// Decoding never panics, and what was decoded survives being encoded and decoded again.
pub(crate) fn attempt(cases: &[Case], data: &[u8]) -> Outcome {
    let [api, what, body @ ..] = data else { return Outcome::Nothing };
    let end = if what % 2 == 0 { "Request" } else { "Response" };
    let named = |c: &&Case| c.key.code() == i16::from(*api) && c.name.ends_with(end);
    let Some(case) = cases.iter().find(named) else { return Outcome::Nothing };
    let known = case.key.entry().versions;
    let version = known.min + i16::from(what / 2) % (known.max - known.min + 1);
    let Ok(once) = (case.again)(body, version) else { return Outcome::Refused };
    assert_eq!((case.again)(&once, version), Ok(once.clone()), "{} v{version}", case.name);
    Outcome::Read
}

/// The beginning of an input for this message in this version.
#[allow(dead_code, reason = "the fuzz target is given its inputs")]
pub(crate) fn start(case: &Case, version: i16) -> [u8; 2] {
    let above = u8::try_from(version - case.key.entry().versions.min).expect("few versions");
    let api = u8::try_from(case.key.code()).expect("few APIs");
    [api, above * 2 + u8::from(case.name.ends_with("Response"))]
}
