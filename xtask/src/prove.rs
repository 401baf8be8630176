//! Proofs by repetition: what a test shows once, a thousand times.

mod kill;

pub(crate) use kill::run as kill;
