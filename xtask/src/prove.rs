//! Proofs by repetition: what a test shows once, a thousand times.

mod crash;
pub(crate) mod ecosystem;
mod figures;
mod kill;

pub(crate) use crash::run as crash;
pub(crate) use figures::run as figures;
pub(crate) use kill::run as kill;
